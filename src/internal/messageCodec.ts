/**
 * Between messages as data and the bytes of an AMQP message (AMQP 1.0 section 3.2): encoding with every check that can be
 * made before anything is on the wire, and received messages whose sections are decoded when they are first read.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { randomUUID } from "node:crypto"
import * as AmqpValue from "../AmqpValue.ts"
import type * as ServiceBusBody from "../ServiceBusBody.ts"
import { MessageEncodeError } from "../ServiceBusError.ts"
import type {
  DestructiveMessage,
  LockedMessage,
  LockToken,
  MessageState,
  OutgoingMessage,
  PeekedMessage,
  ReceivedMessage
} from "../ServiceBusMessage.ts"
import { canonical } from "./amqp/dataPlane/Reader.ts"
import { Sections } from "./amqp/dataPlane/Sections.ts"
import type { IncomingDelivery } from "./amqp/dataPlane/SessionPlane.ts"
import { EncodeProblem, type Writer } from "./amqp/dataPlane/Writer.ts"

/** The message format of a batch (Service Bus protocol guide): an envelope whose data sections are messages. */
export const batchFormat = 0x80013700

/** What the broker routes a message by. */
export type Route = Pick<OutgoingMessage<unknown>, "partitionKey" | "sessionId" | "viaPartitionKey">

const maxUint = 4294967295

/** A value of a message that cannot be encoded, and where it stands. */
export const refuse = (part: string, description: string): never => {
  throw new MessageEncodeError({ part, description })
}

export const at = <A>(part: string, f: () => A): A => {
  try {
    return f()
  } catch (error) {
    if (error instanceof EncodeProblem) return refuse(part, error.message)
    throw error
  }
}

export const limited = (part: string, value: string | undefined): string | undefined => {
  if (value === undefined) return undefined
  if (typeof value !== "string") return refuse(part, "it must be a string")
  if (value.length > 128) return refuse(part, `it has ${value.length} characters, at most 128 are allowed`)
  return value
}

export const text = (part: string, value: string | undefined): string | undefined =>
  value === undefined || typeof value === "string" ? value : refuse(part, "it must be a string")

/** The id that a message is sent under: its own, or a new one. */
export const idOf = (messageId: AmqpValue.MessageId | undefined): AmqpValue.MessageId => {
  if (messageId === undefined) return randomUUID()
  if (typeof messageId === "string" && messageId.length > 128) {
    return refuse("messageId", `it has ${messageId.length} characters, at most 128 are allowed`)
  }
  return messageId
}

export const writeMessageId = (writer: Writer, part: string, value: AmqpValue.MessageId | undefined): void => {
  if (value === undefined) return writer.null()
  if (typeof value === "string") return writer.string(value)
  if (typeof value === "bigint") return at(part, () => writer.value(AmqpValue.typed("ulong", value)))
  if (value instanceof Uint8Array) return writer.binary(value)
  if (AmqpValue.isTyped(value) && value.type === "uuid") return at(part, () => writer.value(value))
  return refuse(part, "it must be a string, a bigint, a Uint8Array or a uuid")
}

export const writeText = (writer: Writer, value: string | undefined): void =>
  value === undefined ? writer.null() : writer.string(value)

export const writeSymbol = (writer: Writer, part: string, value: string | undefined): void => {
  if (text(part, value) === undefined) return writer.null()
  at(part, () => writer.symbol(value!))
}

const time = (part: string, value: DateTime.Utc | undefined): DateTime.Utc | undefined =>
  value === undefined || DateTime.isDateTime(value) ? value : refuse(part, "it must be a DateTime")

export const writeTime = (writer: Writer, part: string, value: DateTime.Utc | undefined): void => {
  if (time(part, value) === undefined) return writer.null()
  at(part, () => writer.timestamp(DateTime.toEpochMillis(value!)))
}

