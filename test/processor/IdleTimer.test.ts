/** A fiber that waits for a processor to be idle is woken, also where that comes while the fiber yields. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { IdleTimer } from "../../src/internal/processor/IdleTimer.ts"
import { missedAt } from "../support/steps.ts"
import { assert, describe, it } from "../support/vitest.ts"

describe("IdleTimer", () => {
  it.effect("wakes what waits for it, at whichever of its steps it becomes idle", () =>
    Effect.gen(function*() {
      const idle = new IdleTimer(yield* Clock.Clock)
      const missed = yield* missedAt(() => idle.idleAfter(idle.times), () => idle.note(false), {
        before: () => idle.note(true)
      })
      assert.deepStrictEqual(missed, [])
    }))

  it.effect("does not wake what has seen it become idle", () =>
    Effect.gen(function*() {
      const idle = new IdleTimer(yield* Clock.Clock)
      idle.note(false)
      const fiber = yield* Effect.forkChild(idle.idleAfter(idle.times), { startImmediately: true })
      idle.note(true)
      for (let i = 0; i < 20; i++) yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      idle.note(false)
      for (let i = 0; i < 20; i++) yield* Effect.yieldNow
      assert.isDefined(fiber.pollUnsafe())
    }))
})
