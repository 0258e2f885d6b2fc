/**
 * Queues, topics, subscriptions and namespaces as users see them, read from the descriptions that they are in the management API:
 * what they are set to, and what they hold. Durations are Durations, sizes are bytes, and targets of forwarding are names; what
 * the service does not say has its default.
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Description from "./Description.ts"
import type { AccessRight, AuthorizationRule, EntityStatus } from "./EntitySettings.ts"

/**
 * What every entity says of itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface EntityInfo {
  /** Its name; of a subscription without its topic. */
  readonly name: string
  /** What it lets through; what a newer service has is given as it comes. */
  readonly status: EntityStatus | (string & {})
  /** Without end where it is infinite. */
  readonly defaultTimeToLive: Duration.Duration
  /** Never where it is infinite. */
  readonly autoDeleteOnIdle: Duration.Duration
  readonly enableBatchedOperations: boolean
  readonly userMetadata: string | undefined
  /** Whether the service can use it: `Available`, `Limited`, `Renaming`, `Restoring`; absent where it does not say. */
  readonly availability: string | undefined
}

/**
 * A topic as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Topic extends EntityInfo {
  /** Absent where duplicates are not detected. */
  readonly duplicateDetectionWindow: Duration.Duration | undefined
  /** Bytes. */
  readonly maxSize: number
  /** Bytes; absent where the service does not say. */
  readonly maxMessageSize: number | undefined
  readonly enablePartitioning: boolean
  readonly enableExpress: boolean
  readonly authorizationRules: ReadonlyArray<AuthorizationRule>
}

/**
 * What queues and subscriptions have beside the rest.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReceivableInfo {
  readonly lockDuration: Duration.Duration
  readonly maxDeliveryCount: number
  readonly deadLetteringOnExpiration: boolean
  readonly requiresSession: boolean
  /** The name of the queue or topic, or a whole address where that is in another namespace. */
  readonly forwardTo: string | undefined
  /** The name of the queue or topic, or a whole address where that is in another namespace. */
  readonly forwardDeadLetteredMessagesTo: string | undefined
}

/**
 * A queue as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Queue extends Topic, ReceivableInfo {}

/**
 * A subscription as it is; its rules are listed by themselves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subscription extends EntityInfo, ReceivableInfo {
  /** The name of its topic. */
  readonly topic: string
  readonly deadLetteringOnFilterError: boolean
}

/**
 * When an entity was created, changed and used.
 *
 * @category models
 * @since 0.1.0
 */
export interface EntityTimes {
  /** Its name; of a subscription without its topic. */
  readonly name: string
  /** Absent where the service does not say. */
  readonly createdAt: DateTime.Utc | undefined
  /** When its settings were changed last. */
  readonly updatedAt: DateTime.Utc | undefined
  /** When it was last sent to or received from; absent where it never was. */
  readonly accessedAt: DateTime.Utc | undefined
}

/**
 * The numbers of a subscription's messages by their state.
 *
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionRuntime extends EntityTimes {
  /** All of them, dead letters included. */
  readonly totalMessageCount: number
  readonly activeMessageCount: number
  readonly deadLetterMessageCount: number
  readonly transferMessageCount: number
  readonly transferDeadLetterMessageCount: number
}

/**
 * The numbers of a queue's messages by their state.
 *
 * @category models
 * @since 0.1.0
 */
export interface QueueRuntime extends SubscriptionRuntime {
  readonly scheduledMessageCount: number
  /** Bytes. */
  readonly sizeInBytes: number
}

/**
 * What a topic holds: its subscriptions hold its messages.
 *
 * @category models
 * @since 0.1.0
 */
export interface TopicRuntime extends EntityTimes {
  readonly scheduledMessageCount: number
  /** Bytes. */
  readonly sizeInBytes: number
  readonly subscriptionCount: number
  /** SQL filters of all its subscriptions; absent where the service does not say (API 2024-05 does, in some regions). */
  readonly sqlFilterCount: number | undefined
  /** Correlation filters of all its subscriptions; absent where the service does not say. */
  readonly correlationFilterCount: number | undefined
}

/**
 * A namespace.
 *
 * @category models
 * @since 0.1.0
 */
export interface NamespaceInfo {
  readonly name: string
  /** `Basic`, `Standard` or `Premium`. */
  readonly sku: string
  /** In the Premium tier. */
  readonly messagingUnits: number | undefined
  /** `Messaging`, or what else the service calls it. */
  readonly type: string | undefined
  /** Where it is one of a pair of namespaces. */
  readonly alias: string | undefined
  readonly createdAt: DateTime.Utc | undefined
  readonly modifiedAt: DateTime.Utc | undefined
}

/** The name of a target of forwarding in the namespace itself; elsewhere its address. */
export const nameOf = (address: string | undefined, host: string): string | undefined => {
  if (address === undefined || address === "") return undefined
  const [, authority, path] = /^[a-z]+:\/\/([^/]*)\/+(.*)$/i.exec(address) ?? []
  return authority?.toLowerCase().replace(/:\d+$/, "") === host && path !== undefined && path !== "" ? path : address
}

