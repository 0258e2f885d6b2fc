/** Messages as bytes: every field and body survives, what cannot be encoded names its part, and rhea reads the same. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { createRequire } from "node:module"
import * as AmqpValue from "../../src/AmqpValue.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import * as MessageEncoder from "../../src/internal/message/MessageEncoder.ts"
import * as ReceivedMessage from "../../src/internal/message/ReceivedMessage.ts"
import type * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import { fromReceived } from "../../src/ServiceBusMessage.ts"
import {
  clock,
  empty,
  encode,
  type Fields,
  guid,
  now,
  payloadOf,
  receive,
  refused,
  sections,
  send,
  time
} from "../support/messages.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { array, described, symbol, typed, uuid } = AmqpValue

const rhea = createRequire(import.meta.url)("rhea")

describe("every field survives", () => {
  const fields = {
    messageId: "id-1",
    correlationId: "correlation",
    sessionId: "session",
    replyTo: "replies",
    replyToSessionId: "reply-session",
    to: "orders",
    subject: "é subject",
    contentType: "application/x-own",
    contentEncoding: "gzip",
    userId: new Uint8Array([1, 2, 255]),
    partitionKey: "session",
    viaPartitionKey: "via",
    timeToLive: "90 seconds",
    scheduledEnqueueTime: time(1_700_000_000_123),
    groupSequence: 4_000_000_000,
    creationTime: time(1_600_000_000_001),
    absoluteExpiryTime: time(1_600_000_090_001),
    durable: true,
    priority: 255,
    applicationProperties: {
      text: "é",
      int: 1,
      long: 9007199254740993n,
      ulong: 18446744073709551615n,
      double: 1.5,
      boolean: false,
      nothing: null,
      uuid: uuid(guid),
      time: time(1),
      duration: Duration.millis(5),
      url: new URL("http://a.b/"),
      bytes: new Uint8Array([7]),
      char: typed("char", "x"),
      float: typed("float", 0.5)
    },
    messageAnnotations: { "x-own": "annotation", "x-list": [1, { deep: true }] },
    deliveryAnnotations: { "x-delivery": 1n },
    footer: { "x-footer": symbol("end") }
  } as const satisfies Fields

  for (
    const [name, make] of [["Locked", receive], [
      "Destructive",
      (bytes: Buffer) => new ReceivedMessage.Destructive(sections(bytes), "the body")
    ]] as const
  ) {
    it(`${name}: all at once`, () => {
      const bytes = encode(fields, { kind: "data", data: "{}" }, "text/plain")
      const message = make(bytes)
      assert.strictEqual(message._tag, name)
      assert.strictEqual(message.body, "the body")
      assert.strictEqual(message.messageId, "id-1")
      assert.strictEqual(message.amqpMessageId, "id-1")
      assert.strictEqual(message.correlationId, "correlation")
      assert.strictEqual(message.amqpCorrelationId, "correlation")
      assert.strictEqual(message.sessionId, "session")
      assert.strictEqual(message.replyTo, "replies")
      assert.strictEqual(message.replyToSessionId, "reply-session")
      assert.strictEqual(message.to, "orders")
      assert.strictEqual(message.subject, "é subject")
      assert.strictEqual(message.contentType, "application/x-own")
      assert.strictEqual(message.contentEncoding, "gzip")
      assert.deepStrictEqual(Array.from(message.userId!), [1, 2, 255])
      assert.strictEqual(message.partitionKey, "session")
      assert.strictEqual(message.viaPartitionKey, "via")
      assert.deepStrictEqual(message.timeToLive, Duration.seconds(90))
      assert.deepStrictEqual(message.scheduledEnqueueTime, time(1_700_000_000_123))
      assert.strictEqual(message.groupSequence, 4_000_000_000)
      assert.deepStrictEqual(message.creationTime, time(1_600_000_000_001))
      assert.deepStrictEqual(message.absoluteExpiryTime, time(1_600_000_090_001))
      assert.strictEqual(message.durable, true)
      assert.strictEqual(message.priority, 255)
      assert.strictEqual(message.firstAcquirer, false)
      assert.strictEqual(message.deliveryCount, 0)
      assert.strictEqual(message.size, bytes.length)

      const properties = message.applicationProperties
      assert.deepStrictEqual(Object.keys(properties), Object.keys(fields.applicationProperties))
      assert.strictEqual(properties["text"], "é")
      assert.strictEqual(properties["int"], 1)
      assert.strictEqual(properties["long"], 9007199254740993n)
      assert.strictEqual(properties["ulong"], 18446744073709551615n)
      assert.strictEqual(properties["double"], 1.5)
      assert.strictEqual(properties["boolean"], false)
      assert.strictEqual(properties["nothing"], null)
      assert.deepStrictEqual(properties["uuid"], uuid(guid))
      assert.deepStrictEqual(properties["time"], time(1))
      assert.isTrue(Duration.Equivalence(properties["duration"] as Duration.Duration, Duration.millis(5)))
      assert.strictEqual(String(properties["url"]), "http://a.b/")
      assert.deepStrictEqual(Array.from(properties["bytes"] as Uint8Array), [7])
      assert.deepStrictEqual(properties["char"], typed("char", "x"))
      assert.strictEqual(properties["float"], 0.5)

      assert.strictEqual(message.messageAnnotations["x-own"], "annotation")
      assert.deepStrictEqual(message.messageAnnotations["x-list"], [1, { deep: true }])
      assert.deepStrictEqual(message.deliveryAnnotations, { "x-delivery": 1n })
      assert.deepStrictEqual(message.footer, { "x-footer": symbol("end") })
      const body = sections(bytes).readBody()
      assert(body.kind === "data")
      assert.strictEqual(String(body.data), "{}")
    })
  }

  it("none: what a peer does not say is undefined", () => {
    const message = new ReceivedMessage.Destructive(sections(Buffer.alloc(0)), undefined)
    assert.strictEqual(message.messageId, "")
    for (
      const field of [
        "amqpMessageId",
        "correlationId",
        "amqpCorrelationId",
        "sessionId",
        "replyTo",
        "replyToSessionId",
        "to",
        "subject",
        "contentType",
        "contentEncoding",
        "userId",
        "partitionKey",
        "viaPartitionKey",
        "timeToLive",
        "scheduledEnqueueTime",
        "groupSequence",
        "creationTime",
        "absoluteExpiryTime",
        "priority",
        "enqueuedSequenceNumber",
        "expiresAt",
        "deadLetterReason",
        "deadLetterErrorDescription",
        "deadLetterSource"
      ] as const
    ) assert.strictEqual(message[field], undefined, field)
    for (const field of ["applicationProperties", "messageAnnotations", "deliveryAnnotations", "footer"] as const) {
      assert.deepStrictEqual(message[field], {}, field)
    }
    assert.strictEqual(message.durable, false)
    assert.strictEqual(message.firstAcquirer, false)
    assert.strictEqual(message.deliveryCount, 0)
    assert.strictEqual(message.sequenceNumber, 0n)
    assert.strictEqual(message.state, "active")
    assert.strictEqual(message.size, 0)
    assert.strictEqual(DateTime.toEpochMillis(receive(Buffer.alloc(0)).lockedUntil), 0)
  })

  for (const field of Object.keys(fields) as ReadonlyArray<keyof typeof fields>) {
    it(`${field} alone`, () => {
      const all = send(fields)
      const alone = send({ [field]: fields[field] })
      assert.deepStrictEqual(
        field === "messageAnnotations" ? Object.keys(alone[field]) : alone[field],
        field === "messageAnnotations" ? Object.keys(fields[field]) : all[field]
      )
    })
  }

  it("message ids keep their AMQP type", () => {
    const ids: ReadonlyArray<readonly [AmqpValue.MessageId, string]> = [
      ["", ""],
      ["x".repeat(128), "x".repeat(128)],
      [0n, "0"],
      [18446744073709551615n, "18446744073709551615"],
      [uuid(guid), guid],
      [new Uint8Array([0, 255]), "00ff"]
    ]
    for (const [id, text] of ids) {
      const message = send({ messageId: id, correlationId: id })
      for (const got of [message.amqpMessageId, message.amqpCorrelationId]) {
        if (id instanceof Uint8Array) assert.deepStrictEqual(Array.from(got as Uint8Array), Array.from(id))
        else assert.deepStrictEqual(got, id)
      }
      assert.strictEqual(message.messageId, text)
      assert.strictEqual(message.correlationId, text)
    }
  })

  it("encode gives the id, and a new uuid where there is none", () => {
    const writer = new Writer()
    assert.strictEqual(MessageEncoder.encode(writer, { body: undefined, messageId: 7n }, empty, undefined, clock), "7")
    writer.take()
    const id = MessageEncoder.encode(writer, { body: undefined }, empty, undefined, clock)
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.strictEqual(receive(writer.take()).messageId, id)
    assert.notStrictEqual(send({}).messageId, send({}).messageId)
  })

  it("the content type of the codec is the message's where it names none", () => {
    assert.strictEqual(send({}, empty, "text/plain").contentType, "text/plain")
    assert.strictEqual(send({ contentType: "a/b" }, empty, "text/plain").contentType, "a/b")
    assert.strictEqual(send({}).contentType, undefined)
  })

  // The header, expiry and creation as .NET and JavaScript write them; 253402243199000 is 9999-12-31T07:59:59Z.
  const lifetimes: ReadonlyArray<
    readonly [name: string, timeToLive: Duration.Input, ttl: number, expiry: number, read: number | undefined]
  > = [
    ["a millisecond", 1, 1, now + 1, 1],
    ["a fraction, rounded down", Duration.micros(1999n), 1, now + 1, 1],
    ["a minute", "60 seconds", 60_000, now + 60_000, 60_000],
    ["the most that 32 bits hold", 4294967295, 4294967295, now + 4294967295, 4294967295],
    ["a millisecond more", 4294967296, 4294967295, now + 4294967296, 4294967296],
    ["100 days", "100 days", 4294967295, now + 8_640_000_000, 8_640_000_000],
    ["longer than there are years", Duration.days(4_000_000), 4294967295, 253402243199000, undefined]
  ]
  for (const [name, timeToLive, ttl, expiry, read] of lifetimes) {
    it(`time to live: ${name}`, () => {
      const bytes = encode({ timeToLive })
      const raw = sections(bytes)
      assert.strictEqual(raw.readList(raw.header)[2], ttl)
      const properties = raw.readList(raw.properties)
      assert.deepStrictEqual([properties[8], properties[9]], [time(expiry), time(now)])
      const message = receive(bytes)
      assert.strictEqual(message.timeToLive && Duration.toMillis(message.timeToLive), read)
    })
  }

  it("a time to live that never ends is not written: an infinite one, and TimeSpan.MaxValue of .NET", () => {
    for (const timeToLive of [Duration.infinity, Infinity, "Infinity", 922337203685477] as const) {
      const bytes = encode({ timeToLive, messageId: "m" })
      assert.strictEqual(bytes.toString("hex"), encode({ messageId: "m" }).toString("hex"))
      assert.isUndefined(receive(bytes).timeToLive)
      assert.isUndefined(receive(bytes).expiresAt)
    }
  })

  it("the clock is not asked for a message without a time to live", () => {
    const writer = new Writer()
    const unasked = { currentTimeMillisUnsafe: () => assert.fail("asked") }
    MessageEncoder.encode(writer, { body: undefined, creationTime: time(1) }, empty, undefined, unasked)
    MessageEncoder.encode(writer, { body: undefined, timeToLive: 5, creationTime: time(1) }, empty, undefined, unasked)
  })

  it("a creation time of the sender's own stays, and the expiry is counted from it", () => {
    const message = send({ timeToLive: "100 days", creationTime: time(5), absoluteExpiryTime: time(6) })
    assert.deepStrictEqual(message.creationTime, time(5))
    assert.deepStrictEqual(message.absoluteExpiryTime, time(8_640_000_005))
    assert.deepStrictEqual(message.timeToLive, Duration.days(100))
    // No expiry that can be written says so.
    assert.strictEqual(refused({ timeToLive: 60_000, creationTime: time(253402243199000) }).part, "creationTime")
  })

  it("times without a time to live stay as they are, and are one", () => {
    const message = send({ creationTime: time(5), absoluteExpiryTime: time(605) })
    assert.deepStrictEqual([message.creationTime, message.absoluteExpiryTime], [time(5), time(605)])
    assert.deepStrictEqual(message.timeToLive, Duration.millis(600))
    assert.isUndefined(send({ absoluteExpiryTime: time(605) }).timeToLive)
    assert.isUndefined(send({ creationTime: time(605), absoluteExpiryTime: time(5) }).timeToLive)
  })

  it("a message is sent on with the time to live that its sender meant", () => {
    for (const timeToLive of [Duration.seconds(60), Duration.days(100)]) {
      const copy = fromReceived(send({ timeToLive }))
      assert.isTrue(Duration.Equivalence(copy.timeToLive as Duration.Duration, timeToLive))
      const retried = receive(payloadOf(send({ timeToLive }), { enqueueAt: now + 1000, now: now + 500 }))
      assert.deepStrictEqual(retried.timeToLive, timeToLive)
      assert.strictEqual(sections(payloadOf(retried, { enqueueAt: 1, now })).header >= 0, true)
      assert.deepStrictEqual(retried.creationTime, time(now))
    }
    // A peer that wrote the pair alone, or the header alone.
    const paired = receive(
      payloadOf(send({ creationTime: time(5), absoluteExpiryTime: time(605) }), { enqueueAt: 1, now })
    )
    assert.deepStrictEqual(paired.timeToLive, Duration.millis(600))
    const headed = payloadOf(receive(rhea.message.encode({ ttl: 70_000, body: "" })), { enqueueAt: 1, now })
    assert.deepStrictEqual(receive(headed).timeToLive, Duration.seconds(70))
    assert.deepStrictEqual(receive(headed).absoluteExpiryTime, time(now + 70_000))
  })

  it("a time with a fraction of a millisecond is rounded down", () => {
    const late = DateTime.addDuration(time(5), Duration.micros(1500n))
    const message = send({ scheduledEnqueueTime: late, creationTime: late, absoluteExpiryTime: late })
    assert.deepStrictEqual(message.scheduledEnqueueTime, time(6))
    assert.deepStrictEqual(message.creationTime, time(6))
    assert.deepStrictEqual(message.absoluteExpiryTime, time(6))
  })

  it("undefined values of maps are left out; null is a value", () => {
    const message = send({
      applicationProperties: { a: undefined, b: null },
      messageAnnotations: { a: undefined, b: null },
      footer: { a: undefined }
    })
    assert.deepStrictEqual(message.applicationProperties, { b: null })
    assert.deepStrictEqual(message.messageAnnotations, { b: null })
    assert.deepStrictEqual(message.footer, {})
  })

  it("__proto__ as a property name pollutes nothing", () => {
    const own = JSON.parse(`{"__proto__": "x", "a": 1}`)
    const message = send({ applicationProperties: own, messageAnnotations: own, partitionKey: "p" })
    for (const map of [message.applicationProperties, message.messageAnnotations]) {
      assert.isTrue(Object.hasOwn(map, "__proto__"))
      assert.strictEqual(map["a"], 1)
      assert.strictEqual(Object.getPrototypeOf(map), Object.prototype)
    }
  })
})

describe("bodies", () => {
  const body = (value: ServiceBusBody.Sections) =>
    sections(encode({ messageId: "a", footer: { f: 1 } }, value)).readBody()

  it("empty", () => assert.deepStrictEqual(body(empty), empty))

  it("data: bytes, text and several sections", () => {
    const data = (value: Uint8Array | string | ReadonlyArray<Uint8Array>) => {
      const got = body({ kind: "data", data: value })
      assert(got.kind === "data")
      return Array.isArray(got.data) ? got.data.map((part) => Buffer.from(part).toString("hex")) : got.data
    }
    for (const size of [0, 1, 255, 256, 70_000]) {
      assert.deepStrictEqual(Buffer.from(data(new Uint8Array(size).fill(7)) as Buffer), Buffer.alloc(size, 7))
    }
    assert.strictEqual(String(data("é😀")), "é😀")
    assert.strictEqual(String(data("")), "")
    assert.deepStrictEqual(data([new Uint8Array([1]), new Uint8Array(0)]), ["01", ""])
  })

  it("no data sections at all are an empty body", () => assert.deepStrictEqual(body({ kind: "data", data: [] }), empty))

  it("value", () => {
    for (
      const value of [null, 1, "x", [1, [2]], { a: { b: 1n } }, uuid(guid), array("int", [1, 2]), described(5n, true)]
    ) {
      assert.deepStrictEqual(body({ kind: "value", value }), { kind: "value", value })
    }
  })

  it("sequence", () => {
    const sequences = [[1, "a"], [], [[true]]]
    assert.deepStrictEqual(body({ kind: "sequence", sequences }), { kind: "sequence", sequences })
  })
})

describe("what cannot be encoded names its part", () => {
  class Point {
    readonly x = 1
  }
  const cyclic: Record<string, AmqpValue.AmqpValue> = {}
  cyclic["again"] = cyclic
  const long = "x".repeat(129)
  const any = (value: unknown) => value as never
  const cases: ReadonlyArray<readonly [name: string, part: string, fields: Fields, body?: ServiceBusBody.Sections]> = [
    ["message id of 129 characters", "messageId", { messageId: long }],
    ["message id of a number", "messageId", { messageId: any(5) }],
    ["message id null", "messageId", { messageId: any(null) }],
    ["message id ulong -1", "messageId", { messageId: -1n }],
    ["message id over 64 bits", "messageId", { messageId: 2n ** 64n }],
    ["message id bad uuid", "messageId", { messageId: uuid("x") }],
    ["message id uuid of a number", "messageId", { messageId: any(typed("uuid", 5)) }],
    ["message id symbol", "messageId", { messageId: any(symbol("x")) }],
    ["correlation id of an object", "correlationId", { correlationId: any({}) }],
    ["correlation id bad uuid", "correlationId", { correlationId: uuid(guid.slice(2)) }],
    ["session id of 129 characters", "sessionId", { sessionId: long }],
    ["session id of a number", "sessionId", { sessionId: any(5) }],
    ["reply-to session id of 129 characters", "replyToSessionId", { replyToSessionId: long }],
    ["partition key of 129 characters", "partitionKey", { partitionKey: long }],
    ["partition key of a number", "partitionKey", { partitionKey: any(5) }],
    ["partition key unlike the session id", "partitionKey", { partitionKey: "a", sessionId: "b" }],
    ["via partition key of 129 characters", "viaPartitionKey", { viaPartitionKey: long }],
    ["to", "to", { to: any(5) }],
    ["subject", "subject", { subject: any({}) }],
    ["reply-to", "replyTo", { replyTo: any(true) }],
    ["content type of a number", "contentType", { contentType: any(5) }],
    ["content type beyond ASCII", "contentType", { contentType: "é" }],
    ["content encoding of a number", "contentEncoding", { contentEncoding: any(5) }],
    ["content encoding beyond ASCII", "contentEncoding", { contentEncoding: "é" }],
    ["user id of a text", "userId", { userId: any("x") }],
    ["time to live 0", "timeToLive", { timeToLive: 0 }],
    ["time to live below a millisecond", "timeToLive", { timeToLive: Duration.micros(999n) }],
    ["negative time to live", "timeToLive", { timeToLive: -1 }],
    ["negative time to live of a Duration", "timeToLive", { timeToLive: Duration.seconds(-1) }],
    ["negative infinite time to live", "timeToLive", { timeToLive: Duration.negate(Duration.infinity) }],
    ["time to live NaN", "timeToLive", { timeToLive: NaN }],
    ["time to live of a text", "timeToLive", { timeToLive: any("soon") }],
    ["time to live null", "timeToLive", { timeToLive: any(null) }],
    ["priority 256", "priority", { priority: 256 }],
    ["priority -1", "priority", { priority: -1 }],
    ["priority 1.5", "priority", { priority: 1.5 }],
    ["priority of a text", "priority", { priority: any("1") }],
    ["group sequence -1", "groupSequence", { groupSequence: -1 }],
    ["group sequence 2^32", "groupSequence", { groupSequence: 4294967296 }],
    ["group sequence NaN", "groupSequence", { groupSequence: NaN }],
    ["scheduled time of a text", "scheduledEnqueueTime", { scheduledEnqueueTime: any("tomorrow") }],
    ["creation time of a number", "creationTime", { creationTime: any(5) }],
    ["creation time of a Date", "creationTime", { creationTime: any(new Date(5)) }],
    ["absolute expiry time null", "absoluteExpiryTime", { absoluteExpiryTime: any(null) }],
    [
      "absolute expiry time beyond all numbers",
      "absoluteExpiryTime",
      { absoluteExpiryTime: DateTime.addDuration(time(0), Duration.infinity) }
    ],
    ...([
      ["list", [1]],
      ["map", { a: 1 }],
      ["Map", new Map([["a", 1]])],
      ["array", array("int", [1])],
      ["described", described(1n, 1)],
      ["cyclic value", cyclic],
      ["function", () => 1],
      ["JavaScript symbol", Symbol("x")],
      ["infinite Duration", Duration.infinity],
      ["Duration over 64 bits", Duration.nanos(2n ** 63n * 100n)],
      ["invalid Date", new Date(NaN)],
      ["typed invalid Date", typed("timestamp", new Date(NaN))],
      ["bad uuid", uuid("x")],
      ["bigint over 64 bits", 2n ** 64n],
      ["int NaN", typed("int", NaN)],
      ["instance of a class", new Point()]
    ] as const).map(([name, value]) =>
      [`property with ${name}`, `applicationProperties "k"`, {
        applicationProperties: { ok: 1, k: any(value) }
      }] as const
    ),
    ...(["messageAnnotations", "deliveryAnnotations", "footer"] as const).flatMap((map) => [
      [`${map} with a cyclic value`, `${map} "k"`, { [map]: { ok: 1, k: cyclic } }] as const,
      [`${map} with a function`, `${map} "k"`, { [map]: { ok: 1, k: any(() => 1) } }] as const,
      [`${map} with a name beyond ASCII`, `${map} "é"`, { [map]: { é: 1 } }] as const
    ]),
    ["cyclic body value", "body", {}, { kind: "value", value: cyclic }],
    ["body value with a function", "body", {}, { kind: "value", value: [any(() => 1)] }],
    ["body value with an infinite Duration", "body", {}, { kind: "value", value: { a: Duration.infinity } }],
    ["body sequence over 64 bits", "body", {}, { kind: "sequence", sequences: [[1], [2n ** 64n]] }]
  ]
  for (const [name, part, fields, body] of cases) {
    it(name, () => {
      const error = refused(fields, body)
      assert.strictEqual(error.part, part)
      assert.isString(error.description)
      assert.include(error.message, part)
    })
  }

  it("128 characters are allowed, and equal partition key and session id", () => {
    const key = "é".repeat(128)
    const message = send({
      messageId: key,
      sessionId: key,
      partitionKey: key,
      viaPartitionKey: key,
      replyToSessionId: key
    })
    assert.strictEqual(message.messageId, key)
    assert.strictEqual(message.sessionId, key)
    assert.strictEqual(message.partitionKey, key)
  })
})

describe("batches", () => {
  const batch = (first: Fields, messages: ReadonlyArray<Uint8Array>) => {
    const writer = new Writer()
    MessageEncoder.beginBatch(writer, first, "made")
    for (const message of messages) {
      const at = MessageEncoder.beginSection(writer)
      writer.raw(message)
      assert.strictEqual(MessageEncoder.endSection(writer, at), message.length)
    }
    return writer.take()
  }

  it("each message is a data section of its own bytes, also where the writer's block is replaced meanwhile", () => {
    const envelope = batch({}, []).length
    const sizes = [0, 1, 254, 255, 256, 257, 70_000, 70_000]
    const messages = sizes.map((size) => new Uint8Array(size).fill(size % 251))
    const bytes = batch({}, messages)
    assert.strictEqual(bytes.length - envelope, sizes.reduce((sum, size) => sum + size + MessageEncoder.sectionSize, 0))
    const body = sections(bytes).readBody()
    assert(body.kind === "data")
    assert.deepStrictEqual(
      (body.data as ReadonlyArray<Buffer>).map((part, i) => Buffer.compare(part, messages[i]!)),
      sizes.map(() => 0)
    )
  })

  it("the messages come back as they are, under the first one's id, session and keys", () => {
    const messages = [encode({ messageId: "1", sessionId: "s" }), encode({ messageId: "2", sessionId: "s" })]
    const bytes = batch({ sessionId: "s", partitionKey: "s", viaPartitionKey: "v", messageId: "1" }, messages)
    const envelope = receive(bytes)
    assert.strictEqual(envelope.sessionId, "s")
    assert.strictEqual(envelope.partitionKey, "s")
    assert.strictEqual(envelope.viaPartitionKey, "v")
    assert.strictEqual(envelope.messageId, "1")
    assert.strictEqual(receive(batch({}, messages)).messageId, "made")
    assert.deepStrictEqual(receive(batch({ messageId: uuid(guid) }, messages)).amqpMessageId, uuid(guid))
    const body = sections(bytes).readBody()
    assert(body.kind === "data")
    assert.deepStrictEqual((body.data as ReadonlyArray<Buffer>).map((part) => receive(part).messageId), ["1", "2"])
  })
})

describe("with rhea", () => {
  it("rhea decodes what we encode", () => {
    const decoded = rhea.message.decode(encode({
      messageId: uuid(guid),
      correlationId: 18446744073709551615n,
      userId: new Uint8Array([1]),
      to: "to",
      subject: "é",
      replyTo: "reply",
      sessionId: "s",
      replyToSessionId: "rs",
      groupSequence: 4,
      contentType: "a/b",
      contentEncoding: "gzip",
      creationTime: time(5),
      absoluteExpiryTime: time(6),
      durable: true,
      priority: 9,
      timeToLive: 1500,
      partitionKey: "s",
      scheduledEnqueueTime: time(7),
      applicationProperties: { text: "é", int: -5, boolean: true, nothing: null, time: time(8) },
      deliveryAnnotations: { d: 1 },
      messageAnnotations: { m: [1, "x"] },
      footer: { f: "end" }
    }, { kind: "data", data: "é" }))
    assert.strictEqual(decoded.message_id.toString("hex"), guid.replaceAll("-", ""))
    assert.strictEqual(decoded.correlation_id.toString("hex"), "ffffffffffffffff")
    assert.strictEqual(decoded.user_id.toString("hex"), "01")
    assert.strictEqual(decoded.to, "to")
    assert.strictEqual(decoded.subject, "é")
    assert.strictEqual(decoded.reply_to, "reply")
    assert.strictEqual(decoded.group_id, "s")
    assert.strictEqual(decoded.reply_to_group_id, "rs")
    assert.strictEqual(decoded.group_sequence, 4)
    assert.strictEqual(decoded.content_type, "a/b")
    assert.strictEqual(decoded.content_encoding, "gzip")
    assert.strictEqual(decoded.creation_time.getTime(), 5)
    assert.strictEqual(decoded.absolute_expiry_time.getTime(), 1505)
    assert.strictEqual(decoded.durable, true)
    assert.strictEqual(decoded.priority, 9)
    assert.strictEqual(decoded.ttl, 1500)
    assert.strictEqual(decoded.message_annotations["x-opt-partition-key"], "s")
    assert.strictEqual(decoded.message_annotations["x-opt-scheduled-enqueue-time"].getTime(), 7)
    assert.deepStrictEqual(decoded.message_annotations.m, [1, "x"])
    assert.deepStrictEqual(decoded.delivery_annotations, { d: 1 })
    assert.deepStrictEqual(decoded.footer, { f: "end" })
    const { time: at, ...rest } = decoded.application_properties
    assert.strictEqual(at.getTime(), 8)
    assert.deepStrictEqual(rest, { text: "é", int: -5, boolean: true, nothing: null })
    assert.strictEqual(decoded.body.typecode, 0x75)
    assert.strictEqual(decoded.body.content.toString(), "é")
  })

  it("rhea decodes our value and sequence bodies", () => {
    assert.deepStrictEqual(rhea.message.decode(encode({}, { kind: "value", value: { a: [1, true, "x"] } })).body, {
      a: [1, true, "x"]
    })
    const { body } = rhea.message.decode(encode({}, { kind: "sequence", sequences: [[1], ["b"]] }))
    assert.strictEqual(body.typecode, 0x76)
    assert.deepStrictEqual(body.content, [[1], ["b"]])
  })

  it("we decode what rhea encodes", () => {
    const { types } = rhea
    const bytes: Buffer = rhea.message.encode({
      durable: true,
      priority: 3,
      ttl: 70_000,
      first_acquirer: true,
      delivery_count: 2,
      message_id: types.wrap_ulong(Buffer.from("ffffffffffffffff", "hex")),
      user_id: Buffer.from("u"),
      to: "to",
      subject: "é",
      reply_to: "reply",
      correlation_id: types.wrap_uuid(Buffer.from(guid.replaceAll("-", ""), "hex")),
      content_type: "a/b",
      content_encoding: "gzip",
      absolute_expiry_time: 6,
      creation_time: 5, // the pair goes before the header
      group_id: "s",
      group_sequence: 4,
      reply_to_group_id: "rs",
      delivery_annotations: { "x-opt-lock-token": types.wrap_uuid(Buffer.from(guid.replaceAll("-", ""), "hex")) },
      message_annotations: {
        "x-opt-sequence-number": types.wrap_long(Buffer.from("0020000000000001", "hex")),
        "x-opt-enqueued-time": types.wrap_timestamp(1000),
        "x-opt-locked-until": types.wrap_timestamp(2000),
        "x-opt-message-state": types.wrap_int(1),
        "x-opt-partition-key": "s"
      },
      application_properties: {
        long: types.wrap_long(Buffer.from("8000000000000000", "hex")),
        timespan: types.wrap_described(types.wrap_long(10), "com.microsoft:timespan"),
        char: types.wrap_char(65)
      },
      footer: { f: types.wrap_symbol("end") },
      body: rhea.message.data_sections([Buffer.from("a"), Buffer.from("b")])
    })
    const message = receive(bytes)
    assert.strictEqual(message.durable, true)
    assert.strictEqual(message.priority, 3)
    assert.deepStrictEqual(message.timeToLive, Duration.millis(1))
    assert.strictEqual(message.firstAcquirer, true)
    assert.strictEqual(message.deliveryCount, 2)
    assert.strictEqual(message.amqpMessageId, 18446744073709551615n)
    assert.strictEqual(String(message.userId), "u")
    assert.strictEqual(message.to, "to")
    assert.strictEqual(message.subject, "é")
    assert.strictEqual(message.replyTo, "reply")
    assert.strictEqual(message.correlationId, guid)
    assert.deepStrictEqual(message.amqpCorrelationId, uuid(guid))
    assert.strictEqual(message.contentType, "a/b")
    assert.strictEqual(message.contentEncoding, "gzip")
    assert.deepStrictEqual(message.absoluteExpiryTime, time(6))
    assert.deepStrictEqual(message.creationTime, time(5))
    assert.strictEqual(message.sessionId, "s")
    assert.strictEqual(message.groupSequence, 4)
    assert.strictEqual(message.replyToSessionId, "rs")
    assert.deepStrictEqual(message.deliveryAnnotations, { "x-opt-lock-token": uuid(guid) })
    assert.strictEqual(message.sequenceNumber, 9007199254740993n)
    assert.deepStrictEqual(message.enqueuedTime, time(1000))
    assert.deepStrictEqual(message.lockedUntil, time(2000))
    assert.strictEqual(message.state, "deferred")
    assert.strictEqual(message.partitionKey, "s")
    assert.strictEqual(message.applicationProperties["long"], -9223372036854775808n)
    assert.isTrue(
      Duration.Equivalence(message.applicationProperties["timespan"] as Duration.Duration, Duration.micros(1n))
    )
    assert.deepStrictEqual(message.applicationProperties["char"], typed("char", "A"))
    assert.deepStrictEqual(message.footer, { f: symbol("end") })
    const body = sections(bytes).readBody()
    assert(body.kind === "data")
    assert.deepStrictEqual((body.data as ReadonlyArray<Buffer>).map(String), ["a", "b"])
  })

  it("we decode rhea's value and sequence bodies, and descriptors that are symbols", () => {
    assert.deepStrictEqual(sections(rhea.message.encode({ body: { a: [true, "x"] } })).readBody(), {
      kind: "value",
      value: { a: [true, "x"] }
    })
    assert.deepStrictEqual(
      sections(rhea.message.encode({ body: rhea.message.sequence_sections([["a"], []]) })).readBody(),
      { kind: "sequence", sequences: [["a"], []] }
    )
    const named = Buffer.concat([
      Buffer.from([0x00, 0xa3, 20]),
      Buffer.from("amqp:properties:list"),
      Buffer.from("c0 04 01 a1 01 61".replaceAll(" ", ""), "hex"),
      Buffer.from([0x00, 0xa3, 16]),
      Buffer.from("amqp:data:binary"),
      Buffer.from([0xa0, 1, 9]),
      Buffer.from([0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x75, 0xa0, 1, 8])
    ])
    assert.strictEqual(receive(named).messageId, "a")
    const body = sections(named).readBody()
    assert(body.kind === "data")
    assert.deepStrictEqual((body.data as ReadonlyArray<Buffer>).map((part) => part[0]), [9, 8])
  })
})