/** Encodes a message and gives its id as text. Throws a MessageEncodeError; the writer is then to be reset. */
export const encode = (
  writer: Writer,
  message: OutgoingMessage<unknown>,
  body: ServiceBusBody.Sections,
  contentType: string | undefined
): string => {
  const id = idOf(message.messageId)
  writeHeader(writer, message)
  if (message.deliveryAnnotations !== undefined) {
    writeMap(writer, 0x71, "deliveryAnnotations", message.deliveryAnnotations)
  }
  writeAnnotations(writer, message)
  writeProperties(writer, message, id, contentType)
  if (message.applicationProperties !== undefined) writeApplicationProperties(writer, message.applicationProperties)
  writeBody(writer, body)
  if (message.footer !== undefined) writeMap(writer, 0x78, "footer", message.footer)
  return AmqpValue.toText(id)
}

const writeHeader = (writer: Writer, message: OutgoingMessage<unknown>): void => {
  const { durable, priority, timeToLive } = message
  if (durable === undefined && priority === undefined && timeToLive === undefined) return
  writer.descriptor(0x70)
  const list = writer.begin(0xd0)
  if (durable === undefined) writer.null()
  else writer.boolean(durable)
  if (priority === undefined) writer.null()
  else at("priority", () => writer.value(AmqpValue.typed("ubyte", priority)))
  if (timeToLive === undefined) return writer.end(list, 2)
  const duration = Duration.fromInput(timeToLive)
  if (duration._tag === "None") return refuse("timeToLive", "it is not a duration")
  const millis = Duration.toMillis(duration.value)
  if (!(millis >= 1)) return refuse("timeToLive", "it must be at least 1 millisecond")
  // More than 49 days do not fit the field; the entity's own time is the ceiling then.
  writer.uint(Math.min(Math.floor(millis), maxUint))
  writer.end(list, 3)
}

const writeAnnotations = (writer: Writer, message: OutgoingMessage<unknown>): void => {
  const partitionKey = limited("partitionKey", message.partitionKey)
  const viaPartitionKey = limited("viaPartitionKey", message.viaPartitionKey)
  const scheduledEnqueueTime = time("scheduledEnqueueTime", message.scheduledEnqueueTime)
  const { messageAnnotations, sessionId } = message
  if (partitionKey !== undefined && sessionId !== undefined && partitionKey !== sessionId) {
    refuse("partitionKey", "it must equal the session id where both are given")
  }
  if (
    partitionKey === undefined && viaPartitionKey === undefined && scheduledEnqueueTime === undefined &&
    messageAnnotations === undefined
  ) return
  const entries: Record<string, AmqpValue.AmqpValue> = { ...messageAnnotations }
  if (partitionKey !== undefined) entries["x-opt-partition-key"] = partitionKey
  if (viaPartitionKey !== undefined) entries["x-opt-via-partition-key"] = viaPartitionKey
  if (scheduledEnqueueTime !== undefined) entries["x-opt-scheduled-enqueue-time"] = scheduledEnqueueTime
  writeMap(writer, 0x72, "messageAnnotations", entries)
}

export const writeMap = (
  writer: Writer,
  code: number,
  part: string,
  entries: Readonly<Record<string, AmqpValue.AmqpValue>>
): void => {
  writer.descriptor(code)
  const map = writer.begin(0xd1)
  let count = 0
  for (const key of Object.keys(entries)) {
    if (entries[key] === undefined) continue
    at(`${part} "${key}"`, () => {
      writer.symbol(key)
      writer.value(entries[key])
    })
    count += 2
  }
  writer.end(map, count)
}

