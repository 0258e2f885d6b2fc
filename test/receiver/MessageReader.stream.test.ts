/** The messages of a receiver as a stream, and `settleEach` over it. */
import { ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until,
  wireOf
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    const delivered = (count: number) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* until(Effect.map(emulator.counters(Texts), (counters) => counters.delivered === count))
      })

    test("messages come as a stream, in order", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(250))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.messages.pipe(
          Stream.mapEffect((message) => Effect.as(receiver.complete(message), message)),
          Stream.take(250),
          Stream.runCollect
        )
        assert.deepStrictEqual(idsOf(messages), idsOf(texts(250)))
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 250)
      }))

    clock("with maxWait a stream ends after that much silence, and only then", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts, { maxWait: "30 seconds" })
        const seen: Array<string> = []
        const fiber = yield* start(
          Stream.runForEach(receiver.messages, (message) =>
            // Longer than the wait: time in which nothing is pulled does not count.
            Effect.andThen(
              Effect.sleep("40 seconds"),
              Effect.andThen(
                receiver.complete(message),
                Effect.sync(() => seen.push(message.body))
              )
            ))
        )
        yield* emulator.send(Texts, texts(2))
        yield* emulator.idle
        yield* TestClock.adjust("80 seconds")
        yield* TestClock.adjust("29 seconds")
        yield* emulator.send(Texts, [{ body: "late" }])
        yield* emulator.idle
        yield* TestClock.adjust("40 seconds")
        assert.deepStrictEqual(seen, ["body 0", "body 1", "late"])
        yield* TestClock.adjust("29 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        // Over is over: the next stream waits anew, and no credit is left.
        yield* emulator.send(Texts, [{ body: "next" }])
        yield* emulator.idle
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 3)
        const [next] = yield* receiver.messages.pipe(Stream.take(1), Stream.runCollect)
        assert.strictEqual(next!.body, "next")
      }), { texts: { lockDuration: "5 minutes" } })

    clock("without maxWait a stream never ends, whatever the silence", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(receiver.messages.pipe(Stream.take(1), Stream.runCollect))
        // The broker ends idle links every ten minutes.
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(fiber.pollUnsafe())
        yield* emulator.send(Texts, texts(1))
        assert.lengthOf(yield* Fiber.join(fiber), 1)
      }))

    test("a maxWait that is none is refused", () =>
      Effect.gen(function*() {
        for (const maxWait of [0, -1, Number.NaN]) {
          const error = yield* ServiceBusReceiver.make(Texts, { maxWait }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "maxWait")
        }
      }))

    test("the broker keeps what is beyond the window until it is taken", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1000))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 20 })
        const entered = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        const fiber = yield* start(
          receiver.messages.pipe(
            Stream.runForEachArray((messages) =>
              Deferred.succeed(entered, undefined).pipe(
                Effect.andThen(Deferred.await(gate)),
                Effect.andThen(receiver.completeAll(messages))
              )
            )
          )
        )
        yield* Deferred.await(entered)
        yield* emulator.idle
        // One chunk is in work; at most one window is ahead of it.
        assert.isAtMost((yield* emulator.counters(Texts)).delivered, 40)
        yield* Deferred.succeed(gate, undefined)
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1000))
        yield* Fiber.interrupt(fiber)
      }))

    test("messages of one read come as one of the chunks", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(50))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const first = yield* Deferred.make<number>()
        const fiber = yield* start(
          Stream.runForEach(receiver.chunks, (messages) => Deferred.succeed(first, messages.length))
        )
        assert.isAbove(yield* Deferred.await(first), name === "in memory" ? 49 : 1)
        yield* Fiber.interrupt(fiber)
      }))

    test("what is not taken of a stream goes back when it ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(30))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const taken = yield* receiver.messages.pipe(Stream.take(3), Stream.runCollect)
        assert.deepStrictEqual(idsOf(taken), ["0", "1", "2"])
        // The stream left no credit with the broker, and nothing locked that no caller has.
        assert.strictEqual(wireOf(receiver).rhea.credit, 0)
        yield* emulator.idle
        yield* until(Effect.map(
          emulator.counters(Texts),
          ({ delivered, released }) => released === delivered - 3
        ))
        const other = yield* ServiceBusReceiver.make(Texts)
        assert.lengthOf(yield* other.receive({ max: 100, maxWait: 0 }), 27)
        yield* receiver.completeAll(taken)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 3)
      }))

    test("a prefetch window stays when a stream ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 5 })
        const taken = yield* receiver.messages.pipe(Stream.take(2), Stream.runCollect)
        assert.deepStrictEqual(idsOf(taken), ["0", "1"])
        yield* emulator.idle
        assert.strictEqual((yield* emulator.counters(Texts)).released, 0)
        assert.deepStrictEqual(idsOf(yield* receiver.receive()), ["2"])
      }))

    test("a stream can be run again, and a receive can follow", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const i of [0, 1]) {
          yield* emulator.send(Texts, texts(1, i))
          const taken = yield* receiver.messages.pipe(Stream.take(1), Stream.runCollect)
          assert.deepStrictEqual(idsOf(taken), [String(i)])
        }
        yield* emulator.send(Texts, texts(1, 2))
        assert.deepStrictEqual(idsOf(yield* receiver.receive()), ["2"])
      }))

    test("interrupting a stream gives back what was not pulled", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(Stream.runForEachArray(receiver.messages, () => Effect.never))
        yield* emulator.send(Texts, texts(1))
        yield* delivered(1)
        yield* emulator.idle
        yield* emulator.send(Texts, texts(5, 1))
        yield* delivered(6)
        yield* Fiber.interrupt(fiber)
        assert.includeMembers([...idsOf(yield* receiver.receive({ max: 10, maxWait: 0 }))], ["2", "3", "4", "5"])
      }))

    test("messagesRaw does not decode, messages of a destructive receiver are gone", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(4))
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts, { prefetch: 2 })
        const raw = yield* receiver.messagesRaw.pipe(Stream.take(2), Stream.runCollect)
        assert.deepStrictEqual(raw.map(({ _tag, body }) => [_tag, body]), [
          ["Destructive", undefined],
          ["Destructive", undefined]
        ])
        const rest = yield* receiver.messages.pipe(Stream.take(2), Stream.runCollect)
        assert.deepStrictEqual(rest.map(({ body }) => body), ["body 2", "body 3"])
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("settleEach settles as its handler says", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(40))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        let running = 0
        let most = 0
        const settlements = yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach((body) =>
            Effect.gen(function*() {
              most = Math.max(most, ++running)
              yield* Effect.yieldNow
              running--
              const number = Number(body.slice(5))
              if (number % 4 === 1) return Settlement.deadLetter({ reason: "odd" })
              if (number % 4 === 2) return Settlement.defer()
              return undefined
            }), { concurrency: 4 }),
          Stream.take(40),
          Stream.runCollect
        )
        const tags = settlements.map(({ _tag }) => _tag)
        assert.lengthOf(tags.filter((tag) => tag === "Complete"), 20)
        assert.lengthOf(tags.filter((tag) => tag === "DeadLetter"), 10)
        assert.lengthOf(tags.filter((tag) => tag === "Defer"), 10)
        assert.isAtMost(most, 4)
        const { completed, deadLettered, deferred } = yield* emulator.counters(Texts)
        assert.deepStrictEqual([completed, deadLettered, deferred], [20, 10, 10])
      }))

    test("settleEach abandons the message of a handler that fails, and fails with it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const error = yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach(() => Effect.fail("no" as const)),
          Stream.runDrain,
          Effect.flip
        )
        assert.strictEqual(error, "no")
        assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 1)
      }))

    test("settleEach of messages that no receiver gave is refused", () =>
      Effect.gen(function*() {
        const error = yield* Stream.make({} as never).pipe(
          ServiceBusReceiver.settleEach(() => Effect.void),
          Stream.runDrain,
          failsWith("InvalidOptionError")
        )
        assert.strictEqual(error.option, "messages")
      }))

    test("one stream, processor or receive has a receiver's messages at a time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const seen: Array<string> = []
        const stream = yield* start(
          Stream.runForEach(receiver.messages, (message) => Effect.sync(() => void seen.push(message.body)))
        )
        const refused = yield* receiver.receive({ maxWait: 0 }).pipe(failsWith("InvalidOptionError"))
        assert.include(refused.message, "a stream takes its messages")
        yield* Stream.runDrain(receiver.messages).pipe(failsWith("InvalidOptionError"))
        yield* ServiceBusProcessor.make(receiver, () => Effect.void).pipe(failsWith("InvalidOptionError"))
        yield* emulator.send(Texts, texts(2))
        yield* until(Effect.sync(() => seen.length === 2))
        yield* Fiber.interrupt(stream)

        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* receiver.receive({ maxWait: 0 }).pipe(failsWith("InvalidOptionError"))
        yield* processor.drain
        yield* emulator.send(Texts, texts(1))
        assert.lengthOf(yield* receiver.receive(), 1)
      }))

    test("a destructive stream that ends early loses nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        const first = yield* receiver.messages.pipe(Stream.take(1), Stream.runCollect)
        const second = yield* receiver.messages.pipe(Stream.take(2), Stream.runCollect)
        const rest = yield* receiver.receive({ max: 20 })
        assert.deepStrictEqual(idsOf([...first, ...second, ...rest]), idsOf(texts(10)))
      }))

    test("a handler of settleEach that dies gives its message back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const exit = yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach(() => Effect.die("bug")),
          Stream.runDrain,
          Effect.exit
        )
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 1)
      }))

    test("settleEach: a handler that throws has its message abandoned", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const exit = yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach((): Effect.Effect<void> => {
            throw new Error("thrown")
          }),
          Stream.runDrain,
          Effect.exit
        )
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 1)
      }))

    test("settleEach: a concurrency that is none is refused", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const concurrency of [0, -1, NaN]) {
          yield* receiver.messages.pipe(
            ServiceBusReceiver.settleEach(() => Effect.void, { concurrency }),
            Stream.take(1),
            Stream.runDrain,
            failsWith("InvalidOptionError")
          )
        }
      }), { timeout: 4_000 })

    test("a stream's end gives back what was not pulled; an interrupted receive loses nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (let i = 0; i < 5; i++) {
          const fiber = yield* start(receiver.receive({ max: 1 }))
          for (let j = 0; j < i * 3; j++) {
            yield* Effect.yieldNow
          }
          yield* Fiber.interrupt(fiber)
        }
        const first = yield* Stream.runCollect(Stream.take(receiver.messages, 3))
        yield* receiver.completeAll(first)
        const rest = yield* receiver.receive({ max: 10, maxWait: "2 seconds", maxWaitAfterFirst: "200 millis" }).pipe(
          passing
        )
        assert.isAtLeast(first.length + rest.length, 5)
        yield* receiver.completeAll(rest)
      }))
  })

describe("Messages as a stream", () => both(suite))
