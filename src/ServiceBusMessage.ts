/**
 * Messages as plain immutable data: what is sent, and what is received under a lock, destructively or by peeking.
 *
 * Messages have no methods; what becomes of one is a `Settlement`. Only a `LockedMessage` carries a lock, so that settling
 * a peeked or a destructively received message does not compile. Every field of the AMQP header, properties, annotations
 * and application properties is here under Service Bus's name for it (AMQP 1.0 section 3.2; Service Bus protocol guide).
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { AmqpValue, MessageId } from "./AmqpValue.ts"
import { InvalidOptionError } from "./ServiceBusError.ts"

/**
 * The token of a message's lock, as a GUID in canonical text form: what another process needs to settle it. A Schema, so
 * that it can travel.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusMessage } from "effect-service-bus"
 *
 * // What one process hands to another, for it to settle the message.
 * export class Task extends Schema.Class<Task>("Task")({ lockToken: ServiceBusMessage.LockToken }) {}
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const LockToken = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i)
).pipe(Schema.brand("effect-service-bus/LockToken"))

/**
 * The token of a message's lock.
 *
 * @category models
 * @since 0.1.0
 */
export type LockToken = typeof LockToken.Type

/**
 * Whether a value is a lock token.
 *
 * @category guards
 * @since 0.1.0
 */
export const isLockToken: (u: unknown) => u is LockToken = Schema.is(LockToken)

/**
 * A message to be sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface OutgoingMessage<out A> {
  readonly body: A
  /** At most 128 characters. A random UUID where none is given; duplicate detection goes by it. */
  readonly messageId?: MessageId | undefined
  readonly correlationId?: MessageId | undefined
  /** The session (AMQP group-id), at most 128 characters. */
  readonly sessionId?: string | undefined
  readonly replyTo?: string | undefined
  /** At most 128 characters. */
  readonly replyToSessionId?: string | undefined
  readonly to?: string | undefined
  /** An application's label for the message. */
  readonly subject?: string | undefined
  /** The codec's content type where none is given. */
  readonly contentType?: string | undefined
  readonly contentEncoding?: string | undefined
  readonly userId?: Uint8Array | undefined
  /** At most 128 characters; must equal `sessionId` where both are given. */
  readonly partitionKey?: string | undefined
  /** At most 128 characters. */
  readonly viaPartitionKey?: string | undefined
  /**
   * How long the message may wait, counted from its enqueueing; at least 1 millisecond. The entity's own time is a ceiling,
   * and all there is where none is given or an infinite one. It is written as the official SDKs do, in the header (up to
   * 49.7 days there) and as the time between `creationTime` and `absoluteExpiryTime`.
   */
  readonly timeToLive?: Duration.Input | undefined
  /** When the message becomes available; at once where it is in the past. */
  readonly scheduledEnqueueTime?: DateTime.Utc | undefined
  readonly groupSequence?: number | undefined
  /** Now, where none is given and there is a `timeToLive`. */
  readonly creationTime?: DateTime.Utc | undefined
  /**
   * Service Bus takes the time from `creationTime` to this one for the time to live, not this time itself. A `timeToLive`
   * goes before it: it is then `creationTime` plus that, and 9999-12-31T07:59:59Z at the latest.
   */
  readonly absoluteExpiryTime?: DateTime.Utc | undefined
  readonly durable?: boolean | undefined
  /** 0 to 255; Service Bus ignores it. */
  readonly priority?: number | undefined
  /**
   * Simple values only: no lists, maps or arrays (AMQP 1.0 section 3.2.5). A contract may declare some, with a Schema for each.
   * Each has 32 KB at most, and 64 KB together with all fields but body and footer (Service Bus quotas); more is refused with
   * MessageEncodeError before it is sent.
   */
  readonly applicationProperties?: Readonly<Record<string, AmqpValue>> | undefined
  /** Message annotations beside those that the fields above write. */
  readonly messageAnnotations?: Readonly<Record<string, AmqpValue>> | undefined
  readonly deliveryAnnotations?: Readonly<Record<string, AmqpValue>> | undefined
  readonly footer?: Readonly<Record<string, AmqpValue>> | undefined
}

