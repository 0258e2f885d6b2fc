/**
 * Encodes messages as AMQP messages (AMQP 1.0 section 3.2) and the envelopes of batches, with every check that can be made
 * before anything is on the wire. A value that cannot be sent is a MessageEncodeError, thrown, which names the part of the
 * message where it stands; the caller owns the writer and takes back what was written.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import * as AmqpValue from "../../AmqpValue.ts"
import type * as ServiceBusBody from "../../ServiceBusBody.ts"
import { MessageEncodeError } from "../../ServiceBusError.ts"
import type { OutgoingMessage } from "../../ServiceBusMessage.ts"
import type { ServiceBusProperties } from "../../ServiceBusProperties.ts"
import { EncodeProblem, halfPair, type Writer } from "../amqp/codec/Writer.ts"
import * as TraceContext from "../telemetry/TraceContext.ts"
import { arePropertiesTooLarge, isPropertyTooLarge, maxPropertiesSize, maxPropertySize } from "./PropertyQuotas.ts"
import * as TimeToLive from "./TimeToLive.ts"

/** The message format of a batch (Service Bus protocol guide): an envelope whose data sections are messages. */
export const batchFormat = 0x80013700

/** What the envelope of a batch takes from its first message: its id, and what the broker routes it by. */
export type Route = Pick<OutgoingMessage<unknown>, "messageId" | "partitionKey" | "sessionId" | "viaPartitionKey">

/** A value of a message that cannot be encoded, and where it stands. */
export const refuse = (part: string, description: string): never => {
  throw new MessageEncodeError({ part, description })
}

/** Encodes a part of a message; what has no AMQP form is refused by the name of the part. */
export const encodePart = <A>(part: string, f: () => A): A => {
  try {
    return f()
  } catch (error) {
    if (error instanceof EncodeProblem) return refuse(part, error.message)
    throw error
  }
}

/** Part and description of a refusal. A getter or a proxy of the caller's may throw anything. */
export const problemOf = (
  part: string,
  error: unknown
): { readonly part: string; readonly description: string } => {
  if (error instanceof MessageEncodeError) return { part: error.part, description: error.description ?? "" }
  if (error instanceof EncodeProblem) return { part, description: error.message }
  return { part, description: `it cannot be read: ${error instanceof Error ? error.message : typeof error}` }
}

/** The kind of a value that should be another one, in a word. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  // Never its content, which may be secret.
  if (typeof value !== "object") return `a ${typeof value}`
  return Array.isArray(value) ? "an array" : "an object without its fields"
}

/** A text of at most 128 characters, which Service Bus takes for ids and keys. */
export const limitedText = (part: string, value: string | undefined): string | undefined => {
  if (value === undefined) return undefined
  if (checkedText(part, value) === undefined) return undefined
  if (value.length > 128) return refuse(part, `it has ${value.length} characters, at most 128 are allowed`)
  return value
}

/** A text that UTF-8 can carry. */
export const checkedText = (part: string, value: string | undefined): string | undefined => {
  if (value === undefined) return undefined
  if (typeof value !== "string") return refuse(part, "it must be a string")
  return value.isWellFormed() ? value : refuse(part, halfPair)
}

export const writeBoolean = (writer: Writer, part: string, value: boolean | undefined): void => {
  if (value === undefined) return writer.null()
  if (typeof value !== "boolean") return refuse(part, "it must be true or false")
  writer.boolean(value)
}

export const writeNumber = (
  writer: Writer,
  part: string,
  type: "ubyte" | "uint",
  value: number | undefined
): void => value === undefined ? writer.null() : encodePart(part, () => writer.value(AmqpValue.typed(type, value)))

export const writeBinary = (writer: Writer, part: string, value: Uint8Array | undefined): void => {
  if (value === undefined) return writer.null()
  if (!(value instanceof Uint8Array)) return refuse(part, "it must be a Uint8Array")
  writer.binary(value)
}

/** The keys that the broker routes by must agree (Service Bus: partitioning). */
export const checkKeys = (partitionKey: string | undefined, sessionId: string | undefined): void => {
  if (partitionKey !== undefined && sessionId !== undefined && partitionKey !== sessionId) {
    refuse("partitionKey", "it must equal the session id where both are given")
  }
}

/** A section that is a map: a plain object, whose own keys are the entries. Other keys would be lost without an error. */
export const entriesOf = <A extends object>(part: string, value: A): A => {
  const prototype = typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.getPrototypeOf(value)
    : undefined
  // Or that of another realm.
  return prototype === null || prototype !== undefined && Object.getPrototypeOf(prototype) === null
    ? value
    : refuse(part, "it must be a plain object")
}