const writeProperties = (
  writer: Writer,
  message: OutgoingMessage<unknown>,
  id: AmqpValue.MessageId,
  contentType: string | undefined
): void => {
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  writeMessageId(writer, "messageId", id)
  // Most messages have an id and a content type: the nulls between and after are not written one by one.
  const { absoluteExpiryTime, correlationId, creationTime, groupSequence, userId } = message
  if (userId === undefined) writer.null()
  else if (userId instanceof Uint8Array) writer.binary(userId)
  else refuse("userId", "it must be a Uint8Array")
  writeText(writer, text("to", message.to))
  writeText(writer, text("subject", message.subject))
  writeText(writer, text("replyTo", message.replyTo))
  writeMessageId(writer, "correlationId", correlationId)
  writeSymbol(writer, "contentType", message.contentType ?? contentType)
  const { contentEncoding, replyToSessionId, sessionId } = message
  if (
    contentEncoding === undefined && absoluteExpiryTime === undefined && creationTime === undefined &&
    sessionId === undefined && groupSequence === undefined && replyToSessionId === undefined
  ) return writer.end(list, 7)
  writeSymbol(writer, "contentEncoding", contentEncoding)
  writeTime(writer, "absoluteExpiryTime", absoluteExpiryTime)
  writeTime(writer, "creationTime", creationTime)
  writeText(writer, limited("sessionId", sessionId))
  if (groupSequence === undefined) writer.null()
  else at("groupSequence", () => writer.value(AmqpValue.typed("uint", groupSequence)))
  writeText(writer, limited("replyToSessionId", replyToSessionId))
  writer.end(list, 13)
}

/** AMQP 1.0 section 3.2.5: keys are strings, values are simple. */
export const writeApplicationProperties = (
  writer: Writer,
  entries: Readonly<Record<string, AmqpValue.AmqpValue>>
): void => {
  writer.descriptor(0x74)
  const map = writer.begin(0xd1)
  let count = 0
  for (const key of Object.keys(entries)) {
    const value = entries[key]
    if (value === undefined) continue
    if (!isSimple(value)) {
      refuse(
        `applicationProperties "${key}"`,
        "only simple values are allowed; put lists, maps and arrays into the body"
      )
    }
    writer.string(key)
    try {
      writer.value(value)
    } catch (error) {
      if (error instanceof EncodeProblem) refuse(`applicationProperties "${key}"`, error.message)
      throw error
    }
    count += 2
  }
  writer.end(map, count)
}

const isSimple = (value: AmqpValue.AmqpValue): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (value instanceof Uint8Array || value instanceof Date || value instanceof URL) return true
  if (DateTime.isDateTime(value) || Duration.isDuration(value)) return true
  if (!AmqpValue.isTyped(value) || value.type === "array") return false
  return value.type !== "described" || isMicrosofts(value as AmqpValue.Described)
}

/** The described types that Service Bus allows, where their value has no plain form (Service Bus protocol guide). */
const isMicrosofts = ({ descriptor, value }: AmqpValue.Described): boolean =>
  AmqpValue.isTyped(descriptor) && descriptor.type === "symbol" &&
  (descriptor.value === "com.microsoft:uri"
    ? typeof value === "string"
    : (descriptor.value === "com.microsoft:timespan" || descriptor.value === "com.microsoft:datetime-offset") &&
      typeof value === "bigint")

export const writeBody = (writer: Writer, body: ServiceBusBody.Sections): void => {
  switch (body.kind) {
    case "empty":
      return
    case "data":
      if (typeof body.data === "string") {
        writer.descriptor(0x75)
        return writer.utf8Binary(body.data)
      }
      for (const part of body.data instanceof Uint8Array ? [body.data] : body.data) {
        writer.descriptor(0x75)
        writer.binary(part)
      }
      return
    case "value":
      writer.descriptor(0x77)
      return at("body", () => writer.value(body.value))
    case "sequence":
      for (const sequence of body.sequences) {
        writer.descriptor(0x76)
        at("body", () => writer.value(sequence))
      }
  }
}

/**
 * Opens a batch. The envelope repeats what the broker routes by, of the first message: its session and its partition
 * keys.
 */
