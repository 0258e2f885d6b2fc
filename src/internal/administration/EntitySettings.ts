/**
 * Settings of queues, topics and subscriptions as users give them, checked and written as the descriptions that they are in the
 * management API. Durations are Durations, sizes are bytes, and targets of forwarding are names.
 */
import type * as Brand from "effect/Brand"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import type { InvalidOptionError } from "../../ServiceBusError.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import { checkedNames, outOfRange, readOptions, toMillis } from "../options.ts"
import * as AtomXml from "./AtomXml.ts"
import type * as Description from "./Description.ts"

/**
 * What an entity lets through. A queue that is `SendDisabled` takes no messages, one that is `ReceiveDisabled` gives none, and
 * `Disabled` is both. A topic is `Active`, `Disabled` or `SendDisabled`, a subscription `Active`, `Disabled` or
 * `ReceiveDisabled` (Service Bus documentation, suspend and reactivate messaging entities).
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
 * A right of a shared access policy that only a newer service has: it is read, and can be written back.
 *
 * @category models
 * @since 0.1.0
 */
export type UnknownRight = Brand.Branded<string, "effect-service-bus/UnknownRight">

/**
 * A right of a shared access policy. `Manage` needs the other two beside it.
 *
 * @category models
 * @since 0.1.0
 */
export type AccessRight = "Manage" | "Send" | "Listen" | UnknownRight

/**
 * A shared access policy of an entity.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuthorizationRule {
  /** The name of the policy, unique in its entity. */
  readonly name: string
  /** What its keys allow. */
  readonly rights: ReadonlyArray<AccessRight>
  /** Absent where the service does not show it; where it is left out the service makes one, or keeps what it has. */
  readonly primaryKey?: Redacted.Redacted<string> | undefined
  /** Absent where the service does not show it; where it is left out the service makes one, or keeps what it has. */
  readonly secondaryKey?: Redacted.Redacted<string> | undefined
  /** The service says it; of one that is written back it is not looked at. */
  readonly createdAt?: DateTime.Utc | undefined
  /** The service says it; of one that is written back it is not looked at. */
  readonly modifiedAt?: DateTime.Utc | undefined
}

/**
 * Settings of a topic, and of a queue too. What is left out has the service's default when an entity is created, and stays as it
 * is when it is updated.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicSettings {
  /** Time to live of a message that has none, and ceiling for those that have one; without end by default. */
  readonly defaultTimeToLive?: Duration.Input | undefined
  /**
   * Has messages dropped whose id came before within this window, 20 seconds to 7 days; none by default. Whether there is one
   * cannot be changed later.
   */
  readonly duplicateDetectionWindow?: Duration.Input | undefined
  /**
   * Bytes that it holds at most: 1 to 5 GiB, in the Premium tier more; 1 GiB by default. With partitions each of 16 holds as
   * much, and what they hold together is what is read.
   */
  readonly maxSize?: number | undefined
  /** Bytes of the largest message, a multiple of 1 KiB, in the Premium tier: 1 MiB by default. */
  readonly maxMessageSize?: number | undefined
  /** What it lets through, `Active` by default. */
  readonly status?: Exclude<EntityStatus, "ReceiveDisabled"> | undefined
  /** After how long without use it is deleted, 5 minutes or more; never by default. */
  readonly autoDeleteOnIdle?: Duration.Input | undefined
  /** Whether the service may store messages a little later, many at a time; true by default. */
  readonly enableBatchedOperations?: boolean | undefined
  /** Whether it is spread over several brokers (Standard tier); false by default. Cannot be changed later. */
  readonly enablePartitioning?: boolean | undefined
  /** Whether messages are kept in memory for a moment before they are stored (Standard tier); false by default. */
  readonly enableExpress?: boolean | undefined
  /** A text of yours, at most 1024 characters; none by default, and with null. */
  readonly userMetadata?: string | null | undefined
  /** Shared access policies, at most 12; none by default. An update has all of them: what it leaves out is deleted. */
  readonly authorizationRules?: ReadonlyArray<AuthorizationRule> | undefined
}

/**
 * Settings of a queue. What is left out has the service's default when it is created, and stays as it is when it is updated.
 *
 * @category models
 * @since 0.1.0
 */
