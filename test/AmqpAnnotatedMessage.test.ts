/**
 * Annotated messages on the broker and as bytes: every AMQP type survives, and no bytes do harm.
 */
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
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createRequire } from "node:module"
import { Writer } from "../src/internal/amqp/codec/Writer.ts"
import { encodeToSend } from "../src/internal/message/AnnotatedMessage.ts"
import {
  both,
  deliveriesOf,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  testsOf,
  TextBytes,
  Texts
} from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

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

/** A message with its bytes as text: views of bytes and bytes are the same. */
const withBytesAsText = (value: Message): unknown =>
  JSON.parse(JSON.stringify(value, function(key, item: unknown) {
    const given: unknown = (this as Record<string, unknown>)[key]
    if (given instanceof Uint8Array) return `bytes ${Buffer.from(given).toString("hex")}`
    return typeof item === "bigint" ? `${item}n` : item
  }))

const suite = (name: Name, layerFor: LayerFor) =>
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
          assert.deepStrictEqual(withBytesAsText(received as Message), withBytesAsText(sent))
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
            withBytesAsText(Result.getOrThrow(AmqpAnnotatedMessage.fromBytes(bytes))),
            withBytesAsText(annotated)
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
        // The id of a session is its partition key, too: the two of session "a" go together.
        assert.strictEqual(deliveriesOf(sender), 3)
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

const rhea = createRequire(import.meta.url)("rhea/lib/message.js") as {
  readonly encode: (message: object) => Buffer
  readonly decode: (bytes: Buffer) => Record<string, unknown>
}

const bytesOf = (message: Message): Uint8Array => Result.getOrThrow(AmqpAnnotatedMessage.toBytes(message))
const messageOf = (bytes: Uint8Array): Message => Result.getOrThrow(AmqpAnnotatedMessage.fromBytes(bytes))

/** Buffers and other bytes are the same. */
const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") }
  if (DateTime.isDateTime(value)) return { at: DateTime.toEpochMillis(value) }
  if (Duration.isDuration(value)) return { nanos: Duration.toNanos(value) }
  if (value instanceof URL) return { url: value.href }
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return { map: [...value].map(plain) }
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

const same = (actual: unknown, expected: unknown, message?: string) =>
  assert.deepStrictEqual(plain(actual), plain(expected), message)

/** A generator that a seed determines (mulberry32). */
class Random {
  private state: number
  constructor(seed: number) {
    this.state = seed | 0
  }
  below(n: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
  of<A>(items: ReadonlyArray<A>): A {
    return items[this.below(items.length)]!
  }
  list<A>(most: number, item: () => A): Array<A> {
    return Array.from({ length: this.below(most + 1) }, item)
  }
  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.below(256))
  }
  text(): string {
    return this.list(12, () => this.of(["a", "Z", "0", " ", "ü", "語", "😀", "\u0000"])).join("")
  }
  ascii(): string {
    return this.list(12, () => this.of(["a", "-", ":", "9"])).join("")
  }
  long(): bigint {
    return BigInt.asIntN(64, (BigInt(this.below(2 ** 32)) << 32n) | BigInt(this.below(2 ** 32)))
  }
}

const names = [
  "boolean",
  "ubyte",
  "ushort",
  "uint",
  "ulong",
  "byte",
  "short",
  "int",
  "long",
  "float",
  "double",
  "decimal32",
  "decimal64",
  "decimal128",
  "char",
  "timestamp",
  "uuid",
  "binary",
  "string",
  "symbol"
] as const satisfies ReadonlyArray<AmqpValue.TypeName>

