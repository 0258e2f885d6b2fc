/**
 * Keeps locks alive: one record per lock and one supervised fiber per receiver, which renews each lock before it ends,
 * many with one request where it is told to, tries again within the lock's life when that fails, and says so when a lock is
 * lost.
 *
 * A lock's clock starts when its message is received and is monotonic: no wall clock of this machine is trusted after that.
 * What the broker says of a renewal is seen from there: the entity may give shorter locks by now.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { type LockRenewalError, OperationTimeoutError, type SessionLockRenewalError } from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic, wholeMillis } from "../monotonicClock.ts"

export type RenewalError = LockRenewalError | SessionLockRenewalError

/** The lock of one message or session, the same for all who keep it: each knows of what the others renewed. */
export interface Lock {
  readonly token: string
  /** When the lock ends if it is not renewed: milliseconds of the monotonic clock. */
  expiresAt: number
  /** How long the lock lasts from its receipt or latest renewal on, in milliseconds. */
  duration: number
  /** How long it lasted from its receipt on: it is never taken to last longer. */
  readonly longest: number
  /** What makes a time of the broker's clock one of the monotonic clock, in milliseconds: as seen at its receipt. */
  readonly offset: number
  /** False once the message is settled: then there is nothing to keep. */
  readonly held: () => boolean
  /** How often it was renewed. */
  renewals: number
  /** Why it is lost, where it is: renewing failed, or it ended without being renewed. */
  lost: "failed" | "expired" | undefined
}

/** A lock that is to be kept until a time; each wish to keep the same lock is one of its own. */
export interface KeptLock {
  readonly lock: Lock
  /** When renewing stops, in milliseconds of the monotonic clock. */
  readonly until: number
  /**
   * Called once when the lock is over: after the budget ended, or because renewing failed. Before that with `failing`, where
   * a try to renew it failed and others follow: of all locks for the first one only, until a renewal succeeds or fails with
   * another error.
   */
  readonly onTrouble: (reason: "budget" | "failed" | "failing", cause: RenewalError | undefined) => void
  /** True once the lock is not to be kept any longer. */
  done: boolean
  /** When it is due: set here. */
  bucket: number
  /** Why the latest try failed; undefined once one succeeds. */
  failure: RenewalError | undefined
}

export interface LockRenewal {
  readonly keep: (kept: KeptLock) => void
  /** The lock is not to be kept any longer: it is forgotten, with what it holds. */
  readonly release: (kept: KeptLock) => void
  /** Renewals that the broker has confirmed. */
  readonly renewals: () => number
  /**
   * Notes that a renewal which was asked for at `now` succeeded: the broker's clock for it started no earlier. `until` is when
   * the lock ends by the broker's clock.
   */
  readonly renewed: (lock: Lock, now: number, until: number) => void
  /** Has a function called once, when something happens to a lock; gives what ends it. */
  readonly watch: (lock: Lock, onChange: () => void) => () => void
  /** Whether any lock is watched. */
  readonly isWatched: () => boolean
  /** Tells those who watch a lock. */
  readonly changed: (lock: Lock) => void
}

/** The longest lock that Service Bus gives, in milliseconds. */
const longest = 300_000

/** A duration that a lock can have. */
export const plausible = (duration: number): number => {
  // A wall clock that is off gives nonsense; then the lock is taken for the shortest that the service allows. The
  // embedded broker allows one second, of which the way here has taken some.
  return duration >= 500 && duration <= longest ? duration : 5_000
}

/** A lock to be kept until a time by the monotonic clock. */
export const keptLock = (lock: Lock, until: number, onTrouble: KeptLock["onTrouble"]): KeptLock => ({
  lock,
  until,
  onTrouble,
  done: false,
  bucket: 0,
  failure: undefined
})

