/** A session is held by one receiver: accepted, received from in order, its lock renewed, its state kept. */
import {
  AutoLockRenewer,
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  once,
  passing,
  start,
  testsWith,
  until
} from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

const Steps = ServiceBusEntity.topic("steps", { body: ServiceBusBody.text, sessions: true })
const Workers = ServiceBusEntity.subscription(Steps, "workers", { sessions: true })

/** Messages `a1`, `a2`, … of session `a`. */
const messagesOf = (sessionId: string, n: number, from = 1) =>
  Array.from({ length: n }, (_, i) => ({ body: "x", sessionId, messageId: `${sessionId}${from + i}` }))

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(Carts, { lockDuration: "30 seconds", maxDeliveryCount: 3 }),
      Emulator.entity(Steps),
      Emulator.entity(Workers)
    ])

    test("a session gives its own messages in order", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Carts)
        yield* sender.sendAll([...messagesOf("a", 3), ...messagesOf("b", 3), ...messagesOf("a", 2, 4)])
        const session = yield* ServiceBusSession.accept(Carts, "a")
        assert.strictEqual(session.sessionId, "a")
        const messages = yield* session.receive({ max: 10 })
        assert.deepStrictEqual(idsOf(messages), ["a1", "a2", "a3", "a4", "a5"])
        assert.isTrue(messages.every((message) => message.sessionId === "a"))
        yield* session.completeAll(messages)
        const emulator = yield* Emulator.Emulator
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Carts)), ["b1", "b2", "b3"])
      }))

    test("a session has one receiver at a time", () =>
      Effect.gen(function*() {
        const held = yield* Effect.scoped(Effect.gen(function*() {
          yield* ServiceBusSession.accept(Carts, "a")
          return yield* ServiceBusSession.accept(Carts, "a").pipe(
            Effect.scoped,
            failsWith("SessionCannotBeLockedError")
          )
        }))
        assert.strictEqual(held.sessionId, "a")
        assert.strictEqual(held.entity, "carts")
        // Given up with its scope.
        assert.strictEqual((yield* ServiceBusSession.accept(Carts, "a")).sessionId, "a")
      }))

    test("the next session is the one that waits longest, and None where there is none", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [...messagesOf("b", 1), ...messagesOf("a", 1)])
        const first = yield* ServiceBusSession.acceptNext(Carts)
        const second = yield* ServiceBusSession.acceptNext(Carts)
        assert.deepStrictEqual([first, second].map(Option.map((session) => session.sessionId)), [
          Option.some("b"),
          Option.some("a")
        ])
        const none = yield* passing(Effect.scoped(ServiceBusSession.acceptNext(Carts, { wait: "200 millis" })))
        assert.isTrue(Option.isNone(none))
      }))

    test("a caller that waits for a session gets the next one", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const waiting = yield* start(ServiceBusSession.acceptNext(Carts))
        yield* emulator.idle
        yield* emulator.send(Carts, messagesOf("late", 2))
        const session = Option.getOrThrow(yield* Fiber.join(waiting))
        assert.deepStrictEqual(idsOf(yield* session.receive({ max: 2 })), ["late1", "late2"])
      }))

    test("an interrupted wait gives up its place", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const waiting = yield* start(Effect.scoped(ServiceBusSession.acceptNext(Carts)))
        yield* emulator.idle
        const other = yield* ServiceBusSession.accept(Carts, "other")
        yield* Fiber.interrupt(waiting)
        yield* emulator.idle
        // No other link of the connection notices.
        yield* other.renewLock
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = Option.getOrThrow(yield* ServiceBusSession.acceptNext(Carts))
        assert.deepStrictEqual(idsOf(Option.toArray(yield* session.receiveOne())), ["a1"])
      }))

    test("an empty id is a session like any other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [{ body: "x", sessionId: "", messageId: "m" }])
        const session = yield* ServiceBusSession.accept(Carts, "")
        assert.deepStrictEqual(idsOf(yield* session.receive()), ["m"])
      }))

    test("what is not settled is back in its place when the session is given up, and has not failed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 3))
        yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* ServiceBusSession.accept(Carts, "a", { prefetch: 3 })
          const [first] = yield* session.receive({ max: 2 })
          yield* session.complete(first!)
        }))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const messages = yield* session.receive({ max: 3 })
        assert.deepStrictEqual(idsOf(messages), ["a2", "a3"])
        assert.deepStrictEqual(messages.map(({ deliveryCount }) => deliveryCount), [0, 0])
      }))

    test("an abandoned message is the next one again, until it is dead-lettered", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 2))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        for (let i = 0; i < 3; i++) {
          const [message] = yield* session.receive()
          assert.strictEqual(message!.messageId, "a1")
          assert.strictEqual(message!.deliveryCount, i)
          yield* session.abandon(message!)
        }
        assert.deepStrictEqual(idsOf(yield* session.receive()), ["a2"])
        const [dead] = yield* emulator.deadLetters(Carts)
        assert.strictEqual(dead!.deadLetterReason, "MaxDeliveryCountExceeded")
        const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Carts))
        const [received] = yield* receiver.receive()
        assert.strictEqual(received!.sessionId, "a")
        yield* receiver.complete(received!)
      }))

    test("settlements of every kind", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 3))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const [a, b, c] = yield* session.receive({ max: 3 })
        yield* session.complete(a!)
        yield* session.complete(a!).pipe(failsWith("MessageAlreadySettled"))
        yield* session.defer(b!, { properties: { why: "later" } })
        yield* session.deadLetter(c!, { reason: "r", description: "d" })
        const [dead] = yield* emulator.deadLetters(Carts)
        assert.deepStrictEqual([dead!.messageId, dead!.deadLetterReason], ["a3", "r"])
        const [deferred] = yield* session.receiveDeferred([b!.sequenceNumber])
        assert.strictEqual(deferred!.applicationProperties["why"], "later")
        yield* session.complete(deferred!)
        assert.deepStrictEqual(yield* emulator.messages(Carts), [])
      }))

    test("what is deferred is its session's alone", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [...messagesOf("a", 1), ...messagesOf("b", 1)])
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const [message] = yield* session.receive()
        yield* session.defer(message!)
        const other = yield* ServiceBusSession.accept(Carts, "b")
        const error = yield* other.receiveDeferred([message!.sequenceNumber]).pipe(failsWith("MessageNotFoundError"))
        assert.deepStrictEqual(error.missing, [message!.sequenceNumber])
        const [again] = yield* session.receiveDeferred([message!.sequenceNumber])
        yield* session.abandon(again!)
        assert.lengthOf(yield* session.receiveDeferred([message!.sequenceNumber]), 1)
      }))

    test("peeks into its session alone", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [...messagesOf("a", 2), ...messagesOf("b", 2)])
        const session = yield* ServiceBusSession.accept(Carts, "b")
        assert.deepStrictEqual(idsOf(yield* session.peek({ max: 10 })), ["b1", "b2"])
        assert.deepStrictEqual(idsOf(yield* Stream.runCollect(session.browse())), ["b1", "b2"])
      }))

    test("receive-and-delete in a session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 2))
        const session = yield* ServiceBusSession.acceptDestructive(Carts, "a")
        assert.deepStrictEqual(idsOf(yield* session.receive({ max: 2 })), ["a1", "a2"])
        assert.deepStrictEqual(yield* emulator.messages(Carts), [])
        yield* emulator.send(Carts, messagesOf("b", 1))
        const next = Option.getOrThrow(yield* ServiceBusSession.acceptNextDestructive(Carts))
        assert.deepStrictEqual(idsOf(yield* Stream.runCollect(Stream.take(next.messages, 1))), ["b1"])
      }))

    test("what was deferred is fetched for good in receive-and-delete", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 1))
        const number = yield* ServiceBusSession.use(Carts, "a", (session) =>
          Effect.gen(function*() {
            const [message] = yield* session.receive()
            yield* session.defer(message!)
            return message!.sequenceNumber
          }))
        const session = yield* ServiceBusSession.acceptDestructive(Carts, "a")
        assert.deepStrictEqual(idsOf(yield* session.receiveDeferred([number])), ["a1"])
        assert.deepStrictEqual(yield* emulator.messages(Carts), [])
      }))

    test("scheduled messages come to their sessions", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Carts)
        const numbers = yield* sender.scheduleAll([...messagesOf("a", 1), ...messagesOf("b", 1)], "2 seconds")
        yield* sender.cancelScheduled([numbers[1]!])
        const waiting = yield* start(ServiceBusSession.acceptNext(Carts))
        const session = Option.getOrThrow(yield* passing(Fiber.join(waiting)))
        assert.strictEqual(session.sessionId, "a")
        assert.deepStrictEqual(idsOf(Option.toArray(yield* session.receiveOne())), ["a1"])
      }))

    test("the state of a session is typed, and outlives its messages and its holder", () =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* ServiceBusSession.accept(Carts, "a")
          assert.isTrue(Option.isNone(yield* session.state))
          yield* session.setState({ items: ["apple", "pear"] })
        }))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        assert.deepStrictEqual(yield* session.state, Option.some({ items: ["apple", "pear"] }))
        const error = yield* session.setState({ items: [1] } as any).pipe(failsWith("MessageEncodeError"))
        assert.strictEqual(error.part, "session state")
        yield* session.clearState
        assert.isTrue(Option.isNone(yield* session.state))
      }))

    test("a state that does not decode is a typed failure", () =>
      Effect.gen(function*() {
        const Bytes = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
        yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* ServiceBusSession.accept(Bytes, "a")
          yield* session.setState(new TextEncoder().encode("[]"))
        }))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const error = yield* session.state.pipe(failsWith("MessageDecodeError"))
        assert.strictEqual(error.part, "session state")
      }))

    test("lists sessions that have messages or state, and those whose state was set since", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        assert.deepStrictEqual(yield* Stream.runCollect(ServiceBusSession.list(Carts)), [])
        yield* emulator.send(Carts, Array.from({ length: 250 }, (_, i) => messagesOf(`s${1000 + i}`, 1)[0]!))
        const before = yield* DateTime.now
        yield* passing(Effect.sleep("20 millis"))
        yield* Effect.scoped(Effect.flatMap(
          ServiceBusSession.accept(Carts, "with state"),
          (session) => session.setState({ items: [] })
        ))
        const ids = yield* Stream.runCollect(ServiceBusSession.list(Carts))
        assert.lengthOf(ids, 251)
        assert.lengthOf(new Set(ids), 251)
        const updated = yield* Stream.runCollect(ServiceBusSession.list(Carts, { updatedSince: before }))
        assert.deepStrictEqual(updated, ["with state"])
      }))

    test("an endpoint that does not list sessions is not supported", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ operation: "listSessions", error: { condition: "amqp:not-implemented" } })
        const error = yield* Stream.runDrain(ServiceBusSession.list(Carts)).pipe(failsWith("NotSupportedError"))
        assert.strictEqual(error.operation, "listSessions")
      }))

    test("a subscription has sessions of its own", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Steps)
        yield* sender.sendAll([...messagesOf("b", 2), ...messagesOf("a", 1)])
        // A sender of a program that does not know of the sessions.
        const bare = yield* ServiceBusSender.make("steps")
        yield* bare.send({ body: new Uint8Array(1), messageId: "lost" })
        const session = Option.getOrThrow(yield* ServiceBusSession.acceptNext(Workers))
        assert.strictEqual(session.sessionId, "b")
        assert.deepStrictEqual(idsOf(yield* session.receive({ max: 3 })), ["b1", "b2"])
        const [dead] = yield* emulator.deadLetters(Workers)
        assert.deepStrictEqual([dead!.messageId, dead!.deadLetterReason], ["lost", "Session ID is null."])
      }))

    test("a contract that says other than the entity is about sessions fails with what to declare", () =>
      Effect.gen(function*() {
        const refused = (effect: Effect.Effect<unknown, unknown, ServiceBusClient.ServiceBusClient | Scope.Scope>) =>
          Effect.scoped(effect).pipe(failsWith("InvalidOptionError"))
        const Undeclared = ServiceBusEntity.queue("carts", { body: ServiceBusBody.bytes })
        for (const entity of ["carts", Undeclared]) {
          const sender = yield* ServiceBusSender.make(entity)
          const unsent = yield* refused(sender.send({ body: new Uint8Array(1) }))
          assert.strictEqual(unsent.option, "sessionId")
          assert.include(unsent.message, "sessions: true in the contract")
          const together = yield* refused(sender.sendAll([{ body: new Uint8Array(1) }, { body: new Uint8Array(1) }]))
          assert.strictEqual(together.option, "sessionId")
          const unscheduled = yield* refused(sender.schedule({ body: new Uint8Array(1) }, "1 hour"))
          assert.strictEqual(unscheduled.option, "sessionId")

          const receiving = [ServiceBusReceiver.make(entity), ServiceBusReceiver.makeDestructive(entity)]
          for (const unreceived of receiving) {
            const { condition, message, option } = yield* refused(unreceived)
            assert.strictEqual(option, "sessions")
            assert.strictEqual(condition, "amqp:not-allowed")
            assert.include(message, "sessions: true in the contract")
            assert.include(message, "ServiceBusSession.accept")
          }
        }
        const Plain = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text, sessions: true })
        const accepting = [
          ServiceBusSession.accept(Plain, "a"),
          ServiceBusSession.acceptNext(Plain, { wait: "1 second" }),
          ServiceBusProcessor.processSessions(Plain, () => Effect.void)
        ]
        for (const unaccepted of accepting) {
          const { message, option } = yield* refused(unaccepted)
          assert.strictEqual(option, "sessions")
          assert.include(message, "a contract without sessions: true")
          assert.include(message, "ServiceBusReceiver.make")
        }
      }))

    test("options out of range and contracts without sessions are refused before the wire", () =>
      Effect.gen(function*() {
        const refused = (effect: Effect.Effect<unknown, unknown, any>) =>
          Effect.map(Effect.scoped(effect).pipe(failsWith("InvalidOptionError")), ({ option }) => option)
        assert.strictEqual(yield* refused(ServiceBusSession.accept(Carts, "x".repeat(129))), "sessionId")
        assert.strictEqual(yield* refused(ServiceBusSession.accept(Carts, "a", { prefetch: -1 })), "prefetch")
        assert.strictEqual(
          yield* refused(ServiceBusSession.accept(Carts, "a", { maxLockRenewal: -1 })),
          "maxLockRenewal"
        )
        assert.strictEqual(yield* refused(ServiceBusSession.accept(Carts, "a", { maxWait: 0 })), "maxWait")
        assert.strictEqual(yield* refused(ServiceBusSession.acceptNext(Carts, { wait: 0 })), "wait")
        assert.strictEqual(yield* refused(ServiceBusSession.accept("carts" as any, "a")), "entity")
      }))

    test("a cut connection is a lost session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const [message] = yield* session.receive()
        const waiting = yield* start(session.receive())
        yield* emulator.dropConnections
        yield* Fiber.join(waiting).pipe(failsWith("SessionLockLostError"))
        yield* session.lost.pipe(failsWith("SessionLockLostError"))
        yield* session.complete(message!).pipe(failsWith("SessionLockLostError"))
        yield* session.renewLock.pipe(failsWith("SessionLockLostError"))
        yield* session.state.pipe(failsWith("SessionLockLostError"))
        yield* session.setState({ items: [] }).pipe(failsWith("SessionLockLostError"))
        yield* session.peek().pipe(failsWith("SessionLockLostError"))
        yield* Stream.runDrain(session.messages).pipe(failsWith("SessionLockLostError"))
        // Accepted again, it goes on where it was.
        const again = yield* passing(ServiceBusSession.accept(Carts, "a"))
        assert.deepStrictEqual(idsOf(yield* again.receive()), ["a1"])
      }))

    test("work whose session is lost is interrupted and fails", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        let interrupted = false
        const working = yield* start(
          ServiceBusSession.use(Carts, "a", () =>
            Effect.never.pipe(Effect.onInterrupt(() =>
              Effect.sync(() => {
                interrupted = true
              })
            )))
        )
        yield* until(Effect.map(emulator.counters(Carts), ({ sessionsAccepted }) => sessionsAccepted === 1))
        yield* emulator.idle
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* Fiber.join(working).pipe(failsWith("SessionLockLostError"))
        assert.isTrue(interrupted)
      }))

    test("sessions one after the other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, ["a", "b", "c"].flatMap((id) => messagesOf(id, 2)))
        const seen = yield* passing(
          ServiceBusSession.sessions(Carts, { wait: "1 second" }).pipe(
            Stream.mapEffect((session) =>
              Effect.gen(function*() {
                const messages = yield* session.receive({ max: 5 })
                yield* session.completeAll(messages)
                return [session.sessionId, messages.length] as const
              })
            ),
            Stream.runCollect
          )
        )
        assert.deepStrictEqual(seen, [["a", 2], ["b", 2], ["c", 2]])
      }))

    test("hundreds of sessions at a time on one connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const names = Array.from({ length: 400 }, (_, i) => `s${i}`)
        yield* emulator.send(Carts, names.flatMap((id) => messagesOf(id, 1)))
        const bodies = yield* Effect.forEach(names, (id) =>
          Effect.flatMap(ServiceBusSession.accept(Carts, id), (session) =>
            Effect.flatMap(
              session.receive(),
              ([message]) => Effect.as(session.complete(message!), message!.messageId)
            )), { concurrency: 50 })
        assert.deepStrictEqual(
          bodies,
          names.map((id) =>
            `${id}1`
          )
        )
        assert.strictEqual(yield* emulator.connections, 1)
        assert.strictEqual((yield* emulator.counters(Carts)).sessionsAccepted, 400)
      }))

    test("what is asked of a session after its scope fails", () =>
      Effect.gen(function*() {
        const session = yield* Effect.scoped(ServiceBusSession.accept(Carts, "a"))
        const error = yield* session.receive().pipe(failsWith("ServiceBusConnectionError"))
        assert.isTrue(error.isClosed)
        yield* session.state.pipe(failsWith("ServiceBusConnectionError"))
      }), once)

    clock("the lock is renewed while the scope is open, for as long as was said", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: "2 minutes" })
        const [message] = yield* session.receive()
        yield* passing(Effect.sleep("2 minutes"), "5 seconds")
        const { renewed } = yield* emulator.counters(Carts)
        assert.isAtLeast(renewed, 3)
        const until = yield* session.lockedUntil
        assert.isAbove(DateTime.toEpochMillis(until), DateTime.toEpochMillis(yield* DateTime.now))
        yield* session.complete(message!)
        const lost = yield* start(session.lost)
        yield* passing(Effect.sleep("1 minute"), "5 seconds")
        const error = yield* Fiber.join(lost).pipe(failsWith("SessionLockLostError"))
        assert.strictEqual(error.entity, "carts")
        assert.strictEqual((yield* ServiceBusSession.accept(Carts, "a")).sessionId, "a")
      }))

    clock("withLock keeps the lock of a session, and interrupts the work when it is lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 })
        const done = yield* passing(
          Effect.as(Effect.sleep("3 minutes"), "done").pipe(AutoLockRenewer.withLock(session)),
          "5 seconds"
        )
        assert.strictEqual(done, "done")
        const short = yield* passing(
          Effect.exit(AutoLockRenewer.withLock(Effect.never, session, { maxDuration: "1 minute" })),
          "5 seconds"
        )
        assert.include(String(short), "AutoLockRenewTimeout")
        const other = yield* ServiceBusSession.accept(Carts, "b", { maxLockRenewal: 0 })
        const working = yield* start(Effect.never.pipe(AutoLockRenewer.withLock(other, { maxDuration: "1 hour" })))
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* Fiber.join(working).pipe(failsWith("AutoLockRenewFailed"))
        yield* Effect.void.pipe(AutoLockRenewer.withLock(other), failsWith("AutoLockRenewFailed"))
        const third = yield* passing(ServiceBusSession.accept(Carts, "c"))
        yield* Effect.void.pipe(
          AutoLockRenewer.withLock(third, { maxDuration: -1 }),
          failsWith("InvalidOptionError")
        )
      }))

    clock("a lock that runs out counts as a failed delivery of what was out", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 2))
        const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 })
        const [message] = yield* session.receive()
        yield* emulator.idle
        yield* TestClock.adjust("31 seconds")
        yield* emulator.idle
        yield* session.complete(message!).pipe(failsWith("SessionLockLostError"))
        assert.strictEqual((yield* emulator.counters(Carts)).sessionsLost, 1)
        const again = yield* ServiceBusSession.accept(Carts, "a")
        const messages = yield* again.receive({ max: 2 })
        assert.deepStrictEqual(messages.map(({ deliveryCount, messageId }) => [messageId, deliveryCount]), [
          ["a1", 1],
          ["a2", 0]
        ])
      }))

    clock("renewing by hand keeps the lock", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, messagesOf("a", 1))
        const session = yield* ServiceBusSession.accept(Carts, "a", { maxLockRenewal: 0 })
        const [message] = yield* session.receive()
        for (let i = 0; i < 4; i++) {
          yield* emulator.idle
          yield* TestClock.adjust("20 seconds")
          const until = yield* session.renewLock
          assert.strictEqual(DateTime.toEpochMillis(until), DateTime.toEpochMillis(yield* DateTime.now) + 30_000)
        }
        yield* session.complete(message!)
      }))

    clock("a session is kept where its entity gives shorter locks than before, and counts each renewal once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const session = yield* ServiceBusSession.accept(Carts, "a")
        for (const lockDuration of ["10 seconds", "30 seconds", "5 seconds"] as const) {
          yield* emulator.update(Carts, { lockDuration })
          yield* passing(Effect.sleep("1 minute"), "1 second")
        }
        const { renewed, sessionsLost } = yield* emulator.counters(Carts)
        assert.strictEqual(sessionsLost, 0)
        assert.strictEqual(ReceiverState.stateOf(session).session!.lock.renewals, renewed)
        yield* session.renewLock
        assert.strictEqual(ReceiverState.stateOf(session).session!.lock.renewals, renewed + 1)
      }))

    for (const minutes of [10, -10]) {
      clock(`a clock that is ${minutes} minutes off changes nothing`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const time = yield* Clock.Clock
          const wrong: Clock.Clock = Object.assign(Object.create(time), {
            currentTimeMillisUnsafe: () =>
              time.currentTimeMillisUnsafe() + minutes * 60_000,
            currentTimeMillis: Effect.map(time.currentTimeMillis, (millis) =>
              millis + minutes * 60_000)
          })
          yield* emulator.send(Carts, messagesOf("a", 1))
          const session = yield* ServiceBusSession.accept(Carts, "a").pipe(Effect.provideService(Clock.Clock, wrong))
          yield* passing(Effect.sleep("3 minutes"), "1 second")
          const [message] = yield* session.receive()
          yield* session.complete(message!)
          assert.strictEqual((yield* emulator.counters(Carts)).sessionsLost, 0)
        }))
    }

    clock("waits as long as it is told for the next session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const waiting = yield* start(Effect.scoped(ServiceBusSession.acceptNext(Carts, { wait: "20 minutes" })))
        yield* emulator.idle
        for (let i = 0; i < 19; i++) {
          yield* TestClock.adjust("1 minute")
          yield* emulator.idle
        }
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 minute")
        assert.isTrue(Option.isNone(yield* Fiber.join(waiting)))
      }))
  })

describe("Sessions", () => both(suite))