/** The value of a type as it is under `Typed`. */
const raw = (random: Random, type: AmqpValue.TypeName): unknown => {
  switch (type) {
    case "boolean":
      return random.below(2) === 1
    case "ubyte":
      return random.of([0, 1, 127, 128, 255])
    case "ushort":
      return random.of([0, 255, 256, 65535])
    case "uint":
      return random.of([0, 1, 255, 256, 4294967295])
    case "ulong":
      return random.of([0n, 1n, 255n, 256n, 2n ** 63n, 2n ** 64n - 1n])
    case "byte":
      return random.of([0, 2, -1, 127, -128])
    case "short":
      return random.of([0, 2, -1, 32767, -32768])
    case "int":
      return random.of([0, 2, -128, 128, 2147483647, -2147483648])
    case "long":
      return random.of([0n, 2n, -1n, 2n ** 63n - 1n, -(2n ** 63n), random.long()])
    case "float":
      return random.of([0, -0, 2, 0.5, -1.5, Infinity, NaN])
    case "double":
      return random.of([0, -0, 2, 1.1, -3, 2 ** 60, Infinity, -Infinity, NaN, 5e-324])
    case "decimal32":
      return random.bytes(4)
    case "decimal64":
      return random.bytes(8)
    case "decimal128":
      return random.bytes(16)
    case "char":
      return random.of(["a", "ü", "😀", "\u0000"])
    case "timestamp":
      return DateTime.makeUnsafe(random.of([0, 1, -1, 1764085990123, 253402300799999]))
    case "uuid":
      return Buffer.from(random.bytes(16)).toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
    case "binary":
      return random.bytes(random.of([0, 1, 300]))
    case "string":
      return random.of([random.text(), "x".repeat(300)])
    case "symbol":
      return random.of([random.ascii(), "x".repeat(300)])
  }
}

/** The types whose plain form is written as the type that it is. */
const isPlain = (type: AmqpValue.TypeName, value: unknown): boolean =>
  ["boolean", "int", "long", "timestamp", "binary", "string"].includes(type) ||
  (type === "double" && (!Number.isSafeInteger(value) || Object.is(value, -0)))

const simple = (random: Random): AmqpValue.AmqpValue => {
  const kind = random.below(24)
  if (kind === 0) return null
  if (kind === 1) return Duration.nanos(BigInt(random.below(1e9)) * 100n)
  if (kind === 2) return new URL(random.of(["https://example.org/a?b=c", "urn:x:y"]))
  if (kind === 3) {
    return AmqpValue.described(
      AmqpValue.symbol("com.microsoft:datetime-offset"),
      638000000000000000n + random.long() % 1000n
    )
  }
  const type = random.of(names)
  const value = raw(random, type)
  return isPlain(type, value) ? value as AmqpValue.AmqpValue : AmqpValue.typed(type, value)
}

const any = (random: Random, depth = 0): AmqpValue.AmqpValue => {
  switch (depth > 3 ? 9 : random.below(12)) {
    case 0:
      return random.list(4, () => any(random, depth + 1))
    case 1:
      return Object.fromEntries(random.list(4, () => [`k${random.text()}`, any(random, depth + 1)] as const))
    case 2:
      return new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([[7n, any(random, depth + 1)], ["b", 1], [
        "a",
        any(random, depth + 1)
      ]])
    case 3:
      return AmqpValue.described(random.of([12345n, AmqpValue.symbol("my:type")]), list(random, depth + 1))
    case 4:
      return array(random, depth)
    default:
      return simple(random)
  }
}

const list = (random: Random, depth: number) => random.list(3, () => any(random, depth))

const array = (random: Random, depth: number): AmqpValue.AmqpArray => {
  const descriptor = random.of([undefined, undefined, 3n, AmqpValue.symbol("a:b")])
  const of = random.of([...names, "null", "list", "map", "array"] as const)
  switch (of) {
    case "null":
      return AmqpValue.array(of, random.list(3, () => null), descriptor)
    case "list":
      return AmqpValue.array(of, random.list(3, () => list(random, depth + 1)), descriptor)
    case "map":
      return AmqpValue.array(of, random.list(3, () => ({ k: any(random, depth + 1) })), descriptor)
    case "array":
      return AmqpValue.array(
        of,
        random.list(2, () => depth > 3 ? AmqpValue.array("int", [1]) : array(random, depth + 1))
      )
    default:
      return AmqpValue.array(of, random.list(4, () => raw(random, of)), descriptor)
  }
}

const record = (random: Random, value: () => AmqpValue.AmqpValue, key: () => string) =>
  Object.fromEntries(random.list(4, () => [`x-${key()}`, value()] as const))

const maybe = <K extends string, A>(random: Random, key: K, value: () => A): Partial<Record<K, A>> =>
  random.below(3) === 0 ? {} : { [key]: value() } as Record<K, A>

const time = (random: Random) => raw(random, "timestamp") as DateTime.Utc

const id = (random: Random): AmqpValue.MessageId =>
  random.of<AmqpValue.MessageId>([
    random.text(),
    random.of([0n, 5n, 2n ** 64n - 1n]),
    AmqpValue.uuid(raw(random, "uuid") as string),
    random.bytes(5)
  ])

