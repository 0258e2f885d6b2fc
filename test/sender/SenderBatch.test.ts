/** A batch that is filled by hand: what fits, what is refused, whose it is, and what sending makes of it. */
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import {
  both,
  deliveriesOf,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  once,
  Orders,
  passing,
  testsOf,
  Texts,
  texts
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

/** Adds messages, all of which must fit. */
const fill = <M>(batch: ServiceBusSender.Batch<M>, messages: ReadonlyArray<M>) =>
  Effect.forEach(messages, (message) => Effect.map(batch.tryAdd(message), (isAdded) => assert.isTrue(isAdded)), {
    discard: true
  })

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    test("is sent as one delivery, in order, and gives all ids, those that it made too", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const batch = yield* sender.batch()
        assert.deepInclude(batch, { entity: "texts", maxSize: 262_144, size: 0, count: 0 })
        yield* fill(batch, [...texts(99), { body: "last" }])
        assert.strictEqual(batch.count, 100)
        const ids = yield* sender.sendBatch(batch)
        assert.deepStrictEqual(ids.slice(0, 99), idsOf(texts(99)))
        assert.match(ids[99]!, /^[0-9a-f-]{36}$/)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
        assert.strictEqual(deliveriesOf(sender), 1)
      }))

    test("one message goes as it is, and none sends nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const [none, one, two] = [yield* sender.batch(), yield* sender.batch(), yield* sender.batch()]
        assert.deepStrictEqual(yield* sender.sendBatch(none), [])
        assert.strictEqual(deliveriesOf(sender), 0)
        yield* fill(one, texts(1))
        yield* fill(two, texts(2))
        // Two messages alike, and the envelope around them.
        assert.isAbove(two.size, 2 * one.size)
        const { size } = one
        assert.deepStrictEqual(yield* sender.sendBatch(one), ["0"])
        assert.strictEqual(one.size, size)
        yield* fill(yield* sender.batch({ maxSize: size }), texts(1))
        const short = yield* sender.batch({ maxSize: size - 1 })
        yield* short.tryAdd(texts(1)[0]!).pipe(failsWith("MessageSizeExceededError"))
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["0"])
      }))

    test("takes messages up to its size and not a byte more; one that does not fit changes nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const messages = Array.from({ length: 8 }, (_, i) => ({ body: "y".repeat(i * 40), messageId: String(i) }))
        const sizes: Array<number> = []
        const whole = yield* sender.batch()
        for (const message of messages) {
          yield* fill(whole, [message])
          sizes.push(whole.size)
        }
        for (let n = 2; n <= messages.length; n++) {
          const exact = yield* sender.batch({ maxSize: sizes[n - 1]! })
          yield* fill(exact, messages.slice(0, n))
          assert.strictEqual(exact.size, exact.maxSize)
          const short = yield* sender.batch({ maxSize: sizes[n - 1]! - 1 })
          yield* fill(short, messages.slice(0, n - 1))
          assert.isFalse(yield* short.tryAdd(messages[n - 1]!))
          assert.deepInclude(short, { count: n - 1, size: sizes[n - 2]! })
          assert.deepStrictEqual(yield* sender.sendBatch(short), idsOf(messages.slice(0, n - 1)))
          assert.strictEqual(short.size, sizes[n - 2]!)
        }
        const first = (yield* emulator.messages(Texts)).slice(0, 3)
        assert.deepStrictEqual(first.map(({ body }) => body.length), [0, 0, 40])
      }))

    test("takes as much as the link allows, as sendAll does", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const messages = Array.from({ length: 300 }, (_, i) => ({ body: "y".repeat(i), messageId: String(i) }))
        let batch = yield* sender.batch()
        const ids: Array<string> = []
        for (const message of messages) {
          if (yield* batch.tryAdd(message)) continue
          ids.push(...(yield* sender.sendBatch(batch)))
          batch = yield* sender.batch()
          yield* fill(batch, [message])
        }
        ids.push(...(yield* sender.sendBatch(batch)))
        assert.deepStrictEqual(ids, idsOf(messages))
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
        const deliveries = deliveriesOf(sender)
        yield* sender.sendAll(messages)
        assert.strictEqual(deliveriesOf(sender), 2 * deliveries)
      }), { texts: { maxMessageSize: 2000 } })

    test("has messages of one session and partition key", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const batch = yield* sender.batch()
        yield* fill(batch, [{ body: "1", sessionId: "a" }])
        for (
          const fields of [
            {},
            { sessionId: "b" },
            { sessionId: "b", partitionKey: "b" },
            { partitionKey: "a" },
            { sessionId: "a", viaPartitionKey: "v" }
          ]
        ) assert.isFalse(yield* batch.tryAdd({ body: "no", ...fields }))
        // The key that it has anyway.
        yield* fill(batch, [{ body: "3", sessionId: "a" }, { body: "4", sessionId: "a", partitionKey: "a" }])
        yield* sender.sendBatch(batch)
        assert.deepStrictEqual(
          (yield* emulator.messages(Texts)).map(({ body, partitionKey, sessionId }) => [body, sessionId, partitionKey]),
          [["1", "a", undefined], ["3", "a", undefined], ["4", "a", "a"]]
        )
        assert.strictEqual(deliveriesOf(sender), 1)
      }))

    test("refuses what can never be sent, full or empty, of whatever session, and stays as it was", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const [empty, begun] = [yield* sender.batch({ maxSize: 500 }), yield* sender.batch({ maxSize: 500 })]
        yield* fill(begun, [{ body: "1", messageId: "1", sessionId: "a" }])
        for (const batch of [empty, begun]) {
          const { count, size } = batch
          const large = yield* batch.tryAdd({ body: "x".repeat(500) }).pipe(failsWith("MessageSizeExceededError"))
          assert.deepInclude(large, { entity: "texts", limit: 500 })
          assert.isAbove(large.size, 500)
          const body = yield* batch.tryAdd({ body: 7 as never }).pipe(failsWith("MessageEncodeError"))
          assert.deepInclude(body, { entity: "texts", part: "body" })
          const none = yield* batch.tryAdd(undefined as never).pipe(failsWith("MessageEncodeError"))
          assert.strictEqual(none.part, "message")
          const keys = { sessionId: "a", partitionKey: "b" }
          yield* batch.tryAdd({ body: "", ...keys }).pipe(failsWith("MessageEncodeError"))
          assert.deepInclude(batch, { count, size })
        }
        assert.deepStrictEqual(yield* sender.sendBatch(begun), ["1"])
        const sessions = yield* ServiceBusSender.make(
          ServiceBusEntity.queue("orders", { body: ServiceBusBody.text, sessions: true })
        )
        const error = yield* Effect.flatMap(sessions.batch(), (batch) => batch.tryAdd({ body: "" } as never)).pipe(
          failsWith("MessageEncodeError")
        )
        assert.strictEqual(error.part, "sessionId")
      }))

    test("its size is within what the link allows", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        for (const maxSize of [0, -1, 1.5, NaN, Infinity, 10_001, "1", null, 5n]) {
          const error = yield* sender.batch({ maxSize } as never).pipe(failsWith("InvalidOptionError"))
          assert.deepInclude(error, { entity: "texts", option: "maxSize" })
          assert.include(error.message, "10000")
        }
        assert.strictEqual((yield* sender.batch({ maxSize: 10_000 })).maxSize, 10_000)
        assert.strictEqual((yield* sender.batch({ maxSize: undefined })).maxSize, 10_000)
      }), { texts: { maxMessageSize: 10_000 } })

    test("the messages of a large entity may be larger than its batches", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        assert.strictEqual(sender.maxMessageSize, 4 * 1024 * 1024)
        const batch = yield* sender.batch()
        assert.strictEqual(batch.maxSize, 1024 * 1024)
        yield* batch.tryAdd({ body: "x".repeat(1024 * 1024) }).pipe(failsWith("MessageSizeExceededError"))
      }), { texts: { maxMessageSize: 4 * 1024 * 1024 } })

    test("belongs to the sender that made it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const [one, other] = [yield* ServiceBusSender.make(Texts), yield* ServiceBusSender.make(Texts)]
        const batch = yield* one.batch()
        yield* fill(batch, texts(2))
        for (const value of [batch, { ...batch }, undefined, null, {}, one]) {
          const error = yield* other.sendBatch(value as never).pipe(failsWith("InvalidOptionError"))
          assert.deepInclude(error, { entity: "texts", option: "batch", operation: "sendBatch" })
        }
        assert.strictEqual(deliveriesOf(other), 0)
        // It was not sent: it takes more.
        yield* fill(batch, texts(1, 2))
        yield* one.sendBatch(batch)
        assert.lengthOf(yield* emulator.messages(Texts), 3)
      }))

    test("is closed by sending it, and may be sent again under the same ids", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const batch = yield* sender.batch()
        yield* fill(batch, [{ body: "a" }, { body: "b" }])
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" } })
        yield* sender.sendBatch(batch).pipe(failsWith("ServiceBusQuotaExceededError"))
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        const error = yield* batch.tryAdd({ body: "c" }).pipe(failsWith("InvalidOptionError"))
        assert.deepInclude(error, { entity: "texts", option: "batch" })
        assert.strictEqual(batch.count, 2)
        const ids = yield* sender.sendBatch(batch)
        assert.deepStrictEqual(yield* sender.sendBatch(batch), ids)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ids)
        const empty = yield* sender.batch()
        yield* sender.sendBatch(empty)
        yield* empty.tryAdd({ body: "c" }).pipe(failsWith("InvalidOptionError"))
      }), { ...once, texts: { duplicateDetectionWindow: "10 minutes" } })

    test("has its messages as they were when they were added", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Orders)
        const batch = yield* sender.batch()
        const message = { body: { id: "1", total: 1 }, messageId: "m", applicationProperties: { a: 1 } }
        yield* fill(batch, [message])
        message.body.total = 2
        message.applicationProperties.a = 2
        yield* sender.sendBatch(batch)
        const [stored] = yield* emulator.messages(Orders)
        assert.deepStrictEqual([stored!.body.total, stored!.applicationProperties], [1, { a: 1 }])
      }))

    test("several are filled and sent at the same time, beside other messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const all = yield* Effect.forEach(["a", "b", "c"], (key) =>
          Effect.gen(function*() {
            const batch = yield* sender.batch()
            for (const message of texts(50)) {
              yield* fill(batch, [{ ...message, messageId: key + message.messageId }])
              yield* Effect.yieldNow
              if (message.messageId === "25") yield* sender.send({ body: "between", messageId: `${key}-` })
            }
            return yield* sender.sendBatch(batch)
          }), { concurrency: 3 })
        const stored = (yield* emulator.messages(Texts)).filter(({ body }) => body !== "between")
        assert.deepStrictEqual(idsOf(stored).toSorted(), all.flat().toSorted())
        assert.strictEqual((yield* emulator.counters(Texts)).enqueued, 153)
      }))

    test("is sent over the next link where its own was lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const batch = yield* sender.batch()
        yield* fill(batch, texts(3))
        yield* emulator.dropConnections
        assert.deepStrictEqual(yield* passing(sender.sendBatch(batch)), ["0", "1", "2"])
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["0", "1", "2"])
      }))
  })

describe("A batch", () => both(suite))
