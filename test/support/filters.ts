/** Rules over messages that are records: what a filter says of one, and what an action makes of one. */
import * as Result from "effect/Result"
import type * as AmqpValue from "../../src/AmqpValue.ts"
import {
  type Changes,
  FilterError,
  type FilterMessage,
  type RuleProblem
} from "../../src/emulator/broker/filter/FilterMessage.ts"
import * as Rule from "../../src/emulator/broker/filter/Rule.ts"
import * as SqlEvaluator from "../../src/emulator/broker/filter/SqlEvaluator.ts"
import { SqlProblem } from "../../src/emulator/broker/filter/SqlLexer.ts"
import * as SqlParser from "../../src/emulator/broker/filter/SqlParser.ts"
import * as ServiceBusRule from "../../src/ServiceBusRule.ts"

export type Properties = Readonly<Record<string, AmqpValue.AmqpValue>>

/** A message. */
export const messageOf = (properties: Properties, system: Properties = {}): FilterMessage => {
  const names = new Map(Object.keys(properties).map((name) => [name.toLowerCase(), name]))
  return {
    system: (name) => system[name],
    property: (name) => names.has(name) ? properties[names.get(name)!] : undefined,
    spelling: (name) => names.get(name)
  }
}

export type Outcome = boolean | "unknown" | `error: ${string}` | `refused: ${string}`

/** What a predicate is for a message; for any, where it is refused. */
export const outcomeOf = (
  expression: string,
  properties: Properties = {},
  { parameters = {}, system }: { readonly parameters?: Properties; readonly system?: Properties } = {}
): Outcome => {
  try {
    const decide = SqlEvaluator.predicate(SqlParser.parseFilter(expression), parameters)
    return decide(messageOf(properties, system)) ?? "unknown"
  } catch (error) {
    if (error instanceof FilterError) return `error: ${error.message}`
    if (error instanceof SqlProblem) return `refused: ${error.message}`
    throw error
  }
}

export const compiled = (
  filter: ServiceBusRule.Filter,
  action?: ServiceBusRule.SqlAction
): Result.Result<Rule.CompiledRule, RuleProblem> => Rule.compile(ServiceBusRule.make("r", filter, action))

export const problemOf = (filter: ServiceBusRule.Filter, action?: ServiceBusRule.SqlAction): RuleProblem => {
  const result = compiled(filter, action)
  if (Result.isSuccess(result)) throw new Error("the rule is no problem")
  return result.failure
}

/** What an action changes in a message, `RuleName` left out. */
export const changesOf = (
  expression: string,
  properties: Properties = {},
  { parameters = {}, system }: { readonly parameters?: Properties; readonly system?: Properties } = {}
): Changes => {
  const rule = Result.getOrThrow(compiled(ServiceBusRule.true, ServiceBusRule.action(expression, parameters)))
  const changes = rule.apply!(messageOf(properties, system))
  return { ...changes, properties: new Map([...changes.properties].filter(([name]) => name !== "RuleName")) }
}
