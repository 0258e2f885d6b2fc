/**
 * Durations as JSON: written as ISO 8601 ("PT5M"), read as that, as words ("5 minutes") or as milliseconds.
 *
 * A file of its own because settings of entities, messages and the routes of the control API have them.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const iso = Schema.decodeUnknownOption(Schema.DurationFromIsoString)

/** What is expected, in an error. */
export const expected = "Expected milliseconds, a duration of ISO 8601 such as \"PT5M\", or words such as \"5 minutes\""

/** A duration; none where it is not one. */
export const read = (json: number | string): Option.Option<Duration.Duration> =>
  typeof json === "number"
    ? Number.isNaN(json) ? Option.none() : Option.some(Duration.millis(json))
    : Option.orElse(iso(json.trim()), () => Duration.fromInput(json.trim() as Duration.Input))

/** Milliseconds in ISO 8601. */
export const write = (millis: number): string => {
  const parts: Array<string> = []
  let left = millis
  for (const [unit, size] of [["D", 86_400_000], ["H", 3_600_000], ["M", 60_000]] as const) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) parts.push(`${count}${unit}`)
  }
  // Milliseconds have three places, and what is less has no name.
  const seconds = left === 0 ? "" : `${Number((left / 1000).toFixed(6))}S`
  const days = parts[0]?.endsWith("D") === true ? parts.shift()! : ""
  const time = `${parts.join("")}${seconds}`
  return time === "" ? `P${days === "" ? "T0S" : days}` : `P${days}T${time}`
}
