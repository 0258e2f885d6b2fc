/**
 * Durations as options: what a caller gave, as milliseconds.
 */
import * as Duration from "effect/Duration"
import { whole } from "./amqp/monotonic.ts"

/**
 * Milliseconds of a duration, whole and rounded up, Infinity included; NaN for what is none. `Duration` itself takes NaN for zero.
 */
export const toMillis = (input: Duration.Input): number => {
  if (typeof input === "number" && Number.isNaN(input)) return NaN
  const duration = Duration.fromInput(input)
  if (duration._tag === "None") return NaN
  const millis = Duration.toMillis(duration.value)
  // Less than nothing does not become nothing.
  return millis > 0 ? whole(millis) : millis
}
