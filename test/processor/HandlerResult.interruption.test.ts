/** A handler that ends as interrupted without having been interrupted is a handler that fails. */
import { ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import {
  both,
  idsOf,
  type LayerFor,
  type Name,
  passing,
  reached,
  start,
  testsWith,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

/** The ways in which user code ends as interrupted though this library did not interrupt it. */
const ways: ReadonlyArray<readonly [string, Effect.Effect<never>]> = [
  ["fails as interrupted", Effect.interrupt],
  [
    "joins a fiber that was interrupted",
    Effect.flatMap(Effect.forkChild(Effect.never), (fiber) => Effect.andThen(Fiber.interrupt(fiber), Fiber.join(fiber)))
  ],
  [
    "has its own fiber interrupted",
    Effect.withFiber((fiber) => {
      fiber.interruptUnsafe()
      return Effect.never
    })
  ]
]

/** Handlers and hooks that end as interrupted by themselves: that is a failure of theirs. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Carts, { maxDeliveryCount: 3 })])

    for (const [way, interrupted] of ways) {
      test(`a handler that ${way}: onFailure is asked, once for each delivery`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(1))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          let runs = 0
          const causes: Array<Cause.Cause<unknown>> = []
          const processor = yield* ServiceBusProcessor.make(receiver, () =>
            Effect.suspend(() => {
              runs++
              return interrupted
            }), {
            onFailure: (cause) => {
              causes.push(cause)
              return causes.length === 1 ? Settlement.abandon() : Settlement.deadLetter({ reason: "interrupted" })
            }
          })
          yield* passing(reached(processor, ({ deadLettered }) => deadLettered === 1))
          assert.deepStrictEqual([runs, causes.length], [2, 2])
          assert.isTrue(causes.every(Cause.hasInterruptsOnly))
          const [letter] = yield* emulator.deadLetters(Texts)
          assert.deepInclude(letter, { deadLetterReason: "interrupted", deliveryCount: 1 })
          const report = yield* processor.drain
          assert.deepInclude(report, { received: 2, failed: 2, abandoned: 1, deadLettered: 1, released: 0 })
        }))

      test(`a handler that ${way}, without onFailure: the broker has enough of it`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(1))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const processor = yield* ServiceBusProcessor.make(receiver, () => interrupted)
          yield* passing(until(Effect.map(emulator.counters(Texts), ({ deadLettered }) => deadLettered === 1)))
          const report = yield* processor.drain
          assert.deepInclude(report, { received: 3, failed: 3, abandoned: 3, released: 0 })
        }), { texts: { maxDeliveryCount: 3 } })

      test(`a handler of batches that ${way}: each of its messages is decided`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(3))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const processor = yield* ServiceBusProcessor.makeBatched(receiver, () => interrupted, {
            size: 3,
            within: "1 second",
            onFailure: (_, { messageId }) => Settlement.deadLetter({ reason: messageId })
          })
          yield* passing(reached(processor, ({ deadLettered }) => deadLettered === 3))
          assert.deepStrictEqual(
            (yield* emulator.deadLetters(Texts)).map((letter) => letter.deadLetterReason),
            ["0", "1", "2"]
          )
          assert.deepInclude(yield* processor.counts, { received: 3, failed: 1, deadLettered: 3, released: 0 })
        }))

      test(`a handler of a session's messages that ${way}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Carts, [
            { body: "1", sessionId: "a", messageId: "1" },
            { body: "2", sessionId: "a", messageId: "2" }
          ])
          const seen: Array<string> = []
          const processor = yield* ServiceBusProcessor.makeSessions(Carts, (body) =>
            Effect.suspend(() => {
              seen.push(body)
              return body === "1" ? interrupted : Effect.void
            }))
          yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
          assert.deepStrictEqual(seen, ["1", "1", "1", "2"])
          assert.deepInclude(yield* processor.counts, { failed: 3, abandoned: 3, completed: 1, sessions: 1 })
        }))

      test(`open or close of a session that ${way}: given up, and taken again after a while`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Carts, [{ body: "1", sessionId: "a" }])
          let opened = 0
          let closed = 0
          const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
            idleTimeout: "20 millis",
            open: () => Effect.suspend(() => ++opened === 1 ? interrupted : Effect.void),
            close: () =>
              Effect.suspend(() => {
                closed++
                return interrupted
              })
          })
          yield* passing(until(Effect.map(processor.counts, ({ completed, held }) => completed === 1 && held === 0)))
          assert.deepStrictEqual([opened, closed], [2, 1])
          // The slot goes on.
          yield* emulator.send(Carts, [{ body: "2", sessionId: "b" }])
          yield* passing(until(Effect.map(processor.counts, ({ completed, held }) => completed === 2 && held === 0)))
          assert.deepInclude(yield* passing(processor.drain), {
            received: 2,
            completed: 2,
            sessions: 3,
            sessionsLost: 0
          })
        }))
    }

    for (const [way, interrupted] of ways.slice(0, 2)) {
      test(`a handler of settleEach that ${way} has its message abandoned`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(1))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const exit = yield* receiver.messages.pipe(
            ServiceBusReceiver.settleEach(() => interrupted),
            Stream.runDrain,
            Effect.exit
          )
          assert.isTrue(Exit.hasInterrupts(exit))
          assert.deepInclude(yield* emulator.counters(Texts), { abandoned: 1, released: 0 })
        }))
    }

    test("settleEach that is interrupted from outside leaves its messages to the receiver's scope", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const started = yield* Deferred.make<void>()
        yield* Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const stream = yield* start(receiver.messages.pipe(
            ServiceBusReceiver.settleEach(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)),
            Stream.runDrain
          ))
          yield* Deferred.await(started)
          yield* Fiber.interrupt(stream)
          assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 0)
        }))
        yield* emulator.idle
        const [message] = yield* emulator.messages(Texts)
        assert.strictEqual(message!.deliveryCount, 0)
      }))

    test(
      "a schedule that interrupts its retry: onFailure is asked, and the message counts as failed if that does so too",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(1))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const never = Settlement.retryAfter(Schedule.fromStep(Effect.succeed(() => Effect.interrupt)))
          const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.succeed(never), {
            onFailure: () => never
          })
          yield* passing(until(Effect.map(emulator.counters(Texts), ({ deadLettered }) => deadLettered === 1)))
          assert.deepInclude(yield* processor.counts, { received: 2, failed: 2, released: 2 })
        }),
      { texts: { maxDeliveryCount: 2 } }
    )

    clock(
      "the processor's own interruptions are none: at the end of drainTimeout its message goes back, uncounted",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(1))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const started = yield* Deferred.make<void>()
          const processor = yield* ServiceBusProcessor.make(
            receiver,
            () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never),
            { drainTimeout: "1 second", onFailure: () => assert.fail("it did not fail") }
          )
          yield* Deferred.await(started)
          const report = yield* passing(processor.drain)
          assert.deepInclude(report, { received: 1, released: 1, failed: 0 })
          const messages = yield* emulator.messages(Texts)
          assert.deepStrictEqual(idsOf(messages), ["0"])
          assert.strictEqual(messages[0]!.deliveryCount, 0)
        })
    )
  })

describe("What interrupts itself", () => both(suite))