export interface Options {
  /** Renews the locks of tokens with one request: all or none. Gives their new ends by the broker's clock, in milliseconds. */
  readonly renew: (tokens: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<number>, RenewalError>
  /** Hears how many locks were renewed, or were not. */
  readonly onResult?: ((count: number, result: "renewed" | "failed") => void) | undefined
  /** The most locks of one request; 1 by default. */
  readonly batch?: number | undefined
  /** What is left of a lock's life when its renewal starts, as a fraction. */
  readonly margin?: number | undefined
}

/** Locks become due in steps of this many milliseconds: a step late, never early, so that none is due for ever. */
const step = 100

/** A failed renewal is tried again after this many milliseconds at the earliest. */
const pause = 1_000

/** How many renewals of one step are on their way at a time. */
const concurrency = 8

/**
 * Renewal starts this long before a lock ends: a third of its life and at most ten seconds, unless a fraction is given. What
 * is due is seen a step late, and the request takes its time.
 */
const marginOf = (duration: number, fraction: number | undefined): number =>
  fraction === undefined
    ? Math.min(10_000, duration / 3)
    : Math.max(duration * fraction, Math.min(2 * step, duration / 2))

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<LockRenewal, never, Scope.Scope> {
  const { batch = 1, margin, onResult, renew } = options
  const clock = yield* Clock.Clock
  const latch = Latch.makeUnsafe(false)
  const buckets = new Map<number, Set<KeptLock>>()
  const watchers = new Map<Lock, Set<() => void>>()
  let renewals = 0
  /** What the renewals of now fail with; undefined while they succeed. */
  let failing: RenewalError["_tag"] | undefined

  const changed = (lock: Lock): void => {
    const listeners = watchers.get(lock)
    watchers.delete(lock)
    if (listeners !== undefined) { for (const onChange of listeners) onChange() }
  }

  const renewed = (lock: Lock, now: number, until: number): void => {
    // An answer may come after that to a later request.
    if (now >= lock.expiresAt - lock.duration) {
      const left = Math.min(lock.longest, until + lock.offset - now)
      lock.duration = Math.min(lock.longest, plausible(left))
      lock.expiresAt = now + lock.duration
    }
    lock.renewals++
    lock.lost = undefined
    changed(lock)
  }

  /** What the fiber sleeps for: nothing later wakes it. */
  let wakesAt = Infinity

  const put = (kept: KeptLock, at: number): void => {
    kept.bucket = Math.ceil(at / step) * step
    const due = buckets.get(kept.bucket)
    if (due === undefined) {
      buckets.set(kept.bucket, new Set([kept]))
      if (kept.bucket < wakesAt) latch.openUnsafe()
    } else due.add(kept)
  }

  const dueAt = ({ lock, until }: KeptLock): number => {
    const at = lock.expiresAt - marginOf(lock.duration, margin)
    // Once the budget is over there is only the end of the lock to wait for.
    return at > until ? lock.expiresAt : at
  }

  const lose = (kept: KeptLock): void => {
    const { lock } = kept
    kept.done = true
    const failed = kept.failure !== undefined || monotonic(clock) <= kept.until
    lock.lost ??= kept.failure === undefined ? "expired" : "failed"
    changed(lock)
    kept.onTrouble(failed ? "failed" : "budget", kept.failure)
  }

  /** True where it is to be renewed now. It is lost where its lock is over, and due later where it is not due yet. */
  const loseOrPostponeUnlessDue = (kept: KeptLock, now: number): boolean => {
    const { lock } = kept
    if (!lock.held()) kept.done = true
    if (kept.done) return false
    if (now >= lock.expiresAt) lose(kept)
    else if (now > kept.until) put(kept, lock.expiresAt)
    else if (dueAt(kept) > now) put(kept, dueAt(kept))
    else return true
    return false
  }

  const failed = (kept: KeptLock, failure: RenewalError): void => {
    const { lock } = kept
    if (!lock.held()) kept.done = true
    if (kept.done) return
    kept.failure = failure
    if (errorMap.isLockLost(failure)) return lose(kept)
    // Within the lock's life there is time for a few more tries.
    const after = monotonic(clock)
    put(kept, Math.min(lock.expiresAt, after + Math.max(pause, (lock.expiresAt - after) / 4)))
    if (failure._tag === failing) return
    failing = failure._tag
    kept.onTrouble("failing", failure)
  }

  /** Renews the locks of all with one request. */
  const renewAll: (all: ReadonlyArray<KeptLock>) => Effect.Effect<void> = Effect.fnUntraced(function*(all) {
    const now = monotonic(clock)
    const live = all.filter((kept) => loseOrPostponeUnlessDue(kept, now))
    if (live.length === 0) return
    const locks = new Set(live.map(({ lock }) => lock))
    let end = Infinity
    for (const { expiresAt } of locks) if (expiresAt < end) end = expiresAt
    const tokens = Array.from(locks, ({ token }) => token)
    const result = yield* Effect.result(Effect.timeoutOption(renew(tokens), wholeMillis(end - now)))
    if (result._tag === "Success" && result.success._tag === "Some") {
      failing = undefined
      const times = result.success.value
      let i = 0
      for (const lock of locks) {
        renewals++
        renewed(lock, now, times[i++]!)
      }
      for (const kept of live) {
        kept.failure = undefined
        if (!kept.done) put(kept, dueAt(kept))
      }
      onResult?.(locks.size, "renewed")
      return
    }
    const failure = result._tag === "Failure" ? result.failure : new OperationTimeoutError({
      operation: "renewLock",
      outcome: "unknown",
      description: "the peer did not answer before the lock ended"
    })
    // One that is gone has all refused: each by itself, it costs no other.
    if (failure._tag === "MessageLockLostError" && locks.size > 1) {
      return yield* Effect.forEach(live, (kept) => renewAll([kept]), { concurrency, discard: true })
    }
    onResult?.(locks.size, "failed")
    for (const kept of live) failed(kept, failure)
  })

  const renewNextDue = Effect.gen(function*() {
    let earliest = Infinity
    for (const at of buckets.keys()) if (at < earliest) earliest = at
    latch.closeUnsafe()
    wakesAt = earliest
    if (earliest === Infinity) return yield* latch.await
    const now = monotonic(clock)
    if (earliest > now) return yield* Effect.raceFirst(Effect.sleep(earliest - now), latch.await)
    const due = buckets.get(earliest)!
    buckets.delete(earliest)
    const live = [...due]
    const requests: Array<ReadonlyArray<KeptLock>> = []
    for (let i = 0; i < live.length; i += batch) requests.push(live.slice(i, i + batch))
    // In a fiber of their own: a broker that is slow for one lock must not cost the others theirs.
    yield* Effect.forkChild(Effect.forEach(requests, renewAll, { concurrency, discard: true }), {
      startImmediately: true
    })
  })
  yield* Effect.forkScoped(Effect.forever(renewNextDue), { startImmediately: true })

  return {
    keep: (kept) => put(kept, dueAt(kept)),
    release: (kept) => {
      kept.done = true
      const due = buckets.get(kept.bucket)
      if (due !== undefined && due.delete(kept) && due.size === 0) buckets.delete(kept.bucket)
    },
    renewals: () => renewals,
    renewed,
    watch: (lock, onChange) => {
      const all = watchers.get(lock) ?? new Set()
      watchers.set(lock, all.add(onChange))
      return () => {
        if (all.delete(onChange) && all.size === 0 && watchers.get(lock) === all) watchers.delete(lock)
      }
    },
    isWatched: () => watchers.size > 0,
    changed
  }
})
