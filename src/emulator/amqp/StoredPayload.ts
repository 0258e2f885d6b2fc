/**
 * Between what a client sent and what the broker delivers: the message's own sections are kept byte for byte, so that no
 * AMQP type is lost on the way; only the header and the broker's annotations are written anew, and the application
 * properties that a settlement added are joined to the sender's.
 *
 * A stored payload is on memory of its own. What is written for a delivery is a buffer of that delivery alone, however often
 * the message is delivered.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { randomBytes } from "node:crypto"
import * as AmqpValue from "../../AmqpValue.ts"
import * as RuleDescription from "../../internal/administration/RuleDescription.ts"
import { ownBytes } from "../../internal/amqp/codec/OwnedBytes.ts"
import { Reader } from "../../internal/amqp/codec/Reader.ts"
import { Sections } from "../../internal/amqp/codec/Sections.ts"
import { copyEntries, rawItem, rawItems, rawSection } from "../../internal/amqp/codec/verbatim.ts"
import { EncodeProblem, Writer } from "../../internal/amqp/codec/Writer.ts"
import {
  arePropertiesTooLarge,
  isPropertyTooLarge,
  maxPropertiesSize,
  maxPropertySize
} from "../../internal/message/PropertyQuotas.ts"
import { longestTtl } from "../../internal/message/TimeToLive.ts"
import { type Changes, FilterError } from "../broker/filter/FilterMessage.ts"
import type { Delivery, IncomingMessage, MessageSnapshot, Payload } from "../broker/Queue.ts"
import { plainOf } from "../broker/Store.ts"

/** A message over a quota: the property that is too large, or all of them together where none is named. */
export class QuotaProblem extends Error {
  readonly property: string | undefined

  constructor(property: string | undefined) {
    super(
      property === undefined
        ? `the properties have more than ${maxPropertiesSize} bytes`
        : `the property "${property}" has more than ${maxPropertySize} bytes`
    )
    this.property = property
  }
}

/** A property that no message may have so: a text that is too long, or a partition key that is not the session's. */
export class PropertyProblem extends Error {}

/** Payloads of up to so many bytes are strings. Larger ones would fill the heap, which has a limit, and buffers have none. */
const small = 4096

/** The bytes on memory of their own: neither the read buffer that they came in nor a pool, which are much larger. */
const owned = (bytes: Buffer): Payload => bytes.length <= small ? bytes.toString("latin1") : ownBytes(bytes)

const scratch = Buffer.allocUnsafeSlow(small)

/** The sections of a stored message: good until the next ones are asked for. */
const sectionsOf = ({ payload }: { readonly payload: Payload }): Sections => {
  if (typeof payload !== "string") return new Sections(payload as Buffer, 0, payload.length)
  // Not stored by `incoming`.
  const bytes = payload.length <= small ? scratch : Buffer.allocUnsafe(payload.length)
  bytes.write(payload, 0, payload.length, "latin1")
  return new Sections(bytes, 0, payload.length)
}

/**
 * What the broker needs to know of a message. Throws a DecodeProblem where the bytes are no message, a QuotaProblem where
 * its properties are too large, and a PropertyProblem where one of them is none.
 */
export const incoming = (bytes: Buffer): IncomingMessage => {
  const sections = new Sections(bytes, 0, bytes.length)
  const propertiesSize = sizeOf(sections)
  if (propertiesSize > maxPropertySize) checkQuotas(sections, propertiesSize)
  const properties = sections.readList(sections.properties)
  const header = sections.readList(sections.header)
  const annotations = sections.messageAnnotations < 0 ? none : sections.readRecord(sections.messageAnnotations)
  checkIds(properties, annotations)
  const id = properties[0]
  return {
    payload: owned(bytes),
    // The service names a message that has no name; there are clients that cannot settle without one.
    messageId: id === null || id === undefined ? newMessageId() : textOfId(id, sections),
    sessionId: typeof properties[10] === "string" ? properties[10] : undefined,
    timeToLive: lifeOf(properties[9], properties[8]) ?? positive(header[2]),
    enqueueAt: enqueueAt(annotations),
    propertiesSize
  }
}

const none: Readonly<Record<string, AmqpValue.AmqpValue>> = {}

/** The most characters of an id or key (Service Bus quotas). */
const longestId = 128

/**
 * What the service holds by itself too, and for messages of a batch all together: the lengths of ids and keys
 * (azure-sdk-for-net #32689), and that a session is the partition key where both are there, partitions or not
 * (azure-sdk-for-net PR #13961, azure-sdk-for-js #10326).
 */
