/**
 * The clock that what lasts is measured by: nobody sets it, so that a wall clock that jumps ends nothing too early or late.
 */
import type * as Clock from "effect/Clock"

/** Milliseconds of the monotonic clock. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
