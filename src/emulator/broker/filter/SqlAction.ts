/**
 * A SQL action as a function of a message: what SET and REMOVE change in it (Service Bus, SQL action syntax). Statements run in
 * their order, and each sees what those before it did. The message itself is not touched.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import * as Decimal from "./Decimal.ts"
import {
  type Changes,
  FilterError,
  type FilterMessage,
  type SettableName,
  settableNames,
  systemNameOf,
  type unknownName
} from "./FilterMessage.ts"
import * as SqlEvaluator from "./SqlEvaluator.ts"
import type { Expression, Property, Statement } from "./SqlParser.ts"
import * as SqlValue from "./SqlValue.ts"

/** What an action changes in a message. Throws a `FilterError`. @category models */
export type Apply = (message: FilterMessage) => Changes

/** Makes statements ready. Throws a `SqlProblem` for a parameter without a value. @category constructors */
export const make = (statements: ReadonlyArray<Statement>, parameters: SqlEvaluator.Parameters): Apply => {
  const steps = statements.map((statement): (message: ChangedMessage) => void => {
    const write = writerOf(statement.target)
    if (statement.kind === "remove") return (message) => write(message, undefined)
    const value = valueOf(statement.value, parameters)
    return (message) => write(message, value(message) ?? null)
  })
  return (message) => {
    const changed = new ChangedMessage(message)
    for (const step of steps) step(changed)
    return changed.changes()
  }
}

/** What stands alone keeps its AMQP type; what is worked out has C#'s. */
const valueOf = (
  node: Expression,
  parameters: SqlEvaluator.Parameters
): (message: FilterMessage) => AmqpValue.AmqpValue => {
  if (node.kind === "property" || node.kind === "propertyNamed") return SqlEvaluator.reference(node, parameters)
  const evaluate = SqlEvaluator.expression(node, parameters)
  if (node.kind === "parameter") {
    const value = SqlEvaluator.parameter(node, parameters)
    return () => value
  }
  return (message) => SqlValue.toAmqp(evaluate(message))
}

type Write = (message: ChangedMessage, value: AmqpValue.AmqpValue) => void

const writerOf = ({ name, scope }: Property): Write => {
  if (scope === "user") return (message, value) => message.setProperty(name, value)
  const system = systemNameOf(name)
  const settable = settableNames.find((each) => each === system)
  return settable === undefined
    ? () => SqlEvaluator.noSuchProperty(name)
    : (message, value) => message.setSystem(settable, value)
}

/** A message with what the statements so far did to it. */
class ChangedMessage implements FilterMessage {
  private readonly before: FilterMessage
  private readonly properties = new Map<string, { readonly name: string; readonly value: AmqpValue.AmqpValue }>()
  private readonly systems = new Map<SettableName, AmqpValue.AmqpValue>()

  constructor(before: FilterMessage) {
    this.before = before
  }

  system(name: string): AmqpValue.AmqpValue | typeof unknownName {
    return this.systems.has(name as SettableName)
      ? this.systems.get(name as SettableName)
      : this.before.system(name)
  }

  property(name: string): AmqpValue.AmqpValue {
    const changed = this.properties.get(name)
    return changed === undefined ? this.before.property(name) : changed.value
  }

  spelling(name: string): string | undefined {
    return this.properties.get(name)?.name ?? this.before.spelling(name)
  }

  /** What is not there, or not any more, gets the name that the statement has for it. */
  setProperty(name: string, value: AmqpValue.AmqpValue): void {
    const lower = name.toLowerCase()
    const before = this.property(lower)
    this.properties.set(lower, {
      name: before === undefined ? name : this.spelling(lower) ?? name,
      value: value === undefined ? undefined : ofType(before, value)
    })
  }

  setSystem(name: SettableName, value: AmqpValue.AmqpValue): void {
    this.systems.set(name, systemValue(name, value))
  }

  changes(): Changes {
    const properties = new Map<string, AmqpValue.AmqpValue>()
    for (const [lower, { name, value }] of this.properties) {
      const before = this.before.spelling(lower)
      // It was removed, and set under another name.
      if (before !== undefined && before !== name) properties.set(before, undefined)
      properties.set(name, value)
    }
    return { properties, system: this.systems }
  }
}

/** A value as a system property has it: a text, a time or a span of time; null is no value. */
const systemValue = (name: SettableName, value: AmqpValue.AmqpValue): AmqpValue.AmqpValue => {
  const given = SqlValue.fromAmqp(value)
  if (given === undefined) return undefined
  const isOfType = name === "timetolive"
    ? given instanceof SqlValue.Span && given.ticks > 0n
    : name === "scheduledenqueuetimeutc"
    ? given instanceof SqlValue.Time
    : undefined
  if (isOfType === false) throw new FilterError(`The specified property '${name}' cannot have this value.`)
  return isOfType === true ? SqlValue.toAmqp(given) : SqlValue.toText(given)
}

/**
 * A number in the type of the one that it replaces, where that type has the number too (Service Bus, SQL action syntax: SET
 * converts if it can); any other value as it is.
 */
const ofType = (before: AmqpValue.AmqpValue, value: AmqpValue.AmqpValue): AmqpValue.AmqpValue => {
  const type = numberTypeOf(before)
  if (type === undefined || numberTypeOf(value) === undefined || type === numberTypeOf(value)) return value
  const number = SqlValue.fromAmqp(value)
  const range = ranges.get(type)
  if (range !== undefined) {
    const integer = integerOf(number)
    if (integer === undefined || integer < range[0] || integer > range[1]) return value
    return AmqpValue.typed(type, type === "long" || type === "ulong" ? integer : Number(integer))
  }
  if (type === "double" || type === "float") {
    const double = doubleOf(number)
    return type === "float" && Math.fround(double) !== double ? value : AmqpValue.typed(type, double)
  }
  return typeof number === "bigint" ? SqlValue.toAmqp(Decimal.ofInteger(number)) : value
}

const integerOf = (value: SqlValue.Value): bigint | undefined => {
  if (typeof value === "bigint") return value
  if (value instanceof Decimal.Decimal) return integerOf(Decimal.toNumber(value))
  const number = value instanceof SqlValue.Single ? value.value : value
  return Number.isSafeInteger(number) ? BigInt(number as number) : undefined
}

const doubleOf = (value: SqlValue.Value): number =>
  value instanceof SqlValue.Single
    ? value.value
    : value instanceof Decimal.Decimal
    ? Decimal.toNumber(value)
    : Number(value)

const integers = (bits: bigint): readonly [bigint, bigint] => [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]

const ranges: ReadonlyMap<AmqpValue.TypeName, readonly [bigint, bigint]> = new Map([
  ["ubyte", [0n, 255n]],
  ["ushort", [0n, 65_535n]],
  ["uint", [0n, 2n ** 32n - 1n]],
  ["ulong", [0n, 2n ** 64n - 1n]],
  ["byte", integers(8n)],
  ["short", integers(16n)],
  ["int", integers(32n)],
  ["long", integers(64n)]
])

/** The AMQP type that a number is written as; undefined for what is no number. */
const numberTypeOf = (value: AmqpValue.AmqpValue): AmqpValue.TypeName | undefined => {
  if (typeof value === "bigint") return value > 2n ** 63n - 1n ? "ulong" : "long"
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) return "double"
    return value >= -(2 ** 31) && value < 2 ** 31 ? "int" : "long"
  }
  if (!AmqpValue.isTyped(value)) return undefined
  const type = value.type as AmqpValue.TypeName
  return ranges.has(type) || /^(float|double|decimal)/.test(type) ? type : undefined
}
