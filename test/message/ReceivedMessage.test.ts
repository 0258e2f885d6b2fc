/** What a received message says of itself and of its lock, detached too, and what of it may be logged. */
import { inspect } from "node:util"
import * as AmqpValue from "../../src/AmqpValue.ts"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import { type IncomingDelivery } from "../../src/internal/amqp/engine/Delivery.ts"
import * as ReceivedMessage from "../../src/internal/message/ReceivedMessage.ts"
import { messageAttributes } from "../../src/internal/telemetry/Telemetry.ts"
import { detached } from "../../src/ServiceBusMessage.ts"
import {
  encode,
  type Fields,
  guid,
  guidTag,
  now,
  payloadOf,
  receive,
  sections,
  send,
  time
} from "../support/messages.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { symbol, typed, uuid } = AmqpValue

describe("what the broker adds", () => {
  const annotated = (messageAnnotations: Record<string, AmqpValue.AmqpValue>, more: Fields = {}) =>
    send({ ...more, messageAnnotations })

  it("sequence numbers, times, state and dead-lettering", () => {
    const message = annotated({
      "x-opt-sequence-number": 9007199254740993n,
      "x-opt-enqueue-sequence-number": 5,
      "x-opt-enqueued-time": time(1000),
      "x-opt-locked-until": time(2000),
      "x-opt-message-state": 2,
      "x-opt-deadletter-source": "orders"
    }, {
      timeToLive: 500,
      applicationProperties: { DeadLetterReason: "why", DeadLetterErrorDescription: "because" }
    })
    assert.strictEqual(message.sequenceNumber, 9007199254740993n)
    assert.strictEqual(message.enqueuedSequenceNumber, 5n)
    assert.deepStrictEqual(message.enqueuedTime, time(1000))
    assert.deepStrictEqual(message.lockedUntil, time(2000))
    assert.deepStrictEqual(message.expiresAt, time(1500))
    assert.strictEqual(message.state, "scheduled")
    assert.strictEqual(message.deadLetterSource, "orders")
    assert.strictEqual(message.deadLetterReason, "why")
    assert.strictEqual(message.deadLetterErrorDescription, "because")
    assert.strictEqual(annotated({ "x-opt-message-state": 1 }).state, "deferred")
    assert.strictEqual(annotated({ "x-opt-message-state": 0n }).state, "active")
  })

  it("times that a broker leaves out are the first of all times, and nothing is made of them", () => {
    const message = annotated({}, { timeToLive: 5 })
    assert.deepStrictEqual(
      [message.enqueuedTime, message.firstEnqueuedTime, message.lockedUntil],
      [time(0), time(0), time(0)]
    )
    const attributes = messageAttributes(annotated({ "x-opt-enqueued-time": time(1000) }))
    assert.strictEqual(attributes["messaging.servicebus.message.enqueued_time"], 1)
    assert.notProperty(messageAttributes(message), "messaging.servicebus.message.enqueued_time")
    const first = (enqueued: Record<string, AmqpValue.AmqpValue>) =>
      receive(payloadOf(annotated(enqueued), { enqueueAt: now, now })).firstEnqueuedTime
    assert.deepStrictEqual(first({}), time(now))
    assert.deepStrictEqual(first({ "x-opt-enqueued-time": time(1000) }), time(1000))
    assert.deepStrictEqual(first({ "x-opt-enqueued-time": time(0) }), time(0))
  })

  it("expiry: enqueued and the time to live, the peer's word where that is all, and none where that is no date", () => {
    const enqueued = { "x-opt-enqueued-time": time(1000) }
    assert.deepStrictEqual(annotated(enqueued, { timeToLive: 5 }).expiresAt, time(1005))
    // By the clock of the sender, which is not the broker's.
    assert.deepStrictEqual(annotated(enqueued, { timeToLive: "100 days" }).expiresAt, time(8_640_001_000))
    assert.deepStrictEqual(annotated(enqueued, { absoluteExpiryTime: time(7) }).expiresAt, time(7))
    assert.deepStrictEqual(annotated({}, { timeToLive: 5 }).expiresAt, time(now + 5))
    for (const never of [253402243199000, 253402300799999]) {
      const message = annotated(enqueued, { creationTime: time(0), absoluteExpiryTime: time(never) })
      assert.deepStrictEqual([message.timeToLive, message.expiresAt], [undefined, undefined])
      assert.isUndefined(annotated(enqueued, { absoluteExpiryTime: time(never) }).expiresAt)
    }
    assert.strictEqual(annotated(enqueued).expiresAt, undefined)
    assert.strictEqual(
      annotated({ "x-opt-enqueued-time": time(8640000000000000) }, { timeToLive: 5 }).expiresAt,
      undefined
    )
  })

  it("values of another type than expected are no reason to throw", () => {
    for (
      const odd of [
        NaN,
        Infinity,
        -1.5,
        1.5,
        -1,
        2n ** 64n - 1n,
        null,
        "x",
        symbol("s"),
        [1],
        { toString: 1 },
        uuid(guid),
        typed("timestamp", 2n ** 62n)
      ]
    ) {
      const writer = new Writer()
      for (const code of [0x70, 0x73]) {
        writer.descriptor(code)
        writer.value(Array.from({ length: 13 }, () => odd))
      }
      writer.descriptor(0x72)
      writer.annotations(
        [
          "x-opt-sequence-number",
          "x-opt-enqueue-sequence-number",
          "x-opt-enqueued-time",
          "x-opt-locked-until",
          "x-opt-message-state",
          "x-opt-partition-key"
        ].map((key) => [key, odd] as const)
      )
      const message = receive(writer.take())
      for (const name of getters) void (message as unknown as Record<string, unknown>)[name]
      JSON.stringify(message)
    }
    assert.isAbove(getters.length, 35)
  })
})

