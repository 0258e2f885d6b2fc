/**
 * What the day should come to, without a broker: one pass over the file with JSON.parse and rules by hand. It shares no
 * decoding with the job, so that the two can check each other.
 */
import { Effect, Stream } from "effect"
import { type Airport, Delays } from "./Airports.ts"
import * as lines from "./lines.ts"

export interface PlainPass {
  /** Flights that should have been completed. */
  readonly flights: number
  /** Lines that are no flights, and were sent. */
  readonly broken: number
  readonly airports: ReadonlyArray<Airport>
}

const isFlight = (u: any): boolean => {
  if (typeof u !== "object" || u === null) return false
  const { date, delay, destination, distance, id, origin } = u
  return typeof id === "string" && id.length >= 1 && id.length <= 64 &&
    typeof date === "string" && isDate(date) &&
    Number.isInteger(delay) && delay >= -1440 && delay <= 10_080 &&
    Number.isInteger(distance) && distance >= 1 && distance <= 12_500 &&
    [origin, destination].every((airport) => typeof airport === "string" && /^[A-Z]{3}$/.test(airport))
}

const isDate = (text: string): boolean => {
  if (!/^(19|20)\d\d\/\d\d\/\d\d \d\d:\d\d$/.test(text) || text < "1987") return false
  const iso = text.replaceAll("/", "-").replace(" ", "T")
  const date = new Date(`${iso}Z`)
  // A day that does not exist is refused, or moved to the next month.
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(iso)
}

/** Reads the file again. `refused` are the numbers of the lines that never became messages. */
export const make = Effect.fnUntraced(function*(options: {
  readonly file: string
  readonly poison: string | undefined
  readonly refused: ReadonlySet<number>
}) {
  const utf8 = new TextDecoder("utf-8", { fatal: true })
  const delays = new Delays()
  const seen = new Set<string>()
  let flights = 0
  let broken = 0
  yield* Stream.runForEachArray(lines.ofFile(options.file), (chunk) =>
    Effect.sync(() => {
      for (const line of chunk) {
        if (options.refused.has(line.number)) continue
        let flight: any
        try {
          flight = JSON.parse(utf8.decode(line.bytes))
        } catch {
          flight = undefined
        }
        if (!isFlight(flight)) {
          broken++
          continue
        }
        if (seen.has(flight.id)) continue
        seen.add(flight.id)
        if (flight.id === options.poison) continue
        flights++
        delays.add(flight.origin, flight.delay)
      }
    }))
  return { flights, broken, airports: delays.ranking() } satisfies PlainPass
})