const checkIds = (properties: ReadonlyArray<AmqpValue.AmqpValue>, annotations: typeof none): void => {
  const { "x-opt-partition-key": partitionKey, "x-opt-via-partition-key": viaPartitionKey } = annotations
  const sessionId = properties[10]
  checkLength("message-id", properties[0])
  checkLength("group-id (SessionId)", sessionId)
  checkLength("reply-to-group-id (ReplyToSessionId)", properties[12])
  checkLength("x-opt-partition-key (PartitionKey)", partitionKey)
  checkLength("x-opt-via-partition-key (ViaPartitionKey)", viaPartitionKey)
  if (typeof sessionId === "string" && typeof partitionKey === "string" && sessionId !== partitionKey) {
    throw new PropertyProblem("The PartitionKey of a message must be its SessionId where it has both.")
  }
}

const checkLength = (name: string, value: AmqpValue.AmqpValue): void => {
  if (typeof value !== "string" || value.length <= longestId) return
  throw new PropertyProblem(`The ${name} has ${value.length} characters; a message may have ${longestId} there.`)
}

/** An id of a type that AMQP does not have for ids is known by its bytes. */
const textOfId = (id: AmqpValue.AmqpValue, sections: Sections): string => {
  const text: unknown = AmqpValue.toText(id as AmqpValue.MessageId)
  return typeof text === "string" ? text : rawItem(sections, sections.properties, 0)!.toString("hex")
}

const newMessageId = (): string => randomBytes(16).toString("hex")

const positive = (value: AmqpValue.AmqpValue): number | undefined =>
  typeof value === "number" && value > 0 ? value : undefined

/**
 * The time to live that a creation-time and an absolute-expiry-time mean together, in milliseconds. It goes before the header's
 * ttl, which is a uint and ends at 49.7 days: clients write its largest value there, and the truth here. Not `ofPair` of
 * TimeToLive: an expiry that means never to a client is an end like any other here, and comes back as the sender wrote it.
 */
const lifeOf = (creation: AmqpValue.AmqpValue, expiry: AmqpValue.AmqpValue): number | undefined => {
  const from = millisOf(creation)
  const until = millisOf(expiry)
  return from === undefined || until === undefined ? undefined : positive(until - from)
}

const millisOf = (value: AmqpValue.AmqpValue): number | undefined => {
  if (DateTime.isDateTime(value)) return DateTime.toEpochMillis(value)
  // Outside of what a date can hold.
  return AmqpValue.isTyped(value) && value.type === "timestamp" ? Number(value.value) : undefined
}

/** When a message is to be enqueued, in milliseconds. */
const enqueueAt = ({ "x-opt-scheduled-enqueue-time": at }: typeof none): number | undefined => {
  return DateTime.isDateTime(at) ? DateTime.toEpochMillis(at) : undefined
}

/** Bytes of all sections but the body and the footer, with their descriptors. */
const sizeOf = (sections: Sections): number => {
  const rest = sections.bytes.length - (sections.bodyEnd - sections.body)
  return sections.footer < 0 ? rest : rest - footerSize(sections)
}

const footerSize = (sections: Sections): number => {
  const { bytes, footer } = sections
  const size = rawSection(sections, footer).length
  // The descriptor as all write it; any other makes the count a few bytes larger.
  return size + (footer >= 3 && bytes[footer - 2] === 0x53 ? 3 : 0)
}

const checkQuotas = (sections: Sections, size: number): void => {
  if (arePropertiesTooLarge(size)) throw new QuotaProblem(undefined)
  if (sections.applicationProperties < 0) return
  const reader = new Reader(sections.bytes, sections.applicationProperties, sections.end)
  for (let left = reader.map(); left > 0; left -= 2) {
    const key = reader.value()
    const start = reader.position
    reader.skip()
    if (isPropertyTooLarge(reader.position - start)) {
      throw new QuotaProblem(AmqpValue.isTyped(key) ? String(key.value) : String(key))
    }
  }
}

/** Whether a rule can have a value: it is listed over AMQP and over HTTP. */
export const isRuleValue = (value: unknown): boolean => {
  try {
    return RuleDescription.typedTextOf(value as AmqpValue.AmqpValue) !== undefined
  } catch {
    // What it has throws.
    return false
  }
}

/**
 * Whether a stored message keeps to the quotas with the properties that a settlement or the broker adds: what is added replaces
 * what the sender gave of that name.
 */
