/**
 * The values that filters reckon with, and how operators bind to them: AMQP's types as those of C#, with its promotions (Service
 * Bus, SQL filter syntax: operators follow the semantics of C#).
 *
 * Whole numbers of all sizes are bigints, so that 64 bits are exact; undefined stands for null and for unknown alike, which no
 * operator tells apart. What C# has no operator for is unknown in a comparison and an error in arithmetic.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../AmqpValue.ts"
import * as Decimal from "./Decimal.ts"
import { FilterError } from "./FilterMessage.ts"
import type { Arithmetic } from "./SqlParser.ts"

/** A float of 32 bits. @category models */
export class Single {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

/** A character, which C# reckons with as a number. @category models */
export class Char {
  readonly code: number
  constructor(code: number) {
    this.code = code
  }
}

/** A GUID in lower case: its text is in the order of its values. @category models */
export class Uuid {
  readonly text: string
  constructor(text: string) {
    this.text = text.toLowerCase()
  }
}

/** A time in ticks of 100 ns since 1970. @category models */
export class Time {
  readonly ticks: bigint
  constructor(ticks: bigint) {
    this.ticks = ticks
  }
}

/** A span of time in ticks of 100 ns. @category models */
export class Span {
  readonly ticks: bigint
  constructor(ticks: bigint) {
    this.ticks = ticks
  }
}

/** What has no operator: lists, maps, URIs, other described values. @category models */
export class Opaque {
  readonly value: AmqpValue.AmqpValue
  constructor(value: AmqpValue.AmqpValue) {
    this.value = value
  }
}

/** @category models */
export type Value =
  | undefined
  | boolean
  | string
  | bigint
  | number
  | Decimal.Decimal
  | Single
  | Char
  | Uuid
  | Time
  | Span
  | Uint8Array
  | Opaque

/** The value of a property or a parameter. @category conversions */
export const fromAmqp = (value: AmqpValue.AmqpValue): Value => {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "bigint":
    case "undefined":
      return value
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value
    default:
      return value === null ? undefined : fromObject(value)
  }
}

const fromObject = (value: Exclude<AmqpValue.AmqpValue, null | string | boolean | bigint | number>): Value => {
  if (AmqpValue.isTyped(value)) return fromTyped(value)
  if (DateTime.isDateTime(value)) return new Time(BigInt(DateTime.toEpochMillis(value)) * ticksPerMillisecond)
  if (value instanceof Date) return new Time(BigInt(value.getTime()) * ticksPerMillisecond)
  if (Duration.isDuration(value)) {
    const nanos = Duration.toNanos(value)
    return nanos._tag === "None" ? new Opaque(value) : new Span(nanos.value / 100n)
  }
  return value instanceof Uint8Array ? value : new Opaque(value)
}

const ticksPerMillisecond = 10_000n

/** .NET's ticks count from the year 1. */
const ticksAtEpoch = 621_355_968_000_000_000n

const fromTyped = (value: AmqpValue.Typed | AmqpValue.AmqpArray | AmqpValue.Described): Value => {
  const inner = value.value as never
  switch (value.type) {
    case "ubyte":
    case "ushort":
    case "uint":
    case "ulong":
    case "byte":
    case "short":
    case "int":
    case "long":
      return BigInt(inner)
    case "float":
      return new Single(Math.fround(inner))
    case "double":
      return Number(inner)
    case "decimal32":
    case "decimal64":
    case "decimal128":
      return Decimal.ofBytes(inner) ?? new Opaque(value)
    case "char":
      return new Char(typeof inner === "number" ? inner : (inner as string).codePointAt(0) ?? 0)
    case "timestamp":
      return new Time(BigInt(inner) * ticksPerMillisecond)
    case "uuid":
      return new Uuid(inner)
    case "boolean":
    case "string":
    case "symbol":
    case "binary":
      return inner
    case "described": {
      const { descriptor } = value as AmqpValue.Described
      const name = AmqpValue.isTyped(descriptor) ? descriptor.value : descriptor
      const ticks = fromAmqp(inner)
      if (typeof ticks !== "bigint") return new Opaque(value)
      if (name === "com.microsoft:timespan") return new Span(ticks)
      // C# converts a DateTime to it, and compares the two.
      return name === "com.microsoft:datetime-offset" ? new Time(ticks - ticksAtEpoch) : new Opaque(value)
    }
    case "array":
      return new Opaque(value)
  }
}

