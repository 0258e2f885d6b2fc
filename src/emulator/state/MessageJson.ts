/**
 * Messages of the broker as JSON and back: their properties by the names of this library's messages, the body by what it is, and
 * what the broker knows of them. Every AMQP type stays; of the annotations those that the broker writes itself are left out.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AmqpValue from "../../AmqpValue.ts"
import { isTime } from "../../internal/administration/XmlText.ts"
import { Sections } from "../../internal/amqp/codec/Sections.ts"
import { Writer } from "../../internal/amqp/codec/Writer.ts"
import * as AnnotatedMessage from "../../internal/message/AnnotatedMessage.ts"
import type * as ServiceBusBody from "../../ServiceBusBody.ts"
import { MessageEncodeError } from "../../ServiceBusError.ts"
import { incoming, outgoing } from "../amqp/StoredPayload.ts"
import type { IncomingMessage, KeptMessage, MessageSnapshot } from "../broker/Queue.ts"
import * as DurationJson from "./DurationJson.ts"
import * as ValueJson from "./ValueJson.ts"

// By its name alone: taken out of all of Schema it would keep all of Schema in bundles.
const optionalKey = Schema.optionalKey

/** The number of a message: JSON's own are not exact. */
export const SequenceNumber = Schema.String.check(Schema.isPattern(/^\d{1,16}$/)).annotate({
  identifier: "SequenceNumber",
  description: "A whole number, as a text"
})

/** A value of AMQP. */
export const Value = Schema.Json.annotate({
  identifier: "Value",
  description:
    "A value of AMQP: as it is in JSON, or an object with one key that names its type, such as {\"$long\": \"1\"} or {\"$uuid\": \"…\"}"
})

const Values = Schema.Record(Schema.String, Value)

/** Bytes: as a text, as JSON that stands there, or in base64. */
const contents = [
  Schema.Struct({ text: Schema.String }),
  Schema.Struct({ json: Schema.Json }),
  Schema.Struct({ base64: Schema.String })
] as const

/** Bytes of a state or a part of a body. */
export const Content = Schema.Union(contents).annotate({
  identifier: "Content",
  description: "Bytes: { text }, { json } or { base64 }"
})

const Body = Schema.Union([
  Schema.String,
  ...contents,
  Schema.Struct({ data: Schema.Array(Content) }),
  Schema.Struct({ value: Value }),
  Schema.Struct({ sequences: Schema.Array(Schema.Array(Value)) })
]).annotate({
  identifier: "Body",
  description:
    "A text, or { text }, { json } or { base64 }: one section of bytes; { data }: several; { value }: one value of AMQP; { sequences }: lists of them"
})

const Span = Schema.Union([Schema.Finite, Schema.String])

/** What a sender says of a message. */
export const outgoingFields = {
  messageId: optionalKey(Value),
  sessionId: optionalKey(Schema.String),
  correlationId: optionalKey(Value),
  subject: optionalKey(Schema.String),
  to: optionalKey(Schema.String),
  replyTo: optionalKey(Schema.String),
  replyToSessionId: optionalKey(Schema.String),
  contentType: optionalKey(Schema.String),
  contentEncoding: optionalKey(Schema.String),
  userId: optionalKey(Schema.String),
  groupSequence: optionalKey(Schema.Int),
  creationTime: optionalKey(Schema.String),
  absoluteExpiryTime: optionalKey(Schema.String),
  timeToLive: optionalKey(Span),
  scheduledEnqueueTime: optionalKey(Schema.String),
  durable: optionalKey(Schema.Boolean),
  priority: optionalKey(Schema.Int),
  firstAcquirer: optionalKey(Schema.Boolean),
  applicationProperties: optionalKey(Values),
  annotations: optionalKey(Values),
  deliveryAnnotations: optionalKey(Values),
  footer: optionalKey(Values),
  body: optionalKey(Body)
}

