/** A processor of batches, and a handler that is tried again in place. */
import { ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as MessageProcessor from "../../src/internal/processor/MessageProcessor.ts"
import * as ProcessorOptions from "../../src/internal/processor/ProcessorOptions.ts"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  passing,
  reached,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

/** What is refused although its type forbids it. */
const wrong = (value: unknown): never => value as never

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("a handler of batches gets up to size messages, and nothing completes them all", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(25))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const seen: Array<ReadonlyArray<string>> = []
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) =>
          Effect.sync(() => {
            assert.strictEqual(messages[0].body, `body ${messages[0].messageId}`)
            seen.push(idsOf(messages))
          }), { size: 10, prefetch: 20 })
        yield* reached(processor, ({ completed }) => completed === 25)
        assert.deepStrictEqual(seen.flat(), idsOf(texts(25)))
        assert.isAtMost(Math.max(...seen.map(({ length }) => length)), 10)
        const report = yield* processor.drain
        assert.deepInclude(report, { received: 25, settled: 25, completed: 25, failed: 0 })
      }))

    test("settlements of the batch and of each of its messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(40))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) => {
          if (messages[0].retryAttempt > 0) return Effect.succeed(Settlement.deadLetter({ reason: "all" }))
          return Effect.succeed(
            new Set(messages.map(({ messageId }, i) =>
              [
                Settlement.abandon({ properties: { i } }),
                Settlement.deadLetter({ reason: `r${messageId}` }),
                Settlement.deadLetter({ reason: "same", description: String(i) }),
                Settlement.defer({ properties: { i } }),
                Settlement.retryAfter(i)
              ][i % 5]!
            ))
          )
        }, { size: 10, within: "1 second", onFailure: () => Settlement.deadLetter({ reason: "failed" }) })
        yield* passing(reached(processor, ({ deferred, retried }) => deferred >= 8 && retried >= 8))
        const counts = yield* processor.drain
        assert.strictEqual(counts.failed, 0)
        const broker = yield* emulator.counters(Texts)
        assert.deepStrictEqual(
          [broker.abandoned, broker.deadLettered, broker.deferred, broker.completed],
          [counts.abandoned, counts.deadLettered, counts.deferred, counts.retried]
        )
      }), { texts: { maxDeliveryCount: 100 } })

    test("settlements that are equal leave in one call", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(60))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const { link } = ReceiverState.stateOf(receiver)
        const calls: Array<number> = []
        const settle = link.settle.bind(link)
        Object.assign(link, {
          settle: (...args: Parameters<typeof link.settle>) => {
            calls.push(args[0].length)
            return settle(...args)
          }
        })
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) =>
          Effect.succeed(messages.map(({ messageId }) =>
            Number(messageId) % 3 === 0
              ? Settlement.complete
              : Settlement.deadLetter({ reason: `r${Number(messageId) % 3}` })
          )), { size: 60, within: "1 minute" })
        yield* reached(processor, ({ completed, deadLettered }) => completed + deadLettered === 60)
        assert.deepStrictEqual(calls, [20, 20, 20])
      }))

    test("one settlement of a batch that the broker refuses costs no other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.fail({ operation: "settle", error: { condition: "amqp:internal-error" } })
        yield* emulator.fail({ operation: "settle", error: { condition: "com.microsoft:message-lock-lost" } })
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, () => Effect.void, {
          size: 10,
          within: "1 hour"
        })
        yield* reached(processor, ({ completed }) => completed === 8)
        const report = yield* processor.drain
        assert.deepInclude(report, { received: 10, settled: 8, unsettled: 1, lockLost: 1, expired: 2, released: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 8)
      }))

    test("a wrong number of settlements is a failure of the handler", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(4))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const causes: Array<unknown> = []
        const answers = [[], [Settlement.complete], Array(4).fill(wrong("complete")), wrong(5)]
        let runs = 0
        const processor = yield* ServiceBusProcessor.makeBatched(
          receiver,
          () => Effect.succeed(answers[runs++] ?? Settlement.complete),
          {
            size: 4,
            within: "1 hour",
            onFailure: (cause) => {
              causes.push(Cause.squash(cause))
              return Settlement.abandon()
            }
          }
        )
        yield* reached(processor, ({ completed }) => completed === 4)
        assert.lengthOf(causes, 16)
        for (const cause of causes) {
          assert.deepInclude(cause as object, { _tag: "InvalidOptionError", option: "settlements" })
        }
        assert.deepInclude(yield* processor.drain, { received: 20, abandoned: 16, completed: 4, failed: 4 })
      }))

    test("a wrong number of settlements is dead-lettered where there is no onFailure: it would be the same again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(4))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        let runs = 0
        const processor = yield* ServiceBusProcessor.makeBatched(
          receiver,
          () => {
            runs++
            return Effect.succeed(wrong({ a: 1 }))
          },
          { size: 4, within: "1 hour" }
        )
        yield* reached(processor, ({ deadLettered }) => deadLettered === 4)
        assert.strictEqual(runs, 1)
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.strictEqual(letter!.deadLetterReason, "InvalidOptionError")
        assert.include(letter!.deadLetterErrorDescription, "the handler gave 0")
      }))

    test("onFailure decides about every message of a batch that failed, also where it throws", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(6))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.makeBatched(
          receiver,
          (messages) => messages[0].deliveryCount > 0 ? Effect.void : Effect.fail("no"),
          {
            size: 6,
            within: "1 hour",
            onFailure: (_, { messageId }) => {
              if (messageId === "0") throw new Error("thrown")
              return Settlement.deadLetter({ reason: messageId })
            }
          }
        )
        yield* reached(processor, ({ deadLettered }) => deadLettered === 5)
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(letters.map(({ deadLetterReason }) => deadLetterReason), ["1", "2", "3", "4", "5"])
        yield* reached(processor, ({ released }) => released === 1)
        assert.deepInclude(yield* processor.drain, { received: 6 + 1, failed: 1, released: 2 })
      }))

    clock("a batch waits for more for as long as within says, and not when it is full", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const sizes: Array<number> = []
        yield* ServiceBusProcessor.makeBatched(
          receiver,
          (messages) => Effect.sync(() => void sizes.push(messages.length)),
          { size: 5, within: "10 seconds" }
        )
        yield* emulator.send(Texts, texts(2))
        yield* emulator.idle
        yield* TestClock.adjust("9 seconds")
        assert.deepStrictEqual(sizes, [])
        yield* emulator.send(Texts, texts(1))
        yield* emulator.idle
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(sizes, [3])
        // Full at once; what is left has its own time.
        yield* emulator.send(Texts, texts(7))
        yield* emulator.idle
        assert.deepStrictEqual(sizes, [3, 5])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(sizes, [3, 5, 2])
      }))

    clock("the locks of all messages of a batch are kept", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(50))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.makeBatched(
          receiver,
          () => Effect.andThen(started.open, Effect.sleep("4 minutes")),
          { size: 50, within: "20 seconds" }
        )
        yield* started.await
        yield* emulator.idle
        yield* TestClock.adjust("4 minutes")
        yield* emulator.idle
        assert.deepInclude(yield* processor.counts, { received: 50, completed: 50, lockLost: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), { texts: { lockDuration: "30 seconds" } })

    clock("a message whose lock is lost drops out of its batch; the others are settled", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const gate = yield* Latch.make()
        let interrupted = false
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) =>
          messages.length === 1
            ? Effect.succeed(Settlement.defer())
            : started.open.pipe(
              Effect.andThen(gate.await),
              Effect.as([Settlement.complete, Settlement.deadLetter(), Settlement.complete]),
              Effect.onInterrupt(() => Effect.sync(() => interrupted = true))
            ), { size: 3, within: "1 second", prefetch: 1 })
        yield* started.await
        // Settled without the processor: the broker refuses to renew what it does not hold.
        yield* emulator.fail({ operation: "renew", error: { condition: "com.microsoft:message-lock-lost" } })
        yield* emulator.idle
        yield* TestClock.adjust("21 seconds")
        yield* emulator.idle
        assert.isFalse(interrupted)
        yield* gate.open
        yield* reached(processor, ({ lockLost }) => lockLost === 1)
        const counts = yield* processor.counts
        assert.strictEqual(counts.completed + counts.deadLettered, 2)
        assert.strictEqual(counts.unsettled, 0)
        // The broker gives it again when its own lock ends.
        yield* TestClock.adjust("30 seconds")
        yield* emulator.idle
        yield* TestClock.adjust("2 seconds")
        yield* emulator.idle
        const report = yield* processor.drain
        assert.deepInclude(report, { received: 4, settled: 3, expired: 1, released: 0, deferred: 1 })
      }), { texts: { lockDuration: "30 seconds" } })

    clock("the handler of a batch is interrupted once all its locks are lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(4))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const interrupted = yield* Deferred.make<void>()
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) =>
          messages[0].deliveryCount > 0 ? Effect.void : started.open.pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() =>
              Deferred.succeed(interrupted, undefined)
            )
          ), { size: 4, within: "1 second", maxLockRenewal: 0 })
        yield* started.await
        yield* TestClock.adjust("31 seconds")
        yield* Deferred.await(interrupted)
        yield* emulator.idle
        yield* TestClock.adjust("2 seconds")
        yield* reached(processor, ({ completed }) =>
          completed === 4)
        assert.deepInclude(yield* processor.drain, { received: 8, lockLost: 4, completed: 4, expired: 4, settled: 4 })
      }), { texts: { lockDuration: "30 seconds" } })

    test("drain lets a batch finish, and gives back one that waits to fill", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(7))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const gate = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.makeBatched(
          receiver,
          () => Effect.andThen(started.open, Effect.asVoid(gate.await)),
          { size: 5, within: "1 hour", concurrency: 2 }
        )
        yield* started.await
        yield* reached(processor, ({ received }) => received === 7)
        const draining = yield* start(processor.drain)
        yield* until(Effect.map(emulator.counters(Texts), ({ released }) => released === 2))
        yield* gate.open
        const report = yield* Fiber.join(draining)
        assert.deepInclude(report, { received: 7, settled: 5, completed: 5, released: 2, expired: 0 })
      }))

    test("interrupting processBatched drains", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const gate = yield* Latch.make()
        const fiber = yield* start(ServiceBusProcessor.processBatched(
          receiver,
          () => Effect.andThen(started.open, Effect.asVoid(gate.await)),
          { size: 3, within: "1 hour" }
        ))
        yield* started.await
        const interrupting = yield* start(Fiber.interrupt(fiber))
        yield* gate.open
        yield* Fiber.join(interrupting)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 3)
      }))

    clock("an engine knows how long it has had nothing to do", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const engine = yield* MessageProcessor.start<string, never, never>({
          state: ReceiverState.stateOf(receiver) as ReceiverState.ReceiverState<string, "locked">,
          settings: yield* ProcessorOptions.check("texts", {}),
          handler: ([message]) => message.body === "body 0" ? Effect.sleep("5 seconds") : Effect.void,
          onFailure: undefined
        })
        const over = yield* start(engine.idleFor(10_000))
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(over.pollUnsafe())
        yield* emulator.send(Texts, texts(3))
        yield* emulator.idle
        yield* TestClock.adjust("5 seconds")
        yield* emulator.idle
        // Handled at once, and idle anew all the same.
        yield* TestClock.adjust("9 seconds")
        yield* emulator.send(Texts, texts(1, 1))
        yield* emulator.idle
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(over.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(over)
        yield* engine.idleFor(10_000)
      }))

    test("options of batches out of range are refused", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const size of [0, -1, 1.5, NaN, 5001, undefined]) {
          const error = yield* ServiceBusProcessor.makeBatched(receiver, () => Effect.void, { size: wrong(size) }).pipe(
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, "size")
        }
        for (const within of [-1, NaN, "soon"]) {
          const error = yield* ServiceBusProcessor.makeBatched(receiver, () => Effect.void, {
            size: 1,
            within: wrong(within)
          }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "within")
        }
      }))

    test("a handler that failed is run again in place, by the schedule", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const runs = new Map<string, number>()
        let scopes = 0
        const processor = yield* ServiceBusProcessor.make(receiver, (_, { messageId }) =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sync(() => scopes++))
            const run = (runs.get(messageId) ?? 0) + 1
            runs.set(messageId, run)
            if (messageId === "0" && run < 3) return yield* Effect.fail("passes")
            if (messageId === "1") return yield* Effect.fail("stays")
            if (messageId === "2") return yield* Effect.die("defect")
          }), {
          retry: Schedule.exponential(1).pipe(
            Schedule.upTo({ times: 4 }),
            Schedule.while(({ input }) => input === "passes" || input === "stays")
          ),
          onFailure: () => Settlement.deadLetter({ reason: "failed" })
        })
        yield* passing(reached(processor, ({ completed, deadLettered }) => completed + deadLettered === 3))
        assert.deepStrictEqual([...runs], [["0", 3], ["1", 5], ["2", 1]])
        assert.strictEqual(scopes, 9)
        assert.deepInclude(yield* processor.drain, { received: 3, completed: 1, deadLettered: 2, failed: 2 })
      }))

    clock("the lock is kept while a handler is retried in place, and its loss ends the retries", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        let runs = 0
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, { deliveryCount }) =>
            deliveryCount > 0
              ? Effect.void
              : Effect.andThen(
                started.open,
                Effect.suspend(() =>
                  Effect.fail(++runs)
                )
              ),
          { retry: Schedule.spaced("20 seconds"), maxLockRenewal: "2 minutes" }
        )
        yield* started.await
        yield* emulator.idle
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(runs, 7)
        assert.deepInclude(yield* processor.counts, { lockLost: 0, failed: 0 })
        yield* TestClock.adjust("31 seconds")
        yield* emulator.idle
        const seen = runs
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(runs, seen)
        yield* reached(processor, ({ completed }) => completed === 1)
        assert.deepInclude(yield* processor.counts, { received: 2, lockLost: 1, failed: 0 })
      }), { texts: { lockDuration: "30 seconds" } })

    clock("draining ends the retries in place", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () =>
            Effect.andThen(started.open, Effect.fail("no")),
          { retry: Schedule.spaced("1 second"), drainTimeout: "5 seconds" }
        )
        yield* started.await
        const draining = yield* start(processor.drain)
        yield* emulator.idle
        yield* TestClock.adjust("5 seconds")
        const exit = yield* Fiber.await(draining)
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepInclude(yield* processor.drain, { received: 1, released: 1, failed: 0, settled: 0 })
      }))

    test("one that a batch's handler settled by hand costs no other of its batch", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const seen: Array<string> = []
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) => {
          seen.push(...idsOf(messages))
          return Effect.ignore(receiver.complete(messages[0]))
        }, { size: 3, within: "200 millis" })
        yield* passing(until(Effect.map(emulator.counters(Texts), ({ completed }) =>
          completed === 3)))
        const counts = yield* processor.drain
        assert.deepStrictEqual(seen.toSorted(), ["0", "1", "2"])
        assert.deepInclude(counts, { received: 3, completed: 2, taken: 1 })
      }))
  })

describe("Batches and retries in place", () => both(suite))
