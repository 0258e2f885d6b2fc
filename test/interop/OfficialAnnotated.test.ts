/**
 * Raw annotated messages between Microsoft's client and ours, over one broker: each body type, each section, both ways.
 */
import type { ServiceBusReceivedMessage } from "@azure/service-bus"
import { Duration, Effect, Layer } from "effect"
import {
  AmqpAnnotatedMessage,
  AmqpValue,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { official } from "../support/official.ts"
import { assert, it } from "../support/vitest.ts"

type TheirMessage = ServiceBusReceivedMessage["_rawAmqpMessage"]

const names = ["theirs", "theirs-batch", "ours", "ours-again"] as const

const Broker = Emulator.layerClient.pipe(
  Layer.provideMerge(Emulator.layerServer({ entities: names.map((name) => Emulator.entity(name)) }))
)

const microsoft = official({ retryOptions: { maxRetries: 0, timeoutInMs: 5000 } })

const queue = (name: typeof names[number]) => ServiceBusEntity.queue(name, { body: ServiceBusBody.sections })

const weReceive = (name: typeof names[number], count: number) =>
  Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.makeDestructive(queue(name))
    const messages = yield* receiver.receive({ max: count, maxWait: "4 seconds", maxWaitAfterFirst: "2 seconds" })
    assert.lengthOf(messages, count)
    return messages.map(AmqpAnnotatedMessage.fromReceived)
  })

const theyReceive = (name: string, count: number) =>
  Effect.flatMap(microsoft, (client) =>
    Effect.promise(async () => {
      const messages: Array<ServiceBusReceivedMessage> = []
      const receiver = client.createReceiver(name, { receiveMode: "receiveAndDelete", skipParsingBodyAsJson: true })
      while (messages.length < count) {
        const more = await receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: 4000 })
        assert.isAbove(more.length, 0)
        messages.push(...more)
      }
      return messages
    }))

/** Views of bytes are bytes. */
const hex = (bytes: unknown): string => Buffer.from(bytes as Uint8Array).toString("hex")

const uint = (value: number) => AmqpValue.typed("uint", value)

