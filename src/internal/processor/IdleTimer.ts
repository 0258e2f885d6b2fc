/**
 * Since when a processor has nothing to do, by the monotonic clock, and the fibers that wait for that.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { monotonic } from "../monotonicClock.ts"

export class IdleTimer {
  /** In milliseconds; undefined while there is something to do. */
  since: number | undefined
  /** How often it became idle. */
  times = 0
  private readonly clock: Clock.Clock
  private readonly waiting = new Set<() => void>()

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** There is something to do, or nothing. */
  note(isBusy: boolean): void {
    if (isBusy) this.since = undefined
    else if (this.since === undefined) {
      this.since = monotonic(this.clock)
      this.times++
      // A fiber that is woken may wait anew.
      const waiting = [...this.waiting]
      this.waiting.clear()
      for (const resume of waiting) resume()
    }
  }

  /** How many milliseconds are left until it was idle for so long; undefined while it is not idle. */
  left(millis: number): number | undefined {
    return this.since === undefined ? undefined : this.since + millis - monotonic(this.clock)
  }

  /** Completes when it has become idle more often than its caller has seen. */
  idleAfter(seen: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      // A fiber may yield before it comes here, and is not woken then.
      if (this.times > seen) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.waiting.add(wake)
      return Effect.sync(() => this.waiting.delete(wake))
    })
  }
}
