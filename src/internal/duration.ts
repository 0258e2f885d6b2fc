/**
 * Durations as options: what a caller gave, as milliseconds.
 */
import * as Duration from "effect/Duration"
import { whole } from "./monotonicClock.ts"

/**
 * Milliseconds of a duration, whole and rounded up, Infinity included; NaN for what is none. `Duration` itself takes NaN and
 * `{}` for zero.
 */
export const toMillis = (input: Duration.Input): number => {
  if (typeof input === "number" && Number.isNaN(input) || isEmpty(input)) return NaN
  const duration = Duration.fromInput(input)
  if (duration._tag === "None") return NaN
  const millis = Duration.toMillis(duration.value)
  // Less than nothing does not become nothing.
  return millis > 0 ? whole(millis) : millis
}

const units = new Set(["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"])

/** An object that says nothing of a duration, or something else; one whose fields cannot be read is none either. */
const isEmpty = (input: Duration.Input): boolean => {
  try {
    if (typeof input !== "object" || Duration.isDuration(input) || Array.isArray(input)) return false
    const keys = Object.keys(input ?? {})
    return keys.length === 0 || !keys.every((key) => units.has(key))
  } catch {
    return true
  }
}
