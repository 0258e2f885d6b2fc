/** What comes of operations that a fault has struck: by what the client is told, and by what the broker has done. */
import { Clock, Duration, Effect, Exit, Fiber, Scope } from "effect"
import {
  ConnectionString,
  ServiceBusClient,
  type ServiceBusError,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as FaultyOperation from "../../../src/emulator/amqp/FaultyOperation.ts"
import type { ServedConnection } from "../../../src/emulator/amqp/ServedConnection.ts"
import { fireAll } from "../../../src/emulator/amqp/Timeout.ts"
import * as DeadlineTimer from "../../../src/emulator/broker/DeadlineTimer.ts"
import type { RheaLink } from "../../../src/internal/amqp/engine/rhea.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  Orders,
  overTcp,
  passing,
  start,
  testsOf,
  testsWith,
  Texts,
  texts,
  until
} from "../../support/harness.ts"
import { Carts } from "../../support/sessionEntities.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const busy = "ServiceBusServerBusyError"
const unknown = "OperationTimeoutError: unknown"
const notSent = "OperationTimeoutError: notSent"
const ended = "ServiceBusConnectionError"
const lost = "MessageLockLostError"

/** What the client is told, where it tries nothing again; of a send and a settlement also how many messages are there then. */
interface Told {
  readonly send: string
  readonly renew: string
  readonly settle: string
  readonly peek: string
  readonly attach: string | ReadonlyArray<string>
  readonly putToken: string
  /** The same of a send and a settlement with three retries; everything else succeeds then. */
  readonly again: readonly [send: string, settle: string]
}

const refused = (tag: string): Told => ({
  send: `${tag}, 0 there`,
  renew: tag,
  settle: `${tag}, 2 there`,
  peek: tag,
  attach: tag,
  putToken: tag,
  again: ["ok, 1 there", "ok, 1 there"]
})

const late: Told = {
  send: "ok, 1 there",
  renew: "ok",
  settle: "ok, 1 there",
  peek: "ok",
  attach: "ok",
  putToken: "ok",
  again: ["ok, 1 there", "ok, 1 there"]
}

const linkEnded: Told = {
  send: `${unknown}, 0 there`,
  renew: unknown,
  // It goes over the management node then.
  settle: "ok, 1 there",
  peek: unknown,
  attach: ended,
  putToken: ended,
  again: ["ok, 1 there", "ok, 1 there"]
}

const linkEndedAfter: Told = {
  send: `${unknown}, 1 there`,
  renew: unknown,
  settle: `${unknown}, 1 there`,
  peek: unknown,
  attach: "ok",
  putToken: ended,
  // The queue does not know it again.
  again: ["ok, 2 there", `${unknown}, 1 there`]
}

const cases: ReadonlyArray<readonly [Emulator.FaultAction, Told]> = [
  [{ error: { condition: "amqp:internal-error" } }, {
    ...refused("ServiceBusError"),
    // That is final for a settlement.
    again: ["ok, 1 there", "ServiceBusError, 2 there"]
  }],
  [{ action: "throttle", retryAfter: "1 second" }, refused(busy)],
  [{ action: "delay", delay: "200 millis" }, late],
  [{ action: "delay", delay: "200 millis", when: "after" }, late],
  [{ action: "drop" }, {
    send: `${unknown}, 0 there`,
    renew: unknown,
    settle: `${unknown}, 2 there`,
    peek: unknown,
    attach: notSent,
    putToken: unknown,
    again: ["ok, 1 there", `${unknown}, 2 there`]
  }],
  [{ action: "drop", when: "after" }, {
    ...linkEndedAfter,
    attach: notSent,
    putToken: unknown
  }],
  [{ action: "detach" }, linkEnded],
  [{ action: "detach", when: "after" }, linkEndedAfter],
  [{ action: "endSession" }, linkEnded],
  [{ action: "endSession", when: "after" }, linkEndedAfter],
  [{ action: "disconnect" }, { ...linkEnded, settle: `${unknown}, 2 there` }],
  [{ action: "disconnect", when: "after" }, { ...linkEndedAfter, attach: ["ok", ended] }]
]

