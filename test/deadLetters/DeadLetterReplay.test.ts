/** Dead letters sent again: which, where to, once each, and what is left where it fails on the way. */
import {
  AmqpAnnotatedMessage,
  AmqpValue,
  ServiceBusBody,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import { Alpha, Beta, bury, buryAll, DeadTexts, News, numbered, originals } from "../support/deadLetterEntities.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  once,
  OrderBytes,
  Orders,
  OrderTexts,
  passing,
  soon,
  start,
  testsWith,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(Carts, { lockDuration: "30 seconds" }),
      Emulator.entity(News),
      Emulator.entity(Alpha),
      Emulator.entity(Beta)
    ])

    test("replays to the queue itself under new, stable ids; what the letter said is kept", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury([{ body: "x", messageId: "m", subject: "s", correlationId: "c", applicationProperties: { n: 1 } }])
        assert.deepStrictEqual(
          yield* ServiceBusDeadLetters.replay(Texts),
          { replayed: 1, skipped: 0, failed: [] }
        )
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        const [copy] = yield* emulator.messages(Texts)
        assert.match(copy!.messageId, /^m:replay-[0-9a-f]{8}:1$/)
        assert.deepInclude(copy!, { body: "x", subject: "s", correlationId: "c", deliveryCount: 0 })
        assert.deepStrictEqual(copy!.applicationProperties, { n: 1 })
        assert.deepStrictEqual(yield* ServiceBusDeadLetters.replay(Texts), { replayed: 0, skipped: 0, failed: [] })
      }))

    test("filters and maps; ids of the caller's own are kept, the letter's own is not", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(6))
        const report = yield* ServiceBusDeadLetters.replay(Texts, {
          filter: (letter) => Number(letter.messageId) % 2 === 0,
          map: (letter) =>
            ServiceBusMessage.fromReceived(letter, {
              body: letter.body.toUpperCase(),
              ...(letter.messageId === "2" ? { messageId: "mine" } : {})
            })
        })
        assert.deepStrictEqual(report, { replayed: 3, skipped: 3, failed: [] })
        const copies = yield* emulator.messages(Texts)
        assert.deepStrictEqual(copies.map(({ body }) => body), ["BODY 0", "BODY 2", "BODY 4"])
        assert.deepStrictEqual(originals(copies), ["0", "mine", "4"])
        assert.match(copies[0]!.messageId, /^0:replay-/)
        // What stayed is given back.
        const receiver = yield* ServiceBusReceiver.make(DeadTexts)
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 5 })), ["1", "3", "5"])
      }))

    test("a retried message starts anew", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "x", messageId: "m" }])
        yield* Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [message] = yield* receiver.receive()
          yield* receiver.settle(message!, Settlement.retryAfter(0))
        }))
        yield* buryAll(Texts, 1)
        assert.strictEqual((yield* emulator.deadLetters(Texts))[0]!.retryAttempt, 1)
        yield* ServiceBusDeadLetters.replay(Texts)
        const [copy] = yield* emulator.messages(Texts)
        assert.strictEqual(copy!.retryAttempt, 0)
        assert.match(copy!.messageId, /^m:replay-/)
      }))

    test("everything rejected: it ends, and all are given back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(450))
        const report = yield* ServiceBusDeadLetters.replay(Texts, { filter: () => false })
        assert.deepStrictEqual(report, { replayed: 0, skipped: 450, failed: [] })
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        const receiver = yield* ServiceBusReceiver.make(DeadTexts)
        assert.lengthOf(yield* receiver.receive({ max: 450 }), 450)
      }))

    test("max bounds what is replayed, and nothing more is decided", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(10))
        const first = yield* ServiceBusDeadLetters.replay(Texts, { max: 3 })
        assert.deepStrictEqual(first, { replayed: 3, skipped: 0, failed: [] })
        const second = yield* ServiceBusDeadLetters.replay(Texts, {
          max: 2,
          filter: (letter) => letter.messageId !== "4"
        })
        assert.deepStrictEqual(second, { replayed: 2, skipped: 1, failed: [] })
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), ["0", "1", "2", "3", "5"])
        assert.deepStrictEqual(idsOf(yield* emulator.deadLetters(Texts)), ["4", "6", "7", "8", "9"])
      }))

    clock("keeps to the rate, and keeps the locks of what waits", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(200))
        const before = yield* Clock.currentTimeMillis
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts, { rate: 1 }), "250 millis")
        const took = (yield* Clock.currentTimeMillis) - before
        assert.strictEqual(report.replayed, 200)
        // The first leaves at once; a step of the test may come late.
        assert.isAtLeast(took, 199_000)
        assert.isAtMost(took, 200_500)
        const times = (yield* emulator.messages(Texts)).map(({ enqueuedTime }) => DateTime.toEpochMillis(enqueuedTime))
        for (let i = 1; i < times.length; i++) assert.isAtLeast(times[i]! - times[i - 1]!, 750)
        // Waiting for more than three lives of a lock, none came twice.
        const { lockExpired, renewed } = yield* emulator.counters(DeadTexts)
        assert.strictEqual(lockExpired, 0)
        assert.isAbove(renewed, 100)
      }))

    clock("a higher rate goes in steps of a tenth of a second", () =>
      Effect.gen(function*() {
        yield* bury(texts(250))
        const before = yield* Clock.currentTimeMillis
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts, { rate: 50 }), "10 millis")
        const took = (yield* Clock.currentTimeMillis) - before
        assert.strictEqual(report.replayed, 250)
        assert.isAtLeast(took, 4_900)
        assert.isAtMost(took, 5_500)
      }))

    clock("ends although the locks of what it rejected run out, and replays nothing twice", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(150))
        // No renewal succeeds: what is kept comes again and again.
        yield* emulator.fail({
          operation: "renew",
          error: { condition: "com.microsoft:message-lock-lost" },
          times: 1e6
        })
        const seen = new Map<string, number>()
        const report = yield* passing(
          ServiceBusDeadLetters.replay(Texts, {
            rate: 0.1,
            filter: ({ messageId }) => {
              seen.set(messageId, (seen.get(messageId) ?? 0) + 1)
              return Number(messageId) % 10 === 0
            }
          }),
          "1 second"
        )
        assert.deepStrictEqual(report, { replayed: 15, skipped: 135, failed: [] })
        assert.deepStrictEqual(
          originals(yield* emulator.messages(Texts)),
          numbered(15).map((n) => String(Number(n) * 10))
        )
        assert.strictEqual((yield* emulator.deadLetters(Texts)).length, 135)
        assert.isTrue([...seen.values()].every((times) => times === 1))
        assert.isAbove((yield* emulator.counters(DeadTexts)).lockExpired, 100)
      }), { texts: { lockDuration: "20 seconds" } })

    test("does not replay what is dead-lettered meanwhile", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(250))
        // A consumer that dead-letters every copy at once.
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* start(
          Stream.runForEach(receiver.messages, (message) => receiver.deadLetter(message, { reason: "Again" }))
        )
        assert.strictEqual((yield* ServiceBusDeadLetters.replay(Texts)).replayed, 250)
        yield* until(Effect.map(emulator.counters(Texts), ({ deadLettered }) => deadLettered === 500))
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(letters.map(({ deadLetterReason }) => deadLetterReason), letters.map(() => "Again"))
        assert.deepStrictEqual(originals(letters), numbered(250))
      }))

    clock("ends although messages are dead-lettered without end", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(3))
        const other = yield* ServiceBusReceiver.make(DeadTexts)
        const [held] = yield* other.receive()
        // One letter never comes, and there are always others.
        const fiber = yield* start(ServiceBusDeadLetters.replay(Texts))
        yield* until(Effect.map(emulator.counters(DeadTexts), ({ completed }) => completed === 2))
        const flood = yield* start(Effect.forever(Effect.andThen(bury(texts(5, 100)), Effect.sleep("100 millis"))))
        const report = yield* passing(Fiber.join(fiber))
        yield* Fiber.interrupt(flood)
        assert.deepStrictEqual(report, { replayed: 2, skipped: 0, failed: [] })
        yield* other.complete(held!)
        assert.isAbove((yield* emulator.deadLetters(Texts)).length, 100)
      }))

    test("letters of a session queue go back to their sessions, in order", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sent = ["a1", "b1", "a2", "b2", "a3"].map((id) => ({ body: id, sessionId: id[0]!, messageId: id }))
        yield* emulator.send(Carts, sent)
        for (const id of ["b", "a"]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const session = yield* ServiceBusSession.accept(Carts, id)
            for (const message of yield* session.receive({ max: 5 })) yield* session.deadLetter(message)
          }))
        }
        assert.deepStrictEqual((yield* ServiceBusDeadLetters.counts(Carts)).deadLetters, 5)
        assert.strictEqual((yield* ServiceBusDeadLetters.replay(Carts)).replayed, 5)
        const session = yield* ServiceBusSession.accept(Carts, "a")
        assert.deepStrictEqual(
          (yield* session.receive({ max: 5 })).map(({ body, sessionId }) => [body, sessionId]),
          [["a1", "a"], ["a2", "a"], ["a3", "a"]]
        )
      }))

    test("letters of subscriptions go where `to` says, also to an entity with sessions", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(News, [{ body: "n", messageId: "m" }])
        yield* buryAll(Alpha, 1)
        yield* buryAll(Beta, 1)
        const letters = [...(yield* emulator.deadLetters(Alpha)), ...(yield* emulator.deadLetters(Beta))]
        assert.deepStrictEqual(letters.map(({ messageId, sequenceNumber }) => [messageId, sequenceNumber]), [
          ["m", 1n],
          ["m", 1n]
        ])
        yield* ServiceBusDeadLetters.replay(Alpha, { to: Texts })
        yield* ServiceBusDeadLetters.replay(Beta, { to: Texts })
        // Two letters with one id and one number are two messages, also for duplicate detection.
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), ["m", "m"])
        yield* buryAll(Texts, 2)
        const report = yield* ServiceBusDeadLetters.replay(Texts, {
          to: Carts,
          map: (letter) => ServiceBusMessage.fromReceived(letter, { sessionId: "s" })
        })
        assert.strictEqual(report.replayed, 2)
        assert.deepStrictEqual((yield* emulator.messages(Carts)).map(({ sessionId }) => sessionId), ["s", "s"])
        yield* (ServiceBusDeadLetters.replay as (entity: unknown) => ServiceBusDeadLetters.Replay)(Alpha).pipe(
          failsWith("InvalidOptionError")
        )
      }), { texts: { duplicateDetectionWindow: "1 hour" } })

    test("what does not decode, encode or fit stays and is reported; the others go", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [
          { body: "no JSON" },
          ...["a", "b", "c", "d"].map((id) => ({ body: JSON.stringify({ id, total: 1 }), messageId: id }))
        ])
        yield* buryAll(OrderTexts, 5)
        const report = yield* ServiceBusDeadLetters.replay(Orders, {
          map: (letter) => {
            const copy = ServiceBusMessage.fromReceived(letter)
            if (letter.body.id === "b") return { ...copy, body: { id: "b", total: NaN } }
            if (letter.body.id === "c") return { ...copy, body: { id: "x".repeat(300_000), total: 1 } }
            return copy
          }
        })
        assert.deepStrictEqual([report.replayed, report.skipped], [2, 0])
        assert.deepStrictEqual(report.failed.map(({ error, sequenceNumber }) => [sequenceNumber, error._tag]), [
          [1n, "MessageDecodeError"],
          [3n, "MessageEncodeError"],
          [4n, "MessageSizeExceededError"]
        ])
        assert.deepInclude(report.failed[0]!.error, { sequenceNumber: 1n, operation: "replay" })
        assert.deepStrictEqual(originals(yield* emulator.messages(Orders)), ["a", "d"])
        assert.deepStrictEqual(
          (yield* emulator.deadLetters(Orders)).map(({ sequenceNumber }) => sequenceNumber),
          [1n, 3n, 4n]
        )
      }))

    test("letters that no contract decodes are replayed by the name of their queue, byte for byte", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const bodies = [Buffer.from("no JSON"), Buffer.from([0xff, 0x00, 0xfe]), Buffer.alloc(0), Buffer.from("{}")]
        const sender = yield* ServiceBusSender.make("orders")
        yield* sender.sendAll(bodies.map((body, i) => ({ body, messageId: String(i), subject: "s" })))
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const reading = yield* start(Stream.runDrain(receiver.messages))
        yield* until(Effect.map(emulator.counters(Orders), ({ deadLettered }) => deadLettered === 4))
        yield* Fiber.interrupt(reading)
        const refused = yield* ServiceBusDeadLetters.replay(Orders)
        assert.deepStrictEqual(refused.failed.map(({ error }) => error._tag), bodies.map(() => "MessageDecodeError"))
        const report = yield* ServiceBusDeadLetters.replay("orders", {
          filter: ({ body, deadLetterReason }) => deadLetterReason === "MessageDecodeError" && body.length !== 2
        })
        assert.deepStrictEqual(report, { replayed: 3, skipped: 1, failed: [] })
        const copies = yield* emulator.messages(OrderBytes)
        assert.deepStrictEqual(copies.map(({ body }) => Buffer.from(body)), bodies.slice(0, 3))
        assert.deepStrictEqual(originals(copies), ["0", "1", "2"])
        for (const { contentType, deadLetterReason, subject } of copies) {
          assert.deepStrictEqual([contentType, deadLetterReason, subject], [undefined, undefined, "s"])
        }
      }))

    test("bodies of every kind are replayed with their exact types by a contract of sections", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const bodies: ReadonlyArray<ServiceBusBody.Sections> = [
          { kind: "value", value: AmqpValue.typed("long", 5n) },
          { kind: "value", value: { a: AmqpValue.typed("ubyte", 1), b: [null, true] } },
          { kind: "sequence", sequences: [[AmqpValue.typed("float", 0.5)], ["x"]] },
          { kind: "data", data: [Buffer.from("a"), Buffer.from("b")] },
          { kind: "empty" }
        ]
        const Sections = ServiceBusEntity.queue("orders", { body: ServiceBusBody.sections })
        const sender = yield* ServiceBusSender.make(Sections)
        yield* sender.sendAnnotated(bodies.map((body) => ({ body })))
        const exact = () =>
          Effect.map(
            emulator.messages(Sections),
            (messages) => messages.map((message) => AmqpAnnotatedMessage.fromReceived(message).body)
          )
        const before = yield* exact()
        assert.lengthOf(before, bodies.length)
        yield* buryAll(Sections, bodies.length)
        // Neither text nor bytes say what an AMQP value is.
        assert.lengthOf((yield* ServiceBusDeadLetters.replay("orders", { max: 1 })).failed, 3)
        yield* buryAll(Sections, 1)
        assert.deepInclude(yield* ServiceBusDeadLetters.replay(Sections), { replayed: bodies.length, failed: [] })
        const key = (body: unknown) => inspect(body, { depth: 9 })
        assert.deepStrictEqual((yield* exact()).map(key).toSorted(), before.map(key).toSorted())
      }))

    test("a body that decodes is replayed as it came: what its schema does not know is kept", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const body = "{ \"total\": 1.0, \"id\": \"a\", \"note\": \"from a newer program\" }"
        yield* emulator.send(OrderTexts, [{ body, contentType: "application/json; charset=utf-8" }, { body }])
        yield* buryAll(OrderTexts, 2)
        const filter = (letter: ServiceBusMessage.LockedMessage<{ readonly total: number }>) => letter.body.total === 1
        assert.deepInclude(yield* ServiceBusDeadLetters.replay(Orders, { filter }), { replayed: 2 })
        assert.deepStrictEqual(
          (yield* emulator.messages(OrderTexts)).map((message) => [message.body, message.contentType]),
          [[body, "application/json; charset=utf-8"], [body, "text/plain; charset=utf-8"]]
        )
        // A contract of its own, with the same Schema, and one with another.
        const Total = Schema.Struct({ total: Schema.Finite })
        const Totals = ServiceBusEntity.queue("orders", { body: Total })
        yield* buryAll(OrderTexts, 2)
        yield* ServiceBusDeadLetters.replay(Totals, { to: ServiceBusEntity.queue("texts", { body: Total }), max: 1 })
        const Other = ServiceBusEntity.queue("texts", {
          body: ServiceBusBody.json(Schema.Struct({ total: Schema.Int }))
        })
        yield* ServiceBusDeadLetters.replay(Totals, { to: Other })
        assert.deepStrictEqual((yield* emulator.messages(Texts)).map((copy) => copy.body), [body, "{\"total\":1}"])
      }))

    test("a body is encoded anew where the target's codec has the Schema of the letters with other services", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        class Prefix extends Context.Service<Prefix, string>()("test/Prefix") {}
        const Sealed = Schema.String.pipe(Schema.decodeTo(Schema.String, {
          decode: SchemaGetter.transformEffect((text: string) =>
            Effect.map(Prefix, (prefix) => text.replace(prefix, ""))
          ),
          encode: SchemaGetter.transformEffect((text: string) => Effect.map(Prefix, (prefix) => prefix + text))
        }))
        const sealedBy = (prefix: string) => Effect.provideService(ServiceBusBody.makeJson(Sealed), Prefix, prefix)
        const [ours, theirs] = [yield* sealedBy("ours:"), yield* sealedBy("theirs:")]
        yield* emulator.send(Texts, [{ body: "\"ours:x\"" }])
        yield* buryAll(Texts, 1)
        const report = yield* ServiceBusDeadLetters.replay(ServiceBusEntity.queue("texts", { body: ours }), {
          to: ServiceBusEntity.queue("orders", { body: theirs })
        })
        assert.deepStrictEqual(report, { replayed: 1, skipped: 0, failed: [] })
        assert.deepStrictEqual((yield* emulator.messages(OrderTexts)).map(({ body }) => body), ["\"theirs:x\""])
      }))

    test("letters of a subscription go back over its topic byte for byte, by contracts and by names", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const bodies = [Buffer.from([0xff]), Buffer.from("fine")]
        const sender = yield* ServiceBusSender.make("news")
        yield* sender.sendAll(bodies.map((body) => ({ body })))
        const AlphaBytes = ServiceBusEntity.subscription(
          ServiceBusEntity.topic("news", { body: ServiceBusBody.bytes }),
          "alpha"
        )
        yield* buryAll(AlphaBytes, 2)
        const typed = yield* ServiceBusDeadLetters.replay(Alpha, { to: News })
        assert.deepStrictEqual([typed.replayed, typed.failed.length], [1, 1])
        const address = "news/Subscriptions/alpha"
        assert.deepInclude(yield* ServiceBusDeadLetters.counts(address), { active: 1, deadLetters: 1 })
        for (const options of [undefined, { to: address }, { to: "news/subscriptions/beta" }]) {
          const error = yield* ServiceBusDeadLetters.replay(address, options as { to: string }).pipe(
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, "to")
        }
        assert.deepInclude(yield* ServiceBusDeadLetters.replay(address, { to: "news" }), { replayed: 1 })
        const arrived = (yield* emulator.messages(AlphaBytes)).map(({ body }) => Buffer.from(body))
        assert.deepStrictEqual(arrived, bodies.toReversed())
      }))

    test("a value that may be one of several contracts is replayed as what it is", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(2))
        yield* emulator.send(Orders, [{ body: { id: "a", total: 1 } }])
        yield* buryAll(OrderTexts, 1)
        const lengths: Array<number> = []
        const either: ReadonlyArray<typeof Orders | typeof Texts> = [Orders, Texts]
        for (const entity of either) {
          const { replayed } = yield* ServiceBusDeadLetters.replay(entity, {
            filter: ({ body }) => lengths.push(typeof body === "string" ? body.length : body.id.length) > 0
          })
          assert.strictEqual(replayed, entity === Texts ? 2 : 1)
        }
        assert.deepStrictEqual(lengths, [1, 6, 6])
      }))

    test("a batch that the broker refuses for its size is sent one by one", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(4))
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:link:message-size-exceeded" }, times: 2 })
        const report = yield* ServiceBusDeadLetters.replay(Texts)
        assert.deepStrictEqual(report.failed.map(({ error, sequenceNumber }) => [sequenceNumber, error._tag]), [
          [1n, "MessageSizeExceededError"]
        ])
        assert.strictEqual(report.replayed, 3)
      }))

    test("where a batch is refused for its size, those of other sessions are not sent again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        // Three batches of the first session, and one of each of the others.
        const large = "x".repeat(100_000)
        const sessions = ["a", "b", "c"].flatMap((sessionId) =>
          texts(6).map(({ messageId }) => ({
            body: sessionId === "a" ? large : "small",
            messageId: sessionId + messageId,
            sessionId
          }))
        )
        yield* bury(sessions)
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:link:message-size-exceeded" } })
        assert.deepStrictEqual(yield* ServiceBusDeadLetters.replay(Texts), { replayed: 18, skipped: 0, failed: [] })
        const copies = yield* emulator.messages(Texts)
        for (const id of ["a", "b", "c"]) {
          assert.deepStrictEqual(
            originals(copies.filter(({ sessionId }) => sessionId === id)),
            numbered(6).map((n) => id + n)
          )
        }
      }))

    test("where one batch fails for good, those of other sessions that were accepted stay replayed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sessions = ["a", "b", "c"].flatMap((sessionId) =>
          texts(5).map(({ messageId }) => ({ body: "x", messageId: sessionId + messageId, sessionId }))
        )
        yield* bury(sessions)
        yield* emulator.fail({ operation: "send", entity: Texts, error: { condition: "amqp:resource-limit-exceeded" } })
        yield* ServiceBusDeadLetters.replay(Texts).pipe(failsWith("ServiceBusQuotaExceededError"))
        const { length } = yield* emulator.messages(Texts)
        assert.strictEqual((yield* emulator.deadLetters(Texts)).length, 15 - length)
        assert.deepInclude(yield* ServiceBusDeadLetters.replay(Texts), { replayed: 15 - length, failed: [] })
        assert.lengthOf(yield* emulator.messages(Texts), 15)
      }))

    test("a message id of null is refused as others are", () =>
      Effect.gen(function*() {
        yield* bury(texts(1))
        const report = yield* ServiceBusDeadLetters.replay(Texts, {
          map: () => ({ body: "x", messageId: null as any })
        })
        assert.strictEqual(report.failed[0]!.error._tag, "MessageEncodeError")
      }))

    test("another error fails it; what was replayed stays replayed and the rest is given back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(150))
        let decided = 0
        const error = yield* ServiceBusDeadLetters.replay(Texts, {
          map: (letter) => {
            decided++
            if (decided === 101) {
              Effect.runSync(emulator.fail({
                operation: "send",
                error: { condition: "amqp:resource-limit-exceeded" }
              }))
            }
            return ServiceBusMessage.fromReceived(letter)
          }
        }).pipe(failsWith("ServiceBusQuotaExceededError"))
        assert.strictEqual(error.entity, "texts")
        assert.lengthOf(yield* emulator.messages(Texts), 100)
        assert.strictEqual((yield* ServiceBusDeadLetters.replay(Texts)).replayed, 50)
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), numbered(150))
      }), once)

    /** The client's operations wait for little: a test over TCP has no other clock. */
    const impatient = { client: { operationTimeout: "2 seconds", retry: { delay: "10 millis" } } } as const

    test("a completion that is refused: with duplicate detection each is there once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(20))
        yield* emulator.fail({
          operation: "settle",
          entity: DeadTexts,
          error: { condition: "com.microsoft:argument-error" },
          times: 5
        })
        yield* ServiceBusDeadLetters.replay(Texts).pipe(failsWith("ServiceBusError"))
        assert.lengthOf(yield* emulator.deadLetters(Texts), 5)
        // Which waits for locks that are still held.
        assert.strictEqual((yield* passing(ServiceBusDeadLetters.replay(Texts))).replayed, 5)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), numbered(20))
        assert.strictEqual((yield* emulator.counters(Texts)).duplicates, 5)
      }), { texts: { duplicateDetectionWindow: "1 hour", lockDuration: "1 second" } })

    test("a lock that is lost before the completion: the letter comes again and is only completed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(20))
        yield* emulator.fail({
          operation: "settle",
          entity: DeadTexts,
          error: { condition: "com.microsoft:message-lock-lost" },
          times: 5
        })
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts))
        assert.deepStrictEqual(report, { replayed: 20, skipped: 0, failed: [] })
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        // No duplicate detection helped.
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), numbered(20))
      }), { texts: { lockDuration: "1 second" } })

    clock("locks that are lost while copies are on their way: the letters come again and are only completed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(20))
        // The copies wait for longer than the locks last, and no renewal succeeds.
        yield* emulator.fail({ operation: "send", error: { condition: "com.microsoft:server-busy" } })
        yield* emulator.fail({
          operation: "renew",
          error: { condition: "com.microsoft:message-lock-lost" },
          times: 1e6
        })
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts), "500 millis")
        assert.deepStrictEqual(report, { replayed: 20, skipped: 0, failed: [] })
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), numbered(20))
        assert.strictEqual((yield* emulator.counters(DeadTexts)).lockExpired, 20)
      }), { texts: { lockDuration: "5 seconds" } })

    test("connections that are cut in the middle: each is there once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(300))
        let decided = 0
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts, {
          map: (letter) => {
            decided++
            if (decided % 90 === 0) {
              Effect.runSync(emulator.dropConnections)
            }
            return ServiceBusMessage.fromReceived(letter)
          }
        }))
        assert.strictEqual(report.replayed, 300)
        yield* passing(ServiceBusDeadLetters.replay(Texts))
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)).toSorted(byNumber), numbered(300))
      }), {
      texts: { duplicateDetectionWindow: "1 hour", lockDuration: "1 second" },
      ...impatient
    })

    clock("connections that are cut when copies are in and letters are not completed: each is there once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(150))
        const fiber = yield* start(ServiceBusDeadLetters.replay(Texts))
        yield* soon(() =>
          Effect.runSync(emulator.counters(Texts)).enqueued === 250
        )
        assert.strictEqual((yield* emulator.counters(DeadTexts)).completed, 0)
        yield* emulator.dropConnections
        const report = yield* passing(Fiber.join(fiber))
        assert.deepStrictEqual(report, { replayed: 150, skipped: 0, failed: [] })
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)).toSorted(byNumber), numbered(150))
        assert.isAbove((yield* emulator.counters(Texts)).duplicates, 0)
      }), { texts: { duplicateDetectionWindow: "1 hour" } })

    test("2,000 letters, interrupted in the middle and replayed again: each exactly once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(2000))
        const fiber = yield* start(ServiceBusDeadLetters.replay(Texts))
        yield* until(Effect.map(emulator.counters(DeadTexts), ({ completed }) =>
          completed >= 700))
        yield* Fiber.interrupt(fiber)
        const { completed } = yield* emulator.counters(DeadTexts)
        assert.isBelow(completed, 2000)
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts))
        assert.isAbove(report.replayed, 0)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)).toSorted(byNumber), numbered(2000))
      }), { texts: { duplicateDetectionWindow: "1 hour" } })

    test("without duplicate detection nothing is lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(1000))
        const fiber = yield* start(ServiceBusDeadLetters.replay(Texts))
        yield* until(Effect.map(emulator.counters(Texts), ({ enqueued }) =>
          enqueued >= 1300))
        yield* Fiber.interrupt(fiber)
        yield* passing(ServiceBusDeadLetters.replay(Texts))
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
        const copies = originals(yield* emulator.messages(Texts))
        assert.deepStrictEqual([...new Set(copies)].toSorted(byNumber), numbered(1000))
        // At most a batch was on its way.
        assert.isAtMost(copies.length, 1100)
      }))

    test("a letter that another receiver holds is not waited for for ever", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(3))
        const other = yield* ServiceBusReceiver.make(DeadTexts)
        const [held] = yield* other.receive()
        const report = yield* passing(ServiceBusDeadLetters.replay(Texts))
        assert.deepStrictEqual(report, { replayed: 2, skipped: 0, failed: [] })
        yield* other.complete(held!)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 0)
      }))
  })

const byNumber = (a: string, b: string): number => Number(a) - Number(b)

describe("Replaying dead letters", () => {
  both(suite)
})