const mebibyte = 1024 ** 2

const infoOf = (name: string, fields: Description.Entity): EntityInfo => ({
  name,
  status: fields.Status ?? "Active",
  defaultTimeToLive: fields.DefaultMessageTimeToLive ?? Duration.infinity,
  autoDeleteOnIdle: fields.AutoDeleteOnIdle ?? Duration.infinity,
  enableBatchedOperations: fields.EnableBatchedOperations ?? true,
  userMetadata: fields.UserMetadata,
  availability: fields.EntityAvailabilityStatus
})

export const topicOf = (name: string, fields: Description.Entity): Topic => ({
  ...infoOf(name, fields),
  duplicateDetectionWindow: fields.RequiresDuplicateDetection === true
    ? fields.DuplicateDetectionHistoryTimeWindow ?? Duration.minutes(10)
    : undefined,
  maxSize: (fields.MaxSizeInMegabytes ?? 1024) * mebibyte,
  maxMessageSize: fields.MaxMessageSizeInKilobytes === undefined ? undefined : fields.MaxMessageSizeInKilobytes * 1024,
  enablePartitioning: fields.EnablePartitioning ?? false,
  enableExpress: fields.EnableExpress ?? false,
  authorizationRules: (fields.AuthorizationRules ?? []).map((rule) => ({
    name: rule.KeyName,
    rights: rule.Rights as ReadonlyArray<AccessRight>,
    primaryKey: rule.PrimaryKey,
    secondaryKey: rule.SecondaryKey,
    createdAt: rule.CreatedTime,
    modifiedAt: rule.ModifiedTime
  }))
})

const receivableOf = (fields: Description.Entity, host: string): ReceivableInfo => ({
  lockDuration: fields.LockDuration ?? Duration.minutes(1),
  maxDeliveryCount: fields.MaxDeliveryCount ?? 10,
  deadLetteringOnExpiration: fields.DeadLetteringOnMessageExpiration ?? false,
  requiresSession: fields.RequiresSession ?? false,
  forwardTo: nameOf(fields.ForwardTo, host),
  forwardDeadLetteredMessagesTo: nameOf(fields.ForwardDeadLetteredMessagesTo, host)
})

export const queueOf = (name: string, fields: Description.Entity, host: string): Queue => ({
  ...topicOf(name, fields),
  ...receivableOf(fields, host)
})

export const subscriptionOf = (
  topic: string,
  name: string,
  fields: Description.Entity,
  host: string
): Subscription => ({
  ...infoOf(name, fields),
  ...receivableOf(fields, host),
  topic,
  deadLetteringOnFilterError: fields.DeadLetteringOnFilterEvaluationExceptions ?? true
})

/** .NET's least time stands for never. */
const sometime = (time: DateTime.Utc | undefined): DateTime.Utc | undefined =>
  time === undefined || time.epochMilliseconds <= -62_135_510_400_000 ? undefined : time

const timesOf = (name: string, fields: Description.Entity): EntityTimes => ({
  name,
  createdAt: sometime(fields.CreatedAt),
  updatedAt: sometime(fields.UpdatedAt),
  accessedAt: sometime(fields.AccessedAt)
})

export const subscriptionRuntimeOf = (name: string, fields: Description.Entity): SubscriptionRuntime => ({
  ...timesOf(name, fields),
  totalMessageCount: fields.MessageCount ?? 0,
  activeMessageCount: fields.CountDetails?.ActiveMessageCount ?? 0,
  deadLetterMessageCount: fields.CountDetails?.DeadLetterMessageCount ?? 0,
  transferMessageCount: fields.CountDetails?.TransferMessageCount ?? 0,
  transferDeadLetterMessageCount: fields.CountDetails?.TransferDeadLetterMessageCount ?? 0
})

export const queueRuntimeOf = (name: string, fields: Description.Entity): QueueRuntime => ({
  ...subscriptionRuntimeOf(name, fields),
  scheduledMessageCount: fields.CountDetails?.ScheduledMessageCount ?? 0,
  sizeInBytes: fields.SizeInBytes ?? 0
})

export const topicRuntimeOf = (name: string, fields: Description.Entity): TopicRuntime => ({
  ...timesOf(name, fields),
  scheduledMessageCount: fields.CountDetails?.ScheduledMessageCount ?? 0,
  sizeInBytes: fields.SizeInBytes ?? 0,
  subscriptionCount: fields.SubscriptionCount ?? 0,
  sqlFilterCount: fields.SqlFilterCount,
  correlationFilterCount: fields.CorrelationFilterCount
})

export const namespaceInfoOf = (title: string, info: Description.NamespaceInfo): NamespaceInfo => ({
  name: info.Name ?? title,
  sku: info.MessagingSKU ?? "",
  messagingUnits: info.MessagingUnits,
  type: info.NamespaceType,
  alias: info.Alias,
  createdAt: sometime(info.CreatedTime),
  modifiedAt: sometime(info.ModifiedTime)
})
