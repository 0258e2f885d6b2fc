/** While the service throttles, every operation of the namespace waits for as long as it advises. */
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import {
  failsWith,
  inMemory,
  type LayerFor,
  type Name,
  once,
  passing,
  start,
  testsOf,
  Texts,
  texts
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const busy = (seconds?: number) => ({
  condition: "com.microsoft:server-busy",
  description: seconds === undefined
    ? "The server is busy."
    : `The request was terminated because the entity is being throttled. Please wait ${seconds} seconds and try again.`
})

/** Gives when an effect is done, in milliseconds of the clock. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.andThen(effect, Clock.currentTimeMillis)

/** In memory only: it is about seconds. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock } = testsOf(name, layerFor)

    clock("the advice of the service is in the error, or ten seconds", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: busy(7) })
        const advised = yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusServerBusyError"))
        assert.strictEqual(Duration.toMillis(advised.retryAfter), 7_000)
        assert.isTrue(advised.isTransient)
        yield* TestClock.adjust("7 seconds")
        yield* emulator.fail({ operation: "send", error: busy() })
        const plain = yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusServerBusyError"))
        assert.strictEqual(Duration.toMillis(plain.retryAfter), 10_000)
      }), once)

    clock("every caller of the namespace waits for as long, and no longer", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const sender = yield* ServiceBusSender.make(Texts)
        const other = yield* ServiceBusSender.make("orders")
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.fail({ operation: "send", entity: Texts, error: busy(5) })
        yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusServerBusyError"))
        const waiting = [
          yield* start(timed(sender.send({ body: "" }))),
          yield* start(timed(other.send({ body: new Uint8Array() }))),
          yield* start(timed(receiver.receive())),
          yield* start(timed(ServiceBusReceiver.make(Texts)))
        ]
        yield* emulator.idle
        yield* TestClock.adjust("4900 millis")
        for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("100 millis")
        for (const fiber of waiting) assert.strictEqual(yield* Fiber.join(fiber), 5_000)
        assert.strictEqual((yield* emulator.counters(Texts)).enqueued, 2)
      }), once)

    clock("a settlement that is throttled is made again after the advice", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "a" }, { body: "b" }, { body: "c" }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, ...rest] = yield* receiver.receive({ max: 3 })
        yield* emulator.fail({ operation: "settle", error: busy(4) })
        const at = yield* passing(timed(receiver.complete(a!)))
        assert.isAtLeast(at, 4_000)
        // One of two: the other is settled already.
        yield* emulator.fail({ operation: "settle", error: busy(4) })
        yield* passing(receiver.completeAll(rest))
        assert.deepStrictEqual(yield* emulator.messages(Texts), [])
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 3)
      }))

    clock("where nothing is tried again, a throttled settlement can be made again by hand", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "a" }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* emulator.fail({ operation: "settle", error: busy(4) })
        yield* receiver.complete(message!).pipe(failsWith("ServiceBusServerBusyError"))
        yield* TestClock.adjust("4 seconds")
        yield* receiver.complete(message!)
        assert.deepStrictEqual(yield* emulator.messages(Texts), [])
      }), once)

    clock("it opens by time alone: interrupting a caller that was throttled changes nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: busy(5) })
        const throttled = yield* start(sender.send({ body: "" }))
        yield* emulator.idle
        const waiting = yield* start(timed(sender.send({ body: "" })))
        yield* Fiber.interrupt(throttled)
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(waiting), 5_000)
      }))

    clock("what is throttled is tried again after the advice", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: busy(3), times: 2 })
        const at = yield* passing(timed(sender.send({ body: "", messageId: "a" })))
        assert.isAtLeast(at, 6_000)
        assert.isAtMost(at, 9_000)
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    clock("a renewal and a settlement over $management are throttled as well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* emulator.fail({ operation: "renew", error: busy(2) })
        yield* passing(receiver.renewLock(message!))
        assert.isAtLeast(yield* Clock.currentTimeMillis, 2_000)
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 1)
        yield* emulator.fail({ operation: "settle", error: busy(2) })
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" }, Texts)
        yield* emulator.idle
        yield* passing(receiver.complete(message!))
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
      }))
  })

describe("Throttling", () => {
  suite("in memory", inMemory)
})
