/**
 * A rule as clients ask for it and as they are told of it: a map in a request, described lists in an answer.
 *
 * The codes of the rule and its action are written with one digit more than those of the filters (Service Bus AMQP
 * request-response guide; answers of the service in azure-sdk-for-java, MessageUtilsTest).
 */
import * as DateTime from "effect/DateTime"
import * as AmqpValue from "../../../AmqpValue.ts"
import { fieldOf } from "../../../internal/amqp/codec/DecodedValue.ts"
import * as ServiceBusRule from "../../../ServiceBusRule.ts"
import { owned } from "../../broker/StoredMessage.ts"
import { FieldProblem, optional, required } from "./Operation.ts"

const codes = {
  rule: 0x0000013700000004n,
  emptyAction: 0x0000013700000005n,
  sqlAction: 0x0000013700000006n,
  sqlFilter: 0x000001370000006n,
  trueFilter: 0x000001370000007n,
  falseFilter: 0x000001370000008n,
  correlationFilter: 0x000001370000009n
}

/** The only level that there is (SQLFilter of .NET). */
const compatibilityLevel = AmqpValue.typed("int", 20)

/** The fields of a correlation filter in the order in which an answer has them, and their names in a request. */
const conditions = [
  ["correlationId", "correlation-id"],
  ["messageId", "message-id"],
  ["to", "to"],
  ["replyTo", "reply-to"],
  ["subject", "label"],
  ["sessionId", "session-id"],
  ["replyToSessionId", "reply-to-session-id"],
  ["contentType", "content-type"]
] as const

const described = (code: bigint, ...fields: ReadonlyArray<AmqpValue.AmqpValue>): AmqpValue.AmqpValue =>
  AmqpValue.described(AmqpValue.typed("ulong", code), fields)

/** The rule of an `add-rule`: `body` has the exact types of the properties of a correlation filter. */
export const read = (body: AmqpValue.AmqpValue): ServiceBusRule.Rule => {
  const description = fieldOf(body, "rule-description")
  const action = fieldOf(description, "sql-rule-action") ?? undefined
  return ServiceBusRule.make(
    required.text(body, "rule-name"),
    readFilter(description),
    action === undefined ? undefined : ServiceBusRule.action(required.text(action, "expression"))
  )
}

const readFilter = (description: AmqpValue.AmqpValue): ServiceBusRule.Filter => {
  const sql = fieldOf(description, "sql-filter") ?? undefined
  if (sql !== undefined) return ServiceBusRule.sql(required.text(sql, "expression"))
  const correlation = fieldOf(description, "correlation-filter") ?? undefined
  if (correlation !== undefined) return readConditions(correlation)
  // No official client sends these two: they send `1=1` and `1=0`.
  if (fieldOf(description, "true-filter") !== undefined) return ServiceBusRule.true
  if (fieldOf(description, "false-filter") !== undefined) return ServiceBusRule.false
  throw new FieldProblem("rule-description must have a sql-filter or a correlation-filter.")
}

const readConditions = (correlation: AmqpValue.AmqpValue): ServiceBusRule.CorrelationFilter => {
  const filter: { -readonly [K in keyof ServiceBusRule.Conditions]: ServiceBusRule.Conditions[K] } = {}
  for (const [name, key] of conditions) {
    const value = optional.text(correlation, key)
    if (value !== undefined) filter[name] = value
  }
  const properties = readProperties(fieldOf(correlation, "properties") ?? undefined)
  if (properties !== undefined) filter.applicationProperties = properties
  return ServiceBusRule.correlation(filter)
}

const readProperties = (value: AmqpValue.AmqpValue): Readonly<Record<string, AmqpValue.AmqpValue>> | undefined => {
  if (value === undefined) return undefined
  const entries: ReadonlyArray<readonly [AmqpValue.AmqpValue, AmqpValue.AmqpValue]> = value instanceof Map
    ? [...value]
    : typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.entries(value)
    : []
  const properties: Record<string, AmqpValue.AmqpValue> = {}
  for (const [key, item] of entries) {
    if (typeof key !== "string") throw new FieldProblem("The keys of properties must be strings.")
    Object.defineProperty(properties, key, { value: owned(item), enumerable: true })
  }
  return entries.length === 0 ? undefined : properties
}

/** A rule in the list of an `enumerate-rules`. */
export const write = (rule: ServiceBusRule.Rule): AmqpValue.AmqpValue => ({
  "rule-description": described(
    codes.rule,
    writeFilter(rule.filter),
    rule.action === undefined
      ? described(codes.emptyAction)
      : described(codes.sqlAction, rule.action.expression, compatibilityLevel),
    rule.name,
    rule.createdAt ?? DateTime.makeUnsafe(0)
  )
})

const writeFilter = (filter: ServiceBusRule.Filter): AmqpValue.AmqpValue => {
  switch (filter._tag) {
    case "SqlFilter":
      return described(codes.sqlFilter, filter.expression, compatibilityLevel)
    case "TrueFilter":
      return described(codes.trueFilter)
    case "FalseFilter":
      return described(codes.falseFilter)
    case "CorrelationFilter":
      return described(
        codes.correlationFilter,
        ...conditions.map(([name]) => filter[name]),
        new Map(Object.entries(filter.applicationProperties ?? {}))
      )
  }
}
