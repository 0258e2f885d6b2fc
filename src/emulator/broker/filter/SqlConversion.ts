/**
 * What SET makes of a value where the property that it overwrites has another type (Service Bus, SQL action syntax: SET performs
 * implicit conversion if possible when the expression type and the existing property type are different).
 *
 * Which conversions there are, and that an action fails without one, is said by Microsoft's library for .NET Framework,
 * SetPropertyExpression: texts become GUIDs, URIs and spans of time and are made of them, and all else is what
 * `Convert.ChangeType` does with the invariant culture.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import * as Decimal from "./Decimal.ts"
import { FilterError } from "./FilterMessage.ts"
import * as SqlValue from "./SqlValue.ts"

/**
 * A value in the type of the one before it, which has no say where it is null or of a type that no .NET client gives a property.
 * Throws a `FilterError` where there is no such conversion.
 *
 * @category conversions
 */
export const convert = (before: AmqpValue.AmqpValue, value: AmqpValue.AmqpValue): AmqpValue.AmqpValue => {
  const type = typeOf(before)
  if (type === undefined || type === typeOf(value)) return value
  const given = SqlValue.fromAmqp(value)
  if (given === undefined) return isReference(type) ? null : fail("null", type)
  switch (type) {
    case "string":
      return toText(given)
    case "boolean":
      return toBoolean(given)
    case "char":
      return SqlValue.toAmqp(toChar(given))
    case "uuid":
      return SqlValue.toAmqp(toUuid(given))
    case "timestamp":
      return SqlValue.toAmqp(toTime(given))
    case "timespan":
      return SqlValue.toAmqp(toSpan(given))
    case "uri":
      return toUri(given)
    case "binary":
      return fail(given, type)
    case "double":
      return AmqpValue.typed(type, toDouble(given))
    case "float":
      return AmqpValue.typed(type, typeof given === "bigint" ? SqlValue.toSingle(given) : Math.fround(toDouble(given)))
    case "decimal32":
    case "decimal64":
    case "decimal128":
      return SqlValue.toAmqp(toDecimal(given))
    default: {
      const whole = toWhole(given)
      const [least, most] = ranges[type]
      if (whole < least || whole > most) throw new FilterError(`Value was either too large or too small for a ${type}.`)
      return AmqpValue.typed(type, type === "long" || type === "ulong" ? whole : Number(whole))
    }
  }
}

const integers = (bits: bigint): readonly [bigint, bigint] => [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]

const ranges = {
  ubyte: [0n, 255n],
  ushort: [0n, 65_535n],
  uint: [0n, 2n ** 32n - 1n],
  ulong: [0n, 2n ** 64n - 1n],
  byte: integers(8n),
  short: integers(16n),
  int: integers(32n),
  long: integers(64n)
} satisfies { readonly [type: string]: readonly [bigint, bigint] }

type Type =
  | keyof typeof ranges
  | "string"
  | "boolean"
  | "char"
  | "uuid"
  | "timestamp"
  | "timespan"
  | "uri"
  | "binary"
  | "double"
  | "float"
  | "decimal32"
  | "decimal64"
  | "decimal128"

const types: ReadonlySet<string> = new Set<Type>([
  ...(Object.keys(ranges) as ReadonlyArray<keyof typeof ranges>),
  "string",
  "boolean",
  "char",
  "uuid",
  "timestamp",
  "binary",
  "double",
  "float",
  "decimal32",
  "decimal64",
  "decimal128"
])

/** What null can be in .NET. */
const isReference = (type: Type): boolean => type === "string" || type === "uri" || type === "binary"

/** The AMQP type that a value is written as, described ones of .NET among them; undefined for null and all others. */
const typeOf = (value: AmqpValue.AmqpValue): Type | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return typeof value as "string" | "boolean"
    case "bigint":
      return value > ranges.long[1] ? "ulong" : "long"
    case "number":
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) return "double"
      return value >= ranges.int[0] && value <= ranges.int[1] ? "int" : "long"
    default:
  }
  if (value === null || value === undefined) return undefined
  if (AmqpValue.isTyped(value) && types.has(value.type)) return value.type as Type
  const given = SqlValue.fromAmqp(value)
  if (given instanceof Uint8Array) return "binary"
  if (given instanceof SqlValue.Span) return "timespan"
  // The other form of a time, DateTimeOffset, is described.
  if (given instanceof SqlValue.Time) return AmqpValue.isTyped(value) ? undefined : "timestamp"
  return given instanceof SqlValue.Opaque && given.value instanceof URL ? "uri" : undefined
}

