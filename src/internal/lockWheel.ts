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
import { type LockRenewalError, OperationTimeoutError, type SessionLockRenewalError } from "../ServiceBusError.ts"
import { monotonic } from "./amqp/monotonic.ts"

type RenewalError = LockRenewalError | SessionLockRenewalError

/** The lock of one message or session, the same for all who keep it: each knows of what the others renewed. */
export interface Lock {
  readonly token: string
  /** When the lock ends if it is not renewed: milliseconds of the monotonic clock. */
  expiresAt: number
  /** How long a renewal makes the lock last, in milliseconds. */
  readonly duration: number
  /** False once the message is settled: then there is nothing to keep. */
  readonly held: () => boolean
}

/** Somebody's wish that a lock be kept. */
export interface Kept {
  readonly lock: Lock
  /** When renewing stops, in milliseconds of the monotonic clock. */
  readonly until: number
  /** Called once when the lock is over: after the budget ended, or because renewing failed. */
  readonly onLost: (reason: "budget" | "failed", cause: RenewalError | undefined) => void
  /** True once nobody cares for the lock any more. */
  done: boolean
  /** When it is due: the wheel's own. */
  bucket: number
  /** Why the latest try failed; undefined once one succeeds. */
  failure: RenewalError | undefined
}

export interface LockWheel {
  readonly keep: (kept: Kept) => void
  /** Nobody cares for the lock any more: the wheel forgets it, and what it holds. */
  readonly release: (kept: Kept) => void
  /** Renewals that the broker has confirmed. */
  readonly renewals: () => number
}

/** Locks become due in steps of this many milliseconds: a step late, never early, so that none is due for ever. */
const step = 100

/** A failed renewal is tried again after this many milliseconds at the earliest. */
const pause = 1_000

/** How many renewals of one step are on their way at a time. */
const concurrency = 8

/** Renewal starts this long before a lock ends: a third of its life, at most ten seconds. */
const marginOf = (duration: number): number => Math.min(10_000, duration / 3)

/** Notes that a renewal which was asked for at `now` succeeded: the broker's clock for it started no earlier. */
export const renewed = (lock: Lock, now: number): void => {
  lock.expiresAt = Math.max(lock.expiresAt, now + lock.duration)
}

export const make = Effect.fnUntraced(function*(
  renew: (token: string) => Effect.Effect<unknown, RenewalError>
): Effect.fn.Return<LockWheel, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const latch = Latch.makeUnsafe(false)
  const buckets = new Map<number, Set<Kept>>()
  let renewals = 0

  const put = (kept: Kept, at: number): void => {
    kept.bucket = Math.ceil(at / step) * step
    const due = buckets.get(kept.bucket)
    if (due === undefined) {
      buckets.set(kept.bucket, new Set([kept]))
      latch.openUnsafe()
    } else due.add(kept)
  }

  const dueAt = ({ lock, until }: Kept): number => {
    const at = lock.expiresAt - marginOf(lock.duration)
    // Once the budget is over there is only the end of the lock to wait for.
    return at > until ? lock.expiresAt : at
  }

  const lose = (kept: Kept): void => {
    kept.done = true
    const failed = kept.failure !== undefined || monotonic(clock) <= kept.until
    kept.onLost(failed ? "failed" : "budget", kept.failure)
  }

  const handle = Effect.fnUntraced(function*(kept: Kept) {
    const { lock } = kept
    const now = monotonic(clock)
    if (!lock.held()) kept.done = true
    if (kept.done) return
    if (now >= lock.expiresAt) return lose(kept)
    if (now > kept.until) return put(kept, lock.expiresAt)
    if (dueAt(kept) > now) return put(kept, dueAt(kept))
    const result = yield* Effect.result(Effect.timeoutOption(renew(lock.token), lock.expiresAt - now))
    if (result._tag === "Success" && result.success._tag === "Some") {
      renewals++
      kept.failure = undefined
      renewed(lock, now)
      if (!kept.done) put(kept, dueAt(kept))
      return
    }
    if (!lock.held()) kept.done = true
    if (kept.done) return
    kept.failure = result._tag === "Failure" ? result.failure : new OperationTimeoutError({
      operation: "renewLock",
      outcome: "unknown",
      description: "the peer did not answer before the lock ended"
    })
    if (kept.failure._tag === "MessageLockLostError" || kept.failure._tag === "SessionLockLostError") return lose(kept)
    // Within the lock's life there is time for a few more tries.
    const after = monotonic(clock)
    put(kept, Math.min(lock.expiresAt, after + Math.max(pause, (lock.expiresAt - after) / 4)))
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
    const live = [...due]
    // Beside the wheel: a broker that is slow for one lock must not cost the others theirs.
    yield* Effect.forkChild(Effect.forEach(live, handle, { concurrency, discard: true }), { startImmediately: true })
  })
  yield* Effect.forkScoped(Effect.forever(turn), { startImmediately: true })

  return {
    keep: (kept) => put(kept, dueAt(kept)),
    release: (kept) => {
      kept.done = true
      const due = buckets.get(kept.bucket)
      if (due !== undefined && due.delete(kept) && due.size === 0) buckets.delete(kept.bucket)
    },
    renewals: () => renewals
  }
})
