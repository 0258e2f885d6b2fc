/**
 * `withLock` keeps the lock of a message for as long as its work takes or was said, and ends the work when the lock is lost.
 */
import { Schema } from "effect"
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { both, failsWith, type LayerFor, type Name, start, testsOf, Texts, texts } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const half = { texts: { lockDuration: "30 seconds" } } as const

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    const locked = Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      return { emulator, receiver, message: message! }
    })

    const run = <A, E>(fiber: Fiber.Fiber<A, E>, duration: Duration.Input) =>
      Effect.gen(function*() {
        yield* Effect.flatMap(Emulator.Emulator, ({ idle }) => idle)
        yield* TestClock.adjust(duration)
        return fiber.pollUnsafe()
      })

    test("withLock gives what the work gives, in both forms", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked
        assert.strictEqual(yield* AutoLockRenewer.withLock(Effect.succeed(1), receiver, message), 1)
        assert.strictEqual(yield* Effect.succeed(2).pipe(AutoLockRenewer.withLock(receiver, message)), 2)
        const options = { maxDuration: "1 minute" } as const
        assert.strictEqual(yield* AutoLockRenewer.withLock(Effect.succeed(3), receiver, message, options), 3)
        assert.strictEqual(yield* Effect.succeed(4).pipe(AutoLockRenewer.withLock(receiver, message, options)), 4)
        assert.strictEqual(
          yield* Effect.fail("own").pipe(AutoLockRenewer.withLock(receiver, message), Effect.flip),
          "own"
        )
        yield* receiver.complete(message)
      }))

    test("withLock of a settled message does not start the work", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked
        yield* receiver.complete(message)
        let started = false
        yield* Effect.sync(() => started = true).pipe(
          AutoLockRenewer.withLock(receiver, message),
          failsWith("MessageAlreadySettled")
        )
        assert.isFalse(started)
      }))

    test("withLock of another receiver's message, or with a bad maxDuration, does not start the work", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked
        const other = yield* ServiceBusReceiver.make(Texts)
        const error = yield* Effect.die("started").pipe(
          AutoLockRenewer.withLock(other, message),
          failsWith("InvalidOptionError")
        )
        assert.strictEqual(error.option, "message")
        for (const maxDuration of [-1, NaN, "-1 second", "soon"]) {
          const error = yield* Effect.die("started").pipe(
            AutoLockRenewer.withLock(receiver, message, { maxDuration: maxDuration as never }),
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, "maxDuration")
        }
      }))

    test("renewLock works while the lock is kept", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* receiver.renewLock(message).pipe(AutoLockRenewer.withLock(receiver, message))
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 1)
        yield* receiver.complete(message)
      }))

    clock("the lock is kept as long as the work takes", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const fiber = yield* start(
          Effect.sleep("2 minutes").pipe(
            Effect.andThen(receiver.complete(message)),
            AutoLockRenewer.withLock(receiver, message)
          )
        )
        yield* run(fiber, "2 minutes")
        yield* Fiber.join(fiber)
        const { lockExpired, renewed } = yield* emulator.counters(Texts)
        assert.deepStrictEqual([lockExpired, renewed], [0, 5])
      }), half)

    clock("nothing is renewed once the work is over", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* Effect.void.pipe(AutoLockRenewer.withLock(receiver, message))
        const fiber = yield* start(Effect.never.pipe(AutoLockRenewer.withLock(receiver, message)))
        yield* Fiber.interrupt(fiber)
        yield* emulator.idle
        yield* TestClock.adjust("31 seconds")
        const { lockExpired, renewed } = yield* emulator.counters(Texts)
        assert.deepStrictEqual([lockExpired, renewed], [1, 0])
      }), half)

    clock("when maxDuration is over the work goes on until the lock ends", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const interrupted = yield* Deferred.make<void>()
        const fiber = yield* start(
          Effect.never.pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)),
            AutoLockRenewer.withLock(receiver, message, { maxDuration: "1 minute" }),
            failsWith("AutoLockRenewTimeout")
          )
        )
        // Renewed at 20, 40 and 60 seconds: it ends at 90.
        assert.isUndefined(yield* run(fiber, "89 seconds"))
        yield* run(fiber, "2 seconds")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.entity, "texts")
        yield* Deferred.await(interrupted)
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 3)
      }), half)

    clock("maxDuration 0 renews nothing", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const fiber = yield* start(
          Effect.never.pipe(
            AutoLockRenewer.withLock(receiver, message, { maxDuration: 0 }),
            failsWith("AutoLockRenewTimeout")
          )
        )
        assert.isUndefined(yield* run(fiber, "29 seconds"))
        yield* run(fiber, "2 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 0)
      }), half)

    clock("the work is done in time although maxDuration was over", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked
        const fiber = yield* start(
          Effect.as(Effect.sleep("40 seconds"), "done").pipe(
            AutoLockRenewer.withLock(receiver, message, { maxDuration: "25 seconds" })
          )
        )
        yield* run(fiber, "40 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), "done")
        yield* receiver.complete(message)
      }), half)

    clock("an infinite maxDuration is kept for hours", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const fiber = yield* start(
          Effect.sleep("2 hours").pipe(
            AutoLockRenewer.withLock(receiver, message, { maxDuration: Duration.infinity })
          )
        )
        yield* run(fiber, "2 hours")
        yield* Fiber.join(fiber)
        yield* receiver.complete(message)
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), half)

    clock("a renewal that the broker refuses fails with AutoLockRenewFailed and its cause", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 1)
        // The lock is over as far as the client knows, too: the work is cut off at once.
        yield* Effect.never.pipe(
          AutoLockRenewer.withLock(receiver, message, { maxDuration: "1 hour" }),
          failsWith("AutoLockRenewFailed")
        )
      }), half)

    clock("a renewal that cannot reach the broker is tried until the lock ends, then fails with its cause", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const fiber = yield* start(
          Effect.never.pipe(
            AutoLockRenewer.withLock(receiver, message),
            failsWith("AutoLockRenewFailed")
          )
        )
        yield* emulator.idle
        yield* emulator.stop
        assert.isUndefined(yield* run(fiber, "29 seconds"))
        yield* run(fiber, "2 seconds")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual((error.cause as { readonly _tag?: string })._tag, "ServiceBusCommunicationError")
      }), half)

    clock("work that settles its message inside goes on without a lock", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const fiber = yield* start(
          receiver.complete(message).pipe(
            Effect.andThen(Effect.sleep("10 minutes")),
            Effect.as("done"),
            AutoLockRenewer.withLock(receiver, message)
          )
        )
        yield* run(fiber, "10 minutes")
        assert.strictEqual(yield* Fiber.join(fiber), "done")
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 0)
      }), half)

    clock("a second withLock goes on from where the first one left the lock", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const work = Effect.sleep("2 minutes").pipe(AutoLockRenewer.withLock(receiver, message))
        const fiber = yield* start(Effect.andThen(work, work))
        yield* run(fiber, "4 minutes")
        yield* Fiber.join(fiber)
        yield* receiver.complete(message)
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), half)

    clock("one withLock within another keeps the lock", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const fiber = yield* start(
          Effect.sleep("1 minute").pipe(
            Effect.andThen(Effect.sleep("2 minutes").pipe(AutoLockRenewer.withLock(receiver, message))),
            AutoLockRenewer.withLock(receiver, message)
          )
        )
        yield* run(fiber, "3 minutes")
        yield* Fiber.join(fiber)
        const { lockExpired, renewed } = yield* emulator.counters(Texts)
        assert.strictEqual(lockExpired, 0)
        assert.isAtMost(renewed, 15)
      }), half)

    clock("a lock that was renewed by hand is kept from its new end on", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* TestClock.adjust("25 seconds")
        yield* receiver.renewLock(message)
        yield* TestClock.adjust("10 seconds")
        const fiber = yield* start(Effect.sleep("1 minute").pipe(AutoLockRenewer.withLock(receiver, message)))
        yield* run(fiber, "1 minute")
        yield* Fiber.join(fiber)
        yield* receiver.complete(message)
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), half)

    clock("the shortest locks and odd times are kept as well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* TestClock.adjust(123)
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 3 })
        const fiber = yield* start(
          Effect.forEach(messages, (message, i) =>
            Effect.sleep(10_017 + i * 333).pipe(
              AutoLockRenewer.withLock(receiver, message),
              Effect.andThen(receiver.complete(message))
            ), { concurrency: 3 })
        )
        yield* run(fiber, "15 seconds")
        yield* Fiber.join(fiber)
        const { completed, lockExpired } = yield* emulator.counters(Texts)
        assert.deepStrictEqual([completed, lockExpired], [3, 0])
      }), { texts: { lockDuration: "1 second" } })

    clock("a thousand locks are kept side by side", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1000))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 1000 })
        const messages = yield* receiver.receive({ max: 1000, maxWaitAfterFirst: "1 hour" })
        const fiber = yield* start(
          Effect.forEach(messages, (message) =>
            Effect.sleep("1 minute").pipe(
              AutoLockRenewer.withLock(receiver, message)
            ), { concurrency: "unbounded", discard: true })
        )
        yield* run(fiber, "1 minute")
        yield* Fiber.join(fiber)
        yield* receiver.completeAll(messages)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1000)
      }), half)
  })