const getters = [ReceivedMessage.Received.prototype, ReceivedMessage.Locked.prototype].flatMap((prototype) =>
  Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([name, { get }]) =>
    get === undefined ? [] : [name]
  )
)

describe("lock tokens", () => {
  it("a delivery tag is a .NET Guid in its own byte order", () => {
    assert.strictEqual(ReceivedMessage.tokenFromTag(guidTag), guid)
    assert.strictEqual(ReceivedMessage.tagFromToken(guid).toString("hex"), guidTag.toString("hex"))
    assert.strictEqual(ReceivedMessage.tagFromToken(guid.toUpperCase()).toString("hex"), guidTag.toString("hex"))
    // new Guid("c9a646d3-9c61-4cb7-bfcd-ee2522c8f633").ToByteArray() of Microsoft's documentation.
    const tag = Buffer.from("d346a6c9619cb74cbfcdee2522c8f633", "hex")
    assert.strictEqual(ReceivedMessage.tokenFromTag(tag), "c9a646d3-9c61-4cb7-bfcd-ee2522c8f633")
  })

  it("a tag that is no Guid is no token", () => {
    for (const size of [0, 1, 15, 17]) assert.strictEqual(ReceivedMessage.tokenFromTag(Buffer.alloc(size)), "")
  })

  it("a locked message has its token, and only its owner finds its delivery", () => {
    const bytes = encode({})
    const delivery = { tag: guidTag, payload: bytes } as unknown as IncomingDelivery
    const owner = {}
    const message = new ReceivedMessage.Locked(ReceivedMessage.sectionsOf(delivery), 1, delivery, owner)
    assert.strictEqual(message.lockToken, guid)
    assert.strictEqual(ReceivedMessage.Locked.deliveryOf(message, owner), delivery)
    assert.strictEqual(ReceivedMessage.Locked.deliveryOf(message, {}), undefined)
    assert.strictEqual(ReceivedMessage.Locked.deliveryOf({ ...message, _tag: "Locked" } as never, owner), undefined)
  })
})

