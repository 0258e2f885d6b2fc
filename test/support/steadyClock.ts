/**
 * Real time for tests of sockets whose locks and outages last for a time: it goes no faster than the process gets on. Where the
 * machine is busy, each turn of the event loop takes longer, and what a program does in a second by this clock stays the same.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** How often it goes on, and by how much at most: what a machine that has nothing else to do takes for it. In milliseconds. */
const tick = 5
const most = 2 * tick

class SteadyClock implements Clock.Clock {
  private millis = Date.now()
  private last = performance.now()
  private readonly sleepers = new Set<{ readonly until: number; readonly wake: () => void }>()
  private readonly timer = setInterval(() => {
    const now = performance.now()
    this.millis += Math.min(now - this.last, most)
    this.last = now
    for (const sleeper of this.sleepers) {
      if (sleeper.until > this.millis) continue
      this.sleepers.delete(sleeper)
      sleeper.wake()
    }
  }, tick)

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.millis)
  }
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.floor(this.millis * 1000)) * 1000n
  }
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    return Effect.callback((resume) => {
      const sleeper = { until: this.millis + millis, wake: () => resume(Effect.void) }
      this.sleepers.add(sleeper)
      return Effect.sync(() => {
        this.sleepers.delete(sleeper)
      })
    })
  }
  stop(): void {
    clearInterval(this.timer)
  }
}

/** Runs an effect, and the layers that are provided to it, by such a clock. */
export const steadily = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new SteadyClock()),
    (clock) => Effect.provideService(effect, Clock.Clock, clock),
    (clock) => Effect.sync(() => clock.stop())
  )