/** As it is written where it is a result: a long, a double, a decimal128. @category conversions */
export const toAmqp = (value: Value): AmqpValue.AmqpValue => {
  if (value === undefined) return null
  if (typeof value === "number") return AmqpValue.typed("double", value)
  if (typeof value !== "object" || value instanceof Uint8Array) return value
  if (value instanceof Decimal.Decimal) return AmqpValue.typed("decimal128", Decimal.toBytes(value))
  if (value instanceof Single) return AmqpValue.typed("float", value.value)
  if (value instanceof Char) return AmqpValue.typed("char", textOfCode(value.code))
  if (value instanceof Uuid) return AmqpValue.uuid(value.text)
  if (value instanceof Time) return AmqpValue.typed("timestamp", value.ticks / ticksPerMillisecond)
  return value instanceof Span ? Duration.nanos(value.ticks * 100n) : value.value
}

const isNumeric = (value: Value): value is bigint | number | Decimal.Decimal | Single | Char =>
  typeof value === "bigint" || typeof value === "number" || value instanceof Decimal.Decimal ||
  value instanceof Single || value instanceof Char

/** A negative number, zero or a positive one; NaN where no order holds, undefined where C# has no operator for the two. */
export const compare = (left: Value, right: Value): number | undefined => {
  if (typeof left === "string") return typeof right === "string" ? order(left, right) : undefined
  if (typeof left === "bigint" && typeof right === "bigint") return order(left, right)
  if (isNumeric(left)) return isNumeric(right) ? compareNumbers(left, right) : undefined
  if (typeof left === "boolean") return typeof right === "boolean" ? Number(left) - Number(right) : undefined
  if (left instanceof Uuid) return right instanceof Uuid ? order(left.text, right.text) : undefined
  if (left instanceof Time) return right instanceof Time ? order(left.ticks, right.ticks) : undefined
  if (left instanceof Span) return right instanceof Span ? order(left.ticks, right.ticks) : undefined
  if (left instanceof Uint8Array) return right instanceof Uint8Array ? orderOfBytes(left, right) : undefined
  return left instanceof Opaque && right instanceof Opaque && left.value instanceof URL && right.value instanceof URL
    ? left.value.href === right.value.href ? 0 : NaN
    : undefined
}

const order = <A extends string | bigint | number>(left: A, right: A): number =>
  left < right ? -1 : left > right ? 1 : 0

const compareNumbers = (
  left: bigint | number | Decimal.Decimal | Single | Char,
  right: bigint | number | Decimal.Decimal | Single | Char
): number => {
  const [a, b] = promoted(left, right)
  if (typeof a === "bigint") return order(a, b as bigint)
  if (a instanceof Decimal.Decimal) return Decimal.compare(a, b as Decimal.Decimal)
  const x = a instanceof Single ? a.value : a
  const y = b instanceof Single ? b.value : b as number
  return Number.isNaN(x) || Number.isNaN(y) ? NaN : order(x, y)
}

/** By their lengths where one begins with the other. */
const orderOfBytes = (left: Uint8Array, right: Uint8Array): number => {
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (left[i] !== right[i]) return left[i]! - right[i]!
  }
  return left.length - right.length
}

type Promoted =
  | readonly [bigint, bigint]
  | readonly [number, number]
  | readonly [Single, Single]
  | readonly [Decimal.Decimal, Decimal.Decimal]

