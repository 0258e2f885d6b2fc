/**
 * Sending to a queue or topic: a sender is a link, attached when it is made and closed with its scope.
 *
 * A link that is lost is attached again by the next send. At-least-once: a send succeeds when the broker has accepted the
 * message, and is tried again under the same message id, as the client's `retry` says, while its error can pass. A
 * message whose answer was lost may so be enqueued twice, except on an entity with duplicate detection; with
 * `maxRetries: 0` the send fails instead, with OperationTimeoutError and `outcome: "unknown"`.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import type * as Tracer from "effect/Tracer"
import type { AmqpAnnotatedMessage } from "./AmqpAnnotatedMessage.ts"
import { Writer } from "./internal/amqp/codec/Writer.ts"
import * as Sender from "./internal/amqp/SenderLink.ts"
import { bind } from "./internal/bound.ts"
import * as management from "./internal/management/EntityManagement.ts"
import type { RequestResponse } from "./internal/management/RequestResponseLink.ts"
import * as outgoing from "./internal/message/MessageBatch.ts"
import type { Namespace } from "./internal/namespace/Namespace.ts"
import * as supervisor from "./internal/namespace/RecoveringLink.ts"
import {
  isCount,
  isSequenceNumber,
  isTime,
  outOfRange,
  readList,
  readOptions,
  readValue,
  toMillis
} from "./internal/options.ts"
import * as sink from "./internal/sender/SenderSink.ts"
import * as senders from "./internal/sender/SenderState.ts"
import { callerOf, errorTypeOf, type Hooks, Telemetry } from "./internal/telemetry/Telemetry.ts"
import * as traceContext from "./internal/telemetry/TraceContext.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type AttachError,
  type CancelScheduledError,
  InvalidOptionError,
  type MessageEncodeError,
  type MessageSizeExceededError,
  type ScheduleError,
  type SendError
} from "./ServiceBusError.ts"
import type { OutgoingMessage, SessionMessage } from "./ServiceBusMessage.ts"

/**
 * A sender of one entity. `M` is the message it takes: one with a session id where the entity has sessions.
 *
 * @category models
 */
export interface ServiceBusSender<in In, in M = OutgoingMessage<In>> {
  /** The entity's path. */
  readonly entity: string
  /** The most bytes of one encoded message that the link takes. */
  readonly maxMessageSize: number
  /**
   * Sends one message and gives its message id.
   *
   * Fails with MessageEncodeError or MessageSizeExceededError before anything is on the wire; with
   * ServiceBusQuotaExceededError where the entity is full; with ServiceBusServerBusyError where the service throttles;
   * with OperationTimeoutError where no answer came within the client's operationTimeout. Interrupting it takes the
   * message back if it has not left yet; otherwise it may still be enqueued.
   */
  readonly send: (message: M) => Effect.Effect<string, SendError>
  /**
   * Sends many messages in as few batches as the link's limit allows, in order, and gives their ids. A batch is accepted
   * or refused as a whole; messages with different sessions or partition keys go in different batches.
   *
   * All messages are encoded before the first one leaves. It fails with the first error once every batch has its answer:
   * batches beside a refused one may have been accepted.
   */
  readonly sendAll: (messages: Iterable<M>) => Effect.Effect<ReadonlyArray<string>, SendError>
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
   */
  readonly schedule: (message: M, at: DateTime.Utc | Duration.Input) => Effect.Effect<bigint, ScheduleError>
  /** Schedules many messages, all of them or none, and gives their sequence numbers in order. */
  readonly scheduleAll: (
    messages: Iterable<M>,
    at: DateTime.Utc | Duration.Input
  ) => Effect.Effect<ReadonlyArray<bigint>, ScheduleError>
  /**
   * Cancels scheduled messages by their sequence numbers, all of them or none. Fails with MessageNotFoundError where one
   * is enqueued already, cancelled, or never was, and with OperationTimeoutError (`outcome: "unknown"`) where an answer was
   * lost and nothing is left to cancel.
   */
  readonly cancelScheduled: (sequenceNumbers: Iterable<bigint>) => Effect.Effect<void, CancelScheduledError>
}

