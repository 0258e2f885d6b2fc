/** What a lock and a message that is kept cost of the heap. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Bytes } from "../../benchmark/heap.ts"
import type { Kept } from "../../benchmark/kept.ts"
import { assert, it } from "../support/vitest.ts"

const scriptOf = (name: string) => fileURLToPath(new URL(`../../benchmark/${name}.ts`, import.meta.url))

it("ten thousand locks on one receiver take less than 2 KB of heap each", { timeout: 120_000 }, async () => {
  // A process of its own: only there can the garbage be collected first.
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", scriptOf("heap"), "10000"])
  const bytes = JSON.parse(stdout) as Bytes
  assert.strictEqual(bytes.locks, 10_000)
  assert.isAbove(bytes.kept, 0)
  // With all of the message but its body, and the broker's part in the same process.
  assert.isBelow(bytes.message + bytes.kept, 2048)
  assert.isBelow(bytes.message + bytes.waiting, 2048)
  assert.isBelow(bytes.withLock, 2048)
})

it("what stays where many pass keeps nothing of what is gone", { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", scriptOf("kept")])
  const kept = JSON.parse(stdout) as Kept
  // Bytes beside the message's own; ids, and the reason of a dead letter, are among them.
  assert.isBelow(kept.waiting, 500)
  assert.isBelow(kept.inSession, 650)
  assert.isBelow(kept.deadLetter, 650)
  // The object and its lock too; one that is not detached keeps tens of kilobytes.
  assert.isBelow(kept.detached, 1500)
})
