/**
 * Batches of encoded messages, filled up to the limits of the link and of Service Bus, and the encoder for each kind of
 * message.
 *
 * A batch is accepted or refused as a whole, and its messages must share their session and partition keys (Service Bus protocol
 * guide, batches). A message that does not encode leaves the batch that it was to join as it was.
 */
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import * as AmqpValue from "../../AmqpValue.ts"
import type * as ServiceBusBody from "../../ServiceBusBody.ts"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { MessageEncodeError, MessageSizeExceededError } from "../../ServiceBusError.ts"
import type { OutgoingMessage } from "../../ServiceBusMessage.ts"
import type { Writer } from "../amqp/codec/Writer.ts"
import * as AnnotatedMessage from "./AnnotatedMessage.ts"
import * as MessageEncoder from "./MessageEncoder.ts"
import type * as TimeToLive from "./TimeToLive.ts"

/** What a link takes, in bytes. */
export interface Limits {
  readonly maxMessageSize: number
  readonly maxBatchSize: number
}

/** A key that is no string is refused later, where the message is encoded. */
const text = (value: string | undefined): string => typeof value === "string" ? value : ""

/**
 * What the messages of one batch must have in common. The id of a session is its partition key as well, and one that is given
 * beside it is the same (Service Bus documentation, partitioned queues and topics).
 */
export const batchKeyOf = (route: MessageEncoder.Route | undefined): string => {
  const session = text(route?.sessionId)
  return `${session}\u0000${text(route?.partitionKey) || session}\u0000${text(route?.viaPartitionKey)}`
}

export type Refusal = MessageEncodeError | MessageSizeExceededError

/** How messages of one kind are written for one entity. */
export interface Encoder<in M> {
  readonly entity: string
  readonly routeOf: (message: M) => MessageEncoder.Route | undefined
  /**
   * Writes a message and gives its id. Throws a MessageEncodeError, after which something may have been written.
   * `name` is the id of a message that has none, and `traceparent` the trace that it belongs to, unless it names one.
   */
  readonly write: (writer: Writer, message: M, name?: string, traceparent?: string) => string
  /** The id of the conversation that a message belongs to, as text. */
  readonly conversationOf: (message: M) => string | undefined
}

const needsSession = (entity: ServiceBusEntity.Any): boolean =>
  entity._tag === "SessionQueue" || entity._tag === "SessionTopic"

const sessionMissing = "a message to an entity with sessions must name one"

/** Messages of a contract: its codec writes their bodies. */
export const messageEncoder = (
  entity: ServiceBusEntity.Any,
  now: TimeToLive.Now
): Encoder<OutgoingMessage<unknown>> => {
  const { body } = entity
  const encodeBody = body.encode as (value: unknown) => Result.Result<ServiceBusBody.Sections, string>
  const withSession = needsSession(entity)
  const declared = ServiceBusEntity.propertiesOf(entity)
  return {
    entity: entity.path,
    routeOf: (message) => message,
    write: (writer, message, name, traceparent) => {
      if (typeof message !== "object" || message === null) {
        return MessageEncoder.refuse("message", "expected an object with a body")
      }
      if (withSession && typeof message.sessionId !== "string") {
        return MessageEncoder.refuse("sessionId", sessionMissing)
      }
      const sections = encodeBody(message.body)
      if (Result.isFailure(sections)) return MessageEncoder.refuse("body", sections.failure)
      const properties = declared === undefined
        ? undefined
        : MessageEncoder.declaredProperties(declared, message.applicationProperties)
      return MessageEncoder.encode(
        writer,
        message,
        sections.success,
        body.contentType,
        now,
        traceparent,
        name,
        properties
      )
    },
    conversationOf: ({ correlationId }) => correlationId === undefined ? undefined : AmqpValue.toText(correlationId)
  }
}

/** Annotated messages, whose bodies are AMQP sections already. */
export const annotatedEncoder = (
  entity: ServiceBusEntity.Any,
  now: TimeToLive.Now
): Encoder<AnnotatedMessage.AmqpAnnotatedMessage> => {
  const withSession = needsSession(entity)
  return {
    entity: entity.path,
    routeOf: AnnotatedMessage.routeOf,
    write: (writer, message, name) => {
      if (typeof message !== "object" || message === null) {
        return MessageEncoder.refuse("message", "expected an object with a body")
      }
      if (withSession && typeof message.properties?.groupId !== "string") {
        return MessageEncoder.refuse("sessionId", sessionMissing)
      }
      return AnnotatedMessage.encodeToSend(writer, message, now, name)
    },
    conversationOf: ({ properties }) =>
      properties?.correlationId === undefined ? undefined : AmqpValue.toText(properties.correlationId)
  }
}

/** Takes back what was written of a refused message, and adds the entity to the refusal. */
const takeBack = (entity: string, writer: Writer, at: number, error: unknown): MessageEncodeError => {
  writer.truncate(at)
  return new MessageEncodeError({ entity, ...MessageEncoder.problemOf("message", error) })
}

