/**
 * A message by its AMQP sections (AMQP 1.0 section 3.2), with the AMQP type of every value, to bytes and back. Nothing is
 * interpreted and no codec of a contract is used, so that what was received can be sent, kept or inspected exactly as it is.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../AmqpValue.ts"
import type * as ServiceBusBody from "../../ServiceBusBody.ts"
import { ownBytes } from "../amqp/codec/OwnedBytes.ts"
import { DecodeProblem } from "../amqp/codec/Reader.ts"
import { Sections } from "../amqp/codec/Sections.ts"
import type { Writer } from "../amqp/codec/Writer.ts"
import * as MessageEncoder from "./MessageEncoder.ts"
import * as ReceivedMessage from "./ReceivedMessage.ts"
import * as TimeToLive from "./TimeToLive.ts"

/**
 * The header of a message (AMQP 1.0 section 3.2.1).
 *
 * @category models
 * @since 0.1.0
 */
export interface Header {
  readonly durable?: boolean | undefined
  /** 0 to 255. */
  readonly priority?: number | undefined
  /**
   * Whole milliseconds on the wire, 0 to 4294967295 of them: as it stands there in what was received. A longer one is
   * written as that number, and as `creationTime` and `absoluteExpiryTime`, which go before it; `sendAnnotated` fills those
   * in. An infinite one is not written.
   */
  readonly timeToLive?: Duration.Duration | undefined
  readonly firstAcquirer?: boolean | undefined
  readonly deliveryCount?: number | undefined
}

/**
 * The properties of a message (AMQP 1.0 section 3.2.4).
 *
 * @category models
 * @since 0.1.0
 */
export interface Properties {
  readonly messageId?: AmqpValue.MessageId | undefined
  readonly userId?: Uint8Array | undefined
  readonly to?: string | undefined
  readonly subject?: string | undefined
  readonly replyTo?: string | undefined
  readonly correlationId?: AmqpValue.MessageId | undefined
  readonly contentType?: string | undefined
  readonly contentEncoding?: string | undefined
  readonly absoluteExpiryTime?: DateTime.Utc | undefined
  readonly creationTime?: DateTime.Utc | undefined
  /** Service Bus's session id. */
  readonly groupId?: string | undefined
  readonly groupSequence?: number | undefined
  /** Service Bus's reply-to session id. */
  readonly replyToGroupId?: string | undefined
}

/**
 * A message by its AMQP sections. A section that is missing is not on the wire.
 *
 * Values are plain where their plain form is written as the type that they have, and `Typed` where it is not (see
 * `AmqpValue`): an int 2 is `2`, a uint 2 is `AmqpValue.typed("uint", 2)`. The keys of annotations and of the footer are
 * symbols, those of application properties strings.
 *
 * @category models
 * @since 0.1.0
 */
export interface AmqpAnnotatedMessage {
  readonly header?: Header | undefined
  readonly deliveryAnnotations?: Readonly<Record<string, AmqpValue.AmqpValue>> | undefined
  readonly messageAnnotations?: Readonly<Record<string, AmqpValue.AmqpValue>> | undefined
  readonly properties?: Properties | undefined
  /** Simple values only: no lists, maps or arrays. */
  readonly applicationProperties?: Readonly<Record<string, AmqpValue.AmqpValue>> | undefined
  /** One or more data sections, one or more sequence sections, one value section, or none at all. */
  readonly body: ServiceBusBody.Sections
  readonly footer?: Readonly<Record<string, AmqpValue.AmqpValue>> | undefined
}

const partitionKey = "x-opt-partition-key"
const viaPartitionKey = "x-opt-via-partition-key"

const annotation = (message: AmqpAnnotatedMessage, key: string): string | undefined => {
  const value = message.messageAnnotations?.[key]
  return value === undefined || value === null ? undefined : ReceivedMessage.asString(value)
}

/** Its id and what the broker routes by, where a message names them. @internal */
export const routeOf = (message: AmqpAnnotatedMessage | undefined): MessageEncoder.Route => ({
  messageId: message?.properties?.messageId,
  sessionId: message?.properties?.groupId,
  partitionKey: message === undefined ? undefined : annotation(message, partitionKey),
  viaPartitionKey: message === undefined ? undefined : annotation(message, viaPartitionKey)
})

/** A key that the broker routes by; refused by its name where it is none. */
const checked = (message: AmqpAnnotatedMessage, name: string, key: string): string | undefined => {
  const value = message.messageAnnotations?.[key]
  if (value === undefined || value === null) return undefined
  return MessageEncoder.limitedText(
    name,
    ReceivedMessage.asString(value) ?? MessageEncoder.refuse(name, "it must be a string")
  )
}

/**
 * Encodes a message with the checks and the id of one that is sent, and gives its id; `name` is the one of a message that
 * has none. Throws a MessageEncodeError.
 *
 * @internal
 */
