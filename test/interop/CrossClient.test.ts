/**
 * Messages between Microsoft's client and ours, over one broker: what one sends the other receives whole, and what one
 * settles the other sees.
 */
import { ServiceBusClient as OfficialClient } from "@azure/service-bus"
import { DateTime, Duration, Effect, Layer, Redacted, Schema, type Scope } from "effect"
import {
  AmqpValue,
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  type ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { assert, describe, it } from "../support/vitest.ts"

const names = [
  "theirs-fields",
  "ours-fields",
  "ids",
  "theirs-bodies",
  "ours-bodies",
  "large",
  "theirs-batch",
  "ours-batch",
  "their-dead-letter",
  "our-dead-letter",
  "their-abandon",
  "our-abandon",
  "replayed",
  "again",
  "competing"
] as const

const queue = <A, In>(name: (typeof names)[number], body: ServiceBusBody.ServiceBusBody<A, In>) =>
  ServiceBusEntity.queue(name, { body })

const Broker = Emulator.layerClient.pipe(
  Layer.provideMerge(Emulator.layerServer({ entities: names.map((name) => Emulator.entity(name)) }))
)

/** Microsoft's client, closed with the test. */
const official = Effect.gen(function*() {
  const { connectionString } = yield* Emulator.Emulator
  return yield* Effect.acquireRelease(
    Effect.sync(() =>
      new OfficialClient(Redacted.value(connectionString), { retryOptions: { maxRetries: 0, timeoutInMs: 5000 } })
    ),
    (client) => Effect.promise(() => client.close())
  )
})

const theySend = (name: string, messages: Parameters<ReturnType<OfficialClient["createSender"]>["sendMessages"]>[0]) =>
  Effect.flatMap(official, (client) => Effect.promise(() => client.createSender(name).sendMessages(messages)))

const theyReceive = (name: string, count: number, subQueueType?: "deadLetter") =>
  Effect.flatMap(official, (client) =>
    Effect.promise(async () => {
      const receiver = client.createReceiver(name, {
        receiveMode: "receiveAndDelete",
        ...(subQueueType === undefined ? {} : { subQueueType })
      })
      const messages = await receiver.receiveMessages(count, { maxWaitTimeInMs: 4000 })
      assert.lengthOf(messages, count)
      return messages
    }))

const weSend = <A, In>(
  entity: ServiceBusEntity.Queue<A, In>,
  ...messages: ReadonlyArray<ServiceBusMessage.OutgoingMessage<In>>
) => Effect.flatMap(ServiceBusSender.make(entity), (sender) => sender.sendAll(messages))

const weReceive = <A>(
  entity: ServiceBusEntity.Receivable<A>,
  count: number
): Effect.Effect<
  ReadonlyArray<ServiceBusMessage.DestructiveMessage<A>>,
  unknown,
  ServiceBusClient.ServiceBusClient | Scope.Scope
> =>
  Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.makeDestructive(entity)
    const messages = yield* receiver.receive({ max: count, maxWait: "4 seconds" })
    assert.lengthOf(messages, count)
    return messages
  })

const fields = {
  messageId: "m-1",
  correlationId: "c-1",
  sessionId: "s-1",
  replyTo: "answers",
  replyToSessionId: "s-2",
  to: "somewhere",
  subject: "greeting",
  contentType: "application/x-note; charset=utf-8",
  partitionKey: "s-1"
}

const date = new Date("2024-02-29T12:34:56.789Z")
const json = ServiceBusBody.json(Schema.Struct({ id: Schema.String, total: Schema.Finite }))

