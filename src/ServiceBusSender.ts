/**
 * Sending to a queue or topic: a sender is a link, attached when it is made and closed with its scope.
 *
 * A link that is lost is attached again by the next send. At-least-once: a send succeeds when the broker has accepted the
 * message, and is tried again under the same message id, as the client's `retry` says, while its error can pass. A
 * message whose answer was lost may so be enqueued twice, except on an entity with duplicate detection; with
 * `maxRetries: 0` the send fails instead, with OperationTimeoutError and `outcome: "unknown"`.
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type { AmqpAnnotatedMessage } from "./AmqpAnnotatedMessage.ts"
import * as SenderState from "./internal/sender/SenderState.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import type {
  AttachError,
  BatchError,
  CancelScheduledError,
  InvalidOptionError,
  MessageEncodeError,
  MessageSizeExceededError,
  ScheduleError,
  SendError
} from "./ServiceBusError.ts"
import type { OutgoingMessage, SessionMessage } from "./ServiceBusMessage.ts"
import type * as ServiceBusProperties from "./ServiceBusProperties.ts"

/**
 * A sender of one entity. `M` is the message it takes: one with a session id where the entity has sessions.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceBusSender<in In, in M = OutgoingMessage<In>> {
  /** The entity's path. */
  readonly entity: string
  /** The name by which the service's logs, spans and errors know this sender. */
  readonly identifier: string
  /** The most bytes of one encoded message that the link takes. */
  readonly maxMessageSize: number
  /**
   * Sends one message and gives its message id.
   *
   * Fails with MessageEncodeError or MessageSizeExceededError before anything is on the wire; with
   * ServiceBusQuotaExceededError where the entity is full; with ServiceBusServerBusyError where the service throttles;
   * with OperationTimeoutError where no answer came within the client's operationTimeout. Interrupting it takes the
   * message back if it has not left yet; otherwise it may still be enqueued.
   *
   * @example
   * ```ts
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const hello = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   sender.send({ body: "hello", messageId: "greeting-1", timeToLive: "1 hour" })
   * ```
   */
  readonly send: (message: M) => Effect.Effect<string, SendError>
  /**
   * Sends many messages in as few batches as the link's limit allows, in order, and gives their ids. A batch is accepted
   * or refused as a whole; messages with different sessions or partition keys go in different batches.
   *
   * All messages are encoded before the first one leaves. It fails with the first error once every batch has its answer:
   * batches beside a refused one may have been accepted.
   *
   * Fails as `send` does.
   *
   * @example
   * ```ts
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const numbers = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   sender.sendAll(Array.from({ length: 1000 }, (_, i) => ({ body: `${i}` })))
   * ```
   */
  readonly sendAll: (messages: Iterable<M>) => Effect.Effect<ReadonlyArray<string>, SendError>
  /**
   * Makes an empty batch, for those who decide themselves what goes together; `sendAll` and `sink` make their own. It takes
   * messages up to `maxSize` bytes, which is by default what the link allows for a batch.
   *
   * Fails with InvalidOptionError where `maxSize` is out of range.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * // Sends all, each batch as soon as the next message does not fit in it.
   * export const sendInBatches = (sender: ServiceBusSender.ServiceBusSender<string>, bodies: Iterable<string>) =>
   *   Effect.gen(function*() {
   *     let batch = yield* sender.batch()
   *     for (const body of bodies) {
   *       if (yield* batch.tryAdd({ body })) continue
   *       yield* sender.sendBatch(batch)
   *       batch = yield* sender.batch()
   *       yield* batch.tryAdd({ body })
   *     }
   *     yield* sender.sendBatch(batch)
   *   })
   * ```
   */
  readonly batch: (options?: BatchOptions) => Effect.Effect<Batch<M>, InvalidOptionError>
  /**
   * Sends a batch that this sender made, as one delivery, which is accepted or refused as a whole, and gives the ids of its
   * messages. An empty batch sends nothing. From then on it takes no more messages; it may be sent again, under the same
   * ids, where this failed.
   *
   * Fails as `send` does, and with InvalidOptionError for a batch of another sender.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const both = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   Effect.gen(function*() {
   *     const batch = yield* sender.batch()
   *     for (const body of ["one", "two"]) yield* batch.tryAdd({ body })
   *     return yield* sender.sendBatch(batch)
   *   })
   * ```
   */
  readonly sendBatch: (batch: Batch<never>) => Effect.Effect<ReadonlyArray<string>, SendError>
  /**
   * A sink that sends what it is given in batches, in order: `stream.pipe(Stream.run(sender.sink()))`. It may be run many
   * times.
   *
   * A message that can never be sent (MessageEncodeError, MessageSizeExceededError) is rejected alone and the others go
   * on: `rejected` of the report, or `onRejected`, says which. Any other error fails the sink once the client's `retry`
   * gives up, and stops what is in flight beside it. InvalidOptionError where an option is out of range.
   *
   * Messages with the same session and partition keys, those without any among them, stay in order: a batch of theirs
   * leaves when the one before has its answer. Batches of different keys go at the same time. The stream is held back
   * while `maxWaiting` messages wait, or as many bytes as `concurrency` batches may have.
   *
   * When the stream ends, or fails, what waits is sent first. Interrupting it drops what waits; what is in flight may be
   * sent or not.
   *
   * @example
   * ```ts
   * import { Stream } from "effect"
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const words = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   Stream.make("one", "two", "three").pipe(
   *     Stream.map((body) => ({ body })),
   *     Stream.run(sender.sink({ linger: "20 millis" }))
   *   )
   * ```
   */
  readonly sink: <A extends M = M, E = never, R = never>(
    options?: SinkOptions<A, E, R>
  ) => Sink.Sink<SinkReport<A>, A, never, SendError | E, R>
  /**
   * Sends annotated messages as they are, one by itself or many in batches as `sendAll` does, and gives their ids. The
   * contract's codec is not consulted: what the bodies are is the caller's word. A message without an id gets one.
   *
   * Fails as `send` does: the limits of ids, keys and size are checked before anything is on the wire, and that a message
   * to an entity with sessions has a `groupId`.
   *
   * @example
   * ```ts
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const plain = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   sender.sendAnnotated({ header: { priority: 7 }, body: { kind: "value", value: 42 } })
   * ```
   */
  readonly sendAnnotated: {
    (message: AmqpAnnotatedMessage): Effect.Effect<string, SendError>
    (messages: Iterable<AmqpAnnotatedMessage>): Effect.Effect<ReadonlyArray<string>, SendError>
  }
  /**
   * Has the broker enqueue a message at a time, or after a delay from now, and gives its sequence number, by which it can
   * be cancelled until then. When it is enqueued it gets a new one. A time that is over means at once.
   *
   * Fails as `send` does. Interrupting it may leave the message scheduled; where an answer was lost and it is tried again,
   * it may be scheduled twice, except on an entity with duplicate detection.
   *
   * @example
   * ```ts
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const later = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   sender.schedule({ body: "wake up" }, "8 hours")
   * ```
   */
  readonly schedule: (message: M, at: DateTime.Utc | Duration.Input) => Effect.Effect<bigint, ScheduleError>
  /**
   * Schedules many messages, all of them or none, and gives their sequence numbers in order. Fails as `schedule` does.
   *
   * @example
   * ```ts
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const reminders = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   sender.scheduleAll([{ body: "first" }, { body: "second" }], "1 day")
   * ```
   */
  readonly scheduleAll: (
    messages: Iterable<M>,
    at: DateTime.Utc | Duration.Input
  ) => Effect.Effect<ReadonlyArray<bigint>, ScheduleError>
  /**
   * Cancels scheduled messages by their sequence numbers, all of them or none. Fails with MessageNotFoundError where one
   * is enqueued already, cancelled, or never was, and with OperationTimeoutError (`outcome: "unknown"`) where an answer was
   * lost and nothing is left to cancel.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusSender } from "effect-service-bus"
   *
   * export const changedMind = (sender: ServiceBusSender.ServiceBusSender<string>) =>
   *   Effect.gen(function*() {
   *     const sequenceNumber = yield* sender.schedule({ body: "wake up" }, "8 hours")
   *     yield* sender.cancelScheduled([sequenceNumber])
   *   })
   * ```
   */
  readonly cancelScheduled: (sequenceNumbers: Iterable<bigint>) => Effect.Effect<void, CancelScheduledError>
}

