/** A timer of deadlines: what is due together, moved and cleared. */
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as DeadlineTimer from "../../../src/emulator/broker/DeadlineTimer.ts"
import { assert, describe, it } from "../../support/vitest.ts"

describe("DeadlineTimer", () => {
  it.effect("fires in one go what is due together, and keeps one deadline for each", () =>
    Effect.gen(function*() {
      const fired: Array<readonly [number, ReadonlyArray<string>]> = []
      const deadlines = yield* DeadlineTimer.make<DeadlineTimer.Deadline & { readonly name: string }>((due, now) => {
        fired.push([now, due.map((each) => each.name).toSorted()])
      })
      const [a, b, c] = ["a", "b", "c"].map((name) => ({ name, at: 0, slot: -1 })) as [
        DeadlineTimer.Deadline & { name: string },
        DeadlineTimer.Deadline & { name: string },
        DeadlineTimer.Deadline & { name: string }
      ]
      deadlines.set(a, 100)
      deadlines.set(b, 50)
      deadlines.set(c, 100)
      for (let i = 0; i < 10_000; i++) deadlines.set(b, 50 + i)
      assert.strictEqual(deadlines.size(), 3)
      yield* TestClock.adjust(150)
      assert.deepStrictEqual(fired, [[100, ["a", "c"]]])
      deadlines.set(a, 160)
      deadlines.set(c, 170)
      deadlines.clear(a)
      deadlines.clear(a)
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(fired.slice(1), [[170, ["c"]]])
      deadlines.clear(b)
      assert.strictEqual(deadlines.size(), 0)
      // What is due already rings later, never within `set`.
      deadlines.set(a, 0)
      assert.strictEqual(fired.length, 2)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(fired.slice(2), [[200, ["a"]]])
    }))
})
