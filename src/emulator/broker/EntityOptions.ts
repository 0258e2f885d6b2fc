/**
 * What an entity of the embedded broker is declared with, and its checked form in which every duration is a number of
 * milliseconds. The limits are those of Service Bus, except that a lock may be as short as one second.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { EmulatorError } from "../../ServiceBusError.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as EntityPath from "./EntityPath.ts"

/**
 * What an entity lets through. A queue that is `SendDisabled` takes no messages, one that is `ReceiveDisabled` gives none, and
 * `Disabled` is both. A topic is `Active`, `Disabled` or `SendDisabled`, a subscription `Active`, `Disabled` or
 * `ReceiveDisabled`: what is sent to its topic goes into it all the same (Microsoft's page on suspending entities).
 *
 * @category models
 * @since 0.1.0
 */
export type EntityStatus = "Active" | "Disabled" | "SendDisabled" | "ReceiveDisabled"

/**
 * Where messages are forwarded to: a queue or a topic, as its contract or by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type ForwardTarget =
  | string
  | Extract<ServiceBusEntity.Any, { readonly _tag: "Queue" | "SessionQueue" | "Topic" | "SessionTopic" }>

/**
 * Options of a queue.
 *
 * @category models
 */
export interface EntityOptions {
  /** How long a received message is locked: 1 second to 5 minutes, 1 minute by default. */
  readonly lockDuration?: Duration.Input | undefined
  /**
   * How often a message may be abandoned or deferred or lose its lock before it is dead-lettered: 1 to 2000, 10 by default.
   */
  readonly maxDeliveryCount?: number | undefined
  /** Time to live of a message that has none, and ceiling for those that have one; without end by default. */
  readonly defaultTimeToLive?: Duration.Input | undefined
  /** Whether an expired message is dead-lettered; by default it is dropped. */
  readonly deadLetteringOnExpiration?: boolean | undefined
  /**
   * Has messages dropped whose id came before within this window, 5 seconds to 7 days; none by default. They are accepted
   * all the same.
   */
  readonly duplicateDetectionWindow?: Duration.Input | undefined
  /** Whether every message belongs to a session, and is received through it; what the contract says by default. */
  readonly requiresSession?: boolean | undefined
  /** Bytes of payload that the queue and its dead-letter queue hold together, 1 GiB by default. */
  readonly maxSize?: number | undefined
  /** Bytes of the largest message, 262,144 by default. */
  readonly maxMessageSize?: number | undefined
  /**
   * Where its messages go as soon as they are active; nowhere by default, and with null, as an update gives it. The target must
   * be there, and the entity itself is not received from then.
   */
  readonly forwardTo?: ForwardTarget | null | undefined
  /** Where its dead letters go as soon as they are there; nowhere by default, and with null. The target must be there. */
  readonly forwardDeadLetteredMessagesTo?: ForwardTarget | null | undefined
  /** What it lets through, `Active` by default. */
  readonly status?: EntityStatus | undefined
  /**
   * After how long without use it is deleted, 5 minutes or more; never by default. It is used when something is sent to it (a
   * copy of its topic's message is no use of a subscription), received, browsed or settled, when it is updated or gets a
   * rule, and as long as a receiver is attached, a session held, a message scheduled, and it forwards; a topic is used while
   * one of its subscriptions is.
   */
  readonly autoDeleteOnIdle?: Duration.Input | undefined
}

/**
 * Options of a topic: its subscriptions have the others.
 *
 * @category models
 */
export interface TopicOptions extends
  Pick<
    EntityOptions,
    "defaultTimeToLive" | "duplicateDetectionWindow" | "maxSize" | "maxMessageSize" | "autoDeleteOnIdle"
  >
{
  /** What it lets through, `Active` by default. */
  readonly status?: Exclude<EntityStatus, "ReceiveDisabled"> | undefined
}

/**
 * Options of a subscription. Its size counts against the topic's, and the shorter of the two times to live holds.
 *
 * @category models
 */
export interface SubscriptionOptions
  extends Omit<EntityOptions, "duplicateDetectionWindow" | "maxSize" | "maxMessageSize" | "status">
{
  /** What it lets through, `Active` by default. */
  readonly status?: Exclude<EntityStatus, "SendDisabled"> | undefined
  /**
   * The rules that it starts with, in place of `$Default`, which takes every message; without any it gets none until one is
   * added.
   */
  readonly rules?: ReadonlyArray<ServiceBusRule.Rule> | undefined
  /** Whether a message on which a rule fails is dead-lettered, as by default; otherwise the subscription does not get it. */
  readonly deadLetteringOnFilterError?: boolean | undefined
}

