/** A body that does not decode is dead-lettered, abandoned or told, as was chosen. */
import { ServiceBusProcessor, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SenderLink from "../../src/internal/amqp/SenderLink.ts"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import * as ServiceBusClient from "../../src/ServiceBusClient.ts"
import { Lines } from "../support/eventRecorder.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  Orders,
  OrderTexts,
  passing,
  testsOf,
  Texts,
  until
} from "../support/harness.ts"
import { Throwing } from "../support/throwingBody.ts"
import { assert, describe } from "../support/vitest.ts"

/** What no receiver of orders can decode, by what is wrong with it. */
const bodies = {
  "no JSON": "{\"id\": ",
  "a schema failure": "{\"id\": 1, \"total\": \"x\"}",
  "nothing at all": ""
}

const good = { body: "{\"id\":\"1\",\"total\":2}", messageId: "good" }

const malformed = Buffer.from([0x00, 0x53, 0x75, 0xb0, 0x00, 0x00, 0x10, 0x00, 0x01])

/** Sends bytes that are no AMQP message as if they were one. */
const sendMalformed = Effect.gen(function*() {
  const namespace = yield* ServiceBusClient.namespaceFor(Orders)
  const session = yield* namespace.session("orders")
  const { timeout } = namespace.options
  const link = yield* SenderLink.make(session, { entity: "orders", identifier: "wire", timeout })
  yield* link.send([malformed], [0])
})

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    for (const [wrong, body] of Object.entries(bodies)) {
      test(`${wrong} is dead-lettered by default, and the good one is given`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(OrderTexts, [{ body, messageId: "bad" }, good])
          const receiver = yield* ServiceBusReceiver.make(Orders)
          assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 2 })), ["good"])
          yield* until(Effect.map(emulator.counters(Orders), ({ deadLettered }) => deadLettered === 1))
          const [letter] = yield* emulator.deadLetters(OrderTexts)
          assert.strictEqual(letter!.messageId, "bad")
          assert.strictEqual(letter!.deadLetterReason, "MessageDecodeError")
          assert.isNotEmpty(letter!.deadLetterErrorDescription)
        }))

      test(`${wrong} is passed over by receiveOne, or fails it`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(OrderTexts, [{ body, messageId: "bad" }, { body, messageId: "worse" }, good])
          const strict = yield* ServiceBusReceiver.makeDestructive(Orders, { undecodable: "fail" })
          assert.strictEqual((yield* strict.receiveOne().pipe(failsWith("MessageDecodeError"))).part, "body")
          const receiver = yield* ServiceBusReceiver.make(Orders)
          assert.deepStrictEqual(idsOf(Option.toArray(yield* receiver.receiveOne())), ["good"])
          yield* until(Effect.map(emulator.counters(Orders), ({ deadLettered }) => deadLettered === 1))
        }))

      test(`${wrong} is abandoned where the policy says so`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(OrderTexts, [{ body, messageId: "bad" }, good])
          const receiver = yield* ServiceBusReceiver.make(Orders, { undecodable: "abandon" })
          const messages = yield* receiver.messages.pipe(Stream.take(1), Stream.runCollect)
          assert.deepStrictEqual(idsOf(messages), ["good"])
          const counters = yield* emulator.counters(Orders)
          assert.isAtLeast(counters.abandoned, 1)
          assert.strictEqual(counters.deadLettered, counters.abandoned >= 10 ? 1 : 0)
        }))

      test(`${wrong} fails where the policy says so, after what came before it`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(OrderTexts, [good, { body, messageId: "bad" }, { ...good, messageId: "after" }])
          const receiver = yield* ServiceBusReceiver.make(Orders, { undecodable: "fail", prefetch: 3 })
          const first = yield* receiver.receive({ max: 3, maxWaitAfterFirst: "1 hour" })
          assert.deepStrictEqual(idsOf(first), ["good"])
          const error = yield* receiver.receive({ max: 3 }).pipe(failsWith("MessageDecodeError"))
          assert.strictEqual(error.part, "body")
          assert.strictEqual(error.entity, "orders")
          assert.isNotEmpty(error.description)
          assert.notInclude(error.message, body === "" ? "\u0000" : body)
          // The receiver goes on with what came after it.
          assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 1 })), ["after"])
          yield* until(Effect.map(emulator.counters(Orders), ({ abandoned }) => abandoned === 1))
        }))
    }

    test("the policy is applied when a message is handed out, not to those that wait", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "{", messageId: "bad" }])
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const [raw] = yield* receiver.receiveRaw()
        assert.strictEqual(raw!.messageId, "bad")
        yield* receiver.complete(raw!)
        assert.strictEqual((yield* emulator.counters(Orders)).deadLettered, 0)
      }))

    test("an undecodable message of a destructive receiver is skipped, or fails", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "{", messageId: "bad" }, good])
        const skipping = yield* ServiceBusReceiver.makeDestructive(Orders)
        assert.deepStrictEqual(idsOf(yield* skipping.receive({ max: 2 })), ["good"])
        yield* emulator.send(OrderTexts, [{ body: "{", messageId: "bad" }])
        const failing = yield* ServiceBusReceiver.makeDestructive(Orders, { undecodable: "fail" })
        yield* failing.receive().pipe(failsWith("MessageDecodeError"))
        assert.lengthOf(yield* emulator.messages(Orders), 0)
      }))

    test("of several deferred ones that are received and deleted the call fails with one, and each other is reported", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(OrderTexts, ["a", "b", "c"].map((messageId) => ({ body: "{", messageId })))
        const raw = yield* ServiceBusReceiver.make(OrderTexts)
        const messages = yield* raw.receive({ max: 3, maxWaitAfterFirst: "1 hour" })
        yield* Effect.forEach(messages, (message) => raw.defer(message))
        const failing = yield* ServiceBusReceiver.makeDestructive(Orders, { undecodable: "fail" })
        yield* failing.receiveDeferred(messages.map(({ sequenceNumber }) => sequenceNumber)).pipe(
          failsWith("MessageDecodeError")
        )
        assert.deepStrictEqual(lines.map(({ annotations }) => annotations["messageId"]), ["b", "c"])
      }))

    test("a stream under the policy fail fails with MessageDecodeError", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [good, { body: "{", messageId: "bad" }])
        const receiver = yield* ServiceBusReceiver.make(Orders, { undecodable: "fail" })
        const seen: Array<string> = []
        yield* receiver.messages.pipe(
          Stream.runForEach((message) => Effect.sync(() => void seen.push(message.messageId))),
          failsWith("MessageDecodeError")
        )
        assert.deepStrictEqual(seen, ["good"])
      }))

    test("bytes that are no message meet the policy as well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sent = yield* Effect.exit(sendMalformed)
        const sender = yield* ServiceBusSender.make(Orders)
        yield* sender.send({ body: { id: "1", total: 2 }, messageId: "good" })
        const receiver = yield* ServiceBusReceiver.make(Orders)
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 2, maxWaitAfterFirst: 0 })), ["good"])
        // The broker looks itself: it refuses them, or they are dead-lettered.
        assert.strictEqual((yield* emulator.counters(Orders)).deadLettered, sent._tag === "Failure" ? 0 : 1)
      }))

    test("bytes that are no message, of a broker that does not look, cost no other message", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const { plane } = ReceiverState.stateOf(receiver).link.link
        const { onDeliveries } = plane
        plane.onDeliveries = (deliveries) => {
          deliveries[0]!.payload = malformed
          plane.onDeliveries = onDeliveries
          onDeliveries!(deliveries)
        }
        yield* emulator.send(OrderTexts, [{ body: "", messageId: "bad" }, good])
        assert.deepStrictEqual(idsOf(yield* passing(receiver.receive({ max: 2, maxWait: "5 seconds" }))), ["good"])
        yield* until(Effect.map(emulator.counters(Orders), ({ deadLettered }) => deadLettered === 1))
        assert.deepStrictEqual(idsOf(yield* emulator.deadLetters(OrderTexts)), ["bad"])
      }))

    test("a codec that throws is a body that does not decode, for receive and for a processor", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "a" }, { body: "poison" }, { body: "b" }])
        const receiver = yield* ServiceBusReceiver.make(Throwing)
        const messages = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ body }) => body), ["a", "b"])
        yield* receiver.completeAll(messages)
        yield* emulator.send(Texts, [{ body: "poison" }, { body: "c" }])
        const handled: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (body) => Effect.sync(() => void handled.push(body))
        )
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 3))
        assert.deepStrictEqual(handled, ["c"])
        assert.deepInclude(yield* processor.drain, { undecodable: 1, completed: 1 })
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(letters.map((letter) => letter.deadLetterErrorDescription), [
          "bad wire type",
          "bad wire type"
        ])
      }))
  })

describe("Undecodable messages", () => both(suite))
