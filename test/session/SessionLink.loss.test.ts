/** Sessions that are lost, and waits for a session whose connection or scope ends. */
import { AutoLockRenewer, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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
  testsWith,
  until
} from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

const messagesOf = (sessionId: string, n: number) =>
  Array.from({ length: n }, (_, i) => ({ body: "x", sessionId, messageId: `${sessionId}${i + 1}` }))

const lost = { condition: "com.microsoft:session-lock-lost" }

/** How sessions end that were not given up, and how accepting them ends. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(Carts, { lockDuration: "30 seconds", maxDeliveryCount: 3 })
    ])

    clock("who waits for messages learns that the lock could not be renewed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ operation: "renew", error: lost, times: 9 })
        const receiving = yield* ServiceBusSession.accept(Carts, "a")
        const streaming = yield* ServiceBusSession.accept(Carts, "b")
        const waiting = [
          yield* start(receiving.receive({ maxWait: "1 hour" })),
          yield* start(Stream.runDrain(streaming.messages)),
          yield* start(Stream.runDrain(Stream.fromEffect(receiving.lost)))
        ]
        yield* emulator.idle
        // The broker has them locked still.
        yield* TestClock.adjust("22 seconds")
        yield* emulator.idle
        for (const fiber of waiting) {
          assert.isDefined(fiber.pollUnsafe())
          yield* Fiber.join(fiber as Fiber.Fiber<unknown, unknown>).pipe(failsWith("SessionLockLostError"))
        }
      }))

    test("a message of a session is not settled by a request once its link is lost: the lock went with it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const messages = yield* session.receive()
        // What a request would be told.
        yield* emulator.fail({ operation: "settle", error: { condition: "amqp:not-allowed" }, times: 9 })
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" }, Carts)
        yield* until(Effect.map(Effect.exit(session.receive({ maxWait: 0 })), Exit.isFailure))
        yield* failsWith("SessionLockLostError")(session.completeAll(messages))
      }))

    clock("who waits for messages learns that the lock has ended by the clock of the program", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const time = yield* Clock.Clock
        const wrong: Clock.Clock = Object.assign(Object.create(time), {
          currentTimeMillisUnsafe: () =>
            time.currentTimeMillisUnsafe() + 20_000,
          currentTimeMillis: Effect.map(time.currentTimeMillis, (millis) => millis + 20_000)
        })
        const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 }).pipe(
          Effect.provideService(Clock.Clock, wrong)
        )
        const waiting = yield* start(session.receive({ maxWait: "1 hour" }))
        yield* emulator.idle
        yield* TestClock.adjust("11 seconds")
        yield* emulator.idle
        assert.isDefined(waiting.pollUnsafe())
        yield* Fiber.join(waiting).pipe(failsWith("SessionLockLostError"))
      }))

    test("what came ahead of a lost session is not handed out", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 5))
        const session = yield* ServiceBusSession.accept(Carts, "a", { prefetch: 10 })
        const [first] = yield* session.receive()
        yield* emulator.idle
        yield* emulator.detachLinks(lost, Carts)
        yield* session.lost.pipe(failsWith("SessionLockLostError"))
        yield* session.receive().pipe(failsWith("SessionLockLostError"))
        yield* Stream.runDrain(session.messages).pipe(failsWith("SessionLockLostError"))
        yield* session.complete(first!).pipe(failsWith("SessionLockLostError"))
        yield* session.purge().pipe(failsWith("SessionLockLostError"))
        yield* session.receiveDeferred([1n]).pipe(failsWith("SessionLockLostError"))
        const again = yield* ServiceBusSession.accept(Carts, "a")
        assert.deepStrictEqual(idsOf(yield* again.receive({ max: 5 })), ["a1", "a2", "a3", "a4", "a5"])
      }))

    test("the settlement of a deferred message whose answer is lost has an unknown outcome", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const [message] = yield* session.receive()
        yield* session.defer(message!)
        const [deferred] = yield* session.receiveDeferred([message!.sequenceNumber])
        const settling = yield* start(session.complete(deferred!))
        yield* until(Effect.map(emulator.counters(Carts), ({ completed }) =>
          completed === 1))
        yield* emulator.dropConnections
        const exit = yield* Effect.exit(passing(Fiber.join(settling)))
        // Over a socket the answer may have been faster.
        if (exit._tag === "Failure") {
          const error = yield* Fiber.join(settling).pipe(failsWith("OperationTimeoutError"))
          assert.strictEqual(error.outcome, "unknown")
        }
      }))

    for (const id of ["a", null]) {
      test(`accepting ${id === null ? "the next session" : "a session"} leaves nothing wherever it is interrupted`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Carts, messagesOf("a", 1))
          const accepting = id === null
            ? Effect.asVoid(Effect.scoped(ServiceBusSession.acceptNext(Carts)))
            : Effect.asVoid(Effect.scoped(ServiceBusSession.accept(Carts, id)))
          // The first ones open the connection too.
          for (let turns = 0; turns < 60; turns++) {
            const fiber = yield* start(accepting)
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* passing(Fiber.interrupt(fiber))
          }
          yield* emulator.idle
          const session = yield* passing(ServiceBusSession.accept(Carts, "a"))
          const [message] = yield* session.receive()
          assert.strictEqual(message!.deliveryCount, 0)
        }))
    }

    test("a caller that waits for a session when its scope or its connection ends has none, and no place", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const waiting = yield* start(Effect.scoped(ServiceBusSession.acceptNext(Carts, { wait: "5 minutes" })))
        yield* emulator.idle
        yield* emulator.dropConnections
        yield* emulator.idle
        // Tried again, on another connection: one place, not two.
        yield* passing(until(Effect.map(emulator.connections, (connections) => connections === 1)))
        yield* emulator.idle
        yield* emulator.send(Carts, messagesOf("a", 1))
        assert.isTrue(Option.isSome(yield* passing(Fiber.join(waiting))))
        yield* emulator.idle
        assert.strictEqual((yield* emulator.counters(Carts)).sessionsAccepted, 1)
        yield* ServiceBusSession.accept(Carts, "a")
      }))

    for (
      const [how, end] of [
        [
          "its link is detached",
          (emulator: Emulator.Controls) => emulator.detachLinks({ condition: "amqp:internal-error" }, Carts)
        ],
        [
          "its AMQP session is ended",
          (emulator: Emulator.Controls) => emulator.endSessions({ condition: "amqp:internal-error" })
        ],
        [
          "its connection is closed",
          (emulator: Emulator.Controls) => emulator.closeConnections({ condition: "amqp:connection:forced" })
        ]
      ] as const
    ) {
      clock(`a caller that waits for a session while ${how} waits on`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const waiting = yield* start(ServiceBusSession.acceptNext(Carts, { wait: "5 minutes" }))
          yield* emulator.idle
          yield* passing(Effect.sleep("50 millis"))
          yield* end(emulator)
          yield* passing(Effect.sleep("2 seconds"))
          yield* emulator.send(Carts, messagesOf("a", 1))
          const session = Option.getOrThrow(yield* passing(Fiber.join(waiting)))
          assert.deepStrictEqual(idsOf(yield* session.receive()), ["a1"])
        }))
    }

    clock("a token that expires while a link waits for a session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const waiting = yield* start(ServiceBusSession.acceptNext(Carts, { wait: "3 hours" }))
        yield* passing(Effect.sleep("2 hours"), "1 minute")
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = Option.getOrThrow(yield* passing(Fiber.join(waiting)))
        assert.deepStrictEqual(idsOf(yield* session.receive()), ["a1"])
      }))

    test("ids of every kind", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const ids = [
          "",
          " ",
          "ä/ö?#%20",
          "𝄞".repeat(64),
          "x".repeat(128),
          "$management",
          "__proto__",
          "a\u0000b",
          "null"
        ]
        yield* emulator.send(Carts, ids.map((sessionId, i) => ({ body: "x", sessionId, messageId: String(i) })))
        for (const id of ids) {
          yield* Effect.scoped(Effect.gen(function*() {
            const session = yield* ServiceBusSession.accept(Carts, id)
            assert.strictEqual(session.sessionId, id)
            yield* session.setState({ items: [id] })
            yield* session.renewLock
            assert.deepStrictEqual(yield* session.state, Option.some({ items: [id] }))
            const [message] = yield* session.receive()
            assert.strictEqual(message!.sessionId, id)
            yield* session.defer(message!)
            const [deferred] = yield* session.receiveDeferred([message!.sequenceNumber])
            yield* session.complete(deferred!)
          }))
        }
        assert.deepStrictEqual([...yield* Stream.runCollect(ServiceBusSession.list(Carts))].toSorted(), ids.toSorted())
      }))

    test("the stream of sessions gives the last one up at once, however it ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [...messagesOf("a", 1), ...messagesOf("b", 1)])
        const sessions = ServiceBusSession.sessions(Carts)
        yield* Stream.runDrain(Stream.take(sessions, 1))
        yield* Effect.scoped(ServiceBusSession.accept(Carts, "a"))
        yield* Stream.runForEach(sessions, () => Effect.fail("no" as const)).pipe(Effect.flip)
        yield* Effect.scoped(ServiceBusSession.accept(Carts, "a"))
        yield* Effect.scoped(ServiceBusSession.accept(Carts, "b"))
        const held: Array<string> = []
        const running = yield* start(
          Stream.runForEach(
            sessions,
            ({ sessionId }) => Effect.andThen(Effect.sync(() => held.push(sessionId)), Effect.never)
          )
        )
        yield* until(Effect.sync(() => held.length === 1))
        yield* passing(Fiber.interrupt(running))
        yield* ServiceBusSession.accept(Carts, "a")
        yield* ServiceBusSession.accept(Carts, "b")
      }))

    clock("work under the lock of a session ends with it, once, however it ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const closed = yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 })
          return yield* start(Effect.never.pipe(AutoLockRenewer.withLock(session)))
        }))
        yield* Fiber.join(closed).pipe(failsWith("AutoLockRenewFailed"))
        const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 })
        // What cannot be interrupted is waited for.
        const slow = yield* start(
          Effect.uninterruptible(Effect.sleep("2 minutes")).pipe(
            AutoLockRenewer.withLock(session, { maxDuration: "10 seconds" })
          )
        )
        yield* passing(Effect.sleep("1 minute"), "1 second")
        assert.isUndefined(slow.pollUnsafe())
        yield* passing(Effect.sleep("61 seconds"), "1 second")
        yield* Fiber.join(slow).pipe(failsWith("AutoLockRenewTimeout"))
        const interrupted = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 })
        const fiber = yield* start(Effect.never.pipe(AutoLockRenewer.withLock(interrupted)))
        yield* Fiber.interrupt(fiber)
        yield* emulator.idle
        const { renewed } = yield* emulator.counters(Carts)
        yield* passing(Effect.sleep("29 seconds"), "1 second")
        assert.strictEqual((yield* emulator.counters(Carts)).renewed, renewed)
      }))
  })

describe("The loss of sessions", () => both(suite))
