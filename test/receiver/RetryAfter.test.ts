/** `Settlement.retryAfter` sends a copy for later and completes the message. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as AmqpValue from "../../src/AmqpValue.ts"
import {
  both,
  failsWith,
  type LayerFor,
  type Name,
  once,
  passing,
  start,
  testsOf,
  TextBytes,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Archive = ServiceBusEntity.subscription(News, "archive")
const Odd = ServiceBusEntity.queue("texts", { body: ServiceBusBody.sections })

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)
    /** Long enough to be seen, where time is virtual or real. */
    const delay: Duration.Input = name === "in memory" ? "1 minute" : "2 seconds"

    const locked = Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      return { emulator, receiver, message: message! }
    })

    test("schedules a copy and completes the original; the copy knows what it is", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        assert.strictEqual(message.retryAttempt, 0)
        assert.deepStrictEqual(message.firstEnqueuedTime, message.enqueuedTime)
        yield* receiver.settle(message, Settlement.retryAfter(delay))
        const [waiting, ...others] = yield* emulator.messages(Texts)
        assert.lengthOf(others, 0)
        assert.deepInclude(waiting!, { body: "body 0", state: "scheduled", retryAttempt: 1, deliveryCount: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
        yield* receiver.settle(message, Settlement.complete).pipe(failsWith("MessageAlreadySettled"))

        const [again] = yield* passing(receiver.receive({ maxWait: "10 minutes" }))
        assert.deepInclude(again!, { body: "body 0", retryAttempt: 1, deliveryCount: 0 })
        assert.deepStrictEqual(again!.firstEnqueuedTime, message.enqueuedTime)
        const waited = DateTime.toEpochMillis(again!.enqueuedTime) - DateTime.toEpochMillis(message.enqueuedTime)
        assert.isAtLeast(waited, Duration.toMillis(Duration.fromInputUnsafe(delay)))

        // A copy of a copy is a copy of the first.
        yield* receiver.settle(again!, Settlement.retryAfter(0))
        const [third] = yield* passing(receiver.receive({ maxWait: "10 minutes" }))
        assert.deepInclude(third!, { body: "body 0", retryAttempt: 2 })
        assert.deepStrictEqual(third!.firstEnqueuedTime, message.enqueuedTime)
        assert.deepInclude(third!.applicationProperties, {
          "retry-attempt": 2,
          "retry-original-message-id": "0"
        })
        assert.strictEqual(new Set([message.messageId, again!.messageId, third!.messageId]).size, 3)
        yield* receiver.complete(third!)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("a copy whose properties would be over the quota is refused, and the original stays", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const text = "x".repeat(21_780)
        yield* sender.send({ body: "full", messageId: "m", applicationProperties: { a: text, b: text, c: text } })
        const [message] = yield* receiver.receive()
        const error = yield* receiver.settle(message!, Settlement.retryAfter("1 second")).pipe(
          failsWith("MessageEncodeError")
        )
        assert.strictEqual(error.part, "properties")
        yield* receiver.complete(message!)
      }))

    test("the copy keeps everything, byte by byte", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const creationTime = DateTime.makeUnsafe(1_700_000_000_123)
        const sent = {
          messageId: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff"),
          correlationId: 18446744073709551615n,
          replyTo: "answers",
          to: "somebody",
          subject: "häppy",
          contentType: "application/x-odd",
          contentEncoding: "gzip",
          userId: new Uint8Array([0, 255]),
          partitionKey: "p",
          priority: 7,
          durable: true,
          timeToLive: "1 hour",
          groupSequence: 9,
          creationTime,
          replyToSessionId: "r",
          applicationProperties: {
            byte: AmqpValue.typed("byte", -1),
            ubyte: AmqpValue.typed("ubyte", 1),
            short: AmqpValue.typed("short", 1),
            float: AmqpValue.typed("float", 0.5),
            double: AmqpValue.typed("double", 1),
            long: 9007199254740993n,
            ulong: AmqpValue.typed("ulong", 1n),
            char: AmqpValue.typed("char", "é"),
            symbol: AmqpValue.symbol("s"),
            uuid: AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff"),
            at: creationTime,
            binary: new Uint8Array([1, 2]),
            flag: false
          },
          messageAnnotations: { "x-mine": AmqpValue.typed("short", 3) },
          footer: { checksum: AmqpValue.typed("uint", 5) }
        } as const
        yield* emulator.send(Odd, [
          {
            ...sent,
            body: { kind: "data", data: [new Uint8Array([1, 2, 3]), new Uint8Array([]), new Uint8Array([4])] }
          },
          { ...sent, body: { kind: "value", value: [AmqpValue.typed("ubyte", 1), "x", { a: 1n }] } },
          { ...sent, body: { kind: "sequence", sequences: [[1, "a"], [AmqpValue.symbol("b")]] } },
          { body: { kind: "empty" } }
        ])
        const receiver = yield* ServiceBusReceiver.make(Odd)
        const originals = yield* receiver.receive({ max: 4 })
        yield* Effect.forEach(originals, (message) => receiver.settle(message, Settlement.retryAfter(0)))
        const copies = yield* passing(
          receiver.receive({ max: 4, maxWait: "10 minutes", maxWaitAfterFirst: "1 second" })
        )
        assert.lengthOf(copies, 4)
        for (const [i, original] of originals.entries()) {
          const copy = copies[i]!
          const of = (message: typeof copy) => ({
            body: message.body,
            amqpCorrelationId: message.amqpCorrelationId,
            replyTo: message.replyTo,
            to: message.to,
            subject: message.subject,
            contentType: message.contentType,
            contentEncoding: message.contentEncoding,
            userId: message.userId,
            partitionKey: message.partitionKey,
            priority: message.priority,
            durable: message.durable,
            timeToLive: message.timeToLive,
            groupSequence: message.groupSequence,
            creationTime: message.creationTime,
            replyToSessionId: message.replyToSessionId,
            mine: message.messageAnnotations["x-mine"],
            footer: message.footer
          })
          assert.deepStrictEqual(of(copy), of(original))
          const {
            "retry-attempt": attempt,
            "retry-first-enqueued": first,
            "retry-original-message-id": id,
            ...properties
          } = copy.applicationProperties
          assert.deepStrictEqual(properties, original.applicationProperties)
          assert.strictEqual(attempt, 1)
          assert.deepStrictEqual(first, original.enqueuedTime)
          assert.deepStrictEqual(id, i === 3 ? original.messageId : sent.messageId)
          assert.notStrictEqual(copy.sequenceNumber, original.sequenceNumber)
        }
      }))

    test("a schedule gives the delays by attempt; when it is done the message is dead-lettered", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const first = name === "in memory" ? 10_000 : 20
        const schedule = Schedule.exponential(first).pipe(Schedule.upTo({ times: 3 }))
        const times: Array<number> = []
        for (let attempt = 0; attempt < 4; attempt++) {
          const [message] = yield* passing(receiver.receive({ maxWait: "10 minutes" }), 1000)
          assert.strictEqual(message!.retryAttempt, attempt)
          times.push(DateTime.toEpochMillis(message!.enqueuedTime))
          yield* receiver.settle(message!, Settlement.retryAfter(schedule))
        }
        for (let i = 1; i < 4; i++) {
          const waited = times[i]! - times[i - 1]!
          assert.isAtLeast(waited, first * 2 ** (i - 1))
          if (name === "in memory") assert.isAtMost(waited, first * 2 ** (i - 1) + 2000)
        }
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.strictEqual(letter!.deadLetterReason, "RetriesExhausted")
        assert.match(letter!.deadLetterErrorDescription!, /tried 4 times/)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    for (const window of [undefined, "10 minutes"] as const) {
      test(
        `a crash between the steps loses nothing${
          window === undefined ? "" : ", and doubles nothing where duplicates are detected"
        }`,
        () =>
          Effect.gen(function*() {
            const { emulator, message, receiver } = yield* locked
            yield* emulator.fail({ operation: "settle", error: { condition: "amqp:internal-error" } })
            const error = yield* receiver.settle(message, Settlement.retryAfter("1 hour")).pipe(
              Effect.flip
            )
            assert.strictEqual(error.operation, "settle")
            assert.deepStrictEqual(
              (yield* emulator.messages(Texts)).map(({ retryAttempt, state }) => [retryAttempt, state]),
              [[0, "active"], [1, "scheduled"]]
            )
            // The lock ends, the message comes again, and so does its settlement.
            const [again] = yield* passing(receiver.receive({ maxWait: "10 minutes" }))
            assert.strictEqual(again!.deliveryCount, 1)
            assert.strictEqual(again!.retryAttempt, 0)
            yield* receiver.settle(again!, Settlement.retryAfter("1 hour"))
            const waiting = yield* emulator.messages(Texts)
            assert.lengthOf(waiting, window === undefined ? 2 : 1)
            for (const copy of waiting) {
              assert.deepInclude(copy, { body: "body 0", state: "scheduled", retryAttempt: 1 })
            }
            assert.strictEqual(new Set(waiting.map(({ messageId }) => messageId)).size, 1)
            const { completed, duplicates } = yield* emulator.counters(Texts)
            assert.deepStrictEqual([completed, duplicates], [1, window === undefined ? 0 : 1])
          }),
        { ...once, texts: { lockDuration: "1 second", duplicateDetectionWindow: window } }
      )
    }

    clock("an id that is used again after the window is no duplicate of the other message's copy", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const retry = Effect.gen(function*() {
          yield* sender.send({ body: "x", messageId: "m" })
          const [message] = yield* receiver.receive()
          yield* TestClock.adjust("9 seconds")
          yield* receiver.settle(message!, Settlement.retryAfter("1 hour"))
        })
        yield* retry
        yield* TestClock.adjust("2 seconds")
        yield* retry
        assert.lengthOf(yield* emulator.messages(Texts), 2)
        assert.strictEqual((yield* emulator.counters(Texts)).duplicates, 0)
      }), { texts: { duplicateDetectionWindow: "10 seconds" } })

    test("where the copy cannot be sent the original is not settled", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" } })
        yield* receiver.settle(message, Settlement.retryAfter("1 minute")).pipe(
          failsWith("ServiceBusQuotaExceededError")
        )
        assert.lengthOf(yield* emulator.messages(Texts), 1)
        yield* receiver.settle(message, Settlement.retryAfter("1 minute"))
        const [copy, ...others] = yield* emulator.messages(Texts)
        assert.lengthOf(others, 0)
        assert.strictEqual(copy!.retryAttempt, 1)
      }), once)

    test("a sending link that could not be attached is attached by the next retry", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* emulator.fail({ operation: "attach", error: { condition: "amqp:unauthorized-access" } })
        yield* receiver.settle(message, Settlement.retryAfter("1 minute")).pipe(
          failsWith("ServiceBusAuthorizationError")
        )
        yield* receiver.settle(message, Settlement.retryAfter("1 minute"))
        assert.strictEqual((yield* emulator.messages(Texts))[0]!.state, "scheduled")
      }), once)

    test("sending is tried again as sends are", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:internal-error" }, times: 2 })
        yield* passing(receiver.settle(message, Settlement.retryAfter("1 hour")))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
      }), { client: { retry: { delay: 1 } } })

    test("a message that is being retried is as good as settled", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        const first = yield* start(receiver.settle(message, Settlement.retryAfter("1 hour")))
        yield* receiver.settle(message, Settlement.retryAfter("1 hour")).pipe(failsWith("MessageAlreadySettled"))
        yield* receiver.complete(message).pipe(failsWith("MessageAlreadySettled"))
        yield* until(Effect.sync(() =>
          first.pollUnsafe() !== undefined
        ))
        assert.isTrue(Exit.isSuccess(first.pollUnsafe()!))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    test("a copy that is too large fails and settles nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(TextBytes, [{ body: new Uint8Array(1900) }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const error = yield* receiver.settle(message!, Settlement.retryAfter(0)).pipe(
          failsWith("MessageSizeExceededError")
        )
        assert.strictEqual(error.limit, 2000)
        yield* receiver.complete(message!)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }), { texts: { maxMessageSize: 2000 } })

    test("delays that are not finite are refused", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        for (const settlement of [Duration.infinity, Schedule.spaced(Duration.infinity)].map(Settlement.retryAfter)) {
          const error = yield* receiver.settle(message, settlement).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "delay")
        }
        yield* receiver.complete(message)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("a sub-queue has nowhere to send to, and its message stays as it is", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked
        yield* receiver.deadLetter(message)
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
        const [letter] = yield* dead.receive()
        const error = yield* dead.settle(letter!, Settlement.retryAfter(0)).pipe(failsWith("NotSupportedError"))
        assert.include(error.message, "sub-queue")
        yield* dead.complete(letter!)
      }))

    const withNews = (
      title: string,
      effect: () => Effect.Effect<void, unknown, Effect.Services<typeof locked>>
    ) =>
      (name === "in memory" ? it.effect : it.live)(title, () =>
        Effect.suspend(effect).pipe(
          Effect.scoped,
          Effect.provide(Logger.layer([])),
          Effect.provide(
            layerFor({ entities: [Emulator.entity(News), Emulator.entity(Archive, { maxDeliveryCount: 3 })] })
          )
        ))

    withNews("a subscription has nowhere to send to, also under a plain name", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(News, texts(1))
        const receiver = yield* ServiceBusReceiver.make("news/Subscriptions/archive")
        const [message] = yield* receiver.receive()
        yield* receiver.settle(message!, Settlement.retryAfter(0)).pipe(failsWith("NotSupportedError"))
        yield* receiver.complete(message!)
      }))

    withNews("on a subscription a processor dead-letters the messages, and says why", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(News, texts(20))
        const receiver = yield* ServiceBusReceiver.make(Archive)
        let handled = 0
        const processor = yield* ServiceBusProcessor.make(receiver, () => {
          handled++
          return Effect.succeed(Settlement.retryAfter("1 minute"))
        }, { concurrency: 4 })
        yield* until(Effect.map(emulator.counters(Archive), ({ deadLettered }) =>
          deadLettered === 20))
        const report = yield* processor.drain
        assert.strictEqual(handled, 20)
        assert.deepInclude(report, { received: 20, deadLettered: 20, failed: 20, retried: 0, unsettled: 0 })
        const [letter] = yield* emulator.deadLetters(Archive)
        assert.strictEqual(letter!.deadLetterReason, "NotSupportedError")
        assert.include(letter!.deadLetterErrorDescription, "Settlement.retryAfter sends a copy")
      }))

    test("a processor retries what its handler or onFailure says, and counts it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(4))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const schedule = Schedule.spaced(name === "in memory" ? "10 seconds" : 10).pipe(Schedule.upTo({ times: 2 }))
        const processor = yield* ServiceBusProcessor.make(receiver, (_, message) => {
          if (message.applicationProperties["retry-original-message-id"] === "0" || message.messageId === "0") {
            return Effect.fail("never")
          }
          return Effect.succeed(message.retryAttempt === 0 ? Settlement.retryAfter("10 millis") : undefined)
        }, { concurrency: 2, onFailure: () => Settlement.retryAfter(schedule) })
        yield* passing(until(Effect.map(processor.counts, (counts) => counts.completed + counts.deadLettered === 4)))
        const report = yield* processor.drain
        assert.deepInclude(report, {
          received: 9,
          retried: 5,
          completed: 3,
          deadLettered: 1,
          failed: 3,
          settled: 9,
          released: 0,
          expired: 0
        })
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.strictEqual(letter!.deadLetterReason, "RetriesExhausted")
      }))

    test("where its copy cannot be sent a processor gives the message back, and it is tried again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" }, times: 2 })
        const processor = yield* ServiceBusProcessor.make(receiver, (_, { retryAttempt }) =>
          Effect.succeed(retryAttempt === 0 ? Settlement.retryAfter(0) : undefined))
        yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
          completed === 1)))
        assert.deepInclude(yield* processor.drain, {
          received: 4,
          released: 2,
          retried: 1,
          completed: 1,
          unsettled: 0
        })
        // Its handler had it: it comes again as a failed delivery, and not without end.
        assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 2)
      }), once)

    clock("the lock is kept while its copy is on the way", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        // The service throttles for longer than a lock lasts.
        yield* emulator.fail({
          operation: "send",
          error: {
            condition: "com.microsoft:server-busy",
            description: "The request was terminated because the entity is being throttled. Please wait 100 seconds."
          }
        })
        const processor = yield* ServiceBusProcessor.make(receiver, (_, { retryAttempt }) =>
          Effect.succeed(retryAttempt === 0 ? Settlement.retryAfter("1 hour") : undefined))
        yield* passing(
          until(Effect.map(processor.counts, ({ retried }) =>
            retried === 1)),
          "1 second"
        )
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
        assert.deepInclude(yield* passing(processor.drain), { received: 1, retried: 1 })
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }), { texts: { lockDuration: "5 seconds" } })

    test("settleEach retries as well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const attempts = yield* passing(receiver.messages.pipe(
          ServiceBusReceiver.settleEach((_, message) =>
            Effect.succeed(message.retryAttempt < 1 ? Settlement.retryAfter(delay) : Settlement.complete)
          ),
          Stream.take(4),
          Stream.runCollect
        ))
        assert.deepStrictEqual(
          attempts.map(({ _tag }) =>
            _tag
          ),
          ["RetryAfter", "RetryAfter", "Complete", "Complete"]
        )
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("the sending link ends with the receiver's scope", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        yield* Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [message] = yield* receiver.receive()
          yield* receiver.settle(message!, Settlement.retryAfter("1 hour"))
          assert.strictEqual(yield* emulator.connections, 1)
        }))
        yield* until(Effect.map(emulator.connections, (connections) =>
          connections === 0))
      }))

    test("a message whose link is lost is retried as well", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* emulator.dropConnections
        yield* passing(receiver.settle(message, Settlement.retryAfter("1 hour")))
        const [copy, ...others] = yield* emulator.messages(Texts)
        assert.lengthOf(others, 0)
        assert.deepInclude(copy!, { state: "scheduled", retryAttempt: 1 })
        // And with a sending link that was lost.
        yield* emulator.send(Texts, texts(1, 1))
        const [next] = yield* passing(receiver.receive())
        yield* emulator.dropConnections
        yield* passing(receiver.settle(next!, Settlement.retryAfter("1 hour")))
        assert.deepStrictEqual(
          (yield* emulator.messages(Texts)).map(({ body }) =>
            body
          ),
          ["body 0", "body 1"]
        )
      }))

    test("a deferred message is retried as an active one", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked
        yield* receiver.defer(message, { properties: { why: "later" } })
        const [deferred] = yield* receiver.receiveDeferred([message.sequenceNumber])
        yield* receiver.settle(deferred!, Settlement.retryAfter(0))
        const [again] = yield* passing(receiver.receive())
        assert.deepInclude(again!, { body: "body 0", state: "active", retryAttempt: 1 })
        assert.strictEqual(again!.applicationProperties["why"], "later")
        yield* receiver.complete(again!)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
      }))

    test("what others write under the names of a retry counts for nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const odd = ["3", -1, 0.5, 2 ** 40, true, new Uint8Array([1]), AmqpValue.symbol("2")]
        yield* emulator.send(
          Texts,
          odd.map((value, i) => ({
            body: "x",
            messageId: String(i),
            applicationProperties: {
              "retry-attempt": value,
              "retry-first-enqueued": "yesterday",
              "retry-original-message-id": false
            }
          }))
        )
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: odd.length })
        for (const message of messages) {
          assert.strictEqual(message.retryAttempt, 0)
          assert.deepStrictEqual(message.firstEnqueuedTime, message.enqueuedTime)
          yield* receiver.settle(message, Settlement.retryAfter("1 hour"))
        }
        const copies = yield* emulator.messages(Texts)
        assert.deepStrictEqual(copies.map(({ retryAttempt }) => retryAttempt), odd.map(() => 1))
        assert.deepStrictEqual(
          copies.map((copy) => copy.applicationProperties["retry-original-message-id"]),
          odd.map((_, i) => String(i))
        )
      }))

    test("ids that are long are made short, and stay apart", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const ids = ["a".repeat(128), "a".repeat(127), "b".repeat(128)]
        yield* emulator.send(Texts, ids.map((messageId) => ({ body: messageId, messageId })))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const message of yield* receiver.receive({ max: 3 })) {
          yield* receiver.settle(message, Settlement.retryAfter("1 hour"))
        }
        const copies = yield* emulator.messages(Texts)
        assert.strictEqual(new Set(copies.map(({ messageId }) => messageId)).size, 3)
        for (const copy of copies) {
          assert.isAtMost(copy.messageId.length, 128)
          assert.strictEqual(copy.applicationProperties["retry-original-message-id"], copy.body)
        }
      }))

    test("a copy keeps session and partition key", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "a", sessionId: "s", partitionKey: "s" }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.settle(message!, Settlement.retryAfter("1 hour"))
        assert.deepInclude((yield* emulator.messages(Texts))[0]!, { sessionId: "s", partitionKey: "s" })
      }))

    test("a message whose copy is being sent is not handed over", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const settling = yield* start(receiver.settle(message!, Settlement.retryAfter("1 hour")))
        yield* receiver.handOver(message!).pipe(failsWith("MessageAlreadySettled"))
        yield* Fiber.join(settling)
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    test("a delay of a fraction of a millisecond, and one that no timestamp has", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* receiver.settle(message!, Settlement.retryAfter(Duration.days(1e200))).pipe(
          failsWith("InvalidOptionError")
        )
        yield* receiver.settle(message!, Settlement.retryAfter(NaN)).pipe(failsWith("InvalidOptionError"))
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.schedule({ body: "" }, Duration.days(1e200)).pipe(failsWith("InvalidOptionError"))
        yield* receiver.settle(message!, Settlement.retryAfter(3_600_000.5))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
      }))
  })

describe("Settlement.retryAfter", () => both(suite))
