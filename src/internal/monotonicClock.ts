/**
 * The clock that what lasts is measured by: nobody sets it, so that a wall clock that jumps ends nothing too early or late.
 */
import type * as Clock from "effect/Clock"

/** Milliseconds of the monotonic clock. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

/**
 * A time to wait as it is waited for: a whole number of milliseconds, so that it never ends before its time. A fraction would
 * leave a rest too small for a clock to pass, and whoever waits in steps would ask for it for ever.
 */
export const whole = (millis: number): number => Math.ceil(millis)
