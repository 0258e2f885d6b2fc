/** Duplicate detection: a message whose id was seen within the window is accepted and dropped. */
import { Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import { assert, describe, it } from "../../support/vitest.ts"

const Once = ServiceBusEntity.queue("once", { body: ServiceBusBody.text })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const All = ServiceBusEntity.subscription(News, "all")

const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Once, { duplicateDetectionWindow: "10 minutes", maxSize: 1000 }),
    Emulator.entity(News, { duplicateDetectionWindow: "1 minute" }),
    Emulator.entity(All)
  ]
})

describe("duplicate detection", () => {
  it.effect("accepts a message again within the window and drops it, across batches and settlement", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Once)
      const receiver = yield* ServiceBusReceiver.make(Once)
      yield* sender.sendAll([{ body: "a", messageId: "1" }, { body: "b", messageId: "2" }, {
        body: "c",
        messageId: "1"
      }])
      const messages = yield* receiver.receive({ max: 5 })
      assert.deepStrictEqual(messages.map(({ body }) => body), ["a", "b"])
      yield* receiver.completeAll(messages)
      yield* TestClock.adjust("599 seconds")
      yield* sender.send({ body: "again", messageId: "1" })
      assert.lengthOf(yield* emulator.messages(Once), 0)
      yield* TestClock.adjust("1 second")
      yield* sender.send({ body: "new", messageId: "1" })
      assert.deepStrictEqual((yield* emulator.messages(Once)).map(({ body }) => body), ["new"])
      const { duplicates, enqueued } = yield* emulator.counters(Once)
      assert.deepStrictEqual([duplicates, enqueued], [2, 3])
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("holds for what is scheduled, and costs no space", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Once)
      const first = yield* sender.schedule({ body: "x".repeat(300), messageId: "1" }, "1 minute")
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(yield* sender.schedule({ body: "x".repeat(300), messageId: "1" }, "1 minute"), first)
      }
      yield* TestClock.adjust("1 minute")
      // Enqueued under a new number; its state goes on to say how it came.
      const messages = (yield* emulator.messages(Once)).map(({ sequenceNumber, state }) => [sequenceNumber, state])
      assert.deepStrictEqual(messages, [[first + 1n, "scheduled"]])
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("of a topic comes before its copies", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (let i = 0; i < 3; i++) yield* emulator.send(News, [{ body: "a", messageId: "1" }])
      assert.lengthOf(yield* emulator.messages(All), 1)
    }).pipe(Effect.provide(Broker)))

  it.effect("refuses a window out of range", () =>
    Effect.gen(function*() {
      for (const duplicateDetectionWindow of ["4 seconds", "8 days", -1, Number.NaN] as const) {
        const error = yield* Effect.flip(
          Layer.build(Emulator.layer({ entities: [Emulator.entity(Once, { duplicateDetectionWindow })] }))
        )
        assert.include(error.message, "duplicateDetectionWindow must be between 5 seconds and 7 days")
      }
    }).pipe(Effect.scoped))
})
