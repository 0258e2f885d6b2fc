/**
 * What happens to a client, its consumers and their messages that no caller's Effect fails with, as plain data: what
 * `ServiceBusClient.events` gives. What is logged and counted stands on the same events.
 *
 * Each says in `message` what happened and what happens now. None has a body, a token or a key; the `cause` of one is what a
 * handler or the service said.
 *
 * @module
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as EffectLogLevel from "effect/LogLevel"
import type * as ServiceBusError from "./ServiceBusError.ts"

/**
 * What happened to a client.
 *
 * @category models
 * @since 0.1.0
 */
export type ServiceBusEvent =
  | Connected
  | ConnectionLost
  | ConnectFailed
  | Throttled
  | CredentialRefused
  | LinkLost
  | LinkRecovered
  | LockLost
  | MessageDeadLettered
  | DeadLetterTruncated
  | ProcessorError
  | ConsumerStopped

/**
 * Where an event comes from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Origin {
  /** The namespace's host name. */
  readonly namespace: string
  /** The name by which the client, or its sender or receiver, is seen in the service's logs. */
  readonly identifier: string
  /** The path of the entity, where the event is about one. */
  readonly entity?: string | undefined
  /** What happened, and what happens now. */
  readonly message: string
}

/**
 * Which message, or which session, an event is about.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subject {
  readonly messageId?: string | undefined
  readonly sequenceNumber?: bigint | undefined
  /** How often it was delivered before and failed. */
  readonly deliveryCount?: number | undefined
  readonly sessionId?: string | undefined
}

/**
 * The connection is open.
 *
 * @category events
 * @since 0.1.0
 */
export interface Connected extends Origin {
  readonly _tag: "Connected"
  /** Whether it was lost, or could not be opened, before. One that was closed because it was idle was not lost. */
  readonly isAgain: boolean
}

/**
 * The connection is lost: what needs one opens it again.
 *
 * @category events
 * @since 0.1.0
 */
export interface ConnectionLost extends Origin {
  readonly _tag: "ConnectionLost"
  /** Whether the service closed it because it was idle. */
  readonly isIdle: boolean
  readonly cause: Cause.Cause<ServiceBusError.ConnectError>
}

/**
 * A try to connect, or to attach the link of a consumer, failed, and is made again. It is said once for each
 * kind of error, until it succeeds.
 *
 * @category events
 * @since 0.1.0
 */
export interface ConnectFailed extends Origin {
  readonly _tag: "ConnectFailed"
  readonly cause: Cause.Cause<ServiceBusError.AttachError | ServiceBusError.SessionCannotBeLockedError>
}

/**
 * The service is too busy for this client: all of its operations wait.
 *
 * @category events
 * @since 0.1.0
 */
export interface Throttled extends Origin {
  readonly _tag: "Throttled"
  /** For how long, as the service advises. */
  readonly advice: Duration.Duration
  readonly cause: Cause.Cause<ServiceBusError.ServiceBusServerBusyError>
}

/**
 * The credential gave no token, or the service refused the one that it gave. It is said once for each kind of
 * error, until a token is taken.
 *
 * @category events
 * @since 0.1.0
 */
export interface CredentialRefused extends Origin {
  readonly _tag: "CredentialRefused"
  /** Whether the token was to replace one that is still valid: links go on until that one ends. */
  readonly isRefresh: boolean
  readonly cause: Cause.Cause<ServiceBusError.AttachError>
}

/**
 * The link of a receiver is lost: the next use attaches it again. The service does so with every link that is idle for ten
 * minutes (Azure Service Bus troubleshooting guide).
 *
 * @category events
 * @since 0.1.0
 */
export interface LinkLost extends Origin {
  readonly _tag: "LinkLost"
  readonly cause: Cause.Cause<ServiceBusError.Any>
}

/**
 * The link of a receiver is attached that was lost, or could not be attached.
 *
 * @category events
 * @since 0.1.0
 */
export interface LinkRecovered extends Origin {
  readonly _tag: "LinkRecovered"
  /** How long there was none. */
  readonly away: Duration.Duration
  /** How many tries the service refused meanwhile. */
  readonly failures: number
}

/**
 * The lock of a message that a processor has, or of a session, is lost.
 *
 * @category events
 * @since 0.1.0
 */
export interface LockLost extends Origin, Subject {
  readonly _tag: "LockLost"
  readonly cause: Cause.Cause<ServiceBusError.Any>
}

