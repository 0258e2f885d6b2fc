/**
 * Sending to a queue or topic: a sender is a link, attached when it is made and closed with its scope.
 *
 * At-least-once: a send succeeds when the broker has accepted the message. Where the link is lost before the broker
 * answers, the send fails with OperationTimeoutError and `outcome: "unknown"`; sending again under the same message id
 * is safe on an entity with duplicate detection.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Writer } from "./internal/amqp/dataPlane/Writer.ts"
import * as Sender from "./internal/amqp/Sender.ts"
import * as messageCodec from "./internal/messageCodec.ts"
import type * as ServiceBusBody from "./ServiceBusBody.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import { type AttachError, MessageEncodeError, MessageSizeExceededError, type SendError } from "./ServiceBusError.ts"
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
  const { session, timeout } = yield* ServiceBusClient.session(entity)
  const link = yield* Sender.make(session, { address: entity.path, entity: entity.path, timeout })
  return new Sending(entity, link) as ServiceBusSender<unknown>
})

class Sending implements ServiceBusSender<unknown> {
  readonly entity: string
  readonly maxMessageSize: number
  private readonly contract: ServiceBusEntity.Any
  private readonly link: Sender.Sender
  private readonly writer = new Writer()
  private readonly needsSession: boolean

  constructor(contract: ServiceBusEntity.Any, link: Sender.Sender) {
    this.entity = contract.path
    this.maxMessageSize = link.maxMessageSize
    this.contract = contract
    this.link = link
    this.needsSession = contract._tag === "SessionQueue" || contract._tag === "SessionTopic"
  }

  send(message: OutgoingMessage<unknown>): Effect.Effect<string, SendError> {
    return Effect.suspend(() => {
      const encoded = this.encode(message)
      return encoded instanceof Encoded
        ? Effect.as(this.link.send([encoded.payload], [0]), encoded.id)
        : Effect.fail(encoded)
    })
  }

  sendAll(messages: Iterable<OutgoingMessage<unknown>>): Effect.Effect<ReadonlyArray<string>, SendError> {
    return Effect.suspend(() => {
      const ids: Array<string> = []
      const all: Array<readonly [OutgoingMessage<unknown>, Encoded]> = []
      for (const message of messages) {
        const encoded = this.encode(message)
        if (!(encoded instanceof Encoded)) return Effect.fail(encoded)
        ids.push(encoded.id)
        all.push([message, encoded])
      }
      const { formats, payloads } = this.batches(all)
      return Effect.as(this.link.send(payloads, formats), ids)
    })
  }

  private encode(message: OutgoingMessage<unknown>): Encoded | MessageEncodeError | MessageSizeExceededError {
    if (typeof message !== "object" || message === null) {
      return new MessageEncodeError({
        entity: this.entity,
        part: "message",
        description: "expected an object with a body"
      })
    }
    if (this.needsSession && typeof message.sessionId !== "string") {
      return new MessageEncodeError({
        entity: this.entity,
        part: "sessionId",
        description: "a message to an entity with sessions must name one"
      })
    }
    const { body } = this.contract
    const sections = (body.encode as (value: unknown) => Result.Result<ServiceBusBody.Sections, string>)(message.body)
    if (Result.isFailure(sections)) {
      return new MessageEncodeError({ entity: this.entity, part: "body", description: sections.failure })
    }
    const { writer } = this
    let id: string
    try {
      id = messageCodec.encode(writer, message, sections.success, body.contentType)
    } catch (error) {
      writer.reset()
      if (!(error instanceof MessageEncodeError)) throw error
      const { description, part } = error
      return new MessageEncodeError({
        entity: this.entity,
        part,
        ...(description === undefined ? {} : { description })
      })
    }
    if (writer.length > this.maxMessageSize) {
      const size = writer.length
      writer.reset()
      return new MessageSizeExceededError({ entity: this.entity, operation: "send", size, limit: this.maxMessageSize })
    }
    return new Encoded(id, writer.take())
  }

  private batches(messages: ReadonlyArray<readonly [OutgoingMessage<unknown>, Encoded]>): {
    readonly payloads: ReadonlyArray<Uint8Array>
    readonly formats: ReadonlyArray<number>
  } {
    const limit = Math.min(this.maxMessageSize, maxBatchSize)
    const payloads: Array<Uint8Array> = []
    const formats: Array<number> = []
    for (let start = 0; start < messages.length;) {
      const [first, alone] = messages[start]!
      const key = keyOf(first)
      let size = messageCodec.envelopeSize(first) + messageCodec.sizeInBatch(alone.payload.length)
      let end = start + 1
      for (; end < messages.length && end - start < maxBatchCount; end++) {
        const [message, { payload }] = messages[end]!
        size += messageCodec.sizeInBatch(payload.length)
        if (size > limit || keyOf(message) !== key) break
      }
      if (end === start + 1) {
        payloads.push(alone.payload)
        formats.push(0)
      } else {
        messageCodec.encodeBatch(this.writer, first, messages.slice(start, end).map(([, { payload }]) => payload))
        payloads.push(this.writer.take())
        formats.push(messageCodec.batchFormat)
      }
      start = end
    }
    return { payloads, formats }
  }
}

class Encoded {
  readonly id: string
  readonly payload: Uint8Array
  constructor(id: string, payload: Uint8Array) {
    this.id = id
    this.payload = payload
  }
}

/** What the messages of one batch must have in common (Service Bus protocol guide, batches). */
const keyOf = (message: OutgoingMessage<unknown>): string =>
  `${message.sessionId ?? ""}\u0000${message.partitionKey ?? ""}\u0000${message.viaPartitionKey ?? ""}`