it.layer(Broker, { excludeTestServices: true })("between the official client and ours", (it) => {
  describe("the fields of a message", () => {
    it.effect("from theirs to ours", () =>
      Effect.gen(function*() {
        yield* theySend("theirs-fields", {
          ...fields,
          body: Buffer.from("x"),
          timeToLive: 90_000,
          applicationProperties: {
            zero: 0,
            small: 7,
            negative: -70_000,
            uint: 4_000_000_000,
            huge: 2 ** 40,
            tiny: -(2 ** 40),
            double: 1.5,
            yes: true,
            no: false,
            date,
            none: null,
            text: "grüß 😀",
            empty: ""
          }
        })
        const [message] = yield* weReceive(queue("theirs-fields", ServiceBusBody.text), 1)
        assert.deepInclude(message, { ...fields, body: "x" })
        assert.isUndefined(message!.viaPartitionKey)
        assert.strictEqual(Duration.toMillis(message!.timeToLive!), 90_000)
        assert.strictEqual(
          DateTime.toEpochMillis(message!.expiresAt!),
          DateTime.toEpochMillis(message!.enqueuedTime) + 90_000
        )
        assert.closeTo(DateTime.toEpochMillis(message!.creationTime!), Date.now(), 5000)
        assert.deepStrictEqual({ ...message!.applicationProperties }, {
          zero: 0,
          small: 7,
          negative: -70_000,
          uint: 4_000_000_000,
          huge: 2n ** 40n,
          tiny: -(2n ** 40n),
          double: 1.5,
          yes: true,
          no: false,
          date: DateTime.fromDateUnsafe(date),
          none: null,
          text: "grüß 😀",
          empty: ""
        })
      }))

    it.effect("from ours to theirs", () =>
      Effect.gen(function*() {
        yield* weSend(queue("ours-fields", ServiceBusBody.bytes), {
          ...fields,
          body: new Uint8Array([255, 0]),
          timeToLive: "90 seconds",
          applicationProperties: {
            zero: 0,
            small: 7,
            negative: -70_000,
            huge: 2 ** 40,
            bigint: 5n,
            ulong: AmqpValue.typed("ulong", 2n ** 50n),
            long: AmqpValue.typed("long", -3n),
            int: AmqpValue.typed("int", 3),
            short: AmqpValue.typed("short", -2),
            float: AmqpValue.typed("float", 0.25),
            double: 1.5,
            yes: true,
            no: false,
            date,
            utc: DateTime.fromDateUnsafe(date),
            none: null,
            text: "grüß 😀",
            symbol: AmqpValue.symbol("sym"),
            bytes: new Uint8Array([1, 2]),
            uuid: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff")
          }
        })
        const [message] = yield* theyReceive("ours-fields", 1)
        assert.deepInclude(message, fields)
        assert.deepStrictEqual(message!.body, Buffer.from([255, 0]))
        assert.strictEqual(message!.timeToLive, 90_000)
        assert.strictEqual(message!.expiresAtUtc!.getTime(), message!.enqueuedTimeUtc!.getTime() + 90_000)
        assert.deepStrictEqual(message!.applicationProperties as object, {
          zero: 0,
          small: 7,
          negative: -70_000,
          huge: 2 ** 40,
          bigint: 5,
          ulong: 2 ** 50,
          long: -3,
          int: 3,
          short: -2,
          float: 0.25,
          double: 1.5,
          yes: true,
          no: false,
          // Their client gives numbers for dates.
          date: date.getTime(),
          utc: date.getTime(),
          none: null,
          text: "grüß 😀",
          symbol: "sym",
          // And plain objects for bytes.
          bytes: { ...Buffer.from([1, 2]) },
          uuid: { ...Buffer.from("00112233445566778899aabbccddeeff", "hex") }
        })
      }))

    it.effect("ids of every AMQP type, both ways", () =>
      Effect.gen(function*() {
        const ids = queue("ids", ServiceBusBody.bytes)
        const body = new Uint8Array()
        yield* weSend(
          ids,
          { body, messageId: 7n, correlationId: "text" },
          { body, messageId: new Uint8Array([1, 2]), correlationId: 9n },
          { body, messageId: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff") }
        )
        const theirs = yield* theyReceive("ids", 3)
        assert.deepStrictEqual(theirs.map(({ messageId }) => messageId), [
          7,
          Buffer.from([1, 2]),
          Buffer.from("00112233445566778899aabbccddeeff", "hex")
        ])
        assert.deepStrictEqual(theirs.map(({ correlationId }) => correlationId), ["text", 9, undefined])
        yield* theySend("ids", [{ body, messageId: 7, correlationId: "text" }, { body, messageId: "7" }, { body }])
        const ours = yield* weReceive(ids, 3)
        assert.strictEqual(ours[0]!.amqpMessageId, 7n)
        assert.strictEqual(ours[0]!.messageId, "7")
        assert.strictEqual(ours[0]!.correlationId, "text")
        assert.strictEqual(ours[1]!.amqpMessageId, "7")
        assert.match(ours[2]!.messageId, /^[0-9a-f]{32}$/)
      }))
  })

  describe("bodies", () => {
    it.effect("from theirs to ours", () =>
      Effect.gen(function*() {
        yield* theySend("theirs-bodies", [{ body: { id: "1", total: 9.5 } }])
        const [record] = yield* weReceive(queue("theirs-bodies", json), 1)
        assert.deepStrictEqual(record!.body, { id: "1", total: 9.5 })

        // They write a string as JSON, quotes included.
        yield* theySend("theirs-bodies", [{ body: Buffer.from("grüß 😀") }, { body: "grüß 😀" }])
        const texts = yield* weReceive(queue("theirs-bodies", ServiceBusBody.text), 2)
        assert.deepStrictEqual(texts.map(({ body }) => body), ["grüß 😀", "\"grüß 😀\""])

        yield* theySend("theirs-bodies", { body: Buffer.from([0, 128, 255]) })
        const [bytes] = yield* weReceive(queue("theirs-bodies", ServiceBusBody.bytes), 1)
        assert.deepStrictEqual(Array.from(bytes!.body), [0, 128, 255])

        const record2 = { text: "x", number: 3, list: [1, "two", null], nested: { yes: true } }
        yield* theySend("theirs-bodies", [
          { body: record2, bodyType: "value" },
          { body: "just text", bodyType: "value" },
          { body: null, bodyType: "value" }
        ])
        const values = yield* weReceive(queue("theirs-bodies", ServiceBusBody.amqpValue), 3)
        assert.deepStrictEqual(values.map(({ body }) => body), [record2, "just text", null])

        yield* theySend("theirs-bodies", { body: ["a", 1, { b: 2 }], bodyType: "sequence" })
        const [sequence] = yield* weReceive(queue("theirs-bodies", ServiceBusBody.amqpSequence), 1)
        assert.deepStrictEqual(sequence!.body, [["a", 1, { b: 2 }]])
      }))

    it.effect("from ours to theirs", () =>
      Effect.gen(function*() {
        yield* weSend(queue("ours-bodies", json), { body: { id: "1", total: 9.5 } })
        const [record] = yield* theyReceive("ours-bodies", 1)
        assert.deepStrictEqual(record!.body, { id: "1", total: 9.5 })
        assert.strictEqual(record!.contentType, "application/json")

        // What is no JSON they give as bytes.
        yield* weSend(queue("ours-bodies", ServiceBusBody.text), { body: "grüß 😀" })
        const [text] = yield* theyReceive("ours-bodies", 1)
        assert.deepStrictEqual(text!.body, Buffer.from("grüß 😀"))

        yield* weSend(queue("ours-bodies", ServiceBusBody.bytes), { body: new Uint8Array([0, 128, 255]) })
        const [bytes] = yield* theyReceive("ours-bodies", 1)
        assert.deepStrictEqual(bytes!.body, Buffer.from([0, 128, 255]))
        assert.isUndefined(bytes!.contentType)

        const value = { text: "x", number: 3, list: [1, "two", null], nested: { yes: true } }
        yield* weSend(
          queue("ours-bodies", ServiceBusBody.amqpValue),
          { body: value },
          { body: "just text" },
          { body: null }
        )
        const values = yield* theyReceive("ours-bodies", 3)
        assert.deepStrictEqual(values.map(({ body }) => body), [value, "just text", null])
        assert.deepStrictEqual(values.map(({ _rawAmqpMessage }) => _rawAmqpMessage.bodyType), [
          "value",
          "value",
          "value"
        ])

        yield* weSend(queue("ours-bodies", ServiceBusBody.amqpSequence), { body: [["a", 1, { b: 2 }]] })
        const [sequence] = yield* theyReceive("ours-bodies", 1)
        assert.deepStrictEqual(sequence!.body, ["a", 1, { b: 2 }])
        assert.strictEqual(sequence!._rawAmqpMessage.bodyType, "sequence")
      }))

    it.effect("of 200 KB, both ways", () =>
      Effect.gen(function*() {
        const large = queue("large", ServiceBusBody.bytes)
        const body = Uint8Array.from({ length: 200 * 1024 }, (_, i) => (i * 31) % 251)
        yield* theySend("large", { body })
        const [theirs] = yield* weReceive(large, 1)
        assert.isTrue(Buffer.from(theirs!.body).equals(body))
        yield* weSend(large, { body })
        const [ours] = yield* theyReceive("large", 1)
        assert.isTrue((ours!.body as Buffer).equals(body))
      }))
  })

  describe("batches", () => {
    it.effect("from theirs to ours", () =>
      Effect.gen(function*() {
        const client = yield* official
        yield* Effect.promise(async () => {
          const sender = client.createSender("theirs-batch")
          const batch = await sender.createMessageBatch()
          for (let i = 0; i < 150; i++) {
            assert.isTrue(batch.tryAddMessage({
              body: { id: `${i}`, total: i / 2 },
              messageId: `m-${i}`,
              subject: `s-${i}`,
              applicationProperties: { i }
            }))
          }
          await sender.sendMessages(batch)
        })
        const messages = yield* weReceive(queue("theirs-batch", json), 150)
        messages.forEach((message, i) => {
          assert.deepStrictEqual(message.body, { id: `${i}`, total: i / 2 })
          assert.strictEqual(message.messageId, `m-${i}`)
          assert.strictEqual(message.subject, `s-${i}`)
          assert.deepStrictEqual({ ...message.applicationProperties }, { i })
          assert.strictEqual(message.sequenceNumber, BigInt(i + 1))
        })
      }))

    it.effect("from ours to theirs", () =>
      Effect.gen(function*() {
        const sent = Array.from({ length: 150 }, (_, i) => ({
          body: { id: `${i}`, total: i / 2 },
          messageId: `m-${i}`,
          subject: `s-${i}`,
          applicationProperties: { i }
        }))
        yield* weSend(queue("ours-batch", json), ...sent.slice(0, 75))
        const sender = yield* ServiceBusSender.make(queue("ours-batch", json))
        const batch = yield* sender.batch()
        for (const message of sent.slice(75)) assert.isTrue(yield* batch.tryAdd(message))
        yield* sender.sendBatch(batch)
        const messages = yield* theyReceive("ours-batch", 150)
        messages.forEach((message, i) => {
          assert.deepStrictEqual(message.body, { id: `${i}`, total: i / 2 })
          assert.strictEqual(message.messageId, `m-${i}`)
          assert.strictEqual(message.subject, `s-${i}`)
          assert.deepStrictEqual(message.applicationProperties, { i })
          assert.strictEqual(message.sequenceNumber!.toNumber(), i + 1)
        })
      }))
  })

  describe("settlements", () => {
    it.effect("of theirs are replayed by ours: bodies and their kinds come back as they were", () =>
      Effect.gen(function*() {
        const bodies = [Buffer.from([0xff, 0x00]), Buffer.from("no JSON"), Buffer.alloc(0)]
        yield* theySend("replayed", bodies.map((body, i) => ({ body, messageId: `m-${i}` })))
        yield* Effect.flatMap(official, (client) =>
          Effect.promise(async () => {
            const receiver = client.createReceiver("replayed")
            const messages = await receiver.receiveMessages(3, { maxWaitTimeInMs: 4000 })
            const why = { deadLetterReason: "Unread", deadLetterErrorDescription: "nobody could" }
            for (const message of messages) await receiver.deadLetterMessage(message, why)
          }))
        const report = yield* ServiceBusDeadLetters.replay("replayed", {
          filter: ({ deadLetterReason }) => deadLetterReason === "Unread"
        })
        assert.deepStrictEqual(report, { replayed: 3, skipped: 0, failed: [] })
        const messages = yield* theyReceive("replayed", 3)
        assert.deepStrictEqual(messages.map(({ body }) => body), bodies)
        assert.isTrue(messages.every(({ deadLetterReason }) => deadLetterReason === undefined))
      }))

    it.effect("of theirs are seen by ours: dead-lettered", () =>
      Effect.gen(function*() {
        const entity = queue("their-dead-letter", json)
        yield* weSend(entity, {
          body: { id: "1", total: 1 },
          messageId: "dead",
          applicationProperties: { kept: 2.5, changed: "before" }
        })
        const client = yield* official
        yield* Effect.promise(async () => {
          const receiver = client.createReceiver("their-dead-letter")
          const [message] = await receiver.receiveMessages(1)
          await receiver.deadLetterMessage(message!, {
            deadLetterReason: "TooLate",
            deadLetterErrorDescription: "it came after the others",
            changed: "after",
            at: date,
            nothing: null
          })
        })
        const [dead] = yield* weReceive(ServiceBusEntity.deadLetter(entity), 1)
        assert.deepStrictEqual(dead!.body, { id: "1", total: 1 })
        assert.strictEqual(dead!.messageId, "dead")
        assert.strictEqual(dead!.deadLetterReason, "TooLate")
        assert.strictEqual(dead!.deadLetterErrorDescription, "it came after the others")
        assert.deepInclude(dead!.applicationProperties, {
          kept: 2.5,
          changed: "after",
          at: DateTime.fromDateUnsafe(date),
          nothing: null
        })
      }))

    it.effect("of ours are seen by theirs: dead-lettered", () =>
      Effect.gen(function*() {
        const entity = queue("our-dead-letter", json)
        yield* theySend("our-dead-letter", {
          body: { id: "1", total: 1 },
          messageId: "dead",
          applicationProperties: { kept: 2.5, changed: "before" }
        })
        const receiver = yield* ServiceBusReceiver.make(entity)
        const [message] = yield* receiver.receive()
        yield* receiver.deadLetter(message!, {
          reason: "TooLate",
          description: "it came after the others",
          properties: { changed: "after", attempts: 3, at: date }
        })
        const [dead] = yield* theyReceive("our-dead-letter", 1, "deadLetter")
        assert.deepStrictEqual(dead!.body, { id: "1", total: 1 })
        assert.strictEqual(dead!.messageId, "dead")
        assert.strictEqual(dead!.deadLetterReason, "TooLate")
        assert.strictEqual(dead!.deadLetterErrorDescription, "it came after the others")
        assert.deepInclude(dead!.applicationProperties, {
          kept: 2.5,
          changed: "after",
          attempts: 3,
          at: date.getTime()
        })
      }))

    it.effect("of theirs are seen by ours: abandoned", () =>
      Effect.gen(function*() {
        const entity = queue("their-abandon", json)
        yield* weSend(entity, { body: { id: "1", total: 1 }, messageId: "back" })
        const client = yield* official
        yield* Effect.promise(async () => {
          const receiver = client.createReceiver("their-abandon")
          const [message] = await receiver.receiveMessages(1)
          await receiver.abandonMessage(message!, { at: date, tried: 1, ok: false })
        })
        const receiver = yield* ServiceBusReceiver.make(entity)
        const [message] = yield* receiver.receive({ maxWait: "4 seconds" })
        assert.strictEqual(message!.messageId, "back")
        assert.strictEqual(message!.deliveryCount, 1)
        assert.deepStrictEqual({ ...message!.applicationProperties }, {
          at: DateTime.fromDateUnsafe(date),
          tried: 1,
          ok: false
        })
        yield* receiver.complete(message!)
      }))

    it.effect("of ours are seen by theirs: abandoned", () =>
      Effect.gen(function*() {
        yield* theySend("our-abandon", { body: { id: "1", total: 1 }, messageId: "back" })
        const receiver = yield* ServiceBusReceiver.make(queue("our-abandon", json))
        const [message] = yield* receiver.receive({ maxWait: "4 seconds" })
        yield* receiver.abandon(message!, { properties: { tried: 1, big: 2n ** 40n, ok: false } })
        const client = yield* official
        yield* Effect.promise(async () => {
          const theirs = client.createReceiver("our-abandon")
          const [again] = await theirs.receiveMessages(1)
          assert.strictEqual(again!.messageId, "back")
          assert.strictEqual(again!.deliveryCount, 1)
          assert.deepStrictEqual(again!.applicationProperties, { tried: 1, big: 2 ** 40, ok: false })
          await theirs.completeMessage(again!)
        })
      }))
  })

  it.effect("a received message can be sent on by either", () =>
    Effect.gen(function*() {
      yield* weSend(queue("again", ServiceBusBody.amqpValue), { ...fields, body: { n: 1 } })
      const client = yield* official
      yield* Effect.promise(async () => {
        const receiver = client.createReceiver("again")
        const [message] = await receiver.receiveMessages(1)
        await client.createSender("again").sendMessages(message!)
        await receiver.completeMessage(message!)
      })
      const [message] = yield* weReceive(queue("again", ServiceBusBody.amqpValue), 1)
      assert.deepInclude(message, fields)
      assert.deepStrictEqual(message!.body, { n: 1 })
    }))

  it.effect("both may receive from one queue: each message comes to one of them", () =>
    Effect.gen(function*() {
      const entity = queue("competing", ServiceBusBody.json(Schema.Finite))
      yield* weSend(entity, ...Array.from({ length: 200 }, (_, i) => ({ body: i })))
      const client = yield* official
      const receiver = yield* ServiceBusReceiver.make(entity)
      const theirs: Array<number> = []
      const subscription = client.createReceiver("competing").subscribe({
        processMessage: async ({ body }) => void theirs.push(body),
        processError: async () => {}
      }, { maxConcurrentCalls: 3 })
      const ours: Array<number> = []
      while (theirs.length + ours.length < 200) {
        const messages = yield* receiver.receive({ max: 5, maxWait: "50 millis" })
        yield* receiver.completeAll(messages)
        for (const { body } of messages) ours.push(body)
      }
      yield* Effect.promise(() => subscription.close())
      assert.deepStrictEqual([...theirs, ...ours].toSorted((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i))
      assert.isNotEmpty(ours)
    }))
})