/**
 * A message to be sent to an entity with sessions.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionMessage<out A> extends OutgoingMessage<A> {
  readonly sessionId: string
}

/**
 * A message to be sent to an entity whose contract declares application properties: `applicationProperties` is `P`. Others may
 * stand beside the declared ones, and are written as they are.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageWithProperties<out A, out P> extends Omit<OutgoingMessage<A>, "applicationProperties"> {
  /** The declared properties; the contract's Schema encodes them. */
  readonly applicationProperties: P
}

/**
 * `MessageWithProperties` where every declared property may be missing, so that all of them may.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageWithOptionalProperties<out A, out P> extends Omit<OutgoingMessage<A>, "applicationProperties"> {
  /** The declared properties; the contract's Schema encodes them. */
  readonly applicationProperties?: P | undefined
}

/**
 * What a received message has beside its fields where its contract declares application properties: those are decoded, by the
 * contract's Schema. What it does not declare stands beside them as it came; all of them as they came, with their AMQP types,
 * are `amqpApplicationProperties`.
 *
 * @category models
 * @since 0.1.0
 */
export interface WithProperties<out P> {
  readonly applicationProperties: P
}

/**
 * The state of a message in the broker.
 *
 * @category models
 * @since 0.1.0
 */
export type MessageState = "active" | "deferred" | "scheduled"

/**
 * What every received message has. Sections are decoded when they are first read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReceivedMessage<out A> {
  readonly body: A
  /** The text of the message id; `""` where the sender gave none. */
  readonly messageId: string
  /** The message id with its AMQP type. */
  readonly amqpMessageId: MessageId | undefined
  readonly correlationId: string | undefined
  readonly amqpCorrelationId: MessageId | undefined
  readonly sessionId: string | undefined
  readonly replyTo: string | undefined
  readonly replyToSessionId: string | undefined
  readonly to: string | undefined
  readonly subject: string | undefined
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  readonly userId: Uint8Array | undefined
  readonly partitionKey: string | undefined
  readonly viaPartitionKey: string | undefined
  /**
   * How long the message may wait: from `creationTime` to `absoluteExpiryTime` where both are there, else what the header
   * says. `undefined` where it never expires.
   */
  readonly timeToLive: Duration.Duration | undefined
  readonly scheduledEnqueueTime: DateTime.Utc | undefined
  readonly groupSequence: number | undefined
  readonly creationTime: DateTime.Utc | undefined
  readonly absoluteExpiryTime: DateTime.Utc | undefined
  readonly durable: boolean
  readonly priority: number | undefined
  readonly firstAcquirer: boolean
  /**
   * How many deliveries of this message ended before by abandoning, deferring or a lost lock: 0 the first time. What was
   * given back unseen does not count, and nothing does in a dead-letter queue.
   */
  readonly deliveryCount: number
  readonly applicationProperties: Readonly<Record<string, AmqpValue>>
  /** The application properties with their AMQP types: a value that would be written as another type is `Typed`. */
  readonly amqpApplicationProperties: Readonly<Record<string, AmqpValue>>
  readonly messageAnnotations: Readonly<Record<string, AmqpValue>>
  /** The message annotations with their AMQP types. */
  readonly amqpMessageAnnotations: Readonly<Record<string, AmqpValue>>
  readonly deliveryAnnotations: Readonly<Record<string, AmqpValue>>
  readonly footer: Readonly<Record<string, AmqpValue>>
  /** The footer with its AMQP types. */
  readonly amqpFooter: Readonly<Record<string, AmqpValue>>
  /** The broker's number of the message, unique in its entity. 0n where the broker gave none. */
  readonly sequenceNumber: bigint
  /** The sequence number at the first enqueueing, kept while the message is forwarded. */
  readonly enqueuedSequenceNumber: bigint | undefined
  /**
   * When the broker accepted the message, by its clock; of a message that was scheduled, when it became active, and until
   * then when it was scheduled. Service Bus says it of every message that is received or browsed (Message sequencing and
   * timestamps); where another broker says none it is 1970-01-01T00:00:00Z.
   */
  readonly enqueuedTime: DateTime.Utc
  /**
   * `enqueuedTime` plus `timeToLive`, or `absoluteExpiryTime` where one of these is missing; `undefined` where the message
   * never expires.
   */
  readonly expiresAt: DateTime.Utc | undefined
  readonly state: MessageState
  readonly deadLetterReason: string | undefined
  readonly deadLetterErrorDescription: string | undefined
  /** The entity from which the message was dead-lettered, where it was forwarded since. */
  readonly deadLetterSource: string | undefined
  /** How often the message was tried again by `Settlement.retryAfter`: 0 for one that is no copy. */
  readonly retryAttempt: number
  /** When the message was enqueued first: `enqueuedTime`, or that of the original where it is a copy of one. */
  readonly firstEnqueuedTime: DateTime.Utc
  /** The size of the encoded message in bytes. */
  readonly size: number
}

