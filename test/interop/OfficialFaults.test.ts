/** Microsoft's own client and the faults of the broker: each is to it what the service's would be. */
import type { ServiceBusClientOptions } from "@azure/service-bus"
import { Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { until } from "../support/harness.ts"
import { official, testsOn } from "../support/official.ts"
import { assert, describe } from "../support/vitest.ts"

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
const Others = ServiceBusEntity.queue("others", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })

const test = testsOn(Emulator.entity(Texts), Emulator.entity(Others), Emulator.entity(Carts))

const microsoft = (retryOptions: ServiceBusClientOptions["retryOptions"] = { maxRetries: 0, timeoutInMs: 1_000 }) =>
  official({ retryOptions: { retryDelayInMs: 50, maxRetryDelayInMs: 50, ...retryOptions } })

/** The code of the error that a promise is rejected with, and its message. */
const failed = (promise: () => Promise<unknown>) =>
  Effect.map(Effect.flip(Effect.tryPromise(promise)), ({ cause }) => {
    const { code, message } = cause as { readonly code?: string; readonly message: string }
    return { code, message }
  })

const count = Effect.flatMap(
  Emulator.Emulator,
  ({ messages }) => Effect.map(messages(Texts), ({ length }) => length)
)

describe("the official client and a fault of", () => {
  test(
    "a send",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* microsoft()
      const sender = client.createSender("texts")
      const send = () => sender.sendMessages({ body: "one" })
      yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" } })
      assert.strictEqual((yield* failed(send)).code, "QuotaExceeded")
      yield* emulator.fail({ operation: "send", action: "throttle", retryAfter: "2 seconds" })
      const busy = yield* failed(send)
      assert.strictEqual(busy.code, "ServiceBusy")
      assert.include(busy.message, "Error code : 50009. Please wait 2 seconds")
      yield* emulator.fail({ operation: "send", action: "drop" })
      assert.strictEqual((yield* failed(send)).code, "ServiceTimeout")
      assert.strictEqual(yield* count, 0)
      yield* emulator.fail({ operation: "send", action: "drop", when: "after" })
      assert.strictEqual((yield* failed(send)).code, "ServiceTimeout")
      assert.strictEqual(yield* count, 1)
      yield* emulator.fail({ operation: "send", action: "delay", delay: "300 millis" })
      yield* Effect.promise(send)
      assert.strictEqual(yield* count, 2)
    })
  )

  for (const action of ["detach", "endSession", "disconnect"] as const) {
    test(
      `a send that ends with ${action}: it is tried again, and another entity and another client go on`,
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const client = yield* microsoft({ maxRetries: 3, timeoutInMs: 5_000 })
        const sender = client.createSender("texts")
        const other = yield* ServiceBusSender.make(Others)
        yield* emulator.fail({ operation: "send", entity: Texts, action })
        yield* Effect.promise(() => sender.sendMessages({ body: "one" }))
        yield* other.send({ body: "beside" })
        assert.strictEqual(yield* count, 1)
        assert.deepStrictEqual((yield* emulator.faults).map(({ hits }) => hits), [1])
      })
    )
  }

  test(
    "a settlement and a renewal",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* microsoft()
      const receiver = client.createReceiver("texts")
      yield* emulator.send(Texts, ["a", "b", "c"].map((body) => ({ body })))
      const [a, b, c] = yield* Effect.promise(() => receiver.receiveMessages(3))
      yield* emulator.fail({ operation: "settle", action: "loseLock" })
      assert.strictEqual((yield* failed(() => receiver.completeMessage(a!))).code, "MessageLockLost")
      yield* emulator.fail({ operation: "renew", action: "loseLock" })
      assert.strictEqual((yield* failed(() => receiver.renewMessageLock(b!))).code, "MessageLockLost")
      yield* emulator.fail({ operation: "renew", action: "throttle" })
      assert.strictEqual((yield* failed(() => receiver.renewMessageLock(c!))).code, "ServiceBusy")
      yield* emulator.fail({ operation: "settle", action: "delay", delay: "200 millis", when: "after" })
      yield* Effect.promise(() => receiver.completeMessage(c!))
      assert.strictEqual(yield* count, 2)
      assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 2)
    })
  )

  test(
    "requests of management, by name",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* microsoft()
      const receiver = client.createReceiver("texts")
      const sender = client.createSender("texts")
      yield* emulator.fail({ operation: "com.microsoft:peek-message", action: "throttle" })
      yield* emulator.fail({ operation: "com.microsoft:schedule-message", action: "drop", when: "after" })
      const later = new Date(Date.now() + 3_600_000)
      const timedOut = yield* failed(() => sender.scheduleMessages({ body: "later" }, later))
      assert.include(["ServiceTimeout", "OperationTimeoutError"], timedOut.code ?? "OperationTimeoutError")
      assert.strictEqual((yield* failed(() => receiver.peekMessages(1))).code, "ServiceBusy")
      const [scheduled] = yield* Effect.promise(() => receiver.peekMessages(1))
      assert.strictEqual(scheduled?.body, "later")
    })
  )

  test(
    "an attach, a token and the accept of a session",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* microsoft()
      yield* emulator.fail({ operation: "attach", entity: Texts, error: { condition: "amqp:unauthorized-access" } })
      const receiver = client.createReceiver("texts")
      const refused = yield* failed(() => receiver.receiveMessages(1, { maxWaitTimeInMs: 500 }))
      assert.strictEqual(refused.code, "UnauthorizedAccess")
      yield* emulator.fail({ operation: "attach", entity: Others, action: "delay", delay: "300 millis" })
      yield* Effect.promise(() => client.createSender("others").sendMessages({ body: "" }))
      yield* emulator.send(Carts, [{ body: "", sessionId: "a" }])
      yield* emulator.fail({ operation: "putToken", entity: Carts, error: { condition: "amqp:unauthorized-access" } })
      assert.strictEqual((yield* failed(() => client.acceptSession("carts", "a"))).code, "UnauthorizedAccess")
      yield* emulator.fail({
        operation: "acceptSession",
        error: { condition: "com.microsoft:session-cannot-be-locked" }
      })
      assert.strictEqual((yield* failed(() => client.acceptSession("carts", "a"))).code, "SessionCannotBeLocked")
      const session = yield* Effect.promise(() => client.acceptSession("carts", "a"))
      yield* emulator.fail({ operation: "com.microsoft:set-session-state", action: "loseLock" })
      assert.strictEqual((yield* failed(() => session.setSessionState({ n: 1 }))).code, "SessionLockLost")
    })
  )
})

describe("the official client, when a test", () => {
  test(
    "has locks lost",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* microsoft()
      yield* emulator.send(Texts, [{ body: "one" }])
      yield* emulator.send(Carts, [{ body: "one", sessionId: "a" }])
      const receiver = client.createReceiver("texts")
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.strictEqual(yield* emulator.loseLocks(Texts), 1)
      assert.strictEqual((yield* failed(() => receiver.completeMessage(message!))).code, "MessageLockLost")
      const session = yield* Effect.promise(() => client.acceptSession("carts", "a"))
      const [held] = yield* Effect.promise(() => session.receiveMessages(1))
      assert.strictEqual(yield* emulator.loseSession(Carts, "a"), 1)
      yield* until(Effect.sync(() => session.isClosed))
      assert.strictEqual((yield* failed(() => session.completeMessage(held!))).code, "SessionLockLost")
      const again = yield* Effect.promise(() => client.acceptSession("carts", "a"))
      const [redelivered] = yield* Effect.promise(() => again.receiveMessages(1))
      assert.strictEqual(redelivered?.deliveryCount, 1)
    })
  )
})
