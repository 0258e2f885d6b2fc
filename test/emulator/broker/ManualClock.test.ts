/** Time in the hand of a test: what is due happens in one advance, in its order, each at its time, and nothing before. */
import { DateTime, Duration, Effect, Fiber, Layer } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as DeadlineTimer from "../../../src/emulator/broker/DeadlineTimer.ts"
import { ManualClock } from "../../../src/emulator/broker/ManualClock.ts"
import { ask } from "../../support/controlApi.ts"
import { failsWith, until } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
const Other = ServiceBusEntity.queue("other", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const startAt = DateTime.makeUnsafe("2030-01-01T00:00:00Z")
const entities = [
  Emulator.entity(Texts, { lockDuration: "1 minute", maxDeliveryCount: 2, deadLetteringOnExpiration: true }),
  Emulator.entity(Carts, { lockDuration: "1 minute" }),
  Emulator.entity(Other)
]

/** On ports, by the real clock; the broker's own stands still. */
const onPorts = (options?: Partial<Emulator.ServerOptions>) =>
  Emulator.layerClient.pipe(
    Layer.provideMerge(Emulator.layerServer({ entities, clock: "manual", startAt, ...options }))
  )

interface Named extends DeadlineTimer.Deadline {
  readonly name: string
}

const minutes = (time: DateTime.Utc) => Duration.toMinutes(DateTime.distance(startAt, time))

describe("a deadline timer on a manual clock", () => {
  it.effect("calls for each instant by itself, at its time, and for what that sets", () =>
    Effect.gen(function*() {
      const clock = new ManualClock(1000)
      const seen: Array<string> = []
      const one = { name: "one", at: 0, slot: -1 }
      const two = { name: "two", at: 0, slot: -1 }
      const late = { name: "late", at: 0, slot: -1 }
      const chained = { name: "chained", at: 0, slot: -1 }
      const timer: DeadlineTimer.DeadlineTimer<Named> = yield* Effect.provideService(
        DeadlineTimer.make<Named>((due, now) => {
          seen.push(`${now}: ${due.map(({ name }) => name).join(" ")}`)
          assert.strictEqual(clock.currentTimeMillisUnsafe(), now)
          if (due[0] === one) timer.set(chained, now + 5)
        }),
        Clock.Clock,
        clock
      )
      timer.set(late, 1100.5)
      timer.set(one, 1010)
      timer.set(two, 1010)
      yield* clock.advance(9)
      assert.deepStrictEqual(seen, [])
      yield* clock.advance(100)
      assert.deepStrictEqual(seen, ["1010: one two", "1015: chained", "1101: late"])
      assert.strictEqual(clock.currentTimeMillisUnsafe(), 1109)
      assert.strictEqual(clock.monotonicTimeNanosUnsafe(), 109_000_000n)
      // What is due already does not wait for an advance, nor is it called from within.
      timer.set(two, 1)
      const before = seen.length
      yield* until(Effect.sync(() => seen.length > before))
    }))

  it.effect("goes on after a defect, and sleepers are woken in their turns", () =>
    Effect.gen(function*() {
      const clock = new ManualClock(0)
      const seen: Array<number> = []
      const timer = yield* Effect.provideService(
        DeadlineTimer.make<DeadlineTimer.Deadline>((_, now) => {
          seen.push(now)
          if (now === 1) throw new Error("by intention")
        }),
        Clock.Clock,
        clock
      )
      timer.set({ at: 0, slot: -1 }, 1)
      timer.set({ at: 0, slot: -1 }, 3)
      const sleeper = yield* Effect.forkChild(clock.sleep(Duration.millis(2)))
      const never = yield* Effect.forkChild(clock.sleep(Duration.infinity))
      const interrupted = yield* Effect.forkChild(clock.sleep(Duration.millis(2)))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(interrupted)
      yield* clock.advance(10)
      yield* Fiber.join(sleeper)
      assert.isUndefined(never.pollUnsafe())
      yield* Fiber.interrupt(never)
      assert.deepStrictEqual(seen, [1, 3])
      assert.strictEqual(clock.currentTimeMillisUnsafe(), 10)
    }))

  it.effect("is left where it had come to by an interruption, and two advances add up", () =>
    Effect.gen(function*() {
      const clock = new ManualClock(0)
      const each = { at: 0, slot: -1 }
      let count = 0
      const timer: DeadlineTimer.DeadlineTimer<DeadlineTimer.Deadline> = yield* Effect.provideService(
        DeadlineTimer.make<DeadlineTimer.Deadline>((_, now) => {
          count = now
          timer.set(each, now + 1)
        }),
        Clock.Clock,
        clock
      )
      timer.set(each, 1)
      const fiber = yield* Effect.forkChild(clock.advance(1e9))
      yield* until(Effect.sync(() => count > 200))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), count)
      const at = count
      yield* Effect.all([clock.advance(500), clock.advance(700)], { concurrency: 2 })
      assert.strictEqual(count, at + 1200)
      timer.clear(each)
      // There is no time beyond that of .NET.
      yield* clock.advance(Number.MAX_SAFE_INTEGER)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), ManualClock.latest)
    }))
})