const toldBy = (exit: Exit.Exit<unknown, ServiceBusError.Any>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
  if (error === undefined) return String(exit.cause)
  return error._tag === "OperationTimeoutError" ? `${error._tag}: ${error.outcome}` : error._tag
}

const told = <R>(effect: Effect.Effect<unknown, ServiceBusError.Any, R>) =>
  Effect.map(Effect.exit(passing(effect)), toldBy)

/** What an operation is told that a fault has struck: one on a connection that is cut already, unknown to the client, strikes none. */
const struckBy = <R>(fault: Emulator.Fault, effect: Effect.Effect<unknown, ServiceBusError.Any, R>) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const { id } = yield* emulator.fail(fault)
    let outcome: string
    do {
      outcome = yield* told(effect)
    } while ((yield* emulator.faults).find((each) => each.id === id)?.hits === 0)
    return outcome
  })

const there = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  return `${(yield* emulator.messages(Texts)).length} there`
})

both((name, layerFor) => {
  describe(`an operation that a fault strikes, ${name}`, () => {
    for (const [action, expected] of cases) {
      const title = JSON.stringify(action)
      outcomes(name, layerFor, title, action, expected, 0)
      outcomes(name, layerFor, `${title}, tried again`, action, {
        ...late,
        send: expected.again[0],
        settle: expected.again[1]
      }, 3)
    }
  })
})

function outcomes(
  name: Name,
  layerFor: LayerFor,
  title: string,
  action: Emulator.FaultAction,
  expected: Told,
  maxRetries: number
): void {
  const { test } = testsWith(name, layerFor, [Emulator.entity("third")])
  test(title, () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      yield* emulator.fail({ operation: "send", entity: Texts, ...action })
      const sent = yield* told(sender.send({ body: "sent" }))
      assert.strictEqual(`${sent}, ${yield* there}`, expected.send, "send")

      yield* emulator.delete(Texts)
      yield* emulator.create(Emulator.entity(Texts))
      yield* emulator.send(Texts, texts(2))
      const receiver = yield* passing(ServiceBusReceiver.make(Texts))
      const [first, second] = yield* passing(receiver.receive({ max: 2 }))
      yield* emulator.fail({ operation: "renew", entity: Texts, ...action })
      assert.strictEqual(yield* told(receiver.renewLock(second!)), expected.renew, "renew")
      yield* emulator.fail({ operation: "settle", entity: Texts, ...action })
      const settled = yield* told(receiver.complete(first!))
      assert.strictEqual(`${settled}, ${yield* there}`, expected.settle, "settle")
      yield* emulator.fail({ operation: "com.microsoft:peek-message", entity: Texts, ...action })
      assert.strictEqual(yield* told(receiver.peek()), expected.peek, "peek")

      const attached = yield* struckBy(
        { operation: "attach", entity: Orders, ...action },
        ServiceBusReceiver.make(Orders)
      )
      assert.include([expected.attach].flat(), attached, "attach")
      // The broker gives a sender credit, which must not leave before the attach.
      const attachedToSend = yield* struckBy(
        { operation: "attach", entity: Orders, ...action },
        ServiceBusSender.make(Orders)
      )
      assert.include([expected.attach].flat(), attachedToSend, "attach of a sender")
      const put = yield* struckBy({ operation: "putToken", entity: "third", ...action }, ServiceBusSender.make("third"))
      assert.strictEqual(put, expected.putToken, "putToken")
      const struck = (yield* emulator.faults).map(({ hits, isSpent }) => isSpent ? hits : 0)
      assert.deepStrictEqual(struck, [1, 1, 1, 1, 1, 1, 1])

      // Everything works again, with whatever was lost.
      yield* passing(sender.send({ body: "again" }))
      yield* passing(receiver.peek())
    }), {
    client: { operationTimeout: "1500 millis", retry: { maxRetries } },
    timeout: 60_000
  })
}

