/** Deferred messages are received by their sequence numbers. */
import { AutoLockRenewer, ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import {
  both,
  failsWith,
  type LayerFor,
  type Name,
  Orders,
  OrderTexts,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

/** A queue of which the first three of four messages are deferred, and a receiver of it. */
const deferred = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  yield* emulator.send(Texts, texts(4))
  const receiver = yield* ServiceBusReceiver.make(Texts)
  const messages = yield* receiver.receive({ max: 3 })
  yield* Effect.forEach(messages, (message) => receiver.defer(message))
  const states = Effect.map(
    emulator.messages(Texts),
    (messages) => messages.map(({ sequenceNumber, state }) => `${sequenceNumber} ${state}`)
  )
  return { emulator, receiver, states }
})

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("deferred messages come by their numbers and are settled like others", () =>
      Effect.gen(function*() {
        const { emulator, receiver, states } = yield* deferred
        const [one, two, three] = yield* receiver.receiveDeferred([1n, 2n, 3n])
        assert.deepStrictEqual([one!.body, two!.body, three!.body], ["body 0", "body 1", "body 2"])
        assert.deepStrictEqual([one!._tag, one!.state], ["Locked", "deferred"])
        yield* receiver.complete(one!)
        yield* receiver.deadLetter(two!, { reason: "late", description: "too late" })
        yield* receiver.abandon(three!, { properties: { tried: true } })
        assert.deepStrictEqual(yield* states, ["3 deferred", "4 active"])
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual([letter!.deadLetterReason, letter!.deadLetterErrorDescription], ["late", "too late"])
        const [again] = yield* receiver.receiveDeferred([3n])
        assert.strictEqual(again!.applicationProperties["tried"], true)
        yield* receiver.defer(again!)
        yield* receiver.complete(again!).pipe(failsWith("MessageAlreadySettled"))
        yield* receiver.complete(one!).pipe(failsWith("MessageAlreadySettled"))
      }))

    test("another receiver can take them, and one message twice is one", () =>
      Effect.gen(function*() {
        const { receiver, states } = yield* deferred
        const other = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* other.receiveDeferred([2n, 2n])
        assert.lengthOf(messages, 1)
        yield* receiver.complete(messages[0]!).pipe(failsWith("InvalidOptionError"))
        yield* other.completeAll(messages)
        assert.deepStrictEqual(yield* states, ["1 deferred", "3 deferred", "4 active"])
      }))

    test("all of them or none, and the error says which is missing", () =>
      Effect.gen(function*() {
        const { receiver, states } = yield* deferred
        const error = yield* receiver.receiveDeferred([1n, 4n, 77n]).pipe(failsWith("MessageNotFoundError"))
        assert.deepStrictEqual(error.missing, [4n, 77n])
        assert.include(error.message, "4, 77")
        assert.deepStrictEqual(yield* states, ["1 deferred", "2 deferred", "3 deferred", "4 active"])
        assert.lengthOf(yield* receiver.receiveDeferred([1n]), 1)
      }))

    test("destructively they are gone at once", () =>
      Effect.gen(function*() {
        const { states } = yield* deferred
        const destructive = yield* ServiceBusReceiver.makeDestructive(Texts)
        const [message] = yield* destructive.receiveDeferred([3n])
        assert.deepStrictEqual([message!._tag, message!.body], ["Destructive", "body 2"])
        assert.deepStrictEqual(yield* states, ["1 deferred", "2 deferred", "4 active"])
      }))

    clock("their locks are renewed like others, and run out like others", () =>
      Effect.gen(function*() {
        const { receiver, states } = yield* deferred
        const [one, two] = yield* receiver.receiveDeferred([1n, 2n])
        const until = one!.lockedUntil
        const renewed = yield* receiver.renewLock(one!)
        assert.isTrue(DateTime.isGreaterThanOrEqualTo(renewed, until))
        const work = Effect.sleep("5 minutes").pipe(AutoLockRenewer.withLock(receiver, one!))
        const working = yield* Effect.forkChild(Effect.andThen(work, receiver.complete(one!)))
        yield* TestClock.adjust("5 minutes")
        yield* Fiber.join(working)
        yield* receiver.complete(two!).pipe(failsWith("MessageLockLostError"))
        assert.deepStrictEqual(yield* states, ["2 deferred", "3 deferred", "4 active"])
        // Free again.
        assert.lengthOf(yield* receiver.receiveDeferred([2n]), 1)
      }))

    test("what does not decode meets the policy", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "poison" }, { body: "{\"id\":\"a\",\"total\":1}" }])
        const raw = yield* ServiceBusReceiver.make(OrderTexts)
        const messages = yield* raw.receive({ max: 2 })
        yield* Effect.forEach(messages, (message) => raw.defer(message))
        const failing = yield* ServiceBusReceiver.make(Orders, { undecodable: "fail" })
        yield* failing.receiveDeferred([1n, 2n]).pipe(failsWith("MessageDecodeError"))
        // Both are free again once their abandonment has arrived.
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const [good] = yield* Effect.eventually(receiver.receiveDeferred([1n, 2n]))
        assert.strictEqual(good!.body.id, "a")
        yield* receiver.complete(good!)
        yield* until(Effect.map(emulator.deadLetters(OrderTexts), (letters) => letters.length === 1))
        assert.lengthOf(yield* emulator.messages(OrderTexts), 0)
      }))

    test("refuses what is no sequence number before the wire", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* receiver.receiveDeferred([-1n]).pipe(failsWith("InvalidOptionError"))
        yield* receiver.receiveDeferred([1 as never]).pipe(failsWith("InvalidOptionError"))
        assert.deepStrictEqual(yield* receiver.receiveDeferred([]), [])
      }))
  })

describe("Deferring", () => both(suite))