/** A section that is a list of fields. */
export const checkedFields = <A extends object>(part: string, value: A): A =>
  typeof value === "object" && value !== null ? value : refuse(part, "it must be an object")

/** The id that a message is sent under: its own, or a new one. */
export const idOf = (messageId: AmqpValue.MessageId | undefined): AmqpValue.MessageId => {
  if (messageId === undefined) return randomUUID()
  return typeof messageId === "string" ? limitedText("messageId", messageId)! : messageId
}

export const writeMessageId = (writer: Writer, part: string, value: AmqpValue.MessageId | undefined): void => {
  if (value === undefined) return writer.null()
  if (typeof value === "string") return writer.string(checkedText(part, value)!)
  if (typeof value === "bigint") return encodePart(part, () => writer.value(AmqpValue.typed("ulong", value)))
  if (value instanceof Uint8Array) return writer.binary(value)
  if (AmqpValue.isTyped(value) && value.type === "uuid") return encodePart(part, () => writer.value(value))
  return refuse(part, "it must be a string, a bigint, a Uint8Array or a uuid")
}

export const writeText = (writer: Writer, value: string | undefined): void =>
  value === undefined ? writer.null() : writer.string(value)

export const writeSymbol = (writer: Writer, part: string, value: string | undefined): void => {
  if (checkedText(part, value) === undefined) return writer.null()
  encodePart(part, () => writer.symbol(value!))
}

const time = (part: string, value: DateTime.Utc | undefined): DateTime.Utc | undefined =>
  value === undefined || DateTime.isDateTime(value) ? value : refuse(part, "it must be a DateTime")

const writeTime = (writer: Writer, part: string, value: DateTime.Utc | undefined): void => {
  if (time(part, value) === undefined) return writer.null()
  encodePart(part, () => writer.timestamp(DateTime.toEpochMillis(value!)))
}

/** Expiry and creation time: those of the time to live, where there is one. */
export const writePair = (
  writer: Writer,
  pair: TimeToLive.Pair | undefined,
  absoluteExpiryTime: DateTime.Utc | undefined,
  creationTime: DateTime.Utc | undefined
): void => {
  if (pair === undefined) {
    writeTime(writer, "absoluteExpiryTime", absoluteExpiryTime)
    return writeTime(writer, "creationTime", creationTime)
  }
  time("absoluteExpiryTime", absoluteExpiryTime)
  encodePart("timeToLive", () => writer.timestamp(pair.expiry))
  encodePart("creationTime", () => writer.timestamp(pair.creation))
}

/**
 * Encodes a message and gives its id as text. Throws a MessageEncodeError; the writer is then to be reset. `now` is asked
 * for messages with a time to live only. `traceparent` is the trace that it belongs to, where it names none itself, and
 * `name` its id in that case. `applicationProperties` are those of the message, encoded where its contract declares some.
 */
export const encode = (
  writer: Writer,
  message: OutgoingMessage<unknown>,
  body: ServiceBusBody.Sections,
  contentType: string | undefined,
  now: TimeToLive.Now,
  traceparent?: string,
  name?: string,
  applicationProperties: OutgoingMessage<unknown>["applicationProperties"] = message.applicationProperties
): string => {
  const start = writer.length
  const id = idOf(message.messageId === undefined ? name : message.messageId)
  const timeToLive = message.timeToLive === undefined ? undefined : timeToLiveOf(message.timeToLive)
  writeHeader(writer, message, timeToLive)
  if (message.deliveryAnnotations !== undefined) {
    writeMap(writer, 0x71, "deliveryAnnotations", message.deliveryAnnotations)
  }
  writeAnnotations(writer, message)
  writeProperties(
    writer,
    message,
    id,
    contentType,
    timeToLive === undefined ? undefined : pairOf(timeToLive, message.creationTime, now)
  )
  if (applicationProperties !== undefined || traceparent !== undefined) {
    writeApplicationProperties(writer, applicationProperties ?? {}, traceparent)
  }
  checkPropertiesSize(writer.length - start)
  writeBody(writer, body)
  if (message.footer !== undefined) writeMap(writer, 0x78, "footer", message.footer)
  return AmqpValue.toText(id)
}

