/**
 * Durations as options: what a caller gave, as milliseconds.
 */
import * as Duration from "effect/Duration"
import { whole } from "./amqp/monotonic.ts"

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

/** An object that says nothing of a duration; one whose fields cannot be read is none either. */
const isEmpty = (input: Duration.Input): boolean => {
  try {
    return typeof input === "object" && !Duration.isDuration(input) && Object.keys(input ?? {}).length === 0
  } catch {
    return true
  }
}
