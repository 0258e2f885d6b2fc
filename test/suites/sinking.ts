import { assert, describe } from "@effect/vitest"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { OutgoingMessage } from "../../src/ServiceBusMessage.ts"
import {
  deliveriesOf,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  once,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "./harness.ts"

export const suite = (name: Name, layerFor: LayerFor) =>
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
        // The end of the stream waits for nobody.
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
