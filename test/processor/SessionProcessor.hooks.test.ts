/** What a session processor calls when the work on a session begins and ends, and what it is told meanwhile. */
import { ServiceBusProcessor, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
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

const of = (sessionId: string, ...ids: ReadonlyArray<string>) =>
  ids.map((id) => ({ body: id, sessionId, messageId: `${sessionId}${id}` }))

/** How the work on a session begins and ends, and what a session processor is told meanwhile. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(Carts, { lockDuration: "30 seconds", maxDeliveryCount: 3 })
    ])

    test("close runs where the session was lost, after its handlers and before what open acquired is released", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const log: Array<string> = []
        const note = (line: string) => Effect.sync(() => void log.push(line))
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.makeSessions(
          Carts,
          () =>
            log.includes("released")
              ? Effect.void
              : Effect.andThen(started.open, Effect.never).pipe(Effect.onInterrupt(() => note("interrupted"))),
          {
            idleTimeout: "20 millis",
            open: () => Effect.acquireRelease(note("open"), () => note("released")),
            close: (session, reason) =>
              Effect.flatMap(Effect.exit(session.setState({ items: [] })), (exit) =>
                note(`${reason}, the state ${Exit.isSuccess(exit) ? "is" : "cannot be"} written`))
          }
        )
        yield* started.await
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* passing(until(Effect.map(processor.counts, ({ completed, held }) =>
          completed === 1 && held === 0)))
        assert.deepStrictEqual(log, [
          "open",
          "interrupted",
          "lost, the state cannot be written",
          "released",
          "open",
          "idle, the state is written",
          "released"
        ])
      }))

    test("close is told of a share that was had, of a drain, and of a settlement that was not confirmed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const reasons: Array<readonly [string, ServiceBusProcessor.CloseReason]> = []
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          concurrentSessions: 1,
          messagesPerSession: 2,
          close: ({ sessionId }, reason) => Effect.sync(() => void reasons.push([sessionId, reason]))
        })
        yield* emulator.send(Carts, of("a", "1", "2"))
        yield* passing(until(Effect.sync(() => reasons.length === 1)))
        const error = { condition: "amqp:internal-error" }
        yield* emulator.fail({ operation: "settle", entity: "carts", error, times: 1 })
        yield* emulator.send(Carts, of("b", "1"))
        yield* passing(until(Effect.sync(() => reasons.length === 2)))
        // Given up, it has its message again, and is idle from there on.
        yield* passing(until(Effect.map(processor.counts, ({ completed, held }) => completed === 3 && held === 1)))
        yield* passing(processor.drain)
        assert.deepStrictEqual(reasons, [["a", "share"], ["b", "unsettled"], ["b", "drain"]])
      }))

    test("close that a loss interrupts does not run again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const log: Array<string> = []
        const closing = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          concurrentSessions: 1,
          idleTimeout: "20 millis",
          open: () => Effect.addFinalizer(() => Effect.sync(() => void log.push("released"))),
          close: (_, reason) =>
            Effect.andThen(
              Effect.sync(() => void log.push(reason)),
              Effect.andThen(closing.open, Effect.never)
            ).pipe(Effect.onInterrupt(() => Effect.sync(() => void log.push("interrupted"))))
        })
        yield* passing(closing.await)
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* passing(until(Effect.map(processor.counts, ({ held }) => held === 0)))
        assert.deepStrictEqual(log, ["idle", "interrupted", "released"])
        assert.strictEqual((yield* processor.counts).sessionsLost, 1)
      }))

    clock("close of a session that was lost may take drainTimeout, then the slot goes on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const started = yield* Latch.make()
        let interrupted = 0
        let calls = 0
        const processor = yield* ServiceBusProcessor.makeSessions(
          Carts,
          () => ++calls === 1 ? Effect.andThen(started.open, Effect.never) : Effect.void,
          {
            concurrentSessions: 1,
            drainTimeout: "10 seconds",
            close: (_, reason) =>
              reason === "lost"
                ? Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => void interrupted++)))
                : Effect.void
          }
        )
        yield* started.await
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* passing(Effect.sleep("9 seconds"), "1 second")
        assert.deepStrictEqual([interrupted, (yield* processor.counts).held], [0, 1])
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)), "1 second")
        assert.deepStrictEqual([interrupted, calls], [1, 2])
      }))

    test("a session that is lost while it is opened is opened no further", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        let opened = 0
        let interrupted = 0
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          open: () =>
            ++opened === 1
              ? Effect.andThen(started.open, Effect.never).pipe(
                Effect.onInterrupt(() => Effect.sync(() => void interrupted++))
              )
              : Effect.void
        })
        yield* started.await
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
        assert.strictEqual(interrupted, 1)
        assert.deepInclude(yield* processor.counts, { sessions: 2, sessionsLost: 1 })
      }))

    test("draining does not wait for a session to be opened", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const started = yield* Latch.make()
        let released = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          open: () =>
            Effect.acquireRelease(started.open, () => Effect.sync(() => void released++)).pipe(
              Effect.andThen(Effect.never)
            )
        })
        yield* started.await
        const report = yield* passing(processor.drain)
        assert.deepInclude(report, { received: 0, sessions: 1, held: 0 })
        assert.strictEqual(released, 1)
        yield* ServiceBusSession.accept(Carts, "a")
      }))

    clock("draining waits for close as long as for a handler", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        const started = yield* Latch.make()
        let closed = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.asVoid(started.open), {
          drainTimeout: "10 seconds",
          close: () =>
            Effect.sleep("1 hour").pipe(Effect.onInterrupt(() =>
              Effect.sync(() => {
                closed++
              })
            ))
        })
        yield* started.await
        const draining = yield* start(processor.drain)
        yield* passing(Effect.sleep("9 seconds"), "1 second")
        assert.isUndefined(draining.pollUnsafe())
        yield* passing(Effect.sleep("3 seconds"), "1 second")
        assert.deepInclude(yield* Fiber.join(draining), { completed: 1, held: 0 })
        assert.strictEqual(closed, 1)
        assert.strictEqual((yield* emulator.counters(Carts)).sessionsLost, 0)
      }))

    clock("a session that takes longer to open than it may be idle is worked on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1", "2"))
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          idleTimeout: "10 seconds",
          open: () => Effect.sleep("20 seconds")
        })
        yield* passing(Effect.sleep("25 seconds"), "1 second")
        assert.deepInclude(yield* processor.counts, { completed: 2, sessions: 1 })
      }))

    test("while it is paused no session is taken, and none is opened", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const opened: Array<string> = []
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          open: ({ sessionId }) => Effect.sync(() => void opened.push(sessionId))
        })
        yield* emulator.idle
        yield* processor.pause
        yield* emulator.idle
        yield* emulator.send(Carts, of("a", "1"))
        yield* emulator.idle
        assert.deepStrictEqual(opened, [])
        yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* ServiceBusSession.accept(Carts, "a")
          assert.deepStrictEqual(idsOf(yield* session.peek()), ["a1"])
        }))
        yield* processor.resume
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
        assert.deepStrictEqual(opened, ["a"])
      }))

    test("open may not keep the messages for itself", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        let opened = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          open: (session) =>
            ++opened > 1
              ? Effect.void
              : Effect.forkScoped(Stream.runDrain(session.messages), { startImmediately: true })
        })
        yield* until(Effect.sync(() => opened === 1))
        yield* emulator.idle
        assert.strictEqual(opened, 1)
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
        assert.strictEqual(opened, 2)
      }))

    test("defects of hooks and of what they acquired cost a session, not its slot", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, of("a", "1"))
        let opened = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          concurrentSessions: 1,
          idleTimeout: "20 millis",
          open: () => {
            if (++opened === 1) throw new Error("open")
            return Effect.addFinalizer(() => Effect.die("finalizer"))
          },
          close: () => {
            throw new Error("close")
          }
        })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
        yield* passing(until(Effect.map(processor.counts, ({ held }) => held === 0)))
        yield* emulator.send(Carts, of("b", "1"))
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 2)))
        const report = yield* passing(processor.drain)
        assert.deepInclude(report, { received: 2, completed: 2, held: 0 })
      }))

    test("ids that no session can have are refused", () =>
      Effect.gen(function*() {
        for (const sessionIds of [["x".repeat(129)], [7 as never]]) {
          const error = yield* Effect.scoped(
            ServiceBusProcessor.makeSessions(Carts, () => Effect.void, { sessionIds })
          ).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "sessionIds")
        }
      }))

    test("interrupted at any point of its start, a processor leaves nothing open", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, ["a", "b", "c"].flatMap((id) => of(id, "1")))
        for (let turns = 0; turns < 40; turns++) {
          const running = yield* start(ServiceBusProcessor.processSessions(Carts, () => Effect.never, {
            concurrentSessions: 2,
            drainTimeout: 0
          }))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* passing(Fiber.interrupt(running))
        }
        const sessions = yield* Effect.forEach(["a", "b", "c"], (id) => ServiceBusSession.accept(Carts, id))
        for (const session of sessions) {
          const [message] = yield* session.receive()
          assert.strictEqual(message!.deliveryCount, 0)
        }
      }))
  })

describe("The work on a session, from open to close", () => both(suite))
