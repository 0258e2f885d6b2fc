/**
 * A correlation filter as a function of a message: every condition that it has must hold (Service Bus, topic filters). Texts are
 * equal letter by letter, other values as the `=` of SQL filters has it.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import type * as ServiceBusRule from "../../../ServiceBusRule.ts"
import type { FilterMessage } from "./FilterMessage.ts"
import * as SqlEvaluator from "./SqlEvaluator.ts"
import { SqlProblem } from "./SqlLexer.ts"
import * as SqlValue from "./SqlValue.ts"

/** The conditions over system properties, by the names that messages have them by. */
const systemNames = [
  ["correlationId", "correlationid"],
  ["messageId", "messageid"],
  ["to", "to"],
  ["replyTo", "replyto"],
  ["subject", "label"],
  ["sessionId", "sessionid"],
  ["replyToSessionId", "replytosessionid"],
  ["contentType", "contenttype"]
] as const

/** Makes a filter ready; a condition that is undefined is none. Throws a `SqlProblem`. @category constructors */
export const make = (filter: ServiceBusRule.CorrelationFilter): (message: FilterMessage) => boolean => {
  const systems = systemNames.flatMap(([key, name]) => filter[key] === undefined ? [] : [{ name, value: filter[key] }])
  const properties = Object.entries(filter.applicationProperties ?? {}).map(([name, value]) => ({
    name: name.toLowerCase(),
    value: fixedValue(value, `the property "${name}"`)
  }))
  return (message) =>
    systems.every(({ name, value }) => message.system(name) === value) &&
    properties.every(({ name, value }) => isEqual(SqlValue.fromAmqp(message.property(name)), value))
}

const fixedValue = (value: AmqpValue.AmqpValue, title: string): SqlValue.Value => {
  if (isCompound(value)) throw new SqlProblem(`the value of ${title} is of a type that no property has`, 0, "")
  return SqlEvaluator.fixedValue(value, title)
}

/** Whether a value is a list, a map or an array, which application properties are not (AMQP 1.0 section 3.2.5). */
const isCompound = (value: AmqpValue.AmqpValue): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (AmqpValue.isTyped(value)) {
    return value.type === "array" || value.type === "described" && isCompound((value as AmqpValue.Described).value)
  }
  return Array.isArray(value) || value instanceof Map || Object.getPrototypeOf(value) === Object.prototype
}

/** Null is equal to null, and to what is not there. */
const isEqual = (given: SqlValue.Value, wanted: SqlValue.Value): boolean =>
  given === undefined || wanted === undefined ? given === wanted : SqlValue.compare(given, wanted) === 0