describe("a message that is detached", () => {
  const chunk = Buffer.alloc(65_536)
  const bytes = encode(
    { messageId: "id", applicationProperties: { n: 1 }, userId: Buffer.from("user") },
    { kind: "data", data: Buffer.from("the bytes of the body") }
  )
  bytes.copy(chunk, 1000)
  const view = chunk.subarray(1000, 1000 + bytes.length)
  const read = (sections: Sections) => (sections.readBody() as unknown as { readonly data: Buffer }).data

  it("has all that it had, on memory of its own, and none of it twice", () => {
    const sections = new Sections(chunk, 1000, 1000 + bytes.length)
    const delivery = { tag: chunk.subarray(0, 16), payload: view } as unknown as IncomingDelivery
    const owner = {}
    for (
      const message of [
        new ReceivedMessage.Locked(sections, read(sections), delivery, owner),
        new ReceivedMessage.Destructive(sections, read(sections)),
        new ReceivedMessage.Peeked(sections, read(sections))
      ]
    ) {
      const own = detached(message)
      assert.deepStrictEqual(
        [own._tag, own.messageId, own.applicationProperties, own.size, own.body.toString()],
        [message._tag, "id", { n: 1 }, bytes.length, "the bytes of the body"]
      )
      assert.deepStrictEqual(own.toJSON(), message.toJSON())
      assert.strictEqual(own.body.buffer.byteLength, bytes.length)
      assert.strictEqual(own.userId!.buffer, own.body.buffer)
      if (own._tag !== "Locked" || message._tag !== "Locked") continue
      assert.strictEqual(ReceivedMessage.Locked.deliveryOf(own, owner), delivery)
      assert.strictEqual(own.lockToken, message.lockToken)
      assert.deepStrictEqual([delivery.payload.buffer, delivery.tag.buffer.byteLength], [own.body.buffer, 16])
    }
  })

  it("has its body's bytes wherever they are in plain values, and the rest as it is", () => {
    const part = chunk.subarray(1100, 1110)
    const own = new Uint8Array([1, 2])
    const same = { deep: [new Date(0), { text: "x" }], own: new Map([["k", 1]]) }
    class Own {
      readonly part = part
    }
    const loop: { self?: unknown; part: Uint8Array } = { part }
    loop.self = loop
    const body = {
      list: [part, 1],
      map: new Map([["k", part]]),
      typed: typed("decimal32", part),
      same,
      own,
      loop,
      of: new Own()
    }
    const message = detached(new ReceivedMessage.Peeked(new Sections(chunk, 1000, 1000 + bytes.length), body))
    const copies = [message.body.list[0], message.body.map.get("k"), message.body.typed.value, message.body.loop.part]
    for (const copy of copies) {
      assert.deepStrictEqual(Buffer.from(copy as Uint8Array), Buffer.from(part))
      assert.notStrictEqual((copy as Uint8Array).buffer, chunk.buffer)
    }
    assert.isTrue(AmqpValue.isTyped(message.body.typed))
    assert.strictEqual(message.body.same, same)
    assert.notStrictEqual(message.body.own.buffer, own.buffer)
    assert.strictEqual(message.body.of, body.of)
    assert.strictEqual(body.list[0], part)
  })

  it("is what it was where it is not the library's", () => {
    const message = { ...receive(bytes), _tag: "Peeked" } as never
    assert.strictEqual(detached(message), message)
    assert.strictEqual(detached(null as never), null)
  })
})

describe("logs", () => {
  const secret = "s3cret"
  const message = () =>
    receive(encode({
      messageId: "id-1",
      subject: secret,
      sessionId: secret,
      applicationProperties: { [secret]: secret },
      messageAnnotations: { "x-opt-sequence-number": 9007199254740993n, "x-own": secret },
      footer: { f: secret }
    }, { kind: "data", data: secret }))

  it("JSON has what identifies the message, and no content", () => {
    const value = message()
    assert.deepStrictEqual(JSON.parse(JSON.stringify(value)), {
      _tag: "Locked",
      messageId: "id-1",
      sequenceNumber: "9007199254740993",
      deliveryCount: 0,
      size: value.size
    })
  })

  it("util.inspect shows the same, also after everything was read and inside of other values", () => {
    const value = message()
    for (const name of getters) void (value as unknown as Record<string, unknown>)[name]
    for (
      const text of [inspect(value), inspect({ nested: [value] }, { depth: 9 }), inspect(value, { showHidden: true })]
    ) {
      assert.include(text, "id-1")
      assert.notInclude(text, secret)
      assert.notInclude(text, "the body")
      assert.notInclude(text, Buffer.from(secret).toString("hex").slice(0, 6))
    }
    const destructive = new ReceivedMessage.Destructive(sections(encode({ messageId: "id-2" })), secret)
    assert.include(inspect(destructive), "Destructive")
    assert.notInclude(inspect(destructive), secret)
  })
})
