/**
 * From the oracle's values and messages to the broker's: a message becomes the bytes that a sender puts on the wire, and is read and
 * changed as the broker does it with what is sent to a topic.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as AmqpValue from "../../../../src/AmqpValue.ts"
import { change, incoming } from "../../../../src/emulator/amqp/StoredPayload.ts"
import { read } from "../../../../src/emulator/amqp/StoredProperties.ts"
import * as Rule from "../../../../src/emulator/broker/filter/Rule.ts"
import type { IncomingMessage } from "../../../../src/emulator/broker/Queue.ts"
import { Sections } from "../../../../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../../../../src/internal/amqp/codec/Writer.ts"
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import type { Truth } from "./Oracle.ts"
import type { Message, Value } from "./Tree.ts"

/** Where AMQP's decimals have their exponent, and what is added to it (IEEE 754-2008, binary integer decimal encoding). */
const decimals = { 32: { at: 23n, bias: 101n }, 64: { at: 53n, bias: 398n }, 128: { at: 113n, bias: 6176n } }

const decimalOf = ({ bits, digits, scale }: Extract<Value, { kind: "decimal" }>): AmqpValue.AmqpValue => {
  const { at, bias } = decimals[bits]
  const magnitude = digits < 0n ? -digits : digits
  const sign = digits < 0n ? 1n << BigInt(bits - 1) : 0n
  const encoded = sign | ((bias - BigInt(scale)) << at) | magnitude
  return AmqpValue.typed(`decimal${bits}`, Buffer.from(encoded.toString(16).padStart(bits / 4, "0"), "hex"))
}

/** A value as AMQP has it. A double is typed, for a whole one would be an int. */
export const amqpOf = (value: Value): AmqpValue.AmqpValue => {
  switch (value.kind) {
    case "unknown":
      return null
    case "boolean":
    case "text":
      return value.value
    case "whole":
      return AmqpValue.typed(value.type, value.value)
    case "single":
      return AmqpValue.typed("float", value.value)
    case "double":
      return AmqpValue.typed("double", value.value)
    case "decimal":
      return decimalOf(value)
    case "guid":
      return AmqpValue.uuid(value.value)
    case "time":
      return AmqpValue.typed("timestamp", value.millis)
    case "span":
      return Duration.nanos(value.ticks * 100n)
    case "char":
      return AmqpValue.typed("char", value.value)
    case "binary":
      return Buffer.from(value.value, "hex")
    case "symbol":
      return AmqpValue.symbol(value.value)
  }
}

/** The fields of the properties section in their order (AMQP 1.0 section 3.2.4); what has no name here is left out. */
const fields = [
  "MessageId",
  undefined,
  "To",
  "Label",
  "ReplyTo",
  "CorrelationId",
  "ContentType",
  undefined,
  undefined,
  undefined,
  "SessionId",
  undefined,
  "ReplyToSessionId"
] as const

/** One for all: its memory is what a writer costs. */
const writer = new Writer()

export const storedOf = ({ properties, system }: Message): IncomingMessage => {
  const map = (code: number, entries: ReadonlyArray<readonly [AmqpValue.AmqpValue, AmqpValue.AmqpValue]>) => {
    writer.descriptor(code)
    const at = writer.begin(0xd1)
    for (const [key, value] of entries) {
      writer.value(key)
      writer.value(value)
    }
    writer.end(at, 2 * entries.length)
  }
  const partitionKey = system.get("PartitionKey")
  if (partitionKey !== undefined) map(0x72, [[AmqpValue.symbol("x-opt-partition-key"), partitionKey]])
  writer.descriptor(0x73)
  writer.value(fields.map((name) => {
    const value = name === undefined ? undefined : system.get(name)
    return value !== undefined && name === "ContentType" ? AmqpValue.symbol(value) : value ?? null
  }))
  map(0x74, Array.from(properties, ([name, value]) => [name, amqpOf(value)]))
  writer.descriptor(0x75)
  writer.binary(new Uint8Array([1, 2, 3]))
  return incoming(writer.take())
}

export type Parameters = ReadonlyMap<string, Value>

const amqpParameters = (parameters: Parameters) =>
  Object.fromEntries(Array.from(parameters, ([name, value]) => [name, amqpOf(value)]))

/** Whether the broker refuses a rule. */
export const refuses = (filter: ServiceBusRule.Filter, action?: ServiceBusRule.SqlAction): boolean =>
  Result.isFailure(Rule.compile(ServiceBusRule.make("rule", filter, action)))

