/**
 * AMQP values as JSON and back, without losing a type. A text, a boolean, null, an int, a double that is no whole number, a list
 * and a map with texts as keys are what they are in JSON; every other value is an object with one key that names its type:
 * `{"$long": "9007199254740993"}`, `{"$uuid": "…"}`, `{"$timestamp": "2030-01-01T00:00:00.000Z"}`.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as AmqpValue from "../../AmqpValue.ts"
import { EncodeProblem, Writer } from "../../internal/amqp/codec/Writer.ts"

type Json = Schema.Json

/** What stands in JSON is not what is needed there. */
export class JsonProblem extends Error {
  constructor(path: string, expected: string) {
    super(`${path}: ${expected}`)
  }
}

const longs: ReadonlySet<string> = new Set(["ulong", "long"])
const integers: ReadonlySet<string> = new Set(["ubyte", "ushort", "uint", "byte", "short", "int"])
const reals: ReadonlySet<string> = new Set(["float", "double"])
const decimals: ReadonlySet<string> = new Set(["decimal32", "decimal64", "decimal128"])
const texts: ReadonlySet<string> = new Set(["uuid", "string", "symbol"])
const scalars: ReadonlySet<string> = new Set([
  ...longs,
  ...integers,
  ...reals,
  ...decimals,
  ...texts,
  "boolean",
  "char",
  "timestamp",
  "binary"
])

/** A value as JSON. */
export const toJson = (value: unknown): Json => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      return isPlain(value) ? value : { $double: real(value) }
    case "bigint":
      return value >= -(2n ** 63n) && value < 2n ** 63n ? { $long: String(value) } : { $ulong: String(value) }
    case "object":
      return value === null ? null : objectToJson(value)
    default:
      return null
  }
}

/** Whether a number of JSON is read as what it was: an int, or a double that is no whole number of 53 bits. */
const isPlain = (value: number): boolean =>
  Number.isFinite(value) && !Object.is(value, -0) && (value === (value | 0) || !Number.isSafeInteger(value))

const real = (value: number): Json => Number.isFinite(value) && !Object.is(value, -0) ? value : printed(value)

const printed = (value: number): string => Object.is(value, -0) ? "-0" : String(value)

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

const objectToJson = (value: object): Json => {
  if (value instanceof Uint8Array) return { $binary: base64(value) }
  if (Array.isArray(value)) return value.map(toJson)
  if (DateTime.isDateTime(value)) return { $timestamp: DateTime.formatIso(value) }
  if (value instanceof Date) return { $timestamp: value.toISOString() }
  if (Duration.isDuration(value)) return { $timespan: String(Duration.toNanosUnsafe(value) / 100n) }
  if (value instanceof URL) return { $uri: value.href }
  if (AmqpValue.isTyped(value)) return typedToJson(value)
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  const isRecord = entries.every(([key]) => typeof key === "string" && !key.startsWith("$")) &&
    // An object puts keys that look like indices first.
    !entries.some(([key]) => /^\d+$/.test(key as string))
  return isRecord
    ? Object.fromEntries(entries.map(([key, item]) => [key as string, toJson(item)]))
    : { $map: entries.map(([key, item]) => [toJson(key), toJson(item)]) }
}

const typedToJson = (value: AmqpValue.Typed | AmqpValue.AmqpArray | AmqpValue.Described): Json => {
  if (value.type === "described") {
    const { descriptor, value: inner } = value as AmqpValue.Described
    return { $described: { descriptor: toJson(descriptor), value: toJson(inner) } }
  }
  if (value.type === "array") {
    const { descriptor, of, value: items } = value as AmqpValue.AmqpArray
    const json = items.map((item) => scalars.has(of) ? scalarToJson(of, item) : toJson(item))
    return { $array: { of, items: json, ...(descriptor === undefined ? {} : { descriptor: toJson(descriptor) }) } }
  }
  return { [`$${value.type}`]: scalarToJson(value.type, value.value) }
}

const scalarToJson = (type: string, value: unknown): Json => {
  if (longs.has(type)) return String(value)
  if (reals.has(type)) return real(value as number)
  if (decimals.has(type)) return Buffer.from(value as Uint8Array).toString("hex")
  if (type === "binary") return base64(value as Uint8Array)
  if (type === "timestamp") return DateTime.isDateTime(value) ? DateTime.formatIso(value) : String(value)
  return integers.has(type) ? Number(value) : value as Json
}

/** A value out of JSON; throws a JsonProblem that says where it is none. */
export const ofJson = (json: Json, path: string): AmqpValue.AmqpValue => {
  if (json === null || typeof json !== "object") return json
  if (Array.isArray(json)) return json.map((item, index) => ofJson(item as Json, `${path}[${index}]`))
  const entries = Object.entries(json as Record<string, Json>)
  const tag = entries.find(([key]) => key.startsWith("$"))
  if (tag === undefined) {
    return new Map(entries.map(([key, item]) => [key, ofJson(item, `${path}.${key}`)]))
  }
  if (entries.length > 1) {
    throw new JsonProblem(
      path,
      `"${tag[0]}" names a type, and stands alone; a map with such a key is {"$map": [[key, value]]}`
    )
  }
  return tagged(tag[0].slice(1), tag[1], path)
}

