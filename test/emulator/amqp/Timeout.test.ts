/** Deadlines that run a function, of which one clears or moves another at the instant at which both are due. */
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { fireAll, timeout } from "../../../src/emulator/amqp/Timeout.ts"
import * as DeadlineTimer from "../../../src/emulator/broker/DeadlineTimer.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const make = DeadlineTimer.make(fireAll)

describe("Timeout", () => {
  it.effect("one that is cleared by what is due at the same instant does not fire, nor set itself again", () =>
    Effect.gen(function*() {
      const deadlines = yield* make
      const fired: Array<string> = []
      const heartbeat = timeout(() => {
        fired.push("heartbeat")
        deadlines.set(heartbeat, heartbeat.at + 10)
      })
      const end = timeout(() => {
        fired.push("end")
        deadlines.clear(heartbeat)
      })
      deadlines.set(end, 10)
      deadlines.set(heartbeat, 10)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(fired, ["end"])
      assert.strictEqual(deadlines.size(), 0)
    }))

  it.effect("one that is moved by what is due at the same instant fires at its new time alone", () =>
    Effect.gen(function*() {
      const deadlines = yield* make
      const fired: Array<string> = []
      const silence = timeout(() => fired.push("silence"))
      const read = timeout(() => {
        fired.push("read")
        deadlines.set(silence, 30)
      })
      deadlines.set(read, 10)
      deadlines.set(silence, 10)
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(fired, ["read"])
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(fired, ["read", "silence"])
    }))
})
