/** What is heard of messages that do not decode, and of locks that end before a message is handed out. */
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Lines, listen, only, texts as linesOf } from "../support/eventRecorder.ts"
import {
  both,
  failsWith,
  type LayerFor,
  type Name,
  Orders,
  OrderTexts,
  passing,
  reached,
  testsWith,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const Bookings = ServiceBusEntity.queue("bookings", {
  body: ServiceBusBody.json(Schema.Struct({ id: Schema.String })),
  sessions: true
})
const BookingTexts = ServiceBusEntity.queue("bookings", { body: ServiceBusBody.text, sessions: true })

const secret = { body: "{\"id\":\"the secret\",\"total\":\"none\"}", messageId: "bad" }

const deadLettered = "Warn: A message cannot be decoded; it is dead-lettered"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Bookings)])

    for (
      const [how, receive] of Object.entries({
        receive: Effect.flatMap(
          ServiceBusReceiver.make(Orders),
          (receiver) => receiver.receive({ maxWait: "1 second" })
        ),
        "a stream": Effect.flatMap(
          ServiceBusReceiver.make(Orders, { maxWait: "1 second" }),
          (receiver) => Stream.runDrain(receiver.messages)
        ),
        "a processor": Effect.flatMap(
          ServiceBusProcessor.make(Orders, () => Effect.void),
          (processor) => reached(processor, ({ undecodable }) => undecodable === 1)
        )
      })
    ) {
      test(`${how}: an undecodable body is a warning without the body, and an event`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const lines = yield* Lines
          const events = yield* listen
          yield* emulator.send(OrderTexts, [secret])
          yield* passing(receive)
          yield* until(Effect.sync(() => only(events, "MessageDeadLettered").length === 1))
          assert.deepStrictEqual(linesOf(lines), [deadLettered])
          assert.deepInclude(lines[0]!.annotations, {
            entity: "orders",
            messageId: "bad",
            sequenceNumber: "1",
            deliveryCount: 0
          })
          assert.deepInclude(lines[0]!.error as object, { _tag: "MessageDecodeError", part: "body" })
          assert.notInclude(JSON.stringify(lines) + String(lines[0]!.error), "secret")
          const [event] = only(events, "MessageDeadLettered")
          assert.deepInclude(event!, { reason: "MessageDecodeError", messageId: "bad", sequenceNumber: 1n })
        }))
    }

    test("a session processor: the same, with the session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const processor = yield* ServiceBusProcessor.makeSessions(Bookings, () => Effect.void)
        yield* emulator.send(BookingTexts, [{ body: "no JSON", sessionId: "ann", messageId: "bad" }])
        yield* passing(until(Effect.map(processor.counts, ({ undecodable }) => undecodable === 1)))
        assert.deepStrictEqual(linesOf(lines), [deadLettered])
        assert.deepInclude(lines[0]!.annotations, { entity: "bookings", sessionId: "ann", messageId: "bad" })
      }))

    test("what is abandoned or lost is said, and what fails a caller is not", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        yield* emulator.send(OrderTexts, [secret])
        const failing = yield* ServiceBusReceiver.make(Orders, { undecodable: "fail" })
        yield* failsWith("MessageDecodeError")(failing.receive())
        assert.deepStrictEqual(lines, [])
        const destructive = yield* ServiceBusReceiver.makeDestructive(Orders)
        yield* passing(destructive.receive({ maxWait: "1 second" }))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A message cannot be decoded, and is lost: it was received in receive-and-delete mode"
        ])
        assert.deepInclude(lines[0]!.annotations, { source: "decode", messageId: "bad", deliveryCount: 1 })
        yield* emulator.send(OrderTexts, [secret])
        const abandoning = yield* ServiceBusReceiver.make(Orders, { undecodable: "abandon" })
        yield* passing(abandoning.receive({ maxWait: 0 }))
        assert.strictEqual(
          linesOf(lines)[1],
          "Warn: A message cannot be decoded; it is abandoned, and comes again unless this was its last delivery" +
            "; further failures of it are logged at Debug"
        )
        yield* until(Effect.sync(() => only(events, "ProcessorError").length >= 2))
        assert.deepStrictEqual(only(events, "ProcessorError")[1]!.source, "decode")
      }))

    test("a processor of a receiver whose policy is to fail abandons, and says so", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(OrderTexts, [secret])
        const receiver = yield* ServiceBusReceiver.make(Orders, { undecodable: "fail" })
        yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* passing(until(Effect.map(emulator.deadLetters(OrderTexts), ({ length }) => length === 1)))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A message cannot be decoded; it is abandoned, and comes again unless this was its last delivery" +
          "; further failures of it are logged at Debug"
        ])
        assert.deepInclude(lines[0]!.annotations, {
          source: "decode",
          entity: "orders",
          messageId: "bad",
          sequenceNumber: "1",
          deliveryCount: 0
        })
      }), { orders: { maxDeliveryCount: 3 } })

    test("one that comes to a receiver again and again is one line", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        yield* emulator.send(OrderTexts, [secret])
        const receiver = yield* ServiceBusReceiver.make(Orders, { undecodable: "abandon" })
        yield* passing(receiver.receive({ maxWait: "1 second" }))
        assert.lengthOf(yield* emulator.deadLetters(OrderTexts), 1)
        yield* until(Effect.sync(() => only(events, "ProcessorError").length === 3))
        assert.lengthOf(lines, 1)
        assert.deepStrictEqual(only(events, "ProcessorError").map(({ isRepeated }) => isRepeated), [
          undefined,
          true,
          true
        ])
      }), { orders: { maxDeliveryCount: 3 } })

    clock("a lock that ends while its message waits to be taken", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 2 })
        yield* emulator.idle
        yield* passing(Effect.sleep("20 seconds"), "1 second")
        yield* passing(receiver.receive({ max: 2, maxWait: 0 }))
        const line = "Warn: The lock of a message ended while the message waited to be handed out; it comes again"
        assert.deepStrictEqual(linesOf(lines), [line, line])
        yield* until(Effect.sync(() => only(events, "LockLost").length === 2))
        assert.deepStrictEqual(only(events, "LockLost").map(({ messageId }) => messageId), ["0", "1"])
      }), { texts: { lockDuration: "10 seconds" } })

    clock("a renewal that fails under withLock, of a message and of a session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* emulator.fail({ operation: "renew", error: { condition: "amqp:internal-error" }, times: 2 })
        yield* passing(Effect.sleep("1 minute").pipe(AutoLockRenewer.withLock(receiver, message!)), "1 second")
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A lock could not be renewed; it is tried again as long as the lock lasts"
        ])
        assert.deepInclude(lines[0]!.annotations, { source: "renew", messageId: "0", entity: "texts" })
        yield* emulator.fail({ operation: "renew", error: { condition: "amqp:internal-error" }, times: 2 })
        yield* Effect.scoped(Effect.andThen(
          ServiceBusSession.accept(Bookings, "ann"),
          passing(Effect.sleep("2 minutes"), "1 second")
        ))
        assert.deepStrictEqual(linesOf(lines).slice(1), [
          "Warn: The lock of a session could not be renewed; it is tried again as long as the lock lasts"
        ])
        assert.deepInclude(lines[1]!.annotations, { source: "renew", sessionId: "ann", entity: "bookings" })
      }), { texts: { lockDuration: "30 seconds" } })

    test("what comes in a response and cannot be disposed of is said, too", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(OrderTexts, [secret])
        const raw = yield* ServiceBusReceiver.make(OrderTexts)
        const [message] = yield* raw.receive()
        yield* raw.defer(message!)
        const receiver = yield* ServiceBusReceiver.make(Orders)
        yield* emulator.fail({ operation: "settle", error: { condition: "amqp:internal-error" }, times: 10 })
        yield* passing(receiver.receiveDeferred([message!.sequenceNumber]))
        yield* passing(until(Effect.sync(() => lines.length === 2)))
        assert.deepStrictEqual(linesOf(lines), [
          deadLettered,
          "Warn: A message could not be given back; it comes again when its lock ends"
        ])
        assert.deepInclude(lines[1]!.annotations, {
          source: "settle",
          entity: "orders",
          messageId: "bad",
          sequenceNumber: "1"
        })
      }))

    test("a reason that is cut is said", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const events = yield* listen
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message, ...others] = yield* receiver.receive({ max: 3, maxWaitAfterFirst: "1 hour" })
        const settlement = Settlement.deadLetter({ reason: "r".repeat(5000) })
        yield* receiver.settle(message!, settlement)
        yield* receiver.settleAll(others, settlement)
        yield* until(Effect.sync(() => only(events, "DeadLetterTruncated").length === 2))
        const [ofOne, ofMany] = only(events, "DeadLetterTruncated")
        assert.deepInclude(ofOne!, { parts: ["reason"], entity: "texts", messageId: "0", sequenceNumber: 1n })
        assert.deepInclude(ofMany!, { parts: ["reason"], entity: "texts" })
        assert.notProperty(ofMany!, "messageId")
      }))
  })

describe("What is heard of receivers", () => both(suite))
