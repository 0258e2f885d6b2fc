/**
 * `npm run simulate:mutants -- [--only PART_OF_A_NAME]… [--jobs N] [--bound SECONDS] [--write]`: puts known defects back, one at a time, in a copy of the library, and
 * runs seeds of the simulation until an oracle sees it, or the test that is there for it. `npm run filter:mutants` does the same with
 * those of rules and their tests, or those that are named: `--by test/emulator/broker/filter/Rule.oracle.test.ts` shows what the
 * oracle of rules sees by itself. The library as it is passes the same test,
 * or the first of the same seeds, before: what fails without a mutant says nothing of it. Only a rule of an oracle or an assertion
 * has seen a mutant; a death, a run without end and a test that timed out have not. Ends with a table of what saw each, which `--write` puts
 * into README.md beside this file where it is of the simulation, and with 1 where one was seen by nothing, or has no place in the
 * code any more.
 */
import { spawn } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { availableParallelism, tmpdir } from "node:os"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs, stripVTControlCharacters } from "node:util"
import { mutants as ofFilters } from "../../emulator/filter/mutants.ts"
import { mutants as ofSimulation } from "./index.ts"
import { type Mutant, replacementsOf } from "./Mutant.ts"

interface Verdict {
  readonly mutant: Mutant
  readonly isKilled: boolean
  readonly by: string
  readonly seer: string
  readonly seeds: number
}

const root = fileURLToPath(new URL("../../../", import.meta.url))

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    jobs: { type: "string" },
    write: { type: "boolean" },
    filters: { type: "boolean" },
    by: { type: "string", multiple: true },
    bound: { type: "string", default: "120" }
  }
})

/** How long a seed or a test may take before its run counts as endless, in milliseconds of real time. */
const bound = 1000 * Number(values.bound)

/** Defects, the folder that their files are in, and the tests that see one for which neither a test nor seeds are named. */
interface Table {
  readonly mutants: ReadonlyArray<Mutant>
  readonly source: string
  readonly tests?: ReadonlyArray<string>
}

const table: Table = values.filters === true
  ? {
    mutants: ofFilters,
    source: "src/emulator",
    tests: ["test/emulator/broker/filter", "test/emulator/amqp/StoredProperties.test.ts"]
  }
  : { mutants: ofSimulation, source: "src/internal" }

const chosen = table.mutants.filter(({ name }) => values.only?.some((part) => name.includes(part)) ?? true)
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

/** What a run of tests or seeds came to: all held, something saw a defect, or it ended in a way that says nothing. */
interface Outcome {
  readonly _tag: "held" | "seen" | "ended"
  readonly by: string
  /** The rule or the test alone, which another run would name as well. */
  readonly seer: string
  readonly seeds: number
}

