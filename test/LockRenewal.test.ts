import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schema } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/lockRenewing.ts"

const Orders = ServiceBusEntity.queue("orders", {
  body: ServiceBusBody.json(Schema.Struct({ id: Schema.String, total: Schema.Finite }))
})

it.effect("a handler of five minutes under a lock of thirty seconds keeps its lock", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const sender = yield* ServiceBusSender.make(Orders)
    const receiver = yield* ServiceBusReceiver.make(Orders)
    yield* sender.send({ body: { id: "1", total: 9.5 } })
    const started = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const processor = yield* ServiceBusProcessor.make(receiver, (order) =>
      Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Effect.sleep("5 minutes")),
        Effect.andThen(Deferred.succeed(done, undefined)),
        Effect.tap(() => Effect.sync(() => assert.deepStrictEqual(order, { id: "1", total: 9.5 })))
      ).pipe(Effect.asVoid))
    yield* Deferred.await(started)

    yield* TestClock.adjust("5 minutes")

    yield* Deferred.await(done)
    yield* emulator.idle
    const counters = yield* emulator.counters(Orders)
    assert.strictEqual(counters.lockExpired, 0)
    assert.strictEqual(counters.completed, 1)
    assert.strictEqual(counters.renewed, 14)
    const counts = yield* processor.counts
    assert.deepInclude(counts, { received: 1, completed: 1, lockLost: 0, renewals: 14 })
    assert.lengthOf(yield* emulator.messages(Orders), 0)
  }).pipe(
    Effect.scoped,
    Effect.provide(Emulator.layer({ entities: [Emulator.entity(Orders, { lockDuration: "30 seconds" })] }))
  ))

describe("Lock renewal", () => both(suite))
