/** What is heard of sessions that fail, are lost or held by others, and of processors that cannot start or go on. */
import { ServiceBusProcessor, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Lines, listen, only, texts as linesOf } from "../support/eventRecorder.ts"
import { both, failsWith, type LayerFor, type Name, passing, start, testsWith, until } from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    test("a handler, open and close that fail", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        let opened = 0
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.fail("no stock"), {
          idleTimeout: "20 millis",
          onFailure: () => ({ _tag: "Complete" }),
          open: () => ++opened === 1 ? Effect.fail("not open") : Effect.void,
          close: () => Effect.die("not closed")
        })
        yield* emulator.send(Carts, [{ body: "pears", sessionId: "ann", messageId: "1" }])
        yield* passing(until(Effect.map(processor.counts, ({ completed, held }) => completed === 1 && held === 0)))
        assert.deepStrictEqual(
          lines.map(({ annotations, error, level, text }) => [
            level,
            text,
            error,
            annotations["entity"],
            annotations["sessionId"],
            annotations["source"]
          ]),
          [
            [
              "Warn",
              "A session could not be opened; it is given up, and taken again later",
              "not open",
              "carts",
              "ann",
              "handler"
            ],
            ["Warn", "A handler failed; its message is completed", "no stock", "carts", "ann", "handler"],
            ["Warn", "A session could not be closed as it was to be", "not closed", "carts", "ann", "handler"]
          ]
        )
      }))

    test("a message that fails each time that its session is held: one line", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.fail("no stock"), {
          idleTimeout: "20 millis",
          messagesPerSession: 1
        })
        yield* emulator.send(Carts, [{ body: "pears", sessionId: "ann", messageId: "1" }])
        yield* passing(until(Effect.map(processor.counts, ({ abandoned, held }) => abandoned >= 3 && held === 0)))
        assert.deepStrictEqual(lines.map(({ annotations, text }) => [text, annotations["sessionId"]]), [[
          "A handler failed; its message is abandoned, and comes again unless this was its last delivery" +
          "; further failures of it are logged at Debug",
          "ann"
        ]])
      }))

    test("what a session acquired cannot be released: said as receiving, with the session, and its slot goes on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (const sessionIds of [undefined, ["ann"]]) {
          yield* Effect.scoped(Effect.gen(function*() {
            let opened = 0
            const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
              sessionIds,
              concurrentSessions: 1,
              idleTimeout: "20 millis",
              open: () => ++opened === 1 ? Effect.addFinalizer(() => Effect.die("not released")) : Effect.void
            })
            yield* emulator.send(Carts, [{ body: "pears", sessionId: "ann" }])
            yield* passing(until(Effect.map(processor.counts, ({ completed, held }) => completed === 1 && held === 0)))
            yield* emulator.send(Carts, [{ body: "apples", sessionId: "ann" }])
            yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 2)))
          }))
          const [line, ...others] = (yield* Lines).splice(0)
          assert.deepStrictEqual(others, [])
          assert.deepInclude(line!, {
            level: "Warn",
            text: "A session could not be given up as it was to be; its slot takes the next one",
            error: "not released"
          })
          assert.deepInclude(line!.annotations, { source: "receive", sessionId: "ann", entity: "carts" })
        }
      }))

    clock("an accept that dies: once for all slots and tries, and sessions are taken when it is well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        for (let round = 1; round <= 2; round++) {
          yield* emulator.stop
          yield* Effect.scoped(Effect.gen(function*() {
            const processor = yield* ServiceBusProcessor.makeSessions(Carts, () =>
              Effect.void, { concurrentSessions: 3 })
            yield* passing(Effect.sleep("5 seconds"))
            assert.deepStrictEqual(linesOf(lines), [
              "Warn: No session could be accepted, for what is a defect; it is tried again every second"
            ])
            assert.strictEqual(lines[0]!.error, "a bug")
            yield* emulator.start
            yield* emulator.send(Carts, [{ body: "pears", sessionId: "ann" }])
            yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
              completed === 1)))
          }))
          lines.length = 0
        }
      }), {
      client: {
        retry: Schedule.tap(Schedule.forever, () =>
          Effect.die("a bug"))
      }
    })

    test("what a drain interrupts: the handlers, open and close of a session, each with its session", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(Carts, ["1", "2"].map((body) => ({ body, sessionId: "ann" })))
        const begun = yield* Latch.make()
        const hang = Effect.andThen(begun.open, Effect.never)
        const drained = (
          handler: () => Effect.Effect<void>,
          hooks: ServiceBusProcessor.SessionOptions<string, { readonly items: ReadonlyArray<string> }>,
          drainTimeout: Duration.Input = "100 millis"
        ) =>
          Effect.gen(function*() {
            yield* begun.close
            const processor = yield* ServiceBusProcessor.makeSessions(Carts, handler, {
              concurrentSessions: 1,
              callsPerSession: 2,
              drainTimeout,
              ...hooks
            })
            yield* begun.await
            yield* emulator.idle
            yield* passing(processor.drain)
            const said = linesOf(lines)
            for (const { annotations } of lines) {
              assert.deepInclude(annotations, { source: "handler", sessionId: "ann", entity: "carts" })
            }
            lines.length = 0
            return said
          })
        assert.deepStrictEqual(
          yield* drained(() =>
            hang, {}),
          [
            "Warn: A processor drained, and interrupted 2 handlers after drainTimeout (100ms); " +
            "what was not settled comes again"
          ]
        )
        assert.deepStrictEqual(
          yield* drained(
            () =>
              hang,
            {},
            0
          ),
          []
        )
        assert.deepStrictEqual(yield* drained(() => Effect.void, { open: () => hang }), [
          "Warn: A session was given up before it was open: the processor drains, and interrupted its open"
        ])
        assert.deepStrictEqual(yield* drained(() => Effect.asVoid(begun.open), { close: () => Effect.never }), [
          "Warn: A session is closed without the rest of its close, which was interrupted after drainTimeout (100ms)"
        ])
      }))

    test("a session that is lost: once, not for each of its messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const started = yield* Latch.make()
        yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.andThen(started.open, Effect.never), {
          concurrentSessions: 1,
          callsPerSession: 3,
          drainTimeout: 0
        })
        yield* emulator.send(Carts, ["1", "2", "3"].map((body) => ({ body, sessionId: "ann" })))
        yield* started.await
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts)
        yield* passing(until(Effect.sync(() => only(events, "LockLost").length === 1)))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A session is lost; work on it is interrupted, and what is not settled comes again"
        ])
        assert.deepInclude(only(events, "LockLost")[0]!, { sessionId: "ann", entity: "carts" })
        assert.deepInclude(lines[0]!.error as object, { _tag: "SessionLockLostError" })
      }))

    clock("a session that another receiver has: once, until it can be had", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* Effect.scoped(Effect.gen(function*() {
          yield* ServiceBusSession.accept(Carts, "ann")
          yield* Effect.forkScoped(
            ServiceBusProcessor.processSessions(Carts, () => Effect.void, { sessionIds: ["ann"] }),
            { startImmediately: true }
          )
          yield* passing(until(Effect.sync(() => lines.length > 0)))
          yield* passing(Effect.sleep("3 seconds"))
        }))
        assert.deepStrictEqual(linesOf(lines), ["Warn: A session is locked by another receiver; it is tried again"])
        assert.deepInclude(lines[0]!.annotations, { source: "receive", sessionId: "ann", entity: "carts" })
        assert.strictEqual((yield* emulator.counters(Carts)).sessionsLost, 0)
      }))

    clock("a session that another receiver has again: once more", () =>
      Effect.gen(function*() {
        const lines = yield* Lines
        const accept = Effect.gen(function*() {
          const scope = yield* Scope.make()
          yield* passing(Scope.provide(ServiceBusSession.accept(Carts, "ann"), scope), "1 second")
          return scope
        })
        const first = yield* accept
        const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
          sessionIds: ["ann"],
          idleTimeout: "5 seconds"
        })
        yield* passing(until(Effect.sync(() => lines.length === 1)))
        yield* Scope.close(first, Exit.void)
        yield* passing(until(Effect.map(processor.counts, ({ held }) => held === 1)))
        yield* passing(processor.pause)
        yield* passing(until(Effect.map(processor.counts, ({ held }) => held === 0)), "1 second")
        const second = yield* accept
        yield* processor.resume
        yield* passing(until(Effect.sync(() => lines.length === 2)))
        yield* Scope.close(second, Exit.void)
        const text = "Warn: A session is locked by another receiver; it is tried again"
        assert.deepStrictEqual(linesOf(lines), [text, text])
      }))

    test("a processor of many slots that stops for good says it once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        yield* emulator.fail({ operation: "attach", error: { condition: "amqp:unauthorized-access" }, times: 1000 })
        yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, { concurrentSessions: 5 })
        yield* passing(until(Effect.sync(() => only(events, "ConsumerStopped").length > 0)))
        // The other slots are refused as well.
        yield* emulator.idle
        assert.deepStrictEqual(linesOf(lines), ["Error: A processor has stopped: it takes no more messages"])
        assert.deepInclude(lines[0]!.annotations, { entity: "carts" })
      }))

    for (
      const [how, retry] of [
        ["dies", Schedule.tap(Schedule.forever, () => Effect.die("a bug"))],
        ["is interrupted", Schedule.tap(Schedule.forever, () => Effect.interrupt)]
      ] as const
    ) {
      test(`a processor that is forked and ${how} as it starts, by what it runs`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const lines = yield* Lines
          yield* emulator.stop
          const fibers = [
            yield* start(ServiceBusProcessor.process("texts", () => Effect.void)),
            yield* start(ServiceBusProcessor.processBatched("texts", () => Effect.void, { size: 2 }))
          ]
          yield* passing(Effect.forEach(fibers, (fiber) => Fiber.await<never, unknown>(fiber), { discard: true }))
          assert.deepStrictEqual(linesOf(lines), [
            "Error: A processor could not be started",
            "Error: A processor could not be started"
          ])
          if (how === "dies") assert.strictEqual(lines[0]!.error, "a bug")
        }), { client: { retry } })
    }

    test("a processor that its caller interrupts as it starts has nothing to say", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.stop
        const fiber = yield* start(ServiceBusProcessor.process("texts", () => Effect.void))
        yield* passing(until(Effect.sync(() => lines.length > 0)))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(linesOf(lines), ["Warn: Service Bus cannot be reached; connecting is tried again"])
      }), { client: { retry: { maxRetries: 100 } } })

    test("a slot that is refused for good stops all: said at once, and done once the sessions of the others are given up", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const [begun, release] = [yield* Latch.make(), yield* Latch.make()]
        const closed: Array<string> = []
        const processor = yield* ServiceBusProcessor.makeSessions(
          Carts,
          () => Effect.andThen(begun.open, release.await),
          { concurrentSessions: 1, close: (_, reason) => Effect.sync(() => void closed.push(reason)) }
        )
        const stopped = yield* start(processor.stopped)
        yield* emulator.send(Carts, [{ body: "1", sessionId: "ann" }])
        yield* begun.await
        const error = { condition: "amqp:not-found" }
        yield* emulator.fail({ operation: "attach", entity: Carts.path, error, times: 1 })
        yield* processor.setConcurrentSessions(2)
        yield* passing(until(Effect.sync(() => only(events, "ConsumerStopped").length === 1)))
        assert.isUndefined(stopped.pollUnsafe())
        assert.strictEqual((yield* processor.counts).held, 1)
        yield* release.open
        const exit = yield* passing(Fiber.join(stopped))
        assert(Exit.isFailure(exit))
        assert.deepInclude(Cause.squash(exit.cause) as object, { _tag: "MessagingEntityNotFoundError" })
        yield* failsWith("MessagingEntityNotFoundError")(processor.join)
        assert.deepInclude(yield* processor.counts, { held: 0, completed: 1 })
        assert.deepInclude(yield* passing(processor.drain), { completed: 1, sessions: 1 })
        assert.deepStrictEqual(closed, ["drain"])
        // Nothing is taken any more, although it could be.
        yield* emulator.send(Carts, [{ body: "2", sessionId: "bob" }])
        yield* processor.setConcurrentSessions(3)
        yield* emulator.idle
        assert.strictEqual((yield* processor.counts).received, 1)
        assert.deepStrictEqual(linesOf(lines), ["Error: A processor has stopped: it takes no more messages"])
      }))

    test("a processor that cannot be started, each time it is tried, by the identifier of its options or its own", () =>
      Effect.gen(function*() {
        const lines = yield* Lines
        const nothing = () => Effect.void
        const identifier = "billing"
        const again = ServiceBusProcessor.process("missing", nothing, { identifier }).pipe(Effect.retry({ times: 1 }))
        yield* failsWith("MessagingEntityNotFoundError")(again)
        yield* failsWith("InvalidOptionError")(
          ServiceBusProcessor.processBatched("missing", nothing, { identifier, size: 0 })
        )
        yield* failsWith("InvalidOptionError")(
          ServiceBusProcessor.processSessions(Carts, nothing, { identifier, concurrentSessions: 0 })
        )
        assert.deepStrictEqual(lines.map(({ annotations }) => annotations["identifier"]), Array(4).fill(identifier))
        lines.length = 0
        const error = yield* failsWith("MessagingEntityNotFoundError")(ServiceBusProcessor.process("missing", nothing))
        assert.match(error.identifier!, /^missing-/)
        assert.deepStrictEqual(lines.map(({ annotations }) => annotations["identifier"]), [error.identifier])
      }))

    test("a processor that is forked and cannot be started", () =>
      Effect.gen(function*() {
        const lines = yield* Lines
        const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })
        const fibers = [
          yield* fork(ServiceBusProcessor.process("missing", () => Effect.void)),
          yield* fork(ServiceBusProcessor.processBatched("missing", () => Effect.void, { size: 0 })),
          yield* fork(ServiceBusProcessor.process("missing", () => Effect.void, { logLevel: "None" }))
        ]
        yield* passing(Effect.forEach(fibers, (fiber) => Fiber.await<never, unknown>(fiber), { discard: true }))
        assert.deepStrictEqual(linesOf(lines), [
          "Error: A processor could not be started",
          "Error: A processor could not be started"
        ])
        assert.sameMembers(lines.map(({ error }) => (error as { readonly _tag: string })._tag), [
          "MessagingEntityNotFoundError",
          "InvalidOptionError"
        ])
        for (const { annotations } of lines) assert.strictEqual(annotations["entity"], "missing")
      }))
  })

describe("What is heard of session processors", () => both(suite))
