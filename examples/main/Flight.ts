/**
 * A flight, and the topic of flights. The topic takes lines of a file as they are, whatever they hold, and its subscriptions
 * give each back decoded: a Flight, or what is wrong with the line in a word that can be counted.
 */
import { Data, Result, Schema, type SchemaIssue } from "effect"
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"

const Airport = Schema.String.check(Schema.isPattern(/^[A-Z]{3}$/))

const daysIn = (year: number, month: number): number =>
  month === 2 ? (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28) : 30 + ((month + (month >> 3)) % 2)

/** A minute of the calendar; the statistics that flights come from begin in 1987. */
const isDate = Schema.makeFilter<string>((text) => {
  const match = /^(\d{4})\/(\d\d)\/(\d\d) (\d\d):(\d\d)$/.exec(text)
  if (match === null) return false
  const [year, month, day, hour, minute] = match.slice(1).map(Number) as [number, number, number, number, number]
  return year >= 1987 && year <= 2099 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) &&
    hour <= 23 && minute <= 59
}, { expected: "a date from 1987 to 2099 as YYYY/MM/DD hh:mm" })

export class Flight extends Schema.Class<Flight>("Flight")({
  id: Schema.String.check(Schema.isBetweenLength(1, 64)),
  /** Local time at the origin. */
  date: Schema.String.check(isDate),
  /** Minutes late; less than zero for early. */
  delay: Schema.Int.check(Schema.isBetween({ minimum: -1440, maximum: 10_080 })),
  /** Miles. */
  distance: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12_500 })),
  origin: Airport,
  destination: Airport
}) {}

/** A line that is no flight. */
export class BrokenLine extends Data.TaggedError("BrokenLine")<{
  readonly reason: "NotJson" | "MissingField" | "WrongType" | "AbsurdDate" | "OutOfRange"
  readonly description: string
}> {}

const decodeFlight = Schema.decodeUnknownResult(Flight)

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** The flight of a line, or what is wrong with it. */
export const decode = (line: Uint8Array): Result.Result<Flight, BrokenLine> => {
  let json: unknown
  try {
    json = JSON.parse(utf8.decode(line))
  } catch {
    return Result.fail(new BrokenLine({ reason: "NotJson", description: "The line is not JSON in UTF-8" }))
  }
  return Result.mapError(
    decodeFlight(json),
    ({ issue, message }) =>
      new BrokenLine({ reason: reasonOf(issue), description: message.replace(/\s+/g, " ").slice(0, 512) })
  )
}

/** Schema says precisely what is wrong; the report has one word for it. */
const reasonOf = (issue: SchemaIssue.Issue, field?: PropertyKey): BrokenLine["reason"] => {
  switch (issue._tag) {
    case "Composite":
      return reasonOf(issue.issues[0], field)
    case "Pointer":
      return reasonOf(issue.issue, issue.path[0])
    case "Encoding":
      return reasonOf(issue.issue, field)
    case "MissingKey":
      return "MissingField"
    case "Filter":
      return field === "date" ? "AbsurdDate" : "OutOfRange"
    default:
      return "WrongType"
  }
}

/** What is in a line. */
export type Line = Result.Result<Flight, BrokenLine>

/** The topic, and its subscriptions: one for flights, and one for broken lines. */
export interface Entities {
  readonly topic: ServiceBusEntity.Topic<Line, Uint8Array>
  readonly flights: ServiceBusEntity.Subscription<Line>
  readonly broken: ServiceBusEntity.Subscription<Line>
}

/** The contracts: lines go in as bytes, and decoding one never fails but gives a Result. */
export const entities = (name: string): Entities => {
  const topic: Entities["topic"] = ServiceBusEntity.topic(name, {
    body: ServiceBusBody.make({
      contentType: "application/json",
      encode: ServiceBusBody.bytes.encode,
      decode: (sections) => Result.map(ServiceBusBody.bytes.decode(sections), decode)
    })
  })
  return {
    topic,
    flights: ServiceBusEntity.subscription(topic, "flights"),
    broken: ServiceBusEntity.subscription(topic, "broken")
  }
}