export const fits = (message: IncomingMessage, properties: ReadonlyMap<string, AmqpValue.AmqpValue>): boolean => {
  const before = message.propertiesSize ?? 0
  let added = 0
  try {
    for (const [key, value] of properties) {
      writer.string(key)
      const at = writer.length
      writer.value(value)
      if (isPropertyTooLarge(writer.length - at)) return false
    }
    added = writer.length
    if (!arePropertiesTooLarge(before + added)) return true
    const sections = sectionsOf(message)
    writer.reset()
    copyEntries(writer, sections, sections.applicationProperties, properties)
    const kept = writer.length
    writer.reset()
    copyEntries(writer, sections, sections.applicationProperties, nothing)
    return !arePropertiesTooLarge(before + added - (writer.length - kept))
  } finally {
    writer.reset()
  }
}

const nothing: ReadonlySet<string> = new Set()

/** The properties of the bare message that an action may set, by their place; an AMQP string each (AMQP 1.0 section 3.2.4). */
const settableItems = new Map(
  [
    [0, "messageid"],
    [2, "to"],
    [3, "label"],
    [4, "replyto"],
    [5, "correlationid"],
    [6, "contenttype"],
    [10, "sessionid"],
    [12, "replytosessionid"]
  ] as const
)

/** Where the absolute-expiry-time stands. */
const expiry = 8

const settableAnnotations = new Map(
  [
    ["partitionkey", "x-opt-partition-key"],
    ["viapartitionkey", "x-opt-via-partition-key"],
    ["scheduledenqueuetimeutc", "x-opt-scheduled-enqueue-time"]
  ] as const
)

/**
 * A message with the changes of a rule's action, or of whatever else moves it on: what they name is written anew, all else is as
 * it was, byte for byte. When it is to be enqueued does not change: a new time counts where it is sent on (Service Bus, topic
 * filters). Throws a FilterError where a value has no AMQP form.
 */
export const change = (message: IncomingMessage, changes: Changes): IncomingMessage => {
  const { system } = changes
  const bytes = rewritten(sectionsOf(message), changes)
  const timeToLive = system.get("timetolive")
  return {
    ...plainOf(message),
    payload: owned(bytes),
    messageId: system.has("messageid")
      ? system.get("messageid") as string | undefined ?? newMessageId()
      : message.messageId,
    sessionId: system.has("sessionid") ? system.get("sessionid") as string | undefined : message.sessionId,
    timeToLive: system.has("timetolive")
      ? timeToLive === undefined ? undefined : Duration.toMillis(timeToLive as Duration.Duration)
      : message.timeToLive,
    // Its life is another one now.
    ...(system.has("timetolive") && message.expiresAt !== undefined ? { expiresAt: undefined } : undefined),
    propertiesSize: sizeOf(new Sections(bytes, 0, bytes.length)),
    ...(system.has("scheduledenqueuetimeutc")
      ? { enqueueNextAt: millisOf(system.get("scheduledenqueuetimeutc")) }
      : undefined)
  }
}

/** A message that is to be enqueued at another time, in milliseconds, and says so; all else is as it was, byte for byte. */
export const reschedule = (message: IncomingMessage, enqueueAt: number): IncomingMessage => {
  const time = AmqpValue.typed("timestamp", BigInt(Math.floor(enqueueAt)))
  const bytes = rewritten(sectionsOf(message), {
    system: new Map([["scheduledenqueuetimeutc", time]]),
    properties: new Map()
  })
  return {
    ...plainOf(message),
    payload: owned(bytes),
    enqueueAt,
    propertiesSize: sizeOf(new Sections(bytes, 0, bytes.length))
  }
}

const rewritten = (sections: Sections, { properties, system }: Changes): Buffer => {
  try {
    copySection(sections, sections.header, 0x70)
    copySection(sections, sections.deliveryAnnotations, 0x71)
    rewriteAnnotations(sections, system)
    rewriteProperties(sections, system)
    rewriteApplicationProperties(sections, properties)
    writer.raw(sections.bytes.subarray(sections.body, sections.bodyEnd))
    copySection(sections, sections.footer, 0x78)
    return writer.take()
  } catch (problem) {
    throw problem instanceof EncodeProblem ? new FilterError(problem.message) : problem
  } finally {
    // What was written before a problem belongs to no message.
    writer.reset()
  }
}

const copySection = (sections: Sections, at: number, code: number): void => {
  if (at < 0) return
  writer.descriptor(code)
  writer.raw(rawSection(sections, at))
}

