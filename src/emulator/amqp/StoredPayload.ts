/**
 * Between what a client sent and what the broker delivers: the message's own sections are kept byte for byte, so that no
 * AMQP type is lost on the way; only the header and the broker's annotations are written anew, and the application
 * properties that a settlement added are joined to the sender's.
 */
import * as DateTime from "effect/DateTime"
import { randomUUID } from "node:crypto"
import * as AmqpValue from "../../AmqpValue.ts"
import { Sections } from "../../internal/amqp/dataPlane/Sections.ts"
import { copyEntries, rawItem, rawItems, rawSection } from "../../internal/amqp/dataPlane/verbatim.ts"
import { Writer } from "../../internal/amqp/dataPlane/Writer.ts"
import type { IncomingMessage, StoredMessage } from "../Queue.ts"

/** What the broker needs to know of a message. Throws a DecodeProblem where the bytes are no message. */
export const incoming = (bytes: Buffer): IncomingMessage => {
  const sections = new Sections(bytes, 0, bytes.length)
  const properties = sections.readList(sections.properties)
  const header = sections.readList(sections.header)
  const id = properties[0]
  const timeToLive = header[2]
  return {
    // Its own bytes: the read buffer that it came in is much larger.
    payload: Buffer.from(bytes),
    // The service names a message that has no name; there are clients that cannot settle without one.
    messageId: id === null || id === undefined
      ? randomUUID().replaceAll("-", "")
      : AmqpValue.toText(id as AmqpValue.MessageId),
    sessionId: typeof properties[10] === "string" ? properties[10] : undefined,
    timeToLive: typeof timeToLive === "number" && timeToLive > 0 ? timeToLive : undefined,
    enqueueAt: enqueueAt(sections)
  }
}

/** When a message is to be enqueued, in milliseconds. */
const enqueueAt = (sections: Sections): number | undefined => {
  if (sections.messageAnnotations < 0) return undefined
  const at = sections.readRecord(sections.messageAnnotations)["x-opt-scheduled-enqueue-time"]
  return DateTime.isDateTime(at) ? DateTime.toEpochMillis(at) : undefined
}

/** The messages of a batch (Service Bus protocol guide): the data sections of its envelope. */
export const unpack = (bytes: Buffer): ReadonlyArray<IncomingMessage> => {
  const body = new Sections(bytes, 0, bytes.length).readBody()
  if (body.kind !== "data" || typeof body.data === "string") return []
  const parts = body.data instanceof Uint8Array ? [body.data] : body.data
  return parts.map((part) => incoming(part as Buffer))
}

/** What the broker says itself; a sender's values under these names are not passed on. */
const broker = new Set([
  "x-opt-enqueued-time",
  "x-opt-sequence-number",
  "x-opt-enqueue-sequence-number",
  "x-opt-locked-until",
  "x-opt-message-state"
])

const states = { active: 0, deferred: 1, scheduled: 2 }

const writer = new Writer()

/** The message as it goes to a receiver. `lockedUntil` in milliseconds; undefined where there is no lock. */
export const outgoing = (
  message: StoredMessage,
  lockedUntil: number | undefined,
  lockToken?: string,
  isBodyless?: boolean
): Buffer => {
  const bytes = message.payload as Buffer
  const sections = new Sections(bytes, 0, bytes.length)
  writeHeader(message, sections)
  if (lockToken !== undefined) {
    // There is no delivery tag to carry it where a message comes in a response.
    writer.descriptor(0x71)
    writer.annotations([["x-opt-lock-token", AmqpValue.uuid(lockToken)]])
  }
  writeAnnotations(message, sections, lockedUntil)
  writeProperties(message, sections)
  writeApplicationProperties(message, sections)
  if (isBodyless !== true) writer.raw(bytes.subarray(sections.body, sections.bodyEnd))
  if (sections.footer >= 0) {
    writer.descriptor(0x78)
    writer.raw(rawSection(sections, sections.footer))
  }
  return writer.take()
}

const rawOrNull = (bytes: Buffer | undefined): void => bytes === undefined ? writer.null() : writer.raw(bytes)

const writeHeader = (message: StoredMessage, sections: Sections): void => {
  const items = rawItems(sections, sections.header)
  writer.descriptor(0x70)
  const list = writer.begin(0xd0)
  rawOrNull(items[0])
  rawOrNull(items[1])
  if (message.timeToLive === undefined) writer.null()
  else writer.uint(Math.min(Math.floor(message.timeToLive), 4294967295))
  rawOrNull(items[3])
  // Always there: clients read it by position.
  writer.uint(message.deliveryCount)
  writer.end(list, 5)
}

const writeAnnotations = (message: StoredMessage, sections: Sections, lockedUntil: number | undefined): void => {
  writer.descriptor(0x72)
  const map = writer.begin(0xd1)
  let count = copyEntries(writer, sections, sections.messageAnnotations, broker)
  const put = (key: string, value: AmqpValue.AmqpValue) => {
    writer.symbol(key)
    writer.value(value)
    count += 2
  }
  put("x-opt-enqueued-time", DateTime.makeUnsafe(message.enqueuedAt))
  put("x-opt-sequence-number", message.sequenceNumber)
  put("x-opt-enqueue-sequence-number", message.sequenceNumber)
  if (lockedUntil !== undefined) put("x-opt-locked-until", DateTime.makeUnsafe(lockedUntil))
  put("x-opt-message-state", states[message.state])
  writer.end(map, count)
}

const writeProperties = (message: StoredMessage, sections: Sections): void => {
  const named = rawItem(sections, sections.properties, 0) !== undefined
  writer.descriptor(0x73)
  if (named && message.expiresAt === undefined) {
    writer.raw(rawSection(sections, sections.properties))
    return
  }
  const items = rawItems(sections, sections.properties)
  const list = writer.begin(0xd0)
  for (let i = 0; i < 13; i++) {
    if (i === 0 && !named) writer.value(message.messageId)
    // The broker's word on when the message expires goes before the sender's.
    else if (i === 8 && message.expiresAt !== undefined) writer.timestamp(Math.floor(message.expiresAt))
    else rawOrNull(items[i])
  }
  writer.end(list, 13)
}

const writeApplicationProperties = (message: StoredMessage, sections: Sections): void => {
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