describe("one advance of the broker's clock", () => {
  it.live("has everything happen that falls due, in the order of its times", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* sender.send({ body: "locked", messageId: "locked" })
      yield* receiver.receive({ max: 1 })
      yield* sender.send({ body: "short", messageId: "short", timeToLive: "3 minutes" })
      yield* sender.scheduleAll([
        { body: "b", messageId: "b" },
        { body: "a", messageId: "a", timeToLive: "1 minute" }
      ], DateTime.add(startAt, { minutes: 2 }))
      yield* sender.scheduleAll([{ body: "never yet", messageId: "late" }], DateTime.add(startAt, { minutes: 30 }))
      const now = yield* emulator.advance("10 minutes")
      assert.strictEqual(minutes(now), 10)
      // The lock at 1, the schedules at 2, the lives of "short" and "a" at 3.
      const left = yield* emulator.messages(Texts)
      assert.deepStrictEqual(left.map(({ deliveryCount, messageId, state }) => [messageId, state, deliveryCount]), [
        ["locked", "active", 1],
        ["late", "scheduled", 0],
        ["b", "scheduled", 0]
      ])
      assert.deepStrictEqual(left.map(({ enqueuedTime }) => minutes(enqueuedTime)), [0, 0, 2])
      const dead = yield* emulator.deadLetters(Texts)
      assert.deepStrictEqual(
        dead.map(({ deadLetterReason, messageId }) => [messageId, deadLetterReason]),
        [["short", "TTLExpiredException"], ["a", "TTLExpiredException"]]
      )
      const { expired, lockExpired } = yield* emulator.counters(Texts)
      assert.deepStrictEqual([expired, lockExpired], [2, 1])
    }).pipe(Effect.scoped, Effect.provide(onPorts())))

  it.live("deletes what is idle, tries forwarding again, forgets duplicates, and ends sessions", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.create(Emulator.entity("idle", { autoDeleteOnIdle: "5 minutes" }))
      yield* emulator.create(Emulator.entity("once", { duplicateDetectionWindow: "1 minute" }))
      yield* emulator.create(Emulator.entity("target"))
      yield* emulator.create(Emulator.entity("source", { forwardTo: "target" }))
      yield* emulator.update("target", { status: "Disabled" })
      yield* emulator.send("source", [{ body: Buffer.from("x"), messageId: "x" }])
      yield* emulator.send("once", [{ body: Buffer.from("x"), messageId: "x" }])
      yield* emulator.send(Carts, [{ body: "x", sessionId: "s" }])
      const session = yield* ServiceBusSession.accept(Carts, "s")
      yield* emulator.advance("4 minutes")
      yield* emulator.runtime("idle")
      yield* emulator.advance("1 minute")
      yield* emulator.runtime("idle").pipe(failsWith("EmulatorError"))
      assert.deepStrictEqual((yield* emulator.deadLetters("source")).map(({ messageId }) => messageId), ["x"])
      yield* emulator.send("once", [{ body: Buffer.from("x"), messageId: "x" }])
      assert.strictEqual((yield* emulator.counters("once")).enqueued, 2)
      assert.strictEqual((yield* emulator.counters(Carts)).sessionsLost, 1)
      yield* session.renewLock.pipe(failsWith("SessionLockLostError"))
    }).pipe(Effect.scoped, Effect.provide(onPorts())))

  it.live("delivers to those who wait, and settles nothing under a lock that it has ended", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const waiting = yield* Effect.forkChild(receiver.receive({ max: 1, maxWait: "1 minute" }))
      yield* sender.scheduleAll([{ body: "later" }], DateTime.add(startAt, { hours: 24 }))
      yield* emulator.advance("1 day")
      const [message] = yield* Fiber.join(waiting)
      assert.strictEqual(message?.body, "later")
      yield* emulator.advance("59 seconds")
      yield* receiver.renewLock(message!)
      yield* emulator.advance("59 seconds")
      assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      yield* emulator.advance("1 second")
      assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 1)
      yield* receiver.settle(message!, Settlement.complete).pipe(failsWith("MessageLockLostError"))
    }).pipe(Effect.scoped, Effect.provide(onPorts())))

  it.live("is not noticed by another broker, nor does its own time pass by itself", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const before = yield* emulator.now
      assert.strictEqual(minutes(before), 0)
      const other = yield* Emulator.Emulator.pipe(
        Effect.provide(Emulator.layerServer({ entities, clock: "manual", startAt }))
      )
      yield* other.advance("365 days")
      assert.strictEqual(minutes(yield* emulator.now), 0)
    }).pipe(Effect.provide(onPorts())))
})