export const beginBatch = (writer: Writer, first: Route): void => {
  const { partitionKey, sessionId, viaPartitionKey } = first
  writeAnnotations(writer, { body: undefined, partitionKey, viaPartitionKey, sessionId })
  if (limited("sessionId", sessionId) === undefined) return
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  for (let i = 0; i < 10; i++) writer.null()
  writer.string(sessionId!)
  writer.end(list, 11)
}

/** The bytes of a data section before its content. */
export const sectionSize = 8

/** Opens a data section of a batch and gives its place; a message is encoded into it. */
export const beginSection = (writer: Writer): number => {
  writer.ensure(sectionSize)
  const at = writer.length
  writer.descriptor(0x75)
  writer.u8(0xb0)
  writer.u32(0)
  return at
}

/** Closes a data section and gives the size of what is in it. */
export const endSection = (writer: Writer, at: number): number => {
  const size = writer.length - at - sectionSize
  writer.patch(at + 4, size)
  return size
}

/**
 * A delivery tag as a lock token: the bytes of a .NET Guid, whose first three groups are little-endian (Service Bus
 * protocol guide). The empty string where the tag is no token.
 */
export const tokenFromTag = (tag: Buffer): LockToken => {
  if (tag.length !== 16) return "" as LockToken
  const hex = tag.toString("hex")
  return canonical(swap(hex)) as LockToken
}

/** The delivery tag of a lock token. */
export const tagFromToken = (token: string): Buffer => Buffer.from(swap(token.replaceAll("-", "")), "hex")

/** Reverses the bytes of the first three groups of a Guid's 32 digits. */
const swap = (hex: string): string =>
  hex.slice(6, 8) + hex.slice(4, 6) + hex.slice(2, 4) + hex.slice(0, 2) + hex.slice(10, 12) + hex.slice(8, 10) +
  hex.slice(14, 16) + hex.slice(12, 14) + hex.slice(16)

export const asString = (value: AmqpValue.AmqpValue): string | undefined =>
  typeof value === "string"
    ? value
    : AmqpValue.isTyped(value) && value.type === "symbol"
    ? value.value as string
    : undefined

export const asNumber = (value: AmqpValue.AmqpValue): number | undefined =>
  typeof value === "number" ? value : typeof value === "bigint" ? Number(value) : undefined

const asBigint = (value: AmqpValue.AmqpValue): bigint | undefined =>
  typeof value === "bigint" ? value : Number.isInteger(value) ? BigInt(value as number) : undefined

export const asTime = (value: AmqpValue.AmqpValue): DateTime.Utc | undefined =>
  DateTime.isDateTime(value) ? value as DateTime.Utc : undefined

export const asMessageId = (value: AmqpValue.AmqpValue): AmqpValue.MessageId | undefined => {
  if (typeof value === "string" || typeof value === "bigint" || value instanceof Uint8Array) return value
  if (Number.isInteger(value)) return BigInt(value as number)
  return AmqpValue.isTyped(value) && value.type === "uuid" ? value as AmqpValue.Typed<"uuid", string> : undefined
}

/** `DateTime.MaxValue` of .NET: the service's way of saying never. */
const never = 253402300799000

/**
 * A received message over its bytes. `body` is filled in when the message is handed out; everything else is decoded when
 * it is first read.
 */
export abstract class Received<A> implements ReceivedMessage<A> {
  abstract readonly _tag: string
  readonly body: A
  readonly #sections: Sections
  #header: ReadonlyArray<AmqpValue.AmqpValue> | undefined
  #properties: ReadonlyArray<AmqpValue.AmqpValue> | undefined
  #annotations: Record<string, AmqpValue.AmqpValue> | undefined
  #applicationProperties: Record<string, AmqpValue.AmqpValue> | undefined

  constructor(sections: Sections, body: A) {
    this.#sections = sections
    this.body = body
  }