export const encodeToSend = (
  writer: Writer,
  message: AmqpAnnotatedMessage,
  now: TimeToLive.Now,
  name?: string
): string => {
  const { properties } = message
  const id = MessageEncoder.idOf(properties?.messageId === undefined ? name : properties.messageId)
  const sessionId = MessageEncoder.limitedText("sessionId", properties?.groupId)
  MessageEncoder.limitedText("replyToSessionId", properties?.replyToGroupId)
  const partition = checked(message, "partitionKey", partitionKey)
  checked(message, "viaPartitionKey", viaPartitionKey)
  MessageEncoder.checkKeys(partition, sessionId)
  encode(writer, message, id, now)
  return AmqpValue.toText(id)
}

/**
 * Encodes a message as it is, under another id where one is given. With `now` the pair of creation and expiry is written anew
 * for the header's time to live, and Service Bus's quotas of properties hold; without it that is left as it is. Throws
 * a MessageEncodeError.
 *
 * @internal
 */
export const encode = (
  writer: Writer,
  message: AmqpAnnotatedMessage,
  messageId: AmqpValue.MessageId | undefined = message?.properties?.messageId,
  now?: TimeToLive.Now
): void => {
  if (typeof message !== "object" || message === null) {
    MessageEncoder.refuse("message", "expected an object with a body")
  }
  const { applicationProperties, body, deliveryAnnotations, footer, header, messageAnnotations, properties } = message
  const start = writer.length
  if (typeof body !== "object" || body === null || !kinds.has(body.kind)) {
    MessageEncoder.refuse("body", `expected sections of a kind of ${[...kinds].join(", ")}`)
  }
  const timeToLive = header === undefined ? undefined : timeToLiveOf(MessageEncoder.checkedFields("header", header))
  if (header !== undefined) writeHeader(writer, header, timeToLive)
  if (deliveryAnnotations !== undefined) {
    MessageEncoder.writeMap(writer, 0x71, "deliveryAnnotations", deliveryAnnotations)
  }
  if (messageAnnotations !== undefined) {
    MessageEncoder.writeMap(writer, 0x72, "messageAnnotations", messageAnnotations)
  }
  if (properties !== undefined) MessageEncoder.checkedFields("properties", properties)
  const pair = timeToLive === undefined ? undefined : pairOf(timeToLive, properties ?? {}, now)
  if (properties !== undefined || messageId !== undefined || pair !== undefined) {
    writeProperties(writer, properties ?? {}, messageId, pair)
  }
  if (applicationProperties !== undefined) {
    MessageEncoder.writeApplicationProperties(writer, applicationProperties, undefined, now !== undefined)
  }
  if (now !== undefined) MessageEncoder.checkPropertiesSize(writer.length - start)
  MessageEncoder.writeBody(writer, body)
  if (footer !== undefined) MessageEncoder.writeMap(writer, 0x78, "footer", footer)
}

const kinds: ReadonlySet<string> = new Set(["data", "sequence", "value", "empty"])

/** Whole milliseconds; undefined where there is none, or one that never ends. */
const timeToLiveOf = ({ timeToLive }: Header): number | undefined => {
  if (timeToLive === undefined) return undefined
  if (!Duration.isDuration(timeToLive)) return MessageEncoder.refuse("timeToLive", "it must be a Duration")
  const millis = Duration.toMillis(timeToLive)
  if (!(millis >= 0)) MessageEncoder.refuse("timeToLive", "it must be 0 milliseconds or more")
  return millis >= TimeToLive.endless ? undefined : Math.floor(millis)
}

const millisOf = (time: DateTime.Utc | undefined): number | undefined =>
  DateTime.isDateTime(time) ? Math.floor(DateTime.toEpochMillis(time)) : undefined

/** The pair to be written for a time to live; undefined where the message's own is left as it is. */
const pairOf = (
  timeToLive: number,
  { absoluteExpiryTime, creationTime }: Properties,
  now: TimeToLive.Now | undefined
): TimeToLive.Pair | undefined => {
  const paired = TimeToLive.ofPair(millisOf(creationTime), millisOf(absoluteExpiryTime))
  // As it came: one that is too long for the header stands there as the largest number.
  if (paired === timeToLive || paired !== undefined && paired > timeToLive && timeToLive === TimeToLive.longestTtl) {
    return undefined
  }
  // 0 means none to the service's clients.
  if (now !== undefined) return timeToLive === 0 ? undefined : MessageEncoder.pairOf(timeToLive, creationTime, now)
  return timeToLive > TimeToLive.longestTtl && paired !== Infinity
    ? MessageEncoder.refuse(
      "timeToLive",
      "more than 4294967295 milliseconds need a creationTime and an absoluteExpiryTime that say the same"
    )
    : undefined
}