/**
 * A message that a sink could not send, and never can.
 *
 * @category models
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
 * credential lacks the Send right, and with the errors of connecting.
 *
 * @category constructors
 */
export const make: {
  (
    entity: string
  ): Effect.Effect<ServiceBusSender<Uint8Array>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope>
  <A, In>(
    entity: ServiceBusEntity.SessionSendable<A, In>
  ): Effect.Effect<
    ServiceBusSender<In, SessionMessage<In>>,
    AttachError,
    ServiceBusClient.ServiceBusClient | Scope.Scope
  >
  <A, In>(
    entity: ServiceBusEntity.Sendable<A, In>
  ): Effect.Effect<ServiceBusSender<In>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope>
} = (entity: string | ServiceBusEntity.Any): Effect.Effect<any, AttachError, any> =>
  attach(ServiceBusEntity.contractOf(entity))

const attach = Effect.fnUntraced(function*(entity: ServiceBusEntity.Any) {
  const namespace = yield* ServiceBusClient.namespaceFor(entity)
  const open = Effect.flatMap(
    namespace.session(entity.path),
    (session) => Sender.make(session, { entity: entity.path, timeout: namespace.options.timeout })
  )
  const telemetry = new Telemetry(entity, namespace.options.endpoint, yield* Effect.context<never>())
  const link = yield* namespace.retrying.look(supervisor.make({
    open: () => Effect.tap(open, () => Effect.sync(() => telemetry.attached("sender"))),
    isLost: (sender) => sender.link.dead() !== undefined
  }))
  return new Sending(entity, link, namespace, yield* Clock.Clock, telemetry) as ServiceBusSender<unknown>
})

class Sending implements ServiceBusSender<unknown> {
  readonly entity: string
  private readonly encoder: outgoing.Encoder<OutgoingMessage<unknown>>
  private readonly annotated: outgoing.Encoder<AmqpAnnotatedMessage>
  private readonly link: supervisor.Supervised<Sender.Sender, AttachError>
  private readonly namespace: Namespace
  private readonly clock: Clock.Clock
  private readonly telemetry: Telemetry
  private readonly writer = new Writer()
  private readonly sentOne: Hooks<string> = {
    onSuccess: () => this.telemetry.sent("send", 1),
    // What was refused here was not sent.
    onFailure: (error) => {
      if (!refusals.has(error)) this.telemetry.sent("send", 1, error)
    }
  }

  constructor(
    contract: ServiceBusEntity.Any,
    link: supervisor.Supervised<Sender.Sender, AttachError>,
    namespace: Namespace,
    clock: Clock.Clock,
    telemetry: Telemetry
  ) {
    this.entity = contract.path
    this.telemetry = telemetry
    this.encoder = outgoing.messages(contract, clock)
    this.annotated = outgoing.annotated(contract, clock)
    this.link = link
    this.namespace = namespace
    this.clock = clock
    bind(this)
    senders.register(this, { sink: (onRefused) => this.sinking({}, onRefused) })
  }

  get maxMessageSize(): number {
    return this.link.current().maxMessageSize
  }

  /** On the link of now, opened again where it was lost; what is tried again keeps its message ids. */
  private transfer(payload: Uint8Array, format: number): Effect.Effect<void, SendError> {
    const { link, namespace } = this
    return namespace.retrying.run(Effect.flatMap(link.get, (sender) => sender.send([payload], [format])))
  }

  private transferAll(batches: ReadonlyArray<outgoing.Batch>): Effect.Effect<void, SendError> {
    const { link, namespace, telemetry } = this
    // What was accepted is not sent again.
    const accepted = new Set<outgoing.Batch>()
    const unsentOf = () => accepted.size === 0 ? batches : batches.filter((batch) => !accepted.has(batch))
    return Effect.onExit(
      namespace.retrying.run(Effect.flatMap(link.get, (sender) => {
        const tried = unsentOf()
        return sender.send(tried.map(({ payload }) => payload), tried.map(({ format }) => format), (index) => {
          accepted.add(tried[index]!)
        })
      })),
      (exit) => {
        const unsent = Exit.isSuccess(exit) ? 0 : countOf(unsentOf())
        telemetry.sent("send", countOf(batches) - unsent)
        telemetry.sent("send", unsent, errorTypeOf(exit))
        return Effect.void
      }
    )
  }

