/**
 * The sink of a sender: on the broker, and by itself on a link that decides when a batch has its answer.
 */
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Arbitrary from "effect/Arbitrary"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as AmqpValue from "../../src/AmqpValue.ts"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import * as MessageBatch from "../../src/internal/message/MessageBatch.ts"
import * as MessageEncoder from "../../src/internal/message/MessageEncoder.ts"
import * as ReceivedMessage from "../../src/internal/message/ReceivedMessage.ts"
import * as SenderSink from "../../src/internal/sender/SenderSink.ts"
import { type OutgoingMessage } from "../../src/ServiceBusMessage.ts"
import {
  both,
  deliveriesOf,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  once,
  passing,
  soon,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("a sink sends a stream in order, a batch for what is there", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const sink = sender.sink()
        assert.deepStrictEqual(yield* Stream.run(Stream.fromIterable(texts(100)), sink), { sent: 100, rejected: [] })
        assert.strictEqual(deliveriesOf(sender), 1)
        // The same sink again.
        assert.deepStrictEqual(yield* Stream.run(Stream.fromIterable(texts(10, 100)), sink), { sent: 10, rejected: [] })
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(texts(110)))
      }))

    test("a stream without messages sends nothing", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        assert.deepStrictEqual(yield* Stream.run(Stream.empty, sender.sink({ linger: "1 hour" })), {
          sent: 0,
          rejected: []
        })
        assert.strictEqual(deliveriesOf(sender), 0)
      }))

    test("a sink splits at the link's limit and keeps the order", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const messages = Array.from({ length: 300 }, (_, i) => ({ body: "y".repeat(i), messageId: String(i) }))
        const { sent } = yield* Stream.run(Stream.fromIterable(messages), sender.sink())
        assert.strictEqual(sent, 300)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(messages))
        assert.isBelow(deliveriesOf(sender), 120)
      }), { texts: { maxMessageSize: 777 } })

    test("sessions and partition keys get batches of their own, however they are mixed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const messages = Array.from({ length: 90 }, (_, i): OutgoingMessage<string> => ({
          body: "",
          messageId: String(i),
          ...(i % 3 === 0 ? {} : i % 3 === 1 ? { sessionId: `s${i % 2}` } : { partitionKey: `p${i % 2}` })
        }))
        yield* Stream.run(Stream.fromIterable(messages), sender.sink())
        assert.strictEqual(deliveriesOf(sender), 5)
        const stored = yield* emulator.messages(Texts)
        assert.lengthOf(stored, 90)
        for (const key of [undefined, "s0", "s1", "p0", "p1"]) {
          const ofKey = (all: ReadonlyArray<{ readonly sessionId?: unknown; readonly partitionKey?: unknown }>) =>
            all.filter((message) => (message.sessionId ?? message.partitionKey) === key) as never
          assert.deepStrictEqual(idsOf(ofKey(stored)), idsOf(ofKey(messages)))
        }
      }))

    test("what can never be sent is rejected alone", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(
          ServiceBusEntity.queue("texts", { body: ServiceBusBody.text, sessions: true })
        )
        const sessionId = "s"
        const large = { body: "x".repeat(2000), sessionId }
        const unnamed = { body: "no session" } as never
        const bad = { body: 7 as never, sessionId }
        const report = yield* Stream.run(
          Stream.make(
            { body: "a", sessionId },
            large,
            { body: "b", sessionId },
            unnamed,
            bad,
            undefined as never,
            { body: "c", sessionId }
          ),
          sender.sink()
        )
        assert.strictEqual(report.sent, 3)
        assert.deepStrictEqual(
          report.rejected.map(({ error, index, message }) => [
            index,
            message,
            error._tag === "MessageEncodeError" ? error.part : error._tag
          ]),
          [
            [1, large, "MessageSizeExceededError"],
            [3, unnamed, "sessionId"],
            [4, bad, "body"],
            [5, undefined as never, "message"]
          ]
        )
        assert.strictEqual(report.rejected[1]!.error.entity, "texts")
        assert.deepStrictEqual((yield* emulator.messages(Texts)).map(({ body }) => body), ["a", "b", "c"])
      }), { texts: { maxMessageSize: 1000 } })

    test("onRejected takes what is rejected, and its failure fails the sink", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const seen: Array<number> = []
        const messages = [{ body: "a" }, { body: 1 as never }, { body: "b" }, { body: 2 as never }, { body: "c" }]
        const report = yield* Stream.run(
          Stream.fromIterable(messages),
          sender.sink({ onRejected: ({ index }) => Effect.sync(() => seen.push(index)) })
        )
        assert.deepStrictEqual(report, { sent: 3, rejected: [] })
        assert.deepStrictEqual(seen, [1, 3])
        const exit = yield* Effect.exit(
          Stream.run(Stream.fromIterable(messages), sender.sink({ onRejected: ({ index }) => Effect.fail(index) }))
        )
        assert.deepStrictEqual(exit, Exit.fail(1))
        assert.lengthOf(yield* emulator.messages(Texts), 3)
      }))

    test("what came before a rejected message does not wait for onRejected", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const report = yield* Stream.run(
          Stream.fromIterable([{ body: "a" }, { body: 1 as never }, { body: "b" }]),
          sender.sink({ onRejected: () => until(Effect.map(emulator.messages(Texts), (all) => all.length === 1)) })
        ).pipe(Effect.timeout("10 seconds"))
        assert.strictEqual(report.sent, 2)
      }))

    test("another error fails the sink", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" } })
        const endless = Stream.tick("1 millis").pipe(Stream.map(() => ({ body: "" })))
        const error = yield* Stream.run(Stream.concat(Stream.fromIterable(texts(3)), endless), sender.sink()).pipe(
          failsWith("ServiceBusQuotaExceededError")
        )
        assert.strictEqual(error.entity, "texts")
        // And the sender goes on.
        yield* sender.send({ body: "" })
      }), once)

    test("a batch whose error can pass is sent again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: { condition: "com.microsoft:timeout" } })
        const report = yield* passing(Stream.run(Stream.fromIterable(texts(5)), sender.sink()))
        assert.strictEqual(report.sent, 5)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(texts(5)))
      }), { client: { retry: { delay: "1 millis" } } })

    test("connections that are lost lose no message, and no key its order", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const messages = Array.from({ length: 600 }, (_, i) => ({
          body: "",
          messageId: String(i),
          partitionKey: `p${i % 3}`
        }))
        const source = Stream.fromIterable(messages).pipe(
          Stream.rechunk(10),
          Stream.tap(({ messageId }) => messageId.endsWith("99") ? emulator.dropConnections : Effect.void)
        )
        const report = yield* passing(Stream.run(source, sender.sink({ maxWaiting: 20 })))
        assert.deepStrictEqual(report, { sent: 600, rejected: [] })
        const stored = yield* emulator.messages(Texts)
        for (const key of ["p0", "p1", "p2"]) {
          // A batch whose answer was lost is there twice.
          const ids = new Set(idsOf(stored.filter(({ partitionKey }) => partitionKey === key)))
          assert.deepStrictEqual(
            [...ids],
            idsOf(messages.filter(({ partitionKey }) => partitionKey === key))
          )
        }
      }), { client: { retry: { maxRetries: 50, delay: 20, maxDelay: 100 } } })

    test("a stream that fails has what it gave before sent", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const exit = yield* Stream.fromIterable(texts(3)).pipe(
          Stream.concat(Stream.fail("broken")),
          Stream.run(sender.sink({ linger: "1 hour" })),
          Effect.exit
        )
        assert.deepStrictEqual(exit, Exit.fail("broken"))
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(texts(3)))
      }))

    test("options that are out of range fail typed", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const options: ReadonlyArray<ServiceBusSender.SinkOptions<unknown>> = [
          { linger: -1 },
          { linger: NaN },
          { linger: Infinity },
          { concurrency: 0 },
          { concurrency: 101 },
          { concurrency: 1.5 },
          { maxWaiting: 0 }
        ]
        for (const each of options) {
          const error = yield* Stream.run(Stream.fromIterable(texts(1)), sender.sink(each)).pipe(
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, Object.keys(each)[0])
        }
        assert.strictEqual(deliveriesOf(sender), 0)
      }))

    clock("a batch waits for linger after its first message", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const source = yield* Queue.unbounded<OutgoingMessage<string>, Cause.Done>()
        const fiber = yield* start(Stream.run(Stream.fromQueue(source), sender.sink({ linger: "100 millis" })))
        const stored = Effect.andThen(emulator.idle, Effect.map(emulator.messages(Texts), idsOf))
        yield* Queue.offerAll(source, texts(2))
        yield* emulator.idle
        yield* TestClock.adjust("60 millis")
        yield* Queue.offerAll(source, texts(1, 2))
        yield* emulator.idle
        yield* TestClock.adjust("39 millis")
        assert.deepStrictEqual(yield* stored, [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* stored, ["0", "1", "2"])
        assert.strictEqual(deliveriesOf(sender), 1)
        // The next batch has a linger of its own.
        yield* TestClock.adjust("1 minute")
        yield* Queue.offerAll(source, texts(1, 3))
        yield* emulator.idle
        yield* TestClock.adjust("99 millis")
        assert.lengthOf(yield* stored, 3)
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(yield* stored, 4)
        // The end of the stream does not wait for the answer.
        yield* Queue.offerAll(source, texts(1, 4))
        yield* Queue.end(source)
        assert.deepStrictEqual(yield* Fiber.join(fiber), { sent: 5, rejected: [] })
        assert.strictEqual(deliveriesOf(sender), 3)
      }))

    clock("a full batch does not linger, and each key lingers by itself", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const source = yield* Queue.unbounded<OutgoingMessage<string>, Cause.Done>()
        yield* start(Stream.run(Stream.fromQueue(source), sender.sink({ linger: "1 minute" })))
        const stored = Effect.andThen(emulator.idle, Effect.map(emulator.messages(Texts), idsOf))
        const body = "x".repeat(400)
        yield* Queue.offerAll(source, ["0", "1", "2"].map((messageId) => ({ body, messageId })))
        // Two fit.
        assert.deepStrictEqual(yield* stored, ["0", "1"])
        yield* TestClock.adjust("30 seconds")
        yield* Queue.offer(source, { body: "", messageId: "a", sessionId: "a" })
        yield* emulator.idle
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* stored, ["0", "1", "2"])
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* stored, ["0", "1", "2", "a"])
      }), { texts: { maxMessageSize: 1000 } })

    clock("too many that wait do not linger", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const source = yield* Queue.unbounded<OutgoingMessage<string>, Cause.Done>()
        yield* start(
          Stream.run(Stream.fromQueue(source), sender.sink({ linger: "1 hour", maxWaiting: 10 }))
        )
        yield* Queue.offerAll(source, texts(25))
        yield* until(Effect.map(emulator.messages(Texts), (messages) => messages.length === 20))
        yield* emulator.idle
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(texts(20)))
        assert.strictEqual(deliveriesOf(sender), 2)
      }))

    clock("interrupting it drops what waits", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const source = yield* Queue.unbounded<OutgoingMessage<string>, Cause.Done>()
        const fiber = yield* start(Stream.run(Stream.fromQueue(source), sender.sink({ linger: "1 minute" })))
        yield* Queue.offerAll(source, texts(3))
        yield* emulator.idle
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 hour")
        yield* emulator.idle
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        yield* sender.send({ body: "" })
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))
  })

