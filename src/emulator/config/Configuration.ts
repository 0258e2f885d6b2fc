/**
 * What a configuration file declares, whatever it is written in, and what holds among the entities of one broker: names that are
 * usable and there once, subscriptions with their topics, forwarding to what is there.
 */
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as Broker from "../broker/Broker.ts"
import * as EntityPath from "../broker/EntityPath.ts"
import type { ConfigValue, Findings } from "./ConfigValue.ts"
import type { Forwarding } from "./EntityProperties.ts"

/**
 * A shared access policy that a file declares; its key is the broker's to give.
 *
 * @category models
 */
export interface DeclaredPolicy {
  readonly name: string
  readonly rights: ReadonlyArray<"Send" | "Listen" | "Manage">
}

/**
 * What a file declares. It is of use where there are no `problems`.
 *
 * @category models
 */
export interface Configuration extends Findings {
  readonly entities: ReadonlyArray<Broker.Entity>
  readonly policies: ReadonlyArray<DeclaredPolicy>
  /** How many connections the namespace takes, where it says so. */
  readonly maxConnections: number | undefined
}

/**
 * An entity, where its file declares it, and where it forwards to.
 *
 * @category models
 */
export interface Declared {
  readonly entity: Broker.Entity
  readonly part: ConfigValue
  readonly forwarding: ReadonlyArray<Forwarding>
}

/** A subscription, with what its file says of its rules. @category constructors */
export const subscription = (
  topic: string,
  name: string,
  options: Broker.SubscriptionOptions,
  rules: ReadonlyArray<ServiceBusRule.Rule>
): Broker.Entity => ({
  kind: "subscription",
  topic,
  name,
  // None at all is what the service makes of it: the rule that takes everything.
  options: rules.length === 0 ? options : { ...options, rules }
})

/** The path of an entity, as the broker tells them apart. @category accessors */
export const pathOf = (entity: Broker.Entity): string =>
  (entity.kind === "subscription"
    ? `${EntityPath.trimmed(entity.topic)}/Subscriptions/${EntityPath.trimmed(entity.name)}`
    : EntityPath.trimmed(entity.name)).toLowerCase()

const titleOf = (entity: Broker.Entity): string =>
  entity.kind === "subscription"
    ? `the subscription "${entity.name}" of "${entity.topic}"`
    : `the ${entity.kind ?? "queue"} "${entity.name}"`

/**
 * Notes what is wrong among entities; `others` are declared elsewhere.
 *
 * @category validation
 */
export const check = (declared: ReadonlyArray<Declared>, others: ReadonlyArray<Broker.Entity>): void => {
  const kinds = new Map<string, string>()
  for (const entity of others) kinds.set(pathOf(entity), entity.kind ?? "queue")
  const first = new Map<string, Declared>()
  for (const each of declared) {
    const path = pathOf(each.entity)
    const before = first.get(path)
    const problem = Broker.problemOf(each.entity)
    if (problem !== undefined) each.part.problem(`cannot be: ${problem}`)
    else if (before !== undefined) {
      each.part.problem(`is ${titleOf(each.entity)}, which ${before.part.path} declares already; remove one of them`)
    } else if (kinds.has(path)) {
      each.part.problem(`is ${titleOf(each.entity)}, which is declared beside the file already; remove one of them`)
    }
    if (before === undefined) first.set(path, each)
  }
  for (const [path, { entity }] of first) kinds.set(path, entity.kind ?? "queue")
  for (const { entity, forwarding, part } of first.values()) {
    if (entity.kind === "subscription" && kinds.get(EntityPath.trimmed(entity.topic).toLowerCase()) !== "topic") {
      part.problem(`is ${titleOf(entity)}, and there is no topic "${entity.topic}"; declare it too`)
    }
    for (const { part, target } of forwarding) {
      const kind = kinds.get(EntityPath.trimmed(target).toLowerCase())
      if (kind === undefined || kind === "subscription") {
        part.problem(
          `has ${titleOf(entity)} forward to "${target}", and there is no such queue or topic; declare it too`
        )
      }
    }
  }
}