const body = (random: Random): Message["body"] => {
  switch (random.below(5)) {
    case 0:
      return { kind: "data", data: random.bytes(random.of([0, 10, 300])) }
    case 1:
      return { kind: "data", data: [random.bytes(3), random.bytes(0), random.bytes(300)] }
    case 2:
      return { kind: "value", value: any(random) }
    case 3:
      return { kind: "sequence", sequences: [list(random, 0), ...random.list(2, () => list(random, 0))] }
    default:
      return { kind: "empty" }
  }
}

const message = (random: Random): Message => ({
  ...maybe(random, "header", () => ({
    ...maybe(random, "durable", () => random.below(2) === 1),
    ...maybe(random, "priority", () => random.below(256)),
    ...maybe(random, "timeToLive", () => Duration.millis(random.of([0, 1, 1000, 4294967295]))),
    ...maybe(random, "firstAcquirer", () => random.below(2) === 1),
    ...maybe(random, "deliveryCount", () => random.of([0, 1, 300]))
  })),
  ...maybe(random, "deliveryAnnotations", () => record(random, () => any(random), () => random.ascii())),
  ...maybe(random, "messageAnnotations", () => record(random, () => any(random), () => random.ascii())),
  ...maybe(random, "properties", () => ({
    ...maybe(random, "messageId", () => id(random)),
    ...maybe(random, "userId", () => random.bytes(4)),
    ...maybe(random, "to", () => random.text()),
    ...maybe(random, "subject", () => random.text()),
    ...maybe(random, "replyTo", () => random.text()),
    ...maybe(random, "correlationId", () => id(random)),
    ...maybe(random, "contentType", () => random.ascii()),
    ...maybe(random, "contentEncoding", () => random.ascii()),
    ...maybe(random, "absoluteExpiryTime", () => time(random)),
    ...maybe(random, "creationTime", () => time(random)),
    ...maybe(random, "groupId", () => random.text()),
    ...maybe(random, "groupSequence", () => random.of([0, 4294967295])),
    ...maybe(random, "replyToGroupId", () => random.text())
  })),
  ...maybe(random, "applicationProperties", () => record(random, () => simple(random), () => random.text())),
  body: body(random),
  ...maybe(random, "footer", () => record(random, () => any(random), () => random.ascii()))
})

