import { assert, describe } from "@effect/vitest"
import {
  AmqpAnnotatedMessage,
  AmqpValue,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { deliveriesOf, failsWith, idsOf, type LayerFor, type Name, testsOf, TextBytes, Texts } from "./harness.ts"

type Message = AmqpAnnotatedMessage.AmqpAnnotatedMessage

/** What the broker adds is taken away. */
const withoutBroker = ({ deliveryAnnotations = {}, messageAnnotations = {}, ...rest }: Message): Message => {
  const own = (annotations: object) =>
    Object.entries(annotations).filter(([key]) => !key.startsWith("x-opt-") || /partition/.test(key))
  const kept = own(messageAnnotations)
  const delivered = own(deliveryAnnotations)
  return {
    ...rest,
    ...(kept.length === 0 ? {} : { messageAnnotations: Object.fromEntries(kept) }),
    ...(delivered.length === 0 ? {} : { deliveryAnnotations: Object.fromEntries(delivered) })
  }
}

const fields = {
  messageAnnotations: { "x-mine": AmqpValue.typed("ushort", 3), "x-opt-partition-key": "p" },
  properties: {
    messageId: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff"),
    userId: Uint8Array.of(1, 2),
    to: "to",
    subject: "subject",
    replyTo: "reply",
    correlationId: 7n,
    contentType: "text/x",
    contentEncoding: "gzip",
    creationTime: DateTime.makeUnsafe(1000),
    groupSequence: 5,
    replyToGroupId: "reply session"
  },
  applicationProperties: {
    int: 2,
    uint: AmqpValue.typed("uint", 2),
    long: 2n,
    ulong: AmqpValue.typed("ulong", 2n),
    double: AmqpValue.typed("double", 2),
    float: AmqpValue.typed("float", 2),
    symbol: AmqpValue.symbol("s"),
    char: AmqpValue.typed("char", "c"),
    offset: AmqpValue.described(AmqpValue.symbol("com.microsoft:datetime-offset"), 638000000000000000n)
  },
  footer: { "x-foot": AmqpValue.typed("byte", -1) }
} satisfies Partial<Message>

const bodies: ReadonlyArray<Message["body"]> = [
  { kind: "data", data: Uint8Array.of(1, 2, 3) },
  { kind: "data", data: [Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3)] },
  { kind: "value", value: { n: AmqpValue.typed("ubyte", 1), list: [1, 2n, "three"] } },
  { kind: "value", value: AmqpValue.array("ushort", [1, 2]) },
  { kind: "sequence", sequences: [[1, AmqpValue.typed("uint", 2)], []] },
  { kind: "empty" }
]

/** Views of bytes and bytes are the same. */
const plain = (value: Message): unknown =>
  JSON.parse(JSON.stringify(value, function(key, item: unknown) {
    const given: unknown = (this as Record<string, unknown>)[key]
    if (given instanceof Uint8Array) return `bytes ${Buffer.from(given).toString("hex")}`
    return typeof item === "bigint" ? `${item}n` : item
  }))