  private get header(): ReadonlyArray<AmqpValue.AmqpValue> {
    return this.#header ??= this.#sections.readList(this.#sections.header)
  }
  private get properties(): ReadonlyArray<AmqpValue.AmqpValue> {
    return this.#properties ??= this.#sections.readList(this.#sections.properties)
  }
  get messageAnnotations(): Record<string, AmqpValue.AmqpValue> {
    return this.#annotations ??= this.#sections.readRecord(this.#sections.messageAnnotations)
  }
  get applicationProperties(): Record<string, AmqpValue.AmqpValue> {
    return this.#applicationProperties ??= this.#sections.readRecord(this.#sections.applicationProperties)
  }
  get amqpMessageAnnotations(): Record<string, AmqpValue.AmqpValue> {
    return this.#sections.readRecord(this.#sections.messageAnnotations, true)
  }
  get amqpApplicationProperties(): Record<string, AmqpValue.AmqpValue> {
    return this.#sections.readRecord(this.#sections.applicationProperties, true)
  }
  get amqpFooter(): Record<string, AmqpValue.AmqpValue> {
    return this.#sections.readRecord(this.#sections.footer, true)
  }
  get deliveryAnnotations(): Record<string, AmqpValue.AmqpValue> {
    return this.#sections.readRecord(this.#sections.deliveryAnnotations)
  }
  get footer(): Record<string, AmqpValue.AmqpValue> {
    return this.#sections.readRecord(this.#sections.footer)
  }
  get durable(): boolean {
    return this.header[0] === true
  }
  get priority(): number | undefined {
    return asNumber(this.header[1])
  }
  get timeToLive(): Duration.Duration | undefined {
    const millis = asNumber(this.header[2])
    return millis === undefined ? undefined : Duration.millis(millis)
  }
  get firstAcquirer(): boolean {
    return this.header[3] === true
  }
  get deliveryCount(): number {
    return asNumber(this.header[4]) ?? 0
  }
  get amqpMessageId(): AmqpValue.MessageId | undefined {
    return asMessageId(this.properties[0])
  }
  get messageId(): string {
    const id = this.amqpMessageId
    return id === undefined ? "" : AmqpValue.toText(id)
  }
  get userId(): Uint8Array | undefined {
    const value = this.properties[1]
    return value instanceof Uint8Array ? value : undefined
  }
  get to(): string | undefined {
    return asString(this.properties[2])
  }
  get subject(): string | undefined {
    return asString(this.properties[3])
  }
  get replyTo(): string | undefined {
    return asString(this.properties[4])
  }
  get amqpCorrelationId(): AmqpValue.MessageId | undefined {
    return asMessageId(this.properties[5])
  }
  get correlationId(): string | undefined {
    const id = this.amqpCorrelationId
    return id === undefined ? undefined : AmqpValue.toText(id)
  }
  get contentType(): string | undefined {
    return asString(this.properties[6])
  }
  get contentEncoding(): string | undefined {
    return asString(this.properties[7])
  }
  get absoluteExpiryTime(): DateTime.Utc | undefined {
    return asTime(this.properties[8])
  }
  get creationTime(): DateTime.Utc | undefined {
    return asTime(this.properties[9])
  }
  get sessionId(): string | undefined {
    return asString(this.properties[10])
  }
  get groupSequence(): number | undefined {
    return asNumber(this.properties[11])
  }
  get replyToSessionId(): string | undefined {
    return asString(this.properties[12])
  }
  get partitionKey(): string | undefined {
    return asString(this.messageAnnotations["x-opt-partition-key"])
  }
  get viaPartitionKey(): string | undefined {
    return asString(this.messageAnnotations["x-opt-via-partition-key"])
  }
  get scheduledEnqueueTime(): DateTime.Utc | undefined {
    return asTime(this.messageAnnotations["x-opt-scheduled-enqueue-time"])
  }
  get sequenceNumber(): bigint {
    return asBigint(this.messageAnnotations["x-opt-sequence-number"]) ?? 0n
  }
  get enqueuedSequenceNumber(): bigint | undefined {
    return asBigint(this.messageAnnotations["x-opt-enqueue-sequence-number"])
  }
  get enqueuedTime(): DateTime.Utc | undefined {
    return asTime(this.messageAnnotations["x-opt-enqueued-time"])
  }
  get expiresAt(): DateTime.Utc | undefined {
    const { absoluteExpiryTime, enqueuedTime, timeToLive } = this
    if (absoluteExpiryTime !== undefined && DateTime.toEpochMillis(absoluteExpiryTime) < never) {
      return absoluteExpiryTime
    }
    if (enqueuedTime === undefined || timeToLive === undefined) return undefined
    const millis = DateTime.toEpochMillis(enqueuedTime) + Duration.toMillis(timeToLive)
    // What a peer sends can lie outside of what a date can hold.
    return Math.abs(millis) <= 8640000000000000 ? DateTime.makeUnsafe(millis) : undefined
  }
  get state(): MessageState {
    switch (asNumber(this.messageAnnotations["x-opt-message-state"])) {
      case 1:
        return "deferred"
      case 2:
        return "scheduled"
      default:
        return "active"
    }
  }
  get deadLetterReason(): string | undefined {
    return asString(this.applicationProperties["DeadLetterReason"])
  }
  get deadLetterErrorDescription(): string | undefined {
    return asString(this.applicationProperties["DeadLetterErrorDescription"])
  }
  get deadLetterSource(): string | undefined {
    return asString(this.messageAnnotations["x-opt-deadletter-source"])
  }
  get size(): number {
    return this.#sections.end - this.#sections.start
  }