/**
 * A message that was looked at without taking it: it cannot be settled.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeekedMessage<out A> extends ReceivedMessage<A> {
  readonly _tag: "Peeked"
}

/**
 * A message that the broker removed when it sent it (receive-and-delete): it cannot be settled.
 *
 * @category models
 * @since 0.1.0
 */
export interface DestructiveMessage<out A> extends ReceivedMessage<A> {
  readonly _tag: "Destructive"
}

/**
 * A message that is locked for one receiver until it is settled or the lock ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface LockedMessage<out A> extends ReceivedMessage<A> {
  readonly _tag: "Locked"
  readonly lockToken: LockToken
  /**
   * When the lock ends by the broker's clock, as of the delivery; renewals do not change this value. In a session, whose
   * own lock covers its messages, it is the end of the year 9999 (`session.lockedUntil` is the session's); where a broker
   * says none it is 1970-01-01T00:00:00Z.
   */
  readonly lockedUntil: DateTime.Utc
}

/** The application properties that a Schema decoded, of a message whose contract declares some. @internal */
export const declared: unique symbol = Symbol.for("effect-service-bus/ServiceBusMessage/declared")

/** How a received message is detached. @internal */
export const detach: unique symbol = Symbol.for("effect-service-bus/ServiceBusMessage/detach")

/**
 * The same message on memory of its own, for one that is kept for long: in a cache, in a map, in a queue of the program.
 *
 * What is received together stands in one piece of memory, up to 64 KB of it, and each message is a view of it: one small
 * message that is kept keeps all of it. Copying each would cost a sixth of what receiving costs, so it is done for those
 * that are kept. The copy has the bytes of the message and nothing else; it can be settled in place of the first, and its
 * lock is kept alike. Bytes in the body are copied where the body is a `Uint8Array`, or has some in its arrays, maps and
 * plain objects; instances of classes stay as they are. The first message must be let go: it is still a view.
 *
 * A message that is not the library's own is returned as it is.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusMessage, type ServiceBusReceiver } from "effect-service-bus"
 *
 * export const recent: Array<ServiceBusMessage.LockedMessage<string>> = []
 *
 * export const keep = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   Effect.map(receiver.receive(), (messages) => recent.push(...messages.map(ServiceBusMessage.detached)))
 * ```
 *
 * @category conversions
 * @since 0.1.0
 */
export const detached = <M extends ReceivedMessage<unknown>>(message: M): M =>
  typeof message === "object" && message !== null && detach in message
    ? (message as unknown as { readonly [detach]: () => M })[detach]()
    : message

/** What the broker says of a message, and what belongs to one delivery; the partition keys have fields of their own. */
const annotationsLeftOut = new Set([
  "x-opt-deadletter-source",
  "x-opt-enqueue-sequence-number",
  "x-opt-enqueued-time",
  "x-opt-lock-token",
  "x-opt-locked-until",
  "x-opt-message-state",
  "x-opt-partition-id",
  "x-opt-partition-key",
  "x-opt-scheduled-enqueue-time",
  "x-opt-sequence-number",
  "x-opt-via-partition-key"
])

/** Why a message was dead-lettered, and the trace that it was part of. */
const propertiesLeftOut = new Set([
  "DeadLetterErrorDescription",
  "DeadLetterReason",
  "Diagnostic-Id",
  "traceparent",
  "tracestate"
])

const none: ReadonlySet<string> = new Set()