describe("Sink", () => both(suite))

const encoder = MessageBatch.messageEncoder(Texts, { currentTimeMillisUnsafe: () => 1 })

type Text = OutgoingMessage<unknown>

/** The messages of a delivery. */
const messagesOf = ({ format, payload }: MessageBatch.Batch): ReadonlyArray<ReceivedMessage.Peeked<undefined>> => {
  const sections = new Sections(Buffer.from(payload), 0, payload.length)
  if (format === 0) return [new ReceivedMessage.Peeked(sections, undefined)]
  const body = sections.readBody()
  if (body.kind !== "data" || typeof body.data === "string") throw new Error("a batch has data sections")
  return (body.data instanceof Uint8Array ? [body.data] : body.data).map((bytes) =>
    new ReceivedMessage.Peeked(new Sections(bytes as Buffer, 0, bytes.length), undefined)
  )
}

const keyOf = (message: { readonly sessionId?: string | undefined }) => message.sessionId ?? ""

/** A link whose answers are given by hand, and what was sent on it. */
const heldLink = (maxMessageSize = 10_000) => {
  const batches: Array<MessageBatch.Batch> = []
  const answers: Array<Deferred.Deferred<void, string>> = []
  const link: SenderSink.SinkLink<Text, string> = {
    encoder,
    limits: () => ({ maxMessageSize, maxBatchSize: maxMessageSize }),
    send: (batch) =>
      Effect.suspend(() => {
        const answer = Deferred.makeUnsafe<void, string>()
        batches.push(batch)
        answers.push(answer)
        return Deferred.await(answer)
      })
  }
  return { answers, batches, link }
}