const writeHeader = (writer: Writer, header: Header, timeToLive: number | undefined): void => {
  writer.descriptor(0x70)
  const list = writer.begin(0xd0)
  MessageEncoder.writeBoolean(writer, "durable", header.durable)
  MessageEncoder.writeNumber(writer, "priority", "ubyte", header.priority)
  if (timeToLive === undefined) writer.null()
  else writer.uint(Math.min(timeToLive, TimeToLive.longestTtl))
  MessageEncoder.writeBoolean(writer, "firstAcquirer", header.firstAcquirer)
  MessageEncoder.writeNumber(writer, "deliveryCount", "uint", header.deliveryCount)
  writer.end(list, 5)
}

const writeProperties = (
  writer: Writer,
  properties: Properties,
  messageId: AmqpValue.MessageId | undefined,
  pair: TimeToLive.Pair | undefined
): void => {
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  MessageEncoder.writeMessageId(writer, "messageId", messageId)
  MessageEncoder.writeBinary(writer, "userId", properties.userId)
  for (const part of ["to", "subject", "replyTo"] as const) {
    MessageEncoder.writeText(writer, MessageEncoder.checkedText(part, properties[part]))
  }
  MessageEncoder.writeMessageId(writer, "correlationId", properties.correlationId)
  MessageEncoder.writeSymbol(writer, "contentType", properties.contentType)
  MessageEncoder.writeSymbol(writer, "contentEncoding", properties.contentEncoding)
  MessageEncoder.writePair(writer, pair, properties.absoluteExpiryTime, properties.creationTime)
  MessageEncoder.writeText(writer, MessageEncoder.checkedText("groupId", properties.groupId))
  MessageEncoder.writeNumber(writer, "groupSequence", "uint", properties.groupSequence)
  MessageEncoder.writeText(writer, MessageEncoder.checkedText("replyToGroupId", properties.replyToGroupId))
  writer.end(list, 13)
}

/**
 * Decodes a whole message. Throws a DecodeProblem where the bytes are none.
 *
 * @since 0.1.0
 */
export const decode = (bytes: Uint8Array): AmqpAnnotatedMessage => {
  if (bytes.length === 0) throw new DecodeProblem("there are no bytes")
  // Values are views: what becomes of the caller's bytes is not theirs to share, nor is a pool theirs to keep.
  const own = ownBytes(bytes)
  return ofSections(new Sections(own, 0, own.length))
}

/** The message over its sections; values that are bytes are views of it. @internal */
export const ofSections = (sections: Sections): AmqpAnnotatedMessage => {
  const record = (at: number) => at < 0 ? undefined : sections.readRecord(at, true)
  return defined({
    header: sections.header < 0 ? undefined : headerOf(sections.readList(sections.header)),
    deliveryAnnotations: record(sections.deliveryAnnotations),
    messageAnnotations: record(sections.messageAnnotations),
    properties: sections.properties < 0 ? undefined : propertiesOf(sections.readList(sections.properties)),
    applicationProperties: record(sections.applicationProperties),
    body: sections.readBody(true),
    footer: record(sections.footer)
  })
}

/** Without the fields that have no value, so that equal messages are equal as data. */
const defined = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

const asBoolean = (value: AmqpValue.AmqpValue): boolean | undefined => typeof value === "boolean" ? value : undefined

const headerOf = (list: ReadonlyArray<AmqpValue.AmqpValue>): Header => {
  const millis = ReceivedMessage.asNumber(list[2])
  return defined({
    durable: asBoolean(list[0]),
    priority: ReceivedMessage.asNumber(list[1]),
    timeToLive: millis === undefined ? undefined : Duration.millis(millis),
    firstAcquirer: asBoolean(list[3]),
    deliveryCount: ReceivedMessage.asNumber(list[4])
  })
}

const propertiesOf = (list: ReadonlyArray<AmqpValue.AmqpValue>): Properties =>
  defined({
    messageId: ReceivedMessage.asMessageId(list[0]),
    userId: list[1] instanceof Uint8Array ? list[1] : undefined,
    to: ReceivedMessage.asString(list[2]),
    subject: ReceivedMessage.asString(list[3]),
    replyTo: ReceivedMessage.asString(list[4]),
    correlationId: ReceivedMessage.asMessageId(list[5]),
    contentType: ReceivedMessage.asString(list[6]),
    contentEncoding: ReceivedMessage.asString(list[7]),
    absoluteExpiryTime: ReceivedMessage.asTime(list[8]),
    creationTime: ReceivedMessage.asTime(list[9]),
    groupId: ReceivedMessage.asString(list[10]),
    groupSequence: ReceivedMessage.asNumber(list[11]),
    replyToGroupId: ReceivedMessage.asString(list[12])
  })
