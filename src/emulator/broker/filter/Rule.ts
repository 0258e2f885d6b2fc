/**
 * A rule of a subscription, made ready once: its filter and its action are parsed and compiled here, and evaluated for every
 * message of the topic. It owns no state: one compiled rule serves any number of messages, and knows of no subscription.
 *
 * Source: Service Bus, SQL filter syntax, SQL action syntax, topic filters.
 */
import * as Result from "effect/Result"
import type * as ServiceBusRule from "../../../ServiceBusRule.ts"
import * as CorrelationFilter from "./CorrelationFilter.ts"
import type { Changes, FilterMessage, RuleProblem } from "./FilterMessage.ts"
import * as SqlAction from "./SqlAction.ts"
import * as SqlEvaluator from "./SqlEvaluator.ts"
import { SqlProblem } from "./SqlLexer.ts"
import * as SqlParser from "./SqlParser.ts"

export { type Changes, FilterError, type FilterMessage, type RuleProblem } from "./FilterMessage.ts"

/**
 * A rule that can be evaluated. Both functions throw a `FilterError` where the service has an evaluation error.
 *
 * @category models
 */
export interface CompiledRule {
  readonly rule: ServiceBusRule.Rule
  readonly matches: (message: FilterMessage) => boolean
  /** What its action does to the copy, `RuleName` included; undefined where it has no action. */
  readonly apply: ((message: FilterMessage) => Changes) | undefined
}

/**
 * Compiles a rule, or says in the service's words why it is refused.
 *
 * @category constructors
 */
export const compile = (rule: ServiceBusRule.Rule): Result.Result<CompiledRule, RuleProblem> => {
  const matches = refused("filter", textOf(rule.filter), () => filterOf(rule.filter))
  if (Result.isFailure(matches)) return Result.fail(matches.failure)
  const { action } = rule
  if (action === undefined) return Result.succeed({ rule, matches: matches.success, apply: undefined })
  return Result.map(
    refused(
      "action",
      action.expression,
      () => SqlAction.make(SqlParser.parseAction(action.expression), action.parameters)
    ),
    (apply) => ({
      rule,
      matches: matches.success,
      apply: (message) => {
        const changes = apply(message)
        const others = [...changes.properties].filter(([name]) => name.toLowerCase() !== ruleName.toLowerCase())
        const spelling = message.spelling(ruleName.toLowerCase()) ?? ruleName
        return { ...changes, properties: new Map([...others, [spelling, rule.name]]) }
      }
    })
  )
}

/** The application property that says which rule made a copy (Service Bus, topic filters). */
const ruleName = "RuleName"

const textOf = (filter: ServiceBusRule.Filter): string => filter._tag === "SqlFilter" ? filter.expression : ""

const filterOf = (filter: ServiceBusRule.Filter): CompiledRule["matches"] => {
  switch (filter._tag) {
    case "TrueFilter":
      return () => true
    case "FalseFilter":
      return () => false
    case "CorrelationFilter":
      return CorrelationFilter.make(filter)
    case "SqlFilter": {
      const decide = SqlEvaluator.predicate(SqlParser.parseFilter(filter.expression), filter.parameters)
      return (message) => decide(message) === true
    }
  }
}

/** What a function makes, or its `SqlProblem` with the place and the words of the service's parser. */
const refused = <A>(part: RuleProblem["part"], text: string, make: () => A): Result.Result<A, RuleProblem> => {
  try {
    return Result.succeed(make())
  } catch (problem) {
    if (!(problem instanceof SqlProblem)) throw problem
    const before = text.slice(0, problem.at).split("\n")
    const line = before.length
    const column = before.at(-1)!.length
    const place = `Token line=${line}, column=${column}, Token in error= ${problem.token}`
    return Result.fail({
      part,
      line,
      column,
      message: `There was an error parsing the SQL expression. [${place}, Additional details= ${problem.message}]`
    })
  }
}
