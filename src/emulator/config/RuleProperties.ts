/**
 * The properties that rules have in configuration files, as rules: a filter that is there is followed or refused, never dropped.
 *
 * Sources: the schema of Microsoft's emulator; the type Microsoft.ServiceBus/namespaces/topics/subscriptions/rules.
 */
import * as Result from "effect/Result"
import type { AmqpValue } from "../../AmqpValue.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as Rule from "../broker/filter/Rule.ts"
import type { ConfigValue } from "./ConfigValue.ts"

/** Conditions by their names in files; those that are called otherwise here have both names. */
const conditions: ReadonlyMap<string, keyof ServiceBusRule.Conditions> = new Map([
  ["contentType", "contentType"],
  ["correlationId", "correlationId"],
  ["label", "subject"],
  ["messageId", "messageId"],
  ["replyTo", "replyTo"],
  ["replyToSessionId", "replyToSessionId"],
  ["sessionId", "sessionId"],
  ["to", "to"]
])

/** What the service keeps for itself. */
const reserved = ["requiresPreprocessing", "compatibilityLevel"]

/**
 * The rule of a name; undefined where it cannot be one. `words` are those of FilterType for the two kinds of filters.
 *
 * @category conversions
 */
export const read = (
  name: ConfigValue,
  properties: ConfigValue,
  words: { readonly sql: string; readonly correlation: string }
): ServiceBusRule.Rule | undefined => {
  const nameText = name.text("the name of a rule")
  const nameProblem = nameText === undefined ? undefined : ServiceBusRule.nameProblemOf(nameText)
  if (nameProblem !== undefined) name.wrong(nameProblem.expected)
  const sqlFilter = properties.spell("sqlFilter")
  const inFilter = `it stands within the filter: "${sqlFilter}": { "${properties.spell("sqlExpression")}": "…" }`
  const members = properties.members(["filterType", "sqlFilter", "correlationFilter", "action"], {
    expected: "the properties of a rule",
    advice: { sqlexpression: inFilter, filter: inFilter }
  })
  const type = members.get("filtertype")
  const kind = type?.word([words.sql, words.correlation])
  const [sql, correlation] = [members.get("sqlfilter"), members.get("correlationfilter")]
  const condition = sql === undefined || correlation !== undefined ? undefined : expressionOf(sql, false)
  let filter: ServiceBusRule.Filter | undefined
  if (sql !== undefined && correlation !== undefined) {
    properties.problem(
      `has both filters; a rule has one: remove ${sqlFilter} or ${properties.spell("correlationFilter")}`
    )
  } else if (sql !== undefined) filter = condition === undefined ? undefined : ServiceBusRule.sql(condition.text)
  else if (correlation !== undefined) filter = correlationOf(correlation)
  else if (type === undefined || kind !== undefined) {
    const wanted = kind === words.correlation ? properties.spell("correlationFilter") : sqlFilter
    properties.problem(
      `has no filter; give ${wanted}${wanted === sqlFilter ? `, with the expression "1=1" for every message` : ""}`
    )
  }
  const there = sql === undefined ? words.correlation : words.sql
  if (filter !== undefined && kind !== undefined && kind !== there) {
    type!.warning(`is "${kind}", and the filter that is there is of the type "${there}": the filter is followed`)
  }
  const actionPart = members.get("action")
  const expression = actionPart === undefined ? undefined : expressionOf(actionPart, true)
  if (filter === undefined || nameText === undefined || nameProblem !== undefined) return undefined
  const rule = ServiceBusRule.make(
    nameText,
    filter,
    expression === undefined ? undefined : ServiceBusRule.action(expression.text)
  )
  const compiled = Rule.compile(rule)
  if (Result.isSuccess(compiled)) return rule
  const { message, part } = compiled.failure
  const wrong = (part === "action" ? expression : condition)?.part ?? properties
  return wrong.problem(`cannot be read. ${message}`)
}

/**
 * The rules of one subscription, which differ by their names.
 *
 * @category validation
 */
export const distinct = (
  rules: ReadonlyArray<{ readonly rule: ServiceBusRule.Rule; readonly part: ConfigValue }>
): ReadonlyArray<ServiceBusRule.Rule> => {
  const names = new Set<string>()
  for (const { part, rule: { name } } of rules) {
    if (names.has(name)) part.problem(`is the rule "${name}", which its subscription has already; remove one of them`)
    names.add(name)
  }
  return rules.map(({ rule }) => rule)
}

/** A SQL expression, and where it stands. An action without one is none. */
const expressionOf = (part: ConfigValue, isOptional: boolean) => {
  const found = part.members(["sqlExpression"], { ignored: reserved }).get("sqlexpression")
  if (found === undefined) {
    if (!isOptional) part.problem(`has no ${part.spell("sqlExpression")}; "1=1" takes every message`)
    return undefined
  }
  const text = found.text("a SQL expression", isOptional)
  if (text === undefined) return undefined
  if (text.length <= ServiceBusRule.maxExpression) return { text, part: found }
  return found.problem(`must be at most ${ServiceBusRule.maxExpression} characters, not ${text.length}`)
}

const correlationOf = (part: ConfigValue): ServiceBusRule.Filter | undefined => {
  const given: Record<string, string | Record<string, AmqpValue>> = {}
  const members = part.members([...conditions.keys(), "properties"], { ignored: reserved })
  let isWrong = false
  for (const [name, condition] of conditions) {
    const value = members.get(name.toLowerCase())
    if (value === undefined) continue
    const text = value.text()
    if (text === undefined) isWrong = true
    else given[condition] = text
  }
  const properties: Array<readonly [string, AmqpValue]> = []
  for (const [name, value] of members.get("properties")?.entries("an object with a value for each property") ?? []) {
    const given = value.value
    if (typeof given === "string" || typeof given === "number" || typeof given === "boolean") {
      properties.push([name, given])
    } else {
      isWrong = true
      value.wrong("a text, a number, true or false")
    }
  }
  if (properties.length > 0) given["applicationProperties"] = Object.fromEntries(properties)
  if (isWrong) return undefined
  if (Object.keys(given).length > 0) return ServiceBusRule.correlation(given)
  part.problem(
    `has no condition; give one of ${[...conditions.keys(), "properties"].map((name) => part.spell(name)).join(", ")}`
  )
  return undefined
}