/** Two numbers as one type: double before float before decimal before the whole numbers. */
const promoted = (
  left: bigint | number | Decimal.Decimal | Single | Char,
  right: bigint | number | Decimal.Decimal | Single | Char
): Promoted => {
  const a = left instanceof Char ? BigInt(left.code) : left
  const b = right instanceof Char ? BigInt(right.code) : right
  if (typeof a === "bigint" && typeof b === "bigint") return [a, b]
  if (typeof a === "number" || typeof b === "number") return [toDouble(a), toDouble(b)]
  // C# joins neither of float and double with a decimal; a constant with a point is a double, and is to be comparable.
  if (a instanceof Single || b instanceof Single) {
    return a instanceof Decimal.Decimal || b instanceof Decimal.Decimal
      ? [toDouble(a), toDouble(b)]
      : [new Single(toSingle(a)), new Single(toSingle(b))]
  }
  return [toDecimal(a), toDecimal(b)]
}

const toDouble = (value: bigint | number | Decimal.Decimal | Single): number =>
  typeof value === "number"
    ? value
    : typeof value === "bigint"
    ? Number(value)
    : value instanceof Single
    ? value.value
    : Decimal.toNumber(value)

/** As a float of 32 bits: a whole number from all of its bits, where a double between would round twice. @category conversions */
export const toSingle = (value: bigint | number | Single): number => {
  if (value instanceof Single) return value.value
  if (typeof value === "number") return Math.fround(value)
  const size = value < 0n ? -value : value
  // The last bit says whether there are others: it is far below those that a float has.
  const kept = size >> 12n << 1n | (size % 4096n === 0n ? 0n : 1n)
  const single = size < 2n ** 53n ? Math.fround(Number(size)) : Math.fround(Number(kept) * 2048)
  return value < 0n ? -single : single
}

const toDecimal = (value: bigint | Decimal.Decimal): Decimal.Decimal =>
  typeof value === "bigint" ? Decimal.ofInteger(value) : value

/** The five operators. Throws a `FilterError`; neither operand is undefined. @category operations */
export const calculate = (operator: Arithmetic, left: Value, right: Value): Value => {
  if (isNumeric(left) && isNumeric(right)) {
    const [a, b] = promoted(left, right)
    if (typeof a === "bigint") return calculateIntegers(operator, a, b as bigint)
    if (typeof a === "number") return calculateDoubles(operator, a, b as number)
    if (a instanceof Single) return new Single(Math.fround(calculateDoubles(operator, a.value, (b as Single).value)))
    return Decimal.calculate(operator, a, b as Decimal.Decimal)
  }
  if (operator === "+" && (typeof left === "string" || typeof right === "string")) {
    return joined(toText(left), toText(right))
  }
  if (operator === "+" || operator === "-") {
    const sign = operator === "+" ? 1n : -1n
    if (left instanceof Time && right instanceof Span) return new Time(withinTime(left.ticks + sign * right.ticks))
    if (left instanceof Span && right instanceof Span) return new Span(withinLong(left.ticks + sign * right.ticks))
    if (left instanceof Time && right instanceof Time && operator === "-") {
      return new Span(withinLong(left.ticks - right.ticks))
    }
  }
  throw new FilterError(
    `Operator '${operator}' cannot be applied to operands of type '${typeName(left)}' and '${typeName(right)}'`
  )
}

/** The value with a minus before it. Throws a `FilterError`. @category operations */
export const negate = (value: Value): Value => {
  if (typeof value === "number") return -value
  if (value instanceof Single) return new Single(-value.value)
  if (value instanceof Decimal.Decimal) return new Decimal.Decimal(-value.coefficient, value.scale)
  if (value instanceof Span) return new Span(withinLong(-value.ticks))
  if (isNumeric(value)) return withinLong(-(value instanceof Char ? BigInt(value.code) : value))
  throw new FilterError(`Operator '-' cannot be applied to operand of type '${typeName(value)}'`)
}

