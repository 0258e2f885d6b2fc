/** Receiving messages: how many, for how long, in which mode, and what stays with the broker. */
import {
  AutoLockRenewer,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  start,
  testsOf,
  TextBytes,
  Texts,
  texts,
  until,
  wireOf
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)
    const short = name === "in memory" ? "10 seconds" : "30 millis"

    /** Waits for a fiber whose effect needs `short` to be over. */
    const join = <A, E>(fiber: Fiber.Fiber<A, E>, duration: Duration.Input = short) =>
      name === "in memory"
        ? Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.idle
          yield* TestClock.adjust(duration)
          return yield* Fiber.join(fiber)
        })
        : Fiber.join(fiber)

    test("receives one message with everything the broker says of it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(3))
        const messages = yield* receiver.receive()
        assert.lengthOf(messages, 1)
        const message = messages[0]!
        assert.strictEqual(message._tag, "Locked")
        assert.strictEqual(message.body, "body 0")
        assert.strictEqual(message.deliveryCount, 0)
        assert.strictEqual(message.state, "active")
        assert.strictEqual(message.sequenceNumber, 1n)
        assert.match(message.lockToken, /^[0-9a-f-]{36}$/)
        const length = DateTime.toEpochMillis(message.lockedUntil) - DateTime.toEpochMillis(message.enqueuedTime)
        assert.isAtLeast(length, 60_000)
        assert.isBelow(length, 70_000)
        // The others are still the broker's.
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 1)
      }))

    test("receiveOne gives a message, or None where none came in its time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(2))
        const message = Option.getOrThrow(yield* receiver.receiveOne())
        assert.deepInclude(message, { _tag: "Locked", body: "body 0" })
        yield* receiver.complete(message)
        // The others are still the broker's, whatever else is asked for.
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 1)
        const destructive = yield* ServiceBusReceiver.makeDestructive(Texts)
        const options = { max: 5, maxWait: 0 }
        assert.strictEqual(Option.getOrThrow(yield* destructive.receiveOne(options)).body, "body 1")
        assert.isTrue(Option.isNone(yield* destructive.receiveOne({ maxWait: 0 })))
        const waiting = yield* start(destructive.receiveOne({ maxWait: short }))
        assert.isTrue(Option.isNone(yield* join(waiting)))
        const error = yield* receiver.receiveOne({ maxWait: -1 }).pipe(failsWith("InvalidOptionError"))
        assert.deepInclude(error, { entity: "texts", option: "maxWait" })
      }))

    test("receives at most max, oldest first", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(10))
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 4 })), ["0", "1", "2", "3"])
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 4 })), ["4", "5", "6", "7"])
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 8)
      }))

    test("a message that is detached is settled, renewed and kept in place of the first", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(3))
        const [renewed, kept, dead] = (yield* receiver.receive({ max: 3 })).map(ServiceBusMessage.detached)
        yield* receiver.renewLock(renewed!)
        yield* receiver.complete(renewed!)
        yield* receiver.complete(kept!).pipe(AutoLockRenewer.withLock(receiver, kept!))
        yield* receiver.deadLetter(dead!, { reason: "kept for long" })
        yield* receiver.complete(dead!).pipe(failsWith("MessageAlreadySettled"))
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 2, deadLettered: 1, lockExpired: 0 })
      }))

    test("gives what there is where max is more, without waiting", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(3))
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 100 })), ["0", "1", "2"])
        // No credit is left with the broker: what is sent now stays there.
        yield* emulator.send(Texts, texts(1, 3))
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 3)
        assert.strictEqual(wireOf(receiver).rhea.credit, 0)
      }))

    test("maxWait 0 gives what the broker has now", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        assert.deepStrictEqual(yield* receiver.receive({ max: 10, maxWait: 0 }), [])
        yield* emulator.send(Texts, texts(3))
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 10, maxWait: 0 })), ["0", "1", "2"])
        assert.deepStrictEqual(yield* receiver.receive({ max: 10, maxWait: 0 }), [])
      }))

    test("gives an empty array where nothing came within maxWait", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(receiver.receive({ max: 5, maxWait: short }))
        assert.deepStrictEqual(yield* join(fiber), [])
      }))

    clock("waits 60 seconds where no maxWait is given, and for ever where it is infinite", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const first = yield* start(receiver.receive())
        yield* emulator.idle
        yield* TestClock.adjust("59 seconds")
        assert.isUndefined(first.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(first), [])
        const second = yield* start(receiver.receive({ maxWait: Duration.infinity }))
        yield* emulator.idle
        yield* TestClock.adjust("12 hours")
        assert.isUndefined(second.pollUnsafe())
        yield* emulator.send(Texts, texts(1))
        assert.deepStrictEqual(idsOf(yield* Fiber.join(second)), ["0"])
      }))

    test("a message that comes while it waits is given at once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(receiver.receive({ max: 5 }))
        yield* emulator.send(Texts, texts(1))
        assert.deepStrictEqual(idsOf(yield* Fiber.join(fiber)), ["0"])
      }))

    test("maxWaitAfterFirst gathers more until max is there", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(receiver.receive({ max: 3, maxWaitAfterFirst: "1 hour" }))
        for (let i = 0; i < 3; i++) {
          yield* until(Effect.map(emulator.counters(Texts), ({ delivered }) => delivered === i))
          yield* emulator.send(Texts, texts(1, i))
        }
        assert.deepStrictEqual(idsOf(yield* Fiber.join(fiber)), ["0", "1", "2"])
      }))

    clock("maxWaitAfterFirst ends the wait for more", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(receiver.receive({ max: 3, maxWait: "1 hour", maxWaitAfterFirst: "10 seconds" }))
        yield* emulator.idle
        yield* TestClock.adjust("30 minutes")
        yield* emulator.send(Texts, texts(1))
        yield* emulator.idle
        yield* TestClock.adjust("9 seconds")
        yield* emulator.send(Texts, texts(1, 1))
        yield* emulator.idle
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(idsOf(yield* Fiber.join(fiber)), ["0", "1"])
      }))

    test("an interrupted receive loses nothing and leaves no credit", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(receiver.receive({ max: 5, maxWaitAfterFirst: "1 hour" }))
        yield* emulator.send(Texts, texts(2))
        yield* until(Effect.map(emulator.counters(Texts), ({ delivered }) => delivered === 2))
        yield* Fiber.interrupt(fiber)
        // No receiver takes these: they stay with the broker, unlocked.
        yield* emulator.send(Texts, texts(2, 2))
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 2)
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 10 })), ["0", "1", "2", "3"])
      }))

    test("two concurrent calls share the messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const a = yield* start(receiver.receive({ max: 2 }))
        const b = yield* start(receiver.receive({ max: 2 }))
        yield* emulator.send(Texts, texts(4))
        const ids = [...idsOf(yield* Fiber.join(a)), ...idsOf(yield* Fiber.join(b))]
        assert.sameMembers(ids, ids.length === 4 ? ["0", "1", "2", "3"] : ids)
        assert.isAtLeast(ids.length, 3)
        assert.strictEqual(new Set(ids).size, ids.length)
      }))

    test("several receivers compete, and each message goes to one of them", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receivers = yield* Effect.forEach([1, 2, 3], () => ServiceBusReceiver.make(Texts))
        const fibers = yield* Effect.forEach(
          receivers,
          (receiver) => start(receiver.receive({ max: 100, maxWaitAfterFirst: name === "in memory" ? 0 : "20 millis" }))
        )
        // On the same connection, after the credit of all three.
        yield* emulator.idle
        yield* sender.sendAll(texts(90))
        const taken = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
        const rest = yield* receivers[0]!.receive({ max: 100, maxWait: 0 })
        const ids = [...taken.flat(), ...rest].map(({ messageId }) => messageId)
        assert.sameMembers(ids, [...idsOf(texts(90))])
        for (const messages of taken) assert.isNotEmpty(messages)
      }))

    test("prefetch has the broker send ahead, and no further", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(50))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 10 })
        yield* until(Effect.map(emulator.counters(Texts), ({ delivered }) => delivered === 10))
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 4 })), ["0", "1", "2", "3"])
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 10)
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 4 })), ["4", "5", "6", "7"])
        yield* until(Effect.map(emulator.counters(Texts), ({ delivered }) => delivered === 18))
        assert.lengthOf(yield* receiver.receive({ max: 10, maxWaitAfterFirst: "1 hour" }), 10)
      }))

    clock("a prefetched message whose lock ran out is never handed out", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 3 })
        yield* until(Effect.map(emulator.counters(Texts), ({ delivered }) => delivered === 3))
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 3)
        const messages = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ deliveryCount }) => deliveryCount), [1, 1, 1])
        yield* receiver.completeAll(messages)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 3)
      }), { texts: { lockDuration: "30 seconds" } })

    test("receive-and-delete: the broker forgets what it sends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5))
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        const messages = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ _tag, messageId }) => `${_tag} ${messageId}`), [
          "Destructive 0",
          "Destructive 1",
          "Destructive 2"
        ])
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["3", "4"])
        assert.notProperty(receiver, "settle")
      }))

    test("the dead-letter sub-queue is read as any other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.deadLetter(message!, { reason: "R", description: "D", properties: { why: "because" } })
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
        assert.strictEqual(dead.entity, "texts/$DeadLetterQueue")
        const [letter] = yield* dead.receive()
        assert.strictEqual(letter!.body, "body 0")
        assert.strictEqual(letter!.deadLetterReason, "R")
        assert.strictEqual(letter!.deadLetterErrorDescription, "D")
        assert.strictEqual(letter!.applicationProperties["why"], "because")
        yield* dead.complete(letter!)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
      }))

    clock("an expired message is not delivered", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.send({ body: "short", timeToLive: "10 seconds" })
        yield* sender.send({ body: "long", timeToLive: "1 hour" })
        yield* TestClock.adjust("11 seconds")
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive({ max: 2 })
        assert.strictEqual(message!.body, "long")
        assert.strictEqual(DateTime.toEpochMillis(message!.expiresAt!), 3_600_000)
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
        const [letter] = yield* dead.receive()
        assert.strictEqual(letter!.body, "short")
        assert.strictEqual(letter!.deadLetterReason, "TTLExpiredException")
      }), { texts: { deadLetteringOnExpiration: true } })

    test("a message that fails too often is dead-lettered, and says why", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (let i = 0; i < 3; i++) {
          const [message] = yield* receiver.receive()
          assert.strictEqual(message!.deliveryCount, i)
          yield* receiver.abandon(message!)
        }
        assert.deepStrictEqual(yield* receiver.receive({ maxWait: 0 }), [])
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.strictEqual(letter!.deadLetterReason, "MaxDeliveryCountExceeded")
      }), { texts: { maxDeliveryCount: 3 } })

    test("a plain name receives bytes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make("texts")
        const [message] = yield* receiver.receive()
        assert.strictEqual(new TextDecoder().decode(message!.body), "body 0")
        const destructive = yield* ServiceBusReceiver.makeDestructive("texts")
        const [other] = yield* destructive.receive()
        assert.strictEqual(new TextDecoder().decode(other!.body), "body 1")
      }))

    test("receiveRaw gives messages without decoding their bodies", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(TextBytes, [{ body: new Uint8Array([0xff, 0xfe]), messageId: "bad" }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receiveRaw()
        assert.isUndefined(message!.body)
        assert.strictEqual(message!.messageId, "bad")
        yield* receiver.settle(message!, Settlement.complete)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("options out of range are refused before the wire", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (const prefetch of [-1, 0.5, NaN, Infinity, 5001, "1" as never]) {
          const error = yield* ServiceBusReceiver.make(Texts, { prefetch }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "prefetch")
          yield* ServiceBusReceiver.makeDestructive(Texts, { prefetch }).pipe(failsWith("InvalidOptionError"))
        }
        assert.strictEqual(yield* emulator.connections, 0)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const max of [0, -1, 0.5, NaN, Infinity, 5001, "1" as never]) {
          const error = yield* receiver.receive({ max }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "max")
          assert.strictEqual(error.entity, "texts")
        }
        for (const maxWait of [-1, NaN, -Infinity, "soon" as never, null as never]) {
          if (maxWait === null) continue
          const error = yield* receiver.receive({ maxWait }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "maxWait")
          const other = yield* receiver.receiveRaw({ maxWaitAfterFirst: maxWait }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(other.option, "maxWaitAfterFirst")
        }
        assert.strictEqual(wireOf(receiver).rhea.credit, 0)
      }))
  })

describe("Receiving", () => both(suite))
