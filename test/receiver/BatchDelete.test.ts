/** Messages deleted at the broker without receiving them: up to a number, oldest first, older than a time. */
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  type Name,
  passing,
  testsWith,
  Texts,
  texts
} from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe, it } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    test("deletes up to max, oldest first", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(10))
        yield* passing(Effect.sleep("10 millis"))
        assert.strictEqual(yield* receiver.deleteMessages(), 1)
        assert.strictEqual(yield* receiver.deleteMessages({ max: 6 }), 6)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["7", "8", "9"])
        assert.strictEqual(yield* receiver.deleteMessages({ max: 4000 }), 3)
        assert.strictEqual(yield* receiver.deleteMessages({ max: 4000 }), 0)
        assert.strictEqual((yield* emulator.counters(Texts)).deleted, 10)
      }))

    clock("only what was enqueued before the time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(3))
        yield* TestClock.adjust("1 minute")
        const time = yield* DateTime.now
        yield* emulator.send(Texts, texts(3, 3))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* receiver.purge({ before: time }), 3)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["3", "4", "5"])
      }))

    test("purges in as many requests as it takes, and leaves what is locked, deferred or scheduled", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.send(Texts, texts(1203))
        const [locked, deferred] = yield* receiver.receive({ max: 2 })
        yield* receiver.defer(deferred!)
        yield* sender.schedule({ body: "later", messageId: "later" }, "1 hour")
        yield* passing(Effect.sleep("10 millis"))
        assert.strictEqual(yield* receiver.purge(), 1201)
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["0", "1", "later"])
        yield* receiver.complete(locked!)
      }))

    test("a dead-letter queue and one session of many", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const message of yield* receiver.receive({ max: 2 })) yield* receiver.deadLetter(message)
        yield* emulator.send(Carts, ["a", "b", "a"].map((sessionId) => ({ body: "x", sessionId })))
        yield* passing(Effect.sleep("10 millis"))
        const dead = yield* ServiceBusReceiver.makeDestructive(ServiceBusEntity.deadLetter(Texts))
        assert.strictEqual(yield* dead.purge(), 2)
        const session = yield* ServiceBusSession.accept(Carts, "a")
        assert.strictEqual(yield* session.purge(), 2)
        assert.deepStrictEqual((yield* emulator.messages(Carts)).map(({ sessionId }) => sessionId), ["b"])
      }))

    test("what is out of range is refused before the wire", () =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const max of [0, -1, 2147483648, 1.5]) {
          const error = yield* receiver.deleteMessages({ max }).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "max")
          yield* receiver.purge({ max }).pipe(failsWith("InvalidOptionError"))
        }
        const error = yield* receiver.purge({ before: new Date() as any }).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(error.option, "before")
      }))

    test("how many may be deleted at once is the broker's to say", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const error = yield* receiver.deleteMessages({ max: 2147483647 }).pipe(failsWith("ServiceBusError"))
        assert.match(error.condition!, /^com\.microsoft:argument/)
        assert.lengthOf(yield* emulator.messages(Texts), 2)
      }))

    test("peeks without bodies", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "x".repeat(1000), messageId: "m", subject: "s" }])
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [whole] = yield* receiver.peekRaw()
        const [message] = yield* receiver.peekRaw({ omitBody: true })
        assert.isAbove(whole!.size, 1000)
        assert.isBelow(message!.size, 500)
        assert.deepInclude(message!, { messageId: "m", subject: "s", sequenceNumber: 1n })
        const all = yield* Stream.runCollect(receiver.browseRaw({ omitBody: true }))
        assert.deepStrictEqual(idsOf(all), ["m"])
      }))
  })

describe("Deleting", () => {
  both(suite)

  it.effect("an endpoint that does not know it is not supported", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* emulator.fail({ operation: "delete", error: { condition: "amqp:not-implemented", description: "no." } })
      const error = yield* receiver.purge().pipe(failsWith("NotSupportedError"))
      assert.deepInclude(error, { entity: "texts", operation: "deleteMessages", condition: "amqp:not-implemented" })
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})