const Orders = ServiceBusEntity.queue("orders", {
  body: ServiceBusBody.json(Schema.Struct({ id: Schema.String, total: Schema.Finite }))
})

it.effect("a handler of five minutes under a lock of thirty seconds keeps its lock", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const sender = yield* ServiceBusSender.make(Orders)
    const receiver = yield* ServiceBusReceiver.make(Orders)
    yield* sender.send({ body: { id: "1", total: 9.5 } })
    const started = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const processor = yield* ServiceBusProcessor.make(receiver, (order) =>
      Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Effect.sleep("5 minutes")),
        Effect.andThen(Deferred.succeed(done, undefined)),
        Effect.tap(() => Effect.sync(() => assert.deepStrictEqual(order, { id: "1", total: 9.5 })))
      ).pipe(Effect.asVoid))
    yield* Deferred.await(started)

    yield* TestClock.adjust("5 minutes")

    yield* Deferred.await(done)
    yield* emulator.idle
    const counters = yield* emulator.counters(Orders)
    assert.strictEqual(counters.lockExpired, 0)
    assert.strictEqual(counters.completed, 1)
    assert.strictEqual(counters.renewed, 14)
    const counts = yield* processor.counts
    assert.deepInclude(counts, { received: 1, completed: 1, lockLost: 0, renewals: 14 })
    assert.lengthOf(yield* emulator.messages(Orders), 0)
  }).pipe(
    Effect.scoped,
    Effect.provide(Emulator.layer({ entities: [Emulator.entity(Orders, { lockDuration: "30 seconds" })] }))
  ))

describe("Lock renewal", () => both(suite))
