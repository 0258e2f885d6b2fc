/**
 * Values as texts of XML Schema: what the management API writes durations, times, numbers and booleans as. Durations and times
 * are .NET's, which count ticks of 100 ns: its greatest duration stands for one without end.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

/** How a value is read of a text, and written. */
export interface Codec<A> {
  readonly expected: string
  /** Undefined where the text is none of it. */
  readonly parse: (text: string) => A | undefined
  readonly print: (value: A) => string
}

export const string: Codec<string> = { expected: "a text", parse: (text) => text, print: (text) => text }

export const boolean: Codec<boolean> = {
  expected: "true or false",
  parse: (text) => {
    switch (text.trim().toLowerCase()) {
      case "true":
      case "1":
        return true
      case "false":
      case "0":
        return false
      default:
        return undefined
    }
  },
  print: String
}

export const integer: Codec<number> = {
  expected: "a whole number",
  parse: (text) => {
    const number = /^\s*[+-]?\d{1,16}\s*$/.test(text) ? Number(text) : NaN
    return Number.isSafeInteger(number) ? number : undefined
  },
  print: String
}

export const double: Codec<number> = {
  expected: "a number",
  parse: (text) => {
    const trimmed = text.trim()
    if (trimmed === "INF") return Infinity
    if (trimmed === "-INF") return -Infinity
    if (trimmed === "NaN") return NaN
    return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(trimmed) ? Number(trimmed) : undefined
  },
  print: (value) =>
    value === Infinity ? "INF" : value === -Infinity ? "-INF" : Object.is(value, -0) ? "-0" : String(value)
}

const ticksPerSecond = 10_000_000n
const ticksPerDay = 86_400n * ticksPerSecond

/** TimeSpan.MaxValue, P10675199DT2H48M5.4775807S. */
const longest = 2n ** 63n - 1n

const isoDuration =
  /^(-)?P(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})D)?(?:T(?:(\d{1,15})H)?(?:(\d{1,15})M)?(?:(\d{1,18})(?:\.(\d{1,9})\d*)?S)?)?$/

export const duration: Codec<Duration.Duration> = {
  expected: "a duration such as PT1M30S",
  parse: (text) => {
    const parts = isoDuration.exec(text.trim())
    if (parts === null || /[PT]$/.test(text.trim())) return undefined
    const [, sign, years, months, days, hours, minutes, seconds, fraction] = parts
    const of = (part: string | undefined) => BigInt(part ?? 0)
    // A year is 365 days and a month 30, as .NET reads them.
    const wholeDays = of(years) * 365n + of(months) * 30n + of(days)
    const wholeSeconds = of(hours) * 3600n + of(minutes) * 60n + of(seconds)
    const ticks = wholeDays * ticksPerDay + wholeSeconds * ticksPerSecond + of(fraction?.padEnd(7, "0").slice(0, 7))
    if (ticks >= longest) return sign === undefined ? Duration.infinity : Duration.negativeInfinity
    const signed = sign === undefined ? ticks : -ticks
    return signed % 10_000n === 0n ? Duration.millis(Number(signed / 10_000n)) : Duration.nanos(signed * 100n)
  },
  print: (value) => {
    const ticks = ticksOf(value)
    const absolute = ticks < 0n ? -ticks : ticks
    const days = absolute / ticksPerDay
    const seconds = (absolute % ticksPerDay) / ticksPerSecond
    const fraction = String(absolute % ticksPerSecond).padStart(7, "0").replace(/0+$/, "")
    const part = (amount: bigint, unit: string) => amount === 0n ? "" : `${amount}${unit}`
    const rest = seconds % 60n
    const time = part(seconds / 3600n, "H") + part((seconds / 60n) % 60n, "M") +
      (rest === 0n && fraction === "" ? "" : `${rest}${fraction === "" ? "" : `.${fraction}`}S`)
    const iso = part(days, "D") + (time === "" ? "" : `T${time}`)
    return `${ticks < 0n ? "-" : ""}P${iso === "" ? "T0S" : iso}`
  }
}

const ticksOf = (value: Duration.Duration): bigint => {
  if (!Duration.isFinite(value)) return Duration.isNegative(value) ? -longest : longest
  const ticks = Duration.toNanosUnsafe(value) / 100n
  return ticks > longest ? longest : ticks < -longest ? -longest : ticks
}

const isoDateTime = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)?$/

/** The first and the last time that .NET knows, in milliseconds of Unix time. */
const firstTime = Date.parse("0001-01-01T00:00:00Z")
const lastTime = Date.parse("9999-12-31T23:59:59.999Z")

/** Whether a time can be written. */
export const isTime = (millis: number): boolean => millis >= firstTime && millis <= lastTime

/** A time has milliseconds here; without a zone it is UTC. */
export const dateTime: Codec<DateTime.Utc> = {
  expected: "a time such as 2020-07-05T11:12:13Z",
  parse: (text) => {
    const parts = isoDateTime.exec(text.trim())
    if (parts === null || parts[1] === "0000") return undefined
    const [, year, month, day, hour, minute, second, fraction = "", zone = "Z"] = parts
    const millis = fraction.padEnd(3, "0").slice(0, 3)
    const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${millis}${zone}`)
    // JavaScript takes 30 February for 1 March.
    const isDay = new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number(day)
    return isDay && isTime(time) ? DateTime.makeUnsafe(time) : undefined
  },
  print: (value) => DateTime.formatIso(value).replace(/\.?0*Z$/, "Z")
}
