/** Sending messages: alone, in batches up to the limits of the link, and what is refused before the wire. */
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as AmqpValue from "../../src/AmqpValue.ts"
import { type OutgoingMessage } from "../../src/ServiceBusMessage.ts"
import {
  both,
  deliveriesOf,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  Orders,
  OrderTexts,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until,
  wireOf
} from "../support/harness.ts"
import { Throwing } from "../support/throwingBody.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    test("send gives the id it made", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Orders)
        assert.strictEqual(sender.entity, "orders")
        assert.strictEqual(sender.maxMessageSize, 262_144)
        const id = yield* sender.send({ body: { id: "1", total: 9.5 } })
        assert.match(id, /^[0-9a-f-]{36}$/)
        const [message] = yield* emulator.messages(Orders)
        assert.strictEqual(message!.messageId, id)
        assert.deepStrictEqual(message!.body, { id: "1", total: 9.5 })
        assert.strictEqual(message!.contentType, "application/json")
      }))

    test("send keeps the id it is given, and every property", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const sent = {
          body: "hello",
          messageId: "m-1",
          correlationId: "c-1",
          subject: "s",
          to: "t",
          replyTo: "r",
          replyToSessionId: "rs",
          contentType: "text/x",
          partitionKey: "p",
          timeToLive: "1 hour",
          applicationProperties: { count: AmqpValue.typed("int", 3), flag: true, name: "ü" }
        } satisfies OutgoingMessage<string>
        assert.strictEqual(yield* sender.send(sent), "m-1")
        const [message] = yield* emulator.messages(Texts)
        assert.deepInclude(
          {
            body: message!.body,
            messageId: message!.messageId,
            correlationId: message!.correlationId,
            subject: message!.subject,
            to: message!.to,
            replyTo: message!.replyTo,
            replyToSessionId: message!.replyToSessionId,
            contentType: message!.contentType,
            partitionKey: message!.partitionKey
          },
          {
            body: "hello",
            messageId: "m-1",
            correlationId: "c-1",
            subject: "s",
            to: "t",
            replyTo: "r",
            replyToSessionId: "rs",
            contentType: "text/x",
            partitionKey: "p"
          }
        )
        assert.strictEqual(Duration.toMillis(message!.timeToLive!), 3_600_000)
        assert.strictEqual(message!.applicationProperties["flag"], true)
        assert.strictEqual(message!.applicationProperties["name"], "ü")
        assert.strictEqual(message!.sequenceNumber, 1n)
        assert.isTrue(DateTime.isDateTime(message!.enqueuedTime))
      }))

    test("keys and reply addresses of the greatest length go both ways", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const most = "k".repeat(128)
        const keys = {
          sessionId: most,
          partitionKey: most,
          viaPartitionKey: "v".repeat(128),
          replyToSessionId: "r".repeat(128),
          replyTo: "answers/".repeat(100)
        }
        yield* sender.send({ body: "one", ...keys })
        yield* sender.sendAll([{ body: "two", ...keys }, { body: "three", ...keys }])
        const peeked = yield* receiver.peek({ max: 3 })
        const received = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual([...peeked, ...received].map(({ body }) => body), [
          "one",
          "two",
          "three",
          "one",
          "two",
          "three"
        ])
        for (const message of [...peeked, ...received]) {
          const { partitionKey, replyTo, replyToSessionId, sessionId, viaPartitionKey } = message
          assert.deepStrictEqual({ sessionId, partitionKey, viaPartitionKey, replyToSessionId, replyTo }, keys)
        }
      }))

    test("a plain name sends bytes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make("texts")
        yield* sender.send({ body: new TextEncoder().encode("bytes") })
        assert.deepStrictEqual((yield* emulator.messages(Texts)).map((message) => message.body), ["bytes"])
      }))

    test("sendAll sends one batch, in order, and gives all ids", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const ids = yield* sender.sendAll(texts(100))
        assert.deepStrictEqual(ids, idsOf(texts(100)))
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
        assert.strictEqual(deliveriesOf(sender), 1)
      }))

    test("sendAll of nothing sends nothing", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        assert.deepStrictEqual(yield* sender.sendAll([]), [])
        assert.strictEqual(deliveriesOf(sender), 0)
      }))

    test("sendAll takes any iterable and makes the ids that are missing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const ids = yield* sender.sendAll(
          (function*() {
            yield { body: "a" }
            yield { body: "b", messageId: "b" }
          })()
        )
        assert.match(ids[0]!, /^[0-9a-f-]{36}$/)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
      }))

    test("sendAll puts as many messages into a batch as its bytes take", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const ids = yield* sender.sendAll(Array.from({ length: 9001 }, (_, i) => ({ body: "", messageId: String(i) })))
        assert.strictEqual(deliveriesOf(sender), 1)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
      }), { texts: { maxMessageSize: 1024 * 1024 } })

    test("sendAll splits at the link's limit", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const body = "x".repeat(1000)
        const ids = yield* sender.sendAll(Array.from({ length: 50 }, (_, i) => ({ body, messageId: String(i) })))
        assert.isAtLeast(deliveriesOf(sender), 6)
        assert.isAtMost(deliveriesOf(sender), 8)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
      }), { texts: { maxMessageSize: 10_000 } })

    test("sendAll fits batches to every limit exactly", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        // Bodies of every length around the limits: one byte too many in a batch and the broker refuses it.
        const messages = Array.from({ length: 400 }, (_, i) => ({ body: "y".repeat(i), messageId: String(i) }))
        const ids = yield* sender.sendAll(messages)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
      }), { texts: { maxMessageSize: 777 } })

    test("sendAll splits between sessions and partition keys and keeps the order", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const ids = yield* sender.sendAll([
          { body: "", messageId: "1", sessionId: "a" },
          { body: "", messageId: "2", sessionId: "a" },
          { body: "", messageId: "3", sessionId: "b" },
          { body: "", messageId: "4", partitionKey: "a" },
          { body: "", messageId: "5", partitionKey: "b" },
          { body: "", messageId: "6", partitionKey: "b" },
          { body: "", messageId: "7" }
        ])
        assert.deepStrictEqual(ids, ["1", "2", "3", "4", "5", "6", "7"])
        assert.strictEqual(deliveriesOf(sender), 5)
        const messages = yield* emulator.messages(Texts)
        assert.deepStrictEqual(idsOf(messages), ids)
        assert.deepStrictEqual(messages.map((message) => message.sessionId ?? message.partitionKey), [
          "a",
          "a",
          "b",
          "a",
          "b",
          "b",
          undefined
        ])
      }))

    test("a message over the limit never reaches the wire", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const body = "x".repeat(10_000)
        const error = yield* sender.send({ body }).pipe(failsWith("MessageSizeExceededError"))
        assert.isAbove(error.size, 10_000)
        assert.strictEqual(error.limit, 10_000)
        yield* sender.sendAll([{ body: "fits" }, { body }]).pipe(failsWith("MessageSizeExceededError"))
        assert.strictEqual(deliveriesOf(sender), 0)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        // And the sender goes on.
        yield* sender.send({ body: "fits" })
      }), { texts: { maxMessageSize: 10_000 } })

    test("a large message goes in many frames", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const body = "0123456789".repeat(100_000)
        yield* sender.send({ body })
        const [message] = yield* receiver.receive()
        assert.strictEqual(message!.body, body)
        yield* receiver.complete(message!)
      }), { texts: { maxMessageSize: 2_000_000 } })

    test("a message that cannot be encoded names the part, and nothing is sent", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const bad: ReadonlyArray<readonly [string, OutgoingMessage<string>]> = [
          ["body", { body: 7 as never }],
          ["message", undefined as never],
          ["message", "text" as never],
          ["messageId", { body: "", messageId: "x".repeat(129) }],
          ["sessionId", { body: "", sessionId: "x".repeat(129) }],
          ["sessionId", { body: "", sessionId: 7 as never }],
          ["partitionKey", { body: "", sessionId: "a", partitionKey: "b" }],
          ["partitionKey", { body: "", partitionKey: "x".repeat(129) }],
          ["partitionKey", { body: "", partitionKey: 7 as never }],
          ["viaPartitionKey", { body: "", viaPartitionKey: "x".repeat(129) }],
          ["replyTo", { body: "", replyTo: 7 as never }],
          ["replyToSessionId", { body: "", replyToSessionId: "x".repeat(129) }],
          ["timeToLive", { body: "", timeToLive: 0 }],
          ["timeToLive", { body: "", timeToLive: -1 }],
          ["timeToLive", { body: "", timeToLive: NaN }],
          ["timeToLive", { body: "", timeToLive: "soon" as never }],
          ["applicationProperties", { body: "", applicationProperties: { deep: { a: 1 } as never } }]
        ]
        for (const [part, message] of bad) {
          const error = yield* sender.send(message).pipe(failsWith("MessageEncodeError"))
          assert.include(error.part, part)
          assert.strictEqual(error.entity, "texts")
          yield* sender.sendAll([{ body: "good" }, message]).pipe(failsWith("MessageEncodeError"))
        }
        assert.strictEqual(deliveriesOf(sender), 0)
      }))

    test("what is not of its type is refused in a batch as it is alone", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        for (
          const [part, fields] of [
            ["sessionId", { sessionId: Symbol("s") }],
            ["partitionKey", { partitionKey: Object.create(null) }],
            ["durable", { durable: "no" }],
            ["deliveryAnnotations", { deliveryAnnotations: null }],
            ["footer", { footer: 5 }]
          ] as const
        ) {
          const message = { body: "x", ...(fields as object) }
          const error = yield* sender.send(message).pipe(failsWith("MessageEncodeError"))
          assert.strictEqual(error.part, part)
          const inBatch = yield* sender.sendAll([{ body: "y" }, message]).pipe(failsWith("MessageEncodeError"))
          assert.strictEqual(inBatch.part, part)
        }
      }))

    test("a body that its schema refuses is not sent", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Orders)
        const error = yield* sender.send({ body: { id: "1", total: NaN } }).pipe(failsWith("MessageEncodeError"))
        assert.strictEqual(error.part, "body")
        assert.strictEqual(deliveriesOf(sender), 0)
      }))

    test("a message to an entity with sessions must name one", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(
          ServiceBusEntity.queue("texts", { body: ServiceBusBody.text, sessions: true })
        )
        const error = yield* sender.send({ body: "" } as never).pipe(failsWith("MessageEncodeError"))
        assert.strictEqual(error.part, "sessionId")
        yield* sender.send({ body: "", sessionId: "a" })
      }))

    test("a full entity refuses, and the sender goes on", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        const body = "x".repeat(600)
        yield* sender.send({ body })
        const error = yield* sender.send({ body }).pipe(failsWith("ServiceBusQuotaExceededError"))
        assert.strictEqual(error.condition, "amqp:resource-limit-exceeded")
        assert.strictEqual(error.operation, "send")
        assert.isString(error.trackingId)
        assert.strictEqual(error.quota, "entitySize")
        assert.match(
          error.description!,
          /^The maximum entity size has been reached or exceeded for Queue: 'texts'\. Size of entity in bytes:\d+, Max entity size in bytes:1000\.$/
        )
        yield* receiver.receive()
        yield* sender.send({ body })
      }), { texts: { maxSize: 1000 } })

    test("concurrent sends each get their own answer", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const ids = yield* Effect.forEach(texts(500), (message) => sender.send(message), { concurrency: "unbounded" })
        assert.deepStrictEqual(ids, idsOf(texts(500)))
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
      }))

    test("more sends at a time than the broker gives credit for", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* Effect.forEach(texts(2500), (message) => sender.send(message), { concurrency: "unbounded" })
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(texts(2500)))
      }))

    test("interrupting a send that has not left takes it back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const fiber = yield* start(sender.send({ body: "never" }))
        yield* Fiber.interrupt(fiber)
        yield* sender.send({ body: "after" })
        assert.deepStrictEqual((yield* emulator.messages(Texts)).map((message) => message.body), ["after"])
        // Nothing is kept for it.
        const { plane, rhea } = wireOf(sender)
        assert.strictEqual(plane.of(rhea.session).unsettled, 0)
      }))

    test("two senders of one entity share the connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const [a, b] = yield* Effect.all([ServiceBusSender.make(Texts), ServiceBusSender.make(OrderTexts)], {
          concurrency: 2
        })
        yield* Effect.all([a.send({ body: "a" }), b.send({ body: "b" })], { concurrency: 2 })
        assert.strictEqual(yield* emulator.connections, 1)
        yield* until(Effect.map(emulator.messages(Texts), (messages) => messages.length === 1))
      }))

    test("a codec that throws is a message that cannot be encoded, and spoils no other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Throwing)
        const error = yield* sender.sendAll([{ body: "a" }, { body: "poison" }]).pipe(failsWith("MessageEncodeError"))
        assert.include(error.message, "cannot write that")
        const broken = function*() {
          yield { body: "b" }
          throw new Error("no more")
        }
        const unread = yield* sender.sendAll(broken()).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(unread.option, "messages")
        yield* sender.send({ body: "c" })
        assert.deepStrictEqual((yield* emulator.messages(Texts)).map(({ body }) => body), ["c"])
      }))

    test("what was accepted of many batches is not sent again", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", entity: Texts, error: { condition: "com.microsoft:timeout" } })
        yield* sender.sendAll(
          texts(5).map(({ body, messageId }) => ({ body, messageId, partitionKey: messageId }))
        )
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)).toSorted(), ["0", "1", "2", "3", "4"])
      })))
  })

describe("Sending", () => both(suite))