  send(message: OutgoingMessage<unknown>): Effect.Effect<string, SendError> {
    const { encoder, telemetry } = this
    return telemetry.run("send", (span, own) => this.sendOne(traced(encoder, span), message, own), this.sentOne)
  }

  sendAll(messages: Iterable<OutgoingMessage<unknown>>): Effect.Effect<ReadonlyArray<string>, SendError> {
    const { encoder, telemetry } = this
    return telemetry.run("send", (span, own) => this.sendMany(traced(encoder, span), messages, own))
  }

  sendAnnotated(messages: AmqpAnnotatedMessage | Iterable<AmqpAnnotatedMessage>): Effect.Effect<any, SendError> {
    const { annotated, telemetry } = this
    // As they are: no trace is written to them.
    const many = isIterable(messages)
    return Result.isFailure(many)
      ? Effect.fail(many.failure)
      : many.success
      ? telemetry.run(
        "send",
        (_, own) => this.sendMany(annotated, messages as Iterable<AmqpAnnotatedMessage>, own),
        untraced
      )
      : telemetry.run(
        "send",
        (_, own) => this.sendOne(annotated, messages as AmqpAnnotatedMessage, own),
        { ...this.sentOne, ...untraced }
      )
  }

  sink<A extends OutgoingMessage<unknown>, E, R>(
    options?: SinkOptions<A, E, R>
  ): Sink.Sink<SinkReport<A>, A, never, SendError | E, R> {
    const read = readOptions(this.entity, options)
    return Result.isFailure(read) ? Sink.fail(read.failure) : this.sinking(read.success, undefined)
  }

  private sinking<A extends OutgoingMessage<unknown>, E, R>(
    options: SinkOptions<A, E, R>,
    onRefused: ((indices: ReadonlyArray<number>, error: unknown) => boolean) | undefined
  ): Sink.Sink<SinkReport<A>, A, never, SendError | E, R> {
    const { concurrency = 4, maxWaiting = 5000, onRejected } = options
    const linger = toMillis(options.linger ?? 0)
    const problem = !(linger >= 0 && Number.isFinite(linger))
      ? outOfRange(this.entity, "linger", "a duration of 0 or more that ends")
      : !(isCount(concurrency) && concurrency <= 100)
      ? outOfRange(this.entity, "concurrency", "an integer from 1 to 100")
      : !(Number.isSafeInteger(maxWaiting) && maxWaiting >= 1)
      ? outOfRange(this.entity, "maxWaiting", "an integer of 1 or more")
      : onRejected !== undefined && typeof onRejected !== "function"
      ? outOfRange(this.entity, "onRejected", "a function")
      : undefined
    if (problem !== undefined) return Sink.fail(problem)
    const { encoder, telemetry } = this
    return Sink.unwrap(Effect.map(caller, (span) =>
      sink.make({
        // The messages of a batch belong to the trace of whoever runs the sink.
        encoder: traced(encoder, span),
        limits: this.link.current,
        send: ({ count, format, payload }) =>
          telemetry.run("send", () => this.transfer(payload, format), {
            ...untraced,
            attributes: () => ({ "messaging.batch.message_count": count }),
            onSuccess: () => telemetry.sent("send", count),
            onFailure: (error) => telemetry.sent("send", count, error)
          })
      }, {
        linger,
        concurrency,
        maxWaiting,
        maxWaitingBytes: concurrency * this.link.current().maxBatchSize,
        onRejected,
        onRefused
      })))
  }