const rewriteAnnotations = (sections: Sections, system: Changes["system"]): void => {
  const changed = new Map(
    [...settableAnnotations].flatMap(([name, key]) =>
      system.has(name) ? [[key as string, system.get(name)] as const] : []
    )
  )
  rewriteMap(sections, sections.messageAnnotations, 0x72, changed, (key) => writer.symbol(key))
}

const rewriteProperties = (sections: Sections, system: Changes["system"]): void => {
  const items = [...settableItems].filter(([, name]) => system.has(name))
  const isEndless = system.has("timetolive") && system.get("timetolive") === undefined
  if (items.length === 0 && !isEndless) return copySection(sections, sections.properties, 0x73)
  const names = new Map<number, (typeof items)[number][1]>(items)
  const before = rawItems(sections, sections.properties)
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  for (let i = 0; i < 13; i++) {
    const name = names.get(i)
    // Without a time to live it has no expiry either.
    if (name === undefined) rawOrNull(isEndless && i === expiry ? undefined : before[i])
    else writer.value(system.get(name))
  }
  writer.end(list, 13)
}

const rewriteApplicationProperties = (sections: Sections, changed: Changes["properties"]): void =>
  rewriteMap(sections, sections.applicationProperties, 0x74, changed, (key) => writer.string(key))

/** A section that is a map, with these entries in place of those of their names; one that is undefined is left out. */
const rewriteMap = (
  sections: Sections,
  at: number,
  code: number,
  changed: ReadonlyMap<string, AmqpValue.AmqpValue>,
  writeKey: (key: string) => void
): void => {
  if (changed.size === 0) return copySection(sections, at, code)
  writer.descriptor(code)
  const map = writer.begin(0xd1)
  let count = copyEntries(writer, sections, at, changed)
  for (const [key, value] of changed) {
    if (value === undefined) continue
    writeKey(key)
    writer.value(value)
    count += 2
  }
  writer.end(map, count)
}

/** The messages of a batch (Service Bus protocol guide): the data sections of its envelope. */
export const unpack = (bytes: Buffer): ReadonlyArray<IncomingMessage> => {
  const body = new Sections(bytes, 0, bytes.length).readBody()
  if (body.kind !== "data" || typeof body.data === "string") return []
  const parts = body.data instanceof Uint8Array ? [body.data] : body.data
  return parts.map((part) => incoming(part as Buffer))
}

/** The annotations of the broker; a sender's values under these names are not passed on. */
const brokerAnnotations = new Set([
  "x-opt-enqueued-time",
  "x-opt-sequence-number",
  "x-opt-enqueue-sequence-number",
  "x-opt-locked-until",
  "x-opt-message-state",
  "x-opt-deadletter-source"
])

const lockTokenName = "x-opt-lock-token"
/** How many bytes were left out of a message that is peeked without its body (live tests of Microsoft's JavaScript client). */
const omittedName = "omitted-message-body-size"
const brokerDeliveryAnnotations = new Set([lockTokenName, omittedName])

const states = { deferred: 1, scheduled: 2 }

/** The last time that .NET knows. */
const lastTime = 253_402_300_799_999

const writer = new Writer()

/** The message as it goes to a receiver, under a lock or without one. */
export const outgoing = (message: MessageSnapshot, lock: Lock | undefined, isBodyless?: boolean): Buffer => {
  const sections = sectionsOf(message)
  writeHeader(message, sections)
  writeDeliveryAnnotations(sections, lock, isBodyless === true ? sections.bodyEnd - sections.body : 0)
  writeAnnotations(message, sections, lock)
  writeProperties(message, sections)
  writeApplicationProperties(message, sections)
  if (isBodyless !== true) writer.raw(sections.bytes.subarray(sections.body, sections.bodyEnd))
  if (sections.footer >= 0) {
    writer.descriptor(0x78)
    writer.raw(rawSection(sections, sections.footer))
  }
  return writer.take()
}

/** The lock that a message is delivered under; `lockedUntil` in milliseconds. */
type Lock = Pick<Delivery, "lockToken" | "lockedUntil">

const rawOrNull = (bytes: Buffer | undefined): void => bytes === undefined ? writer.null() : writer.raw(bytes)

