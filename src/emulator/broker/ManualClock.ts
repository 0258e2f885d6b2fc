/**
 * A clock whose time stands still until it is advanced: the time of a namespace in the hands of a test.
 *
 * An advance goes from one instant at which something is due to the next. What is due at one sees that time, and has happened
 * before the clock goes on; when the advance is over, all of it has. Deadline timers register themselves and have no fiber; what
 * else sleeps on the clock is woken in its turn, and goes on as soon as its fiber is scheduled.
 *
 * Effect's TestClock is not it: it warns of tests that forget it, keeps a tracker over the Scheduler, and waits a second of real
 * time for fibers that are busy. Here what is due is synchronous.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Heap } from "./Heap.ts"

/**
 * What an advance wakes: when it is due next, in milliseconds, and what is done then.
 *
 * @category models
 */
export interface Due {
  readonly next: () => number | undefined
  readonly fire: Effect.Effect<void>
}

interface Sleeper {
  readonly until: number
  slot: number
  readonly wake: () => void
}

/** How many instants are passed before others have a turn: a long advance may pass millions. */
const steps = 64

/**
 * A clock that is advanced by hand.
 *
 * @category models
 */
export class ManualClock implements Clock.Clock {
  /** The last time that there is, in milliseconds: the last one that .NET knows. */
  static readonly latest = 253_402_300_799_999
  private millis: number
  private readonly startedAt: number
  private readonly due = new Set<Due>()
  private readonly sleepers = new Heap<Sleeper>((a, b) => a.until < b.until, (sleeper, slot) => {
    sleeper.slot = slot
  })
  /** Two advances are one after the other. */
  private readonly turn = Semaphore.makeUnsafe(1)

  /** The time is milliseconds. */
  constructor(startAt: number) {
    this.millis = Math.floor(startAt)
    this.startedAt = this.millis
    this.register({
      next: () => this.sleepers.peek()?.until,
      fire: Effect.sync(() => {
        while ((this.sleepers.peek()?.until ?? Infinity) <= this.millis) {
          const sleeper = this.sleepers.pop()!
          sleeper.slot = -1
          sleeper.wake()
        }
      })
    })
  }

  /** Has an advance see to what is due; gives what ends that. */
  register(due: Due): () => void {
    this.due.add(due)
    return () => {
      this.due.delete(due)
    }
  }

  /**
   * Goes on by so many milliseconds. An interruption leaves the clock at the instant that it had come to, with all done that was
   * due until then.
   */
  advance(by: number): Effect.Effect<void> {
    return this.turn.withPermits(1)(
      Effect.suspend(() => this.advanceTo(Math.min(this.millis + Math.ceil(by), ManualClock.latest)))
    )
  }

  private readonly advanceTo = Effect.fnUntraced(function*(this: ManualClock, end: number) {
    for (let step = 1;; step++) {
      let first: Due | undefined
      let at = Infinity
      for (const due of this.due) {
        const next = due.next()
        if (next !== undefined && next < at) {
          first = due
          at = next
        }
      }
      if (first === undefined || at > end) break
      // A deadline may be a part of a millisecond.
      this.millis = Math.max(this.millis, Math.ceil(at))
      yield* first.fire
      if (step % steps === 0) yield* Effect.yieldNow
    }
    this.millis = end
  })

  currentTimeMillisUnsafe(): number {
    return this.millis
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.millis) * 1_000_000n
  }

  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(this.millis - this.startedAt) * 1_000_000n
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    if (millis === Infinity) return Effect.never
    return Effect.callback((resume) => {
      const sleeper: Sleeper = { until: this.millis + millis, slot: -1, wake: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        if (sleeper.slot >= 0) this.sleepers.removeAt(sleeper.slot)
      })
    })
  }
}