it.layer(Broker, { excludeTestServices: true })("annotated messages", (it) => {
  const theirs = {
    header: { durable: true, priority: 9, timeToLive: 90_000 },
    properties: {
      messageId: "m",
      to: "to",
      subject: "subject",
      replyTo: "reply",
      correlationId: "c",
      contentType: "text/x",
      contentEncoding: "gzip",
      groupId: "g",
      groupSequence: 3,
      replyToGroupId: "rg"
    },
    applicationProperties: { count: 2, half: 0.5, negative: -1, yes: true, text: "t" },
    messageAnnotations: { "x-mine": "annotation" },
    footer: { "x-foot": "footer" }
  } satisfies Partial<TheirMessage>

  it.effect("from theirs to ours: data, value and sequence", () =>
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = client.createSender("theirs")
      const bodies: ReadonlyArray<Pick<TheirMessage, "body" | "bodyType">> = [
        { body: Buffer.from("bytes"), bodyType: "data" },
        { body: { id: 7, list: [1, "two"] }, bodyType: "value" },
        { body: [1, "two", [true]], bodyType: "sequence" }
      ]
      for (const body of bodies) yield* Effect.promise(() => sender.sendMessages({ ...theirs, ...body }))
      const messages = yield* weReceive("theirs", 3)
      for (const { applicationProperties, footer, header, messageAnnotations, properties } of messages) {
        assert.isTrue(header?.durable)
        assert.strictEqual(header?.priority, 9)
        assert.strictEqual(Duration.toMillis(header!.timeToLive!), 90_000)
        assert.deepInclude(properties, theirs.properties)
        assert.deepStrictEqual(applicationProperties, {
          // Their engine writes a number by its value: a positive integer is a uint.
          count: uint(2),
          half: 0.5,
          negative: -1,
          yes: true,
          text: "t"
        })
        assert.strictEqual(messageAnnotations?.["x-mine"], "annotation")
        assert.notProperty(messageAnnotations, "x-opt-message-state")
        assert.deepStrictEqual(footer, { "x-foot": "footer" })
      }
      const [data, value, sequence] = messages.map(({ body }) => body)
      assert.strictEqual(data!.kind, "data")
      if (data!.kind === "data") assert.strictEqual(hex(data!.data), hex(Buffer.from("bytes")))
      assert.deepStrictEqual(value, { kind: "value", value: { id: uint(7), list: [uint(1), "two"] } })
      assert.deepStrictEqual(sequence, { kind: "sequence", sequences: [[uint(1), "two", [true]]] })
    }))

  it.effect("a batch of theirs", () =>
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = client.createSender("theirs-batch")
      yield* Effect.promise(async () => {
        const batch = await sender.createMessageBatch()
        assert.isTrue(batch.tryAddMessage({ body: 1, bodyType: "value", properties: { messageId: "1" } }))
        assert.isTrue(batch.tryAddMessage({ body: [2], bodyType: "sequence", properties: { messageId: "2" } }))
        await sender.sendMessages(batch)
      })
      const messages = yield* weReceive("theirs-batch", 2)
      assert.deepStrictEqual(messages.map(({ body, properties }) => [properties?.messageId, body]), [
        ["1", { kind: "value", value: uint(1) }],
        ["2", { kind: "sequence", sequences: [[uint(2)]] }]
      ])
    }))

  const ours = (body: AmqpAnnotatedMessage.AmqpAnnotatedMessage["body"]) =>
    ({
      header: { durable: true, priority: 9, timeToLive: Duration.seconds(90) },
      messageAnnotations: { "x-mine": AmqpValue.typed("ushort", 5) },
      properties: theirs.properties,
      applicationProperties: {
        count: 2,
        ubyte: AmqpValue.typed("ubyte", 3),
        half: 0.5,
        yes: AmqpValue.typed("boolean", true),
        symbol: AmqpValue.symbol("s")
      },
      body,
      footer: { "x-foot": "footer" }
    }) satisfies AmqpAnnotatedMessage.AmqpAnnotatedMessage

  it.effect("from ours to theirs: data, value and sequence", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(queue("ours"))
      const ids = yield* sender.sendAnnotated([
        ours({ kind: "data", data: "bytes" }),
        ours({ kind: "value", value: { id: 7, list: [1, "two"] } }),
        ours({ kind: "sequence", sequences: [[1, "two", [true]]] })
      ])
      assert.deepStrictEqual(ids, ["m", "m", "m"])
      const messages = yield* theyReceive("ours", 3)
      for (const { _rawAmqpMessage: raw } of messages) {
        assert.deepInclude(raw.header, { durable: true, priority: 9, timeToLive: 90_000 })
        assert.deepInclude(raw.properties, theirs.properties)
        // A boolean of one byte would be a number to their engine.
        assert.deepStrictEqual({ ...raw.applicationProperties }, {
          count: 2,
          ubyte: 3,
          half: 0.5,
          yes: true,
          symbol: "s"
        })
        assert.strictEqual(raw.messageAnnotations?.["x-mine"], 5)
        assert.deepStrictEqual({ ...raw.footer }, { "x-foot": "footer" })
      }
      const [data, value, sequence] = messages
      assert.strictEqual(data!._rawAmqpMessage.bodyType, "data")
      assert.strictEqual(String(data!.body), "bytes")
      assert.strictEqual(value!._rawAmqpMessage.bodyType, "value")
      assert.deepStrictEqual(value!.body, { id: 7, list: [1, "two"] })
      assert.strictEqual(sequence!._rawAmqpMessage.bodyType, "sequence")
      assert.deepStrictEqual(sequence!.body, [1, "two", [true]])
    }))

  it.effect("theirs, sent on as it is, is theirs again", () =>
    Effect.gen(function*() {
      const client = yield* microsoft
      yield* Effect.promise(() =>
        client.createSender("ours-again").sendMessages({ ...theirs, body: { id: 7 }, bodyType: "value" })
      )
      const [message] = yield* weReceive("ours-again", 1)
      const sender = yield* ServiceBusSender.make(queue("ours-again"))
      yield* sender.sendAnnotated(message!)
      const [again] = yield* theyReceive("ours-again", 1)
      assert.deepStrictEqual(again!.body, { id: 7 })
      assert.strictEqual(again!.sequenceNumber!.toString(), "2")
      assert.strictEqual(again!._rawAmqpMessage.bodyType, "value")
      assert.deepStrictEqual<object>({ ...again!.applicationProperties }, theirs.applicationProperties)
      assert.deepInclude(again!._rawAmqpMessage.properties, theirs.properties)
    }))
})