/** A message that is sent. */
export const Outgoing = Schema.Struct(outgoingFields).annotate({ identifier: "OutgoingMessage" })

export type Outgoing = typeof Outgoing.Type

/** A message with what the broker knows of it. */
export const Kept = Schema.Struct({
  sequenceNumber: optionalKey(Schema.String),
  state: optionalKey(Schema.Literals(["active", "scheduled", "deferred"])),
  enqueuedTime: optionalKey(Schema.String),
  expiresAt: optionalKey(Schema.String),
  deliveryCount: optionalKey(Schema.Int),
  wasScheduled: optionalKey(Schema.Boolean),
  firstSequenceNumber: optionalKey(Schema.String),
  hops: optionalKey(Schema.Int),
  deadLetterSource: optionalKey(Schema.String),
  ...outgoingFields
}).annotate({ identifier: "Message" })

export type Kept = typeof Kept.Type

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** The annotations that the broker writes itself, and how many bytes a client has left out. */
const own = new Set([
  "x-opt-enqueued-time",
  "x-opt-sequence-number",
  "x-opt-enqueue-sequence-number",
  "x-opt-locked-until",
  "x-opt-message-state",
  "x-opt-deadletter-source"
])

const scheduledTime = "x-opt-scheduled-enqueue-time"

/** A message as JSON. */
export const toJson = (message: MessageSnapshot): Kept => {
  const bytes = outgoing(message, undefined)
  const sections = new Sections(bytes, 0, bytes.length)
  const { applicationProperties, body, deliveryAnnotations, footer, header, messageAnnotations, properties = {} } =
    AnnotatedMessage.ofSections(sections)
  const annotations = Object.fromEntries(
    Object.entries(messageAnnotations ?? {}).filter(([name, value]) =>
      !own.has(name) && !(name === scheduledTime && isScheduleTime(value, message.enqueueAt))
    )
  )
  // What the broker reckons from the time to live where a sender said nothing is no word of the sender's.
  const { absoluteExpiryTime, creationTime } = message.timeToLive === undefined ? properties : timesOf(message)
  return present({
    sequenceNumber: String(message.sequenceNumber),
    state: message.state,
    enqueuedTime: iso(message.enqueuedAt),
    expiresAt: message.expiresAt === undefined ? undefined : iso(message.expiresAt),
    deliveryCount: message.deliveryCount,
    wasScheduled: message.wasScheduled ? true : undefined,
    firstSequenceNumber: message.firstSequenceNumber === undefined ? undefined : String(message.firstSequenceNumber),
    hops: message.hops,
    deadLetterSource: message.deadLetterSource,
    messageId: ValueJson.toJson(properties.messageId ?? message.messageId),
    sessionId: properties.groupId,
    correlationId: properties.correlationId === undefined ? undefined : ValueJson.toJson(properties.correlationId),
    subject: properties.subject,
    to: properties.to,
    replyTo: properties.replyTo,
    replyToSessionId: properties.replyToGroupId,
    contentType: properties.contentType,
    contentEncoding: properties.contentEncoding,
    userId: properties.userId === undefined ? undefined : Buffer.from(properties.userId).toString("base64"),
    groupSequence: properties.groupSequence,
    creationTime: creationTime === undefined ? undefined : DateTime.formatIso(creationTime),
    absoluteExpiryTime: absoluteExpiryTime === undefined ? undefined : DateTime.formatIso(absoluteExpiryTime),
    timeToLive: message.timeToLive === undefined ? undefined : DurationJson.write(message.timeToLive),
    scheduledEnqueueTime: message.enqueueAt === undefined ? undefined : iso(message.enqueueAt),
    durable: header?.durable,
    priority: header?.priority,
    firstAcquirer: header?.firstAcquirer,
    applicationProperties: recordToJson(applicationProperties),
    annotations: recordToJson(annotations),
    deliveryAnnotations: recordToJson(deliveryAnnotations),
    footer: recordToJson(footer),
    body: bodyToJson(body, properties.contentType)
  })
}