const strict = { client: { operationTimeout: "5 seconds", retry: { maxRetries: 0 } } } as const

both((name, layerFor) => {
  describe(`a fault, ${name}`, () => {
    const { test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    test("has a lock of a message end before its renewal or settlement sees it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [first, second, third] = yield* receiver.receive({ max: 3 })
        yield* emulator.fail({ operation: "renew", action: "loseLock" })
        yield* receiver.renewLock(first!).pipe(failsWith(lost))
        yield* emulator.fail({ operation: "settle", action: "loseLock" })
        yield* receiver.complete(second!).pipe(failsWith(lost))
        // The third has nothing to do with it.
        yield* receiver.complete(third!)
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 2)
        const again = yield* receiver.receive({ max: 2 })
        assert.deepStrictEqual(again.map(({ deliveryCount, messageId }) => [messageId, deliveryCount]), [
          ["0", 1],
          ["1", 1]
        ])
      }), strict)

    test(
      "has the lock of a session end before its state, its renewal or a settlement sees it",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Carts, [{ body: "a", sessionId: "a" }])
          const lose = (operation: Emulator.FaultOperation) =>
            Effect.gen(function*() {
              const session = yield* ServiceBusSession.accept(Carts, "a")
              const [message] = yield* session.receive()
              yield* emulator.fail({ operation, action: "loseLock" })
              return { session, message: message! }
            })
          yield* Effect.scoped(Effect.gen(function*() {
            const { session } = yield* lose("renew")
            yield* session.renewLock.pipe(failsWith("SessionLockLostError"))
          }))
          yield* Effect.scoped(Effect.gen(function*() {
            const { session } = yield* lose("com.microsoft:set-session-state")
            yield* session.setState({ items: [] }).pipe(failsWith("SessionLockLostError"))
          }))
          yield* Effect.scoped(Effect.gen(function*() {
            const { message, session } = yield* lose("settle")
            yield* session.complete(message).pipe(failsWith("SessionLockLostError"))
          }))
          assert.strictEqual((yield* emulator.counters(Carts)).sessionsLost, 3)
          const [left] = yield* emulator.messages(Carts)
          assert.strictEqual(left?.deliveryCount, 3)
        }),
      strict
    )

    test("gives the service's advice, in whole seconds", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", action: "throttle", retryAfter: "2500 millis" })
        const refusal = yield* sender.send({ body: "" }).pipe(failsWith(busy))
        assert.strictEqual(Duration.toSeconds(refusal.retryAfter), 3)
        assert.match(
          refusal.description ?? "",
          /throttled\. Error code : 50009\. Please wait 3 seconds and try again\./
        )
      }), strict)

    test("strikes no other entity, and no other operation", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.inject({ operation: "send", entity: Orders, action: "disconnect" })
        yield* emulator.inject({ operation: "com.microsoft:schedule-message", entity: Texts, action: "disconnect" })
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({ body: "one" })
        const [message] = yield* receiver.receive()
        yield* receiver.peek()
        yield* receiver.complete(message!)
        assert.deepStrictEqual((yield* emulator.faults).map(({ hits }) => hits), [0, 0])
        assert.strictEqual(yield* emulator.connections, 1)
      }), strict)
  })
})