/** The value with a plus before it. Throws a `FilterError`. @category operations */
export const affirm = (value: Value): Value => {
  if (value instanceof Char) return BigInt(value.code)
  if (isNumeric(value) || value instanceof Span) return value
  throw new FilterError(`Operator '+' cannot be applied to operand of type '${typeName(value)}'`)
}

const calculateIntegers = (operator: Arithmetic, a: bigint, b: bigint): bigint => {
  switch (operator) {
    case "+":
      return withinRange(a + b, a, b)
    case "-":
      return withinRange(a - b, a, b)
    case "*":
      return withinRange(a * b, a, b)
    case "/":
      if (b === 0n) throw new FilterError("Attempted to divide by zero.")
      return withinRange(a / b, a, b)
    case "%":
      if (b === 0n) throw new FilterError("Attempted to divide by zero.")
      return a % b
  }
}

/** A long, or a ulong where one of the operands is too large for a long. */
const withinRange = (result: bigint, a: bigint, b: bigint): bigint =>
  (a > maxLong || b > maxLong) && BigInt.asUintN(64, result) === result ? result : withinLong(result)

const maxLong = 2n ** 63n - 1n

const withinLong = (result: bigint): bigint => {
  if (BigInt.asIntN(64, result) === result) return result
  throw new FilterError("Arithmetic operation resulted in an overflow.")
}

/** The years 1 to 9999, as a DateTime has them. */
const withinTime = (ticks: bigint): bigint => {
  if (ticks >= -ticksAtEpoch && ticks < 2_534_023_008_000_000_000n) return ticks
  throw new FilterError("The added or subtracted value results in an un-representable DateTime.")
}

/** Of IEEE 754: what is divided by zero is infinite, as in C#. */
const calculateDoubles = (operator: Arithmetic, a: number, b: number): number => {
  switch (operator) {
    case "+":
      return a + b
    case "-":
      return a - b
    case "*":
      return a * b
    case "/":
      return a / b
    case "%":
      return a % b
  }
}

/** Far more than a message may have in properties: an action that doubles a text again and again must come to an end. */
const longestText = 2 ** 20

const joined = (left: string, right: string): string => {
  if (left.length + right.length > longestText) throw new FilterError("The text is longer than a message may be.")
  return left + right
}

/** As C# writes a value into a text. @category conversions */
export const toText = (value: Value): string => {
  if (typeof value === "boolean") return value ? "True" : "False"
  if (value instanceof Decimal.Decimal) return Decimal.toText(value)
  if (value instanceof Single) return String(value.value)
  if (value instanceof Char) return textOfCode(value.code)
  if (value instanceof Uuid) return value.text
  if (typeof value === "object") {
    throw new FilterError(`Operator '+' cannot be applied to operands of type 'string' and '${typeName(value)}'`)
  }
  return String(value)
}

/** AMQP's chars may be beyond Unicode, or half of a pair, which no text may have. */
const textOfCode = (code: number): string =>
  code > 0x10ffff || code >= 0xd800 && code <= 0xdfff ? "\ufffd" : String.fromCodePoint(code)

/** As C# names it. @category accessors */
export const typeName = (value: Value): string => {
  switch (typeof value) {
    case "boolean":
      return "bool"
    case "string":
      return "string"
    case "bigint":
      return value > maxLong ? "ulong" : "long"
    case "number":
      return "double"
    case "undefined":
      return "object"
    default:
      return typeNames.get(value.constructor) ?? "object"
  }
}

const typeNames = new Map<unknown, string>([
  [Decimal.Decimal, "decimal"],
  [Single, "float"],
  [Char, "char"],
  [Uuid, "Guid"],
  [Time, "DateTime"],
  [Span, "TimeSpan"],
  [Uint8Array, "byte[]"],
  [Buffer, "byte[]"]
])
