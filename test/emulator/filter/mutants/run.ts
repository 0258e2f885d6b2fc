/**
 * `npm run filter:mutants -- [--only PART_OF_A_NAME]… [--by TEST]…`: puts known defects of the filters back, one at a time, in a copy
 * of the library, and runs the tests of filters, or those that are named: `--by test/emulator/broker/filter/Rule.oracle.test.ts`
 * shows what the oracle sees by itself. Ends with 1 where one was seen by none, or has no place in the code any more.
 */
import { spawn } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { type Mutant, mutants } from "./mutants.ts"

const root = fileURLToPath(new URL("../../../../", import.meta.url))

const { values } = parseArgs({
  options: { only: { type: "string", multiple: true }, by: { type: "string", multiple: true } }
})

const chosen = mutants.filter(({ name }) => values.only?.some((part) => name.includes(part)) ?? true)
if (chosen.length === 0) {
  console.error(`filter:mutants: there is no mutant ${values.only?.join(", ")}`)
  process.exit(2)
}

const tests = values.by ??
  ["test/emulator/broker/filter", "test/emulator/filter", "test/emulator/amqp/StoredProperties.test.ts"]

/** Runs the tests; gives the first that failed, undefined where none did. */
const failureIn = (folder: string) =>
  new Promise<string | undefined>((resolve) => {
    const vitest = join(root, "node_modules/vitest/vitest.mjs")
    const args = [vitest, "run", ...tests.filter((each) => existsSync(join(folder, each))), "--typecheck.enabled=false"]
    const child = spawn(process.execPath, [...args, "--bail=1", "--no-color"], { cwd: folder, stdio: "pipe" })
    const timer = setTimeout(() => child.kill("SIGKILL"), 120_000)
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => output += String(text))
    child.on("close", (code) => {
      clearTimeout(timer)
      resolve(code === 0 ? undefined : /(?:FAIL|×)\s+(.*)/.exec(output)?.[1] ?? `the tests ended with ${code}`)
    })
  })

const judge = async (folder: string, { file, replacement, text }: Mutant) => {
  const path = join(folder, "src/emulator", file)
  const original = readFileSync(path, "utf8")
  const parts = original.split(text)
  if (parts.length !== 2) return { isSeen: false, by: `its text stands ${parts.length - 1} times in ${file}` }
  writeFileSync(path, parts.join(replacement))
  const by = await failureIn(folder)
  writeFileSync(path, original)
  return { isSeen: by !== undefined, by: by ?? "nothing" }
}

const folder = mkdtempSync(join(tmpdir(), "mutants-"))
let alive = 0
try {
  for (const name of ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) {
    cpSync(join(root, name), join(folder, name), {
      recursive: true,
      filter: (source) => !source.includes(join("interop", ".cache"))
    })
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  const before = await failureIn(folder)
  if (before !== undefined) throw new Error(`without a mutant fails: ${before}`)
  for (const mutant of chosen) {
    const { by, isSeen } = await judge(folder, mutant)
    if (!isSeen) alive++
    console.log(`${isSeen ? "killed" : "LIVES "} | ${mutant.name} | ${by}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${chosen.length} mutants, ${alive} alive`)
if (alive > 0) process.exitCode = 1
