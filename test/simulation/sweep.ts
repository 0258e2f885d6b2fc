/**
 * `npm run simulate:sweep`: every public operation interrupted at every suspension point, with several numbers of operations before
 * a fiber yields, with bystanders on the same connection. It is the test of interruptions with everything that there is of it.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const child = spawn(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "test/ServiceBusClient.interruption.test.ts", "--typecheck.enabled=false"],
  { cwd: root, stdio: "inherit", env: { ...process.env, SWEEP: "all" } }
)
child.on("exit", (code) => {
  process.exitCode = code ?? 1
})
