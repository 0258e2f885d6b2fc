/** What is heard of handlers that fail and of settlements that cannot be made: one line for each, and one event. */
import {
  ServiceBusClient,
  ServiceBusEvent,
  ServiceBusProcessor,
  ServiceBusReceiver,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Lines, listen, only, texts as linesOf } from "../support/eventRecorder.ts"
import { both, type LayerFor, type Name, passing, reached, testsOf, Texts, texts, until } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("a handler that fails: one warning for its message, however often it comes, with its cause", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const { fullyQualifiedNamespace: namespace } = yield* ServiceBusClient.ServiceBusClient
        const receiver = yield* ServiceBusReceiver.make(Texts, { identifier: "billing" })
        yield* ServiceBusProcessor.make(receiver, () =>
          Effect.fail("no card"))
        yield* emulator.send(Texts, texts(1))
        yield* passing(until(Effect.map(emulator.deadLetters(Texts), ({ length }) => length === 1)))
        yield* until(Effect.sync(() => only(events, "ProcessorError").length === 2))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A handler failed; its message is abandoned, and comes again unless this was its last delivery" +
          "; further failures of it are logged at Debug"
        ])
        assert.deepStrictEqual(lines.map(({ annotations, error }) => [error, annotations]), [
          ["no card", {
            namespace,
            identifier: "billing",
            entity: "texts",
            source: "handler",
            messageId: "0",
            sequenceNumber: "1",
            deliveryCount: 0
          }]
        ])
        const [first, second] = only(events, "ProcessorError")
        assert.isUndefined(first!.isRepeated)
        assert.deepInclude(second!, {
          isRepeated: true,
          deliveryCount: 1,
          message: "A handler failed; its message is abandoned, and comes again unless this was its last delivery"
        })
        assert.strictEqual(ServiceBusEvent.defaultLogLevel(second!), "Debug")
        assert.deepInclude(first!, {
          namespace,
          identifier: "billing",
          entity: "texts",
          source: "handler",
          messageId: "0",
          sequenceNumber: 1n,
          deliveryCount: 0
        })
        assert.deepStrictEqual(first!.cause.reasons.map((reason) => Cause.isFailReason(reason) && reason.error), [
          "no card"
        ])
        assert.notInclude(JSON.stringify(lines), "body 0")
      }), { texts: { maxDeliveryCount: 2 } })

    test("says what becomes of the message", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const settlements: Record<string, Settlement.Settlement> = {
          0: Settlement.complete,
          1: Settlement.defer(),
          2: Settlement.deadLetter({ reason: "No" }),
          3: Settlement.retryAfter("1 hour")
        }
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, { messageId }) =>
            messageId === "0" ? Effect.interrupt : Effect.die(new Error("a bug")),
          {
            onFailure: (_, { messageId }) =>
              settlements[messageId]!
          }
        )
        yield* emulator.send(Texts, texts(4))
        yield* passing(
          reached(processor, ({ completed, deadLettered, deferred, retried }) =>
            completed + deadLettered + deferred + retried === 4)
        )
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A handler interrupted itself; its message is completed",
          "Warn: A handler failed; its message is deferred",
          "Warn: A handler failed; its message is dead-lettered",
          "Warn: A handler failed; its message is tried again later"
        ])
        assert.deepInclude(lines[1]!.error as object, { message: "a bug" })
      }))

    test("what a drain interrupts: one line, which names drainTimeout", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(Texts, texts(1))
        yield* passing(Effect.scoped(Effect.gen(function*() {
          const begun = yield* Latch.make()
          const layer = ServiceBusProcessor.layer(Texts, () => Effect.andThen(begun.open, Effect.never), {
            drainTimeout: "100 millis"
          })
          yield* Layer.build(layer)
          yield* begun.await
        })))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A processor drained, and interrupted a handler after drainTimeout (100ms); " +
          "what was not settled comes again"
        ])
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    test("an onFailure that gives no settlement: one line for both", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.fail("no card"), {
          onFailure: () => ({ _tag: "junk" }) as never
        })
        yield* emulator.send(Texts, texts(1))
        // Where it is not settled it comes again.
        yield* passing(reached(processor, ({ deadLettered, received }) => deadLettered === 1 || received > 1))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A handler failed, and onFailure gave no settlement for its message; it is dead-lettered"
        ])
        assert.strictEqual(lines[0]!.error, "no card")
      }))

    for (
      const [how, ends, expected] of [
        ["and gives nothing", Effect.void, []],
        ["and gives a settlement", Effect.succeed(Settlement.complete), [
          "Warn: A handler gave a settlement that is not made: it settled its message itself"
        ]],
        ["and fails", Effect.fail("no card"), [
          "Warn: A handler failed; before that it settled its message itself"
        ]]
      ] as const
    ) {
      test(`a handler that settles its message itself ${how}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const lines = yield* Lines
          const receiver = yield* ServiceBusReceiver.make(Texts)
          let asked = 0
          const processor = yield* ServiceBusProcessor.make(
            receiver,
            (_, message) => Effect.andThen(receiver.complete(message), ends as Effect.Effect<void, string>),
            {
              onFailure: () => {
                asked++
                return Settlement.abandon()
              }
            }
          )
          yield* emulator.send(Texts, texts(3))
          yield* passing(reached(processor, ({ taken }) => taken === 3))
          assert.deepStrictEqual(linesOf(lines), [...expected, ...expected, ...expected])
          const report = yield* processor.drain
          assert.deepInclude(report, { received: 3, taken: 3, unsettled: 0, completed: 0, settled: 3, expired: 0 })
          assert.strictEqual((yield* emulator.counters(Texts)).completed, 3)
          assert.strictEqual(asked, 0)
        }))
    }

    test("a handler of a batch that settles some itself: one line, and the others are settled as it says", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(4))
        const processor = yield* ServiceBusProcessor.makeBatched(
          receiver,
          (messages) => Effect.andThen(receiver.completeAll(messages.slice(1, 3)), Effect.fail("no card")),
          { size: 4, within: "1 second", onFailure: () => Settlement.deadLetter() }
        )
        yield* passing(reached(processor, ({ deadLettered, taken }) => deadLettered === 2 && taken === 2))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A handler failed; before that it settled 2 of its 4 messages itself",
          "Warn: A handler failed; its message is dead-lettered",
          "Warn: A handler failed; its message is dead-lettered"
        ])
      }))

    test("an onFailure that throws: one line for both", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* ServiceBusProcessor.make(receiver, () => Effect.fail("no"), {
          onFailure: () => {
            throw new Error("a bug")
          }
        })
        yield* emulator.send(Texts, texts(1))
        yield* passing(until(Effect.map(emulator.deadLetters(Texts), ({ length }) => length === 1)))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A handler failed; onFailure threw, and the message comes again unless this was its last delivery" +
          "; further failures of it are logged at Debug"
        ])
        yield* until(Effect.sync(() => only(events, "ProcessorError").length === 1))
        assert.lengthOf(only(events, "ProcessorError")[0]!.cause.reasons, 2)
      }), { texts: { maxDeliveryCount: 1 } })

    test("a batch that fails: a line for each of its messages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, () => Effect.fail("no"), {
          size: 3,
          within: "1 second",
          onFailure: () => Settlement.deadLetter()
        })
        yield* passing(reached(processor, ({ deadLettered }) => deadLettered === 3))
        assert.deepStrictEqual(lines.map(({ annotations, level, text }) => [level, text, annotations["messageId"]]), [
          ["Warn", "A handler failed; its message is dead-lettered", "0"],
          ["Warn", "A handler failed; its message is dead-lettered", "1"],
          ["Warn", "A handler failed; its message is dead-lettered", "2"]
        ])
      }))

    test("messages of a batch that come again, one by one or with others: a line for each message", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        yield* emulator.send(Texts, texts(3))
        yield* ServiceBusProcessor.makeBatched(Texts, () =>
          Effect.die(new Error("a bug")), { size: 2 })
        yield* passing(until(Effect.map(emulator.deadLetters(Texts), ({ length }) =>
          length === 3)))
        yield* until(Effect.sync(() => only(events, "ProcessorError").length === 9))
        assert.sameMembers(lines.map(({ annotations }) => annotations["messageId"]), ["0", "1", "2"])
        assert.lengthOf(only(events, "ProcessorError").filter(({ isRepeated }) => isRepeated), 6)
      }), { texts: { maxDeliveryCount: 3 } })

    test("the level of the user's goes before that of what is repeated", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* ServiceBusProcessor.make(Texts, () =>
          Effect.fail("no"), { logLevel: "Error" })
        yield* emulator.send(Texts, texts(1))
        yield* passing(until(Effect.map(emulator.deadLetters(Texts), ({ length }) =>
          length === 1)))
        assert.deepStrictEqual(lines.map(({ level }) => level), ["Error", "Error"])
      }), { texts: { maxDeliveryCount: 2 } })

    test("has the annotations of the program that made the processor, and no line at None", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const run = (logLevel: "None" | "Debug" | "Fatal" | undefined) =>
          Effect.scoped(Effect.gen(function*() {
            yield* emulator.send(Texts, texts(1))
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.fail("no"), {
              onFailure: () => Settlement.complete,
              logLevel
            })
            yield* passing(reached(processor, ({ completed }) => completed === 1))
          }))
        yield* Effect.annotateLogs(run(undefined), "team", "billing")
        assert.deepInclude(lines[0]!.annotations, { team: "billing", messageId: "0" })
        yield* run("None")
        yield* run("Debug")
        assert.lengthOf(lines, 1)
        yield* run("Fatal")
        assert.strictEqual(lines[1]!.level, "Fatal")
      }))

    test("a handler that gives no settlement: its message is dead-lettered, and that is said", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () => Effect.succeed("nonsense" as unknown as Settlement.Settlement)
        )
        // Where it is not settled it comes again.
        yield* passing(reached(processor, ({ deadLettered, received }) => deadLettered === 1 || received > 1))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A message cannot be settled as it was to be; it is dead-lettered"
        ])
        yield* until(Effect.sync(() => only(events, "MessageDeadLettered").length === 1))
        assert.deepInclude(only(events, "MessageDeadLettered")[0]!, {
          reason: "InvalidOptionError",
          messageId: "0",
          sequenceNumber: 1n
        })
      }))

    test("a handler that gives no settlement: onFailure decides, and that is said", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () => Effect.succeed("nonsense" as unknown as Settlement.Settlement),
          { onFailure: () => Settlement.complete }
        )
        yield* passing(reached(processor, ({ completed }) => completed === 1))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A handler gave a settlement that cannot be made; its message is completed"
        ])
      }))

    test("a settlement that is refused, and one whose lock is lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* emulator.fail({ operation: "settle", error: { condition: "amqp:internal-error" }, times: 1 })
        yield* emulator.send(Texts, texts(1))
        yield* passing(reached(processor, ({ unsettled }) => unsettled === 1))
        yield* emulator.fail({
          operation: "settle",
          error: { condition: "com.microsoft:message-lock-lost" },
          times: 1
        })
        yield* emulator.send(Texts, texts(1, 1))
        yield* passing(reached(processor, ({ lockLost }) => lockLost === 1))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A message could not be settled, as far as is known; what is not settled comes again",
          "Warn: The lock of a message was lost before the message was settled; it comes again"
        ])
        assert.deepInclude(lines[0]!.annotations, { source: "settle", messageId: "0" })
        assert.deepInclude(lines[0]!.error as object, { _tag: "ServiceBusError", condition: "amqp:internal-error" })
        yield* until(Effect.sync(() => only(events, "LockLost").length === 1))
        assert.deepInclude(only(events, "LockLost")[0]!, { messageId: "1", entity: "texts" })
        assert.deepInclude(only(events, "ProcessorError")[0]!, { messageId: "0", source: "settle" })
      }))

    clock("a lock that ends while its handler works, and one that waits", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.never, {
          maxLockRenewal: 0,
          drainTimeout: 0
        })
        yield* emulator.send(Texts, texts(2))
        yield* until(Effect.map(processor.counts, ({ received }) => received === 2))
        yield* emulator.idle
        yield* passing(reached(processor, ({ lockLost }) => lockLost >= 2))
        assert.sameMembers(linesOf(lines).slice(0, 2), [
          "Warn: The lock of a message is lost while its handler works; the message comes again",
          "Warn: The lock of a message is lost, which waited for a handler; it comes again"
        ])
        yield* until(Effect.sync(() => only(events, "LockLost").length >= 2))
        assert.include((Cause.squash(only(events, "LockLost")[0]!.cause) as Error).message, "maxLockRenewal")
      }), { texts: { lockDuration: "10 seconds" } })

    clock("a renewal that fails: once, not for each lock and each try", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* ServiceBusProcessor.make(receiver, () => Effect.never, { concurrency: 10, drainTimeout: 0 })
        yield* emulator.send(Texts, texts(10))
        yield* emulator.idle
        yield* emulator.fail({ operation: "renew", error: { condition: "amqp:internal-error" }, times: 12 })
        yield* passing(Effect.sleep("2 minutes"), "1 second")
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: The lock of a message could not be renewed; it is tried again as long as the lock lasts"
        ])
        assert.deepInclude(lines[0]!.annotations, { source: "renew", entity: "texts", messageId: "0" })
      }), { texts: { lockDuration: "30 seconds" } })

    test("a processor that nobody joins says when it stops for good", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* Effect.forkScoped(
          ServiceBusProcessor.process(yield* ServiceBusReceiver.make("orders"), () => Effect.void),
          { startImmediately: true }
        )
        yield* emulator.fail({ operation: "attach", error: { condition: "amqp:unauthorized-access" }, times: 100 })
        yield* emulator.detachLinks({ condition: "amqp:unauthorized-access" })
        yield* passing(until(Effect.sync(() => only(events, "ConsumerStopped").length === 2)))
        const stopped = lines.filter(({ level }) => level === "Error")
        assert.deepStrictEqual(linesOf(stopped), [
          "Error: A processor has stopped: it takes no more messages",
          "Error: A processor has stopped: it takes no more messages"
        ])
        assert.sameMembers(stopped.map(({ annotations }) => annotations["entity"]), ["texts", "orders"])
        for (const { error } of stopped) assert.deepInclude(error as object, { _tag: "ServiceBusAuthorizationError" })
      }))

    test("a stream's handler that fails is for its caller; what cannot be given back is said", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const run = receiver.messages.pipe(
          ServiceBusReceiver.settleEach(() => Effect.fail("no")),
          Stream.runDrain,
          Effect.exit
        )
        yield* emulator.send(Texts, texts(1))
        yield* passing(run)
        assert.deepStrictEqual(lines, [])
        yield* emulator.fail({ operation: "settle", error: { condition: "amqp:internal-error" }, times: 1 })
        yield* passing(run)
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A message could not be given back; it comes again when its lock ends"
        ])
        assert.deepInclude(lines[0]!.annotations, { source: "settle", messageId: "0" })
      }))
  })

describe("What is heard of handlers", () => both(suite))