  /** The sections of a message; undefined for one that is not the library's. */
  static sectionsOf(message: ReceivedMessage<unknown>): Sections | undefined {
    return message instanceof Received ? message.#sections : undefined
  }

  /** For logs: what identifies the message, and not its body or its properties. */
  toJSON(): unknown {
    return {
      _tag: this._tag,
      messageId: this.messageId,
      sequenceNumber: this.sequenceNumber.toString(),
      deliveryCount: this.deliveryCount,
      size: this.size
    }
  }

  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    return this.toJSON()
  }
}

/** A message that was received destructively. */
export class Destructive<A> extends Received<A> implements DestructiveMessage<A> {
  readonly _tag = "Destructive"
}

/** A message that was looked at. */
export class Peeked<A> extends Received<A> implements PeekedMessage<A> {
  readonly _tag = "Peeked"
}

/** A message under a lock. The delivery and its owner stay with it, out of sight. */
export class Locked<A> extends Received<A> implements LockedMessage<A> {
  readonly _tag = "Locked"
  readonly #delivery: IncomingDelivery
  readonly #owner: object
  #lockToken: LockToken | undefined

  constructor(sections: Sections, body: A, delivery: IncomingDelivery, owner: object) {
    super(sections, body)
    this.#delivery = delivery
    this.#owner = owner
  }

  get lockToken(): LockToken {
    return this.#lockToken ??= tokenFromTag(this.#delivery.tag)
  }

  get lockedUntil(): DateTime.Utc {
    return asTime(this.messageAnnotations["x-opt-locked-until"]) ?? DateTime.makeUnsafe(0)
  }

  /** The receiver that handed a message out. */
  static ownerOf(message: LockedMessage<unknown>): object | undefined {
    return message instanceof Locked ? message.#owner : undefined
  }

  /** The delivery of a message that `owner` handed out; undefined for a message of another receiver. */
  static deliveryOf(message: LockedMessage<unknown>, owner: object): IncomingDelivery | undefined {
    return message instanceof Locked && message.#owner === owner ? message.#delivery : undefined
  }
}

/** Finds the sections of a delivery. Throws a DecodeProblem where its bytes are no message. */
export const sectionsOf = (delivery: IncomingDelivery): Sections =>
  new Sections(delivery.payload, 0, delivery.payload.length)
