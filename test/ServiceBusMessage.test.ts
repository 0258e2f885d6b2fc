/** A received message sent on: what its copy keeps to the AMQP type, what it leaves out, and what stands over it. */
import {
  AmqpValue,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { OutgoingMessage } from "../src/ServiceBusMessage.ts"
import { both, type LayerFor, type Name, Orders, OrderTexts, testsOf, Texts } from "./support/harness.ts"
import { assert, describe } from "./support/vitest.ts"

/** What the sender says of a message, with every AMQP type that a plain value would lose. */
const said = {
  body: "hello",
  messageId: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff"),
  correlationId: 18446744073709551615n,
  sessionId: "s",
  partitionKey: "s",
  viaPartitionKey: "v",
  replyTo: "answers",
  replyToSessionId: "rs",
  to: "t",
  subject: "sub",
  contentType: "text/x",
  contentEncoding: "gzip",
  userId: Uint8Array.of(1, 2, 3),
  timeToLive: Duration.hours(1),
  groupSequence: 4,
  durable: true,
  priority: 7,
  applicationProperties: {
    int: 2,
    long: 2n,
    ulong: AmqpValue.typed("ulong", 2n),
    uint: AmqpValue.typed("uint", 2),
    ubyte: AmqpValue.typed("ubyte", 2),
    short: AmqpValue.typed("short", 2),
    float: AmqpValue.typed("float", 2),
    double: AmqpValue.typed("double", 2),
    half: 0.5,
    symbol: AmqpValue.symbol("s"),
    uuid: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff"),
    time: DateTime.makeUnsafe(1000),
    span: Duration.nanos(3_000_000_000n),
    offset: AmqpValue.described(AmqpValue.symbol("com.microsoft:datetime-offset"), 638000000000000000n),
    nothing: null
  },
  messageAnnotations: { "x-mine": AmqpValue.typed("ushort", 1) },
  footer: { "x-foot": AmqpValue.typed("byte", -1) }
} satisfies OutgoingMessage<string>

/** Views of bytes are bytes. */
const plain = ({ userId, ...rest }: OutgoingMessage<unknown>) => ({
  ...rest,
  ...(userId === undefined ? {} : { userId: [...userId] })
})

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    test("a copy says what the original said, to the AMQP type", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({
          ...said,
          creationTime: DateTime.makeUnsafe(5),
          absoluteExpiryTime: DateTime.makeUnsafe(6),
          deliveryAnnotations: { hop: 1 }
        })
        const [first] = yield* receiver.receive()
        const copy = ServiceBusMessage.fromReceived(first!)
        assert.deepStrictEqual(plain(copy), plain(said))
        yield* receiver.complete(first!)
        // And again, over the wire.
        yield* sender.send(copy)
        const [second] = yield* receiver.receive()
        assert.deepStrictEqual(plain(ServiceBusMessage.fromReceived(second!)), plain(said))
        assert.strictEqual(second!.sequenceNumber, 2n)
        assert.strictEqual(second!.deliveryCount, 0)
      }))

    test("what the broker and the trace said is left out", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({
          body: "poison",
          messageId: "m",
          scheduledEnqueueTime: DateTime.makeUnsafe(-1000),
          applicationProperties: {
            "Diagnostic-Id": "00-1-2-01",
            "traceparent": "00-1-2-01",
            "tracestate": "a=b",
            "mine": "kept"
          },
          messageAnnotations: { "x-opt-partition-id": AmqpValue.typed("short", 3), "x-opt-deadletter-source": "old" }
        })
        const [message] = yield* receiver.receive()
        yield* receiver.deadLetter(message!, { reason: "bad", description: "very" })
        const [lost] = yield* dead.receive()
        assert.strictEqual(lost!.deadLetterReason, "bad")
        const copy = ServiceBusMessage.fromReceived(lost!)
        assert.deepStrictEqual(copy, {
          body: "poison",
          messageId: "m",
          contentType: "text/plain; charset=utf-8",
          applicationProperties: { mine: "kept" }
        })
        yield* sender.send(copy)
        const [again] = yield* emulator.messages(Texts)
        assert.isUndefined(again!.deadLetterReason)
        assert.isUndefined(again!.deadLetterSource)
        assert.isUndefined(again!.scheduledEnqueueTime)
      }))

    test("overrides stand over the copy; undefined leaves out", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        yield* sender.send({ body: "text", messageId: "m", subject: "s", sessionId: "a", to: "t" })
        const [message] = yield* receiver.receive()
        const copy = ServiceBusMessage.fromReceived(message!, {
          body: { id: "1", total: 2 },
          messageId: undefined,
          contentType: undefined,
          subject: "other",
          sessionId: "b"
        })
        assert.deepStrictEqual(copy, { body: { id: "1", total: 2 }, subject: "other", sessionId: "b", to: "t" })
        const orders = yield* ServiceBusSender.make(
          ServiceBusEntity.queue("orders", { body: Orders.body, sessions: true })
        )
        const id = yield* orders.send(copy)
        assert.match(id, /^[0-9a-f-]{36}$/)
      }))

    test("a body is encoded again by the codec of where it goes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const orders = yield* ServiceBusSender.make(Orders)
        const bytes = yield* ServiceBusReceiver.makeDestructive(
          ServiceBusEntity.queue("orders", { body: ServiceBusBody.sections })
        )
        const texts = yield* ServiceBusSender.make(
          ServiceBusEntity.queue("orders", { body: ServiceBusBody.sections })
        )
        yield* orders.send({ body: { id: "1", total: 2 } })
        const [message] = yield* bytes.receive()
        yield* texts.send(ServiceBusMessage.fromReceived(message!))
        const [again] = yield* emulator.messages(OrderTexts)
        assert.strictEqual(again!.body, "{\"id\":\"1\",\"total\":2}")
        assert.strictEqual(again!.contentType, "application/json")
      }))
  })

describe("Forwarding", () => both(suite))
