/**
 * The properties that queues, topics and subscriptions have in configuration files, as options of the broker: each is honoured,
 * changes nothing here, or is refused by its path.
 *
 * Sources: the schema of Microsoft's emulator; the types of Microsoft.ServiceBus in Azure Resource Manager.
 */
import * as Duration from "effect/Duration"
import type * as Broker from "../broker/Broker.ts"
import type { ConfigValue, Members } from "./ConfigValue.ts"

/**
 * What holds where a file says nothing.
 *
 * @category models
 */
export interface Defaults {
  readonly lockDuration: Duration.Input
  readonly maxDeliveryCount: number
  readonly timeToLive: Duration.Duration
  readonly duplicateWindow: Duration.Duration
}

/** Those of Microsoft's emulator (its schema). @category constants */
export const emulatorDefaults: Defaults = {
  lockDuration: "1 minute",
  maxDeliveryCount: 3,
  timeToLive: Duration.hours(1),
  duplicateWindow: Duration.seconds(20)
}

/** Those of the service. @category constants */
export const serviceDefaults: Defaults = {
  lockDuration: "1 minute",
  maxDeliveryCount: 10,
  timeToLive: Duration.infinity,
  duplicateWindow: Duration.minutes(10)
}

type Kind = Broker.Declaration["kind"]

/** What all three have. */
const common = ["defaultMessageTimeToLive", "status", "autoDeleteOnIdle"]

const sendable = [
  "requiresDuplicateDetection",
  "duplicateDetectionHistoryTimeWindow",
  "maxSizeInMegabytes",
  "maxMessageSizeInKilobytes"
]

const receivable = [
  "lockDuration",
  "maxDeliveryCount",
  "deadLetteringOnMessageExpiration",
  "requiresSession",
  "forwardTo",
  "forwardDeadLetteredMessagesTo"
]

/** What changes nothing here: switches of the service's own machinery, and what only the service writes. */
const without = [
  "enableBatchedOperations",
  "enableExpress",
  "enablePartitioning",
  "enableSubscriptionPartitioning",
  "filteringMessagesBeforePublishing",
  "supportOrdering",
  "isAnonymousAccessible",
  "isExpress",
  "userMetadata",
  "path",
  "accessedAt",
  "countDetails",
  "createdAt",
  "entityAvailabilityStatus",
  "isReadOnly",
  "messageCount",
  "provisioningState",
  "sizeInBytes",
  "subscriptionCount",
  "updatedAt"
]

const known: Readonly<Record<Kind, ReadonlyArray<string>>> = {
  queue: [...common, ...receivable, ...sendable],
  topic: [...common, ...sendable],
  subscription: [...common, ...receivable, "deadLetteringOnFilterEvaluationExceptions"]
}

const statuses: Readonly<Record<Kind, ReadonlyArray<Broker.EntityStatus>>> = {
  queue: ["Active", "Disabled", "SendDisabled", "ReceiveDisabled"],
  topic: ["Active", "Disabled", "SendDisabled"],
  subscription: ["Active", "Disabled", "ReceiveDisabled"]
}

/**
 * Where an entity forwards to, and where the file says so.
 *
 * @category models
 */
export interface Forwarding {
  readonly target: string
  readonly part: ConfigValue
}

/**
 * The options of an entity, and where it forwards to.
 *
 * @category conversions
 */
export const read = (
  kind: Kind,
  properties: ConfigValue | undefined,
  defaults: Defaults
): { readonly options: Broker.EntityOptions; readonly forwarding: ReadonlyArray<Forwarding> } => {
  const members = properties === undefined ? new Map<string, ConfigValue>() : membersOf(kind, properties)
  const of = <A>(name: string, read: (part: ConfigValue) => A | undefined): A | undefined => {
    const part = members.get(name.toLowerCase())
    return part === undefined ? undefined : read(part)
  }
  const forwarding: Array<Forwarding> = []
  const targetOf = (part: ConfigValue) => {
    const target = part.text("the name of a queue or topic", true)?.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*\//i, "")
    if (target !== undefined) forwarding.push({ target, part })
    return target
  }
  const switched = (name: string) => of(name, (part) => part.boolean())
  const timeToLive = of("defaultMessageTimeToLive", (part) => part.duration({ least: 0.001 })) ?? defaults.timeToLive
  const options: Broker.EntityOptions = {
    defaultTimeToLive: timeToLive,
    status: of("status", (part) => part.word(statuses[kind])),
    autoDeleteOnIdle: of("autoDeleteOnIdle", (part) => part.duration({ least: 300 }))
  }
  const window = of("duplicateDetectionHistoryTimeWindow", (part) => part.duration({ least: 5, most: 604_800 }))
  const send: Broker.EntityOptions = kind === "subscription" ? {} : {
    duplicateDetectionWindow: switched("requiresDuplicateDetection") === true
      ? window ?? defaults.duplicateWindow
      : undefined,
    maxSize: times(of("maxSizeInMegabytes", (part) => part.integer({ least: 1, most: 1024 ** 2 })), 1024 ** 2),
    maxMessageSize: times(of("maxMessageSizeInKilobytes", (part) => part.integer({ least: 1, most: 102_400 })), 1024)
  }
  const receive: Broker.EntityOptions = kind === "topic" ? {} : {
    lockDuration: of("lockDuration", (part) => part.duration({ least: 1, most: 300 })) ?? defaults.lockDuration,
    maxDeliveryCount: of("maxDeliveryCount", (part) => part.integer({ least: 1, most: 2000 })) ??
      defaults.maxDeliveryCount,
    deadLetteringOnExpiration: switched("deadLetteringOnMessageExpiration"),
    requiresSession: switched("requiresSession"),
    forwardTo: of("forwardTo", targetOf),
    forwardDeadLetteredMessagesTo: of("forwardDeadLetteredMessagesTo", targetOf)
  }
  const onFilterError = switched("deadLetteringOnFilterEvaluationExceptions")
  const subscription = kind === "subscription" && onFilterError !== undefined
    ? { deadLetteringOnFilterError: onFilterError }
    : {}
  return { options: { ...options, ...send, ...receive, ...subscription }, forwarding }
}

const times = (value: number | undefined, factor: number): number | undefined =>
  value === undefined ? undefined : value * factor

const membersOf = (kind: Kind, properties: ConfigValue): Members => {
  const expected = `the properties of a ${kind}`
  if (kind !== "subscription") return properties.members(known[kind], { expected, ignored: without })
  const members = properties.members([...known[kind], "isClientAffine"], {
    expected,
    ignored: [...without, "clientAffineProperties", "duplicateDetectionHistoryTimeWindow"]
  })
  const affine = members.get("isclientaffine")
  if (affine?.boolean() === true) {
    affine.problem("must be false: subscriptions of a client of their own are for JMS, which is not here")
  }
  return members
}
