/**
 * A message in a line: what a list of messages shows of it, with the first words of its body, so that a page of large messages
 * is small. What a line does not say is in the message itself.
 */
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import * as AmqpValue from "../../AmqpValue.ts"
import { Sections } from "../../internal/amqp/codec/Sections.ts"
import * as AnnotatedMessage from "../../internal/message/AnnotatedMessage.ts"
import { outgoing } from "../amqp/StoredPayload.ts"
import type { BrowsedMessage, MessageSnapshot } from "../broker/Queue.ts"
import * as MessageJson from "../state/MessageJson.ts"
import * as ValueJson from "../state/ValueJson.ts"

/** A message in a line. */
export const Summary = Schema.Struct({
  sequenceNumber: MessageJson.SequenceNumber,
  state: Schema.Literals(["active", "locked", "deferred", "scheduled"]),
  enqueuedTime: Schema.String,
  expiresAt: Schema.optionalKey(Schema.String),
  scheduledEnqueueTime: Schema.optionalKey(Schema.String),
  lockedUntil: Schema.optionalKey(Schema.String),
  deliveryCount: Schema.Int,
  messageId: Schema.optionalKey(Schema.String),
  sessionId: Schema.optionalKey(Schema.String),
  subject: Schema.optionalKey(Schema.String),
  contentType: Schema.optionalKey(Schema.String),
  deadLetterReason: Schema.optionalKey(Schema.String),
  deadLetterErrorDescription: Schema.optionalKey(Schema.String),
  deadLetterSource: Schema.optionalKey(Schema.String),
  sizeInBytes: Schema.Int,
  preview: Schema.String
}).annotate({ identifier: "MessageSummary" })

export type Summary = typeof Summary.Type

/** Characters of a body that are shown, and of whatever else a sender may make long. */
const shown = 160

const iso = (millis: number | undefined): string | undefined =>
  millis === undefined || millis === Infinity ? undefined : DateTime.formatIso(DateTime.makeUnsafe(millis))

const cut = (text: string | undefined): string | undefined =>
  text === undefined || text.length <= shown ? text : `${text.slice(0, shown)}…`

/** A message in a line. */
export const of = (message: BrowsedMessage): Summary => {
  const bytes = outgoing(message, undefined)
  const { applicationProperties = {}, body, properties = {} } = AnnotatedMessage.ofSections(
    new Sections(bytes, 0, bytes.length)
  )
  const added = (name: string): string | undefined => {
    const value = applicationProperties[name]
    return typeof value === "string" ? cut(value) : undefined
  }
  const id = properties.messageId ?? message.messageId
  return MessageJson.present<Summary>({
    sequenceNumber: String(message.sequenceNumber),
    state: message.lockedUntil === undefined ? message.state : "locked",
    enqueuedTime: iso(message.enqueuedAt)!,
    expiresAt: iso(message.expiresAt),
    scheduledEnqueueTime: iso(message.enqueueAt),
    lockedUntil: iso(message.lockedUntil),
    deliveryCount: message.deliveryCount,
    messageId: id === undefined ? undefined : cut(AmqpValue.toText(id)),
    sessionId: cut(properties.groupId),
    subject: cut(properties.subject),
    contentType: cut(properties.contentType),
    deadLetterReason: added("DeadLetterReason"),
    deadLetterErrorDescription: added("DeadLetterErrorDescription"),
    deadLetterSource: message.deadLetterSource,
    sizeInBytes: message.payload.length,
    preview: previewOf(body, message)
  })
}

const previewOf = (body: AnnotatedMessage.AmqpAnnotatedMessage["body"], { payload }: MessageSnapshot): string => {
  switch (body.kind) {
    case "empty":
      return ""
    case "data": {
      const data = typeof body.data === "string" || body.data instanceof Uint8Array ? body.data : body.data[0] ?? ""
      // A character has at most four bytes.
      const text = typeof data === "string"
        ? data
        : Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, shown * 4)).toString("utf8")
      return cut(text.slice(0, shown * 2).replaceAll(/\s+/g, " ").trim())!
    }
    case "value":
    case "sequence":
      // To write a large value out would cost more than to look at it is worth.
      return payload.length > 16 * 1024
        ? `AMQP ${body.kind}`
        : cut(JSON.stringify(
          body.kind === "value"
            ? ValueJson.toJson(body.value)
            : body.sequences.map((items) => items.map(ValueJson.toJson))
        ))!
  }
}
