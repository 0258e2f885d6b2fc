/** A processor over messages: concurrency, settlement by result and failure, pause, drain and interruption. */
import { ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as MessageProcessor from "../../src/internal/processor/MessageProcessor.ts"
import * as ProcessorOptions from "../../src/internal/processor/ProcessorOptions.ts"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import { Lines, texts as linesOf } from "../support/eventRecorder.ts"
import {
  both,
  failsWith,
  type LayerFor,
  linkOf,
  type Name,
  Orders,
  OrderTexts,
  passing,
  reached,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

/** The parts of which `received` is the sum once nothing is in work. */
const sum = (counts: ServiceBusProcessor.Counts): number =>
  counts.completed + counts.abandoned + counts.deferred + counts.deadLettered + counts.retried +
  counts.undecodable + counts.lockLost + counts.unsettled + counts.released

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("settles each message as its handler says; nothing means complete", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(40))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, (body, message) => {
          assert.strictEqual(body, `body ${message.messageId}`)
          switch (Number(message.messageId) % 4) {
            case 1:
              return Effect.succeed(Settlement.complete)
            case 2:
              return Effect.succeed(Settlement.deadLetter({ reason: "two" }))
            case 3:
              return Effect.succeed(Settlement.defer())
            default:
              return Effect.void
          }
        }, { concurrency: 8 })
        yield* reached(processor, (counts) => sum(counts) === 40)
        const counts = yield* processor.drain
        assert.deepInclude(counts, { received: 40, completed: 20, deadLettered: 10, deferred: 10, failed: 0 })
        const { completed, deadLettered, deferred, released } = yield* emulator.counters(Texts)
        assert.deepStrictEqual([completed, deadLettered, deferred, released], [20, 10, 10, 0])
      }))

    for (const concurrency of [1, 5]) {
      test(`runs at most ${concurrency} handlers at a time, and as many`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(100))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          let running = 0
          let most = 0
          const processor = yield* ServiceBusProcessor.make(receiver, () =>
            Effect.gen(function*() {
              most = Math.max(most, ++running)
              for (let i = 0; i < 3; i++) yield* Effect.yieldNow
              running--
            }), { concurrency })
          yield* reached(processor, ({ completed }) => completed === 100)
          assert.strictEqual(most, concurrency)
        }))
    }

    test("takes no more than concurrency and prefetch from the broker", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(100))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const gate = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.asVoid(gate.await), {
          concurrency: 3,
          prefetch: 4
        })
        yield* reached(processor, ({ received }) => received === 7)
        yield* emulator.idle
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 7)
        yield* gate.open
        yield* reached(processor, ({ completed }) => completed === 100)
      }))

    test("a handler that fails has its message abandoned, and the loop goes on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, message) => message.messageId === "1" && message.deliveryCount < 2 ? Effect.fail("no") : Effect.void
        )
        yield* reached(processor, ({ completed }) => completed === 3)
        assert.deepInclude(yield* processor.counts, { received: 5, completed: 3, abandoned: 2, failed: 2 })
        assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 2)
      }))

    test("onFailure decides about the message of a handler that failed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, message) => message.messageId === "0" ? Effect.fail({ reason: "typed" }) : Effect.die("defect"),
          {
            onFailure: (cause, message) => {
              const [reason] = cause.reasons
              return Settlement.deadLetter({
                reason: reason?._tag === "Fail" ? reason.error.reason : reason?._tag,
                description: message.body
              })
            }
          }
        )
        yield* reached(processor, ({ deadLettered }) => deadLettered === 2)
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(letters.map((letter) => letter.deadLetterReason), ["typed", "Die"])
        assert.deepStrictEqual(letters.map((letter) => letter.deadLetterErrorDescription), ["body 0", "body 1"])
        assert.strictEqual((yield* processor.counts).failed, 2)
      }))

    test("a defect, in a handler or in onFailure, does not end the loop", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, (_, message) => {
          if (message.messageId === "0") throw new Error("thrown, not failed")
          return message.messageId === "1" && message.deliveryCount === 0 ? Effect.die("defect") : Effect.void
        }, {
          onFailure: (_, message) => {
            if (message.messageId === "0") throw new Error("thrown again")
            return Settlement.abandon()
          }
        })
        yield* reached(processor, ({ completed }) => completed === 2)
        // It has no settlement: it is given back, again and again, until it has failed as often as it may.
        yield* until(Effect.map(emulator.counters(Texts), ({ deadLettered }) => deadLettered === 1))
        const counts = yield* processor.drain
        assert.deepInclude(counts, { completed: 2, abandoned: 1, failed: 11, released: 10, unsettled: 0 })
        assert.strictEqual(sum(counts), counts.received)
      }))

    test("undecodable messages meet the receiver's policy and are counted", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "{" }, { body: "{\"id\":\"1\",\"total\":1}" }, { body: "" }])
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* reached(processor, ({ completed, undecodable }) => completed + undecodable === 3)
        assert.deepInclude(yield* processor.counts, { received: 3, completed: 1, undecodable: 2, failed: 0 })
        yield* until(Effect.map(emulator.counters(Orders), ({ deadLettered }) => deadLettered === 2))
      }))

    test("the scope of a handler closes with its message", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const events: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(receiver, (_, { messageId }) =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sync(() => void events.push(`closed ${messageId}`)))
            events.push(`open ${messageId}`)
          }))
        yield* reached(processor, ({ completed }) => completed === 5)
        assert.deepStrictEqual(events, ["0", "1", "2", "3", "4"].flatMap((id) => [`open ${id}`, `closed ${id}`]))
      }))

    test("a settlement that a drain cuts off is of unknown outcome: its message is not given back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const { link } = ReceiverState.stateOf(receiver)
        const settle = link.settle.bind(link)
        // It goes out, and its answer never comes.
        Object.assign(link, {
          settle: (...args: Parameters<typeof link.settle>) => Effect.andThen(settle(...args), Effect.never)
        })
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void, { drainTimeout: 0 })
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1))
        assert.deepInclude(yield* processor.drain, { received: 1, completed: 0, unsettled: 1, released: 0 })
      }))

    test("drain lets handlers finish, takes nothing new and gives back what waits", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const gate = yield* Latch.make()
        let begun = 0
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () => Effect.sync(() => begun++).pipe(Effect.andThen(gate.await), Effect.asVoid),
          {
            concurrency: 2,
            prefetch: 3
          }
        )
        yield* until(Effect.sync(() => begun === 2))
        const first = yield* start(processor.drain)
        const second = yield* start(processor.drain)
        yield* until(Effect.map(emulator.counters(Texts), ({ released }) => released === 3))
        assert.isUndefined(first.pollUnsafe())
        assert.isUndefined(second.pollUnsafe())
        // Giving up waiting does not stop the drain for the others.
        yield* Fiber.interrupt(first)
        yield* gate.open
        const counts = yield* Fiber.join(second)
        assert.deepInclude(counts, { received: 5, completed: 2, released: 3, lockLost: 0, unsettled: 0 })
        assert.deepStrictEqual(yield* processor.drain, counts)
        assert.strictEqual(begun, 2)
        // The receiver is free again.
        assert.lengthOf(yield* receiver.receive({ max: 20 }), 8)
      }))

    test("handlers that go on beyond drainTimeout are interrupted, and their messages released", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const interrupted = yield* Deferred.make<void>()
        const processor = yield* ServiceBusProcessor.make(receiver, () =>
          started.open.pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          ), { drainTimeout: name === "in memory" ? "10 seconds" : "20 millis" })
        yield* started.await
        const fiber = yield* start(processor.drain)
        if (name === "in memory") {
          yield* emulator.idle
          yield* TestClock.adjust("9 seconds")
          assert.isUndefined(fiber.pollUnsafe())
          yield* TestClock.adjust("1 second")
        }
        const counts = yield* Fiber.join(fiber)
        yield* Deferred.await(interrupted)
        assert.strictEqual(counts.released, counts.received)
        yield* until(Effect.map(emulator.counters(Texts), ({ released }) => released === counts.received))
      }))

    test("closing the scope drains", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const scope = yield* Scope.make()
        const gate = yield* Latch.make()
        let begun = 0
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () => Effect.sync(() => begun++).pipe(Effect.andThen(gate.await), Effect.asVoid),
          { concurrency: 2 }
        ).pipe(
          Scope.provide(scope)
        )
        yield* until(Effect.sync(() => begun === 2))
        // A drain that was begun and left: the scope waits for it all the same.
        yield* Effect.flatMap(start(processor.drain), Fiber.interrupt)
        const closing = yield* start(Scope.close(scope, Exit.void))
        yield* emulator.idle
        assert.isUndefined(closing.pollUnsafe())
        yield* gate.open
        yield* Fiber.join(closing)
        assert.deepInclude(yield* processor.counts, { received: 2, completed: 2 })
      }))

    test("interrupting process drains", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(20))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const gate = yield* Latch.make()
        let begun = 0
        let ended = 0
        const fiber = yield* start(ServiceBusProcessor.process(receiver, () =>
          Effect.sync(() => begun++).pipe(
            Effect.andThen(gate.await),
            Effect.andThen(Effect.sync(() => void ended++))
          ), { concurrency: 4 }))
        yield* until(Effect.sync(() => begun === 4))
        const interrupting = yield* start(Fiber.interrupt(fiber))
        yield* emulator.idle
        assert.strictEqual(ended, 0)
        yield* gate.open
        yield* Fiber.join(interrupting)
        assert.strictEqual(ended, 4)
        const { completed, delivered, released } = yield* emulator.counters(Texts)
        assert.strictEqual(completed, 4)
        assert.strictEqual(released, delivered - 4)
      }))

    test("pause takes nothing new, resume goes on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const gate = yield* Latch.make()
        let begun = 0
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () => Effect.sync(() => begun++).pipe(Effect.andThen(gate.await), Effect.asVoid),
          { concurrency: 2 }
        )
        yield* until(Effect.sync(() => begun === 2))
        yield* reached(processor, ({ received }) => received === 4)
        yield* processor.pause
        yield* processor.pause
        assert.deepInclude(yield* processor.counts, { received: 4, released: 2 })
        yield* gate.open
        yield* reached(processor, ({ completed }) => completed === 2)
        yield* emulator.idle
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 4)
        yield* processor.resume
        yield* processor.resume
        yield* reached(processor, ({ completed }) => completed === 10)
        assert.strictEqual((yield* processor.drain).received, 12)
      }))

    test("resume in the middle of a pause goes on all the same", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        const pausing = yield* start(processor.pause)
        yield* processor.resume
        yield* Fiber.join(pausing)
        yield* emulator.send(Texts, texts(5))
        yield* reached(processor, ({ completed }) => completed === 5)
      }))

    test("a processor that is paused can be drained, and one that is drained stays so", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* processor.pause
        const counts = yield* processor.drain
        yield* processor.resume
        yield* emulator.send(Texts, texts(1))
        yield* emulator.idle
        assert.strictEqual((yield* emulator.counters(Texts)).delivered, 0)
        assert.strictEqual(counts.received, 0)
      }))

    test("setConcurrency counts from now on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(20))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const gate = yield* Latch.make()
        let running = 0
        let most = 0
        const processor = yield* ServiceBusProcessor.make(receiver, () =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            yield* gate.await
            running--
          }))
        yield* until(Effect.sync(() => running === 1))
        yield* processor.setConcurrency(6)
        yield* until(Effect.sync(() => running === 6))
        yield* processor.setConcurrency(2)
        yield* gate.open
        yield* reached(processor, ({ completed }) => completed === 20)
        assert.strictEqual(most, 6)
        for (const concurrency of [0, -1, NaN, Infinity, 5001]) {
          yield* processor.setConcurrency(concurrency).pipe(failsWith("InvalidOptionError"))
        }
      }))

    test("two processors on receivers of their own share the messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen: Array<string> = []
        const processors = yield* Effect.forEach([1, 2], () =>
          Effect.flatMap(ServiceBusReceiver.make(Texts), (receiver) =>
            ServiceBusProcessor.make(receiver, (_, { messageId }) =>
              Effect.sync(() => void seen.push(messageId)), {
              concurrency: 5
            })))
        yield* emulator.send(Texts, texts(200))
        yield* until(Effect.map(emulator.messages(Texts), (messages) =>
          messages.length === 0))
        assert.lengthOf(new Set(seen), 200)
        const counts = yield* Effect.forEach(processors, (processor) => processor.drain)
        assert.strictEqual(counts[0]!.completed + counts[1]!.completed, 200)
      }))

    test("options out of range are refused", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const bad: ReadonlyArray<readonly [keyof ServiceBusProcessor.Options, unknown]> = [
          ...[0, -1, 0.5, NaN, Infinity, 5001, "1"].map((value) => ["concurrency", value] as const),
          ...[-1, 0.5, NaN, Infinity, 5001].map((value) => ["prefetch", value] as const),
          ...[-1, NaN, -Infinity, "soon"].map((value) => ["maxLockRenewal", value] as const),
          ...[-1, NaN, -Infinity, "soon"].map((value) => ["drainTimeout", value] as const)
        ]
        for (const [option, value] of bad) {
          const error = yield* ServiceBusProcessor.make(receiver, () => Effect.void, { [option]: value }).pipe(
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, option)
          yield* ServiceBusProcessor.process(receiver, () => Effect.void, { [option]: value }).pipe(
            // Also for the short form, whose type does not speak of it apart from its errors.
            failsWith("InvalidOptionError")
          )
        }
      }))

    clock("a lock that is lost interrupts its handler and is counted", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Deferred.make<void>()
        const interrupted = yield* Deferred.make<void>()
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, message) =>
            message.deliveryCount > 0 ? Effect.void : Deferred.succeed(started, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
            ),
          { maxLockRenewal: 0 }
        )
        yield* Deferred.await(started)
        yield* TestClock.adjust("31 seconds")
        yield* Deferred.await(interrupted)
        yield* reached(processor, ({ completed }) => completed === 1)
        assert.deepInclude(yield* processor.counts, { received: 2, lockLost: 1, completed: 1, renewals: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 0)
      }), { texts: { lockDuration: "30 seconds" } })

    clock("when maxLockRenewal is over the handler goes on until its lock ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Deferred.make<void>()
        let interrupted = false
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, message) =>
            message.deliveryCount > 0 ? Effect.void : Deferred.succeed(started, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Effect.sync(() => interrupted = true))
            ),
          { maxLockRenewal: "1 minute" }
        )
        yield* Deferred.await(started)
        yield* TestClock.adjust("89 seconds")
        assert.isFalse(interrupted)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(interrupted)
        yield* reached(processor, ({ completed }) => completed === 1)
        assert.deepInclude(yield* processor.counts, { received: 2, lockLost: 1, completed: 1, released: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 1)
      }), { texts: { lockDuration: "30 seconds" } })

    clock("the locks of messages that wait are kept", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(5))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.sleep("1 minute"), { prefetch: 4 })
        yield* reached(processor, ({ received }) => received === 5)
        yield* emulator.idle
        yield* TestClock.adjust("5 minutes")
        yield* emulator.idle
        assert.deepInclude(yield* processor.counts, { received: 5, completed: 5, lockLost: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), { texts: { lockDuration: "30 seconds" } })

    test("with a prefetch window, the first receive after a processor gets what there is", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 10 })
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* processor.drain
        yield* emulator.send(Texts, texts(3))
        const messages = yield* receiver.receive({ max: 3, maxWait: "5 seconds", maxWaitAfterFirst: "5 seconds" })
        assert.lengthOf(messages, 3)
      }))

    test("a processor drained while its link is attached again keeps nothing of the receiver", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        for (const turns of [2, 5, 10, 15]) {
          const link = linkOf(receiver)
          yield* emulator.dropConnections
          yield* until(Effect.sync(() => link.dead() !== undefined))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* processor.drain
          yield* emulator.send(Texts, texts(3))
          const messages = yield* receiver.receive({ max: 3, maxWait: "5 seconds", maxWaitAfterFirst: "5 seconds" })
          assert.lengthOf(messages, 3)
          yield* receiver.completeAll(messages)
        }
      })))

    for (const [how, ending] of [["dies", Effect.die("a bug")], ["ends as interrupted", Effect.interrupt]] as const) {
      test(`what runs for it ${how}: it has stopped, and says so`, () =>
        Effect.gen(function*() {
          const lines = yield* Lines
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const state = Object.create(ReceiverState.stateOf(receiver), { attached: { value: ending } })
          const processor = yield* MessageProcessor.start({
            state,
            settings: yield* ProcessorOptions.check("texts", {}),
            handler: () => Effect.void,
            onFailure: undefined
          })
          const stopped = yield* processor.stopped
          assert.isTrue(Exit.isFailure(stopped) && Cause.hasDies(stopped.cause) && !Cause.hasInterrupts(stopped.cause))
          assert.deepStrictEqual(linesOf(lines), ["Error: A processor has stopped: it takes no more messages"])
        }))
    }
  })

describe("Processing", () => both(suite))
