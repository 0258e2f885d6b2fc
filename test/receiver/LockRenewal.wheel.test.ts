import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { monotonic } from "../../src/internal/monotonicClock.ts"
import * as lockWheel from "../../src/internal/receiver/LockRenewal.ts"
import { type LockRenewalError, MessageLockLostError, ServiceBusConnectionError } from "../../src/ServiceBusError.ts"

interface Watched extends lockWheel.Kept {
  lost: readonly [reason: string, cause: string | undefined, at: number] | undefined
}

const keep = (clock: Clock.Clock, token: string, options: {
  readonly duration: number
  readonly budget?: number
  readonly age?: number
  readonly held?: () => boolean
}): Watched => {
  const now = monotonic(clock)
  const kept: Watched = {
    lock: {
      token,
      duration: options.duration,
      expiresAt: now - (options.age ?? 0) + options.duration,
      held: options.held ?? (() => true),
      renewals: 0,
      lost: undefined
    },
    until: now + (options.budget ?? Infinity),
    done: false,
    bucket: 0,
    failure: undefined,
    lost: undefined,
    onLost: (reason, cause) => {
      kept.lost = [reason, cause?._tag, monotonic(clock)]
    }
  }
  return kept
}

const unreachable = new ServiceBusConnectionError({})

const wheel = Effect.fnUntraced(function*(
  renew: (token: string, calls: number) => Effect.Effect<void, LockRenewalError>,
  options?: Pick<lockWheel.Options, "margin">
) {
  const clock = yield* Clock.Clock
  const calls: Array<readonly [string, number]> = []
  const made = yield* lockWheel.make({
    ...options,
    renew: ([token]) => {
      calls.push([token!, monotonic(clock)])
      return renew(token!, calls.length)
    }
  })
  return { ...made, clock, calls }
})

describe("LockWheel", () => {
  it.effect("a renewal that is never answered costs its own lock only", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* wheel((token) => token === "stuck" ? Effect.never : Effect.void)
      const stuck = keep(clock, "stuck", { duration: 30_000 })
      self.keep(stuck)
      yield* TestClock.adjust("1 second")
      const other = keep(clock, "other", { duration: 30_000 })
      self.keep(other)
      yield* TestClock.adjust("28 seconds")
      assert.isUndefined(stuck.lost)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(stuck.lost, ["failed", "OperationTimeoutError", 30_000])
      assert.isUndefined(other.lost)
    }))

  it.effect("tries again while the lock lives, and forgets a failure that was mended", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* wheel((_, calls) => calls <= 2 ? Effect.fail(unreachable) : Effect.void)
      const kept = keep(clock, "a", { duration: 30_000, budget: 40_000 })
      self.keep(kept)
      yield* TestClock.adjust("25 seconds")
      assert.isAtLeast(self.calls.length, 3)
      assert.strictEqual(self.renewals(), 1)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(kept.lost?.[0], "budget")
    }))

  it.effect("says why when it never succeeds, at the end of the lock and not before", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* wheel(() => Effect.fail(unreachable))
      yield* TestClock.adjust(777)
      const kept = keep(clock, "a", { duration: 30_000, budget: 25_000 })
      self.keep(kept)
      yield* TestClock.adjust(29_900)
      assert.isUndefined(kept.lost)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual((kept as Watched).lost, ["failed", "ServiceBusConnectionError", 30_800])
      // Once a second at the most.
      assert.isAtMost(self.calls.length, 11)
    }))

  for (const offset of [0, 1, 250, 333, 999]) {
    it.effect(`nothing spins, whatever the time is: ${offset} ms into a second`, () =>
      Effect.gen(function*() {
        const { clock, ...self } = yield* wheel(() => Effect.void)
        yield* TestClock.adjust(offset)
        for (const duration of [1000, 1500, 2100, 5000, 30_000, 59_999, 300_000]) {
          self.keep(keep(clock, String(duration), { duration }))
          self.keep(keep(clock, `short ${duration}`, { duration, budget: 0 }))
        }
        yield* TestClock.adjust("5 minutes")
        for (const duration of [1000, 1500, 2100, 5000, 30_000, 59_999]) {
          const times = self.calls.filter(([token]) => token === String(duration)).length
          assert.isAtLeast(times, Math.floor(300_000 / duration), String(duration))
          assert.isAtMost(times, Math.ceil(300_000 / (duration * 2 / 3)), String(duration))
        }
        assert.lengthOf(self.calls.filter(([token]) => token.startsWith("short")), 0)
      }))
  }

  it.effect("keeps nothing that is settled or that nobody cares for", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* wheel(() => Effect.void)
      let held = true
      const settled = keep(clock, "settled", { duration: 30_000, held: () => held })
      const left = keep(clock, "left", { duration: 30_000 })
      self.keep(settled)
      self.keep(left)
      yield* TestClock.adjust("25 seconds")
      assert.lengthOf(self.calls, 2)
      held = false
      left.done = true
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(self.calls, 2)
      assert.isUndefined(settled.lost)
      assert.isUndefined(left.lost)
    }))

  for (const batch of [1, 3, 10]) {
    it.effect(`locks that are due together are renewed by requests of up to ${batch}`, () =>
      Effect.gen(function*() {
        const clock = yield* Clock.Clock
        const requests: Array<ReadonlyArray<string>> = []
        const self = yield* lockWheel.make({
          batch,
          renew: (tokens) => {
            requests.push(tokens)
            // One is gone from the second time on: all or none are renewed.
            return requests.flat().filter((token) => token === "2").length > 1 && tokens.includes("2")
              ? Effect.fail(new MessageLockLostError({}))
              : Effect.void
          }
        })
        const all = Array.from({ length: 7 }, (_, i) => keep(clock, String(i), { duration: 30_000 }))
        // Another who keeps the same lock.
        for (const kept of [...all, { ...all[0]! }]) self.keep(kept)
        yield* TestClock.adjust("21 seconds")
        const most = Math.max(...requests.map(({ length }) => length))
        assert.strictEqual(most, Math.min(batch, 7))
        assert.deepStrictEqual([...new Set(requests.flat())].toSorted(), ["0", "1", "2", "3", "4", "5", "6"])
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(all.map(({ lost }) => lost?.[0]), [
          undefined,
          undefined,
          "failed",
          undefined,
          undefined,
          undefined,
          undefined
        ])
        assert.deepStrictEqual(all.map(({ lock }) => lock.lost), all.map((_, i) => i === 2 ? "failed" : undefined))
      }))
  }

  it.effect("two who keep one lock renew it once", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* wheel(() => Effect.void)
      const first = keep(clock, "a", { duration: 30_000 })
      self.keep(first)
      yield* TestClock.adjust("7 seconds")
      self.keep({ ...first })
      yield* TestClock.adjust("73 seconds")
      assert.lengthOf(self.calls, 4)
    }))
})
