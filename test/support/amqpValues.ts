/** AMQP values as bytes and as text, so that two of them can be compared whatever represents them. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../src/AmqpValue.ts"
import { Reader } from "../../src/internal/amqp/codec/Reader.ts"
import { skipValue } from "../../src/internal/amqp/codec/skipValue.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import { assert } from "./vitest.ts"

/** A value in one line, so that two of them can be compared whatever represents them. */
export const show = (value: unknown): string => {
  if (value === null || value === undefined) return "null"
  if (typeof value === "bigint") return `${value}n`
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  if (typeof value === "string") return JSON.stringify(value)
  if (value instanceof Uint8Array) return `binary(${Buffer.from(value).toString("hex")})`
  if (DateTime.isDateTime(value)) return `time(${DateTime.toEpochMillis(value)})`
  if (Duration.isDuration(value)) return `duration(${Duration.toNanosUnsafe(value)})`
  if (value instanceof URL) return `url(${value.href})`
  if (AmqpValue.isTyped(value)) {
    if (value.type === "described") {
      const { descriptor, value: inner } = value as AmqpValue.Described
      return `described(${show(descriptor)}, ${show(inner)})`
    }
    if (value.type === "array") return `array ${(value as AmqpValue.AmqpArray).of}${show(value.value)}`
    return `${value.type}(${show(value.value)})`
  }
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`
  if (value instanceof Map) return `map(${Array.from(value, ([k, v]) => `${show(k)}: ${show(v)}`).join(", ")})`
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${show(v)}`).join(", ")}}`
  }
  return String(value)
}

export const same = (actual: unknown, expected: unknown, message?: string) =>
  assert.strictEqual(show(actual), show(expected), message)

export const hexOf = (value: AmqpValue.AmqpValue): string => {
  const writer = new Writer()
  writer.value(value)
  return writer.take().toString("hex")
}

export const hex = (spaced: string) => spaced.replaceAll(" ", "")
export const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex")

/** Decodes one value and checks that the reader and the walk agree about where it ends. */
export const decode = (bytes: Buffer): AmqpValue.AmqpValue => {
  assert.strictEqual(skipValue(bytes, 0, bytes.length), bytes.length, "the walk refuses or ends elsewhere")
  const reader = new Reader(bytes)
  const value = reader.value()
  assert.strictEqual(reader.position, bytes.length, "the reader ends elsewhere")
  const skipper = new Reader(bytes)
  skipper.skip()
  assert.strictEqual(skipper.position, bytes.length, "skipping ends elsewhere")
  return value
}

export const time = (millis: number) => DateTime.makeUnsafe(millis)
export const newYear = 1704067200000
export const guid = "00112233-4455-6677-8899-aabbccddeeff"
