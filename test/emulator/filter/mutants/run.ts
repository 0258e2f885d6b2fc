/**
 * `npm run filter:mutants -- [--only PART_OF_A_NAME]… [--by TEST]…`: puts known defects of the filters back, one at a time, in a copy
 * of the library, and runs the tests of filters, or those that are named: `--by test/emulator/broker/filter/Rule.oracle.test.ts`
 * shows what the oracle sees by itself. Only an assertion of a test that failed has seen one: the test that holds the texts of the
 * mutants is left out, for it fails with every one of them, and tests that end in another way say nothing. Ends with 1 where one
 * was seen by none, or has no place in the code any more.
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

/** What tests did: all of them passed, one failed, or they ended in another way. */
type Outcome = { readonly _tag: "passed" } | { readonly _tag: "failed" | "ended"; readonly by: string }

/** The part of a report of tests that is read. */
interface Report {
  readonly numPassedTests: number
  readonly testResults: ReadonlyArray<{
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly fullName: string }>
  }>
}

const runTests = (folder: string) =>
  new Promise<Outcome>((resolve) => {
    const vitest = join(root, "node_modules/vitest/vitest.mjs")
    const report = join(folder, "report.json")
    rmSync(report, { force: true })
    const args = [vitest, "run", ...tests.filter((each) => existsSync(join(folder, each))), "--typecheck.enabled=false"]
    // Not with --bail: what is running then is stopped, and the failure itself may be lost.
    const reporting = ["--reporter=json", `--outputFile=${report}`]
    const child = spawn(process.execPath, [...args, ...reporting], { cwd: folder, stdio: "ignore" })
    const timer = setTimeout(() => child.kill("SIGKILL"), 120_000)
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      if (!existsSync(report)) return resolve({ _tag: "ended", by: `the tests ended with ${code ?? signal}` })
      const { numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as Report
      const failed = testResults.flatMap((each) => each.assertionResults).find(({ status }) => status === "failed")
      if (failed !== undefined) return resolve({ _tag: "failed", by: failed.fullName })
      if (code === 0 && numPassedTests > 0) return resolve({ _tag: "passed" })
      resolve({ _tag: "ended", by: `no test failed, but they ended with ${code ?? signal}` })
    })
  })

const judge = async (folder: string, { file, replacement, text }: Mutant) => {
  const path = join(folder, "src/emulator", file)
  const original = readFileSync(path, "utf8")
  const parts = original.split(text)
  if (parts.length !== 2) return { isSeen: false, by: `its text stands ${parts.length - 1} times in ${file}` }
  writeFileSync(path, parts.join(replacement))
  const outcome = await runTests(folder)
  writeFileSync(path, original)
  return { isSeen: outcome._tag === "failed", by: outcome._tag === "passed" ? "nothing" : outcome.by }
}

const folder = mkdtempSync(join(tmpdir(), "mutants-"))
let alive = 0
try {
  for (const name of ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) {
    cpSync(join(root, name), join(folder, name), {
      recursive: true,
      filter: (source) => !source.includes(join("interop", ".cache")) && !source.endsWith("Rule.mutants.test.ts")
    })
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  const before = await runTests(folder)
  if (before._tag !== "passed") throw new Error(`without a mutant: ${before.by}`)
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
