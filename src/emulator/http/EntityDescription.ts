/**
 * Descriptions of queues, topics and subscriptions as options of the broker, and back. What the broker does not have is kept
 * beside it: texts, policies and switches that change nothing here but are given back.
 *
 * Ranges and texts are the service's. What a request leaves out has the default, in an update too; what cannot be changed stays
 * as it is there.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as Description from "../../internal/administration/Description.ts"
import type * as Broker from "../broker/Broker.ts"
import * as EntityPath from "../broker/EntityPath.ts"
import * as Condition from "./HttpCondition.ts"

/** What is given back, and the broker does not have. */
const keptElements = [
  "EnableBatchedOperations",
  "IsAnonymousAccessible",
  "AuthorizationRules",
  "SupportOrdering",
  "EnablePartitioning",
  "EnableExpress",
  "UserMetadata",
  "FilteringMessagesBeforePublishing",
  "EnableSubscriptionPartitioning",
  // Of these the broker has less than was given: whole milliseconds, and a path in place of an address.
  "LockDuration",
  "DefaultMessageTimeToLive",
  "DuplicateDetectionHistoryTimeWindow",
  "AutoDeleteOnIdle",
  "ForwardTo",
  "ForwardDeadLetteredMessagesTo"
] as const

/** What is kept of an entity, as it was given last. */
export type Kept = Pick<Description.Entity, typeof keptElements[number]>

const keptOf = (given: Description.Entity): Kept =>
  Object.fromEntries(keptElements.flatMap((name) => given[name] === undefined ? [] : [[name, given[name]]]))

/** Of an entity that was not declared over HTTP. */
export const keptNothing: Kept = {}

const mebibyte = 1024 * 1024

/** A partitioned entity has 16 partitions of this size (Service Bus documentation, partitioned queues and topics). */
const partitions = 16

const sizes = [1024, 2048, 3072, 4096, 5120]

/** The options of an entity, or why there are none. */
type Read<A> = Result.Result<A, Condition.HttpCondition>

type Kind = Broker.Declaration["kind"]

/** As .NET prints a duration. */
const timeSpanOf = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  if (!Number.isFinite(millis)) return "10675199.02:48:05.4775807"
  const rest = Math.abs(millis)
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0")
  const days = Math.floor(rest / 86_400_000)
  const fraction = rest % 1000 === 0 ? "" : `.${String(Math.floor(rest % 1000)).padStart(3, "0")}0000`
  const clock = `${two(rest / 3_600_000 % 24)}:${two(rest / 60_000 % 60)}:${two(rest / 1000 % 60)}${fraction}`
  return `${millis < 0 ? "-" : ""}${days === 0 ? "" : `${days}.`}${clock}`
}

/** The problem of a duration that must lie in a range of seconds. */
const rangeProblem = (
  name: string,
  value: Duration.Duration | undefined,
  least: number,
  most = Infinity
): Condition.HttpCondition | undefined => {
  if (value === undefined) return undefined
  const seconds = Duration.toSeconds(value)
  if (seconds >= least && seconds <= most) return undefined
  const range = [Duration.seconds(least), most === Infinity ? Duration.infinity : Duration.seconds(most)].map(
    timeSpanOf
  )
  return Condition.outOfRange(
    `The value supplied must be between ${range.join(" and ")}.`,
    name,
    timeSpanOf(value),
    false
  )
}

