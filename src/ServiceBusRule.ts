/**
 * Rules of a subscription as plain data: which messages of its topic it gets, and what is changed in its copy of them.
 *
 * A rule is a name, a filter and, where its copy is to be changed, an action. A subscription has any number of rules; a new one
 * has `$Default`, which takes every message. A message enters once for all the matching rules that have no action, and once
 * more for each matching rule that has one. `ServiceBusRuleManager` creates, lists and deletes them.
 *
 * Source: Service Bus documentation (topic filters and actions, SQL filter and action syntax).
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"
import { type AmqpValue, isTyped, type Typed } from "./AmqpValue.ts"

/**
 * Values for the parameters of a SQL expression, by name. A name begins with `@`, as it does in the expression.
 *
 * @category models
 * @since 0.1.0
 */
export type Parameters = Readonly<Record<string, AmqpValue>>

/**
 * Takes the messages for which a SQL condition is true. One that is unknown, because a property is missing, takes none.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlFilter {
  readonly _tag: "SqlFilter"
  /** The condition; at most 1024 characters. */
  readonly expression: string
  /** Values for the names with `@` in the expression. */
  readonly parameters: Parameters
}

/**
 * What a correlation filter asks of a message. What is left out is not asked for, and at least one condition stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conditions {
  /** The correlation id. */
  readonly correlationId?: string | undefined
  /** The message id. */
  readonly messageId?: string | undefined
  /** The address that the message is for. */
  readonly to?: string | undefined
  /** The address that answers go to. */
  readonly replyTo?: string | undefined
  /** The subject, which other clients call label. */
  readonly subject?: string | undefined
  /** The session id. */
  readonly sessionId?: string | undefined
  /** The session id of answers. */
  readonly replyToSessionId?: string | undefined
  /** The content type. */
  readonly contentType?: string | undefined
  /** Application properties, each by its name and the value that it is to have. */
  readonly applicationProperties?: Readonly<Record<string, AmqpValue>> | undefined
}

/**
 * Takes the messages that have every value that it names. It costs the service less than a SQL filter.
 *
 * @category models
 * @since 0.1.0
 */
export interface CorrelationFilter extends Conditions {
  readonly _tag: "CorrelationFilter"
}

/**
 * Takes every message.
 *
 * @category models
 * @since 0.1.0
 */
export interface TrueFilter {
  readonly _tag: "TrueFilter"
}

/**
 * Takes no message.
 *
 * @category models
 * @since 0.1.0
 */
export interface FalseFilter {
  readonly _tag: "FalseFilter"
}

/**
 * Which messages a rule takes.
 *
 * @category models
 * @since 0.1.0
 */
export type Filter = SqlFilter | CorrelationFilter | TrueFilter | FalseFilter

/**
 * What is changed in the copy of a message that a rule takes: statements of SET and REMOVE.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlAction {
  readonly _tag: "SqlAction"
  /** The statements; at most 1024 characters, and 32 of them. */
  readonly expression: string
  /** Values for the names with `@` in the expression. */
  readonly parameters: Parameters
}

/**
 * A rule of a subscription.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rule {
  /** The name, unique in its subscription; at most 50 characters. */
  readonly name: string
  /** Which messages it takes. */
  readonly filter: Filter
  /** What it changes in its copy of them; nothing by default. */
  readonly action?: SqlAction | undefined
  /** When it was created, where the service has said so. */
  readonly createdAt?: DateTime.Utc | undefined
}

/**
 * A filter of a kind that this version does not know, as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnknownFilter {
  readonly _tag: "UnknownFilter"
  readonly value: AmqpValue
}

/**
 * An action of a kind that this version does not know, as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnknownAction {
  readonly _tag: "UnknownAction"
  readonly value: AmqpValue
}

/**
 * A rule as the service lists it: one whose kind this version does not know is in the list too.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListedRule extends Omit<Rule, "filter" | "action"> {
  /** Which messages it takes. */
  readonly filter: Filter | UnknownFilter
  /** What it changes in its copy of them. */
  readonly action?: SqlAction | UnknownAction | undefined
}

/**
 * Whether a listed rule is one that this version knows. It can be created again elsewhere, but for what another client, or the
 * service, took and this one refuses: a name or expression that is longer, a text that is not well-formed.
 *
 * @category guards
 * @since 0.1.0
 */
export const isKnown = (rule: ListedRule): rule is Rule => {
  try {
    return Predicate.isObject(rule.filter) && rule.filter._tag !== "UnknownFilter" &&
      rule.action?._tag !== "UnknownAction"
  } catch {
    // It is no rule.
    return false
  }
}

