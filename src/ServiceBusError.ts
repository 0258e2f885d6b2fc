/**
 * Every way in which Service Bus can refuse, as one tagged error class per entry of the exception catalogue, and the
 * union of the errors of each operation.
 *
 * A class exists where a caller would branch on it; what has no class of its own is a `ServiceBusError`, which keeps
 * the AMQP condition of the service. The unions are as small as the truth: catching a tag that an operation cannot meet
 * does not compile. One file because a catalogue is read as a whole.
 *
 * @module
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

const context = {
  /** The entity path that the operation was about. */
  entity: Schema.optionalKey(Schema.String),
  /** The identifier of the sender, receiver or session that failed. */
  identifier: Schema.optionalKey(Schema.String),
  /** The operation that failed, for example `send` or `renewLock`. */
  operation: Schema.optionalKey(Schema.String),
  /**
   * The AMQP condition of the peer, for example `amqp:not-found`, or the status of the management API with its sub-code, for
   * example `http:409.40901`; absent where the failure is local.
   */
  condition: Schema.optionalKey(Schema.String),
  /** What the peer, or this library, says about it: control characters removed, at most 512 characters. */
  description: Schema.optionalKey(Schema.String),
  /** The service's tracking id, for a support request. */
  trackingId: Schema.optionalKey(Schema.String),
  /** How often the operation was tried. */
  attempts: Schema.Int.pipe(Schema.withConstructorDefault(Effect.succeed(1))),
  /** What it came of: an error of Node's or of the peer, or that of the last try. */
  cause: Schema.optionalKey(Schema.Defect())
}

interface Described {
  readonly _tag: string
  readonly entity?: string
  readonly identifier?: string
  readonly operation?: string
  readonly condition?: string
  readonly description?: string
  readonly trackingId?: string
  readonly attempts: number
  readonly isTransient: boolean
}

const line = (self: Described, what: string, advice: string): string => {
  let text = what
  if (self.operation !== undefined) text += ` during ${self.operation}`
  if (self.entity !== undefined) text += ` on "${self.entity}"`
  // A generated one repeats the entity, and names no part of the program.
  if (self.identifier?.startsWith(`${self.entity}-`) === false) text += ` by "${self.identifier}"`
  // Those before a final answer failed of something else: an outage, say. A host that cannot be reached is tried again.
  const isRetried = self.isTransient || self._tag === "ServiceBusCommunicationError"
  if (self.attempts > 1 && isRetried) text += ` after ${self.attempts} attempts`
  const description = self.description?.slice(0, 512).replace(/[.\s]+$/, "")
  if (description !== undefined && description !== "") text += `: ${description}`
  if (self.condition !== undefined) text += ` (${self.condition})`
  return oneLine(`${text}. ${advice}`)
}

// oxlint-disable-next-line no-control-regex
const oneLine = (text: string): string => text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, " ")

/** Whether the limit of stacks can be set: intrinsics may be frozen. */
const canLimitStacks = ((): boolean => {
  const property = Object.getOwnPropertyDescriptor(Error, "stackTraceLimit")
  return property === undefined ? Object.isExtensible(Error) : property.writable === true || property.set !== undefined
})()

/**
 * A class of errors without a stack, as Effect's SchemaError is. There may be one for each message, its stack would show how this
 * library read the message, and a logger would print that.
 */
const withoutStack = <C extends abstract new(...args: never) => object>(errors: C): C =>
  new Proxy(errors, {
    construct: (target, args, newTarget) => {
      const { stackTraceLimit } = Error
      if (canLimitStacks) Error.stackTraceLimit = 0
      try {
        return Reflect.construct(target, args, newTarget) as object
      } finally {
        if (canLimitStacks) Error.stackTraceLimit = stackTraceLimit
      }
    }
  })

/**
 * The connection to the namespace was lost or could not be kept: a reset, an end of stream, an idle time-out or a
 * forced close. Usually transient.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusConnectionError
  extends Schema.TaggedError<ServiceBusConnectionError>()("ServiceBusConnectionError", {
    ...context,
    /** True where this program closed it itself: a closed scope is not opened again, and trying again does not help. */
    isClosed: Schema.optionalKey(Schema.Boolean)
  })
{
  override get message(): string {
    return this.isClosed === true
      ? line(this, "It is closed", "Use it before its scope closes, or make it again.")
      : line(this, "The connection to Service Bus was lost", "Retry the operation; it reconnects.")
  }
  get isTransient(): boolean {
    return this.isClosed !== true
  }
}

