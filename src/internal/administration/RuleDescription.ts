/**
 * Filters and actions of rules in the management API, and the typed values within them. Order of elements: the recorded answers
 * of the service, which the SDK for .NET's requests have too.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../AmqpValue.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import { EncodeProblem, Writer } from "../amqp/codec/Writer.ts"
import * as AtomXml from "./AtomXml.ts"
import * as Text from "./XmlText.ts"

/** What this version does not know, with the element that it came as. */
interface Unknown {
  readonly element: AtomXml.Element
}

export type Filter = ServiceBusRule.Filter | (ServiceBusRule.UnknownFilter & Unknown)
/** Undefined is no action; the service writes it as one that is empty. */
export type Action = ServiceBusRule.SqlAction | (ServiceBusRule.UnknownAction & Unknown) | EmptyAction

/** The action that changes nothing. */
export interface EmptyAction {
  readonly _tag: "EmptyAction"
}

export const emptyAction: EmptyAction = { _tag: "EmptyAction" }

const element = (name: string, children: ReadonlyArray<AtomXml.Element | string>) =>
  AtomXml.element(AtomXml.connect, name, children)

/** An element that says of which type it is. */
export const typed = (name: string, type: string, children: ReadonlyArray<AtomXml.Element | string>): AtomXml.Element =>
  AtomXml.element(AtomXml.connect, name, children, {
    attributes: [AtomXml.attribute("type", type, "i", AtomXml.instance)],
    scope: { i: AtomXml.instance }
  })

/** The serialization namespace of .NET, in which the service answers durations, guids and characters. */
const serialization = "http://schemas.microsoft.com/2003/10/Serialization/"

const base64: Text.Codec<Uint8Array> = {
  expected: "base64",
  parse: (text) => /^[A-Za-z0-9+/=\s]*$/.test(text) ? new Uint8Array(Buffer.from(text, "base64")) : undefined,
  print: (bytes) => Buffer.from(bytes).toString("base64")
}

/** Whether AMQP has a form for a value: a rule that is made over HTTP is listed over AMQP, too. */
const isEncodable = (value: AmqpValue.AmqpValue): boolean => {
  try {
    new Writer(64).value(value)
    return true
  } catch (problem) {
    if (problem instanceof EncodeProblem) return false
    throw problem
  }
}

/** A value of a rule by its type of XML Schema, or of .NET's serialization; undefined where it is none of that type. */
const valueOf = (type: string, text: string): AmqpValue.AmqpValue => {
  const value = anyValueOf(type, text)
  return isEncodable(value) ? value : undefined
}

const anyValueOf = (type: string, text: string): AmqpValue.AmqpValue => {
  const whole = () => Text.integer.parse(text)
  switch (type) {
    case "string":
      return text
    case "boolean":
      return Text.boolean.parse(text)
    case "int": {
      const number = whole()
      return number !== undefined && number === (number | 0) ? number : undefined
    }
    case "long": {
      const number = bigintOf(text)
      return number !== undefined && BigInt.asIntN(64, number) === number ? number : undefined
    }
    case "double": {
      const number = Text.double.parse(text)
      // A plain whole number is an int or a long.
      return number !== undefined && Number.isSafeInteger(number) && !Object.is(number, -0)
        ? AmqpValue.typed("double", number)
        : number
    }
    case "float": {
      const number = Text.double.parse(text)
      return number === undefined ? undefined : AmqpValue.typed("float", number)
    }
    case "dateTime":
      return Text.dateTime.parse(text)
    case "duration": {
      const duration = Text.duration.parse(text)
      // Of an entity the longest one is without end. Of a rule it is a value as any other.
      return duration !== undefined && !Duration.isFinite(duration) ? longest(Duration.isNegative(duration)) : duration
    }
    case "anyURI":
      return URL.canParse(text) ? new URL(text) : text
    case "base64Binary":
      return base64.parse(text)
    case "guid":
      return AmqpValue.uuid(text.toLowerCase())
    case "char": {
      const code = whole()
      return code === undefined || code < 0 || code > 0xffff
        ? undefined
        : AmqpValue.typed("char", String.fromCodePoint(code))
    }
    case "unsignedLong": {
      const number = bigintOf(text)
      return number === undefined ? undefined : AmqpValue.typed("ulong", number)
    }
    default: {
      const small = smallTypes[type]
      const number = small === undefined ? undefined : whole()
      // The SDK for .NET reads a type that it does not know as a text, too.
      return small === undefined ? text : number === undefined ? undefined : AmqpValue.typed(small, number)
    }
  }
}

/** TimeSpan.MaxValue, and the same below zero. */
const longest = (isNegative: boolean): Duration.Duration =>
  Duration.nanos((isNegative ? -1n : 1n) * (2n ** 63n - 1n) * 100n)