/** What is wrong with values that are given, whatever the entity is. */
const problemOf = (given: Description.Entity): Condition.HttpCondition | undefined => {
  const { LockDuration, MaxDeliveryCount, MaxMessageSizeInKilobytes, UserMetadata } = given
  if (LockDuration !== undefined && Duration.toMinutes(LockDuration) > 5) {
    const words = "The supplied lock time exceeds the allowed maximum of '5' minutes."
    return Condition.outOfRange(words, "LockDuration", timeSpanOf(LockDuration), true)
  }
  if (LockDuration !== undefined && Duration.toSeconds(LockDuration) < 1) {
    return rangeProblem("LockDuration", LockDuration, 1, 300)
  }
  if (MaxDeliveryCount !== undefined && (MaxDeliveryCount < 1 || MaxDeliveryCount > 2000)) {
    const words = "The value supplied must be between 1 and 2000."
    return Condition.outOfRange(words, "MaxDeliveryCount", String(MaxDeliveryCount), false)
  }
  if (
    MaxMessageSizeInKilobytes !== undefined && (MaxMessageSizeInKilobytes < 1 || MaxMessageSizeInKilobytes > 102_400)
  ) {
    const words = "The value supplied must be between 1 and 102400."
    return Condition.outOfRange(words, "MaxMessageSizeInKilobytes", String(MaxMessageSizeInKilobytes), false)
  }
  if (UserMetadata !== undefined && UserMetadata.length > 1024) {
    const words = "The length of the property must not be over 1024 characters."
    return Condition.outOfRange(words, "UserMetadata", `${UserMetadata.length} characters`, false)
  }
  return rangeProblem("DefaultMessageTimeToLive", given.DefaultMessageTimeToLive, 1) ??
    rangeProblem("AutoDeleteOnIdle", given.AutoDeleteOnIdle, 300) ??
    rangeProblem("DuplicateDetectionHistoryTimeWindow", given.DuplicateDetectionHistoryTimeWindow, 20, 604_800) ??
    policiesProblem(given.AuthorizationRules ?? [])
}

/** At most 12 policies of an entity, each with a name of its own; Manage comes with the two other rights. */
const policiesProblem = (
  rules: ReadonlyArray<Description.AuthorizationRule>
): Condition.HttpCondition | undefined => {
  if (rules.length > 12) {
    return Condition.invalid(`There are ${rules.length} authorization rules; an entity has at most 12.`)
  }
  const names = new Set<string>()
  for (const { KeyName, Rights } of rules) {
    if (names.has(KeyName)) return Condition.invalid(`The authorization rule '${KeyName}' is there twice.`)
    names.add(KeyName)
    const unknown = Rights.find((right) => right !== "Manage" && right !== "Send" && right !== "Listen")
    if (KeyName === "" || Rights.length === 0 || unknown !== undefined) {
      return Condition.invalid(
        `The authorization rule '${KeyName}' needs a name, and rights of Manage, Send and Listen.`
      )
    }
    if (Rights.includes("Manage") && !(Rights.includes("Send") && Rights.includes("Listen"))) {
      return Condition.invalid(`The authorization rule '${KeyName}' has Manage, which needs Send and Listen too.`)
    }
  }
  return undefined
}