const fail = (value: SqlValue.Value | "null", type: string): never => {
  const from = value === "null" ? "null" : SqlValue.typeName(value)
  throw new FilterError(`Invalid cast from '${from}' to '${type}'.`)
}

const malformed = (type: string): never => {
  throw new FilterError(`The text is not in the form of a ${type}.`)
}

/** As C# writes it. Throws a `FilterError`. @category conversions */
export const toText = (value: Exclude<SqlValue.Value, undefined>): string => {
  if (value instanceof SqlValue.Span) return spanText(value.ticks)
  if (value instanceof SqlValue.Time) return timeText(value.ticks)
  if (value instanceof SqlValue.Opaque) return value.value instanceof URL ? value.value.href : fail(value, "string")
  return value instanceof Uint8Array ? fail(value, "string") : SqlValue.toText(value)
}

/** A half becomes the even number beside it, as in .NET. */
const toWhole = (value: SqlValue.Value): bigint => {
  if (typeof value === "bigint") return value
  if (typeof value === "boolean") return value ? 1n : 0n
  if (value instanceof SqlValue.Char) return BigInt(value.code)
  if (value instanceof SqlValue.Single) return rounded(value.value)
  if (typeof value === "number") return rounded(value)
  if (value instanceof Decimal.Decimal) return Decimal.toInteger(value)
  if (typeof value !== "string") return fail(value, "integer")
  return /^\s*[+-]?\d+\s*$/.test(value) ? BigInt(value.trim().replace("+", "")) : malformed("whole number")
}

const rounded = (value: number): bigint => {
  if (!Number.isFinite(value)) throw new FilterError("Value was either too large or too small for an integer.")
  const below = Math.floor(value)
  const rest = value - below
  return BigInt(rest < 0.5 || rest === 0.5 && below % 2 === 0 ? below : below + 1)
}

