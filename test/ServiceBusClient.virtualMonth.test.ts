import { assert, describe, it } from "@effect/vitest"
import { ServiceBusProcessor, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { linkOf, start, Texts } from "./support/harness.ts"

/** How often an effect's clock is asked to wake somebody. */
const counting = <A, E, R>(effect: (waits: () => number) => Effect.Effect<A, E, R>) =>
  Effect.clockWith((clock) => {
    let waits = 0
    const counted = Object.create(clock, {
      sleep: {
        value: (duration: Duration.Duration) => {
          waits++
          return clock.sleep(duration)
        }
      }
    }) as Clock.Clock
    return Effect.provideService(effect(() => waits), Clock.Clock, counted)
  })

describe("a month of virtual time", () => {
  it.effect("costs a waiting receiver no more than its tokens", () =>
    counting((waits) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const worker = yield* ServiceBusReceiver.make(Texts)
        const sender = yield* ServiceBusSender.make(Texts)
        const link = linkOf(receiver)
        const processor = yield* ServiceBusProcessor.make(worker, () => Effect.void)
        yield* sender.schedule({ body: "a reminder" }, "30 days")
        yield* processor.pause
        const receiving = yield* start(receiver.receive({ maxWait: Duration.infinity }))
        yield* emulator.idle
        const before = waits()
        yield* TestClock.adjust("30 days")
        yield* emulator.idle
        const [message] = yield* Fiber.join(receiving)
        assert.strictEqual(message?.body, "a reminder")
        assert.strictEqual(linkOf(receiver), link)
        // A token lasts an hour and is replaced after 45 minutes: 960 times for each of the entity and its node. Heartbeats alone
        // would be 86,400.
        assert.isBelow(waits() - before, 8_000)
      }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] })))
    ))

  it.effect("of a broker that ends what is idle is that of the service, where it is asked to", () =>
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const link = linkOf(receiver)
      yield* TestClock.adjust("9 minutes")
      assert.isUndefined(link.dead())
      yield* TestClock.adjust("1 minute")
      assert.include(link.dead()?.message, "IdleTimerExpired")
    }).pipe(
      Effect.scoped,
      Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)], idle: { link: "10 minutes" } }))
    ))
})