/** Creation and expiry as a message was sent with them. */
const timesOf = (
  { payload }: MessageSnapshot
): Pick<AnnotatedMessage.Properties, "creationTime" | "absoluteExpiryTime"> => {
  const bytes = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload as Buffer
  const sections = new Sections(bytes, 0, bytes.length)
  const items = sections.readList(sections.properties)
  const [absoluteExpiryTime, creationTime] = [items[8], items[9]].map((item) =>
    DateTime.isDateTime(item) ? DateTime.toUtc(item) : undefined
  )
  return { absoluteExpiryTime, creationTime }
}

const isScheduleTime = (value: AmqpValue.AmqpValue, millis: number | undefined): boolean =>
  DateTime.isDateTime(value) && DateTime.toEpochMillis(value) === millis

/** Without what is not there. */
export const present = <A extends object>(fields: { readonly [K in keyof A]: A[K] | undefined }): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

const recordToJson = (
  record: Readonly<Record<string, AmqpValue.AmqpValue>> | undefined
): Record<string, Schema.Json> | undefined => {
  const entries = Object.entries(record ?? {})
  return entries.length === 0
    ? undefined
    : Object.fromEntries(entries.map(([key, value]) => [key, ValueJson.toJson(value)]))
}

const bodyToJson = (body: ServiceBusBody.Sections, contentType: string | undefined): Kept["body"] => {
  switch (body.kind) {
    case "empty":
      return undefined
    case "value":
      return { value: ValueJson.toJson(body.value) }
    case "sequence":
      return { sequences: body.sequences.map((items) => items.map(ValueJson.toJson)) }
    case "data": {
      const { data } = body
      if (typeof data === "string") return { text: data }
      return data instanceof Uint8Array
        ? contentToJson(data, contentType)
        : { data: data.map((part) => contentToJson(part as Uint8Array)) }
    }
  }
}

/** Bytes by what they are: JSON where a content type says so and nothing of it would be lost, a text where they are one. */
export const contentToJson = (bytes: Uint8Array, contentType?: string): typeof Content.Type => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString("utf8")
  if (!Buffer.from(text, "utf8").equals(buffer)) return { base64: buffer.toString("base64") }
  if (contentType === undefined || !/^[^;]*\bjson\b/i.test(contentType)) return { text }
  try {
    const json = JSON.parse(text) as Schema.Json
    return JSON.stringify(json) === text ? { json } : { text }
  } catch {
    return { text }
  }
}

/** Bytes out of JSON. */
export const contentOfJson = (json: typeof Content.Type, path: string): Uint8Array =>
  "text" in json
    ? Buffer.from(json.text, "utf8")
    : "json" in json
    ? Buffer.from(JSON.stringify(json.json), "utf8")
    : ValueJson.bytesOf(json.base64, `${path}.base64`)

const bodyOfJson = (json: Kept["body"], path: string): ServiceBusBody.Sections => {
  if (json === undefined) return { kind: "empty" }
  if (typeof json === "string") return { kind: "data", data: Buffer.from(json, "utf8") }
  if ("value" in json) return { kind: "value", value: ValueJson.ofJson(json.value, `${path}.value`) }
  if ("sequences" in json) {
    const sequences = json.sequences.map((items, index) =>
      items.map((item, at) => ValueJson.ofJson(item, `${path}.sequences[${index}][${at}]`))
    )
    return { kind: "sequence", sequences }
  }
  if (!("data" in json)) return { kind: "data", data: contentOfJson(json, path) }
  return { kind: "data", data: json.data.map((part, index) => contentOfJson(part, `${path}.data[${index}]`)) }
}

const writer = new Writer()

const recordOfJson = (
  json: Readonly<Record<string, Schema.Json>> | undefined,
  path: string
): Record<string, AmqpValue.AmqpValue> | undefined =>
  json === undefined
    ? undefined
    : Object.fromEntries(Object.entries(json).map(([key, value]) => [key, ValueJson.ofJson(value, `${path}.${key}`)]))