/**
 * Options of a queue, checked and complete; durations are milliseconds.
 *
 * @category models
 */
export interface EntitySettings {
  readonly lockDuration: number
  readonly maxDeliveryCount: number
  readonly defaultTimeToLive: number | undefined
  readonly deadLetteringOnExpiration: boolean
  readonly deadLetteringOnFilterError: boolean
  readonly duplicateDetectionWindow: number | undefined
  readonly requiresSession: boolean
  readonly maxSize: number
  readonly maxMessageSize: number
  /** Paths, in lower case. */
  readonly forwardTo: string | undefined
  readonly forwardDeadLetteredMessagesTo: string | undefined
  readonly status: EntityStatus
  readonly autoDeleteOnIdle: number | undefined
}

/** The states that each kind of entity can be put into (Microsoft's page on suspending entities). */
const statuses = {
  queue: ["Active", "Disabled", "SendDisabled", "ReceiveDisabled"],
  topic: ["Active", "Disabled", "SendDisabled"],
  subscription: ["Active", "Disabled", "ReceiveDisabled"]
} satisfies Record<string, ReadonlyArray<EntityStatus>>

/** The options of each kind of entity. */
const known: Readonly<Record<"queue" | "topic" | "subscription", ReadonlyArray<string>>> = {
  queue: [
    "lockDuration",
    "maxDeliveryCount",
    "defaultTimeToLive",
    "deadLetteringOnExpiration",
    "duplicateDetectionWindow",
    "requiresSession",
    "maxSize",
    "maxMessageSize",
    "forwardTo",
    "forwardDeadLetteredMessagesTo",
    "status",
    "autoDeleteOnIdle"
  ] satisfies ReadonlyArray<keyof EntityOptions>,
  topic: [
    "defaultTimeToLive",
    "duplicateDetectionWindow",
    "maxSize",
    "maxMessageSize",
    "status",
    "autoDeleteOnIdle"
  ] satisfies ReadonlyArray<keyof TopicOptions>,
  subscription: [
    "lockDuration",
    "maxDeliveryCount",
    "defaultTimeToLive",
    "deadLetteringOnExpiration",
    "requiresSession",
    "forwardTo",
    "forwardDeadLetteredMessagesTo",
    "status",
    "autoDeleteOnIdle",
    "rules",
    "deadLetteringOnFilterError"
  ] satisfies ReadonlyArray<keyof SubscriptionOptions>
}

/** The name that a misspelt one is nearest to, by the letters of both; undefined where none is near. @category accessors */
export const nearest = (name: string, names: ReadonlyArray<string>): string | undefined => {
  const distances = names.map((each) => [each, distance(name.toLowerCase(), each.toLowerCase())] as const)
  const [near, away] = distances.toSorted(([, one], [, other]) => one - other)[0]!
  return away <= 4 && away < name.length / 2 ? near : undefined
}

/** How many letters have to be added, removed or replaced to make one text of another. */
const distance = (one: string, other: string): number => {
  let before = Array.from({ length: other.length + 1 }, (_, i) => i)
  for (let i = 0; i < one.length; i++) {
    const row = [i + 1]
    for (let j = 0; j < other.length; j++) {
      row.push(Math.min(before[j]! + Number(one[i] !== other[j]), before[j + 1]! + 1, row[j]! + 1))
    }
    before = row
  }
  return before[other.length]!
}

/** Whether messages can be sent to an entity. @category accessors */
export const isSendable = ({ status }: EntitySettings): boolean => status === "Active" || status === "ReceiveDisabled"

/** Whether messages can be received from an entity. @category accessors */
export const isReceivable = ({ status }: EntitySettings): boolean => status === "Active" || status === "SendDisabled"

/**
 * Checks options; the error names the entity (such as `queue "orders"`), the option and the range.
 *
 * @category constructors
 */
