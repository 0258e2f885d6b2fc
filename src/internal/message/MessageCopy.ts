/**
 * The copy of a received message that `Settlement.retryAfter` sends, and the ids of copies. Body, footer, properties and
 * application properties are taken over byte for byte; what the broker has added to the delivery is left out.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { createHash } from "node:crypto"
import * as AmqpValue from "../../AmqpValue.ts"
import type { LockedMessage, ReceivedMessage } from "../../ServiceBusMessage.ts"
import type { Sections } from "../amqp/codec/Sections.ts"
import { copyEntries, rawItems, rawSection } from "../amqp/codec/verbatim.ts"
import { Writer } from "../amqp/codec/Writer.ts"
import { asMessageId, firstEnqueuedTimeOf, Received, retryProperties, retryPropertyNames } from "./ReceivedMessage.ts"
import * as TimeToLive from "./TimeToLive.ts"

/** The annotations that the broker adds to a message (Service Bus protocol guide, message annotations). */
const brokerAnnotations = new Set([
  "x-opt-sequence-number",
  "x-opt-enqueue-sequence-number",
  "x-opt-enqueued-time",
  "x-opt-locked-until",
  "x-opt-message-state",
  "x-opt-partition-id",
  "x-opt-deadletter-source",
  "x-opt-scheduled-enqueue-time"
])

const writer = new Writer()

/**
 * Encodes the copy of a message that was received, and gives the size of all of it but body and footer. Times are
 * milliseconds by the wall clock.
 */
export const copyOf = (
  message: LockedMessage<unknown>,
  times: { readonly enqueueAt: number; readonly now: number }
): { readonly payload: Buffer; readonly propertiesSize: number } => {
  const sections = Received.sectionsOf(message)!
  const timeToLive = timeToLiveOf(message)
  writer.reset()
  writeHeader(sections, timeToLive)
  writer.descriptor(0x72)
  const annotations = writer.begin(0xd1)
  const kept = copyEntries(writer, sections, sections.messageAnnotations, brokerAnnotations)
  writer.symbol("x-opt-scheduled-enqueue-time")
  writer.timestamp(times.enqueueAt)
  writer.end(annotations, kept + 2)
  writeProperties(sections, message, timeToLive, times.now)
  writeApplicationProperties(sections, message, times.now)
  const propertiesSize = writer.length
  writer.raw(sections.bytes.subarray(sections.body, sections.bodyEnd))
  if (sections.footer >= 0) {
    writer.descriptor(0x78)
    writer.raw(rawSection(sections, sections.footer))
  }
  return { payload: writer.take(), propertiesSize }
}

const rawOrNull = (bytes: Buffer | undefined): void => bytes === undefined ? writer.null() : writer.raw(bytes)

/** Durable, priority and time to live; the delivery count starts anew. */
const writeHeader = (sections: Sections, timeToLive: number | undefined): void => {
  if (sections.header < 0 && timeToLive === undefined) return
  writer.descriptor(0x70)
  const list = writer.begin(0xd0)
  const header = rawItems(sections, sections.header)
  rawOrNull(header[0])
  rawOrNull(header[1])
  if (timeToLive === undefined) writer.null()
  else writer.uint(Math.min(timeToLive, TimeToLive.longestTtl))
  writer.end(list, 3)
}

/** Whole milliseconds; a peer's 0 means none. */
const timeToLiveOf = ({ timeToLive }: LockedMessage<unknown>): number | undefined =>
  timeToLive === undefined ? undefined : Math.floor(Duration.toMillis(timeToLive)) || undefined

const writeProperties = (
  sections: Sections,
  message: LockedMessage<unknown>,
  timeToLive: number | undefined,
  now: number
): void => {
  const { creationTime } = message
  // The time to live of the copy counts anew; its pair of times is as long as that of the original.
  const pair = timeToLive === undefined
    ? undefined
    : TimeToLive.pairOf(timeToLive, creationTime === undefined ? now : DateTime.toEpochMillis(creationTime))
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  writer.string(idOf(message, `retry-${message.retryAttempt + 1}`))
  const properties = rawItems(sections, sections.properties)
  for (let i = 1; i < 13; i++) {
    if (pair !== undefined && i === 8) writer.timestamp(pair.expiry)
    else if (pair !== undefined && i === 9) writer.timestamp(pair.creation)
    else rawOrNull(properties[i])
  }
  writer.end(list, 13)
}

const originalOf = (message: ReceivedMessage<unknown>): AmqpValue.MessageId =>
  asMessageId(message.applicationProperties[retryProperties.originalMessageId]) ?? message.amqpMessageId ?? ""

/**
 * The id of a message's copy. The same for every copy that is sent of one message for one purpose, so that duplicate
 * detection drops the second one; and another one for every other message, also for one that has this message's id: its
 * sequence number is its own.
 */
export const idOf = (message: ReceivedMessage<unknown>, purpose: string): string => {
  const original = AmqpValue.toText(originalOf(message))
  const suffix = `:${purpose}:${message.sequenceNumber}`
  return original.length + suffix.length <= 128
    ? original + suffix
    : createHash("sha256").update(original).digest("hex") + suffix
}

const writeApplicationProperties = (sections: Sections, message: LockedMessage<unknown>, now: number): void => {
  writer.descriptor(0x74)
  const map = writer.begin(0xd1)
  const kept = copyEntries(writer, sections, sections.applicationProperties, retryPropertyNames)
  writer.string(retryProperties.attempt)
  writer.value(AmqpValue.typed("int", message.retryAttempt + 1))
  writer.string(retryProperties.firstEnqueued)
  const first = firstEnqueuedTimeOf(message)
  writer.timestamp(first === undefined ? now : DateTime.toEpochMillis(first))
  writer.string(retryProperties.originalMessageId)
  const original = originalOf(message)
  writer.value(typeof original === "bigint" ? AmqpValue.typed("ulong", original) : original)
  writer.end(map, kept + 6)
}