/**
 * The name of the rule that a new subscription has: `$Default`.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const everything = ServiceBusRule.make(ServiceBusRule.defaultName, ServiceBusRule.true)
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const defaultName = "$Default"

/**
 * A filter by a SQL condition over `sys.` properties and application properties. A parameter stands in the condition with its
 * `@`; here its name may have it or not.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const large = ServiceBusRule.sql("region = @region AND total >= 1000", { region: "eu" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const sql = (expression: string, parameters?: Parameters): SqlFilter => ({
  _tag: "SqlFilter",
  expression,
  parameters: withAt(parameters)
})

/**
 * A filter by values that a message must have, all of them, letter by letter.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const red = ServiceBusRule.correlation({ subject: "paint", applicationProperties: { color: "red" } })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const correlation = (conditions: Conditions): CorrelationFilter => {
  try {
    return { ...conditions, _tag: "CorrelationFilter" }
  } catch {
    // What cannot be read is refused as a filter without a condition.
    return { _tag: "CorrelationFilter" }
  }
}

/**
 * The filter that takes every message.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const everything = ServiceBusRule.make("everything", ServiceBusRule.true)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
const true_: TrueFilter = Object.freeze({ _tag: "TrueFilter" })

/**
 * The filter that takes no message.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const nothing = ServiceBusRule.make("nothing", ServiceBusRule.false)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
const false_: FalseFilter = Object.freeze({ _tag: "FalseFilter" })

export { false_ as false, true_ as true }

/**
 * An action: statements of SET and REMOVE, carried out on the copy that its rule takes. Parameters are as those of `sql`.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const mark = ServiceBusRule.action("SET priority = @priority; REMOVE draft", { priority: 1 })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const action = (expression: string, parameters?: Parameters): SqlAction => ({
  _tag: "SqlAction",
  expression,
  parameters: withAt(parameters)
})

/**
 * A rule. It is data: what is wrong with it is said where it is used, before anything is sent.
 *
 * @example
 * ```ts
 * import { ServiceBusRule } from "effect-service-bus"
 *
 * export const urgent = ServiceBusRule.make(
 *   "urgent",
 *   ServiceBusRule.sql("sys.Label = 'urgent'"),
 *   ServiceBusRule.action("SET priority = 1")
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, filter: Filter, action?: SqlAction): Rule => ({
  name,
  filter,
  ...(action === undefined ? {} : { action })
})

/** The names of parameters as the expression has them. */
const withAt = (parameters: Parameters | undefined): Parameters => {
  if (!Predicate.isObject(parameters)) return parameters ?? {}
  try {
    const named: Record<string, AmqpValue> = {}
    for (const [name, value] of Object.entries(parameters)) named[name.startsWith("@") ? name : `@${name}`] = value
    return named
  } catch {
    // What cannot be read is refused where it is used.
    return parameters
  }
}

/** What is wrong with a rule, by the name of the part. */
interface Problem {
  readonly option: string
  readonly expected: string
}

/** The longest name of a rule, in characters (Service Bus quotas). */
const maxName = 50

/**
 * The longest expression, in characters (Service Bus quotas).
 *
 * @internal
 */
export const maxExpression = 1024

