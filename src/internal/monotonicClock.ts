/**
 * The clock by which durations are measured. It is never set, so that a wall clock that jumps ends nothing too early or late.
 *
 * A file of its own because every folder reads the clock, and no other file stands below them all.
 */
import type * as Clock from "effect/Clock"

/** Milliseconds of the monotonic clock. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

/**
 * A time to wait, as a whole number of milliseconds, so that a wait never ends early. A fraction would leave a rest too small
 * for a clock to pass, and a wait in steps would repeat it for ever.
 */
export const wholeMillis = (millis: number): number => Math.ceil(millis)
