import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as DeadlineTimer from "../../../src/emulator/broker/DeadlineTimer.ts"

const make = DeadlineTimer.make(DeadlineTimer.fireAll)

describe("DeadlineTimer", () => {
  it.effect("one that is cleared by what is due at the same instant does not ring, nor set itself again", () =>
    Effect.gen(function*() {
      const deadlines = yield* make
      const fired: Array<string> = []
      const heartbeat = DeadlineTimer.timeout(() => {
        fired.push("heartbeat")
        deadlines.set(heartbeat, heartbeat.at + 10)
      })
      const end = DeadlineTimer.timeout(() => {
        fired.push("end")
        deadlines.clear(heartbeat)
      })
      deadlines.set(end, 10)
      deadlines.set(heartbeat, 10)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(fired, ["end"])
      assert.strictEqual(deadlines.size(), 0)
    }))

  it.effect("one that is moved by what is due at the same instant rings at its new time alone", () =>
    Effect.gen(function*() {
      const deadlines = yield* make
      const fired: Array<string> = []
      const silence = DeadlineTimer.timeout(() => fired.push("silence"))
      const read = DeadlineTimer.timeout(() => {
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
