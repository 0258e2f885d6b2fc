/** Every settlement, of one message and of many, on the link and by lock token. */
import { ServiceBusMessage, ServiceBusReceiver, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as AmqpValue from "../../src/AmqpValue.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until,
  wireOf
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("complete removes the message", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.complete(message!)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("abandon gives the message back, with properties and one more delivery", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "a", applicationProperties: { kept: "k", changed: "old" } }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.abandon(message!, { properties: { changed: "new", count: AmqpValue.typed("int", 2) } })
        const [again] = yield* receiver.receive()
        assert.strictEqual(again!.deliveryCount, 1)
        assert.deepInclude(again!.applicationProperties, { kept: "k", changed: "new" })
        assert.strictEqual(again!.applicationProperties["count"], 2)
      }))

    test("defer sets the message aside", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!, { properties: { why: "later" } })
        assert.deepStrictEqual(yield* receiver.receive({ maxWait: 0 }), [])
        const [deferred] = yield* emulator.messages(Texts)
        assert.strictEqual(deferred!.state, "deferred")
        assert.strictEqual(deferred!.applicationProperties["why"], "later")
      }))

    test("deadLetter moves the message, with reason, description and properties", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b] = yield* receiver.receive({ max: 2 })
        yield* receiver.deadLetter(a!, { reason: "r".repeat(4096), description: "why", properties: { x: true } })
        yield* receiver.settle(b!, Settlement.deadLetter())
        const [first, second] = yield* emulator.deadLetters(Texts)
        assert.strictEqual(first!.deadLetterReason, "r".repeat(4096))
        assert.strictEqual(first!.deadLetterErrorDescription, "why")
        assert.strictEqual(first!.applicationProperties["x"], true)
        assert.isUndefined(second!.deadLetterReason)
      }))

    test("many at once, alike", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 3 })
        yield* receiver.settleAll(messages, Settlement.deadLetter({ reason: "all" }))
        const dead = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(dead.map(({ deadLetterReason }) => deadLetterReason), ["all", "all", "all"])
        yield* receiver.settleAll(messages, Settlement.abandon()).pipe(failsWith("MessageAlreadySettled"))
      }))

    test("more at a time than AMQP libraries keep: each is answered", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2500))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 2500 })
        assert.lengthOf(messages, 2500)
        yield* passing(Effect.forEach(messages, receiver.complete, { concurrency: "unbounded", discard: true }))
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 2500)
      }))

    test("a message that is handed over is settled by its token, from a client that never saw it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const encoded = yield* Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const messages = yield* receiver.receive({ max: 3 })
          const tokens = yield* Effect.forEach(messages, receiver.handOver)
          yield* receiver.handOver(messages[0]!).pipe(failsWith("MessageAlreadySettled"))
          yield* receiver.complete(messages[0]!).pipe(failsWith("MessageAlreadySettled"))
          return yield* Schema.encodeEffect(Schema.Array(ServiceBusMessage.LockToken))(tokens)
        }))
        // The receiver is gone; the locks are not.
        assert.strictEqual((yield* emulator.counters(Texts)).released, 0)
        const tokens = yield* Schema.decodeUnknownEffect(Schema.Array(ServiceBusMessage.LockToken))(encoded)
        assert.lengthOf(yield* ServiceBusReceiver.renewByToken(Texts, tokens), 3)
        const [a, b, c] = tokens
        yield* ServiceBusReceiver.settleByToken(Texts, [a!], Settlement.complete)
        yield* ServiceBusReceiver.settleByToken(
          "texts",
          [b!, c!],
          Settlement.deadLetter({ reason: "r", description: "d" })
        )
        const dead = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(dead.map(({ deadLetterReason, messageId }) => [messageId, deadLetterReason]), [
          ["1", "r"],
          ["2", "r"]
        ])
        yield* ServiceBusReceiver.settleByToken(Texts, [a!], Settlement.complete).pipe(
          failsWith("MessageLockLostError")
        )
        yield* ServiceBusReceiver.renewByToken(Texts, [a!]).pipe(failsWith("MessageLockLostError"))
        const wrong = ["no token" as ServiceBusMessage.LockToken]
        yield* ServiceBusReceiver.settleByToken(Texts, wrong, Settlement.complete).pipe(failsWith("InvalidOptionError"))
        yield* ServiceBusReceiver.settleByToken(Texts, [], Settlement.complete).pipe(failsWith("InvalidOptionError"))
        const again = Settlement.retryAfter("1 minute")
        yield* ServiceBusReceiver.settleByToken(Texts, [a!], again).pipe(failsWith("NotSupportedError"))
      }))

    test("settling twice fails, and nothing goes to the wire", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.complete(message!)
        const { counters } = wireOf(receiver).plane
        const { writes } = counters
        const error = yield* receiver.abandon(message!).pipe(failsWith("MessageAlreadySettled"))
        assert.strictEqual(error.sequenceNumber, 1n)
        yield* receiver.completeAll([message!]).pipe(failsWith("MessageAlreadySettled"))
        yield* emulator.idle
        assert.strictEqual(counters.writes, writes)
      }))

    test("settling at the same time twice: one wins", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const exits = yield* Effect.all(
          [Effect.exit(receiver.complete(message!)), Effect.exit(receiver.abandon(message!))],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(exits.map(({ _tag }) => _tag), ["Success", "Failure"])
      }))

    test("a message named twice in completeAll is settled twice", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b] = yield* receiver.receive({ max: 2 })
        yield* receiver.completeAll([a!, b!, a!]).pipe(failsWith("MessageAlreadySettled"))
        // Nothing was settled by it.
        yield* receiver.completeAll([a!, b!])
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("a message of another receiver, or no message, is refused before the wire", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const other = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const error = yield* other.complete(message!).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(error.option, "message")
        yield* other.renewLock(message!).pipe(failsWith("InvalidOptionError"))
        yield* receiver.complete({ ...message! }).pipe(failsWith("InvalidOptionError"))
        yield* receiver.complete(undefined as never).pipe(failsWith("InvalidOptionError"))
        yield* receiver.complete(message!)
      }))

    test("a settlement that cannot be encoded is refused, and the message can still be settled", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const properties = yield* receiver.abandon(message!, { properties: { f: (() => {}) as never } }).pipe(
          failsWith("MessageEncodeError")
        )
        assert.strictEqual(properties.part, "properties \"f\"")
        for (const bad of [5, null, {}] as unknown as ReadonlyArray<never>) {
          yield* receiver.deadLetter(message!, { reason: bad }).pipe(failsWith("MessageEncodeError"))
          yield* receiver.deadLetter(message!, { description: bad }).pipe(failsWith("MessageEncodeError"))
        }
        yield* receiver.complete(message!)
      }))

    test("interrupting a settlement does not take it back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* Effect.flatMap(start(receiver.complete(message!)), Fiber.interrupt)
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1))
        yield* receiver.abandon(message!).pipe(failsWith("MessageAlreadySettled"))
      }))

    test("neighbours settled in one tick keep their own outcomes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(40))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 40 })
        yield* Effect.forEach(messages, (message, i) =>
          receiver.settle(
            message,
            [
              Settlement.complete,
              Settlement.deadLetter({ reason: `r${i}` }),
              Settlement.defer({ properties: { i: `d${i}` } }),
              Settlement.complete
            ][i % 4]!
          ), { concurrency: "unbounded" })
        const dead = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(
          dead.map(({ deadLetterReason, messageId }) => [messageId, deadLetterReason]),
          Array.from({ length: 10 }, (_, n) => [String(n * 4 + 1), `r${n * 4 + 1}`])
        )
        const deferred = yield* emulator.messages(Texts)
        assert.deepStrictEqual(
          deferred.map(({ applicationProperties, messageId }) => [messageId, applicationProperties["i"]]),
          Array.from({ length: 10 }, (_, n) => [String(n * 4 + 2), `d${n * 4 + 2}`])
        )
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 20)
      }))

    test("settlements of one tick in any order", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(100))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 100 })
        yield* Effect.forEach(
          messages.toReversed(),
          (message) => Number(message.messageId) % 10 === 0 ? receiver.defer(message) : receiver.complete(message),
          { concurrency: "unbounded", discard: true }
        )
        assert.deepStrictEqual(
          idsOf(yield* emulator.messages(Texts)),
          Array.from({ length: 10 }, (_, i) => String(i * 10))
        )
      }))

    test("completeAll of 5000 in one write", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5000))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 5000 })
        const messages = yield* receiver.receive({ max: 5000, maxWaitAfterFirst: "1 hour" })
        assert.lengthOf(messages, 5000)
        const { counters } = wireOf(receiver).plane
        const { writes } = counters
        yield* receiver.completeAll(messages)
        assert.strictEqual(counters.writes, writes + 1)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("5000 unsettled messages do not stall a receiver", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(6000))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const held = yield* receiver.receive({ max: 5000, maxWaitAfterFirst: "1 hour" })
        assert.lengthOf(held, 5000)
        const more = yield* receiver.receive({ max: 1000, maxWaitAfterFirst: "1 hour" })
        assert.lengthOf(more, 1000)
        yield* receiver.completeAll(more)
        yield* receiver.complete(held[0]!)
        yield* receiver.completeAll(held.slice(1))
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 6000)
      }))

    test("completeAll of nothing does nothing", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* receiver.completeAll([])
      }))

    test("what is not settled when the scope closes is released at once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5))
        yield* Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 5 })
          const [message] = yield* receiver.receive({ max: 2 })
          yield* receiver.complete(message!)
        }))
        assert.strictEqual((yield* emulator.counters(Texts)).released, 4)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 5 })
        assert.deepStrictEqual(idsOf(messages), ["1", "2", "3", "4"])
      }))

    test("a sender and a receiver of the same queue, ten thousand messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 1000 })
        yield* sender.sendAll(texts(10_000))
        let done = 0
        while (done < 10_000) {
          const messages = yield* receiver.receive({ max: 700 })
          yield* receiver.completeAll(messages)
          done += messages.length
        }
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    clock("a lock that is over is lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b] = yield* receiver.receive({ max: 2 })
        yield* TestClock.adjust("31 seconds")
        const error = yield* receiver.complete(a!).pipe(failsWith("MessageLockLostError"))
        assert.strictEqual(error.condition, "com.microsoft:message-lock-lost")
        assert.strictEqual(error.entity, "texts")
        assert.isString(error.trackingId)
        yield* receiver.completeAll([b!]).pipe(failsWith("MessageLockLostError"))
        yield* receiver.renewLock(b!).pipe(failsWith("MessageLockLostError"))
      }), { texts: { lockDuration: "30 seconds" } })

    clock("completeAll fails where one of the locks is lost, and the others are completed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [early] = yield* receiver.receive()
        yield* TestClock.adjust("20 seconds")
        const later = yield* receiver.receive({ max: 2 })
        yield* TestClock.adjust("15 seconds")
        yield* receiver.completeAll([early!, ...later]).pipe(failsWith("MessageLockLostError"))
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 2)
      }), { texts: { lockDuration: "30 seconds" } })

    clock("renewLock gives the lock more time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* TestClock.adjust("20 seconds")
        const end = yield* receiver.renewLock(message!)
        assert.strictEqual(DateTime.toEpochMillis(end), 50_000)
        yield* TestClock.adjust("29 seconds")
        yield* receiver.complete(message!)
        yield* receiver.renewLock(message!).pipe(failsWith("MessageLockLostError"))
      }), { texts: { lockDuration: "30 seconds" } })
  })

describe("Settling", () => both(suite))
