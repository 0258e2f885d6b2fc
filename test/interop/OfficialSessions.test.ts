/** Microsoft's own client and ours on one broker: sessions, their state and their locks. */
import { Effect, Option, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { until } from "../support/harness.ts"
import { official, testsOn } from "../support/official.ts"
import { assert, describe } from "../support/vitest.ts"

const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.json(Schema.String),
  sessions: true,
  sessionState: ServiceBusBody.json(Schema.Struct({ items: Schema.Number }))
})
const Steps = ServiceBusEntity.topic("steps", { body: ServiceBusBody.text, sessions: true })
const Workers = ServiceBusEntity.subscription(Steps, "workers", { sessions: true })

const microsoft = official({ retryOptions: { maxRetries: 0, timeoutInMs: 2_000 } })

const test = testsOn(
  Emulator.entity(Carts, { lockDuration: "5 seconds" }),
  Emulator.entity(Steps),
  Emulator.entity(Workers)
)

const codeOf = (promise: () => Promise<unknown>) =>
  Effect.map(
    Effect.flip(Effect.tryPromise(promise)),
    (error) => (error.cause as { readonly code?: string }).code
  )

describe("the official client on our broker", () => {
  test(
    "accepts a session by id, in order, and settles in it",
    Effect.gen(function*() {
      const client = yield* microsoft
      const emulator = yield* Emulator.Emulator
      const sender = client.createSender("carts")
      yield* Effect.promise(() =>
        sender.sendMessages(["1", "2", "3"].map((body) => ({ body, messageId: body, sessionId: "a" })))
      )
      yield* Effect.promise(() => sender.sendMessages({ body: "other", sessionId: "b" }))
      const receiver = yield* Effect.promise(() => client.acceptSession("carts", "a"))
      assert.strictEqual(receiver.sessionId, "a")
      assert.closeTo(receiver.sessionLockedUntilUtc.getTime(), Date.now() + 5_000, 1_000)
      const [one, two, three] = yield* Effect.promise(() => receiver.receiveMessages(3))
      assert.deepStrictEqual([one, two, three].map((message) => message!.body), ["1", "2", "3"])
      yield* Effect.promise(() => receiver.completeMessage(one!))
      yield* Effect.promise(() => receiver.deferMessage(two!))
      yield* Effect.promise(() =>
        receiver.deadLetterMessage(three!, { deadLetterReason: "r", deadLetterErrorDescription: "d" })
      )
      const [deferred] = yield* Effect.promise(() => receiver.receiveDeferredMessages(two!.sequenceNumber!))
      yield* Effect.promise(() => receiver.completeMessage(deferred!))
      assert.deepStrictEqual((yield* emulator.messages(Carts)).map(({ sessionId }) => sessionId), ["b"])
      assert.deepStrictEqual((yield* emulator.deadLetters(Carts)).map(({ messageId }) => messageId), ["3"])
      const peeked = yield* Effect.promise(() => receiver.peekMessages(5))
      assert.deepStrictEqual(peeked, [])
      const before = receiver.sessionLockedUntilUtc.getTime()
      yield* Effect.sleep("50 millis")
      const renewed = yield* Effect.promise(() => receiver.renewSessionLock())
      assert.isAbove(renewed.getTime(), before)
      yield* Effect.promise(() => receiver.close())
    })
  )

  test(
    "is refused a session that another has, and gets none where there is none",
    Effect.gen(function*() {
      const client = yield* microsoft
      yield* ServiceBusSession.accept(Carts, "a")
      assert.strictEqual(yield* codeOf(() => client.acceptSession("carts", "a")), "SessionCannotBeLocked")
      assert.strictEqual(yield* codeOf(() => client.acceptNextSession("carts")), "ServiceTimeout")
      // The lock of ours is renewed meanwhile.
      const sender = yield* ServiceBusSender.make(Carts)
      yield* sender.send({ body: "x", sessionId: "free" })
      const receiver = yield* Effect.promise(() => client.acceptNextSession("carts"))
      assert.strictEqual(receiver.sessionId, "free")
      yield* Effect.promise(() => receiver.close())
    })
  )

  test(
    "waits for the next session",
    Effect.gen(function*() {
      const client = yield* microsoft
      const accepting = client.acceptNextSession("carts")
      yield* Effect.sleep("200 millis")
      const sender = yield* ServiceBusSender.make(Carts)
      yield* sender.send({ body: "late", sessionId: "late" })
      const receiver = yield* Effect.promise(() => accepting)
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.strictEqual(message!.body, "late")
      yield* Effect.promise(() => receiver.completeMessage(message!))
      yield* Effect.promise(() => receiver.close())
    })
  )

  test(
    "keeps state where ours reads it, and reads what ours set",
    Effect.gen(function*() {
      const client = yield* microsoft
      const theirs = yield* Effect.promise(() => client.acceptSession("carts", "a"))
      assert.isNull(yield* Effect.promise(() => theirs.getSessionState()))
      yield* Effect.promise(() => theirs.setSessionState({ items: 3 }))
      yield* Effect.promise(() => theirs.close())
      yield* Effect.scoped(Effect.gen(function*() {
        const ours = yield* ServiceBusSession.accept(Carts, "a")
        assert.deepStrictEqual(yield* ours.state, Option.some({ items: 3 }))
        yield* ours.setState({ items: 4 })
      }))
      const again = yield* Effect.promise(() => client.acceptSession("carts", "a"))
      assert.deepStrictEqual(yield* Effect.promise(() => again.getSessionState()), { items: 4 })
      yield* Effect.promise(() => again.close())
    })
  )

  test(
    "streams a session of a subscription, and batches into one",
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = client.createSender("steps")
      const batch = yield* Effect.promise(() => sender.createMessageBatch())
      for (let i = 0; i < 20; i++) {
        assert.isTrue(batch.tryAddMessage({ body: String(i), messageId: String(i), sessionId: "a" }))
      }
      yield* Effect.promise(() => sender.sendMessages(batch))
      const receiver = yield* Effect.promise(() => client.acceptNextSession("steps", "workers"))
      const bodies: Array<string> = []
      yield* Effect.callback<void>((resume) => {
        receiver.subscribe({
          processMessage: async (message) => {
            bodies.push(String(message.messageId))
            if (bodies.length === 20) resume(Effect.void)
          },
          processError: async ({ error }) => resume(Effect.die(error))
        })
      })
      assert.deepStrictEqual(bodies, Array.from({ length: 20 }, (_, i) => String(i)))
      const emulator = yield* Emulator.Emulator
      // It completes by itself, after the handler.
      yield* until(Effect.map(emulator.messages(Workers), (messages) => messages.length === 0))
      yield* Effect.promise(() => receiver.close())
    })
  )

  test(
    "loses a session whose lock runs out, and ours gets it",
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = yield* ServiceBusSender.make(Carts)
      yield* sender.send({ body: "x", sessionId: "a" })
      const receiver = yield* Effect.promise(() =>
        client.acceptSession("carts", "a", { maxAutoLockRenewalDurationInMs: 0 })
      )
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      const ours = Option.getOrThrow(yield* ServiceBusSession.acceptNext(Carts, { wait: "15 seconds" }))
      const [again] = yield* ours.receive()
      assert.strictEqual(again!.deliveryCount, 1)
      assert.strictEqual(yield* codeOf(() => receiver.completeMessage(message!)), "SessionLockLost")
      yield* ours.complete(again!)
    })
  )
})
