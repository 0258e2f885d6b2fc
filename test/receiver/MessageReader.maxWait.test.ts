/** `maxWait` bounds a receive whatever else the client waits for. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { failsWith, inMemory, linkOf, passing, type Services, start, Texts, until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Held = ServiceBusEntity.queue("held", { body: ServiceBusBody.text, sessions: true })

const broker = inMemory({ entities: [Emulator.entity(Texts), Emulator.entity(Held)] })

/** How long an effect takes while time passes, in milliseconds. */
const lasting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    const value = yield* passing(effect)
    return { value, millis: (yield* Clock.currentTimeMillis) - before }
  })

/** Another operation of the client is told to wait for a minute. */
const throttled = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const sender = yield* ServiceBusSender.make(Texts)
  yield* emulator.fail({
    operation: "send",
    error: { condition: "com.microsoft:server-busy", description: "Please wait 60 seconds and try again." }
  })
  const sending = yield* start(sender.send({ body: "later" }))
  yield* emulator.idle
  return sending
})

const test = <E>(title: string, effect: Effect.Effect<void, E, Services | Scope.Scope>) =>
  it.effect(title, () => effect.pipe(Effect.scoped, Effect.provide(broker)))

describe("maxWait", () => {
  test(
    "bounds a receive while another operation is throttled",
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const sending = yield* throttled
      const { millis, value } = yield* lasting(receiver.receive({ maxWait: "1 second" }))
      assert.deepStrictEqual(value, [])
      assert.isAtMost(millis, 1_100)
      yield* passing(Fiber.join(sending))
      // The one after has what came.
      assert.lengthOf((yield* lasting(receiver.receive({ maxWait: "1 second" }))).value, 1)
    })
  )

  test(
    "gives what is here while another operation is throttled",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 10 })
      yield* emulator.send(Texts, [{ body: "here" }])
      yield* throttled
      const { millis, value } = yield* lasting(receiver.receive({ maxWait: "1 second" }))
      assert.lengthOf(value, 1)
      assert.isAtMost(millis, 1_100)
    })
  )

  test(
    "bounds a receive while its link is attached again, which goes on",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const lost = linkOf(receiver)
      yield* emulator.stop
      yield* until(Effect.sync(() => lost.dead() !== undefined))
      // No broker is there: each try fails, and the last one's error is told.
      const { millis } = yield* lasting(
        receiver.receive({ maxWait: "1 second" }).pipe(failsWith("ServiceBusCommunicationError"))
      )
      assert.isAtMost(millis, 1_100)
      yield* emulator.start
      yield* emulator.send(Texts, [{ body: "after" }])
      // However short the time is, it sees what the broker has.
      assert.lengthOf(yield* passing(receiver.receive({ maxWait: 0 })), 1)
    })
  )

  test(
    "bounds a receive that waits for another",
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const first = yield* start(receiver.receive({ maxWait: "30 seconds" }))
      const { millis, value } = yield* lasting(receiver.receive({ maxWait: "1 second" }))
      assert.deepStrictEqual(value, [])
      assert.isAtMost(millis, 1_100)
      // And the one after has its turn.
      const third = yield* start(receiver.receive({ maxWait: "1 minute" }))
      yield* (yield* Emulator.Emulator).send(Texts, [{ body: "a" }])
      assert.lengthOf(yield* passing(Fiber.join(first)), 1)
      yield* (yield* Emulator.Emulator).send(Texts, [{ body: "b" }])
      assert.lengthOf(yield* passing(Fiber.join(third)), 1)
    })
  )

  test(
    "bounds every call beside one that waits for long",
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const one = Effect.gen(function*() {
        const before = yield* Clock.currentTimeMillis
        yield* receiver.receive({ maxWait: "1 second" })
        assert.isAtMost((yield* Clock.currentTimeMillis) - before, 1_100)
      })
      const loop = yield* start(Effect.forever(one))
      const long = yield* start(receiver.receive({ maxWait: "10 seconds" }))
      yield* passing(Effect.sleep("30 seconds"))
      assert.isUndefined(loop.pollUnsafe())
      yield* Fiber.interrupt(loop)
      assert.deepStrictEqual(yield* passing(Fiber.join(long)), [])
    })
  )

  test(
    "of a call that is gone leaves no failure to a later one",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const lost = linkOf(receiver)
      yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" })
      yield* until(Effect.sync(() => lost.dead() !== undefined))
      yield* emulator.fail({ operation: "attach", error: { condition: "amqp:not-allowed" } })
      const gone = yield* start(receiver.receive())
      yield* Fiber.interrupt(gone)
      yield* emulator.idle
      yield* TestClock.adjust("1 hour")
      yield* emulator.send(Texts, [{ body: "now" }])
      assert.lengthOf(yield* passing(receiver.receive()), 1)
    })
  )

  test(
    "ends a stream while another operation is throttled",
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts, { maxWait: "2 seconds" })
      yield* throttled
      const { millis } = yield* lasting(Stream.runDrain(receiver.messages))
      assert.isAtMost(millis, 2_100)
    })
  )

  test(
    "of a session that is waited for bounds acceptNext as well",
    Effect.gen(function*() {
      yield* throttled
      const { millis, value } = yield* lasting(ServiceBusSession.acceptNext(Held, { wait: "1 second" }))
      assert.isTrue(Option.isNone(value))
      assert.isAtMost(millis, 1_100)
    })
  )

  test(
    "in the default of a minute is not cut by what is throttled for less",
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const sending = yield* throttled
      const receiving = yield* start(receiver.receive({ maxWait: "2 minutes" }))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(receiving.pollUnsafe())
      assert.lengthOf(yield* passing(Fiber.join(receiving)), 1)
      yield* Fiber.join(sending)
    })
  )
})