/** The part of a report of tests that is read. */
interface TestReport {
  readonly numPassedTests: number
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly assertionResults: ReadonlyArray<{
      readonly status: string
      readonly fullName: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}

const firstLine = (text: string): string => stripVTControlCharacters(text).split("\n", 1)[0]!.slice(0, 200)

/** The tests that are to see a mutant; undefined where seeds are. */
const testsOf = ({ by }: Mutant): ReadonlyArray<string> | undefined =>
  values.by ?? (by === undefined ? table.tests : [by])

/** Runs tests until one fails. What is stopped then may lose the failure itself: all of them are run where none is reported. */
const test = async (folder: string, files: ReadonlyArray<string>, isWhole = false): Promise<Outcome> => {
  const report = join(folder, "report.json")
  rmSync(report, { force: true })
  const { code } = await execute(folder, [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    ...files,
    "--typecheck.enabled=false",
    ...(isWhole ? [] : ["--bail=1"]),
    "--reporter=verbose",
    "--reporter=json",
    `--outputFile.json=${report}`
  ])
  const named = files.length === 1 ? `${files[0]}: ` : ""
  const ended = (by: string): Outcome => ({ _tag: "ended", by: `${named}${by}`, seer: "", seeds: 0 })
  if (code === undefined) return ended("it did not end")
  if (!existsSync(report)) return ended(`its process ended with ${code}`)
  const { numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as TestReport
  const failures = testResults.flatMap(({ assertionResults, name }) =>
    assertionResults.flatMap(({ failureMessages: [message = ""], fullName, status }) =>
      status === "failed" ? [{ file: relative(realpathSync(folder), name), fullName, message: firstLine(message) }] : []
    )
  )
  const isTimeOut = (message: string): boolean =>
    message.includes("Test timed out") || message.includes("Hook timed out")
  const asserted = failures.find(({ message }) => !isTimeOut(message))
  if (asserted !== undefined) {
    const seer = `\`${asserted.file}\`, ${asserted.fullName}`
    return { _tag: "seen", by: `${seer}: ${asserted.message}`, seer, seeds: 0 }
  }
  const [late] = failures
  if (late !== undefined) return ended(`${late.fullName} timed out`)
  if (code === 0 && numPassedTests > 0) return { _tag: "held", by: "nothing", seer: "", seeds: 0 }
  return isWhole ? ended(`no test failed, but it ended with ${code}`) : test(folder, files, true)
}

/** Runs seeds of the simulation until one fails. */
const simulate = async (folder: string, { fault, workload }: Mutant, seeds: number): Promise<Outcome> => {
  const only = Object.entries({ workload, fault }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value]
  )
  const args = [
    "test/simulation/run.ts",
    "--first",
    "--seeds",
    String(seeds),
    "--bound",
    String(bound / 2000),
    ...only
  ]
  const { code, lines } = await execute(folder, args)
  const ran = lines.filter((line) => line.startsWith("seed ")).length
  if (code === 0) return { _tag: "held", by: "nothing", seer: "", seeds: ran }
  const by = lines.find((line) => line.startsWith("first: "))?.slice(7)
  if (by === undefined) {
    return { _tag: "ended", by: `a run that ended with ${code}: ${lines.at(-2)}`, seer: "", seeds: ran }
  }
  const [, rule, where] = /^(\w+), seed \d+ \((.*?)\)/.exec(by) ?? []
  // What ends the run itself was seen by no oracle.
  const isEnd = /^(dead|harness|endless)$/.test(rule ?? "")
  return { _tag: isEnd ? "ended" : "seen", by, seer: `\`${rule}\`, ${where}`, seeds: ran }
}

const before = new Map<string, Promise<Outcome>>()

/** What a test, or the first of the seeds, comes to in the library as it is: it is run once. */
const unmutated = (folder: string, mutant: Mutant): Promise<Outcome> => {
  const tests = testsOf(mutant)
  const key = JSON.stringify(tests ?? [mutant.workload, mutant.fault])
  const known = before.get(key) ?? (tests === undefined ? simulate(folder, mutant, 1) : test(folder, tests))
  before.set(key, known)
  return known
}

const judge = async (folder: string, mutant: Mutant): Promise<Verdict> => {
  const path = join(folder, mutant.isOfBroker === true ? "src/emulator" : table.source, mutant.file)
  const original = readFileSync(path, "utf8")
  let mutated = original
  for (const [text, replacement] of replacementsOf(mutant)) {
    const parts = mutated.split(text)
    if (parts.length !== 2) {
      return {
        mutant,
        isKilled: false,
        by: `its text stands ${parts.length - 1} times in ${mutant.file}`,
        seer: "",
        seeds: 0
      }
    }
    mutated = parts.join(replacement)
  }
  const lives = (by: string): Verdict => ({ mutant, isKilled: false, by, seer: "", seeds: 0 })
  try {
    stripTypeScriptTypes(mutated)
  } catch (error) {
    return lives(`it does not parse: ${(error as Error).message}`)
  }
  const without = await unmutated(folder, mutant)
  if (without._tag !== "held") return lives(`without it as well: ${without.by}`)
  writeFileSync(path, mutated)
  try {
    const tests = testsOf(mutant)
    const { _tag, by, seeds, seer } = tests === undefined
      ? await simulate(folder, mutant, mutant.seeds ?? 150)
      : await test(folder, tests)
    return { mutant, isKilled: _tag === "seen" || _tag === "ended" && mutant.isDeadly === true, by, seer, seeds }
  } finally {
    writeFileSync(path, original)
  }
}

/** Has README.md say what saw these, beside what it says of the others. */
const writeSeers = (judged: ReadonlyMap<string, Verdict>): void => {
  const path = fileURLToPath(new URL("README.md", import.meta.url))
  const [head, ...items] = readFileSync(path, "utf8").split("\n- ")
  const known = new Map(items.map((item) => {
    const end = item.indexOf(": ")
    return [item.slice(0, end), item.slice(end + 2).trim()] as const
  }))
  const lines = ofSimulation.map(({ name }) => {
    const verdict = judged.get(name)
    return `- ${name}: ${
      verdict === undefined ? known.get(name) ?? "not run yet" : verdict.isKilled ? verdict.seer : "nothing"
    }`
  })
  writeFileSync(path, `${head!.trim()}\n\n${lines.join("\n")}\n`)
}

const began = performance.now()
const verdicts: Array<Verdict> = []
const queue = [...chosen]
const jobs = values.jobs === undefined ? availableParallelism() : Number(values.jobs)
await Promise.all(Array.from({ length: Math.min(jobs, queue.length) }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "mutants-"))
  try {
    for (const name of ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) {
      cpSync(join(root, name), join(folder, name), {
        recursive: true,
        // The test that holds the texts of mutants fails with every one of them.
        filter: (source) => !source.includes(join("interop", ".cache")) && !source.endsWith("Rule.mutants.test.ts")
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
if (values.write === true && values.filters !== true) {
  writeSeers(new Map(verdicts.map((each) => [each.mutant.name, each])))
}
console.log(
  `${verdicts.length} mutants, ${alive.length} alive, ${((performance.now() - began) / 1000).toFixed(0)} s`
)
if (alive.length > 0) process.exitCode = 1