/** What no name of an entity has, as the SDK for .NET checks it (EntityNameFormatter). */
// oxlint-disable-next-line no-control-regex
const notInNames = /[/\\@?#*\x00-\x1f\x7f-\x9f]/

/**
 * Says what is wrong with the name of a rule, or nothing.
 *
 * @internal
 */
export const nameProblemOf = (name: unknown): Problem | undefined =>
  typeof name === "string" && name.trim() !== "" && name.length <= maxName && name.isWellFormed() &&
    !notInNames.test(name)
    ? undefined
    : {
      option: "name",
      expected: `a well-formed string of 1 to ${maxName} characters, none of / \\ @ ? # * or a control character`
    }

/**
 * Says what is wrong with a rule, or nothing: what can be said without reading its SQL, which is the service's to read. It never
 * throws, whatever the value is.
 *
 * @internal
 */
export const problemOf = (rule: Rule): Problem | undefined => {
  try {
    if (!Predicate.isObject(rule)) return { option: "rule", expected: "a rule, made by ServiceBusRule.make" }
    return nameProblemOf(rule.name) ?? filterProblemOf(rule.filter) ??
      (rule.action === undefined ? undefined : actionProblemOf(rule.action))
  } catch {
    // A proxy, or a getter.
    return { option: "rule", expected: "a rule that can be read" }
  }
}

const texts = [
  "correlationId",
  "messageId",
  "to",
  "replyTo",
  "subject",
  "sessionId",
  "replyToSessionId",
  "contentType"
] as const satisfies ReadonlyArray<keyof Conditions>

const known: ReadonlySet<string> = new Set<keyof CorrelationFilter>(["_tag", ...texts, "applicationProperties"])

const filterProblemOf = (filter: Filter): Problem | undefined => {
  switch (Predicate.isObject(filter) ? filter._tag : undefined) {
    case "TrueFilter":
    case "FalseFilter":
      return undefined
    case "SqlFilter":
      return sqlProblemOf("filter", filter as SqlFilter)
    case "CorrelationFilter":
      return conditionsProblemOf(filter as CorrelationFilter)
    default:
      return { option: "filter", expected: "a filter: ServiceBusRule.sql, correlation, true or false" }
  }
}

const conditionsProblemOf = (filter: CorrelationFilter): Problem | undefined => {
  const wrong = texts.find((name) => {
    const value: unknown = filter[name]
    return value !== undefined && !(typeof value === "string" && value !== "" && value.isWellFormed())
  })
  if (wrong !== undefined) return { option: `filter.${wrong}`, expected: "a well-formed string that is not empty" }
  const other = Object.keys(filter).find((name) => !known.has(name))
  if (other !== undefined) {
    return {
      option: `filter.${other}`,
      expected: `nothing: conditions are ${texts.join(", ")} and applicationProperties`
    }
  }
  const { applicationProperties = {} } = filter
  if (!Predicate.isObject(applicationProperties)) {
    return { option: "filter.applicationProperties", expected: "an object with a value for each property" }
  }
  const conditions = Object.values(applicationProperties).filter((value) => value !== undefined)
  return conditions.length > 0 || texts.some((name) => filter[name] !== undefined)
    ? undefined
    : { option: "filter", expected: "at least one condition; ServiceBusRule.true takes every message" }
}

const actionProblemOf = (action: SqlAction): Problem | undefined =>
  Predicate.isObject(action) && action._tag === "SqlAction"
    ? sqlProblemOf("action", action)
    : { option: "action", expected: "an action: ServiceBusRule.action" }

const sqlProblemOf = (part: string, { expression, parameters }: SqlFilter | SqlAction): Problem | undefined => {
  const isText = typeof expression === "string" && expression.trim() !== "" && expression.length <= maxExpression &&
    expression.isWellFormed()
  if (!isText) {
    return {
      option: `${part}.expression`,
      expected: `a well-formed string of 1 to ${maxExpression} characters, not of spaces alone`
    }
  }
  if (!Predicate.isObject(parameters)) {
    return { option: `${part}.parameters`, expected: "an object with a value for each parameter" }
  }
  const wrong = Object.keys(parameters).find((name) => !/^@\p{L}[\p{L}\p{Nd}_]*$/u.test(name))
  return wrong === undefined
    ? undefined
    : { option: `${part}.parameters.${wrong}`, expected: "a name of @, a letter, and letters, digits or _" }
}

/**
 * A value as SQL writes it; undefined where it has no form for it (Service Bus documentation, SQL filter syntax: constants).
 *
 * @internal
 */
export const constantOf = (value: AmqpValue): string | undefined => {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? `'${value.replaceAll("'", "''")}'` : undefined
    case "boolean":
      return value ? "TRUE" : "FALSE"
    case "bigint":
      return integer(value)
    case "number":
      return Number.isSafeInteger(value) ? integer(BigInt(value)) : approximate(value)
    default:
      return value === null ? "NULL" : isTyped(value) ? typedConstantOf(value as Typed) : undefined
  }
}

const typedConstantOf = ({ type, value }: Typed): string | undefined => {
  switch (type) {
    case "string":
      return typeof value === "string" ? constantOf(value) : undefined
    case "boolean":
      return typeof value === "boolean" ? constantOf(value) : undefined
    case "float":
      return typeof value === "number" ? approximate(Math.fround(value)) : undefined
    case "double":
      return typeof value === "number" ? approximate(value) : undefined
    case "ubyte":
    case "ushort":
    case "uint":
    case "ulong":
    case "byte":
    case "short":
    case "int":
    case "long":
      return typeof value === "bigint"
        ? integer(value)
        : Number.isSafeInteger(value)
        ? integer(BigInt(value as number))
        : undefined
    default:
      return undefined
  }
}

/** The constant of an integer is a long. The least one is a negation of what is none. */
const integer = (value: bigint): string | undefined =>
  value >= 2n ** 63n || value < -(2n ** 63n)
    ? undefined
    : value === -(2n ** 63n)
    ? `(-${2n ** 63n - 1n} - 1)`
    : signed(String(value))

/** With an exponent it is a double; the service says of constants with a point that their type may change. */
const approximate = (value: number): string | undefined =>
  Number.isFinite(value) ? signed(value.toExponential().replace("e", "E").replace("+", "")) : undefined

/** In parentheses, so that what stands before it cannot make another sign of it. */
const signed = (text: string): string => text.startsWith("-") ? `(${text})` : text