describe("what a fault delays", () => {
  const { clock } = testsOf("in memory", (options, client) => Emulator.layer({ ...options, client }))

  clock("comes at its time, and messages of its link in their order behind it", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const slow = yield* ServiceBusSender.make(Texts)
      const other = yield* ServiceBusSender.make(Texts)
      yield* emulator.fail({ operation: "send", action: "delay", delay: "3 seconds" })
      const sending = yield* Effect.forEach(texts(3), (message) => start(slow.send(message)))
      yield* emulator.idle
      // Another link does not wait.
      yield* other.send({ body: "", messageId: "other" })
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["other"])
      assert.isTrue(sending.every((fiber) => fiber.pollUnsafe() === undefined))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.joinAll(sending)
      assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["other", "0", "1", "2"])
    }))

  clock("each by itself, where every one is delayed", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      yield* emulator.inject({ operation: "send", action: "delay", delay: "1 second" })
      const sending = yield* Effect.forEach(texts(3), (message) => start(sender.send(message)))
      for (const count of [1, 2, 3]) {
        yield* emulator.idle
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* emulator.messages(Texts)).length, count)
      }
      yield* Fiber.joinAll(sending)
    }))

  clock("is stored at once where only its answer is late", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      yield* emulator.fail({ operation: "send", action: "delay", delay: "3 seconds", when: "after" })
      const sending = yield* start(sender.send({ body: "" }))
      yield* emulator.idle
      assert.strictEqual((yield* emulator.messages(Texts)).length, 1)
      assert.isUndefined(sending.pollUnsafe())
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(sending)
    }))

  clock("is not carried out any more once its link has ended", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const scope = yield* Scope.make()
      const sender = yield* Scope.provide(ServiceBusSender.make(Texts), scope)
      yield* emulator.inject({ operation: "send", action: "delay", delay: "3 seconds" })
      const sending = yield* Effect.forEach(texts(3), (message) => start(sender.send(message)))
      yield* emulator.idle
      yield* Fiber.interruptAll(sending)
      yield* passing(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 minute")
      yield* emulator.idle
      assert.deepStrictEqual(yield* emulator.messages(Texts), [])
    }))

  clock("lets other requests of the same entity pass", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      yield* emulator.fail({ operation: "com.microsoft:peek-message", action: "delay", delay: "5 seconds" })
      const peeking = yield* start(receiver.peek())
      yield* emulator.idle
      yield* receiver.renewLock(message!)
      assert.isUndefined(peeking.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(yield* Fiber.join(peeking), 1)
    }))
})

describe("a connection beside the one that a fault cuts", () => {
  const { test } = testsOf("over TCP", overTcp)

  test("does not notice", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const other = yield* ServiceBusClient.fromConnectionString(
        yield* ConnectionString.parse(emulator.connectionString),
        { operationTimeout: "5 seconds", retry: { maxRetries: 0 } }
      )
      const receiver = yield* Effect.provideService(
        ServiceBusReceiver.make(Texts),
        ServiceBusClient.ServiceBusClient,
        other
      )
      const sender = yield* ServiceBusSender.make(Orders)
      yield* emulator.send(Texts, texts(1))
      const [message] = yield* receiver.receive()
      assert.strictEqual(yield* emulator.connections, 2)
      yield* emulator.fail({ operation: "send", action: "disconnect" })
      assert.strictEqual(yield* told(sender.send({ body: { id: "", total: 0 } })), unknown)
      yield* until(Effect.map(emulator.connections, (count) => count === 1))
      yield* receiver.complete(message!)
    }), strict)
})

describe("what would wait for a link that has ended", () => {
  it.effect("is not carried out, and nothing is left of it", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const deadlines = yield* DeadlineTimer.make(fireAll)
      const happened: Array<string> = []
      const link = {} as RheaLink
      const connection = {
        links: new Map<RheaLink, string>(),
        server: { options: { clock, deadlines } },
        onEnd: () => happened.push("a finalizer")
      } as unknown as ServedConnection
      FaultyOperation.later(connection, link, 1000, () => happened.push("carried out"))
      assert.strictEqual(deadlines.size(), 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(happened, [])
      connection.links.set(link, "orders")
      FaultyOperation.later(connection, link, 1000, () => happened.push("carried out"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(happened, ["a finalizer", "carried out"])
    }).pipe(Effect.scoped))
})
