// Runs every example on the embedded broker, each in a process of its own, and prints a line for each.
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

const here = import.meta.dirname
const examples = readdirSync(here).filter((file) => file.endsWith(".ts") && file !== "run.ts").toSorted()
let failed = 0
for (const example of examples) {
  const { error, status, stderr, stdout } = spawnSync(process.execPath, [join(here, example)], {
    encoding: "utf8",
    timeout: 60_000
  })
  const line = stdout.trim().split("\n").at(-1) ?? ""
  const ok = status === 0 && line !== "" && stderr === ""
  if (!ok) failed++
  console.log(`${ok ? "ok  " : "FAIL"} ${example.replace(/\.ts$/, "").padEnd(20)} ${line}`)
  if (!ok) console.log(error?.message ?? stderr)
}
console.log(failed === 0 ? `${examples.length} examples ran` : `${failed} of ${examples.length} examples failed`)
process.exitCode = failed === 0 && examples.length > 0 ? 0 : 1
