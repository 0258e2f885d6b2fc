/** Messages are scheduled for a time and cancelled before it. */
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { both, failsWith, type LayerFor, type Name, testsOf, Texts } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    clock("a scheduled message comes at its time, not before, with a new number", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const number = yield* sender.schedule({ body: "soon", messageId: "m" }, "30 seconds")
        assert.strictEqual(number, 1n)
        const waiting = yield* Effect.forkChild(Effect.flatMap(receiver.receive(), (messages) =>
          Effect.map(Clock.currentTimeMillis, (now) => [messages, now] as const)))
        yield* TestClock.adjust("29 seconds")
        const [scheduled] = yield* receiver.peek()
        assert.deepStrictEqual(
          [scheduled!.state, DateTime.toEpochMillis(scheduled!.enqueuedTime)],
          ["scheduled", 0]
        )
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 second")
        const [[message], at] = yield* Fiber.join(waiting)
        assert.strictEqual(at, 30_000)
        assert.deepStrictEqual([message!.messageId, message!.body, message!.sequenceNumber], ["m", "soon", 2n])
        assert.strictEqual(DateTime.toEpochMillis(message!.enqueuedTime), 30_000)
      }))

    clock("messages come in the order of their times", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const now = yield* DateTime.now
        yield* sender.schedule({ body: "late" }, DateTime.addDuration(now, Duration.minutes(2)))
        yield* sender.schedule({ body: "early" }, "1 minute")
        yield* sender.send({ body: "now" })
        yield* TestClock.adjust("3 minutes")
        const messages = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ body }) => body), ["now", "early", "late"])
      }))

    clock("a message that is cancelled never comes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const numbers = yield* sender.scheduleAll([{ body: "a" }, { body: "b" }, { body: "c" }], "1 minute")
        assert.deepStrictEqual(numbers, [1n, 2n, 3n])
        yield* sender.cancelScheduled([numbers[0]!, numbers[2]!])
        yield* TestClock.adjust("2 minutes")
        const messages = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ body }) => body), ["b"])
        // All or nothing, and once is enough.
        yield* sender.cancelScheduled([numbers[1]!]).pipe(failsWith("MessageNotFoundError"))
        const more = yield* sender.scheduleAll([{ body: "d" }], "1 minute")
        yield* sender.cancelScheduled([...more, 99n]).pipe(failsWith("MessageNotFoundError"))
        // The first has been enqueued, and its state goes on to say how it came.
        const left = (yield* emulator.messages(Texts)).map(({ body, state }) => [body, state])
        assert.deepStrictEqual(left, [["b", "scheduled"], ["d", "scheduled"]])
      }))

    test("a message sent with an enqueue time waits too", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const now = yield* DateTime.now
        yield* sender.send({ body: "x", scheduledEnqueueTime: DateTime.addDuration(now, Duration.hours(1)) })
        assert.deepStrictEqual(yield* receiver.receive({ maxWait: 0 }), [])
        const [message] = yield* receiver.peek()
        assert.strictEqual(message!.state, "scheduled")
      }))

    test("a time that is over means at once", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.schedule({ body: "now" }, 0)
        const [message] = yield* receiver.receive()
        assert.strictEqual(message!.body, "now")
      }))

    test("refuses what cannot be scheduled before the wire", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        for (const at of [Number.NaN, -1, Infinity, "soon" as never]) {
          yield* sender.schedule({ body: "x" }, at).pipe(failsWith("InvalidOptionError"))
        }
        yield* sender.scheduleAll([{ body: "x" }, { body: 1 as never }], "1 hour").pipe(failsWith("MessageEncodeError"))
        yield* sender.schedule({ body: "x".repeat(300_000) }, "1 hour").pipe(failsWith("MessageSizeExceededError"))
        assert.deepStrictEqual(yield* sender.scheduleAll([], "1 hour"), [])
        yield* sender.cancelScheduled([])
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("what is no sequence number is not cancelled", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.cancelScheduled([2n ** 63n]).pipe(failsWith("InvalidOptionError"))
        yield* sender.cancelScheduled([1 as never]).pipe(failsWith("InvalidOptionError"))
      }))
  })

describe("Scheduling", () => both(suite))