describe("a clock that cannot do what it is asked", () => {
  it.effect("says so: one that is Effect's, a duration that is none, a time that is none", () =>
    Effect.gen(function*() {
      const refusal = (by: Duration.Input) =>
        Effect.map(
          Effect.flatMap(Emulator.Emulator, (emulator) => emulator.advance(by)).pipe(failsWith("EmulatorError")),
          ({ problem }) => problem
        )
      assert.include(yield* refusal("1 minute").pipe(Effect.provide(Emulator.layer({ entities }))), "clock: \"manual\"")
      const manual = Emulator.layer({ entities, clock: "manual", startAt })
      for (const by of ["-1 minute", "Infinity", "8000 years", "soon", NaN, undefined]) {
        assert.match(yield* refusal(by as Duration.Input).pipe(Effect.provide(manual)), /finite duration of 0 or more/)
      }
      for (
        const options of [
          { clock: "slow" },
          { startAt },
          { clock: "manual", startAt: "2030-01-01" },
          { clock: "manual", startAt: DateTime.makeUnsafe(-1) },
          { clock: "manual", startAt: DateTime.makeUnsafe(8.64e15) }
        ]
      ) {
        const { problem } = yield* Effect.scoped(Layer.build(Emulator.layer({ entities, ...options as object }))).pipe(
          failsWith("EmulatorError")
        )
        assert.match(problem, /^(clock|startAt) must be/)
      }
    }))

  it.effect("says so over HTTP too", () =>
    Effect.gen(function*() {
      for (const by of ["5 minutes", "PT5M", 300_000]) {
        const { json, status } = yield* ask("POST", "/clock/advance", { by })
        assert.strictEqual(status, 200, JSON.stringify(json))
      }
      assert.deepStrictEqual((yield* ask("GET", "/clock")).json, { now: "2030-01-01T00:15:00.000Z" })
      for (
        const body of ["", "{", "null", "[]", "{}", { by: "soon" }, { by: true }, { by: -1 }, { by: "PT1M", and: 1 }, {
          by: "P9999Y"
        }]
      ) {
        const { json, status } = yield* ask("POST", "/clock/advance", body)
        assert.strictEqual(status, 400, JSON.stringify([body, json]))
        assert.strictEqual(json.error, "BadRequest")
        assert.isString(json.message)
      }
      assert.match((yield* ask("POST", "/clock/advance", { by: "soon" })).json.message as string, /PT5M.*\["by"\]/)
    }).pipe(Effect.provide(Emulator.layer({ entities, clock: "manual", startAt }))))
})