/** Writes one message at the writer's place and gives its id; a refusal leaves the writer where it was. */
export const encodeMessage = <M>(
  encoder: Encoder<M>,
  writer: Writer,
  message: M,
  name?: string
): string | MessageEncodeError => {
  const at = writer.length
  try {
    return encoder.write(writer, message, name)
  } catch (error) {
    return takeBack(encoder.entity, writer, at, error)
  }
}

export const tooLarge = (entity: string, size: number, limit: number): MessageSizeExceededError =>
  new MessageSizeExceededError({ entity, operation: "send", size, limit })

/** Refuses a message whose fields cannot even be read. */
export const unreadable = <M>({ entity }: Encoder<M>, error: unknown): MessageEncodeError =>
  new MessageEncodeError({ entity, ...MessageEncoder.problemOf("message", error) })

/** What goes as one delivery: a batch, or a message that is alone. */
export interface Batch {
  readonly payload: Uint8Array
  readonly format: number
  readonly count: number
  /** The bytes that the batch took while it was filled; the payload of a single message has no envelope. */
  readonly size: number
}

/** Fills batches in a writer, which is its own until the batch is closed. */
export class BatchBuilder<in M> {
  /** Closed batches, in order; their sender takes them out. */
  readonly closed: Array<Batch> = []
  /** How many messages the open batch has. */
  count = 0
  private key = ""
  /** Where the first message of the open batch stands. */
  private start = 0
  private readonly encoder: Encoder<M>
  private readonly writer: Writer

  constructor(encoder: Encoder<M>, writer: Writer) {
    this.encoder = encoder
    this.writer = writer
  }

  /** The bytes of the open batch. */
  get size(): number {
    return this.writer.length
  }

  /** The bytes of what the open batch would be sent as. */
  get payloadSize(): number {
    return this.count === 1 ? this.writer.length - this.start : this.writer.length
  }

  /**
   * Adds a message and gives its id. A batch that it does not fit in, by its key or its size, is closed before it. `key` is
   * the message's own, where the caller has it.
   */
  add(message: M, limits: Limits, key?: string): string | Refusal {
    // Where batches are closed, it fits in the next one.
    return this.append(message, limits, key, true)!
  }

  /** The same, without another batch: undefined where it does not fit in the open one, which stays as it is. */
  tryAdd(message: M, limits: Limits): string | Refusal | undefined {
    return this.append(message, limits, undefined, false)
  }

  private append(
    message: M,
    { maxBatchSize, maxMessageSize }: Limits,
    key: string | undefined,
    closes: boolean
  ): string | Refusal | undefined {
    const { encoder, writer } = this
    let route: MessageEncoder.Route | undefined
    let next: string
    let isNamed: boolean
    try {
      route = encoder.routeOf(message)
      next = key ?? batchKeyOf(route)
      isNamed = route?.messageId !== undefined
    } catch (error) {
      return unreadable(encoder, error)
    }
    const isOther = this.count > 0 && next !== this.key
    if (isOther && closes) this.close()
    const before = writer.length
    // The envelope has it too.
    const name = this.count === 0 && !isNamed ? randomUUID() : undefined
    if (this.count === 0) {
      try {
        MessageEncoder.beginBatch(writer, route ?? {}, name)
      } catch (error) {
        return takeBack(encoder.entity, writer, before, error)
      }
      this.key = next
    }
    const at = MessageEncoder.beginSection(writer)
    const id = encodeMessage(encoder, writer, message, name)
    if (typeof id !== "string") {
      writer.truncate(before)
      return id
    }
    const size = MessageEncoder.endSection(writer, at)
    if (size > maxMessageSize) {
      writer.truncate(before)
      return tooLarge(encoder.entity, size, maxMessageSize)
    }
    if (this.count === 0) this.start = at + MessageEncoder.sectionSize
    else if (!closes && (isOther || writer.length > maxBatchSize)) {
      writer.truncate(before)
      return undefined
    } else if (writer.length > maxBatchSize) {
      // One too many: it opens the next batch.
      const moved = Buffer.from(writer.since(at))
      writer.truncate(at)
      this.close()
      MessageEncoder.beginBatch(writer, route!, id)
      this.start = writer.length + MessageEncoder.sectionSize
      writer.raw(moved)
    }
    this.count++
    return id
  }

  /** Closes the open batch, where there is one. */
  close(): void {
    const { count } = this
    if (count === 0) return
    this.count = 0
    const bytes = this.writer.take()
    // One that is alone goes as it is.
    this.closed.push(
      count === 1
        ? { payload: bytes.subarray(this.start), format: 0, count, size: bytes.length }
        : { payload: bytes, format: MessageEncoder.batchFormat, count, size: bytes.length }
    )
  }
}