/**
 * How a sender is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The name of the sender in the service's logs (the address of the link's source), on spans (`messaging.client.id`) and in
   * errors: 1 to 512 characters. The entity's path with a random part by default.
   */
  readonly identifier?: string | undefined
}

/**
 * A batch of messages that are sent together: `sender.batch` makes it, and `sender.sendBatch` of the same sender sends it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Batch<in M> {
  /** The entity's path. */
  readonly entity: string
  /** The most bytes that it takes. */
  readonly maxSize: number
  /** The bytes that it would be sent as now: those of its messages, and of the envelope where they are more than one. */
  readonly size: number
  /** How many messages it has. */
  readonly count: number
  /**
   * Encodes a message and adds it; gives false where it does not fit, so that the batch is to be sent before it: its bytes
   * would be more than `maxSize`, or its session or partition key is not that of the messages before it (Service Bus
   * protocol guide, batches). The batch stays as it was then. What is changed in the message later is not sent. The message
   * belongs to the trace of the caller's span.
   *
   * Fails with MessageSizeExceededError where the message is larger than `maxSize` by itself, with MessageEncodeError
   * where it cannot be encoded, and with InvalidOptionError once the batch was sent, or is being sent.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusMessage, ServiceBusSender } from "effect-service-bus"
   *
   * export const fill = (batch: ServiceBusSender.Batch<ServiceBusMessage.OutgoingMessage<string>>, bodies: Array<string>) =>
   *   Effect.gen(function*() {
   *     while (bodies.length > 0 && (yield* batch.tryAdd({ body: bodies[0]! }))) bodies.shift()
   *     return batch.count
   *   })
   * ```
   */
  readonly tryAdd: (message: M) => Effect.Effect<boolean, BatchError>
}