/**
 * A message is dead-lettered by policy, not by what its handler said: its body does not decode, or its settlement cannot be
 * made.
 *
 * @category events
 * @since 0.1.0
 */
export interface MessageDeadLettered extends Origin, Subject {
  readonly _tag: "MessageDeadLettered"
  /** The reason that the dead letter has. */
  readonly reason: string
  /** Why; what its handler failed with first, where `onFailure` gave no settlement. */
  readonly cause: Cause.Cause<unknown>
}

/**
 * Reason or description of a dead letter were longer than the service takes, and were cut. It names the message where one was
 * settled; many that are settled together are one event.
 *
 * @category events
 * @since 0.1.0
 */
export interface DeadLetterTruncated extends Origin, Subject {
  readonly _tag: "DeadLetterTruncated"
  readonly parts: ReadonlyArray<"reason" | "description">
}

/**
 * Something went wrong with a message where no caller is told, and what consumes goes on: a processor, which most of them are
 * of, or a receiver or session that a program uses by itself (a body that does not decode, a message that cannot be given back)
 * or `AutoLockRenewer.withLock` (a renewal).
 *
 * @category events
 * @since 0.1.0
 */
export interface ProcessorError extends Origin, Subject {
  readonly _tag: "ProcessorError"
  /**
   * What went wrong: to receive, or to give a session up; a settlement that no caller waits for; the renewal of a lock; a
   * handler, or the `open` and `close` of a session; a body that does not decode.
   */
  readonly source: ErrorSource
  /**
   * True where a handler failed, or a body did not decode, of a message of which the consumer has said so before: it came
   * again. A consumer remembers the last 1,024 such messages, by their sequence numbers.
   */
  readonly isRepeated?: boolean | undefined
  /** What it failed with, or died of; empty where a drain interrupted it, or a handler settled its message itself. */
  readonly cause: Cause.Cause<unknown>
}

/**
 * Where a `ProcessorError` comes from: what a processor, receiver or session was doing.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorSource = "receive" | "settle" | "renew" | "handler" | "decode"

/**
 * A processor, of messages, batches or sessions, stopped for good, because its entity is gone, say, or the right to receive from
 * it: its `join` fails with the same. Or `process` could not start one. It is of processors alone: what a receiver or session
 * that a program uses by itself cannot do, its caller is told.
 *
 * @category events
 * @since 0.1.0
 */
export interface ConsumerStopped extends Origin {
  readonly _tag: "ConsumerStopped"
  readonly cause: Cause.Cause<ServiceBusError.ReceiveError>
}

/**
 * The level at which an event is logged; `"None"` for not at all.
 *
 * @category models
 * @since 0.1.0
 */
export type LogLevel = EffectLogLevel.Severity | "None"

/**
 * One level for all events, or a function that gives one for each. Where the function gives none, or throws, the level is
 * that of `defaultLogLevel`.
 *
 * @category models
 * @since 0.1.0
 */
export type LogLevelOption = LogLevel | ((event: ServiceBusEvent) => LogLevel | undefined)

/**
 * The level at which an event is logged where no option says otherwise: Error for a consumer that stopped for good, Warn for
 * what goes wrong, Info for what is well again after that, Debug for what is normal, and for a message that fails again.
 *
 * @example
 * ```ts
 * import { type ServiceBusClient, ServiceBusEvent } from "effect-service-bus"
 *
 * // Handlers that fail are expected here.
 * export const options: ServiceBusClient.CommonOptions = {
 *   logLevel: (event) =>
 *     event._tag === "ProcessorError" && event.source === "handler" ? "Debug" : ServiceBusEvent.defaultLogLevel(event)
 * }
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const defaultLogLevel = (event: ServiceBusEvent): LogLevel => {
  switch (event._tag) {
    case "ConsumerStopped":
      return "Error"
    case "Connected":
      return event.isAgain ? "Info" : "Debug"
    case "LinkRecovered":
      return event.failures > 0 ? "Info" : "Debug"
    case "ConnectionLost":
      return event.isIdle ? "Debug" : "Warn"
    case "LinkLost":
      return "Debug"
    case "ProcessorError":
      return event.isRepeated === true ? "Debug" : "Warn"
    default:
      return "Warn"
  }
}

/**
 * Whether a value is a level at which events can be logged.
 *
 * @category guards
 * @since 0.1.0
 */
export const isLogLevel = (u: unknown): u is LogLevel =>
  u !== "All" && (EffectLogLevel.values as ReadonlyArray<unknown>).includes(u)