const bigintOf = (text: string): bigint | undefined =>
  /^\s*[+-]?\d{1,20}\s*$/.test(text) ? BigInt(text.trim().replace(/^\+/, "")) : undefined

const smallTypes: Readonly<Record<string, "byte" | "ubyte" | "short" | "ushort" | "uint" | undefined>> = {
  __proto__: null as never,
  byte: "byte",
  unsignedByte: "ubyte",
  short: "short",
  unsignedShort: "ushort",
  unsignedInt: "uint"
}

interface TypedText {
  readonly type: string
  readonly namespace: string
  readonly text: string
}

const xsd = (type: string, text: string): TypedText => ({ type, namespace: AtomXml.schema, text })
const net = (type: string, text: string): TypedText => ({ type, namespace: serialization, text })

/** The type and the text of a value; undefined where a rule can have no such value. */
export const typedTextOf = (value: AmqpValue.AmqpValue): TypedText | undefined =>
  Duration.isDuration(value) || isEncodable(value) ? anyTypedTextOf(value) : undefined

const timeText = (millis: number): TypedText | undefined =>
  Text.isTime(millis) ? xsd("dateTime", Text.dateTime.print(DateTime.makeUnsafe(millis))) : undefined

const anyTypedTextOf = (value: AmqpValue.AmqpValue): TypedText | undefined => {
  switch (typeof value) {
    case "string":
      return xsd("string", value)
    case "boolean":
      return xsd("boolean", String(value))
    case "bigint":
      return value > 2n ** 63n - 1n ? xsd("unsignedLong", String(value)) : xsd("long", String(value))
    case "number":
      return value === (value | 0) && !Object.is(value, -0)
        ? xsd("int", String(value))
        : Number.isSafeInteger(value) && !Object.is(value, -0)
        ? xsd("long", String(value))
        : xsd("double", Text.double.print(value))
    default:
      break
  }
  if (DateTime.isDateTime(value)) return timeText(DateTime.toEpochMillis(value))
  if (value instanceof Date) return timeText(value.getTime())
  if (Duration.isDuration(value)) return net("duration", Text.duration.print(value))
  if (value instanceof URL) return xsd("anyURI", value.href)
  if (value instanceof Uint8Array) return xsd("base64Binary", base64.print(value))
  return AmqpValue.isTyped(value) ? typedTextOfTyped(value.type, (value as AmqpValue.Typed).value) : undefined
}

const typedTextOfTyped = (type: string, value: unknown): TypedText | undefined => {
  const number = typeof value === "number" || typeof value === "bigint" ? value : undefined
  switch (type) {
    case "string":
    case "symbol":
      return typeof value === "string" ? xsd("string", value) : undefined
    case "boolean":
      return typeof value === "boolean" ? xsd("boolean", String(value)) : undefined
    case "double":
    case "float":
      return number === undefined ? undefined : xsd(type, Text.double.print(Number(number)))
    case "int":
    case "long":
    case "short":
    case "byte":
      return number === undefined ? undefined : xsd(type, String(number))
    case "ubyte":
    case "ushort":
    case "uint":
    case "ulong": {
      const name = { ubyte: "unsignedByte", ushort: "unsignedShort", uint: "unsignedInt", ulong: "unsignedLong" }[type]
      return number === undefined ? undefined : xsd(name, String(number))
    }
    case "uuid":
      return typeof value === "string" ? net("guid", value) : undefined
    case "char":
      return typeof value === "string" && value.length === 1 ? net("char", String(value.charCodeAt(0))) : undefined
    case "timestamp":
    case "binary":
      return typedTextOf(value as AmqpValue.AmqpValue)
    default:
      return undefined
  }
}

/** Values by their names; undefined where one cannot be read. */
const readValues = (list: AtomXml.Element | undefined): Record<string, AmqpValue.AmqpValue> | undefined => {
  const values: Record<string, AmqpValue.AmqpValue> = {}
  if (list === undefined) return values
  for (const pair of AtomXml.elementsOf(list)) {
    const key = AtomXml.childTextOf(pair, "Key")
    const value = AtomXml.childOf(pair, "Value")
    if (key === undefined || value === undefined) return undefined
    const read = AtomXml.isNil(value)
      ? null
      : valueOf(AtomXml.typeOf(value)?.name ?? "string", AtomXml.textOf(value))
    if (read === undefined) return undefined
    // A key may be "__proto__".
    Object.defineProperty(values, key, { value: read, enumerable: true, configurable: true, writable: true })
  }
  return values
}

