/**
 * What an entity of the broker is declared as: its kind, its name, its settings and rules, checked by themselves before anything
 * is made of them. Whether it goes with the others that there are, its topic and the targets of its forwarding, the broker sees.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { EmulatorError } from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as EntityOptions from "./EntityOptions.ts"
import * as EntityPath from "./EntityPath.ts"

/**
 * An entity that the broker starts with.
 *
 * @category models
 * @since 0.1.0
 */
export type Entity =
  | {
    readonly kind?: "queue"
    readonly name: string
    readonly options?: EntityOptions.EntityOptions | undefined
    /** What its contract says of sessions. */
    readonly hasSessions?: boolean | undefined
  }
  | { readonly kind: "topic"; readonly name: string; readonly options?: EntityOptions.TopicOptions | undefined }
  | {
    readonly kind: "subscription"
    readonly topic: string
    readonly name: string
    readonly options?: EntityOptions.SubscriptionOptions | undefined
    /** What its contract says of sessions. */
    readonly hasSessions?: boolean | undefined
  }

/**
 * An entity that is declared, checked but for its name and its rules.
 *
 * @category models
 */
export interface DeclaredEntity {
  readonly kind: "queue" | "topic" | "subscription"
  readonly path: string
  /** What an error calls it. */
  readonly title: string
  /** The names that its path is made of. */
  readonly names: ReadonlyArray<string>
  /** The topic of a subscription, in lower case. */
  readonly topic: string | undefined
  readonly settings: EntityOptions.EntitySettings
  readonly entity: Entity
  /** Those of a subscription; their expressions have not been read. */
  readonly rules: ReadonlyArray<ServiceBusRule.Rule>
}

/**
 * Reads an entity, with options that are changed. Fails for what it cannot be by itself, but for its name and its rules.
 *
 * @category constructors
 */
export const declaredOf = (
  entity: Entity,
  changed?: EntityOptions.EntityOptions
): Result.Result<DeclaredEntity, EmulatorError> => {
  const kind = Predicate.isObject(entity) ? entity.kind ?? "queue" : undefined
  if (kind !== "queue" && kind !== "topic" && kind !== "subscription") {
    const problem = "it has queues, topics and subscriptions: an entity is made by Emulator.entity"
    return Result.fail(new EmulatorError({ problem }))
  }
  // What is undefined is not given.
  const given = Object.fromEntries(Object.entries(changed ?? {}).filter(([, value]) => value !== undefined))
  const options: EntityOptions.EntityOptions = { ...entity.options, ...given }
  const name = trim(entity.name)
  const topic = entity.kind === "subscription" ? trim(entity.topic) : undefined
  const title = topic === undefined
    ? `${kind} "${abbreviated(name)}"`
    : `subscription "${abbreviated(name)}" of "${abbreviated(topic)}"`
  const hasSessions = entity.kind === "topic" ? undefined : entity.hasSessions
  // A change of it is refused as the service does, which knows no contract.
  if (
    changed === undefined && hasSessions !== undefined && typeof options.requiresSession === "boolean" &&
    options.requiresSession !== hasSessions
  ) {
    const problem = `${title}: requiresSession must be left out: its contract has ${hasSessions ? "" : "no "}sessions`
    return Result.fail(new EmulatorError({ problem }))
  }
  return Result.map(EntityOptions.settings(title, options, kind), (settings) => ({
    kind,
    title,
    settings,
    entity: { ...entity, options } as Entity,
    names: topic === undefined ? [name] : [topic, name],
    path: topic === undefined ? name : `${topic}/Subscriptions/${name}`,
    topic: topic?.toLowerCase(),
    rules: entity.kind === "subscription" ? entity.options?.rules ?? [everything] : []
  }))
}

/**
 * What is wrong with an entity by itself, before it is added to others; undefined where nothing is.
 *
 * @category validation
 */
export const problemOf = (entity: Entity): string | undefined =>
  Result.match(declaredOf(entity), {
    onFailure: ({ problem }) => problem,
    onSuccess: (declared) => nameProblemOf(declared) ?? rulesProblemOf(declared, () => true)
  })

/** The rule of a subscription that is given none. */
const everything = ServiceBusRule.make(ServiceBusRule.defaultName, ServiceBusRule.true)

