/**
 * `npm run simulate:sweep`: every public operation interrupted at every suspension point, with several numbers of operations before
 * a fiber yields, with bystanders on the same connection. It is the test of interruptions with everything that there is of it, in
 * a process for each core. With `-- --most N` only with budgets by which an operation has at most so many steps: the smallest
 * budget has the most steps, and takes longer than all others together.
 */
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values } = parseArgs({ options: { most: { type: "string", default: "1000" } } })
if (!/^\d{2,4}$/.test(values.most)) throw new Error(`--most: "${values.most}" is no number of steps, 10 to 9999`)

const root = fileURLToPath(new URL("../../", import.meta.url))
const file = "test/ServiceBusClient.interruption.test.ts"

const began = performance.now()
const shares = availableParallelism()

/** Runs one share of the operations; gives its exit code. */
const run = (share: number): Promise<number> =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["node_modules/vitest/vitest.mjs", "run", file, "--typecheck.enabled=false", "--reporter=dot"],
      { cwd: root, stdio: "inherit", env: { ...process.env, SWEEP: `${share}/${shares}/${values.most}` } }
    )
    child.on("exit", (code) => resolve(code ?? 1))
  })

const codes = await Promise.all(Array.from({ length: shares }, (_, share) => run(share)))
process.stdout.write(`the sweep took ${((performance.now() - began) / 1000).toFixed(0)} s\n`)
process.exitCode = Math.max(...codes)