/**
 * The bytes of a message. With `now` it is held to what the service takes of a sender. Throws a JsonProblem that names the place.
 */
const encode = (
  json: Outgoing,
  path: string,
  extra: Readonly<Record<string, AmqpValue.AmqpValue>>,
  now: { readonly currentTimeMillisUnsafe: () => number } | undefined
): Buffer => {
  const time = (name: "creationTime" | "absoluteExpiryTime") =>
    json[name] === undefined ? undefined : ValueJson.timeOf(json[name], `${path}.${name}`)
  const id = (name: "messageId" | "correlationId") => {
    const value = json[name] === undefined ? undefined : ValueJson.ofJson(json[name], `${path}.${name}`)
    // A number of an id is a ulong.
    return (AmqpValue.isTyped(value) && value.type === "ulong" ? value.value : value) as AmqpValue.MessageId | undefined
  }
  const annotations = { ...recordOfJson(json.annotations, `${path}.annotations`), ...extra }
  // What is put back has it beside its bytes, however long it is.
  const timeToLive = now === undefined ? undefined : spanOf(json, path)
  const message: AnnotatedMessage.AmqpAnnotatedMessage = {
    header: {
      durable: json.durable,
      priority: json.priority,
      firstAcquirer: json.firstAcquirer,
      timeToLive: timeToLive === undefined ? undefined : Duration.millis(timeToLive)
    },
    deliveryAnnotations: recordOfJson(json.deliveryAnnotations, `${path}.deliveryAnnotations`),
    messageAnnotations: Object.keys(annotations).length === 0 ? undefined : annotations,
    properties: {
      messageId: id("messageId"),
      correlationId: id("correlationId"),
      userId: json.userId === undefined ? undefined : ValueJson.bytesOf(json.userId, `${path}.userId`),
      to: json.to,
      subject: json.subject,
      replyTo: json.replyTo,
      contentType: json.contentType,
      contentEncoding: json.contentEncoding,
      creationTime: time("creationTime"),
      absoluteExpiryTime: time("absoluteExpiryTime"),
      groupId: json.sessionId,
      groupSequence: json.groupSequence,
      replyToGroupId: json.replyToSessionId
    },
    applicationProperties: recordOfJson(json.applicationProperties, `${path}.applicationProperties`),
    footer: recordOfJson(json.footer, `${path}.footer`),
    body: bodyOfJson(json.body, `${path}.body`)
  }
  try {
    if (now === undefined) AnnotatedMessage.encode(writer, message)
    else AnnotatedMessage.encodeToSend(writer, message, now)
    return Buffer.from(writer.take())
  } catch (error) {
    if (!(error instanceof MessageEncodeError)) throw error
    throw new ValueJson.JsonProblem(`${path}.${error.part}`, error.description ?? error.message)
  } finally {
    writer.reset()
  }
}

/** Its time to live in milliseconds. */
const spanOf = ({ timeToLive }: Outgoing, path: string): number | undefined => {
  if (timeToLive === undefined) return undefined
  const millis = Option.match(DurationJson.read(timeToLive), { onNone: () => -1, onSome: Duration.toMillis })
  if (millis < 0 || millis === Infinity) throw new ValueJson.JsonProblem(`${path}.timeToLive`, DurationJson.expected)
  return millis
}

const incomingOf = (bytes: Buffer, path: string): IncomingMessage => {
  try {
    return incoming(bytes)
  } catch (error) {
    throw new ValueJson.JsonProblem(path, error instanceof Error ? error.message : String(error))
  }
}

const millisOf = (json: string | undefined, path: string): number | undefined =>
  json === undefined ? undefined : DateTime.toEpochMillis(ValueJson.timeOf(json, path))

