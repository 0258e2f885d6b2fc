/** Messages are peeked in every state, and none is locked. */
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  both,
  failsWith,
  type LayerFor,
  type Name,
  Orders,
  OrderTexts,
  testsOf,
  Texts,
  texts
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    test("shows messages of every state and takes none", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const sender = yield* ServiceBusSender.make(Texts)
        const [first, second] = yield* receiver.receive({ max: 2 })
        yield* receiver.defer(first!, { properties: { why: "later" } })
        yield* sender.schedule({ body: "to come" }, "1 hour")
        const seen = yield* receiver.peek({ max: 10 })
        assert.deepStrictEqual(seen.map(({ body, sequenceNumber, state }) => [sequenceNumber, state, body]), [
          [1n, "deferred", "body 0"],
          [2n, "active", "body 1"],
          [3n, "active", "body 2"],
          [4n, "scheduled", "to come"]
        ])
        assert.strictEqual(seen[0]!.applicationProperties["why"], "later")
        assert.isDefined(seen[3]!.scheduledEnqueueTime)
        assert.deepStrictEqual(seen.map(({ _tag }) => _tag), ["Peeked", "Peeked", "Peeked", "Peeked"])
        // The second is still locked, the third still there.
        yield* receiver.complete(second!)
        const [third] = yield* receiver.receive()
        assert.strictEqual(third!.deliveryCount, 0)
      }))

    test("goes on from a sequence number, and comes to an end", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5))
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        const numbers = (from: bigint, max: number) =>
          Effect.map(receiver.peek({ from, max }), (messages) => messages.map(({ sequenceNumber }) => sequenceNumber))
        assert.deepStrictEqual(yield* Effect.map(receiver.peek(), (messages) => messages.length), 1)
        assert.deepStrictEqual(yield* numbers(2n, 2), [2n, 3n])
        assert.deepStrictEqual(yield* numbers(4n, 5000), [4n, 5n])
        assert.deepStrictEqual(yield* numbers(6n, 1), [])
        assert.deepStrictEqual(yield* numbers(2n ** 63n - 1n, 1), [])
      }))

    test("browses as a stream, page by page", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(250))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const all = yield* Stream.runCollect(receiver.browse())
        assert.deepStrictEqual(all.map(({ sequenceNumber }) => Number(sequenceNumber)), numbersTo(250))
        const some = yield* receiver.browse({ from: 100n, max: 7 }).pipe(Stream.take(10), Stream.runCollect)
        assert.deepStrictEqual([some.length, some[0]!.body], [10, "body 99"])
        assert.lengthOf(yield* emulator.messages(Texts), 250)
      }))

    test("a body that does not decode is named; peekRaw shows it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "{\"id\":\"a\",\"total\":1}" }, {
          body: "no order",
          messageId: "poison"
        }])
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const error = yield* receiver.peek({ max: 2 }).pipe(failsWith("MessageDecodeError"))
        assert.strictEqual(error.sequenceNumber, 2n)
        const [, poison] = yield* receiver.peekRaw({ max: 2 })
        assert.deepStrictEqual([poison!.messageId, poison!.body], ["poison", undefined])
        // Looking disposes of nothing.
        assert.lengthOf(yield* emulator.messages(OrderTexts), 2)
      }))

    test("refuses options out of range before the wire", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const options of [{ max: 0 }, { max: 1.5 }, { max: 5001 }, { from: -1n }, { from: 2n ** 63n }]) {
          const error = yield* receiver.peek(options).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, Object.keys(options)[0])
        }
        // A caller without types.
        yield* receiver.peek({ from: 1 as never }).pipe(failsWith("InvalidOptionError"))
      }))

    test("an empty queue has nothing to show", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        assert.deepStrictEqual(yield* receiver.peek({ max: 10 }), [])
        assert.deepStrictEqual(yield* Stream.runCollect(receiver.browse()), [])
      }))
  })

const numbersTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

describe("Peeking", () => both(suite))