export interface QueueSettings extends Omit<TopicSettings, "status"> {
  /** What it lets through, `Active` by default. */
  readonly status?: EntityStatus | undefined
  /** How long a received message is locked: 5 seconds to 5 minutes, 1 minute by default. */
  readonly lockDuration?: Duration.Input | undefined
  /** How often a message may be delivered before it is dead-lettered: 1 to 2000, 10 by default. */
  readonly maxDeliveryCount?: number | undefined
  /** Whether an expired message is dead-lettered; by default it is dropped. */
  readonly deadLetteringOnExpiration?: boolean | undefined
  /**
   * Whether every message belongs to a session, and is received through it; what the contract says by default. Cannot be
   * changed later.
   */
  readonly requiresSession?: boolean | undefined
  /** Where its messages go as soon as they are active; nowhere by default, and with null. The target must be there. */
  readonly forwardTo?: ForwardTarget | null | undefined
  /** Where its dead letters go as soon as they are there; nowhere by default, and with null. The target must be there. */
  readonly forwardDeadLetteredMessagesTo?: ForwardTarget | null | undefined
}

/**
 * Settings of a subscription. What is left out has the service's default when it is created, and stays as it is when it is
 * updated.
 *
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionSettings extends
  Pick<
    QueueSettings,
    | "lockDuration"
    | "maxDeliveryCount"
    | "defaultTimeToLive"
    | "deadLetteringOnExpiration"
    | "requiresSession"
    | "forwardTo"
    | "forwardDeadLetteredMessagesTo"
    | "autoDeleteOnIdle"
    | "enableBatchedOperations"
    | "userMetadata"
  >
{
  /** What it lets through, `Active` by default. */
  readonly status?: Exclude<EntityStatus, "SendDisabled"> | undefined
  /** Whether a message on which a rule fails is dead-lettered, as by default; otherwise the subscription does not get it. */
  readonly deadLetteringOnFilterError?: boolean | undefined
  /**
   * The rules that it starts with, in place of `$Default`, which takes every message. The first one is there with it, the others
   * are created after it; without any it gets no message until one is added.
   */
  readonly rules?: ReadonlyArray<ServiceBusRule.Rule> | undefined
}

/**
 * What of a queue can be changed. What is left out stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export type QueueChanges = Omit<QueueSettings, "requiresSession" | "enablePartitioning"> & {
  /** Cannot be changed: delete the queue and create it again. */
  readonly requiresSession?: undefined
  /** Cannot be changed: delete the queue and create it again. */
  readonly enablePartitioning?: undefined
}

/**
 * What of a topic can be changed. What is left out stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export type TopicChanges = Omit<TopicSettings, "enablePartitioning"> & {
  /** Cannot be changed: delete the topic and create it again. */
  readonly enablePartitioning?: undefined
}

/**
 * What of a subscription can be changed. What is left out stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export type SubscriptionChanges = Omit<SubscriptionSettings, "requiresSession" | "rules"> & {
  /** Cannot be changed: delete the subscription and create it again. */
  readonly requiresSession?: undefined
  /** Are changed by themselves: `createRule`, `updateRule`, `deleteRule`. */
  readonly rules?: undefined
}

/**
 * The settings of a target, of which a contract says itself whether it has sessions: `R` is what the settings say, and where that
 * is the contrary the compiler shows a text.
 *
 * @category models
 * @since 0.1.0
 */
export type SettingsOf<Target, Settings, R> = Settings & {
  readonly requiresSession?:
    | R
      & (
        Target extends { readonly _tag: "SessionQueue" | "SessionSubscription" }
          ? [R] extends [false] ? "The contract has sessions: leave requiresSession out" : unknown
          : Target extends { readonly _tag: "Queue" | "Subscription" }
            ? [R] extends [true] ? "The contract has no sessions: declare it with sessions: true" : unknown
          : unknown
      )
    | undefined
}

/** What has settings. */
export type Kind = "queue" | "topic" | "subscription"

/** A description that is to be made, or changed: what is undefined is taken away. */
export type Written = { -readonly [K in keyof Description.Entity]: Description.Entity[K] }

interface Setting {
  readonly expected: string
  /** The elements that it is written as. */
  readonly elements: ReadonlyArray<keyof Description.Entity>
  /** What is written; undefined where it is not usable. */
  readonly write: (value: unknown, host: string) => Written | undefined
}

