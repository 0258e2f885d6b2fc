/**
 * A SQL action as a function of a message: what SET and REMOVE change in it (Service Bus, SQL action syntax). Statements run in
 * their order, and each sees what those before it did. The message itself is not touched.
 */
import type * as AmqpValue from "../../../AmqpValue.ts"
import {
  type Changes,
  FilterError,
  type FilterMessage,
  type SettableName,
  settableNameOf,
  type SystemName
} from "./FilterMessage.ts"
import * as SqlConversion from "./SqlConversion.ts"
import * as SqlEvaluator from "./SqlEvaluator.ts"
import type { Expression, Property, Statement } from "./SqlParser.ts"
import * as SqlValue from "./SqlValue.ts"

/** What an action changes in a message. Throws a `FilterError`. @category models */
export type Apply = (message: FilterMessage) => Changes

/** Makes statements ready. Throws a `SqlProblem` for a parameter without a value. @category constructors */
export const make = (statements: ReadonlyArray<Statement>, parameters: SqlEvaluator.Parameters): Apply => {
  const steps = statements.map((statement): (message: ChangedMessage) => void => {
    if (statement.kind === "remove") return removerOf(statement.target)
    const write = writerOf(statement.target)
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
  // The parser takes no other.
  const settable = settableNameOf(name)!
  return (message, value) => message.setSystem(settable, value)
}

/** An action fails that removes a system property (Microsoft's library for .NET Framework, RemovePropertyExpression). */
const removerOf = ({ name, scope }: Property): (message: ChangedMessage) => void => {
  if (scope === "user") return (message) => message.setProperty(name, undefined)
  return () => {
    throw new FilterError(`The system property '${name}' cannot be removed.`)
  }
}

/** The last time that .NET knows. */
const lastTicks = 253_402_300_799_999n * 10_000n

/** A message with what the statements so far did to it. */
class ChangedMessage implements FilterMessage {
  private readonly before: FilterMessage
  private readonly properties = new Map<string, { readonly name: string; readonly value: AmqpValue.AmqpValue }>()
  private readonly systems = new Map<SettableName, AmqpValue.AmqpValue>()

  constructor(before: FilterMessage) {
    this.before = before
  }

  system(name: SystemName): AmqpValue.AmqpValue {
    if (name === "expiresatutc" && this.systems.has("timetolive")) return this.expiresAt()
    return this.systems.has(name as SettableName)
      ? this.systems.get(name as SettableName)
      : this.before.system(name)
  }

  /** Where the time to live is another one, so is the end that it means (.NET's message class adds the two when it is asked). */
  private expiresAt(): AmqpValue.AmqpValue {
    const enqueued = SqlValue.fromAmqp(this.before.system("enqueuedtimeutc"))
    const life = SqlValue.fromAmqp(this.systems.get("timetolive"))
    if (!(enqueued instanceof SqlValue.Time && life instanceof SqlValue.Span)) return undefined
    const end = enqueued.ticks + life.ticks
    return SqlValue.toAmqp(new SqlValue.Time(end < lastTicks ? end : lastTicks))
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
      value: value === undefined ? undefined : SqlConversion.convert(before, value)
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

/**
 * A value as a system property has it: a text, a time or a span of time. Null is no text; the others cannot be null (Microsoft's
 * library for .NET Framework, SetPropertyExpression).
 */
const systemValue = (name: SettableName, value: AmqpValue.AmqpValue): AmqpValue.AmqpValue => {
  const given = SqlValue.fromAmqp(value)
  switch (name) {
    case "timetolive": {
      const span = SqlConversion.toSpan(given)
      if (span.ticks > 0n) return SqlValue.toAmqp(span)
      throw new FilterError("The time to live of a message must be greater than zero.")
    }
    case "scheduledenqueuetimeutc":
      return SqlValue.toAmqp(SqlConversion.toTime(given))
    default:
      return given === undefined ? undefined : SqlConversion.toText(given)
  }
}