/** Whole milliseconds; undefined for a time to live that never ends, which is not written. */
const timeToLiveOf = (input: Duration.Input): number | undefined => {
  const duration = Duration.fromInput(input)
  if (duration._tag === "None") return refuse("timeToLive", "it is not a duration")
  const millis = Duration.toMillis(duration.value)
  if (!(millis >= 1)) return refuse("timeToLive", "it must be at least 1 millisecond")
  return millis >= TimeToLive.endless ? undefined : Math.floor(millis)
}

/** Creation and expiry of a message with a time to live: a creation time of the sender's own stays. */
export const pairOf = (
  timeToLive: number,
  creationTime: DateTime.Utc | undefined,
  now: TimeToLive.Now
): TimeToLive.Pair => {
  const given = time("creationTime", creationTime)
  const pair = TimeToLive.pairOf(
    timeToLive,
    given === undefined ? now.currentTimeMillisUnsafe() : DateTime.toEpochMillis(given)
  )
  // Else the pair, which goes before the header, would be shorter.
  return timeToLive <= TimeToLive.longestTtl && pair.expiry - pair.creation !== timeToLive
    ? refuse("creationTime", "it is so late that the message would expire after 9999-12-31T07:59:59Z")
    : pair
}

const writeHeader = (
  writer: Writer,
  message: OutgoingMessage<unknown>,
  timeToLive: number | undefined
): void => {
  const { durable, priority } = message
  if (durable === undefined && priority === undefined && timeToLive === undefined) return
  writer.descriptor(0x70)
  const list = writer.begin(0xd0)
  writeBoolean(writer, "durable", durable)
  writeNumber(writer, "priority", "ubyte", priority)
  if (timeToLive === undefined) return writer.end(list, 2)
  writer.uint(Math.min(timeToLive, TimeToLive.longestTtl))
  writer.end(list, 3)
}