export const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    test("a message arrives as it was sent, whatever its body", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.makeDestructive(
          ServiceBusEntity.queue("texts", { body: ServiceBusBody.sections })
        )
        for (const body of bodies) {
          const sent: Message = { ...fields, body }
          assert.strictEqual(yield* sender.sendAnnotated(sent), "00112233-4455-6677-8899-aabbccddeeff")
          const [message] = yield* receiver.receive()
          const { header, ...received } = withoutBroker(AmqpAnnotatedMessage.fromReceived(message!))
          assert.deepStrictEqual(plain(received as Message), plain(sent))
          assert.strictEqual(header?.deliveryCount, 0)
        }
      }))

    test("every received message has its sections and its bytes: peeked, locked, destructive, and in the broker", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.send({
          body: "text",
          messageId: "m",
          timeToLive: "1 hour",
          applicationProperties: { n: AmqpValue.typed("short", 2) }
        })
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [peeked] = yield* receiver.peek()
        const [locked] = yield* receiver.receive()
        const [stored] = yield* emulator.messages(Texts)
        yield* receiver.abandon(locked!)
        const destructive = yield* ServiceBusReceiver.makeDestructive(Texts)
        const [deleted] = yield* destructive.receive()
        for (const message of [peeked!, locked!, stored!, deleted!]) {
          const annotated = AmqpAnnotatedMessage.fromReceived(message)
          assert.strictEqual(annotated.properties?.messageId, "m")
          assert.strictEqual(Duration.toMillis(annotated.header!.timeToLive!), 3_600_000)
          assert.deepStrictEqual(annotated.applicationProperties, { n: AmqpValue.typed("short", 2) })
          assert.strictEqual(annotated.messageAnnotations?.["x-opt-sequence-number"], 1n)
          assert.strictEqual(annotated.body.kind, "data")
          const bytes = AmqpAnnotatedMessage.bytesOfReceived(message)
          assert.strictEqual(bytes.length, message.size)
          assert.deepStrictEqual(
            plain(Result.getOrThrow(AmqpAnnotatedMessage.fromBytes(bytes))),
            plain(annotated)
          )
        }
        assert.isTrue(DateTime.isDateTime(
          AmqpAnnotatedMessage.fromReceived(locked!).messageAnnotations?.["x-opt-locked-until"]
        ))
        assert.throws(() => AmqpAnnotatedMessage.fromReceived({ ...locked! }), TypeError)
      }))

    test("a message that is kept as bytes can be sent again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const destructive = yield* ServiceBusReceiver.makeDestructive(TextBytes)
        yield* sender.send({ body: "kept", messageId: "m", subject: "s" })
        const [message] = yield* destructive.receive()
        const kept = AmqpAnnotatedMessage.bytesOfReceived(message!)
        yield* sender.sendAnnotated(yield* Effect.fromResult(AmqpAnnotatedMessage.fromBytes(kept)))
        const [again] = yield* emulator.messages(Texts)
        assert.deepInclude(again, { body: "kept", messageId: "m", subject: "s", sequenceNumber: 2n })
      }))

    test("many go in batches, in order, and get the ids that are missing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const data = (i: number): Message["body"] => ({ kind: "data", data: `body ${i}` })
        const ids = yield* sender.sendAnnotated([
          { body: data(0), properties: { messageId: "0" } },
          { body: data(1) },
          { body: data(2), properties: { messageId: "2", groupId: "a" } },
          {
            body: data(3),
            properties: { messageId: "3", groupId: "a" },
            messageAnnotations: { "x-opt-partition-key": "a" }
          },
          { body: data(4), messageAnnotations: { "x-opt-partition-key": AmqpValue.symbol("b") } }
        ])
        assert.match(ids[1]!, /^[0-9a-f-]{36}$/)
        const messages = yield* emulator.messages(Texts)
        assert.deepStrictEqual(idsOf(messages), ids)
        assert.deepStrictEqual(messages.map(({ body }) => body), [0, 1, 2, 3, 4].map((i) => `body ${i}`))
        assert.strictEqual(deliveriesOf(sender), 4)
        assert.deepStrictEqual(yield* sender.sendAnnotated([]), [])
      }))

    test("ids, keys, sizes and sessions are checked before the wire", () =>
      Effect.gen(function*() {
        const long = "x".repeat(129)
        const empty = { kind: "empty" } as const
        const texts = yield* ServiceBusSender.make(Texts)
        const sessions = yield* ServiceBusSender.make(
          ServiceBusEntity.queue("texts", { body: ServiceBusBody.text, sessions: true })
        )
        const bad: ReadonlyArray<readonly [string, Message]> = [
          ["messageId", { body: empty, properties: { messageId: long } }],
          ["sessionId", { body: empty, properties: { groupId: long } }],
          ["replyToSessionId", { body: empty, properties: { replyToGroupId: long } }],
          ["partitionKey", { body: empty, messageAnnotations: { "x-opt-partition-key": long } }],
          ["partitionKey", { body: empty, messageAnnotations: { "x-opt-partition-key": 7 } }],
          ["viaPartitionKey", { body: empty, messageAnnotations: { "x-opt-via-partition-key": long } }],
          [
            "partitionKey",
            { body: empty, properties: { groupId: "a" }, messageAnnotations: { "x-opt-partition-key": "b" } }
          ],
          ["applicationProperties", { body: empty, applicationProperties: { list: [] } }],
          ["message", undefined as never],
          ["body", {} as never]
        ]
        for (const [part, message] of bad) {
          const one = yield* texts.sendAnnotated(message).pipe(failsWith("MessageEncodeError"))
          assert.include(one.part, part)
          assert.strictEqual(one.entity, "texts")
          yield* texts.sendAnnotated([{ body: empty }, message]).pipe(failsWith("MessageEncodeError"))
        }
        const error = yield* sessions.sendAnnotated({ body: empty }).pipe(failsWith("MessageEncodeError"))
        assert.strictEqual(error.part, "sessionId")
        yield* texts.sendAnnotated({ body: { kind: "data", data: "x".repeat(2000) } }).pipe(
          failsWith("MessageSizeExceededError")
        )
        assert.strictEqual(deliveriesOf(texts), 0)
        yield* sessions.sendAnnotated({ body: empty, properties: { groupId: "a" } })
      }), { texts: { maxMessageSize: 1000 } })
  })
