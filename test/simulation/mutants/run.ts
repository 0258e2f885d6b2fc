/**
 * `npm run simulate:mutants -- [--only PART_OF_A_NAME]…`: puts known defects back, one at a time, in a copy of the library, and runs seeds of
 * the simulation until an oracle sees it, or the test that is there for it. Ends with a table of what saw each, and with 1 where
 * one was seen by nothing, or has no place in the code any more.
 */
import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs, stripVTControlCharacters } from "node:util"
import { mutants } from "./index.ts"
import { type Mutant, replacementsOf } from "./Mutant.ts"

/** How long a seed or a test may take before its run counts as endless, in milliseconds of real time. */
const bound = 120_000

interface Verdict {
  readonly mutant: Mutant
  readonly isKilled: boolean
  readonly by: string
  readonly seeds: number
}

const root = fileURLToPath(new URL("../../../", import.meta.url))

const { values } = parseArgs({ options: { only: { type: "string", multiple: true } } })

const chosen = mutants.filter(({ name }) => values.only?.some((part) => name.includes(part)) ?? true)
if (chosen.length === 0) {
  console.error(`simulate:mutants: there is no mutant ${values.only?.join(", ")}`)
  process.exit(2)
}

/** Runs a program; gives its exit code, undefined where it said nothing for too long, and what it printed. */
const execute = (folder: string, args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | undefined; readonly lines: ReadonlyArray<string> }>((resolve) => {
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const stop = () => {
      child.kill("SIGKILL")
      resolve({ code: undefined, lines: output.split("\n") })
    }
    let timer = setTimeout(stop, bound)
    child.stdout.on("data", (text) => {
      output += String(text)
      clearTimeout(timer)
      timer = setTimeout(stop, bound)
    })
    child.stderr.on("data", (text) => {
      output += String(text)
    })
    child.on("close", (code) => {
      clearTimeout(timer)
      resolve({ code: code ?? 1, lines: output.split("\n") })
    })
  })

/** Runs a file of tests. */
const test = (folder: string, file: string) =>
  execute(folder, [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    file,
    "--typecheck.enabled=false",
    "--bail=1",
    "--reporter=verbose"
  ])

const held = new Map<string, Promise<boolean>>()

/** Whether a file of tests holds in the library as it is: it is run once. */
const holds = (folder: string, file: string): Promise<boolean> => {
  const known = held.get(file) ?? test(folder, file).then(({ code }) => code === 0)
  held.set(file, known)
  return known
}

const judge = async (folder: string, mutant: Mutant): Promise<Verdict> => {
  const path = join(folder, "src/internal", mutant.file)
  const original = readFileSync(path, "utf8")
  let mutated = original
  for (const [text, replacement] of replacementsOf(mutant)) {
    const parts = mutated.split(text)
    if (parts.length !== 2) {
      return { mutant, isKilled: false, by: `its text stands ${parts.length - 1} times in ${mutant.file}`, seeds: 0 }
    }
    mutated = parts.join(replacement)
  }
  const lives = (by: string, seeds = 0): Verdict => ({ mutant, isKilled: false, by, seeds })
  try {
    stripTypeScriptTypes(mutated)
  } catch (error) {
    return lives(`it does not parse: ${(error as Error).message}`)
  }
  if (mutant.by !== undefined && !await holds(folder, mutant.by)) {
    return lives(`${mutant.by} fails without it, or is not there`)
  }
  writeFileSync(path, mutated)
  try {
    if (mutant.by !== undefined) {
      const { code, lines } = await test(folder, mutant.by)
      if (code === undefined) return lives(`${mutant.by} did not end`)
      // A process that died, or a file that cannot be loaded, has failed no test.
      const hasFailed = lines.some((line) => /Tests .*\d+ failed/.test(stripVTControlCharacters(line)))
      return code === 0
        ? lives("nothing")
        : hasFailed
        ? { mutant, isKilled: true, by: mutant.by, seeds: 0 }
        : lives(`${mutant.by} was not run`)
    }
    const only = (["workload", "fault"] as const).flatMap((name) => {
      const value = mutant[name]
      return value === undefined ? [] : [`--${name}`, value]
    })
    const { code, lines } = await execute(folder, [
      "test/simulation/run.ts",
      "--first",
      "--seeds",
      String(mutant.seeds ?? 150),
      ...only
    ])
    const ran = lines.filter((line) => line.startsWith("seed ")).length
    if (code === 0) return { mutant, isKilled: false, by: "nothing", seeds: ran }
    const seen = lines.find((line) => line.startsWith("first: "))?.slice(7)
    if (seen === undefined) return lives(`a run that ended with ${code}: ${lines.at(-2)}`, ran)
    // What dies of the run itself was seen by no oracle.
    const isDeath = /^(dead|harness),/.test(seen)
    return isDeath && mutant.isDeadly !== true ? lives(seen, ran) : { mutant, isKilled: true, by: seen, seeds: ran }
  } finally {
    writeFileSync(path, original)
  }
}

const began = performance.now()
const verdicts: Array<Verdict> = []
const queue = [...chosen]
await Promise.all(Array.from({ length: Math.min(availableParallelism(), queue.length) }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "mutants-"))
  try {
    for (const name of ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) {
      cpSync(join(root, name), join(folder, name), {
        recursive: true,
        filter: (source) => !source.includes(join("interop", ".cache"))
      })
    }
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const verdict = await judge(folder, mutant)
      verdicts.push(verdict)
      console.log(`${verdict.isKilled ? "killed" : "LIVES "} | ${mutant.name} | ${verdict.by} | ${verdict.seeds}`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}))
const alive = verdicts.filter(({ isKilled }) => !isKilled)
console.log("\nmutant | killed by | seeds")
for (const { by, isKilled, mutant, seeds } of chosen.map((each) => verdicts.find(({ mutant }) => mutant === each)!)) {
  console.log(`${mutant.name} | ${isKilled ? by : `LIVES: ${by}`} | ${seeds === 0 ? "" : seeds}`)
}
console.log(
  `${verdicts.length} mutants, ${alive.length} alive, ${((performance.now() - began) / 1000).toFixed(0)} s`
)
if (alive.length > 0) process.exitCode = 1
