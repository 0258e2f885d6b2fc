/** What each operation that is under way says when its connection is lost, and how the next one goes on. */
import {
  AutoLockRenewer,
  ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  both,
  deliveriesOf,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  once,
  passing,
  type Services,
  soon,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

/** The two ways to lose a connection: without a word, and with one. */
const losses = {
  dropped: Effect.flatMap(Emulator.Emulator, ({ dropConnections }) => dropConnections),
  closed: Effect.flatMap(
    Emulator.Emulator,
    ({ closeConnections }) =>
      closeConnections({ condition: "amqp:connection:forced", description: "maintenance, TrackingId:abc-1" })
  )
}

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    for (const [how, lose] of Object.entries(losses)) {
      const lost = failsWith("ServiceBusConnectionError")

      test(`a receive fails when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const emulator = yield* Emulator.Emulator
          const fiber = yield* start(lost(receiver.receive()))
          // This one waits for its turn, and attaches again.
          const next = yield* start(receiver.receive({ max: 5 }))
          yield* lose
          const error = yield* Fiber.join(fiber)
          assert.isTrue(error.isTransient)
          assert.strictEqual(error.condition, how === "closed" ? "amqp:connection:forced" : undefined)
          if (how === "closed") assert.strictEqual(error.trackingId, "abc-1")
          yield* emulator.send(Texts, texts(1))
          assert.lengthOf(yield* Fiber.join(next), 1)
        }), once)

      test(`a send on the wire has an unknown outcome when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(Texts)
          const fiber = yield* start(failsWith("OperationTimeoutError")(sender.send({ body: "" })))
          yield* soon(() => deliveriesOf(sender) === 1)
          yield* lose
          if (how === "closed") {
            // The broker still reads what came before its close.
            return yield* Fiber.interrupt(fiber)
          }
          const error = yield* Fiber.join(fiber)
          assert.strictEqual(error.outcome, "unknown")
          assert.strictEqual(error.operation, "send")
          assert.strictEqual((error.cause as { readonly _tag?: string })._tag, "ServiceBusConnectionError")
        }), once)

      test(`every one of many sends has its own answer when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          const fiber = yield* start(
            Effect.forEach(texts(3000), (message) => Effect.result(sender.send(message)), { concurrency: "unbounded" })
          )
          // The credit of the broker is used up; the rest waits here.
          yield* soon(() => deliveriesOf(sender) >= 1000)
          yield* lose
          const results = yield* Fiber.join(fiber)
          // A broker that closes still reads what was on its way.
          yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
          const sent = results.filter((result) => result._tag === "Success")
          const failures = results.flatMap((result) => result._tag === "Failure" ? [result.failure] : [])
          const unknown = failures.filter((error) =>
            error._tag === "OperationTimeoutError" && error.outcome === "unknown"
          )
          const unsent = failures.filter((error) => error._tag === "ServiceBusConnectionError")
          assert.strictEqual(sent.length + unknown.length + unsent.length, 3000)
          assert.isAtLeast(unsent.length, 1)
          const stored = (yield* emulator.messages(Texts)).length
          assert.isAtLeast(stored, sent.length)
          assert.isAtMost(stored, sent.length + unknown.length)
          yield* sender.send({ body: "late" })
          yield* sender.sendAll(texts(2))
          assert.lengthOf(yield* emulator.messages(Texts), stored + 3)
        }), once)

      test(`a settlement whose answer is lost is made when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(2))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [a, b] = yield* receiver.receive({ max: 2 })
          const fiber = yield* start(Effect.result(receiver.complete(a!)))
          yield* lose
          const result = yield* Fiber.join(fiber)
          // The broker took it, or takes it now; or it took it before and knows the lock no more.
          if (result._tag === "Failure") {
            assert(result.failure._tag === "OperationTimeoutError")
            assert.strictEqual(result.failure.outcome, "unknown")
            assert.strictEqual((result.failure.cause as { readonly _tag?: string })._tag, "MessageLockLostError")
          }
          yield* receiver.renewLock(b!)
          yield* receiver.complete(b!)
          assert.lengthOf(yield* emulator.messages(Texts), 0)
          for (const message of [a!, b!]) {
            yield* receiver.complete(message).pipe(failsWith("MessageAlreadySettled"))
          }
        }), once)

      test(`a stream gives what had come and goes on when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(3))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const seen: Array<string> = []
          const fiber = yield* start(
            receiver.messages.pipe(
              Stream.tap((message) => Effect.sync(() => void seen.push(message.messageId))),
              Stream.take(6),
              Stream.runDrain
            )
          )
          yield* until(Effect.sync(() => seen.length === 3))
          yield* lose
          yield* emulator.send(Texts, texts(3, 3))
          yield* passing(Fiber.join(fiber))
          assert.deepStrictEqual(seen, ["0", "1", "2", "3", "4", "5"])
        }), once)

      test(`a processor goes on when the connection is ${how}, and its counts add up`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(10))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const gate = yield* Deferred.make<void>()
          let begun = 0
          const processor = yield* ServiceBusProcessor.make(
            receiver,
            () => Effect.sync(() => begun++).pipe(Effect.andThen(Deferred.await(gate))),
            { concurrency: 4 }
          )
          yield* until(Effect.sync(() => begun === 4))
          yield* lose
          yield* Deferred.succeed(gate, undefined)
          const settled = Effect.map(processor.counts, ({ completed, unsettled }) => completed + unsettled === 10)
          yield* passing(until(settled))
          // What waited kept its lock, and came no second time.
          const counts = yield* processor.drain
          assert.deepInclude(counts, { received: 10, failed: 0, lockLost: 0, released: 0 })
          // A broker that closes still reads: those that it settled then it cannot settle, or confirm, again.
          assert.isAtMost(counts.unsettled, how === "closed" ? 4 : 0)
          assert.deepInclude(yield* emulator.counters(Texts), { completed: 10, lockExpired: 0 })
        }), once)

      test(`process goes on when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const fiber = yield* start(ServiceBusProcessor.process(receiver, () => Effect.void))
          yield* lose
          yield* emulator.send(Texts, texts(1))
          yield* passing(until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1)))
          assert.isUndefined(fiber.pollUnsafe())
          yield* Fiber.interrupt(fiber)
        }), once)

      test(`a renewal on the wire fails when the connection is ${how}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(1))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [message] = yield* receiver.receive()
          const fiber = yield* start(Effect.flip(receiver.renewLock(message!)))
          yield* lose
          assert.strictEqual((yield* Fiber.join(fiber))._tag, "ServiceBusConnectionError")
          // Work under the lock is not harmed, and the next renewal finds a connection.
          yield* receiver.renewLock(message!).pipe(AutoLockRenewer.withLock(receiver, message!))
        }), once)

      test(`what is tried again after the connection is ${how} finds a new one`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          let tries = 0
          const fiber = yield* start(
            Effect.scoped(Effect.gen(function*() {
              tries++
              const receiver = yield* ServiceBusReceiver.make(Texts)
              return yield* receiver.receive()
            })).pipe(Effect.retry({ while: ServiceBusError.isTransient, times: 1 }))
          )
          yield* until(Effect.map(emulator.connections, (connections) => connections === 1))
          yield* emulator.idle
          yield* lose
          yield* until(Effect.sync(() => tries === 2))
          yield* sender.send({ body: "", messageId: "found" })
          assert.deepStrictEqual(idsOf(yield* Fiber.join(fiber)), ["found"])
          assert.strictEqual(yield* emulator.connections, 1)
        }), once)

      test(`making many at once while the connection is ${how} neither hangs nor leaves one open`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const attach = (i: number): Effect.Effect<unknown, ServiceBusError.AttachError, Services | Scope.Scope> =>
            i % 2 === 0 ? ServiceBusSender.make(Texts) : ServiceBusReceiver.make(Texts)
          const fibers = yield* Effect.forEach(
            Array.from({ length: 10 }),
            (_, i) =>
              start(Effect.exit(Effect.scoped(attach(i))))
          )
          yield* until(Effect.map(emulator.connections, (connections) => connections > 0))
          yield* lose
          const exits = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
          for (const exit of exits) {
            if (Exit.isFailure(exit)) yield* lost(Effect.failCause(exit.cause))
          }
          yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
        }), once)
    }

    test("what came before the connection was lost is still handed out", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 5 })
        assert.lengthOf(yield* receiver.receive({ max: 1 }), 1)
        yield* until(Effect.map(emulator.counters(Texts), ({ delivered }) =>
          delivered === 5))
        yield* emulator.idle
        yield* emulator.dropConnections
        const rest = yield* receiver.receive({ max: 10, maxWaitAfterFirst: "1 hour" })
        assert.deepStrictEqual(idsOf(rest), ["1", "2", "3", "4"])
        yield* receiver.completeAll(rest)
        yield* emulator.send(Texts, texts(1, 5))
        assert.deepStrictEqual(idsOf(yield* receiver.receive()), ["5"])
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 4)
      }), once)

    test("a scope closes at once where the connection is gone", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* Effect.scoped(Effect.gen(function*() {
          yield* ServiceBusSender.make(Texts)
          const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 10 })
          yield* ServiceBusProcessor.make(receiver, () =>
            Effect.void)
          yield* emulator.dropConnections
        }))
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("closing the last holder while another one is made leaves the new one its connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (let i = 0; i < 20; i++) {
          const closing = yield* start(Effect.scoped(ServiceBusSender.make(Texts)))
          yield* until(Effect.map(emulator.connections, (connections) => connections > 0))
          const sender = yield* ServiceBusSender.make(Texts)
          yield* Fiber.join(closing)
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* sender.send({ body: "" })
          yield* Effect.flatMap(receiver.receive(), ([message]) => receiver.complete(message!))
        }
        assert.isAtMost(yield* emulator.connections, 1)
      }))
  })

describe("Connection loss", () => both(suite))