  private sendOne<M>(
    encoder: outgoing.Encoder<M>,
    message: M,
    own: Tracer.Span | undefined
  ): Effect.Effect<string, SendError> {
    return Effect.suspend(() => {
      const { maxMessageSize, writer } = this
      writer.reset()
      const id = outgoing.write(encoder, writer, message)
      if (typeof id !== "string") return Effect.fail(id)
      if (own !== undefined) {
        own.attribute("messaging.message.id", id)
        const conversation = encoder.conversationOf(message)
        if (conversation !== undefined) own.attribute("messaging.message.conversation_id", conversation)
      }
      const size = writer.length
      if (size <= maxMessageSize) return Effect.as(this.transfer(writer.take(), 0), id)
      writer.reset()
      return Effect.fail(outgoing.tooLarge(this.entity, size, maxMessageSize))
    })
  }

  private sendMany<M>(
    encoder: outgoing.Encoder<M>,
    messages: Iterable<M>,
    own: Tracer.Span | undefined
  ): Effect.Effect<ReadonlyArray<string>, SendError> {
    return Effect.suspend(() => {
      const all = readList(this.entity, "messages", messages)
      if (Result.isFailure(all)) return Effect.fail(all.failure)
      this.writer.reset()
      const packed = this.pack(encoder, all.success)
      if (!("batches" in packed)) return Effect.fail(packed)
      const { batches, ids } = packed
      if (own !== undefined) counted(own, ids)
      return Effect.as(this.transferAll(batches), ids)
    })
  }

  schedule(
    message: OutgoingMessage<unknown>,
    at: DateTime.Utc | Duration.Input
  ): Effect.Effect<bigint, ScheduleError> {
    return Effect.map(this.scheduling([message], at), (numbers) => numbers[0]!)
  }

  scheduleAll(
    messages: Iterable<OutgoingMessage<unknown>>,
    at: DateTime.Utc | Duration.Input
  ): Effect.Effect<ReadonlyArray<bigint>, ScheduleError> {
    return this.scheduling(messages, at)
  }

  private scheduling(
    messages: Iterable<OutgoingMessage<unknown>>,
    at: DateTime.Utc | Duration.Input
  ): Effect.Effect<ReadonlyArray<bigint>, ScheduleError> {
    const { encoder, telemetry } = this
    return telemetry.run("schedule", (span, own) => this.scheduleMany(traced(encoder, span), messages, at, own))
  }

  private scheduleMany(
    encoder: outgoing.Encoder<OutgoingMessage<unknown>>,
    messages: Iterable<OutgoingMessage<unknown>>,
    at: DateTime.Utc | Duration.Input,
    own: Tracer.Span | undefined
  ): Effect.Effect<ReadonlyArray<bigint>, ScheduleError> {
    return Effect.suspend(() => {
      const scheduledEnqueueTime = this.timeOf(at)
      if (scheduledEnqueueTime === undefined) {
        return Effect.fail(
          new InvalidOptionError({
            entity: this.entity,
            operation: "schedule",
            option: "at",
            expected: "a time, or a duration of 0 or more"
          })
        )
      }
      const all = readList(this.entity, "messages", messages)
      if (Result.isFailure(all)) return Effect.fail(all.failure)
      const encoded: Array<Parameters<typeof management.schedule>[1]["messages"][number]> = []
      this.writer.reset()
      for (const one of all.success) {
        const read = readValue(
          this.entity,
          "message",
          "a message whose fields can be read",
          () => typeof one === "object" && one !== null ? { ...one, scheduledEnqueueTime } : one
        )
        if (Result.isFailure(read)) return Effect.fail(read.failure)
        const message = read.success
        const id = outgoing.write(encoder, this.writer, message)
        if (typeof id !== "string") return Effect.fail(id)
        const size = this.writer.length
        if (size > this.maxMessageSize) {
          this.writer.reset()
          return Effect.fail(outgoing.tooLarge(this.entity, size, this.maxMessageSize))
        }
        const { partitionKey, sessionId, viaPartitionKey } = message
        encoded.push({ id, bytes: this.writer.take(), partitionKey, sessionId, viaPartitionKey })
      }
      if (own !== undefined) counted(own, encoded.map(({ id }) => id))
      if (encoded.length === 0) return Effect.succeed([])
      const { entity, telemetry } = this
      return Effect.onExit(
        this.managing((node, timeout) => management.schedule(node, { entity, messages: encoded, timeout })),
        (exit) => {
          telemetry.sent("schedule", encoded.length, errorTypeOf(exit))
          return Effect.void
        }
      )
    })
  }