const numberText = /^\s*[+-]?(\d[\d,]*(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$/

const toDouble = (value: SqlValue.Value): number => {
  if (typeof value === "number") return value
  if (typeof value === "bigint" || typeof value === "boolean") return Number(value)
  if (value instanceof SqlValue.Single) return value.value
  if (value instanceof Decimal.Decimal) return Decimal.toNumber(value)
  if (typeof value !== "string") return fail(value, "double")
  if (/^\s*(NaN|-?Infinity)\s*$/.test(value)) return Number(value)
  return numberText.test(value) ? Number(value.replaceAll(",", "")) : malformed("double")
}

/** Of a double 15 digits, of a float 7, as .NET does it. */
const toDecimal = (value: SqlValue.Value): Decimal.Decimal => {
  if (typeof value === "bigint") return Decimal.ofInteger(value)
  if (typeof value === "boolean") return Decimal.ofInteger(value ? 1n : 0n)
  if (value instanceof Decimal.Decimal) return value
  if (typeof value === "number") return Decimal.ofText(Number.isFinite(value) ? value.toPrecision(15) : String(value))
  if (value instanceof SqlValue.Single) return toDecimal(Number(value.value.toPrecision(7)))
  if (typeof value !== "string") return fail(value, "decimal")
  return numberText.test(value) && !/e/i.test(value)
    ? Decimal.ofText(value.trim().replaceAll(",", ""))
    : malformed("decimal")
}

const toBoolean = (value: SqlValue.Value): boolean => {
  if (value instanceof SqlValue.Char) return fail(value, "boolean")
  if (typeof value !== "string") return toDouble(value) !== 0
  const text = value.trim().toLowerCase()
  return text === "true" || text === "false" ? text === "true" : malformed("boolean")
}

const toChar = (value: SqlValue.Value): SqlValue.Char => {
  if (typeof value === "bigint" && value >= 0n && value <= 0xffffn) return new SqlValue.Char(Number(value))
  return typeof value === "string" && value.length === 1
    ? new SqlValue.Char(value.charCodeAt(0))
    : typeof value === "string"
    ? malformed("char")
    : fail(value, "char")
}

const toUuid = (value: SqlValue.Value): SqlValue.Uuid => {
  if (typeof value !== "string") return fail(value, "uuid")
  const digits = value.trim().replace(/^\{(.*)\}$|^\((.*)\)$/, "$1$2")
  const parts = /^([0-9a-f]{8})(-?)([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{12})$/i.exec(digits)
  if (parts === null) return malformed("uuid")
  return new SqlValue.Uuid([parts[1], ...parts.slice(3)].join("-"))
}

const toUri = (value: SqlValue.Value): URL => {
  if (typeof value !== "string") return fail(value, "uri")
  return URL.canParse(value) ? new URL(value) : malformed("uri")
}

const ticksPerSecond = 10_000_000n

/** Sign, days, hours, minutes, seconds and their fraction. */
const spans = [
  /^\s*(-?)(?:(\d{1,8})\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*$/,
  /^\s*(-?)(\d{1,8}):(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,7}))?\s*$/,
  /^\s*(-?)(\d{1,8})\s*$/
]

/** `TimeSpan.Parse`: days, `[d.]hh:mm[:ss[.fffffff]]` or `d:hh:mm:ss[.fffffff]`. Throws a `FilterError`. @category conversions */
export const toSpan = (value: SqlValue.Value): SqlValue.Span => {
  if (value instanceof SqlValue.Span) return value
  if (typeof value !== "string") return fail(value, "timespan")
  const parts = spans.map((form) => form.exec(value)).find((each) => each !== null)
  if (parts === undefined) return malformed("timespan")
  const [, sign, days = "0", hours = "0", minutes = "0", seconds = "0", fraction = ""] = parts
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return malformed("timespan")
  const all = ((BigInt(days) * 24n + BigInt(hours)) * 60n + BigInt(minutes)) * 60n + BigInt(seconds)
  const ticks = all * ticksPerSecond + BigInt(fraction.padEnd(7, "0"))
  return new SqlValue.Span(sign === "-" ? -ticks : ticks)
}

/** `[-][d.]hh:mm:ss[.fffffff]` */
const spanText = (ticks: bigint): string => {
  const size = ticks < 0n ? -ticks : ticks
  const seconds = size / ticksPerSecond
  const days = seconds / 86_400n
  const fraction = size % ticksPerSecond
  return `${ticks < 0n ? "-" : ""}${days === 0n ? "" : `${days}.`}${clockText(seconds % 86_400n)}${
    fraction === 0n ? "" : `.${String(fraction).padStart(7, "0")}`
  }`
}

const clockText = (seconds: bigint): string =>
  [seconds / 3600n, seconds / 60n % 60n, seconds % 60n].map((each) => String(each).padStart(2, "0")).join(":")

/** `MM/dd/yyyy HH:mm:ss` */
const timeText = (ticks: bigint): string => {
  const date = new Date(Number(ticks / 10_000n))
  const day = [date.getUTCMonth() + 1, date.getUTCDate()].map((each) => String(each).padStart(2, "0"))
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map((each) =>
    String(each).padStart(2, "0")
  )
  return `${day.join("/")}/${String(date.getUTCFullYear()).padStart(4, "0")} ${clock.join(":")}`
}

const iso =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/i
const american =
  /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/i

/**
 * Of `DateTime.Parse` the forms `yyyy-MM-dd[ HH:mm[:ss[.fffffff]]]` and `MM/dd/yyyy[ HH:mm[:ss]]`, in UTC where no other zone is
 * said. Throws a `FilterError`.
 *
 * @category conversions
 */
export const toTime = (value: SqlValue.Value): SqlValue.Time => {
  if (value instanceof SqlValue.Time) return value
  if (typeof value !== "string") return fail(value, "timestamp")
  const text = value.trim()
  const isIso = iso.test(text)
  const parts = (isIso ? iso : american).exec(text)
  if (parts === null) return malformed("timestamp")
  const [, one, two, three, hour = "0", minute = "0", second = "0", fraction = "", zone = "Z"] = parts
  const [year, month, day] = (isIso ? [one, two, three] : [three, one, two]).map(Number)
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return malformed("timestamp")
  const date = new Date(0)
  date.setUTCFullYear(year!, month! - 1, day!)
  date.setUTCHours(Number(hour), Number(minute), Number(second))
  // A month of 13 or a 30th of February is the day of another month.
  if (date.getUTCMonth() !== month! - 1 || date.getUTCDate() !== day!) return malformed("timestamp")
  const away = /^([+-])(\d{2}):?(\d{2})$/.exec(zone)
  const offset = away === null ? 0 : (Number(away[2]) * 60 + Number(away[3])) * (away[1] === "-" ? -60_000 : 60_000)
  return new SqlValue.Time(BigInt(date.getTime() - offset) * 10_000n + BigInt(fraction.padEnd(7, "0")))
}
