/**
 * Rules of subscriptions as users see them, and the descriptions that they are in the management API: checked by the place and
 * the part that is wrong, written, and read.
 */
import * as Result from "effect/Result"
import type { InvalidOptionError } from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import { outOfRange, readOrUndefined } from "../options.ts"
import * as AtomXml from "./AtomXml.ts"
import * as Description from "./Description.ts"
import * as RuleDescription from "./RuleDescription.ts"

/** What is wrong with the name of a rule here, where it is a part of a URL: that of ".." would be the subscription's. */
export const nameProblemOf = (name: string): { readonly option: string; readonly expected: string } | undefined =>
  !AtomXml.isWritable(name)
    ? { option: "name", expected: "a text that XML has" }
    : name === "." || name === ".."
    ? { option: "name", expected: `another name than "." and "..", which a URL has no place for` }
    : undefined

/** An option of a rule, in a list of rules. */
export const optionOf = (index: number, option: string): string =>
  option === "rule" ? `rules[${index}]` : `rules[${index}].${option}`

/** A list of rules as their descriptions, or what is wrong with it, by the place of the rule and the name of the part. */
export const writeAll = (
  entity: string,
  rules: unknown
): Result.Result<ReadonlyArray<Description.Rule>, InvalidOptionError> => {
  if (!Array.isArray(rules)) return Result.fail(outOfRange(entity, "rules", "an array of rules"))
  const written: Array<Description.Rule> = []
  const names = new Set<string>()
  for (const [index, rule] of rules.entries()) {
    const one = write(entity, rule as ServiceBusRule.Rule)
    if (Result.isFailure(one)) {
      const { expected, option } = one.failure
      return Result.fail(outOfRange(entity, optionOf(index, option), expected))
    }
    const name = one.success.Name!.toLowerCase()
    if (names.has(name)) {
      return Result.fail(
        outOfRange(entity, `rules[${index}].name`, "another name than the rules before it, case aside")
      )
    }
    names.add(name)
    written.push(one.success)
  }
  return Result.succeed(written)
}

/** A rule as its description, or what is wrong with it, by the name of the part. */
export const write = (
  entity: string,
  rule: ServiceBusRule.Rule
): Result.Result<Description.Rule, InvalidOptionError> => {
  const problem = readOrUndefined(() => ruleProblemOf(rule) ?? none) ??
    { option: "rule", expected: "a rule that can be read" }
  return problem === none
    ? Result.succeed({
      Name: rule.name,
      Filter: rule.filter,
      ...(rule.action === undefined ? {} : { Action: rule.action })
    })
    : Result.fail(outOfRange(entity, problem.option, problem.expected))
}

const none = { option: "", expected: "" }

const ruleProblemOf = (
  rule: ServiceBusRule.Rule
): { readonly option: string; readonly expected: string } | undefined => {
  const problem = ServiceBusRule.problemOf(rule)
  if (problem !== undefined) return problem
  const { action, filter, name } = rule
  const nameProblem = nameProblemOf(name)
  if (nameProblem !== undefined) return nameProblem
  if (filter._tag === "CorrelationFilter") {
    const { _tag, applicationProperties = {}, ...texts } = filter
    for (const [option, text] of Object.entries(texts)) {
      if (text !== undefined && !AtomXml.isWritable(text)) {
        return { option: `filter.${option}`, expected: "a text that XML has" }
      }
    }
    return valuesProblemOf("filter.applicationProperties", applicationProperties) ?? sqlProblemOf("action", action)
  }
  return sqlProblemOf("filter", filter._tag === "SqlFilter" ? filter : undefined) ?? sqlProblemOf("action", action)
}

const sqlProblemOf = (part: string, sql: ServiceBusRule.SqlFilter | ServiceBusRule.SqlAction | undefined) =>
  sql === undefined
    ? undefined
    : !AtomXml.isWritable(sql.expression)
    ? { option: `${part}.expression`, expected: "a text that XML has" }
    : valuesProblemOf(`${part}.parameters`, sql.parameters)

const valuesProblemOf = (part: string, values: ServiceBusRule.Parameters) => {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null) continue
    const typed = RuleDescription.typedTextOf(value)
    if (typed === undefined || !AtomXml.isWritable(name) || !AtomXml.isWritable(typed.text)) {
      return {
        option: `${part}.${name}`,
        expected:
          "a text, a whole number, a double, a boolean, a time, a duration, or what else XML Schema has a type for"
      }
    }
  }
  return undefined
}

/** The rule that a description is. */
export const read = (name: string, { Action, CreatedAt, Filter }: Description.Rule): ServiceBusRule.ListedRule => {
  // Absent it takes every message, as the SDK for .NET reads it.
  const filter = Filter ?? ServiceBusRule.true
  const action = Action === undefined || Action._tag === "EmptyAction" ? undefined : Action
  return {
    name,
    filter: filter._tag === "UnknownFilter" ? { _tag: filter._tag, value: filter.value } : filter,
    ...(action === undefined
      ? {}
      : { action: action._tag === "UnknownAction" ? { _tag: action._tag, value: action.value } : action }),
    ...(CreatedAt === undefined ? {} : { createdAt: CreatedAt })
  }
}

/** What a rule says, whatever its name and whenever it was created. */
const textOf = ({ Action, Filter }: Description.Rule): string =>
  AtomXml.print(
    Description.write(Description.rule, {
      Filter: Filter ?? ServiceBusRule.true,
      ...(Action === undefined || Action._tag === "EmptyAction" ? {} : { Action })
    }, "request")
  )

/** Whether a rule that is there is the one that was asked for. */
export const isAsAsked = (asked: Description.Rule, found: Description.Rule): boolean => textOf(asked) === textOf(found)

/** What takes all or nothing may be said in either way. */
const plainFilter = (filter: ServiceBusRule.Filter): ServiceBusRule.Filter =>
  filter._tag === "SqlFilter" && Object.keys(filter.parameters).length === 0
    ? filter.expression === "1=1"
      ? ServiceBusRule.true
      : filter.expression === "1=0"
      ? ServiceBusRule.false
      : filter
    : filter

/** Whether a rule is as it is declared, whatever it is called. */
export const isSame = (declared: ServiceBusRule.Rule, found: ServiceBusRule.ListedRule): boolean => {
  if (!ServiceBusRule.isKnown(found)) return false
  const text = ({ action, filter }: ServiceBusRule.Rule) =>
    textOf({ Filter: plainFilter(filter), ...(action === undefined ? {} : { Action: action }) })
  return text(declared) === text(found)
}
