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
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Writer } from "./internal/amqp/dataPlane/Writer.ts"
import * as Sender from "./internal/amqp/Sender.ts"
import { bind } from "./internal/bound.ts"
import { toMillis } from "./internal/duration.ts"
import { isSequenceNumber, outOfRange } from "./internal/limits.ts"
import * as management from "./internal/management.ts"
import * as messageCodec from "./internal/messageCodec.ts"
import type { Namespace } from "./internal/namespace.ts"
import type { RequestResponse } from "./internal/requestResponse.ts"
import { runRequest } from "./internal/retryPolicy.ts"
import * as supervisor from "./internal/supervisor.ts"
import type * as ServiceBusBody from "./ServiceBusBody.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type AttachError,
  type CancelScheduledError,
  InvalidOptionError,
  MessageEncodeError,
  MessageSizeExceededError,
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

/** The most messages in one batch (Service Bus quotas). */
const maxBatchCount = 4500

/** The most bytes of one batch, also where larger messages are allowed (Service Bus quotas). */
const maxBatchSize = 1024 * 1024

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
    (session) => Sender.make(session, { address: entity.path, entity: entity.path, timeout: namespace.options.timeout })
  )
  const link = yield* namespace.retrying.run(supervisor.make({
    open: () => open,
    isLost: (sender) => sender.link.dead() !== undefined
  }))
  return new Sending(entity, link, namespace, yield* Clock.Clock) as ServiceBusSender<unknown>
})

class Sending implements ServiceBusSender<unknown> {
  readonly entity: string
  private readonly contract: ServiceBusEntity.Any
  private readonly link: supervisor.Supervised<Sender.Sender, AttachError>
  private readonly namespace: Namespace
  private readonly clock: Clock.Clock
  private readonly writer = new Writer()
  private readonly needsSession: boolean

  constructor(
    contract: ServiceBusEntity.Any,
    link: supervisor.Supervised<Sender.Sender, AttachError>,
    namespace: Namespace,
    clock: Clock.Clock
  ) {
    this.entity = contract.path
    this.contract = contract
    this.link = link
    this.namespace = namespace
    this.clock = clock
    this.needsSession = contract._tag === "SessionQueue" || contract._tag === "SessionTopic"
    bind(this)
  }

  get maxMessageSize(): number {
    return this.link.current().maxMessageSize
  }

  /** On the link of now, opened again where it was lost; what is tried again keeps its message ids. */
  private transfer(
    payloads: ReadonlyArray<Uint8Array>,
    formats: ReadonlyArray<number>
  ): Effect.Effect<void, SendError> {
    const { link, namespace } = this
    if (payloads.length === 1) {
      return namespace.retrying.run(Effect.flatMap(link.get, (sender) => sender.send(payloads, formats)))
    }
    // What was accepted is not sent again.
    let left = payloads.map((_, index) => index)
    return namespace.retrying.run(Effect.flatMap(link.get, (sender) => {
      const tried = left
      return sender.send(
        tried.map((index) => payloads[index]!),
        tried.map((index) => formats[index]!),
        (accepted) => {
          left = left.filter((index) => index !== tried[accepted])
        }
      )
    }))
  }

  send(message: OutgoingMessage<unknown>): Effect.Effect<string, SendError> {
    return Effect.suspend(() => {
      const { maxMessageSize, writer } = this
      writer.reset()
      const id = this.encode(message)
      if (typeof id !== "string") return Effect.fail(id)
      if (writer.length > maxMessageSize) return Effect.fail(this.tooLarge(writer.length))
      return Effect.as(this.transfer([writer.take()], [0]), id)
    })
  }

  sendAll(messages: Iterable<OutgoingMessage<unknown>>): Effect.Effect<ReadonlyArray<string>, SendError> {
    return Effect.suspend(() => {
      this.writer.reset()
      const packed = this.pack(messages)
      return packed instanceof Packed
        ? Effect.as(this.transfer(packed.payloads, packed.formats), packed.ids)
        : Effect.fail(packed)
    })
  }

  schedule(
    message: OutgoingMessage<unknown>,
    at: DateTime.Utc | Duration.Input
  ): Effect.Effect<bigint, ScheduleError> {
    return Effect.map(this.scheduleAll([message], at), (numbers) => numbers[0]!)
  }

