import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Bytes } from "../benchmark/heap.ts"

const script = fileURLToPath(new URL("../benchmark/heap.ts", import.meta.url))

it("ten thousand locks on one receiver take less than 2 KB of heap each", { timeout: 120_000 }, async () => {
  // A process of its own: only there can the garbage be collected first.
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", script, "10000"])
  const bytes = JSON.parse(stdout) as Bytes
  assert.strictEqual(bytes.locks, 10_000)
  assert.isAbove(bytes.kept, 0)
  // With all of the message but its body, and the broker's part in the same process.
  assert.isBelow(bytes.message + bytes.kept, 2048)
  assert.isBelow(bytes.message + bytes.waiting, 2048)
  assert.isBelow(bytes.withLock, 2048)
})