/**
 * The host cannot be reached at all: its name does not resolve, the port refuses, a firewall or proxy is in the way, or
 * its TLS certificate is not trusted.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusCommunicationError
  extends Schema.TaggedError<ServiceBusCommunicationError>()("ServiceBusCommunicationError", context)
{
  override get message(): string {
    return line(
      this,
      "Service Bus cannot be reached",
      "Check the host name, the port, the firewall and the certificate authority."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The credential was refused: a wrong key, a bad signature, an expired token, a wrong audience.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusAuthenticationError
  extends Schema.TaggedError<ServiceBusAuthenticationError>()("ServiceBusAuthenticationError", context)
{
  override get message(): string {
    return line(this, "The credential was refused", "Check the key or token, its expiry and the clock of this machine.")
  }
  get isTransient(): boolean {
    return false
  }
}

/** The right that an operation needs, where it says so by itself. */
const rightOf = (operation: string | undefined): "Send" | "Listen" | undefined =>
  operation === "send" || operation === "schedule"
    ? "Send"
    : operation === "receive" || operation === "process" || operation === "peek"
    ? "Listen"
    : undefined

/**
 * The credential is valid but lacks the right for this operation (Send, Listen or Manage): `claim`, where the service says
 * which.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusAuthorizationError
  extends Schema.TaggedError<ServiceBusAuthorizationError>()("ServiceBusAuthorizationError", {
    ...context,
    /** The right that is missing, the first one where the service names several; absent where it names none. */
    claim: Schema.optionalKey(Schema.Literals(["Send", "Listen", "Manage"]))
  })
{
  override get message(): string {
    return line(
      this,
      "Not authorized",
      `Give the identity the ${this.claim ?? rightOf(this.operation) ?? "Send, Listen or Manage"} right on this entity.`
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * No answer in time. `outcome` says what is known: `"notSent"` if nothing left this process, `"unknown"` if the request
 * was on the wire and may have been carried out. What is tried again keeps an outcome that is unknown: the `cause` is what
 * the last try failed with.
 *
 * @category errors
 * @since 0.1.0
 */
export class OperationTimeoutError extends Schema.TaggedError<OperationTimeoutError>()("OperationTimeoutError", {
  ...context,
  /** `"notSent"`: nothing left this process. `"unknown"`: it may have been carried out. */
  outcome: Schema.Literals(["unknown", "notSent"])
}) {
  override get message(): string {
    return line(
      this,
      "No answer in time",
      this.outcome === "unknown"
        ? "It may have been carried out: repeat a send with the same message id, and look before you repeat anything else."
        : "Nothing was sent: it is safe to repeat."
    )
  }
  get isTransient(): boolean {
    return true
  }
}

/**
 * A message, or a batch, is larger than the link allows. `size` and `limit` are bytes of the encoded message.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageSizeExceededError
  extends Schema.TaggedError<MessageSizeExceededError>()("MessageSizeExceededError", {
    ...context,
    /** Bytes of the encoded message, or of the batch. */
    size: Schema.Int,
    /** Bytes that the link, or the batch, takes at most. */
    limit: Schema.Int
  })
{
  override get message(): string {
    return line(
      this,
      `The message has ${this.size} bytes and ${this.limit} are allowed`,
      "Send a smaller body, fewer messages in one batch, or keep the payload elsewhere and send its address."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The message was settled before, or was received in receive-and-delete mode. Nothing went to the wire.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageAlreadySettled extends Schema.TaggedError<MessageAlreadySettled>()("MessageAlreadySettled", {
  ...context,
  /** The broker's number of the message, where it is known. */
  sequenceNumber: Schema.optionalKey(Schema.BigInt)
}) {
  override get message(): string {
    return line(this, "The message is settled already", "Settle a message once.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The lock on the message is gone: it expired, the message was settled elsewhere, or it never belonged to this
 * receiver. The message will be, or was, delivered again.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageLockLostError extends withoutStack(
  Schema.TaggedError<MessageLockLostError>()("MessageLockLostError", {
    ...context,
    /** The broker's number of the message, where it is known. */
    sequenceNumber: Schema.optionalKey(Schema.BigInt)
  })
) {
  override get message(): string {
    return line(
      this,
      "The lock on the message is lost",
      "The message is delivered again. Renew the lock while you work (AutoLockRenewer), or raise the lock duration."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The lock on the session is gone. Nothing that was received in it can be settled any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class SessionLockLostError extends Schema.TaggedError<SessionLockLostError>()("SessionLockLostError", context) {
  override get message(): string {
    return line(this, "The lock on the session is lost", "Accept the session again.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The session is locked by another receiver.
 *
 * @category errors
 * @since 0.1.0
 */
export class SessionCannotBeLockedError
  extends Schema.TaggedError<SessionCannotBeLockedError>()("SessionCannotBeLockedError", {
    ...context,
    /** The session that was asked for. */
    sessionId: Schema.optionalKey(Schema.String)
  })
{
  override get message(): string {
    return line(
      this,
      "The session is locked by another receiver",
      "Accept another session, or wait for its lock to end."
    )
  }
  get isTransient(): boolean {
    return true
  }
}

/**
 * No message, or no scheduled message, has the sequence number that was asked for. `missing` names them where known.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageNotFoundError extends Schema.TaggedError<MessageNotFoundError>()("MessageNotFoundError", {
  ...context,
  /** The sequence numbers that were not found, where they are known. */
  missing: Schema.optionalKey(Schema.Array(Schema.BigInt))
}) {
  override get message(): string {
    const which = this.missing === undefined || this.missing.length === 0 ? "" : ` ${this.missing.join(", ")}`
    return line(
      this,
      `No message with sequence number${which}`,
      "Look in the dead-letter queue, or whether it was settled."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The queue, topic or subscription does not exist, or was deleted.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessagingEntityNotFoundError
  extends Schema.TaggedError<MessagingEntityNotFoundError>()("MessagingEntityNotFoundError", context)
{
  override get message(): string {
    return line(this, "The messaging entity does not exist", "Create it, or correct its name.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The entity is disabled for this operation.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessagingEntityDisabledError
  extends Schema.TaggedError<MessagingEntityDisabledError>()("MessagingEntityDisabledError", context)
{
  override get message(): string {
    return line(this, "The messaging entity is disabled", "Enable it for this operation.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * An entity or a rule of this name exists already.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessagingEntityAlreadyExistsError
  extends Schema.TaggedError<MessagingEntityAlreadyExistsError>()("MessagingEntityAlreadyExistsError", context)
{
  override get message(): string {
    return line(
      this,
      "The messaging entity exists already",
      "Use another name, or update it; over AMQP a rule is not updated: delete it and create it, or create another."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The subscription has no rule of this name. Where the subscription itself is missing it is MessagingEntityNotFoundError.
 *
 * @category errors
 * @since 0.1.0
 */
export class RuleNotFoundError extends Schema.TaggedError<RuleNotFoundError>()("RuleNotFoundError", {
  ...context,
  /** The name that no rule has. */
  rule: Schema.String
}) {
  override get message(): string {
    return line(this, `There is no rule "${this.rule}"`, "List the rules of the subscription, or correct the name.")
  }
  get isTransient(): boolean {
    return false
  }
}

const quotaAdvice = {
  entitySize: "Receive messages from the entity, or raise its limit.",
  connections: "Share one client among all senders and receivers of a program, or run fewer programs.",
  links: "Close senders and receivers, or give some of them another client: each client has a connection.",
  tokens: "Use fewer entities with one client, or another client: each has a connection."
}

/**
 * A quota is used up: `quota` says which, where the service does.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusQuotaExceededError
  extends Schema.TaggedError<ServiceBusQuotaExceededError>()("ServiceBusQuotaExceededError", {
    ...context,
    /**
     * `"entitySize"`: the entity is full. `"connections"`: of the namespace. `"links"`: senders, receivers and sessions of one
     * connection. `"tokens"`: entities that one connection has a token for. Absent where the service does not say it.
     */
    quota: Schema.optionalKey(Schema.Literals(["entitySize", "connections", "links", "tokens"]))
  })
{
  override get message(): string {
    return line(
      this,
      "A quota of Service Bus is used up",
      this.quota === undefined ? "Use less of it, or raise its limit." : quotaAdvice[this.quota]
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The service is throttling. `retryAfter` is its advice, or 10 seconds where it gives none.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusServerBusyError
  extends Schema.TaggedError<ServiceBusServerBusyError>()("ServiceBusServerBusyError", {
    ...context,
    /** How long to wait before the next try. */
    retryAfter: Schema.Duration.pipe(Schema.withConstructorDefault(Effect.succeed(Duration.seconds(10))))
  })
{
  override get message(): string {
    return line(this, "Service Bus is busy", `Try again after ${Duration.format(this.retryAfter)}.`)
  }
  get isTransient(): boolean {
    return true
  }
}

/**
 * Renewing a lock in the background failed, and with it the lock was lost.
 *
 * @category errors
 * @since 0.1.0
 */
export class AutoLockRenewFailed extends Schema.TaggedError<AutoLockRenewFailed>()("AutoLockRenewFailed", context) {
  override get message(): string {
    return line(this, "Renewing the lock failed and the lock is lost", "The message or session is delivered again.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The time for which a lock was to be renewed ended, and the lock was lost before the work was done.
 *
 * @category errors
 * @since 0.1.0
 */
export class AutoLockRenewTimeout extends Schema.TaggedError<AutoLockRenewTimeout>()("AutoLockRenewTimeout", context) {
  override get message(): string {
    return line(
      this,
      "The time for renewing the lock ended and the lock is lost",
      "Raise maxDuration, or make the work shorter."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

const transientConditions = new Set([
  "amqp:internal-error",
  "amqp:connection:forced",
  "amqp:link:detach-forced",
  "amqp:link:transfer-limit-exceeded",
  "com.microsoft:server-busy",
  "com.microsoft:timeout",
  "com.microsoft:operation-cancelled",
  "com.microsoft:container-close",
  "com.microsoft:session-cannot-be-locked"
])

/** Statuses that pass, and 409 where another operation on the entity is under way (Resource Manager exceptions, 40901). */
const transientStatuses = /^http:(?:408|500|502|504)(?:\.\d+)?$|^http:409\.40901$/

/**
 * What has no class of its own; `condition` keeps the AMQP condition of the service. It is rare, and no parent of the other
 * classes: catching its tag catches none of them. All errors of this library are told by `isServiceBusError`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusError, type ServiceBusSender } from "effect-service-bus"
 *
 * export const send = (sender: ServiceBusSender.ServiceBusSender<string>) =>
 *   sender.send({ body: "hello" }).pipe(
 *     Effect.catchIf(ServiceBusError.isServiceBusError, (error) => Effect.logWarning(error.message))
 *   )
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceBusError extends Schema.TaggedError<ServiceBusError>()("ServiceBusError", context) {
  override get message(): string {
    return line(
      this,
      "Service Bus refused",
      this.isTransient ? "It is transient: try again." : "The condition says why; trying again unchanged will not help."
    )
  }
  get isTransient(): boolean {
    return this.condition !== undefined &&
      (transientConditions.has(this.condition) || transientStatuses.test(this.condition))
  }
}

/**
 * A connection string is malformed. `part` names the part; the message never repeats a value.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionStringError extends Schema.TaggedError<ConnectionStringError>()("ConnectionStringError", {
  /** The part that is malformed: `Endpoint`, `SharedAccessKey` and so on, or its place. */
  part: Schema.String,
  /** What is wrong with it; never its value. */
  problem: Schema.String
}) {
  override get message(): string {
    return oneLine(`The connection string is malformed at ${this.part}: ${this.problem}.`)
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The credential did not give a token. `reason` is `"provider"` where its provider failed or gave none in time, which may
 * pass, and `"token"` where what it is or gave is not usable.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialError extends Schema.TaggedError<CredentialError>()("CredentialError", {
  ...context,
  /** `"provider"`: what gives the credential failed. `"token"`: what it gave cannot be used. */
  reason: Schema.Literals(["provider", "token"]).pipe(Schema.withConstructorDefault(Effect.succeed("token" as const)))
}) {
  override get message(): string {
    return line(this, "The credential gave no token", "Check the identity that the program runs as.")
  }
  get isTransient(): boolean {
    return this.reason === "provider"
  }
}

/**
 * A message cannot be encoded: its body does not satisfy its schema, or a property has a value that AMQP or Service Bus
 * does not allow. Nothing was sent. `part` names what was wrong.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageEncodeError extends Schema.TaggedError<MessageEncodeError>()("MessageEncodeError", {
  ...context,
  /** What cannot be encoded: `body`, `properties`, `applicationProperties`, `session state` and so on. */
  part: Schema.String
}) {
  override get message(): string {
    return line(this, `The ${this.part} of the message cannot be encoded`, "Nothing was sent; correct the value.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * A received message cannot be decoded: its bytes are not AMQP, or its body or a property that its contract
 * declares does not satisfy its schema. `part` names what was wrong.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageDecodeError extends withoutStack(
  Schema.TaggedError<MessageDecodeError>()("MessageDecodeError", {
    ...context,
    /** What cannot be decoded: `body`, `message`, `session state` and so on. */
    part: Schema.String,
    /** The broker's number of the message, where it has one. */
    sequenceNumber: Schema.optionalKey(Schema.BigInt)
  })
) {
  override get message(): string {
    return line(
      this,
      `The ${this.part} of the message cannot be decoded`,
      this.operation === "peek"
        ? "Look at it by the plain name of the entity, or by peekRaw or browseRaw, which decode no body; or correct the schema."
        : "Correct the sender, or the schema."
    )
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * An option or an argument is out of range, and nothing was sent; or the entity refuses what its contract says of sessions, in
 * which case `condition` is the broker's. `option` names it, `expected` says what is allowed, or what to declare.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOptionError extends Schema.TaggedError<InvalidOptionError>()("InvalidOptionError", {
  ...context,
  /** The option or argument, by its name. */
  option: Schema.String,
  /** What is allowed. */
  expected: Schema.String
}) {
  override get message(): string {
    return line(this, `${this.option} is not usable`, `Expected ${this.expected}.`)
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The endpoint, or this version of the library, does not support the operation.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotSupportedError extends Schema.TaggedError<NotSupportedError>()("NotSupportedError", context) {
  override get message(): string {
    return line(this, "Not supported", "Use another way.")
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * The embedded broker cannot start, or does not do what it was asked for: a port is taken, an entity is declared twice, an
 * option is out of range. `reason` is `"alreadyExists"` where an entity of that name is there, `"notFound"` where an entity is
 * not, or the topic of a subscription, `"quotaExceeded"` where one is full or has no room for more rules, `"unavailable"` where
 * the machine does not let it listen, and `"invalid"` where what was given is not usable, or not with what there is.
 *
 * @category errors
 * @since 0.1.0
 */
export class EmulatorError extends Schema.TaggedError<EmulatorError>()("EmulatorError", {
  /** What kind of obstacle it is, for code that tells them apart. */
  reason: Schema.Literals(["alreadyExists", "notFound", "quotaExceeded", "unavailable", "invalid"]).pipe(
    Schema.withConstructorDefault(Effect.succeed("invalid" as const))
  ),
  /** What is in the way. */
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return oneLine(`The embedded broker cannot do this: ${this.problem}.`)
  }
  get isTransient(): boolean {
    return false
  }
}

/**
 * Opening the connection: reaching the host, TLS, SASL, the open of AMQP.
 *
 * @category unions
 * @since 0.1.0
 */
export type ConnectError =
  | ServiceBusConnectionError
  | ServiceBusCommunicationError
  | ServiceBusAuthenticationError
  | OperationTimeoutError
  | CredentialError
  | ServiceBusQuotaExceededError
  | ServiceBusError

/**
 * Attaching a sender or a receiver to an entity.
 *
 * @category unions
 * @since 0.1.0
 */
export type AttachError =
  | ConnectError
  | ServiceBusAuthorizationError
  | MessagingEntityNotFoundError
  | MessagingEntityDisabledError
  | ServiceBusServerBusyError
  | InvalidOptionError

/**
 * A round trip that proves the namespace to be reachable.
 *
 * @category unions
 * @since 0.1.0
 */
export type HealthCheckError = ConnectError | ServiceBusServerBusyError

/**
 * Sending one or many messages.
 *
 * @category unions
 * @since 0.1.0
 */
export type SendError = AttachError | MessageSizeExceededError | MessageEncodeError

/**
 * Adding a message to a batch.
 *
 * @category unions
 * @since 0.1.0
 */
export type BatchError = MessageSizeExceededError | MessageEncodeError | InvalidOptionError

/**
 * Scheduling messages.
 *
 * @category unions
 * @since 0.1.0
 */
export type ScheduleError = SendError

/**
 * Cancelling scheduled messages.
 *
 * @category unions
 * @since 0.1.0
 */
export type CancelScheduledError = AttachError | MessageNotFoundError

/**
 * Receiving from a queue, a subscription or a sub-queue.
 *
 * @category unions
 * @since 0.1.0
 */
export type ReceiveError = AttachError

/**
 * Peeking.
 *
 * @category unions
 * @since 0.1.0
 */
export type PeekError = AttachError

/**
 * Receiving deferred messages by sequence number.
 *
 * @category unions
 * @since 0.1.0
 */
export type ReceiveDeferredError = AttachError | MessageNotFoundError

/**
 * Deleting messages without receiving them.
 *
 * @category unions
 * @since 0.1.0
 */
export type DeleteMessagesError = AttachError | NotSupportedError

/**
 * Sending dead letters again. What keeps a single letter from it is in the report.
 *
 * @category unions
 * @since 0.1.0
 */
export type ReplayError = AttachError | MessageDecodeError

/**
 * Settling a message that was received under a lock of its own. MessageSizeExceededError and NotSupportedError come of
 * `Settlement.retryAfter`, which sends.
 *
 * @category unions
 * @since 0.1.0
 */
export type SettleError =
  | AttachError
  | MessageLockLostError
  | MessageAlreadySettled
  | MessageEncodeError
  | MessageSizeExceededError
  | NotSupportedError

/**
 * Settling a message of a session.
 *
 * @category unions
 * @since 0.1.0
 */
export type SessionSettleError =
  | AttachError
  | SessionLockLostError
  | MessageAlreadySettled
  | MessageEncodeError
  | MessageSizeExceededError
  | NotSupportedError

/**
 * Renewing the lock of a message.
 *
 * @category unions
 * @since 0.1.0
 */
export type LockRenewalError = AttachError | MessageLockLostError

/**
 * Renewing the lock of a session.
 *
 * @category unions
 * @since 0.1.0
 */
export type SessionLockRenewalError = AttachError | SessionLockLostError

/**
 * Listing the sessions of an entity.
 *
 * @category unions
 * @since 0.1.0
 */
export type ListSessionsError = AttachError | NotSupportedError

/**
 * Accepting a session.
 *
 * @category unions
 * @since 0.1.0
 */
export type AcceptSessionError = AttachError | SessionCannotBeLockedError

/**
 * Reading and writing the state of a session.
 *
 * @category unions
 * @since 0.1.0
 */
export type SessionStateError = AttachError | SessionLockLostError | MessageEncodeError | MessageDecodeError

/**
 * Creating a rule of a subscription.
 *
 * @category unions
 * @since 0.1.0
 */
export type CreateRuleError = AttachError | MessagingEntityAlreadyExistsError

/**
 * Deleting a rule of a subscription.
 *
 * @category unions
 * @since 0.1.0
 */
export type DeleteRuleError = AttachError | RuleNotFoundError

/**
 * Creating, deleting and listing rules of a subscription.
 *
 * @category unions
 * @since 0.1.0
 */
export type RuleError = CreateRuleError | DeleteRuleError

/**
 * Looking at queues, topics, subscriptions and rules by the management API.
 *
 * @category unions
 * @since 0.1.0
 */
export type AdministrationError =
  | ConnectError
  | ServiceBusAuthorizationError
  | ServiceBusServerBusyError
  | InvalidOptionError

/**
 * Listing what is within a topic or a subscription, changing and deleting an entity: it, or what it is within, may be missing.
 *
 * @category unions
 * @since 0.1.0
 */
export type ManageEntityError = AdministrationError | MessagingEntityNotFoundError

/**
 * Creating an entity.
 *
 * @category unions
 * @since 0.1.0
 */
export type CreateEntityError = ManageEntityError | MessagingEntityAlreadyExistsError

/**
 * Changing or deleting a rule.
 *
 * @category unions
 * @since 0.1.0
 */
export type ManageRuleError = ManageEntityError | RuleNotFoundError

/**
 * Every error of the library.
 *
 * @category unions
 * @since 0.1.0
 */
export type Any =
  | AttachError
  | MessageSizeExceededError
  | MessageAlreadySettled
  | MessageLockLostError
  | SessionLockLostError
  | SessionCannotBeLockedError
  | MessageNotFoundError
  | MessagingEntityAlreadyExistsError
  | RuleNotFoundError
  | AutoLockRenewFailed
  | AutoLockRenewTimeout
  | ConnectionStringError
  | MessageEncodeError
  | MessageDecodeError
  | NotSupportedError
  | EmulatorError

const tags: ReadonlySet<string> = new Set<Any["_tag"]>([
  "ServiceBusConnectionError",
  "ServiceBusCommunicationError",
  "ServiceBusAuthenticationError",
  "ServiceBusAuthorizationError",
  "OperationTimeoutError",
  "MessageSizeExceededError",
  "MessageAlreadySettled",
  "MessageLockLostError",
  "SessionLockLostError",
  "SessionCannotBeLockedError",
  "MessageNotFoundError",
  "MessagingEntityNotFoundError",
  "MessagingEntityDisabledError",
  "MessagingEntityAlreadyExistsError",
  "RuleNotFoundError",
  "ServiceBusQuotaExceededError",
  "ServiceBusServerBusyError",
  "AutoLockRenewFailed",
  "AutoLockRenewTimeout",
  "ServiceBusError",
  "ConnectionStringError",
  "CredentialError",
  "MessageEncodeError",
  "MessageDecodeError",
  "InvalidOptionError",
  "NotSupportedError",
  "EmulatorError"
])

/**
 * Whether a value is an error of this library.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusError } from "effect-service-bus"
 *
 * export const told = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
 *   Effect.tapError(effect, (error) =>
 *     ServiceBusError.isServiceBusError(error) ? Effect.logWarning(error.message) : Effect.void)
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isServiceBusError = (u: unknown): u is Any =>
  Predicate.hasProperty(u, "_tag") && Predicate.isString(u._tag) && tags.has(u._tag) && u instanceof Error

/**
 * Whether trying the same operation again, unchanged and later, can succeed. `false` for what is not an error of this
 * library.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusError, type ServiceBusSender } from "effect-service-bus"
 *
 * export const send = (sender: ServiceBusSender.ServiceBusSender<string>) =>
 *   sender.send({ body: "hello" }).pipe(Effect.retry({ while: ServiceBusError.isTransient, times: 5 }))
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isTransient = (u: unknown): boolean => isServiceBusError(u) && u.isTransient

/**
 * A schedule for `Effect.retry` at a call site: exponential from 0.8 seconds, at most 60 seconds apart, with jitter,
 * three times, and only while the error is transient. For `ServiceBusServerBusyError` it waits at least its
 * `retryAfter`. Delays are whole milliseconds.
 *
 * The client tries operations again by itself (`retry` of its options): this is for what is still to be tried when the
 * client has given up.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusError, type ServiceBusSender } from "effect-service-bus"
 *
 * export const send = (sender: ServiceBusSender.ServiceBusSender<string>) =>
 *   sender.send({ body: "hello" }).pipe(Effect.retry(ServiceBusError.retrySchedule))
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const retrySchedule: Schedule.Schedule<unknown, unknown> = Schedule.min([
  Schedule.exponential("800 millis"),
  Schedule.spaced("60 seconds")
]).pipe(
  Schedule.jittered,
  Schedule.while(({ attempt, input }) => attempt <= 3 && isTransient(input)),
  Schedule.modifyDelay(({ duration, input }) =>
    Effect.succeed(
      Duration.millis(Math.ceil(Duration.toMillis(
        input instanceof ServiceBusServerBusyError ? Duration.max(input.retryAfter, duration) : duration
      )))
    )
  )
)