const settings: SenderSink.Settings<Text, never, never> = {
  linger: 0,
  concurrency: 2,
  maxWaiting: 10,
  maxWaitingBytes: 20_000,
  onRejected: undefined
}

describe("the sink by itself", () => {
  it.effect("holds the stream back while its places are taken and enough waits", () =>
    Effect.gen(function*() {
      const { answers, batches, link } = heldLink()
      let pulled = 0
      const source = Stream.fromIterable(texts(100)).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => pulled++))
      )
      const fiber = yield* start(Stream.run(source, SenderSink.make(link, settings)))
      yield* soon(() => batches.length === 1 && pulled === 12)
      // One is in flight, ten wait and one was asked for; nothing more comes however long the answer takes.
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow
      assert.strictEqual(pulled, 12)
      assert.strictEqual(batches.length, 1)
      yield* Deferred.succeed(answers[0]!, undefined)
      yield* soon(() => batches.length === 2)
      assert.strictEqual(batches[1]!.count, 10)
      for (let i = 1; fiber.pollUnsafe() === undefined; i++) {
        yield* soon(() => answers.length > i || fiber.pollUnsafe() !== undefined)
        if (i === answers.length) break
        yield* Deferred.succeed(answers[i - 1]!, undefined)
        yield* Deferred.succeed(answers[i]!, undefined)
      }
      assert.deepStrictEqual(yield* Fiber.join(fiber), { sent: 100, rejected: [] })
      assert.strictEqual(pulled, 100)
    }))

  it.effect("holds the stream back by bytes too", () =>
    Effect.gen(function*() {
      const { batches, link } = heldLink()
      let pulled = 0
      const body = "x".repeat(5000)
      const source = Stream.fromIterable(Array.from({ length: 50 }, () => ({ body }))).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => pulled++))
      )
      const fiber = yield* start(Stream.run(source, SenderSink.make(link, { ...settings, maxWaiting: 5000 })))
      yield* soon(() => batches.length === 1)
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow
      // Two batches' bytes: four messages.
      assert.strictEqual(pulled, 6)
      yield* Fiber.interrupt(fiber)
    }))

  it("the envelope of a batch has the id of its first message, also where it is made and where the batch is split", () => {
    const time = { currentTimeMillisUnsafe: () => 1 }
    const limits = { maxMessageSize: 700, maxBatchSize: 700 }
    const ids = [undefined, "own", 7n, AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff")] as const
    for (const messageId of ids) {
      const ours = new MessageBatch.BatchBuilder(encoder, new Writer())
      for (let i = 0; i < 20; i++) ours.add({ body: "x".repeat(50), messageId }, limits)
      ours.close()
      const annotated = new MessageBatch.BatchBuilder(MessageBatch.annotatedEncoder(Texts, time), new Writer())
      for (let i = 0; i < 20; i++) {
        annotated.add({ properties: { messageId }, body: { kind: "data", data: "x".repeat(50) } }, limits)
      }
      annotated.close()
      for (const closed of [ours.closed, annotated.closed]) {
        assert.isAbove(closed.length, 2)
        for (const batch of closed) {
          assert.isAtMost(batch.payload.length, 700)
          const [first] = messagesOf(batch)
          assert.notStrictEqual(first!.messageId, "")
          const envelope = ReceivedMessage.Peeked.sectionsOf(messagesOf({ ...batch, format: 0 })[0]!)!
          assert.deepStrictEqual(envelope.readList(envelope.properties)[0], first!.amqpMessageId)
        }
      }
    }
  })

  it("a batch takes as many messages as fit into its bytes, and those may be fewer than one message's", () => {
    const batcher = new MessageBatch.BatchBuilder(encoder, new Writer())
    const limits = { maxMessageSize: 2_000_000, maxBatchSize: 1_000_000 }
    for (let i = 0; i < 6000; i++) batcher.add({ body: "", messageId: "m" }, limits)
    assert.deepStrictEqual([batcher.closed.length, batcher.count], [0, 6000])
    batcher.add({ body: "x".repeat(1_500_000), messageId: "m" }, limits)
    batcher.add({ body: "", messageId: "m" }, limits)
    batcher.close()
    assert.deepStrictEqual(batcher.closed.map(({ count, format }) => [count, format]), [
      [6000, MessageEncoder.batchFormat],
      [1, 0],
      [1, 0]
    ])
  })

  it.effect("gives back what a message that went alone took", () =>
    Effect.gen(function*() {
      const link: SenderSink.SinkLink<Text, never> = {
        encoder,
        limits: () => ({ maxMessageSize: 10_000, maxBatchSize: 10_000 }),
        send: () => Effect.yieldNow
      }
      const source = Stream.fromIterable(Array.from({ length: 3000 }, (_, i) => ({ body: "", sessionId: String(i) })))
      const report = yield* Stream.run(
        Stream.rechunk(source, 1),
        SenderSink.make(link, { ...settings, maxWaitingBytes: 2000 })
      )
      assert.deepStrictEqual(report, { sent: 3000, rejected: [] })
    }))

  it.effect("has one batch of a key in flight, and as many keys as it may", () =>
    Effect.gen(function*() {
      const { answers, batches, link } = heldLink()
      const messages = ["a", "a", "b", "c", "a"].map((sessionId, i) => ({ body: "", messageId: String(i), sessionId }))
      const source = Stream.fromIterable(messages).pipe(Stream.rechunk(1))
      const fiber = yield* start(Stream.run(source, SenderSink.make(link, settings)))
      const sent = () => batches.map((batch) => messagesOf(batch).map(({ messageId }) => messageId))
      yield* soon(() => batches.length === 2)
      for (let i = 0; i < 50; i++) yield* Effect.yieldNow
      assert.deepStrictEqual(sent(), [["0"], ["2"]])
      yield* Deferred.succeed(answers[0]!, undefined)
      yield* soon(() => batches.length === 3)
      assert.deepStrictEqual(sent()[2], ["3"])
      yield* Deferred.succeed(answers[1]!, undefined)
      yield* soon(() => batches.length === 4)
      assert.deepStrictEqual(sent()[3], ["1", "4"])
      yield* Deferred.succeed(answers[2]!, undefined)
      yield* Deferred.succeed(answers[3]!, undefined)
      assert.deepStrictEqual(yield* Fiber.join(fiber), { sent: 5, rejected: [] })
    }))

  it.effect("stops all that is in flight when one fails", () =>
    Effect.gen(function*() {
      const { answers, batches, link } = heldLink()
      let interrupted = 0
      const watched: SenderSink.SinkLink<Text, string> = {
        ...link,
        send: (batch) => Effect.onInterrupt(link.send(batch), () => Effect.sync(() => interrupted++))
      }
      const source = Stream.concat(
        Stream.make({ body: "", sessionId: "a" }, { body: "", sessionId: "b" }),
        Stream.never
      )
      const fiber = yield* start(Stream.run(source, SenderSink.make(watched, settings)))
      yield* soon(() => batches.length === 2)
      yield* Deferred.fail(answers[1]!, "refused")
      assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), "refused")
      assert.strictEqual(interrupted, 1)
    }))

  const limit = 600
  const Message = Schema.Struct({
    key: Schema.Literals(["", "a", "b", "c"]),
    size: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 700 }))
  })

  it.effect.prop("splits exactly, keeps each key's order, and loses nothing", {
    messages: Arbitrary.array(Arbitrary.schema(Message), { maxLength: 200 }),
    chunk: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })),
    concurrency: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
    // Where batches may wait for ever they are as full as can be.
    lingers: Schema.Boolean
  }, ({ chunk, concurrency, lingers, messages }) =>
    Effect.gen(function*() {
      const all = messages.map(({ key, size }, i): Text => ({
        body: "x".repeat(size),
        messageId: String(i),
        ...(key === "" ? {} : { sessionId: key })
      }))
      const batches: Array<MessageBatch.Batch> = []
      const inFlight = new Set<string>()
      let turn = 0
      const link: SenderSink.SinkLink<Text, never> = {
        encoder,
        limits: () => ({ maxMessageSize: limit, maxBatchSize: limit }),
        send: (batch) =>
          Effect.gen(function*() {
            const key = keyOf(messagesOf(batch)[0]!)
            assert.isFalse(inFlight.has(key))
            inFlight.add(key)
            assert.isAtMost(inFlight.size, concurrency)
            batches.push(batch)
            for (let i = 0, turns = (turn = (turn * 7 + 3) % 5); i < turns; i++) yield* Effect.yieldNow
            inFlight.delete(key)
          })
      }
      const report = yield* Stream.fromIterable(all).pipe(
        Stream.rechunk(chunk),
        Stream.run(SenderSink.make(link, {
          ...settings,
          linger: lingers ? 3_600_000 : 0,
          concurrency,
          ...(lingers ? { maxWaiting: 5000, maxWaitingBytes: 1_000_000 } : { maxWaiting: 20, maxWaitingBytes: 5000 })
        }))
      )
      const writer = new Writer()
      const sizeOf = (message: Text): number => {
        writer.reset()
        encoder.write(writer, message)
        return writer.length
      }
      const envelope = (key: string, messageId: string): number => {
        writer.reset()
        MessageEncoder.beginBatch(writer, key === "" ? {} : { sessionId: key }, messageId)
        return writer.length
      }
      const fits = all.filter((message) => sizeOf(message) <= limit)
      assert.strictEqual(report.sent, fits.length)
      assert.deepStrictEqual(
        report.rejected.map(({ index }) => index),
        all.flatMap((message, i) => sizeOf(message) > limit ? [i] : [])
      )
      for (const key of ["", "a", "b", "c"]) {
        const ofKey = batches.map(messagesOf).filter(([first]) => keyOf(first!) === key)
        assert.deepStrictEqual(
          ofKey.flat().map(({ messageId }) => messageId),
          fits.filter((message) => keyOf(message) === key).map(({ messageId }) => messageId)
        )
        for (const messages of ofKey) assert.isTrue(messages.every((message) => keyOf(message) === key))
        if (!lingers) continue
        for (let i = 1; i < ofKey.length; i++) {
          const full = ofKey[i - 1]!.reduce(
            (sum, { size }) => sum + size + MessageEncoder.sectionSize,
            envelope(key, ofKey[i - 1]![0]!.messageId)
          )
          assert.isAbove(full + MessageEncoder.sectionSize + ofKey[i]![0]!.size, limit)
        }
      }
      for (const { payload } of batches) assert.isAtMost(payload.length, limit)
    }), { arbitrary: { seed: 7, runs: 150 } })
})
