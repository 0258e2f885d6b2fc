/** Dead letters are browsed, counted and purged over `$management`, without a link of their own. */
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Alpha, Beta, bury, buryAll, DeadTexts, News, numbered, originals } from "./support/deadLetterEntities.ts"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  Orders,
  OrderTexts,
  passing,
  testsWith,
  Texts,
  texts,
  until
} from "./support/harness.ts"
import { Carts } from "./support/sessionEntities.ts"
import { assert, describe } from "./support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(Carts, { lockDuration: "30 seconds" }),
      Emulator.entity(News),
      Emulator.entity(Alpha),
      Emulator.entity(Beta)
    ])

    test("browses with bodies and without, and locks nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury([{ body: "x".repeat(1000), messageId: "a", subject: "s" }, { body: "y", messageId: "b" }])
        yield* emulator.send(Texts, texts(1))
        const letters = yield* Stream.runCollect(ServiceBusDeadLetters.browse(Texts))
        assert.deepStrictEqual(letters.map(({ _tag, body }) => [_tag, body.length]), [["Peeked", 1000], ["Peeked", 1]])
        assert.deepInclude(letters[0]!, {
          deadLetterReason: "Broken",
          deadLetterErrorDescription: "it does not work",
          sequenceNumber: 1n
        })
        const [first] = yield* Stream.runCollect(ServiceBusDeadLetters.browseRaw(Texts, { max: 1 }))
        assert.deepInclude(first!, { body: undefined, messageId: "a", subject: "s" })
        assert.isBelow(first!.size, 500)
        const whole = yield* Stream.runCollect(ServiceBusDeadLetters.browseRaw(Texts, { omitBody: false, from: 1n }))
        assert.deepStrictEqual([whole.length, whole[0]!.size > 1000], [2, true])
        const receiver = yield* ServiceBusReceiver.make(DeadTexts)
        assert.lengthOf(yield* receiver.receive({ max: 5 }), 2)
      }))

    test("a plain name stands for its entity, with bodies of bytes", () =>
      Effect.gen(function*() {
        yield* bury(texts(2))
        const letters = yield* Stream.runCollect(ServiceBusDeadLetters.browse("texts"))
        assert.deepStrictEqual(letters.map(({ body }) => Buffer.from(body).toString()), ["body 0", "body 1"])
        assert.deepStrictEqual(
          idsOf(yield* Stream.runCollect(ServiceBusDeadLetters.browseRaw("texts"))),
          ["0", "1"]
        )
        assert.strictEqual((yield* ServiceBusDeadLetters.counts("texts")).deadLetters, 2)
        const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter("texts"))
        yield* receiver.completeAll(yield* receiver.receive())
        yield* passing(Effect.sleep("10 millis"))
        assert.strictEqual(yield* ServiceBusDeadLetters.purge("texts"), 1)
        for (const name of ["", "a//b", "texts/$DeadLetterQueue"]) {
          const error = yield* ServiceBusDeadLetters.counts(name).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "entity")
        }
        yield* ServiceBusDeadLetters.counts("missing").pipe(failsWith("MessagingEntityNotFoundError"))
      }))

    test("attaches no link to look, count or purge", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(3))
        yield* emulator.fail({ operation: "attach", error: { condition: "amqp:not-allowed" }, times: 10 })
        yield* passing(Effect.sleep("10 millis"))
        assert.lengthOf(yield* Stream.runCollect(ServiceBusDeadLetters.browse(Texts)), 3)
        assert.strictEqual((yield* ServiceBusDeadLetters.counts(Texts)).deadLetters, 3)
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts), 3)
      }))

    test("opens one connection for all pages, where nothing else holds one", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(600))
        yield* emulator.send(Carts, Array.from({ length: 250 }, (_, i) => ({ body: "x", sessionId: String(i) })))
        const client = yield* ServiceBusClient.ServiceBusClient
        const seen: Array<ServiceBusClient.ConnectionState> = []
        yield* Effect.forkScoped(Stream.runForEach(client.state, (state) => Effect.sync(() => void seen.push(state))))
        const isOver = Effect.sync(() => seen.at(-1) === "disconnected")
        const opened = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.gen(function*() {
            yield* passing(until(isOver))
            const before = seen.length
            const value = yield* effect
            yield* passing(until(isOver))
            return [value, seen.slice(before).filter((state) => state === "connecting").length] as const
          })
        const size = <E, R>(stream: Stream.Stream<unknown, E, R>) => Stream.runCount(stream)
        assert.deepStrictEqual(yield* opened(size(ServiceBusDeadLetters.browse(Texts))), [600, 1])
        assert.deepStrictEqual(yield* opened(size(ServiceBusDeadLetters.browseRaw(Texts, { max: 10 }))), [600, 1])
        assert.deepStrictEqual(yield* opened(size(ServiceBusSession.list(Carts))), [250, 1])
        const counts = { active: 0, deferred: 0, scheduled: 0, deadLetters: 600 }
        assert.deepStrictEqual(yield* opened(ServiceBusDeadLetters.counts(Texts)), [counts, 1])
        assert.deepStrictEqual(yield* opened(ServiceBusDeadLetters.purge(Texts)), [600, 1])
      }))

    test("a browse goes on where its connection is lost between two pages", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(30))
        let seen = 0
        yield* passing(Stream.runForEach(ServiceBusDeadLetters.browse(Texts, { max: 10 }), () => {
          seen += 1
          return seen === 10 ? emulator.dropConnections : Effect.void
        }))
        assert.strictEqual(seen, 30)
      }))

    test("a body that does not decode ends a browse with its number, and not a raw one", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "no JSON" }])
        yield* buryAll(OrderTexts, 1)
        const error = yield* Stream.runDrain(ServiceBusDeadLetters.browse(Orders)).pipe(failsWith("MessageDecodeError"))
        assert.deepInclude(error, { sequenceNumber: 1n, entity: "orders/$DeadLetterQueue" })
        assert.lengthOf(yield* Stream.runCollect(ServiceBusDeadLetters.browseRaw(Orders)), 1)
      }))

    test("counts messages by their states, locked ones too", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(300))
        yield* emulator.send(Texts, texts(5))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const sender = yield* ServiceBusSender.make(Texts)
        const [locked, deferred] = yield* receiver.receive({ max: 2 })
        yield* receiver.defer(deferred!)
        yield* sender.schedule({ body: "later" }, "1 hour")
        const counts = yield* ServiceBusDeadLetters.counts(Texts)
        assert.deepStrictEqual(counts, { active: 4, deferred: 1, scheduled: 1, deadLetters: 300 })
        yield* receiver.complete(locked!)
        yield* emulator.send(Carts, ["a", "b", "a", "c"].map((sessionId) => ({ body: "x", sessionId })))
        assert.deepStrictEqual(
          yield* ServiceBusDeadLetters.counts(Carts),
          { active: 4, deferred: 0, scheduled: 0, deadLetters: 0 }
        )
      }))

    test("purges all, or so many, oldest first", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(1203))
        yield* passing(Effect.sleep("10 millis"))
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts, { max: 2 }), 2)
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts, { max: 600 }), 600)
        assert.strictEqual((yield* emulator.deadLetters(Texts))[0]!.messageId, "602")
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts), 601)
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts), 0)
        yield* emulator.send(Texts, texts(1))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    clock("purges only what was enqueued before the time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* bury(texts(3))
        yield* TestClock.adjust("1 minute")
        const before = yield* DateTime.now
        yield* bury(texts(3, 3))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts, { before }), 3)
        assert.deepStrictEqual(idsOf(yield* emulator.deadLetters(Texts)), ["3", "4", "5"])
      }))

    test("the transfer dead-letter queue is received from, peeked, purged and replayed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const Failed = ServiceBusEntity.transferDeadLetter(Texts)
        assert.lengthOf(yield* emulator.messages(Failed), 0)
        yield* emulator.failTransfer(Texts, texts(6), {
          reason: "MaxTransferHopCountExceeded",
          description: "too far"
        })
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Failed)), numbered(6))
        assert.strictEqual((yield* ServiceBusDeadLetters.counts(Texts)).deadLetters, 0)
        const receiver = yield* ServiceBusReceiver.make(Failed)
        const [peeked] = yield* receiver.peek()
        assert.deepInclude(peeked!, {
          deadLetterReason: "MaxTransferHopCountExceeded",
          deadLetterErrorDescription: "too far"
        })
        const [first] = yield* receiver.receive()
        assert.strictEqual(first!.body, "body 0")
        yield* receiver.complete(first!)
        yield* receiver.receiveRaw().pipe(Effect.flatMap(([message]) => receiver.abandon(message!)))
        assert.lengthOf(yield* Stream.runCollect(ServiceBusDeadLetters.browse(Texts, { transfer: true })), 5)
        assert.lengthOf(yield* Stream.runCollect(ServiceBusDeadLetters.browse(Texts)), 0)
        yield* ServiceBusDeadLetters.replay(Texts, { transfer: true, max: 2 })
        assert.deepStrictEqual(originals(yield* emulator.messages(Texts)), ["1", "2"])
        yield* passing(Effect.sleep("10 millis"))
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Texts, { transfer: true }), 3)
        // A subscription has one, with or without anything in it; a topic has none, and none is sent to.
        assert.strictEqual(yield* ServiceBusDeadLetters.purge(Alpha, { transfer: true }), 0)
        assert.lengthOf(yield* emulator.messages(ServiceBusEntity.transferDeadLetter(Alpha)), 0)
        yield* ServiceBusSender.make(`${Texts.path}/$Transfer/$DeadLetterQueue`).pipe(failsWith("InvalidOptionError"))
        yield* emulator.failTransfer(News as any, texts(1)).pipe(failsWith("EmulatorError"))
        yield* emulator.failTransfer(Texts, [null as any]).pipe(failsWith("MessageEncodeError"))
        // It counts against the size of its entity.
        yield* emulator.failTransfer(Texts, [{ body: "x".repeat(10_000) }]).pipe(failsWith("EmulatorError"))
      }), { texts: { maxSize: 10_000 } })

    test("the source of a letter that was forwarded is readable", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
        yield* emulator.create(Emulator.entity(letters))
        yield* emulator.update(Texts, { forwardDeadLetteredMessagesTo: letters })
        yield* bury(texts(1))
        // What a sender says of it is not what the broker knows.
        yield* emulator.send(letters, [{ body: "y", messageAnnotations: { "x-opt-deadletter-source": "orders" } }])
        const receiver = yield* ServiceBusReceiver.make(letters)
        const received = yield* receiver.receive({ max: 2 })
        assert.deepStrictEqual(
          received.map(({ deadLetterSource }) => deadLetterSource),
          ["texts", undefined]
        )
      }))

    test("options out of range are refused before the wire; a missing entity is not found", () =>
      Effect.gen(function*() {
        yield* bury(texts(1))
        for (const max of [0, -1, 1.5, NaN]) {
          const error = yield* ServiceBusDeadLetters.purge(Texts, { max }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "max")
          yield* ServiceBusDeadLetters.replay(Texts, { max }).pipe(failsWith("InvalidOptionError"))
        }
        for (const rate of [0, -1, NaN, Infinity]) {
          const error = yield* ServiceBusDeadLetters.replay(Texts, { rate }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "rate")
        }
        yield* ServiceBusDeadLetters.purge(Texts, { before: 1 as any }).pipe(failsWith("InvalidOptionError"))
        const Nowhere = ServiceBusEntity.queue("nowhere", { body: ServiceBusBody.text })
        yield* ServiceBusDeadLetters.replay(Texts, { to: Nowhere }).pipe(failsWith("MessagingEntityNotFoundError"))
        yield* ServiceBusDeadLetters.counts(Nowhere).pipe(failsWith("MessagingEntityNotFoundError"))
      }))
  })

describe("Dead letters", () => {
  both(suite)
})
