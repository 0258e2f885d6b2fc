/**
 * Durations as options: what a caller gave, as milliseconds.
 */
import * as Duration from "effect/Duration"

/** Milliseconds of a duration, Infinity included; NaN for what is none. `Duration` itself takes NaN for zero. */
export const toMillis = (input: Duration.Input): number => {
  if (typeof input === "number" && Number.isNaN(input)) return NaN
  const duration = Duration.fromInput(input)
  return duration._tag === "None" ? NaN : Duration.toMillis(duration.value)
}
