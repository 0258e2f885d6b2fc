/** A processor over sessions: one after the other in each slot, messages in order, given up when they are idle. */
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusSession, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { both, failsWith, type LayerFor, type Name, passing, start, testsWith, until } from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

const of = (sessionId: string, ...ids: ReadonlyArray<string>) =>
  ids.map((id) => ({ body: id, sessionId, messageId: `${sessionId}${id}` }))

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(Carts, { lockDuration: "30 seconds", maxDeliveryCount: 3 })
    ])

    test("handles the messages of each session in order, several sessions at a time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const ids = Array.from({ length: 20 }, (_, i) => String(i))
        yield* emulator.send(Carts, ids.flatMap((id) => ["a", "b", "c", "d"].flatMap((session) => of(session, id))))
        const seen: Record<string, Array<string>> = {}
        let active = 0
        let most = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (body, message, session) =>
          Effect.gen(function*() {
            assert.strictEqual(message.sessionId, session.sessionId)
            const list = seen[session.sessionId] ??= []
            list.push(body)
            most = Math.max(most, ++active)
            yield* Effect.yieldNow
            active--
          }), { concurrentSessions: 3, idleTimeout: "500 millis" })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 80)))
        assert.deepStrictEqual(Object.keys(seen).toSorted(), ["a", "b", "c", "d"])
        for (const list of Object.values(seen)) {
          assert.deepStrictEqual(list, ids)
        }
        assert.isAtMost(most, 3)
        const report = yield* passing(processor.drain)
        assert.deepInclude(report, { received: 80, completed: 80, settled: 80, released: 0, expired: 0, held: 0 })
        assert.strictEqual(report.sessions, 4)
        assert.deepStrictEqual(yield* emulator.messages(Carts), [])
      }))

    test("settles as the handler says, and onFailure decides about failures", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "ok", "dead", "fail"))
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (body) =>
          body === "fail"
            ? Effect.fail("no" as const)
            : Effect.succeed(body === "dead" ? Settlement.deadLetter({ reason: "said so" }) : Settlement.complete), {
          onFailure: (cause) => Settlement.deadLetter({ reason: String(cause.reasons[0]?._tag) })
        })
        yield* passing(until(Effect.map(processor.counts, ({ deadLettered }) => deadLettered === 2)))
        const dead = yield* emulator.deadLetters(Carts)
        assert.deepStrictEqual(dead.map(({ deadLetterReason }) => deadLetterReason), ["said so", "Fail"])
        assert.deepInclude(yield* processor.counts, { completed: 1, deadLettered: 2, failed: 1 })
      }))

    test("an abandoned message comes before those after it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1", "2", "3"))
        const seen: Array<string> = []
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (body, message) =>
          Effect.sync(() => {
            seen.push(body)
            return body === "1" && message.deliveryCount === 0 ? Settlement.abandon() : Settlement.complete
          }))
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 3)))
        assert.deepStrictEqual(seen, ["1", "1", "2", "3"])
      }))

    test("a busy session leaves its slot after its share", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [...of("a", "1", "2", "3", "4", "5"), ...of("b", "1", "2"), ...of("c", "1")])
        const seen: Array<string> = []
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (_, message) =>
          Effect.sync(() => void seen.push(message.messageId)), {
          concurrentSessions: 1,
          messagesPerSession: 2,
          idleTimeout: "500 millis"
        })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
          completed === 8)))
        assert.deepStrictEqual(seen, ["a1", "a2", "b1", "b2", "c1", "a3", "a4", "a5"])
        const { deliveryCount } = { deliveryCount: (yield* emulator.counters(Carts)).redelivered }
        assert.strictEqual(deliveryCount, 0)
      }))

    test("a fixed list of sessions, in turn", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, ["a", "b", "c", "d"].flatMap((id) => of(id, "1", "2")))
        const seen: Array<string> = []
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (_, message) =>
          Effect.sync(() => void seen.push(message.messageId)), {
          concurrentSessions: 1,
          sessionIds: ["b", "d"],
          idleTimeout: "500 millis"
        })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
          completed === 4)))
        assert.deepStrictEqual(seen, ["b1", "b2", "d1", "d2"])
        assert.lengthOf(yield* emulator.messages(Carts), 4)
      }))

    test("a session of the list that another has is tried again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const release = yield* Deferred.make<void>()
        const taken = yield* Deferred.make<void>()
        const other = yield* start(Effect.scoped(Effect.gen(function*() {
          yield* ServiceBusSession.accept(Carts, "a")
          yield* Deferred.succeed(taken, undefined)
          yield* Deferred.await(release)
        })))
        yield* Deferred.await(taken)
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, { sessionIds: ["a"] })
        yield* emulator.idle
        assert.strictEqual((yield* processor.counts).sessions, 0)
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(other)
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
      }))

    test("open and close frame the work on a session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1", "2"))
        const log: Array<string> = []
        const note = (line: string) => Effect.sync(() => void log.push(line))
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (body) => note(body), {
          idleTimeout: "500 millis",
          open: (session) =>
            Effect.acquireRelease(note(`open ${session.sessionId}`), () => note(`released ${session.sessionId}`)),
          close: (session) => Effect.andThen(session.setState({ items: log }), note(`close ${session.sessionId}`))
        })
        yield* passing(until(Effect.sync(() => log.length === 5)))
        assert.deepStrictEqual(log, ["open a", "1", "2", "close a", "released a"])
        yield* passing(processor.drain)
        const session = yield* ServiceBusSession.accept(Carts, "a")
        assert.deepStrictEqual(yield* session.state, Option.some({ items: ["open a", "1", "2"] }))
      }))

    test("a session that cannot be opened is given up, with its messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        let tries = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          open: () => ++tries < 3 ? Effect.fail("not yet") : Effect.void
        })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
        assert.strictEqual(tries, 3)
        assert.strictEqual((yield* processor.counts).sessions, 3)
      }))

    test("a session that is lost interrupts its handler, and is taken again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1", "2"))
        const started = yield* Latch.make()
        let interrupted = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (_, message) =>
          message.deliveryCount === 0 && message.messageId === "a1" && interrupted === 0
            ? Effect.andThen(started.open, Effect.never).pipe(Effect.onInterrupt(() =>
              Effect.sync(() => {
                interrupted++
              })
            ))
            : Effect.void)
        yield* started.await
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
          completed === 2)))
        assert.strictEqual(interrupted, 1)
        const report = yield* passing(processor.drain)
        assert.deepInclude(report, { completed: 2, lockLost: 1, sessionsLost: 1, received: 3, expired: 1, settled: 2 })
      }))

    test("cut connections are survived", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, ["a", "b", "c"].flatMap((id) => of(id, "1", "2", "3")))
        let handled = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () =>
          Effect.suspend(() => ++handled === 4 ? emulator.dropConnections : Effect.void), { idleTimeout: "500 millis" })
        yield* passing(until(Effect.map(emulator.messages(Carts), (messages) =>
          messages.length === 0)))
        const report = yield* passing(processor.drain)
        assert.strictEqual(report.received, report.settled + report.released + report.expired)
        assert.isAtLeast(report.received, 9)
      }))

    test("pause takes nothing new, and resume goes on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        let handled = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.sync(() => void handled++))
        yield* emulator.send(Carts, of("a", "1"))
        yield* passing(until(Effect.sync(() => handled === 1)))
        yield* processor.pause
        yield* emulator.send(Carts, [...of("a", "2"), ...of("b", "1")])
        yield* emulator.idle
        assert.strictEqual(handled, 1)
        yield* processor.resume
        yield* passing(until(Effect.sync(() => handled === 3)))
      }))

    test("the number of sessions changes while it runs", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const gate = yield* Latch.make()
        yield* emulator.send(Carts, ["a", "b", "c", "d", "e"].flatMap((id) => of(id, "1")))
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => gate.await, {
          concurrentSessions: 1,
          messagesPerSession: 1
        })
        yield* until(Effect.map(processor.counts, ({ held }) => held === 1))
        yield* processor.setConcurrentSessions(3)
        yield* until(Effect.map(processor.counts, ({ held }) => held === 3))
        const error = yield* processor.setConcurrentSessions(0).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(error.option, "concurrentSessions")
        yield* processor.setConcurrentSessions(1)
        yield* gate.open
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 5)))
        yield* emulator.send(Carts, ["f", "g"].flatMap((id) => of(id, "1")))
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 7)))
        assert.isAtMost((yield* processor.counts).held, 1)
      }))

    test("draining lets handlers finish and gives the rest back, in order and without a failed delivery", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1", "2", "3"))
        const started = yield* Latch.make()
        const gate = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.makeSessions(
          Carts,
          () => Effect.andThen(started.open, gate.await),
          { prefetch: 2 }
        )
        yield* started.await
        yield* emulator.idle
        const draining = yield* start(processor.drain)
        yield* emulator.idle
        yield* gate.open
        const report = yield* Fiber.join(draining)
        assert.deepInclude(report, { received: 3, completed: 1, released: 2, expired: 0 })
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const messages = yield* session.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ body, deliveryCount }) => [body, deliveryCount]), [["2", 0], ["3", 0]])
      }))

    test("join fails where no session can be accepted any more", () =>
      Effect.gen(function*() {
        const Gone = ServiceBusEntity.queue("gone", { body: Carts.body, sessions: true })
        yield* ServiceBusProcessor.processSessions(Gone, () => Effect.void).pipe(
          failsWith("MessagingEntityNotFoundError")
        )
      }))

    test("options out of range are refused", () =>
      Effect.gen(function*() {
        const refused = (
          options: ServiceBusProcessor.SessionOptions<string, { readonly items: ReadonlyArray<string> }>
        ) =>
          Effect.map(
            Effect.scoped(ServiceBusProcessor.makeSessions(Carts, () => Effect.void, options)).pipe(
              failsWith("InvalidOptionError")
            ),
            ({ option }) => option
          )
        assert.strictEqual(yield* refused({ concurrentSessions: 0 }), "concurrentSessions")
        assert.strictEqual(yield* refused({ callsPerSession: 0 }), "callsPerSession")
        assert.strictEqual(yield* refused({ messagesPerSession: 0.5 }), "messagesPerSession")
        assert.strictEqual(yield* refused({ idleTimeout: 0 }), "idleTimeout")
        assert.strictEqual(yield* refused({ sessionIds: [] }), "sessionIds")
        assert.strictEqual(yield* refused({ sessionIds: ["a", "a"] }), "sessionIds")
        assert.strictEqual(yield* refused({ maxLockRenewal: -1 }), "maxLockRenewal")
        assert.strictEqual(yield* refused({ drainTimeout: -1 }), "drainTimeout")
      }))

    clock("an idle session is given up only when no handler has run for so long", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.sleep("5 minutes"), {
          idleTimeout: "10 seconds"
        })
        yield* passing(Effect.sleep("295 seconds"), "5 seconds")
        assert.deepInclude(yield* processor.counts, { held: 1, completed: 0, sessionsLost: 0 })
        yield* passing(Effect.sleep("9 seconds"), "1 second")
        assert.deepInclude(yield* processor.counts, { held: 1, completed: 1 })
        yield* passing(Effect.sleep("10 seconds"), "1 second")
        assert.deepInclude(yield* processor.counts, { held: 0 })
        assert.strictEqual((yield* ServiceBusSession.accept(Carts, "a")).sessionId, "a")
      }))

    clock("1,000 sessions on 8 slots: none starves, and a slot takes the next one at once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const names = Array.from({ length: 1000 }, (_, i) => `s${i}`)
        yield* emulator.send(Carts, names.flatMap((id) => of(id, "1", "2")))
        const seen = new Map<string, number>()
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, (_, message) =>
          Effect.sync(() => void seen.set(message.sessionId!, (seen.get(message.sessionId!) ?? 0) + 1)), {
          concurrentSessions: 8,
          messagesPerSession: 2
        })
        // Without a turn of the clock: nothing waits for a time-out between two sessions.
        yield* until(Effect.map(processor.counts, ({ completed }) =>
          completed === 2000))
        assert.lengthOf([...seen.keys()], 1000)
        assert.isTrue([...seen.values()].every((count) =>
          count === 2
        ))
        yield* emulator.idle
        const { sessions } = yield* processor.counts
        assert.strictEqual(sessions, 1000)
        yield* TestClock.adjust("1 second")
      }), { timeout: 60_000 })
  })

describe("Session processing", () => both(suite))