/** A name in an error. @category accessors */
export const abbreviated = (name: string): string => name.length > 260 ? `${name.slice(0, 32)}…` : name

/** A path without what its ends may have; what is no text is none. @category accessors */
export const trim = (path: string): string => typeof path === "string" ? EntityPath.trimmed(path) : ""

/** What no name has, as the SDK for .NET checks it (EntityNameFormatter). */
// oxlint-disable-next-line no-control-regex
const notInNames = /[\\@?#*\x00-\x1f\x7f-\x9f]/

/** What is wrong with its names; undefined where nothing is. @category validation */
export const nameProblemOf = ({ kind, names, title }: DeclaredEntity): string | undefined => {
  for (const [index, name] of names.entries()) {
    if (name === "") return `a ${kind} needs a name`
    if (name.length > 260) return `${title}: a name has at most 260 characters`
    if (notInNames.test(name) || !name.isWellFormed()) {
      return `${title}: a name is a well-formed text without \\ @ ? # * and control characters`
    }
    if (index === 1 && (name.length > 50 || name.includes("/"))) {
      return `${title}: the name of a subscription has at most 50 characters, and no "/"`
    }
    if (kind !== "subscription" && /\/subscriptions(\/|$)/i.test(name)) {
      return `${title}: a ${kind} cannot have the path of a subscription; declare the contract, ServiceBusEntity.subscription(topic, name)`
    }
    if (/(^|\/)(\$|\/)/.test(name)) return `${title}: no part of a name is empty or begins with "$"`
  }
  return undefined
}

/**
 * What can be said of the rules that a program gives, which may be anything, before their expressions are read; undefined where
 * nothing is wrong. Peers may send rules that no contract has, such as one for an empty text.
 *
 * @category validation
 */
export const rulesProblemOf = (
  { rules, title }: DeclaredEntity,
  isRuleValue: (value: unknown) => boolean
): string | undefined => {
  if (!Array.isArray(rules)) return `${title}: rules must be an array of rules, made by ServiceBusRule.make`
  for (const [index, rule] of rules.entries()) {
    const problem = ServiceBusRule.problemOf(rule)
    if (problem !== undefined) return `${title}: rules[${index}].${problem.option} must be ${problem.expected}`
    const wrong = valueProblemOf(rule, isRuleValue)
    if (wrong !== undefined) return `${title}: rules[${index}].${wrong}`
  }
  return undefined
}

/** What is wrong with the values of a rule; undefined where nothing is. @category validation */
export const valueProblemOf = (
  rule: ServiceBusRule.Rule,
  isRuleValue: (value: unknown) => boolean
): string | undefined => {
  const wrong = valuesOf(rule).find(([, value]) => value !== undefined && value !== null && !isRuleValue(value))
  return wrong === undefined
    ? undefined
    : `${wrong[0]} must be a text, a number, a boolean, a time of the years 1 to 9999, or what else rules have`
}

/** The values of a rule, by where they stand in it. */
const valuesOf = ({ action, filter }: ServiceBusRule.Rule): ReadonlyArray<readonly [string, unknown]> => {
  const named = (place: string, values: object = {}) =>
    Object.entries(values).map(([name, value]) => [`${place}.${name}`, value] as const)
  return [
    ...(filter._tag === "SqlFilter" ? named("filter.parameters", filter.parameters) : []),
    ...(filter._tag === "CorrelationFilter" ? named("filter.applicationProperties", filter.applicationProperties) : []),
    ...named("action.parameters", action?.parameters)
  ]
}

/** By which topics stand before their subscriptions. @category accessors */
export const rankOf = (entity: Entity): number => Number(entity?.kind === "subscription")

/** Entities in an order in which topics stand before their subscriptions. @category accessors */
export const topicsFirst = (entities: ReadonlyArray<Entity>): ReadonlyArray<Entity> =>
  entities.toSorted((a, b) => rankOf(a) - rankOf(b))

/** Whether the service changes an entity so, or it has to be made anew. @category accessors */
export const isChangeable = (before: DeclaredEntity, after: DeclaredEntity): boolean =>
  before.kind === after.kind && before.settings.requiresSession === after.settings.requiresSession &&
  (before.settings.duplicateDetectionWindow === undefined) === (after.settings.duplicateDetectionWindow === undefined)
