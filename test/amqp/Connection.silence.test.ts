/** A peer that falls silent or answers nothing is given up in time, and one that is only slow is not. */
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { failsWith, linkOf, overTcp, start, testsOf, Texts, texts, until } from "../support/harness.ts"
import { proxy, through } from "../support/silentProxy.ts"
import { assert, describe, it } from "../support/vitest.ts"

const suite = () =>
  describe("a peer that falls silent", () => {
    const { test } = testsOf("over TCP", overTcp)

    test("while something is made: whatever was asked last, it ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const program = Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(Texts)
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* sender.send({ body: "" })
          // Nothing is known to be wrong where nothing comes.
          const [message] = yield* receiver.receive({ maxWait: "250 millis" })
          if (message === undefined) return "nothing came"
          yield* receiver.renewLock(message)
          return "done"
        })
        const all = yield* proxy(emulator.port)
        yield* Effect.scoped(through(all, program))
        const tags = yield* Effect.forEach(
          Array.from({ length: all.writes() }, (_, i) => i),
          Effect.fnUntraced(function*(after) {
            const silent = yield* proxy(emulator.port, after)
            const exit = yield* Effect.exit(Effect.scoped(through(silent, program)))
            // The last writes are those that close, when the work is done.
            if (Exit.isSuccess(exit)) return exit.value
            return (exit.cause.reasons[0] as { readonly error?: { readonly _tag: string } }).error?._tag
          }),
          { concurrency: "unbounded" }
        )
        const undone = tags.slice(0, tags.indexOf("done"))
        assert.isAtLeast(undone.length, 6)
        for (const tag of undone) assert.include(["OperationTimeoutError", "nothing came"], tag, String(tags))
      }))

    test("in the middle of work: unknown where it was on the wire, nothing where nothing was asked", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const sender = yield* ServiceBusSender.make(Texts)
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const [a, b] = yield* receiver.receive({ max: 2 })
            silent.freeze()
            const results = yield* Effect.all([
              failsWith("OperationTimeoutError")(sender.send({ body: "" })),
              failsWith("OperationTimeoutError")(receiver.complete(a!)),
              failsWith("OperationTimeoutError")(receiver.renewLock(b!))
            ], { concurrency: 3 })
            assert.deepStrictEqual(
              results.map(({ outcome }) => outcome),
              ["unknown", "unknown", "unknown"]
            )
            assert.deepStrictEqual(yield* receiver.receive({ maxWait: "20 millis" }), [])
          })
        ))
        // And the broker has no connection left.
        yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
      }))

    it.effect("with nothing asked of it: the connection is given up in two minutes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const link = linkOf(receiver)
            const fiber = yield* start(receiver.receive({ maxWait: Duration.infinity }))
            silent.freeze()
            yield* TestClock.adjust("119 seconds")
            assert.isUndefined(link.dead())
            silent.thaw()
            yield* TestClock.adjust("1 second")
            assert.strictEqual(link.dead()?._tag, "ServiceBusConnectionError")
            assert.include(link.dead()?.message, "said nothing")
            // The one who waits waits on a new connection.
            yield* until(Effect.sync(() => linkOf(receiver) !== link))
            yield* emulator.send(Texts, texts(1))
            assert.lengthOf(yield* Fiber.join(fiber), 1)
          })
        ))
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))

    it.effect("after twice the idle time-out that the client chose, and not sooner", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const link = linkOf(yield* ServiceBusReceiver.make(Texts))
            silent.freeze()
            yield* TestClock.adjust("9 seconds")
            assert.isUndefined(link.dead())
            yield* TestClock.adjust("1 second")
            assert.include(link.dead()?.message, "said nothing for 10 seconds")
          }),
          { idleTimeout: "5 seconds", retry: { maxRetries: 0 } }
        ))
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))

    for (const direction of ["up", "down"] as const) {
      it.effect(`while its heartbeats still come, ${direction}: a connection that answers nothing is given up`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const silent = yield* proxy(emulator.port)
          yield* Effect.scoped(through(
            silent,
            Effect.gen(function*() {
              const sender = yield* ServiceBusSender.make(Texts)
              const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 100 })
              yield* sender.send({ body: "before" })
              const link = linkOf(sender)
              silent.vanish(direction)
              const fiber = yield* start(sender.send({ body: "after" }))
              for (let seconds = 0; seconds < 60; seconds += 10) {
                // What credit of long ago lets come answers nothing.
                yield* emulator.send(Texts, texts(1, seconds))
                yield* TestClock.adjust("10 seconds")
              }
              assert.strictEqual((yield* failsWith("OperationTimeoutError")(Fiber.join(fiber))).outcome, "unknown")
              assert.isUndefined(link.dead())
              silent.thaw()
              yield* TestClock.adjust("29 seconds")
              assert.isUndefined(link.dead())
              yield* TestClock.adjust("1 second")
              assert.include(link.dead()?.message, "answered nothing")
              // All go on, on another connection.
              yield* until(Effect.as(sender.send({ body: "again" }), true))
              assert.isAtLeast((yield* receiver.receive({ max: 3 })).length, 1)
            }),
            { operationTimeout: "1 minute", retry: { maxRetries: 0 } }
          ))
        }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))
    }

    it.effect("one that is slow to answer is asked, and keeps its connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const sender = yield* ServiceBusSender.make(Texts)
            const link = linkOf(sender)
            const { connection } = link
            const sessions = Object.keys(connection.rhea.local_channel_map).length
            const answers = connection.answers()
            // As if something had been asked, and nothing had come since.
            connection.probeUnlessAnswered(answers)
            yield* until(Effect.sync(() => connection.answers() === answers + 2))
            // It has begun a session and ended it.
            yield* until(Effect.sync(() => Object.keys(connection.rhea.local_channel_map).length === sessions))
            yield* TestClock.adjust("31 seconds")
            assert.isUndefined(link.dead())
          })
        ))
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))
  })

// One after the other: their time-outs are short, and real.
describe("Silent peer", { concurrent: false }, () => {
  suite()
})
