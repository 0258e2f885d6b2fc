/** What measures the start of the command waits until it is ready, and fails where it never is. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startCommand } from "../../benchmark/start.ts"
import { root } from "../support/codeBlocks.ts"
import { assert, describe, it } from "../support/vitest.ts"

describe("the start of the command", () => {
  it("is its time until it is ready, and its memory then", async () => {
    const { megabytes, millis } = await startCommand(join(root, "src/emulator/cli.ts"))
    assert.isAbove(millis, 0)
    if (process.platform === "linux") assert.isAbove(megabytes, 10)
  })

  it("is none of a command that ends before", async () => {
    const folder = mkdtempSync(join(tmpdir(), "service-bus-start-"))
    const file = join(folder, "ends.mjs")
    writeFileSync(file, "process.exitCode = 3")
    try {
      const failed = await startCommand(file).then(() => undefined, (error: Error) => error.message)
      assert.strictEqual(failed, "the command ended with 3 before it was ready")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
