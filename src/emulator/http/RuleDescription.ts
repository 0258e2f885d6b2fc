/**
 * Descriptions of rules as rules of the broker, and back. A file of its own because a subscription starts with a rule, and
 * rules are made and changed by themselves.
 */
import type * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import type * as Description from "../../internal/administration/Description.ts"
import * as RuleDescription from "../../internal/administration/RuleDescription.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as Condition from "./HttpCondition.ts"

/** The rule that a description is; without a filter it takes every message, and without a name it is the default one. */
export const read = (
  { Action, Filter = ServiceBusRule.true, Name = ServiceBusRule.defaultName }: Description.Rule
): Result.Result<ServiceBusRule.Rule, Condition.HttpCondition> => {
  if (Filter._tag === "UnknownFilter") return Result.fail(Condition.invalid("The type of the filter is not known."))
  if (Action?._tag === "UnknownAction") return Result.fail(Condition.invalid("The type of the action is not known."))
  return ServiceBusRule.nameProblemOf(Name) === undefined
    ? Result.succeed(ServiceBusRule.make(Name, Filter, Action?._tag === "SqlAction" ? Action : undefined))
    : Result.fail(Condition.invalid(`The specified name ("${Name.slice(0, 64)}") is not valid.`))
}

/** The description of a rule. */
export const describe = ({ action, filter, name }: ServiceBusRule.Rule, createdAt: DateTime.Utc): Description.Rule => ({
  Filter: filter,
  Action: action ?? RuleDescription.emptyAction,
  CreatedAt: createdAt,
  Name: name
})