  cancelScheduled(sequenceNumbers: Iterable<bigint>): Effect.Effect<void, CancelScheduledError> {
    return Effect.suspend(() => {
      const { entity } = this
      const all = readList(entity, "sequenceNumbers", sequenceNumbers)
      if (Result.isFailure(all)) return Effect.fail(all.failure)
      const numbers = all.success
      if (!numbers.every(isSequenceNumber)) {
        return Effect.fail(outOfRange(entity, "sequenceNumbers", "bigints of 0 or more"))
      }
      if (numbers.length === 0) return Effect.void
      return this.telemetry.run(
        "cancel_scheduled",
        () =>
          this.managing((node, timeout) =>
            management.cancelScheduled(node, { entity, sequenceNumbers: numbers, timeout })
          ),
        { attributes: () => ({ "messaging.batch.message_count": numbers.length }) }
      )
    })
  }

  /** A request to the entity's node, tried again as sends are. */
  private managing<A, E extends ScheduleError | CancelScheduledError>(
    request: (node: RequestResponse, timeout: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | AttachError> {
    const { namespace } = this
    return namespace.retrying.run(namespace.managing(this.entity, this.link.isOpen, request))
  }

  private timeOf(at: DateTime.Utc | Duration.Input): DateTime.Utc | undefined {
    if (isTime(at)) return DateTime.toUtc(at)
    const delay = toMillis(at)
    // No date is so far away.
    return delay >= 0 && delay <= 8e15
      ? DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe() + delay)
      : undefined
  }

  /** Encodes messages straight into as few batches as the limits allow. */
  private pack<M>(encoder: outgoing.Encoder<M>, messages: Iterable<M>): Packed | outgoing.Refusal {
    const { writer } = this
    const limits = this.link.current()
    const batcher = new outgoing.Batcher(encoder, writer)
    const ids: Array<string> = []
    for (const message of messages) {
      const id = batcher.add(message, limits)
      if (typeof id !== "string") {
        writer.reset()
        return id
      }
      ids.push(id)
    }
    batcher.close()
    return { ids, batches: batcher.closed }
  }
}

/** Whether many messages are given, or one. A Map is neither: its entries are no messages. */
const isIterable = (messages: unknown): Result.Result<boolean, InvalidOptionError> =>
  readValue(
    undefined,
    "messages",
    "a message, or an iterable of messages",
    () => typeof messages === "object" && messages !== null && Symbol.iterator in messages
  )

/** An encoder whose messages belong to the trace of a span. */
const traced = (
  encoder: outgoing.Encoder<OutgoingMessage<unknown>>,
  span: Tracer.AnySpan | undefined
): outgoing.Encoder<OutgoingMessage<unknown>> => {
  const traceparent = span && traceContext.traceparentOf(span)
  return traceparent === undefined
    ? encoder
    : { ...encoder, write: (writer, message, name) => encoder.write(writer, message, name, traceparent) }
}

/** The span of whoever asks. */
const caller = Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => Effect.succeed(callerOf(fiber)))

/** Of a span whose messages do not name it: they cannot be traced to it. */
const untraced = { kind: "client" } as const

/** The errors of messages that nobody tried to send. */
const refusals: ReadonlySet<string> = new Set(["InvalidOptionError", "MessageEncodeError", "MessageSizeExceededError"])

const counted = (span: Tracer.Span, ids: ReadonlyArray<string>): void => {
  span.attribute("messaging.batch.message_count", ids.length)
  if (ids.length === 1) span.attribute("messaging.message.id", ids[0])
}

const countOf = (batches: ReadonlyArray<outgoing.Batch>): number => batches.reduce((sum, { count }) => sum + count, 0)

/** Messages in batches. */
interface Packed {
  readonly ids: ReadonlyArray<string>
  readonly batches: ReadonlyArray<outgoing.Batch>
}