describe("annotated messages as bytes", () => {
  it.prop("every message survives, and its bytes are what they were", [Schema.Int], ([seed]) => {
    const given = message(new Random(seed))
    const bytes = bytesOf(given)
    const read = bytes.length === 0 ? given : messageOf(bytes)
    same(read, given)
    same(bytesOf(read), bytes)
  }, { arbitrary: { seed: 3, runs: 1500 } })

  it("a message without any section is no bytes, and no bytes are no message", () => {
    same(bytesOf({ body: { kind: "empty" } }), new Uint8Array(0))
    const result = AmqpAnnotatedMessage.fromBytes(new Uint8Array(0))
    assert.isTrue(Result.isFailure(result))
  })

  it("what rhea writes comes with its types", () => {
    const bytes = rhea.encode({
      durable: true,
      ttl: 5000,
      message_id: "id",
      group_id: "g",
      creation_time: 1000,
      application_properties: { n: 2, text: "t", yes: true, half: 0.5 },
      message_annotations: { "x-a": 7 },
      body: "value"
    })
    same(messageOf(bytes), {
      header: { durable: true, timeToLive: Duration.seconds(5) },
      messageAnnotations: { "x-a": AmqpValue.typed("uint", 7) },
      properties: { messageId: "id", groupId: "g", creationTime: DateTime.makeUnsafe(1000) },
      // A positive integer is a uint to rhea.
      applicationProperties: { n: AmqpValue.typed("uint", 2), text: "t", yes: true, half: 0.5 },
      body: { kind: "value", value: "value" }
    })
  })

  it("rhea reads what is written", () => {
    const read = rhea.decode(Buffer.from(bytesOf({
      header: { durable: true, priority: 4 },
      properties: { messageId: "id", subject: "s", groupSequence: 3 },
      applicationProperties: { ubyte: AmqpValue.typed("ubyte", 5) },
      body: { kind: "sequence", sequences: [[1, 2], ["three"]] }
    })))
    assert.deepInclude(read, { durable: true, priority: 4, message_id: "id", subject: "s", group_sequence: 3 })
    assert.deepStrictEqual(read["application_properties"], { ubyte: 5 })
  })

  it("a field of another type than AMQP gives it is left out", () => {
    const list = Buffer.concat([Buffer.from([0, 0x53, 0x73, 0xc0, 7, 4]), Buffer.from([0x52, 1, 0x41, 0x42, 0x54, 9])])
    same(messageOf(list), { properties: { messageId: 1n }, body: { kind: "empty" } })
  })

  const outcome = (bytes: Uint8Array): void => {
    const read = AmqpAnnotatedMessage.fromBytes(bytes)
    if (Result.isFailure(read)) {
      assert.strictEqual(read.failure._tag, "MessageDecodeError")
      assert.strictEqual(read.failure.part, "message")
      return
    }
    // What can be read can be written, unless a value is out of the range of its field.
    const written = AmqpAnnotatedMessage.toBytes(read.success)
    if (Result.isFailure(written)) assert.strictEqual(written.failure._tag, "MessageEncodeError")
    else if (written.success.length > 0) same(messageOf(written.success), read.success)
  }

  it.prop("truncated and damaged bytes are a message or a MessageDecodeError", [Schema.Int], ([seed]) => {
    const random = new Random(seed)
    const bytes = bytesOf(message(random))
    if (bytes.length === 0) return
    outcome(bytes.subarray(0, random.below(bytes.length)))
    for (let i = 0; i < 20; i++) {
      const damaged = Uint8Array.from(bytes)
      for (let n = random.below(4); n >= 0; n--) damaged[random.below(bytes.length)] = random.below(256)
      outcome(damaged)
    }
  }, { arbitrary: { seed: 4, runs: 400 } })

  it.prop("so are random bytes", [Schema.Int], ([seed]) => {
    const random = new Random(seed)
    const code = 0x70 + random.below(9)
    for (let i = 0; i < 10; i++) {
      outcome(random.bytes(random.below(64)))
      outcome(Uint8Array.from([0, 0x53, code, ...random.bytes(random.below(64))]))
    }
  }, { arbitrary: { seed: 5, runs: 500 } })

  describe("a time to live", () => {
    const now = 1_764_000_000_000
    const time = (millis: number) => DateTime.makeUnsafe(millis)
    const max = Duration.millis(4294967295)
    const days = (count: number) => Duration.days(count)
    const sent = (header: AmqpAnnotatedMessage.Header, properties: AmqpAnnotatedMessage.Properties = {}) => {
      const writer = new Writer()
      encodeToSend(writer, { header, properties, body: { kind: "empty" } }, { currentTimeMillisUnsafe: () => now })
      const { header: written, properties: { absoluteExpiryTime, creationTime } = {} } = messageOf(writer.take())
      return [written?.timeToLive, creationTime, absoluteExpiryTime]
    }

    it("is sent with the pair that says the same", () => {
      assert.deepStrictEqual(sent({ timeToLive: Duration.seconds(60) }), [
        Duration.seconds(60),
        time(now),
        time(now + 60_000)
      ])
      assert.deepStrictEqual(sent({ timeToLive: days(100) }), [max, time(now), time(now + 8_640_000_000)])
      assert.deepStrictEqual(sent({ timeToLive: Duration.infinity }), [undefined, undefined, undefined])
      // Service Bus's clients take 0 for none.
      assert.deepStrictEqual(sent({ timeToLive: Duration.zero }), [Duration.zero, undefined, undefined])
      assert.deepStrictEqual(sent({}, { creationTime: time(1), absoluteExpiryTime: time(3) }), [
        undefined,
        time(1),
        time(3)
      ])
    })

    it("leaves a pair that says the same as it is; else the header goes before the expiry, and the creation stays", () => {
      const pair = { creationTime: time(5), absoluteExpiryTime: time(8_640_000_005) }
      const written = [max, pair.creationTime, pair.absoluteExpiryTime]
      assert.deepStrictEqual(sent({ timeToLive: days(100) }, pair), written)
      // As it was received.
      assert.deepStrictEqual(sent({ timeToLive: max }, pair), written)
      assert.deepStrictEqual(sent({ timeToLive: Duration.millis(7) }, pair), [Duration.millis(7), time(5), time(12)])
      assert.deepStrictEqual(sent({ timeToLive: days(50) }, pair), [max, time(5), time(4_320_000_005)])
      assert.deepStrictEqual(sent({ timeToLive: Duration.millis(7) }, { absoluteExpiryTime: time(9) }), [
        Duration.millis(7),
        time(now),
        time(now + 7)
      ])
    })

    it("in bytes is as it is; one that the header cannot hold needs the pair", () => {
      const body = { kind: "empty" } as const
      const header = { timeToLive: days(100) }
      const refused = AmqpAnnotatedMessage.toBytes({ header, body })
      assert.isTrue(Result.isFailure(refused) && refused.failure.part === "timeToLive")
      const properties = { creationTime: time(5), absoluteExpiryTime: time(8_640_000_005) }
      same(messageOf(bytesOf({ header, properties, body })), { header: { timeToLive: max }, properties, body })
      same(messageOf(bytesOf({ header: { timeToLive: Duration.millis(1) }, properties, body })), {
        header: { timeToLive: Duration.millis(1) },
        properties,
        body
      })
    })
  })

  it("what has no AMQP form names its place", () => {
    const bad: ReadonlyArray<readonly [string, Partial<Message>]> = [
      ["body", { body: undefined as never }],
      ["body", { body: { kind: "other" } as never }],
      ["body", { body: { kind: "value", value: Symbol("x") as never } }],
      ["priority", { header: { priority: 256 } }],
      ["durable", { header: { durable: "yes" as never } }],
      ["timeToLive", { header: { timeToLive: 5 as never } }],
      ["userId", { properties: { userId: "me" as never } }],
      ["to", { properties: { to: 1 as never } }],
      ["groupId", { properties: { groupId: 1 as never } }],
      ["messageId", { properties: { messageId: {} as never } }],
      ["contentType", { properties: { contentType: "ü" } }],
      ["creationTime", { properties: { creationTime: new Date() as never } }],
      ["applicationProperties \"a\"", { applicationProperties: { a: [1] } }],
      ["applicationProperties \"a\"", { applicationProperties: { a: AmqpValue.described(1n, 1) } }],
      ["messageAnnotations \"a\"", { messageAnnotations: { a: AmqpValue.array("list", [1]) } }],
      ["footer \"a\"", { footer: { a: AmqpValue.array("nothing" as never, []) } }],
      ["header", { header: null as never }],
      ["deliveryAnnotations", { deliveryAnnotations: null as never }],
      ["messageAnnotations", { messageAnnotations: 5 as never }],
      ["properties", { properties: null as never }],
      ["applicationProperties", { applicationProperties: null as never }],
      ["footer", { footer: null as never }],
      ["body", { body: { kind: "data", data: 5 as never } }],
      ["body", { body: { kind: "data", data: [1 as never] } }],
      ["body", { body: { kind: "sequence" } as never }],
      ["body", { body: { kind: "sequence", sequences: [1 as never] } }]
    ]
    for (const [part, fields] of bad) {
      const result = AmqpAnnotatedMessage.toBytes({ body: { kind: "empty" }, ...fields })
      assert.isTrue(Result.isFailure(result), part)
      if (Result.isFailure(result)) assert.strictEqual(result.failure.part, part)
    }
    // And the next one is not harmed.
    same(messageOf(bytesOf({ body: { kind: "value", value: 1 } })), { body: { kind: "value", value: 1 } })
  })

  it.effect("Wire is a schema of bytes, and base64 in JSON", () =>
    Effect.gen(function*() {
      const given = message(new Random(1))
      const { Wire } = AmqpAnnotatedMessage
      const bytes = yield* Schema.encodeEffect(Wire)(given)
      same(bytes, bytesOf(given))
      same(yield* Schema.decodeEffect(Wire)(bytes), given)
      const json = Schema.toCodecJson(Wire)
      const text = yield* Schema.encodeEffect(json)(given)
      assert.strictEqual(text, Buffer.from(bytes).toString("base64"))
      same(yield* Schema.decodeEffect(json)(text), given)
      const exit = yield* Effect.exit(Schema.decodeEffect(Wire)(Uint8Array.from([0, 0x53, 0x70])))
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) assert.include(String(exit.cause), "cannot be decoded")
    }))
})

describe("annotated messages on the broker", () => both(suite))