/** The path of a target that is a URL of any scheme, or a path; null where there is none. */
const targetOf = (uri: string | undefined): string | null => {
  if (uri === undefined || uri.trim() === "") return null
  const path = uri.trim().replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "").replace(/[?#].*$/s, "")
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

const bare = (path: string | null): string | undefined =>
  path === null ? undefined : EntityPath.withoutSlashes(path).toLowerCase()

/** The size in bytes, or why there is none. `shown` is what is answered for it now. */
const maxSizeOf = (
  given: Description.Entity,
  isPartitioned: boolean,
  shown: number | undefined
): Read<number | undefined> => {
  const { MaxSizeInMegabytes } = given
  const factor = isPartitioned ? partitions : 1
  if (MaxSizeInMegabytes === undefined) {
    return Result.succeed(shown === undefined ? 1024 * mebibyte * factor : undefined)
  }
  // What was read is written back. Of a partitioned entity the service takes the size of one partition alone: it refuses 16384.
  if (MaxSizeInMegabytes === shown && !isPartitioned) return Result.succeed(undefined)
  return sizes.includes(MaxSizeInMegabytes)
    ? Result.succeed(MaxSizeInMegabytes * mebibyte * factor)
    : Result.fail(Condition.invalid(
      `The specified value ${MaxSizeInMegabytes} is invalid. The property 'MaxSizeInMegabytes', must be one of the following values: ${
        sizes.join(";")
      }.`
    ))
}

/** What an entity is changed from. */
export interface Before {
  readonly declaration: Broker.Declaration
  readonly kept: Kept
}

/**
 * The options that a description comes to, and what is to be kept of it; of an entity that is there `before` is what it is now.
 */
export const read = (
  kind: Kind,
  given: Description.Entity,
  before: Before | undefined
): Read<{ readonly options: Broker.EntityOptions; readonly kept: Kept }> => {
  const problem = problemOf(given) ?? immutableProblem(kind, given, before)
  if (problem !== undefined) return Result.fail(problem)
  const isPartitioned = before?.kept.EnablePartitioning ?? given.EnablePartitioning ?? false
  const settings = before?.declaration.settings
  const detects = settings === undefined
    ? given.RequiresDuplicateDetection ?? false
    : settings.duplicateDetectionWindow !== undefined
  const common: Broker.EntityOptions = {
    defaultTimeToLive: given.DefaultMessageTimeToLive ?? Duration.infinity,
    autoDeleteOnIdle: given.AutoDeleteOnIdle ?? Duration.infinity,
    status: (given.Status ?? "Active") as Broker.EntityStatus
  }
  const receivable: Broker.EntityOptions = {
    lockDuration: given.LockDuration ?? "1 minute",
    maxDeliveryCount: given.MaxDeliveryCount ?? 10,
    deadLetteringOnExpiration: given.DeadLetteringOnMessageExpiration ?? false,
    requiresSession: settings?.requiresSession ?? given.RequiresSession ?? false,
    forwardTo: targetOf(given.ForwardTo),
    forwardDeadLetteredMessagesTo: targetOf(given.ForwardDeadLetteredMessagesTo)
  }
  const kept: Kept = { ...keptOf(given), EnablePartitioning: isPartitioned }
  if (kind === "subscription") {
    const deadLetteringOnFilterError = given.DeadLetteringOnFilterEvaluationExceptions ?? true
    return Result.succeed({
      options: { ...common, ...receivable, deadLetteringOnFilterError } as Broker.EntityOptions,
      kept
    })
  }
  const shown = settings === undefined ? undefined : Math.ceil(settings.maxSize / mebibyte)
  return Result.map(maxSizeOf(given, isPartitioned, shown), (maxSize) => ({
    options: {
      ...common,
      ...(kind === "queue" ? receivable : {}),
      duplicateDetectionWindow: detects ? given.DuplicateDetectionHistoryTimeWindow ?? "10 minutes" : undefined,
      maxSize,
      maxMessageSize: given.MaxMessageSizeInKilobytes === undefined ? undefined : given.MaxMessageSizeInKilobytes * 1024
    },
    kept
  }))
}

const immutableProblem = (
  kind: Kind,
  given: Description.Entity,
  before: Before | undefined
): Condition.HttpCondition | undefined => {
  if (before === undefined) return undefined
  const { declaration: { settings }, kept } = before
  const fixed = [
    ["RequiresSession", kind === "topic" ? undefined : given.RequiresSession, settings.requiresSession],
    ["RequiresDuplicateDetection", given.RequiresDuplicateDetection, settings.duplicateDetectionWindow !== undefined],
    ["EnablePartitioning", given.EnablePartitioning, kept.EnablePartitioning ?? false]
  ] as const
  const changed = fixed.find(([, value, is]) => value !== undefined && value !== is)
  return changed === undefined
    ? undefined
    : Condition.immutable(changed[0], `${kind.slice(0, 1).toUpperCase()}${kind.slice(1)}`)
}

/** What a description is written from. */
export interface Described extends Before {
  readonly runtime: Broker.Runtime
  /** The host that targets of forwarding are named with. */
  readonly host: string
  /** As `YYYY-MM`. */
  readonly apiVersion: string
  /** The answer to a creation has no counts, and no time of access. */
  readonly isCreation: boolean
  /** Whether it answers a request that makes or changes the entity. */
  readonly isChange: boolean
}

const utc = (millis: number): DateTime.Utc => DateTime.makeUnsafe(millis)

/** What an entity has that nobody has used. */
const never = utc(Date.parse("0001-01-01T00:00:00Z"))

/** A duration of the broker, as exactly as it was given. */
const durationOf = (millis: number | undefined, given: Duration.Duration | undefined): Duration.Duration => {
  if (millis === undefined) return Duration.infinity
  return given !== undefined && Math.ceil(Duration.toMillis(given)) === millis ? given : Duration.millis(millis)
}

/** The description of an entity. */
export const describe = (
  { apiVersion, declaration, host, isChange, isCreation, kept, runtime }: Described
): Description.Entity => {
  const { createdAt, kind, settings, updatedAt } = declaration
  // The service says a target as it was told, and clients read no other form.
  const uriOf = (path: string | undefined, given: string | undefined) =>
    path === undefined
      ? undefined
      : given?.includes("://") === true && bare(targetOf(given)) === bare(path)
      ? given
      : `sb://${host}/${path}`
  const isPartitioned = kept.EnablePartitioning ?? false
  const counts = {
    ActiveMessageCount: kind === "topic" ? 0 : runtime.activeMessageCount,
    DeadLetterMessageCount: runtime.deadLetterMessageCount,
    ScheduledMessageCount: runtime.scheduledMessageCount,
    TransferMessageCount: runtime.transferMessageCount,
    TransferDeadLetterMessageCount: runtime.transferDeadLetterMessageCount
  }
  const is2021 = apiVersion >= "2021-05"
  const is2024 = apiVersion >= "2024-05"
  const common: Description.Entity = {
    DefaultMessageTimeToLive: durationOf(settings.defaultTimeToLive, kept.DefaultMessageTimeToLive),
    EnableBatchedOperations: kept.EnableBatchedOperations ?? true,
    Status: settings.status,
    CreatedAt: utc(createdAt),
    UpdatedAt: utc(updatedAt),
    AccessedAt: isCreation ? undefined : runtime.accessedAt > updatedAt ? utc(runtime.accessedAt) : never,
    CountDetails: isCreation ? undefined : counts,
    AutoDeleteOnIdle: durationOf(settings.autoDeleteOnIdle, kept.AutoDeleteOnIdle),
    EntityAvailabilityStatus: "Available",
    UserMetadata: kept.UserMetadata
  }
  const receivable: Description.Entity = {
    LockDuration: durationOf(settings.lockDuration, kept.LockDuration),
    RequiresSession: settings.requiresSession,
    DeadLetteringOnMessageExpiration: settings.deadLetteringOnExpiration,
    MessageCount: Object.values(counts).reduce((sum, count) => sum + count, 0),
    MaxDeliveryCount: settings.maxDeliveryCount,
    ForwardTo: uriOf(settings.forwardTo, kept.ForwardTo),
    ForwardDeadLetteredMessagesTo: uriOf(
      settings.forwardDeadLetteredMessagesTo,
      kept.ForwardDeadLetteredMessagesTo
    )
  }
  if (kind === "subscription") {
    return {
      ...common,
      ...receivable,
      DeadLetteringOnFilterEvaluationExceptions: settings.deadLetteringOnFilterError,
      AccessedAt: isChange ? never : utc(runtime.accessedAt),
      IsClientAffine: is2021 ? false : undefined
    }
  }
  const sendable: Description.Entity = {
    MaxSizeInMegabytes: Math.ceil(settings.maxSize / mebibyte),
    RequiresDuplicateDetection: settings.duplicateDetectionWindow !== undefined,
    DuplicateDetectionHistoryTimeWindow: settings.duplicateDetectionWindow === undefined
      ? kept.DuplicateDetectionHistoryTimeWindow ?? Duration.minutes(10)
      : durationOf(settings.duplicateDetectionWindow, kept.DuplicateDetectionHistoryTimeWindow),
    SizeInBytes: runtime.sizeInBytes,
    IsAnonymousAccessible: kept.IsAnonymousAccessible ?? false,
    AuthorizationRules: kept.AuthorizationRules ?? [],
    SupportOrdering: kept.SupportOrdering ?? !isPartitioned,
    EnablePartitioning: isPartitioned,
    EnableExpress: kept.EnableExpress ?? false,
    MaxMessageSizeInKilobytes: is2021 ? Math.ceil(settings.maxMessageSize / 1024) : undefined
  }
  if (kind === "queue") return { ...common, ...receivable, ...sendable }
  return {
    ...common,
    ...sendable,
    FilteringMessagesBeforePublishing: kept.FilteringMessagesBeforePublishing ?? false,
    SubscriptionCount: isCreation ? undefined : runtime.subscriptionCount,
    EnableSubscriptionPartitioning: kept.EnableSubscriptionPartitioning ?? false,
    SqlFilterCount: is2024 ? runtime.filterCounts.sql : undefined,
    CorrelationFilterCount: is2024 ? runtime.filterCounts.correlation : undefined
  }
}