const flag = (element: keyof Description.Entity): Setting => ({
  expected: "true or false",
  elements: [element],
  write: (value) => typeof value === "boolean" ? { [element]: value } : undefined
})

const spanOf = (value: unknown): Duration.Duration | undefined => {
  const millis = toMillis(value as Duration.Input)
  return millis > 0 ? Duration.millis(millis) : undefined
}

const span = (element: keyof Description.Entity): Setting => ({
  expected: "a duration of more than 0",
  elements: [element],
  write: (value) => {
    const duration = spanOf(value)
    return duration === undefined ? undefined : { [element]: duration }
  }
})

const isWhole = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0

const count = (element: keyof Description.Entity): Setting => ({
  expected: "a whole number of 1 or more",
  elements: [element],
  write: (value) => isWhole(value) ? { [element]: value } : undefined
})

const size = (element: keyof Description.Entity, unit: number, name: string): Setting => ({
  expected: `a number of bytes that is a multiple of ${unit} (${name})`,
  elements: [element],
  write: (value) => isWhole(value) && value % unit === 0 ? { [element]: value / unit } : undefined
})

/** The address of a target, as the service's own answers have it. */
const addressOf = (target: unknown, host: string): string | undefined => {
  const isPlace = Predicate.isObject(target) && /^(Session)?(Queue|Topic)$/.test(String(target["_tag"]))
  const path = isPlace ? target["path"] : target
  if (typeof path !== "string" || !AtomXml.isWritable(path)) return undefined
  if (/^[a-z]+:\/\//i.test(path)) return path
  const trimmed = path.replace(/^[/\s]+|[/\s]+$/g, "")
  return trimmed === "" ? undefined : `sb://${host}/${trimmed}`
}

const target = (element: keyof Description.Entity): Setting => ({
  expected: "a queue or topic, or its name",
  elements: [element],
  write: (value, host) => {
    if (value === null) return { [element]: undefined }
    const address = addressOf(value, host)
    return address === undefined ? undefined : { [element]: address }
  }
})

const maxMetadata = 1024

const isKey = (value: unknown): boolean =>
  value === undefined || Redacted.isRedacted(value) && typeof Redacted.value(value) === "string"

const policyFields: ReadonlySet<string> = new Set(
  ["name", "rights", "primaryKey", "secondaryKey", "createdAt", "modifiedAt"] satisfies ReadonlyArray<
    keyof AuthorizationRule
  >
)

const knownRights: ReadonlyArray<string> = ["Manage", "Send", "Listen"]

/** A right that is another but for its letter case is none of a newer service. */
const isRight = (right: unknown): boolean =>
  typeof right === "string" && AtomXml.isWritable(right) &&
  (knownRights.includes(right) || !knownRights.some((known) => known.toLowerCase() === right.toLowerCase()))

const policyOf = (given: unknown): Description.AuthorizationRule | undefined => {
  const { name, primaryKey, rights, secondaryKey } = given as AuthorizationRule
  if (!Object.keys(given as object).every((field) => policyFields.has(field))) return undefined
  if (typeof name !== "string" || name === "" || !AtomXml.isWritable(name)) return undefined
  if (!Array.isArray(rights) || !rights.every(isRight)) return undefined
  if (!isKey(primaryKey) || !isKey(secondaryKey)) return undefined
  // Its times are the service's to say: the SDK for .NET sends none.
  return { KeyName: name, Rights: rights, PrimaryKey: primaryKey, SecondaryKey: secondaryKey }
}

const settings: Readonly<Record<keyof (QueueSettings & Omit<SubscriptionSettings, "rules">), Setting>> = {
  lockDuration: span("LockDuration"),
  maxDeliveryCount: count("MaxDeliveryCount"),
  defaultTimeToLive: span("DefaultMessageTimeToLive"),
  deadLetteringOnExpiration: flag("DeadLetteringOnMessageExpiration"),
  deadLetteringOnFilterError: flag("DeadLetteringOnFilterEvaluationExceptions"),
  duplicateDetectionWindow: {
    expected: "a duration of more than 0",
    elements: ["RequiresDuplicateDetection", "DuplicateDetectionHistoryTimeWindow"],
    write: (value) => {
      const duration = spanOf(value)
      return duration === undefined
        ? undefined
        : { RequiresDuplicateDetection: true, DuplicateDetectionHistoryTimeWindow: duration }
    }
  },
  requiresSession: flag("RequiresSession"),
  maxSize: size("MaxSizeInMegabytes", 1024 ** 2, "1 MiB"),
  maxMessageSize: size("MaxMessageSizeInKilobytes", 1024, "1 KiB"),
  forwardTo: target("ForwardTo"),
  forwardDeadLetteredMessagesTo: target("ForwardDeadLetteredMessagesTo"),
  status: {
    expected: `"Active", "Disabled", "SendDisabled" or "ReceiveDisabled"`,
    elements: ["Status"],
    // What a newer service has may be written back.
    write: (value) => typeof value === "string" && /^\w+$/.test(value) ? { Status: value } : undefined
  },
  autoDeleteOnIdle: span("AutoDeleteOnIdle"),
  enableBatchedOperations: flag("EnableBatchedOperations"),
  enablePartitioning: flag("EnablePartitioning"),
  enableExpress: flag("EnableExpress"),
  userMetadata: {
    expected: `a text that XML has, of at most ${maxMetadata} characters, or null`,
    elements: ["UserMetadata"],
    write: (value) =>
      value === null
        ? { UserMetadata: undefined }
        : typeof value === "string" && value.length <= maxMetadata && AtomXml.isWritable(value)
        ? { UserMetadata: value }
        : undefined
  },
  authorizationRules: {
    expected:
      `an array of { name, rights }, with rights of "Manage", "Send" and "Listen", and primaryKey and secondaryKey that are Redacted`,
    elements: ["AuthorizationRules"],
    write: (value) => {
      if (!Array.isArray(value)) return undefined
      const policies = value.map(policyOf)
      return policies.includes(undefined)
        ? undefined
        : { AuthorizationRules: policies.filter((policy) => policy !== undefined) }
    }
  }
}

type Name = keyof typeof settings

const topicNames: ReadonlyArray<Name> = [
  "defaultTimeToLive",
  "duplicateDetectionWindow",
  "maxSize",
  "maxMessageSize",
  "status",
  "autoDeleteOnIdle",
  "enableBatchedOperations",
  "enablePartitioning",
  "enableExpress",
  "userMetadata",
  "authorizationRules"
]

const receivableNames: ReadonlyArray<Name> = [
  "lockDuration",
  "maxDeliveryCount",
  "deadLetteringOnExpiration",
  "requiresSession",
  "forwardTo",
  "forwardDeadLetteredMessagesTo"
]

/** The settings of each kind of entity. */
const names: Readonly<Record<Kind, ReadonlyArray<Name>>> = {
  topic: topicNames,
  queue: [...topicNames, ...receivableNames],
  subscription: [
    ...receivableNames,
    "defaultTimeToLive",
    "deadLetteringOnFilterError",
    "status",
    "autoDeleteOnIdle",
    "enableBatchedOperations",
    "userMetadata"
  ]
}

/** The setting that an element of a description is, or that has this name itself; undefined where it is none. */
export const optionOf = (element: string): string | undefined =>
  (Object.keys(settings) as Array<Name>).find((name) =>
    name === element || settings[name].elements.some((each) => each === element)
  )

/** Settings as elements of a description. What is undefined in it is to be taken away, what it does not have stays. */
export const write = (
  entity: string,
  kind: Kind,
  given: QueueSettings | TopicSettings | SubscriptionSettings | undefined,
  host: string
): Result.Result<Written, InvalidOptionError> => {
  const read = Result.flatMap(
    readOptions(entity, given, "settings"),
    (options) =>
      checkedNames<Partial<Record<Name, unknown>>>(
        entity,
        "settings",
        options as Partial<Record<Name, unknown>>,
        names[kind],
        `an object with settings of a ${kind}: ${names[kind].join(", ")}`
      )
  )
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const written: Written = {}
  for (const name of names[kind]) {
    const value = read.success[name]
    if (value === undefined) continue
    const elements = valueOrUndefined(() => settings[name].write(value, host))
    if (elements === undefined) return Result.fail(outOfRange(entity, name, settings[name].expected))
    Object.assign(written, elements)
  }
  return Result.succeed(written)
}

/** Why an entity cannot have or lack sessions, as its settings say: its contract says otherwise. */
export const contradictionOf = (
  entity: string,
  { RequiresSession }: Written,
  hasSessions: boolean | undefined
): InvalidOptionError | undefined =>
  hasSessions === undefined || RequiresSession === undefined || RequiresSession === hasSessions
    ? undefined
    : outOfRange(
      entity,
      "requiresSession",
      hasSessions ? "true, or nothing: the contract has sessions" : "false, or nothing: the contract has no sessions"
    )

/** What of an entity is fixed when it is created; of another value it is refused by the service. */
const fixedElements = [
  ["RequiresSession", "requiresSession"],
  ["EnablePartitioning", "enablePartitioning"],
  ["RequiresDuplicateDetection", "duplicateDetectionWindow"]
] as const

/** Why an entity cannot be changed so; undefined where it can. */
export const immutableOf = (
  entity: string,
  kind: Kind,
  changes: Written,
  before: Description.Entity
): InvalidOptionError | undefined => {
  const changed = fixedElements.find(([element]) =>
    changes[element] !== undefined && before[element] !== undefined && changes[element] !== before[element]
  )
  return changed === undefined
    ? undefined
    : outOfRange(
      entity,
      changed[1],
      `what it was created with, ${
        changed[1] === "duplicateDetectionWindow" ? "nothing" : before[changed[0]]
      }: to change it, delete the ${kind} and create it again`
    )
}

/** What is given may be of any kind, and its getters may throw. */
const valueOrUndefined = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** How many an entity with partitions has. */
export const partitions = 16

/** Sizes that an entity with partitions shows, in mebibytes. */
const partitioned: ReadonlySet<number | undefined> = new Set(
  [1024, 2048, 3072, 4096, 5120].map((size) => size * partitions)
)

/**
 * What is there as it may be written back: the service shows the size of all partitions and takes that of one ("The specified
 * value 16384 is invalid", its answer to an update).
 */
export const writable = (fields: Description.Entity): Written =>
  fields.EnablePartitioning === true && partitioned.has(fields.MaxSizeInMegabytes)
    ? { ...fields, MaxSizeInMegabytes: fields.MaxSizeInMegabytes! / partitions }
    : fields

/** What the service gives an entity where nothing else is asked for, in any tier. */
const defaults: Written = {
  LockDuration: Duration.minutes(1),
  RequiresDuplicateDetection: false,
  RequiresSession: false,
  DeadLetteringOnMessageExpiration: false,
  DeadLetteringOnFilterEvaluationExceptions: true,
  MaxDeliveryCount: 10,
  Status: "Active",
  ForwardTo: undefined,
  ForwardDeadLetteredMessagesTo: undefined,
  UserMetadata: undefined
}

/** Whether an entity is what would have been created: what was asked for, and the defaults of what was not. */
export const isAsAsked = (kind: Kind, asked: Written, found: Description.Entity): boolean => {
  const elements = new Set(names[kind].flatMap((name) => settings[name].elements))
  const own = Object.entries(defaults).filter(([element]) => elements.has(element as keyof Description.Entity))
  return isAsWritten({ ...Object.fromEntries(own), ...asked }, writable(found))
}

const isAsWritten = (asked: Written, found: Written): boolean =>
  (Object.keys(asked) as Array<keyof Description.Entity>).every((element) =>
    element === "AuthorizationRules"
      // The service makes keys and times of its own.
      ? policyNames(asked[element]) === policyNames(found[element])
      : comparable(element, asked[element]) === comparable(element, found[element])
  )

const policyNames = (rules: Description.Entity["AuthorizationRules"]): string =>
  (rules ?? []).map(({ KeyName, Rights }) => `${KeyName}:${Rights.toSorted().join()}`).toSorted().join(";")

/** Durations by their milliseconds, and addresses by what they lead to, whatever their scheme. */
const comparable = (element: keyof Description.Entity, value: unknown): unknown =>
  Duration.isDuration(value)
    ? Duration.toMillis(value)
    : (element === "ForwardTo" || element === "ForwardDeadLetteredMessagesTo") && typeof value === "string"
    ? value.replace(/^[a-z]+:\/\//i, "").toLowerCase()
    : value