const writeValues = (
  name: string,
  values: Readonly<Record<string, AmqpValue.AmqpValue>>
): ReadonlyArray<AtomXml.Element> => {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined).map(([key, value]) =>
    element("KeyValueOfstringanyType", [element("Key", [key]), writeValue(value)])
  )
  return pairs.length === 0 ? [] : [element(name, pairs)]
}

/** Values that a rule cannot have are refused before: one that is here has none. */
const writeValue = (value: AmqpValue.AmqpValue): AtomXml.Element => {
  const typedText = typedTextOf(value)
  return typedText === undefined
    ? AtomXml.element(AtomXml.connect, "Value", [], {
      attributes: [AtomXml.attribute("nil", "true", "i", AtomXml.instance)],
      scope: { i: AtomXml.instance }
    })
    // The official JavaScript client takes prefixes of four characters alone.
    : AtomXml.element(AtomXml.connect, "Value", typedText.text === "" ? [] : [typedText.text], {
      attributes: [AtomXml.attribute("type", `d6p1:${typedText.type}`, "i", AtomXml.instance)],
      scope: { i: AtomXml.instance, d6p1: typedText.namespace }
    })
}

/** How the service names the conditions of a correlation filter, in its order. */
const conditions = [
  ["correlationId", "CorrelationId"],
  ["messageId", "MessageId"],
  ["to", "To"],
  ["replyTo", "ReplyTo"],
  ["subject", "Label"],
  ["sessionId", "SessionId"],
  ["replyToSessionId", "ReplyToSessionId"],
  ["contentType", "ContentType"]
] as const

export const readFilter = (filter: AtomXml.Element): Filter | undefined => {
  switch (AtomXml.typeOf(filter)?.name) {
    case "TrueFilter":
      return ServiceBusRule.true
    case "FalseFilter":
      return ServiceBusRule.false
    case "SqlFilter":
      return readSql("SqlFilter", filter)
    case "CorrelationFilter": {
      const read: Record<string, string> = {}
      for (const [name, written] of conditions) {
        const text = AtomXml.childTextOf(filter, written)
        if (text !== undefined && text !== "") read[name] = text
      }
      const applicationProperties = readValues(AtomXml.childOf(filter, "Properties"))
      if (applicationProperties === undefined) return undefined
      const hasProperties = Object.keys(applicationProperties).length > 0
      return ServiceBusRule.correlation(hasProperties ? { ...read, applicationProperties } : read)
    }
    case undefined:
      return undefined
    default:
      return { _tag: "UnknownFilter", value: AtomXml.print(filter), element: filter }
  }
}

const readSql = <T extends "SqlFilter" | "SqlAction">(_tag: T, from: AtomXml.Element) => {
  const expression = AtomXml.childTextOf(from, "SqlExpression")
  const parameters = readValues(AtomXml.childOf(from, "Parameters"))
  return expression === undefined || parameters === undefined ? undefined : { _tag, expression, parameters }
}

/** Twenty is the level of this language, and of all answers. */
const sqlElements = (expression: string, parameters: ServiceBusRule.Parameters = {}) => [
  element("SqlExpression", [expression]),
  element("CompatibilityLevel", ["20"]),
  ...writeValues("Parameters", parameters)
]

export const writeFilter = (name: string, filter: Filter): AtomXml.Element => {
  switch (filter._tag) {
    case "TrueFilter":
      return typed(name, "TrueFilter", sqlElements("1=1"))
    case "FalseFilter":
      return typed(name, "FalseFilter", sqlElements("1=0"))
    case "SqlFilter":
      return typed(name, "SqlFilter", sqlElements(filter.expression, filter.parameters))
    case "CorrelationFilter":
      return typed(name, "CorrelationFilter", [
        ...conditions.flatMap(([field, written]) => {
          const text = filter[field]
          return text === undefined ? [] : [element(written, [text])]
        }),
        ...writeValues("Properties", filter.applicationProperties ?? {})
      ])
    case "UnknownFilter":
      return filter.element
  }
}

export const readAction = (action: AtomXml.Element): Action | undefined => {
  switch (AtomXml.typeOf(action)?.name) {
    case "EmptyRuleAction":
      return emptyAction
    case "SqlRuleAction":
      return readSql("SqlAction", action)
    case undefined:
      return undefined
    default:
      return { _tag: "UnknownAction", value: AtomXml.print(action), element: action }
  }
}

export const writeAction = (name: string, action: Action): AtomXml.Element => {
  switch (action._tag) {
    case "EmptyAction":
      return typed(name, "EmptyRuleAction", [])
    case "SqlAction":
      return typed(name, "SqlRuleAction", sqlElements(action.expression, action.parameters))
    case "UnknownAction":
      return action.element
  }
}
