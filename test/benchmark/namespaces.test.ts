/** What a namespace costs that nothing uses: memory, and no time. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Cost } from "../../benchmark/namespaces.ts"
import { assert, it } from "../support/vitest.ts"

const script = fileURLToPath(new URL("../../benchmark/namespaces.ts", import.meta.url))

it("a hundred idle namespaces take less than 40 KB each, no timer and no CPU", { timeout: 120_000 }, async () => {
  // A process of its own: only there can the garbage be collected first, and timers be counted.
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", script, "100", "1"])
  const [idle, expiring] = stdout.trim().split("\n").slice(1).map((line) => JSON.parse(line) as Cost)
  assert.isBelow(idle!.bytes, 40_000)
  // The server's own, for all of them.
  assert.isAtMost(idle!.timers, 5)
  assert.strictEqual(idle!.sockets, 0)
  // Of a second; what collects the garbage of before is in it, on a busy machine too.
  assert.isBelow(idle!.idle, 400)
  // Each waits for its own message to expire, and asks for nothing meanwhile.
  assert.isBelow(expiring!.idle, 400)
})