export const settings = (
  entity: string,
  options: EntityOptions & Omit<SubscriptionOptions, "status">,
  kind: "queue" | "topic" | "subscription" = "queue"
): Result.Result<EntitySettings, EmulatorError> => {
  const wrong = (option: keyof EntityOptions, range: string) =>
    Result.fail(new EmulatorError({ problem: `${entity}: ${option} must be ${range}` }))
  const within = (value: number, min: number, max: number) => Number.isInteger(value) && value >= min && value <= max

  const unknown = Object.entries(options).find(([name, value]) => value !== undefined && !known[kind].includes(name))
    ?.[0]
  if (unknown !== undefined) {
    const near = nearest(unknown, known[kind])
    const advice = near === undefined ? `its options are ${known[kind].join(", ")}` : `did you mean ${near}?`
    return Result.fail(new EmulatorError({ problem: `${entity}: a ${kind} has no option "${unknown}"; ${advice}` }))
  }
  const lockDuration = millis(options.lockDuration ?? "1 minute")
  if (lockDuration === undefined || lockDuration < 1000 || lockDuration > 300_000) {
    return wrong("lockDuration", "between 1 second and 5 minutes")
  }
  const maxDeliveryCount = options.maxDeliveryCount ?? 10
  if (!within(maxDeliveryCount, 1, 2000)) return wrong("maxDeliveryCount", "an integer between 1 and 2000")
  const timeToLive = millis(options.defaultTimeToLive ?? Duration.infinity)
  if (timeToLive === undefined || timeToLive <= 0) return wrong("defaultTimeToLive", "a duration greater than zero")
  const window = options.duplicateDetectionWindow === undefined ? undefined : millis(options.duplicateDetectionWindow)
  if (options.duplicateDetectionWindow !== undefined && !within(window ?? 0, 5000, 604_800_000)) {
    return wrong("duplicateDetectionWindow", "between 5 seconds and 7 days")
  }
  const maxSize = options.maxSize ?? 1024 ** 3
  if (!within(maxSize, 1, Number.MAX_SAFE_INTEGER)) return wrong("maxSize", "a positive whole number of bytes")
  const maxMessageSize = options.maxMessageSize ?? 262_144
  if (!within(maxMessageSize, 1, Number.MAX_SAFE_INTEGER)) {
    return wrong("maxMessageSize", "a positive whole number of bytes")
  }
  for (const option of ["requiresSession", "deadLetteringOnExpiration", "deadLetteringOnFilterError"] as const) {
    const value: unknown = options[option] ?? false
    if (typeof value !== "boolean") {
      return Result.fail(new EmulatorError({ problem: `${entity}: ${option} must be true or false` }))
    }
  }
  const status = options.status ?? "Active"
  const allowed: ReadonlyArray<EntityStatus> = statuses[kind]
  if (!allowed.includes(status)) {
    return wrong("status", `${allowed.slice(0, -1).map((each) => `"${each}"`).join(", ")} or "${allowed.at(-1)}"`)
  }
  const autoDeleteOnIdle = millis(options.autoDeleteOnIdle ?? Duration.infinity)
  if (autoDeleteOnIdle === undefined || autoDeleteOnIdle < 300_000) {
    return wrong("autoDeleteOnIdle", "5 minutes or more")
  }
  const targets: Array<string | undefined> = []
  for (const option of ["forwardTo", "forwardDeadLetteredMessagesTo"] as const) {
    const given = options[option] ?? undefined
    const target = pathOf(given)
    if (given !== undefined && target === undefined) return wrong(option, "a queue or topic, or its name")
    targets.push(target)
  }
  return Result.succeed({
    lockDuration,
    maxDeliveryCount,
    defaultTimeToLive: timeToLive === Infinity ? undefined : timeToLive,
    deadLetteringOnExpiration: options.deadLetteringOnExpiration ?? false,
    deadLetteringOnFilterError: options.deadLetteringOnFilterError ?? true,
    duplicateDetectionWindow: window,
    requiresSession: options.requiresSession ?? false,
    maxSize,
    maxMessageSize,
    forwardTo: targets[0],
    forwardDeadLetteredMessagesTo: targets[1],
    status,
    autoDeleteOnIdle: autoDeleteOnIdle === Infinity ? undefined : autoDeleteOnIdle
  })
}

/** The path of a target, in lower case; undefined where it is none. */
const pathOf = (target: ForwardTarget | undefined): string | undefined => {
  const isPlace = typeof target === "object" && target !== null && /^(Session)?(Queue|Topic)$/.test(target._tag)
  const path: unknown = isPlace ? target.path : target
  if (typeof path !== "string") return undefined
  const trimmed = EntityPath.trimmed(path).toLowerCase()
  return trimmed === "" ? undefined : trimmed
}

const millis = (input: Duration.Input): number | undefined => {
  const duration = Duration.fromInput(input)
  if (Option.isNone(duration)) return undefined
  const value = Duration.toMillis(duration.value)
  return Number.isNaN(value) ? undefined : Math.ceil(value)
}