const writeHeader = (message: MessageSnapshot, sections: Sections): void => {
  const items = rawItems(sections, sections.header)
  writer.descriptor(0x70)
  const list = writer.begin(0xd0)
  rawOrNull(items[0])
  rawOrNull(items[1])
  if (message.timeToLive === undefined) writer.null()
  else writer.uint(Math.min(Math.floor(message.timeToLive), longestTtl))
  rawOrNull(items[3])
  // Always there: clients read it by position.
  writer.uint(message.deliveryCount)
  writer.end(list, 5)
}

/** The sender's own come back; the section is there also where it is empty (live tests of Microsoft's Python client). */
const writeDeliveryAnnotations = (sections: Sections, lock: Lock | undefined, omitted: number): void => {
  writer.descriptor(0x71)
  const map = writer.begin(0xd1)
  let count = copyEntries(writer, sections, sections.deliveryAnnotations, brokerDeliveryAnnotations)
  if (lock !== undefined) {
    // For clients that do not read the delivery tag, which carries it too.
    writer.symbol(lockTokenName)
    writer.uuid(lock.lockToken)
    count += 2
  }
  if (omitted > 0) {
    writer.symbol(omittedName)
    writer.value(BigInt(omitted))
    count += 2
  }
  writer.end(map, count)
}

/** What is not on this message is left out: clients count what there is (tests of azure-servicebus). */
const writeAnnotations = (message: MessageSnapshot, sections: Sections, lock: Lock | undefined): void => {
  writer.descriptor(0x72)
  const map = writer.begin(0xd1)
  let count = copyEntries(writer, sections, sections.messageAnnotations, brokerAnnotations)
  const put = (key: string, value: AmqpValue.AmqpValue) => {
    writer.symbol(key)
    writer.value(value)
    count += 2
  }
  const putTime = (key: string, millis: number) => {
    writer.symbol(key)
    writer.timestamp(millis)
    count += 2
  }
  putTime("x-opt-enqueued-time", message.enqueuedAt)
  put("x-opt-sequence-number", message.sequenceNumber)
  if (message.firstSequenceNumber !== undefined) put("x-opt-enqueue-sequence-number", message.firstSequenceNumber)
  if (message.deadLetterSource !== undefined) put("x-opt-deadletter-source", message.deadLetterSource)
  if (lock !== undefined) putTime("x-opt-locked-until", lock.lockedUntil)
  const state = message.state === "active" && message.wasScheduled ? "scheduled" : message.state
  if (state !== "active") put("x-opt-message-state", states[state])
  writer.end(map, count)
}

/**
 * Creation-time and absolute-expiry-time say the time to live that holds, to the millisecond, as the header does where a
 * uint can: clients take their difference. As the sender wrote them where that is what they say; otherwise they count from
 * its creation-time or, where it gave none, from when the message was enqueued.
 */
const writeProperties = (message: MessageSnapshot, sections: Sections): void => {
  const life = message.timeToLive === undefined ? undefined : Math.floor(message.timeToLive)
  const named = rawItem(sections, sections.properties, 0) !== undefined
  writer.descriptor(0x73)
  if (named && life === undefined) {
    writer.raw(rawSection(sections, sections.properties))
    return
  }
  const items = rawItems(sections, sections.properties)
  const creation = timeIn(items[9])
  const isSaid = life === undefined || creation !== undefined && (timeIn(items[8]) ?? NaN) - creation === life
  const from = creation ?? message.enqueuedAt
  const list = writer.begin(0xd0)
  for (let i = 0; i < 13; i++) {
    if (i === 0 && !named) writer.value(message.messageId)
    else if (i === 8 && !isSaid) writer.timestamp(Math.min(from + life, lastTime))
    else if (i === 9 && !isSaid && creation === undefined) writer.timestamp(from)
    else rawOrNull(items[i])
  }
  writer.end(list, 13)
}

/** An encoded timestamp in milliseconds; undefined where .NET could not read it either. */
const timeIn = (item: Buffer | undefined): number | undefined => {
  if (item?.[0] !== 0x83) return undefined
  const millis = Number(item.readBigInt64BE(1))
  return Math.abs(millis) <= lastTime + 1 ? millis : undefined
}

const writeApplicationProperties = (message: MessageSnapshot, sections: Sections): void => {
  if (sections.applicationProperties < 0 && message.properties.size === 0) return
  writer.descriptor(0x74)
  const map = writer.begin(0xd1)
  let count = copyEntries(writer, sections, sections.applicationProperties, message.properties)
  for (const [key, value] of message.properties) {
    writer.string(key)
    writer.value(value)
    count += 2
  }
  writer.end(map, count)
}
