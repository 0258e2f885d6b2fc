/**
 * Keeps locks alive: one record per lock and one supervised fiber per receiver, which renews each lock before it ends,
 * tries again within the lock's life when that fails, and says so when a lock is lost.
 *
 * A lock's clock starts when its message is received and is monotonic: no wall clock is trusted after that.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { LockRenewalError } from "../ServiceBusError.ts"

/** One lock that is kept. */
export interface Kept {
  readonly token: string
  /** When the lock ends if it is not renewed: milliseconds of the monotonic clock. */
  expiresAt: number
  /** How long a renewal makes the lock last, in milliseconds. */
  readonly duration: number
  /** When renewing stops, in milliseconds of the monotonic clock. */
  readonly until: number
  /** Called once when the lock is over: after the budget ended, or because renewing failed. */
  readonly onLost: (reason: "budget" | "failed", cause: LockRenewalError | undefined) => void
  renewals: number
  /** Set when nobody cares for the lock any more. */
  done: boolean
}

export interface LockWheel {
  readonly keep: (lock: Kept) => void
  /** Renewals that the broker has confirmed. */
  readonly renewals: () => number
}

/** Locks become due in steps of this many milliseconds. */
const step = 1_000

/** How many renewals are on their way at a time. */
const concurrency = 8

/** Renewal starts this long before a lock ends: a third of its life, at most ten seconds. */
const marginOf = (duration: number): number => Math.min(10_000, duration / 3)

export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

export const make = Effect.fnUntraced(function*(
  renew: (token: string) => Effect.Effect<unknown, LockRenewalError>
): Effect.fn.Return<LockWheel, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const latch = Latch.makeUnsafe(false)
  const buckets = new Map<number, Array<Kept>>()
  let renewals = 0

  const put = (lock: Kept, at: number): void => {
    const bucket = Math.floor(at / step) * step
    const locks = buckets.get(bucket)
    if (locks === undefined) {
      buckets.set(bucket, [lock])
      latch.openUnsafe()
    } else locks.push(lock)
  }

  const dueAt = (lock: Kept): number => {
    const at = lock.expiresAt - marginOf(lock.duration)
    // Once the budget is over there is only the end of the lock to wait for.
    return at > lock.until ? lock.expiresAt : at
  }

  const handle = Effect.fnUntraced(function*(lock: Kept) {
    const now = monotonic(clock)
    if (lock.done) return
    if (now >= lock.expiresAt) {
      lock.done = true
      return lock.onLost(now > lock.until ? "budget" : "failed", undefined)
    }
    if (now > lock.until) return put(lock, lock.expiresAt)
    const result = yield* Effect.result(renew(lock.token))
    if (lock.done) return
    if (result._tag === "Success") {
      renewals++
      lock.renewals++
      // From before the request: the broker's clock for the lock started no earlier.
      lock.expiresAt = now + lock.duration
      return put(lock, dueAt(lock))
    }
    const { failure } = result
    if (failure._tag === "MessageLockLostError" || monotonic(clock) >= lock.expiresAt) {
      lock.done = true
      return lock.onLost("failed", failure)
    }
    // Within the lock's life there is time for a few more tries.
    put(lock, Math.min(lock.expiresAt, monotonic(clock) + Math.max(step, (lock.expiresAt - now) / 4)))
  })

  const turn = Effect.gen(function*() {
    let earliest = Infinity
    for (const at of buckets.keys()) if (at < earliest) earliest = at
    latch.closeUnsafe()
    if (earliest === Infinity) return yield* latch.await
    const now = monotonic(clock)
    if (earliest > now) return yield* Effect.raceFirst(Effect.sleep(earliest - now), latch.await)
    const due = buckets.get(earliest)!
    buckets.delete(earliest)
    const live = due.filter((lock) => !lock.done)
    yield* Effect.forEach(live, handle, { concurrency, discard: true })
  })
  yield* Effect.forkScoped(Effect.forever(turn), { startImmediately: true })

  return {
    keep: (lock) => put(lock, dueAt(lock)),
    renewals: () => renewals
  }
})