const scheduleOf = (enqueueAt: number | undefined): Readonly<Record<string, AmqpValue.AmqpValue>> =>
  enqueueAt === undefined ? {} : { [scheduledTime]: DateTime.makeUnsafe(enqueueAt) }

/** A message that is sent now; throws a JsonProblem. */
export const toSend = (
  json: Outgoing,
  path: string,
  now: { readonly currentTimeMillisUnsafe: () => number }
): IncomingMessage => {
  const enqueueAt = millisOf(json.scheduledEnqueueTime, `${path}.scheduledEnqueueTime`)
  return incomingOf(encode(json, path, scheduleOf(enqueueAt), now), path)
}

/** The last number that may be given: there are as many again after it that JavaScript knows exactly. */
const lastNumber = 2 ** 52

/** A number of a message. */
export const numberOf = (json: string, path: string, least: number): bigint => {
  const number = /^\d{1,16}$/.test(json) ? Number(json) : NaN
  if (!(number >= least && number <= lastNumber)) {
    throw new ValueJson.JsonProblem(path, `expected a whole number of ${least} to ${lastNumber}, as a text`)
  }
  return BigInt(number)
}

/** Where a message is put. */
export interface Place {
  /** Nothing expires in a dead-letter queue. */
  readonly isDeadLetter: boolean
  readonly requiresSession: boolean
  readonly now: number
  /** The number of a message that says none. */
  readonly next: bigint
}

/** A message that is put back; throws a JsonProblem. */
export const toKeep = (json: Kept, path: string, { isDeadLetter, next, now, requiresSession }: Place): KeptMessage => {
  const fail = (name: string, expected: string): never => {
    throw new ValueJson.JsonProblem(`${path}.${name}`, expected)
  }
  const enqueueAt = millisOf(json.scheduledEnqueueTime, `${path}.scheduledEnqueueTime`)
  const { deliveryCount = 0, hops, state = enqueueAt === undefined ? "active" : "scheduled" } = json
  if (state === "scheduled" && enqueueAt === undefined) fail("scheduledEnqueueTime", "a scheduled message has one")
  if (state !== "scheduled" && enqueueAt !== undefined) {
    fail("scheduledEnqueueTime", "a scheduled message alone has one")
  }
  if (isDeadLetter && state === "scheduled") fail("state", "nothing is scheduled in a dead-letter queue")
  if (requiresSession && json.sessionId === undefined) fail("sessionId", "the entity requires sessions")
  if (deliveryCount < 0) fail("deliveryCount", "expected 0 or more")
  if (hops !== undefined && hops < 0) fail("hops", "expected 0 or more")
  const enqueuedAt = millisOf(json.enqueuedTime, `${path}.enqueuedTime`) ?? now
  if (!isTime(enqueuedAt)) fail("enqueuedTime", "expected a time of the years 1 to 9999")
  const timeToLive = spanOf(json, path)
  const life = state === "scheduled" || timeToLive === undefined ? undefined : enqueuedAt + timeToLive
  const first = json.firstSequenceNumber
  const sent = incomingOf(encode(json, path, scheduleOf(enqueueAt), undefined), path)
  return {
    sequenceNumber: json.sequenceNumber === undefined
      ? next
      : numberOf(json.sequenceNumber, `${path}.sequenceNumber`, 1),
    enqueuedAt,
    expiresAt: isDeadLetter ? undefined : millisOf(json.expiresAt, `${path}.expiresAt`) ?? life,
    timeToLive,
    deliveryCount,
    state,
    wasScheduled: json.wasScheduled === true,
    enqueueAt,
    incoming: {
      ...sent,
      timeToLive,
      ...(first === undefined
        ? undefined
        : { firstSequenceNumber: numberOf(first, `${path}.firstSequenceNumber`, 1) }),
      ...(hops === undefined ? undefined : { hops }),
      ...(json.deadLetterSource === undefined ? undefined : { deadLetterSource: json.deadLetterSource })
    }
  }
}