const tagged = (type: string, json: Json, path: string): AmqpValue.AmqpValue => {
  const at = `${path}.$${type}`
  switch (type) {
    case "timespan":
      return Duration.nanos(long(json, at) * 100n)
    case "uri":
      if (typeof json !== "string" || !URL.canParse(json)) throw new JsonProblem(at, "expected a URI")
      return new URL(json)
    case "map":
      if (!Array.isArray(json) || !json.every((each) => Array.isArray(each) && each.length === 2)) {
        throw new JsonProblem(at, "expected an array of [key, value]")
      }
      return new Map(
        (json as ReadonlyArray<readonly [Json, Json]>).map(([key, item], index) => [
          ofJson(key, `${at}[${index}][0]`),
          ofJson(item, `${at}[${index}][1]`)
        ])
      )
    case "described": {
      if (!isRecordOf(json, ["descriptor", "value"])) throw new JsonProblem(at, "expected { descriptor, value }")
      const { descriptor, value } = json
      return checked(
        AmqpValue.described(ofJson(descriptor!, `${at}.descriptor`), ofJson(value!, `${at}.value`)),
        at
      )
    }
    case "array": {
      const known = isRecordOf(json, ["of", "items"], "descriptor") && typeof json["of"] === "string" &&
        Array.isArray(json["items"])
      if (!known) throw new JsonProblem(at, "expected { of, items } and perhaps a descriptor")
      const { descriptor, items, of } = json as Record<string, Json> & { readonly items: ReadonlyArray<Json> }
      const values = items.map((item, index) =>
        scalars.has(of as string)
          ? scalar(of as string, item, `${at}.items[${index}]`)
          : element(item, `${at}.items[${index}]`)
      )
      const described = descriptor === undefined ? undefined : ofJson(descriptor, `${at}.descriptor`)
      return checked(AmqpValue.array(of as AmqpValue.ElementType, values, described), at)
    }
  }
  if (!scalars.has(type)) throw new JsonProblem(path, `"$${type}" is no type of AMQP`)
  const value = scalar(type, json, at)
  // What the plain value is written as, too; a time that is none of a calendar is a number.
  if (type === "binary" || type === "long" || DateTime.isDateTime(value)) return value as AmqpValue.AmqpValue
  return checked(AmqpValue.typed(type as "ubyte", value), at)
}

/** An element of an array of lists or maps: not a typed value of its own. */
const element = (json: Json, path: string): unknown => ofJson(json, path)

const isRecordOf = (json: Json, keys: ReadonlyArray<string>, optional?: string): json is Record<string, Json> =>
  Predicate.isObject(json) && !Array.isArray(json) && keys.every((key) => Object.hasOwn(json, key)) &&
  Object.keys(json).every((key) => keys.includes(key) || key === optional)

const long = (json: Json, path: string): bigint => {
  if (typeof json === "string" && /^-?\d{1,20}$/.test(json)) {
    const value = BigInt(json)
    if (value >= -(2n ** 63n) && value < 2n ** 64n) return value
  }
  if (typeof json === "number" && Number.isSafeInteger(json)) return BigInt(json)
  throw new JsonProblem(path, "expected a whole number of 64 bits, as a text")
}

const reading = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity], ["-0", -0]])

const scalar = (type: string, json: Json, path: string): unknown => {
  const text = (what: string): string => {
    if (typeof json !== "string") throw new JsonProblem(path, `expected ${what}`)
    return json
  }
  if (longs.has(type)) {
    const value = long(json, path)
    if (type === "long" ? value >= 2n ** 63n : value < 0n) throw new JsonProblem(path, `it is no ${type}`)
    return value
  }
  if (reals.has(type)) {
    const value = typeof json === "number" ? json : reading.get(json as string)
    if (value === undefined) throw new JsonProblem(path, "expected a number, or \"NaN\", \"Infinity\" or \"-0\"")
    return value
  }
  if (integers.has(type)) {
    if (typeof json !== "number" || !Number.isInteger(json)) throw new JsonProblem(path, "expected a whole number")
    return json
  }
  if (decimals.has(type)) {
    const hex = text("its bytes in hexadecimal")
    if (!/^([0-9a-f]{2})+$/i.test(hex)) throw new JsonProblem(path, "expected its bytes in hexadecimal")
    return Uint8Array.from(Buffer.from(hex, "hex"))
  }
  if (texts.has(type)) return text("a text")
  switch (type) {
    case "binary":
      return bytesOf(json, path)
    case "timestamp": {
      const given = text("a time of ISO 8601, or milliseconds as a text")
      if (/^-?\d{1,19}$/.test(given)) return BigInt(given)
      return timeOf(given, path)
    }
    case "char":
      if (typeof json === "number" && Number.isInteger(json)) return json
      return text("one character")
    default:
      if (typeof json !== "boolean") throw new JsonProblem(path, "expected true or false")
      return json
  }
}

/** Bytes in base64. */
export const bytesOf = (json: Json, path: string): Uint8Array => {
  if (typeof json !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(json) || json.length % 4 === 1) {
    throw new JsonProblem(path, "expected bytes in base64")
  }
  return Uint8Array.from(Buffer.from(json, "base64"))
}

/** A time of ISO 8601. */
export const timeOf = (json: string, path: string): DateTime.Utc => {
  const time = /^[+-]?\d{4,6}-\d{2}-\d{2}T/.test(json) ? DateTime.make(json) : undefined
  if (time?._tag !== "Some") {
    throw new JsonProblem(path, "expected a time of ISO 8601, such as \"2030-01-01T00:00:00Z\"")
  }
  return DateTime.toUtc(time.value)
}

const writer = new Writer(1024)

/** What AMQP has no form for is told where it stands. */
const checked = (value: AmqpValue.AmqpValue, path: string): AmqpValue.AmqpValue => {
  try {
    writer.value(value)
    return value
  } catch (error) {
    if (!(error instanceof EncodeProblem)) throw error
    throw new JsonProblem(path, error.message)
  } finally {
    writer.reset()
  }
}