/** The broker's rule; throws what the broker says where it refuses. */
export const compile = (filter: ServiceBusRule.Filter, action?: ServiceBusRule.SqlAction): Rule.CompiledRule => {
  const compiled = Rule.compile(ServiceBusRule.make("rule", filter, action))
  if (Result.isSuccess(compiled)) return compiled.success
  const { column, line, message } = compiled.failure
  throw new Error(`refused: ${message} (${line}:${column})`)
}

export const sql = (expression: string, parameters: Parameters = new Map()): ServiceBusRule.SqlFilter =>
  ServiceBusRule.sql(expression, amqpParameters(parameters))

export const action = (expression: string, parameters: Parameters = new Map()): ServiceBusRule.SqlAction =>
  ServiceBusRule.action(expression, amqpParameters(parameters))

/** What a correlation filter asks for, from a message that has just that. */
export const correlation = ({ properties, system }: Message): ServiceBusRule.CorrelationFilter => {
  const named = (name: string) => name === "Label" ? "subject" : `${name[0]!.toLowerCase()}${name.slice(1)}`
  return ServiceBusRule.correlation({
    ...Object.fromEntries(Array.from(system, ([name, value]) => [named(name), value])),
    applicationProperties: amqpParameters(properties)
  })
}

/** Whether the broker's rule takes a message: undefined where the rule fails on it. */
export const takes = (rule: Rule.CompiledRule, stored: IncomingMessage): boolean | undefined => {
  try {
    return rule.matches(read(stored))
  } catch (problem) {
    if (problem instanceof Rule.FilterError) return undefined
    throw problem
  }
}

/** What a filter is of a message, told by it and its negation: only what is unknown is taken by neither. */
export const truthOf = (
  rule: Rule.CompiledRule,
  negation: Rule.CompiledRule,
  stored: IncomingMessage
): Truth | "both" => {
  const [isTrue, isFalse] = [takes(rule, stored), takes(negation, stored)]
  if (isTrue === undefined && isFalse === undefined) return "E"
  if (isTrue === undefined || isFalse === undefined || isTrue && isFalse) return "both"
  return isTrue ? "T" : isFalse ? "F" : "U"
}

/**
 * A value as its bytes. A decimal is the number that it is: no documentation says which of its forms a result has.
 */
const bytesOf = (value: AmqpValue.AmqpValue): string => {
  const decimal = AmqpValue.isTyped(value) ? /^decimal(32|64|128)$/.exec(value.type) : null
  if (decimal === null) {
    writer.value(value)
    return writer.take().toString("hex")
  }
  const bits = Number(decimal[1])
  const { at, bias } = decimals[bits as keyof typeof decimals]
  const encoded = BigInt(`0x${Buffer.from((value as AmqpValue.Typed).value as Uint8Array).toString("hex")}`)
  let digits = encoded & ((1n << at) - 1n)
  let scale = bias - ((encoded >> at) & ((1n << (BigInt(bits - 1) - at)) - 1n))
  while (digits % 10n === 0n && digits !== 0n) [digits, scale] = [digits / 10n, scale - 1n]
  const isNegative = encoded >> BigInt(bits - 1) === 1n && digits !== 0n
  return `decimal ${isNegative ? "-" : ""}${digits} ${digits === 0n ? 0 : scale}`
}

/** A message in lines, each property with the bytes of its value, so that two messages can be compared to the last bit. */
export const linesOf = (stored: IncomingMessage): ReadonlyArray<string> => {
  const bytes = typeof stored.payload === "string" ? Buffer.from(stored.payload, "latin1") : Buffer.from(stored.payload)
  const sections = new Sections(bytes, 0, bytes.length)
  const message = read(stored)
  const keys = Object.keys(sections.readRecord(sections.applicationProperties, true))
  return [
    ...keys.map((key) => `${key}: ${withoutSignOfNaN(bytesOf(message.property(key.toLowerCase())))}`),
    ...fields.filter((name) => name !== undefined).map((name) =>
      `sys.${name}: ${String(message.system(name.toLowerCase() as Lowercase<typeof name>))}`
    )
  ].toSorted()
}

/** What is no number has either sign, as the engine likes (ECMA-262, NumericToRawBytes). */
const withoutSignOfNaN = (hex: string): string => hex.replace(/^(82(?=fff80+$)|72(?=ffc0+$))f/, "$17")

/** The lines of the message after the action; undefined where the action fails. */
export const linesAfter = (rule: Rule.CompiledRule, stored: IncomingMessage): ReadonlyArray<string> | undefined => {
  try {
    return linesOf(change(stored, rule.apply!(read(stored))))
  } catch (problem) {
    if (problem instanceof Rule.FilterError) return undefined
    throw problem
  }
}
