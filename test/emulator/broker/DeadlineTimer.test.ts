import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { ring, timer } from "../../../src/emulator/amqp/ServedConnection.ts"
import * as Alarm from "../../../src/emulator/broker/DeadlineTimer.ts"

const make = Alarm.make(ring)

describe("Alarm", () => {
  it.effect("one that is cleared by what is due at the same instant does not ring, nor set itself again", () =>
    Effect.gen(function*() {
      const alarm = yield* make
      const rung: Array<string> = []
      const heartbeat = timer(() => {
        rung.push("heartbeat")
        alarm.set(heartbeat, heartbeat.at + 10)
      })
      const end = timer(() => {
        rung.push("end")
        alarm.clear(heartbeat)
      })
      alarm.set(end, 10)
      alarm.set(heartbeat, 10)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(rung, ["end"])
      assert.strictEqual(alarm.size(), 0)
    }))

  it.effect("one that is moved by what is due at the same instant rings at its new time alone", () =>
    Effect.gen(function*() {
      const alarm = yield* make
      const rung: Array<string> = []
      const silence = timer(() => rung.push("silence"))
      const read = timer(() => {
        rung.push("read")
        alarm.set(silence, 30)
      })
      alarm.set(read, 10)
      alarm.set(silence, 10)
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(rung, ["read"])
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(rung, ["read", "silence"])
    }))
})