/**
 * How a batch is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchOptions {
  /**
   * The most bytes of the batch, 1 or more; what the link allows by default, which is also the most: the service's
   * `com.microsoft:max-message-batch-size`, or the smaller of `maxMessageSize` and 1 MiB where it gives none.
   */
  readonly maxSize?: number | undefined
}

/**
 * A message that a sink could not send, and never can.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rejected<out M> {
  /** Its place in the stream, from 0. */
  readonly index: number
  readonly message: M
  readonly error: MessageEncodeError | MessageSizeExceededError
}

/**
 * What a sink did, once its stream has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface SinkReport<out M> {
  /** How many messages the broker has accepted. */
  readonly sent: number
  /** In the order of the stream; empty where `onRejected` took them. */
  readonly rejected: ReadonlyArray<Rejected<M>>
}

/**
 * How a sink batches.
 *
 * @category models
 * @since 0.1.0
 */
export interface SinkOptions<in M, out E = never, out R = never> {
  /**
   * How long a batch waits for more messages after its first one; it leaves earlier when it is full or too much waits. 0
   * by default: what is there goes at once, and what comes while all places are taken waits together.
   */
  readonly linger?: Duration.Input | undefined
  /** How many batches are in flight at most, each of another key: 1 to 100, 4 by default. */
  readonly concurrency?: number | undefined
  /** How many messages wait at most, beside those in flight; 1 or more, 5000 by default. */
  readonly maxWaiting?: number | undefined
  /**
   * Takes a message that cannot be sent, for streams that never end; the stream waits for it, what came before does not.
   */
  readonly onRejected?: ((rejected: Rejected<M>) => Effect.Effect<unknown, E, R>) | undefined
}

/**
 * Attaches a sender to a queue or topic, given as a contract or as a plain name (a body of bytes).
 *
 * Fails with MessagingEntityNotFoundError where the entity is missing, with ServiceBusAuthorizationError where the
 * credential lacks the Send right, with InvalidOptionError where an option is out of range, and with the errors of
 * connecting.
 *
 * It attaches its link at once; the link is closed with its scope.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
 *
 * const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 *
 * export const program = Effect.gen(function*() {
 *   const sender = yield* ServiceBusSender.make(Letters)
 *   yield* sender.send({ body: "hello", subject: "greeting" })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  <M extends { readonly body: unknown }>(
    entity:
      & (ServiceBusEntity.Sendable<unknown, never> | ServiceBusEntity.SessionSendable<unknown, never>)
      & ServiceBusEntity.WithDeclaredProperties<ServiceBusProperties.Fields, M>,
    options?: Options
  ): Effect.Effect<ServiceBusSender<M["body"], M>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope>
  <A, In>(
    entity: ServiceBusEntity.SessionSendable<A, In>,
    options?: Options
  ): Effect.Effect<
    ServiceBusSender<In, SessionMessage<In>>,
    AttachError,
    ServiceBusClient.ServiceBusClient | Scope.Scope
  >
  <A, In>(
    entity: ServiceBusEntity.Sendable<A, In>,
    options?: Options
  ): Effect.Effect<ServiceBusSender<In>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope>
  <
    E extends
      | string
      | ServiceBusEntity.Sendable<unknown, never>
      | ServiceBusEntity.SessionSendable<unknown, never>
      | ServiceBusEntity.NotSendable
  >(
    entity: E,
    options?: Options
  ): Effect.Effect<
    ServiceBusSender<ServiceBusEntity.InputOf<E>, ServiceBusEntity.MessageTo<E>>,
    AttachError,
    ServiceBusClient.ServiceBusClient | Scope.Scope
  >
} = (
  entity: string | ServiceBusEntity.Any,
  options?: Options
): Effect.Effect<ServiceBusSender<unknown>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope> => {
  const contract = ServiceBusEntity.contractOf(entity)
  return Effect.flatMap(
    ServiceBusClient.namespaceFor(contract),
    (namespace) => SenderState.make(contract, namespace, options)
  )
}
