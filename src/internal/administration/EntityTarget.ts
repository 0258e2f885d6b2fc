/**
 * What a caller of administration names: a queue, a topic or a subscription, by its contract or by its path, which may be a value
 * of any kind. It is checked here once, for what is done with one entity and for what is declared of many.
 */
import * as Result from "effect/Result"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { InvalidOptionError } from "../../ServiceBusError.ts"
import { outOfRange } from "../options.ts"
import type { Kind } from "./EntitySettings.ts"

/** An entity that is named. */
export interface EntityTarget {
  readonly kind: Kind
  readonly path: string
  /** Of a subscription without its topic. */
  readonly name: string
  /** That of a subscription. */
  readonly topic: string | undefined
  /** What the contract of a queue or subscription says; undefined of what is named without one. */
  readonly hasSessions: boolean | undefined
}

const kinds: Readonly<Record<Exclude<ServiceBusEntity.Any["_tag"], "SubQueue">, Kind>> = {
  Queue: "queue",
  SessionQueue: "queue",
  Topic: "topic",
  SessionTopic: "topic",
  Subscription: "subscription",
  SessionSubscription: "subscription"
}

const expectations: Readonly<Record<Kind | "any", string>> = {
  queue: "a queue: a contract, or its name",
  topic: "a topic: a contract, or its name",
  subscription: "a subscription: a contract, or its path, topic/Subscriptions/name",
  any: "contracts of queues, topics and subscriptions, or their names"
}

/**
 * Reads what names an entity of a kind. Where any kind is expected a plain name is that of a queue, and
 * `topic/Subscriptions/name` a subscription. `option` is what errors call it.
 */
export const read = (
  entity: unknown,
  expected: Kind | "any",
  option: string
): Result.Result<EntityTarget, InvalidOptionError> => {
  const given = entity as string | ServiceBusEntity.Any
  const isPath = expected === "subscription" ||
    expected === "any" && typeof entity === "string" && /\/subscriptions\//i.test(entity)
  const contract = isPath ? ServiceBusEntity.subscriptionOf(given) : ServiceBusEntity.contractOf(given)
  if (contract === undefined || contract._tag === "SubQueue") {
    return Result.fail(outOfRange(undefined, option, expectations[expected]))
  }
  // The name of a topic is a name as that of a queue is.
  const kind = typeof entity === "string" && expected !== "any" ? expected : kinds[contract._tag]
  if (expected !== "any" && kind !== expected) return Result.fail(outOfRange(undefined, option, expectations[expected]))
  const problem = ServiceBusEntity.problemOf(contract)
  if (problem !== undefined) {
    return Result.fail(new InvalidOptionError({ option, expected: "a valid name", description: problem }))
  }
  const { name, path } = contract
  if (kind !== "subscription" && /\/(?:subscriptions|rules)\//i.test(path)) {
    // A queue of this name would be the subscription.
    return Result.fail(outOfRange(path, option, `a ${kind}: this is the path of what is within a topic`))
  }
  const hasSessions = typeof entity === "string"
    ? undefined
    : contract._tag === "SessionQueue" || contract._tag === "SessionSubscription"
  return Result.succeed({ kind, path, name, topic: "topic" in contract ? contract.topic : undefined, hasSessions })
}