  scheduleAll(
    messages: Iterable<OutgoingMessage<unknown>>,
    at: DateTime.Utc | Duration.Input
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
      const encoded: Array<Parameters<typeof management.schedule>[1]["messages"][number]> = []
      this.writer.reset()
      for (const message of messages) {
        const id = this.encode(
          typeof message === "object" && message !== null ? { ...message, scheduledEnqueueTime } : message
        )
        if (typeof id !== "string") return Effect.fail(id)
        if (this.writer.length > this.maxMessageSize) return Effect.fail(this.tooLarge(this.writer.length))
        const { partitionKey, sessionId, viaPartitionKey } = message
        encoded.push({ id, bytes: this.writer.take(), partitionKey, sessionId, viaPartitionKey })
      }
      if (encoded.length === 0) return Effect.succeed([])
      const { entity } = this
      return this.managing((node, timeout) => management.schedule(node, { entity, messages: encoded, timeout }))
    })
  }

  cancelScheduled(sequenceNumbers: Iterable<bigint>): Effect.Effect<void, CancelScheduledError> {
    return Effect.suspend(() => {
      const numbers = [...sequenceNumbers]
      const { entity } = this
      if (!numbers.every(isSequenceNumber)) {
        return Effect.fail(outOfRange(entity, "sequenceNumbers", "bigints of 0 or more"))
      }
      if (numbers.length === 0) return Effect.void
      return this.managing((node, timeout) =>
        management.cancelScheduled(node, { entity, sequenceNumbers: numbers, timeout })
      )
    })
  }

  /** A request to the entity's node, tried again as sends are. */
  private managing<A, E extends ScheduleError | CancelScheduledError>(
    request: (node: RequestResponse, timeout: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | AttachError> {
    const { namespace } = this
    return runRequest(namespace.retrying, namespace.managing(this.entity, this.link.isOpen, request))
  }

  private timeOf(at: DateTime.Utc | Duration.Input): DateTime.Utc | undefined {
    if (DateTime.isDateTime(at)) return DateTime.toUtc(at)
    const delay = toMillis(at)
    return delay >= 0 && Number.isFinite(delay)
      ? DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe() + delay)
      : undefined
  }

  private tooLarge(size: number): MessageSizeExceededError {
    this.writer.reset()
    return new MessageSizeExceededError({ entity: this.entity, operation: "send", size, limit: this.maxMessageSize })
  }

  private refused(part: string, description: string | undefined): MessageEncodeError {
    this.writer.reset()
    return new MessageEncodeError({ entity: this.entity, part, ...(description === undefined ? {} : { description }) })
  }

  /** Encodes a message at the writer's place and gives its id. */
  private encode(message: OutgoingMessage<unknown>): string | MessageEncodeError {
    if (typeof message !== "object" || message === null) {
      return this.refused("message", "expected an object with a body")
    }
    if (this.needsSession && typeof message.sessionId !== "string") {
      return this.refused("sessionId", "a message to an entity with sessions must name one")
    }
    const { body } = this.contract
    const sections = (body.encode as (value: unknown) => Result.Result<ServiceBusBody.Sections, string>)(message.body)
    if (Result.isFailure(sections)) return this.refused("body", sections.failure)
    return this.writing(() => messageCodec.encode(this.writer, message, sections.success, body.contentType))
  }

  /** Runs what writes, whose refusals do not know the entity. */
  private writing<A>(write: () => A): A | MessageEncodeError {
    try {
      return write()
    } catch (error) {
      if (error instanceof MessageEncodeError) return this.refused(error.part, error.description)
      this.writer.reset()
      throw error
    }
  }

  /** Encodes messages straight into as few batches as the limits allow; one that is alone goes as it is. */
  private pack(messages: Iterable<OutgoingMessage<unknown>>): Packed | MessageEncodeError | MessageSizeExceededError {
    const { maxMessageSize, writer } = this
    const limit = Math.min(maxMessageSize, maxBatchSize)
    const packed = new Packed()
    let key = ""
    let count = 0
    /** Where the first message of the batch stands. */
    let start = 0
    const close = (): void => {
      if (count === 0) return
      const bytes = writer.take()
      packed.payloads.push(count === 1 ? bytes.subarray(start) : bytes)
      packed.formats.push(count === 1 ? 0 : messageCodec.batchFormat)
      count = 0
    }
    for (const message of messages) {
      const next = keyOf(message)
      if (count > 0 && (next !== key || count === maxBatchCount)) close()
      if (count === 0) {
        key = next
        const begun = this.writing(() => messageCodec.beginBatch(writer, message ?? {}))
        if (begun !== undefined) return begun
      }
      const at = messageCodec.beginSection(writer)
      const id = this.encode(message)
      if (typeof id !== "string") return id
      const size = messageCodec.endSection(writer, at)
      if (size > maxMessageSize) return this.tooLarge(size)
      if (count === 0) start = at + messageCodec.sectionSize
      else if (writer.length > limit) {
        // One too many: it opens the next batch.
        const moved = Buffer.from(writer.since(at))
        writer.truncate(at)
        close()
        messageCodec.beginBatch(writer, message)
        start = writer.length + messageCodec.sectionSize
        writer.raw(moved)
      }
      count++
      packed.ids.push(id)
    }
    close()
    return packed
  }
}

/** Encoded messages, in batches, with the format of each. */
class Packed {
  readonly ids: Array<string> = []
  readonly payloads: Array<Uint8Array> = []
  readonly formats: Array<number> = []
}

/** What the messages of one batch must have in common (Service Bus protocol guide, batches). */
const keyOf = (message: OutgoingMessage<unknown>): string =>
  `${message?.sessionId ?? ""}\u0000${message?.partitionKey ?? ""}\u0000${message?.viaPartitionKey ?? ""}`
