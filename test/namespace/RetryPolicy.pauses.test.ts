/** Delays between tries are at random, from nothing up to the backoff: clients that failed together do not come back together. */
import { ServiceBusError } from "effect-service-bus"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import * as RetryPolicy from "../../src/internal/namespace/RetryPolicy.ts"
import { assert, describe, it } from "../support/vitest.ts"

describe("A retry's delay", () => {
  it.effect("is anything up to the backoff", () =>
    Effect.gen(function*() {
      const policy = yield* RetryPolicy.make({ ...RetryPolicy.defaults, maxRetries: 1 })
      const delays: Array<number> = []
      for (let seed = 0; seed < 20; seed++) {
        const times: Array<number> = []
        const failing = Effect.flatMap(Clock.currentTimeMillis, (now) => {
          times.push(now)
          return Effect.fail(new ServiceBusError.ServiceBusConnectionError({ description: "lost" }))
        })
        const fiber = yield* Effect.forkChild(Effect.exit(Random.withSeed(policy.run(failing), `seed ${seed}`)))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        assert.strictEqual(times.length, 2)
        delays.push(times[1]! - times[0]!)
      }
      assert.isAtMost(Math.max(...delays), RetryPolicy.defaults.delay)
      assert.isAbove(Math.max(...delays), RetryPolicy.defaults.delay / 2)
      assert.isBelow(Math.min(...delays), RetryPolicy.defaults.delay / 2)
      assert.isAbove(new Set(delays).size, 10)
    }))

  it.effect("that the service advised passes by time, not with the operation that waits for it", () =>
    Effect.gen(function*() {
      const policy = yield* RetryPolicy.make(RetryPolicy.defaults)
      const busy = new ServiceBusError.ServiceBusServerBusyError({ retryAfter: Duration.seconds(10) })
      policy.applyAdvice(busy)
      const waiting = yield* Effect.forkChild(policy.run(Effect.void), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(waiting)
      const next = yield* Effect.forkChild(policy.run(Clock.currentTimeMillis), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(next), 10_000)
    }))

  it.effect("is over when the client ends: what is tried again then fails at once, and no timer is left", () =>
    Effect.gen(function*() {
      for (const from of ["a failure", "advice"]) {
        const closing = Latch.makeUnsafe()
        const policy = yield* RetryPolicy.make(RetryPolicy.defaults, {
          onRetry: () => {},
          onThrottled: () => {},
          closing
        })
        const busy = new ServiceBusError.ServiceBusServerBusyError({ retryAfter: Duration.minutes(1) })
        const lost = new ServiceBusError.ServiceBusConnectionError({ description: "lost" })
        const closed = new ServiceBusError.ServiceBusConnectionError({ description: "closed", isClosed: true })
        if (from === "advice") policy.applyAdvice(busy)
        const attempt = Effect.suspend(() => Effect.fail(closing.isOpen() ? closed : lost))
        const waiting = yield* Effect.forkChild(Effect.flip(policy.run(attempt)), { startImmediately: true })
        yield* Effect.yieldNow
        assert.isUndefined(waiting.pollUnsafe(), from)
        closing.openUnsafe()
        // Also what begins afterwards.
        const later = yield* Effect.forkChild(Effect.flip(policy.run(attempt)), { startImmediately: true })
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
        for (const each of [waiting, later]) {
          assert.isDefined(each.pollUnsafe(), from)
          assert.isTrue((yield* Fiber.join(each)).message.includes("closed"), from)
        }
      }
    }))
})