const without = (
  entries: Readonly<Record<string, AmqpValue>>,
  leftOut: ReadonlySet<string>
): Readonly<Record<string, AmqpValue>> | undefined => {
  const kept = Object.entries(entries).filter(([key]) => !leftOut.has(key))
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** Those that a Schema decoded are encoded again; the others keep their types. */
const propertiesOf = (message: ReceivedMessage<unknown>): Readonly<Record<string, AmqpValue>> => {
  const decoded = (message as { readonly [declared]?: Readonly<Record<string, AmqpValue>> })[declared]
  return decoded === undefined
    ? message.amqpApplicationProperties
    : { ...message.amqpApplicationProperties, ...decoded }
}

/**
 * What `fromReceived` makes of a message and its overrides: the body's type is that of the override where there is one,
 * and a session id that is known by its type stays known.
 *
 * @category models
 * @since 0.1.0
 */
export type FromReceived<M extends ReceivedMessage<unknown>, O> =
  & OutgoingMessage<O extends { readonly body: infer B } ? B : M["body"]>
  & ("applicationProperties" extends keyof O ? Pick<O, "applicationProperties" & keyof O>
    : Readonly<Record<string, AmqpValue>> extends M["applicationProperties"] ? unknown
    : Pick<M, "applicationProperties">)
  & ("sessionId" extends keyof O ? O extends { readonly sessionId: string } ? { readonly sessionId: string } : unknown
    : M extends { readonly sessionId: string } ? { readonly sessionId: string }
    : unknown)

/**
 * A message to be sent that says the same as a received one: to forward it, to send it again, to take it back out of a
 * dead-letter queue. `overrides` stand over what is copied; `undefined` in them leaves a field out, so that
 * `{ messageId: undefined }` gives a new id.
 *
 * Copied with their exact AMQP types are: body, message id, correlation id, session id, partition keys, reply-to and its
 * session, to, subject, content type and encoding, user id, time to live, group sequence, durability, priority,
 * application properties, footer, and the annotations that are the sender's own. Left out is what the broker said
 * (sequence numbers, times, lock, state, delivery count, partition, dead-letter source), the dead-letter reason and
 * description, a scheduled enqueue time, the creation and expiry time, delivery annotations, and the trace of the old
 * message (`Diagnostic-Id`, `traceparent`, `tracestate`). These are the rules of .NET's copy constructor, and some more.
 *
 * The body is the decoded one and is encoded again by the contract it is sent to, and so are the application properties that
 * the contract of the message declares; `sender.sendAnnotated` sends both as they came. Keeping the message id means that
 * duplicate detection takes the copy for the original where both went to one entity.
 *
 * Throws an InvalidOptionError for what is no received message.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusMessage, type ServiceBusReceiver, type ServiceBusSender } from "effect-service-bus"
 *
 * export const forward = Effect.fn(function*(
 *   from: ServiceBusReceiver.ServiceBusReceiver<string>,
 *   to: ServiceBusSender.ServiceBusSender<string>
 * ) {
 *   for (const message of yield* from.receive()) {
 *     yield* to.send(ServiceBusMessage.fromReceived(message, { subject: "forwarded" }))
 *     yield* from.complete(message)
 *   }
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromReceived = <
  M extends ReceivedMessage<unknown>,
  O extends Partial<OutgoingMessage<unknown>> = {}
>(
  message: M,
  overrides?: O
): FromReceived<M, O> => {
  if (typeof message !== "object" || message === null || !("amqpApplicationProperties" in message)) {
    throw new InvalidOptionError({ option: "message", expected: "a message that was received" })
  }
  const copied: OutgoingMessage<unknown> = {
    body: message.body,
    messageId: message.amqpMessageId,
    correlationId: message.amqpCorrelationId,
    sessionId: message.sessionId,
    replyTo: message.replyTo,
    replyToSessionId: message.replyToSessionId,
    to: message.to,
    subject: message.subject,
    contentType: message.contentType,
    contentEncoding: message.contentEncoding,
    userId: message.userId,
    partitionKey: message.partitionKey,
    viaPartitionKey: message.viaPartitionKey,
    // A peer's 0 means none, and is none that can be sent.
    timeToLive: message.timeToLive !== undefined && Duration.isZero(message.timeToLive)
      ? undefined
      : message.timeToLive,
    groupSequence: message.groupSequence,
    durable: message.durable ? true : undefined,
    priority: message.priority,
    applicationProperties: without(propertiesOf(message), propertiesLeftOut),
    messageAnnotations: without(message.amqpMessageAnnotations, annotationsLeftOut),
    footer: without(message.amqpFooter, none)
  }
  const entries = Object.entries({ ...copied, ...overrides }).filter(([key, value]) =>
    value !== undefined || key === "body"
  )
  return Object.fromEntries(entries) as unknown as FromReceived<M, O>
}