const writeAnnotations = (writer: Writer, message: OutgoingMessage<unknown>): void => {
  const partitionKey = limitedText("partitionKey", message.partitionKey)
  const viaPartitionKey = limitedText("viaPartitionKey", message.viaPartitionKey)
  const scheduledEnqueueTime = time("scheduledEnqueueTime", message.scheduledEnqueueTime)
  const { messageAnnotations, sessionId } = message
  checkKeys(partitionKey, sessionId)
  if (
    partitionKey === undefined && viaPartitionKey === undefined && scheduledEnqueueTime === undefined &&
    messageAnnotations === undefined
  ) return
  const entries: Record<string, AmqpValue.AmqpValue> = messageAnnotations === undefined
    ? {}
    : { ...entriesOf("messageAnnotations", messageAnnotations) }
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
  for (const key of Object.keys(entriesOf(part, entries))) {
    if (entries[key] === undefined) continue
    encodePart(`${part} "${key}"`, () => {
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
  contentType: string | undefined,
  pair: TimeToLive.Pair | undefined
): void => {
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  writeMessageId(writer, "messageId", id)
  // Most messages have an id and a content type: the nulls between and after are not written one by one.
  const { absoluteExpiryTime, correlationId, creationTime, groupSequence, userId } = message
  writeBinary(writer, "userId", userId)
  writeText(writer, checkedText("to", message.to))
  writeText(writer, checkedText("subject", message.subject))
  writeText(writer, checkedText("replyTo", message.replyTo))
  writeMessageId(writer, "correlationId", correlationId)
  writeSymbol(writer, "contentType", message.contentType ?? contentType)
  const { contentEncoding, replyToSessionId, sessionId } = message
  if (
    contentEncoding === undefined && absoluteExpiryTime === undefined && creationTime === undefined &&
    sessionId === undefined && groupSequence === undefined && replyToSessionId === undefined && pair === undefined
  ) return writer.end(list, 7)
  writeSymbol(writer, "contentEncoding", contentEncoding)
  writePair(writer, pair, absoluteExpiryTime, creationTime)
  writeText(writer, limitedText("sessionId", sessionId))
  writeNumber(writer, "groupSequence", "uint", groupSequence)
  writeText(writer, limitedText("replyToSessionId", replyToSessionId))
  writer.end(list, 13)
}

/** Refuses properties that the service would not take, by the length of all sections before the body. */
export const checkPropertiesSize = (length: number): void => {
  if (arePropertiesTooLarge(length)) {
    refuse(
      "properties",
      `with annotations and header they have ${length} bytes, and Service Bus takes ${maxPropertiesSize}`
    )
  }
}

/** The value of an application property, or of one that a settlement changes: a simple one, and not too large. */
const writeProperty = (writer: Writer, part: string, key: string, value: AmqpValue.AmqpValue, isBounded: boolean) => {
  if (!isSimple(value)) {
    refuse(`${part} "${key}"`, "only simple values are allowed; put lists, maps and arrays into the body")
  }
  const before = writer.length
  try {
    writer.value(value)
  } catch (error) {
    if (error instanceof EncodeProblem) refuse(`${part} "${key}"`, error.message)
    throw error
  }
  const size = writer.length - before
  if (isBounded && isPropertyTooLarge(size)) {
    refuse(`${part} "${key}"`, `it has ${size - 5} bytes, and Service Bus takes ${maxPropertySize} in one property`)
  }
}

/**
 * Refuses what may not be a property of a message where a settlement is to change it. Broker and service make application
 * properties of them, so that those would not encode any more, or would be too large. What was written before counts too.
 */
export const checkSettlement = (writer: Writer, properties: Readonly<Record<string, AmqpValue.AmqpValue>>): void => {
  for (const key of Object.keys(properties)) {
    const value = properties[key]
    if (value === undefined) continue
    encodePart(`properties "${key}"`, () => writer.symbol(key))
    writeProperty(writer, "properties", key, value, true)
  }
  checkPropertiesSize(writer.length)
}

/** AMQP 1.0 section 3.2.5: keys are strings, values are simple. Without `isBounded` they may be as large as they are. */
export const writeApplicationProperties = (
  writer: Writer,
  entries: Readonly<Record<string, AmqpValue.AmqpValue>>,
  traceparent?: string,
  isBounded = true
): void => {
  writer.descriptor(0x74)
  const map = writer.begin(0xd1)
  let count = 0
  for (const key of Object.keys(entriesOf("applicationProperties", entries))) {
    const value = entries[key]
    if (value === undefined) continue
    if (!key.isWellFormed()) refuse(`applicationProperties "${key.toWellFormed()}"`, halfPair)
    writer.string(key)
    writeProperty(writer, "applicationProperties", key, value, isBounded)
    count += 2
  }
  if (traceparent !== undefined && !TraceContext.isTraced(entries)) {
    for (const property of TraceContext.properties) {
      writer.string(property)
      writer.string(traceparent)
      count += 2
    }
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

/** Application properties of a message to an entity whose contract declares some, as they are written. */
export const declaredProperties = (
  properties: ServiceBusProperties,
  given: OutgoingMessage<unknown>["applicationProperties"]
): OutgoingMessage<unknown>["applicationProperties"] => {
  const encoded = properties.encode(given === undefined ? {} : entriesOf("applicationProperties", given))
  return Result.isSuccess(encoded) ? encoded.success : refuse("applicationProperties", encoded.failure)
}

export const writeBody = (writer: Writer, body: ServiceBusBody.Sections): void => {
  switch (body.kind) {
    case "empty":
      return
    case "data":
      if (typeof body.data === "string") {
        writer.descriptor(0x75)
        return writer.utf8Binary(checkedText("body", body.data)!)
      }
      if (body.data instanceof Uint8Array) {
        writer.descriptor(0x75)
        return writer.binary(body.data)
      }
      if (!Array.isArray(body.data)) return refuse("body", "data must be a Uint8Array, or many")
      for (const part of body.data) {
        if (!(part instanceof Uint8Array)) return refuse("body", "data must be a Uint8Array, or many")
        writer.descriptor(0x75)
        writer.binary(part)
      }
      return
    case "value":
      writer.descriptor(0x77)
      return encodePart("body", () => writer.value(body.value))
    case "sequence":
      if (!Array.isArray(body.sequences)) return refuse("body", "sequences must be an array of arrays")
      for (const sequence of body.sequences) {
        if (!Array.isArray(sequence)) return refuse("body", "sequences must be an array of arrays")
        writer.descriptor(0x76)
        encodePart("body", () => writer.value(sequence))
      }
  }
}

/**
 * Opens a batch. The envelope repeats of the first message what .NET and JavaScript repeat: its id, its session and its
 * partition keys. `name` is its id where it has none of its own.
 */
export const beginBatch = (writer: Writer, first: Route, name?: string): void => {
  const { partitionKey, sessionId, viaPartitionKey } = first
  writeAnnotations(writer, { body: undefined, partitionKey, viaPartitionKey, sessionId })
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  writeMessageId(writer, "messageId", idOf(first.messageId === undefined ? name : first.messageId))
  if (limitedText("sessionId", sessionId) === undefined) return writer.end(list, 1)
  for (let i = 1; i < 10; i++) writer.null()
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
