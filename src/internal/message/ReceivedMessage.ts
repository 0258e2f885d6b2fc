/**
 * Messages as they are received: the fields of Service Bus over the sections of a delivery, each decoded when it is first read
 * (AMQP 1.0 section 3.2; Service Bus protocol guide). A message under a lock holds its delivery, and the receiver that gave it
 * to the caller; neither is visible.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as AmqpValue from "../../AmqpValue.ts"
import {
  declared,
  type DestructiveMessage,
  detach,
  type LockedMessage,
  type LockToken,
  type MessageState,
  type PeekedMessage,
  type ReceivedMessage
} from "../../ServiceBusMessage.ts"
import type { ServiceBusProperties } from "../../ServiceBusProperties.ts"
import { ownBytes } from "../amqp/codec/OwnedBytes.ts"
import { canonical, DecodeProblem, Reader } from "../amqp/codec/Reader.ts"
import { Sections } from "../amqp/codec/Sections.ts"
import { hexDigit } from "../amqp/codec/Writer.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as TimeToLive from "./TimeToLive.ts"

/**
 * A delivery tag as a lock token: the bytes of a .NET Guid, whose first three groups are little-endian (Service Bus
 * protocol guide). The empty string where the tag is no token.
 */
export const tokenFromTag = (tag: Buffer): LockToken => {
  if (tag.length !== 16) return "" as LockToken
  const hex = tag.toString("hex")
  return canonical(swap(hex)) as LockToken
}

/** Where in the text of a Guid the digits of each byte of its tag stand. */
const places = [6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34]

/** The delivery tag of a lock token, which is a uuid; on memory of its own, because it stays as long as the lock. */
export const tagFromToken = (token: string): Buffer => {
  const tag = Buffer.allocUnsafeSlow(16)
  for (let i = 0; i < 16; i++) {
    const at = places[i]!
    tag[i] = 16 * hexDigit(token.charCodeAt(at)) + hexDigit(token.charCodeAt(at + 1))
  }
  return tag
}

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

const millisOf = (value: AmqpValue.AmqpValue): number | undefined =>
  DateTime.isDateTime(value) ? DateTime.toEpochMillis(value) : undefined

export const asMessageId = (value: AmqpValue.AmqpValue): AmqpValue.MessageId | undefined => {
  if (typeof value === "string" || typeof value === "bigint" || value instanceof Uint8Array) return value
  if (Number.isInteger(value)) return BigInt(value as number)
  return AmqpValue.isTyped(value) && value.type === "uuid" ? value as AmqpValue.Typed<"uuid", string> : undefined
}

/** The application properties by which a copy of `Settlement.retryAfter` knows what it is a copy of. */
export const retryProperties = {
  attempt: "retry-attempt",
  firstEnqueued: "retry-first-enqueued",
  originalMessageId: "retry-original-message-id"
} as const

export const retryPropertyNames: ReadonlySet<string> = new Set(Object.values(retryProperties))

/** Stands where a broker leaves out a time that Service Bus always says. */
const unknownTime = DateTime.makeUnsafe(0)

/** When a message was enqueued; undefined where the broker did not say. */
const enqueuedTimeOf = (message: ReceivedMessage<unknown>): DateTime.Utc | undefined =>
  asTime(message.messageAnnotations["x-opt-enqueued-time"])

/** When a message was enqueued first; undefined where neither it nor the broker says. */
export const firstEnqueuedTimeOf = (message: ReceivedMessage<unknown>): DateTime.Utc | undefined =>
  asTime(message.applicationProperties[retryProperties.firstEnqueued]) ?? enqueuedTimeOf(message)

/** Private names are seen without asking the value itself, which may be a proxy. */
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/**
 * A received message over its bytes. `body` is there from the start; everything else is decoded when it is first read.
 */
export abstract class Received<A> implements ReceivedMessage<A> {
  abstract readonly _tag: string
  readonly body: A
  readonly #sections: Sections
  #header: ReadonlyArray<AmqpValue.AmqpValue> | undefined
  #properties: ReadonlyArray<AmqpValue.AmqpValue> | undefined
  #annotations: Record<string, AmqpValue.AmqpValue> | undefined
  #applicationProperties: Record<string, AmqpValue.AmqpValue> | undefined
  readonly #declared: object | undefined

  /** `properties` are those that the contract declares, decoded. */
  constructor(sections: Sections, body: A, properties?: object) {
    this.#sections = sections
    this.body = body
    this.#declared = properties
  }

  private get header(): ReadonlyArray<AmqpValue.AmqpValue> {
    return this.#header ??= this.#sections.readList(this.#sections.header)
  }
  private get properties(): ReadonlyArray<AmqpValue.AmqpValue> {
    return this.#properties ??= this.#sections.readList(this.#sections.properties)
  }
  protected get sections(): Sections {
    return this.#sections
  }
  get messageAnnotations(): Record<string, AmqpValue.AmqpValue> {
    return this.#annotations ??= this.#sections.readRecord(this.#sections.messageAnnotations)
  }
  get applicationProperties(): Record<string, AmqpValue.AmqpValue> {
    return this.#applicationProperties ??= this.#declared === undefined
      ? this.#sections.readRecord(this.#sections.applicationProperties)
      : { ...this.#sections.readRecord(this.#sections.applicationProperties), ...this.#declared }
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
    const millis = this.lifetime()
    return millis === undefined || millis === Infinity ? undefined : Duration.millis(millis)
  }
  /** How long the message may wait, in milliseconds: its pair of times goes before the header. */
  private lifetime(): number | undefined {
    return TimeToLive.ofPair(millisOf(this.properties[9]), millisOf(this.properties[8])) ?? asNumber(this.header[2])
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
  get enqueuedTime(): DateTime.Utc {
    return enqueuedTimeOf(this) ?? unknownTime
  }
  get expiresAt(): DateTime.Utc | undefined {
    const { absoluteExpiryTime } = this
    const enqueuedTime = enqueuedTimeOf(this)
    const expiry = millisOf(absoluteExpiryTime)
    // A pair may be as the sender wrote it, by its own clock: only its difference is certain.
    const isPaired = TimeToLive.ofPair(millisOf(this.properties[9]), expiry) !== undefined
    if (expiry !== undefined && expiry < TimeToLive.latestExpiry && (!isPaired || enqueuedTime === undefined)) {
      return absoluteExpiryTime
    }
    const timeToLive = this.lifetime()
    if (enqueuedTime === undefined || timeToLive === undefined) return undefined
    const millis = DateTime.toEpochMillis(enqueuedTime) + timeToLive
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
  get retryAttempt(): number {
    const attempt = asNumber(this.applicationProperties[retryProperties.attempt])
    return attempt !== undefined && Number.isInteger(attempt) && attempt > 0 && attempt < 0x7fffffff ? attempt : 0
  }
  get firstEnqueuedTime(): DateTime.Utc {
    return firstEnqueuedTimeOf(this) ?? unknownTime
  }
  get size(): number {
    return this.#sections.end - this.#sections.start
  }

  get [declared](): object | undefined {
    return this.#declared
  }

  /** The sections of a message; undefined for one that is not the library's. */
  static sectionsOf(message: ReceivedMessage<unknown>): Sections | undefined {
    return isObject(message) && #sections in message ? message.#sections : undefined
  }

  /** The message on memory of its own. */
  abstract [detach](): Received<A>

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
  [detach](): Destructive<A> {
    const { body, properties, sections } = moved(this.sections, this.body, this[declared])
    return new Destructive(sections, body, properties)
  }

  readonly _tag = "Destructive"
}

/** A message that was peeked. */
export class Peeked<A> extends Received<A> implements PeekedMessage<A> {
  [detach](): Peeked<A> {
    const { body, properties, sections } = moved(this.sections, this.body, this[declared])
    return new Peeked(sections, body, properties)
  }

  readonly _tag = "Peeked"
}

/** A message under a lock. The delivery and its owner are private to it. */
export class Locked<A> extends Received<A> implements LockedMessage<A> {
  readonly _tag = "Locked"
  readonly #delivery: IncomingDelivery
  readonly #owner: object
  #lockToken: LockToken | undefined

  constructor(
    sections: Sections,
    body: A,
    delivery: IncomingDelivery,
    owner: object,
    properties?: object
  ) {
    super(sections, body, properties)
    this.#delivery = delivery
    this.#owner = owner
  }

  get lockToken(): LockToken {
    return this.#lockToken ??= tokenFromTag(this.#delivery.tag)
  }

  get lockedUntil(): DateTime.Utc {
    return asTime(this.messageAnnotations["x-opt-locked-until"]) ?? unknownTime
  }

  [detach](): Locked<A> {
    const { body, properties, sections } = moved(this.sections, this.body, this[declared])
    const delivery = this.#delivery
    // Settlement and lock renewal hold the delivery itself.
    delivery.payload = sections.bytes
    delivery.tag = ownBytes(delivery.tag)
    return new Locked(sections, body, delivery, this.#owner, properties)
  }

  /**
   * When the lock ends and when the message was enqueued, in milliseconds by the broker's clock; NaN where it has none.
   * Cheap enough for every message: nothing else is decoded, and nothing is kept.
   */
  lockTimes(): { readonly lockedUntil: number; readonly enqueued: number } {
    return lockTimes(this.sections)
  }

  /** The receiver that gave a message to the caller. */
  static ownerOf(message: LockedMessage<unknown>): object | undefined {
    return isObject(message) && #owner in message ? message.#owner : undefined
  }

  /** The delivery of a message that came from `owner`; undefined for a message of another receiver. */
  static deliveryOf(message: LockedMessage<unknown>, owner: object): IncomingDelivery | undefined {
    return isObject(message) && #owner in message && message.#owner === owner ? message.#delivery : undefined
  }
}

const lockTimes = (sections: Sections): { readonly lockedUntil: number; readonly enqueued: number } => {
  let lockedUntil = NaN
  let enqueued = NaN
  if (sections.messageAnnotations >= 0) {
    const reader = new Reader(sections.bytes, sections.messageAnnotations, sections.end)
    for (let left = reader.map(); left > 0; left -= 2) {
      const key = asString(reader.value())
      if (key !== "x-opt-locked-until" && key !== "x-opt-enqueued-time") {
        reader.skip()
        continue
      }
      const time = asTime(reader.value())
      if (time === undefined) continue
      if (key === "x-opt-locked-until") lockedUntil = DateTime.toEpochMillis(time)
      else enqueued = DateTime.toEpochMillis(time)
    }
  }
  return { lockedUntil, enqueued }
}

/** Finds the sections of a delivery. Throws a DecodeProblem where its bytes are no message, or were more than are kept. */
export const sectionsOf = (delivery: IncomingDelivery): Sections => {
  if (delivery.isTooLarge) throw new DecodeProblem(`the message has ${delivery.size} bytes, more than are received`)
  return new Sections(delivery.payload, 0, delivery.payload.length)
}

/** Of a message whose contract declares no properties, or that is given without its body. */
export const noProperties: Result.Result<object | undefined, string> = Result.succeed(undefined)

/** The properties of a message that its contract declares, or what is wrong with them. */
export const declaredIn = (
  sections: Sections,
  properties: ServiceBusProperties | undefined
): Result.Result<object | undefined, string> =>
  properties === undefined
    ? noProperties
    : properties.decode(sections.readRecord(sections.applicationProperties))

/** The sections on memory of their own, and what was decoded with its bytes in there too, as far as they are the message's. */
const moved = <A, P>(
  { bytes, end, start }: Sections,
  body: A,
  properties: P
): { readonly sections: Sections; readonly body: A; readonly properties: P } => {
  const own = ownBytes(bytes.subarray(start, end))
  const first = bytes.byteOffset + start
  const move: Move = (view) => {
    const at = view.byteOffset - first
    if (view.buffer !== bytes.buffer || at < 0 || at + view.length > own.length) {
      return Buffer.isBuffer(view) ? ownBytes(view) : new Uint8Array(view)
    }
    return Buffer.isBuffer(view)
      ? own.subarray(at, at + view.length)
      : new Uint8Array(own.buffer, own.byteOffset + at, view.length)
  }
  const seen = new Map<unknown, unknown>()
  return {
    sections: new Sections(own, 0, own.length),
    body: owned(body, move, seen),
    properties: owned(properties, move, seen)
  }
}

type Move = (view: Uint8Array) => Uint8Array

/** A value whose bytes are moved. What has none is not copied. */
const owned = <A>(value: A, move: Move, seen: Map<unknown, unknown>): A => {
  if (typeof value !== "object" || value === null) return value
  const known = seen.get(value)
  if (known !== undefined) return known as A
  // One that leads back to itself stays as it is.
  seen.set(value, value)
  const copy = (value instanceof Uint8Array ? move(value) : copied(value, (item) => owned(item, move, seen))) as A
  seen.set(value, copy)
  return copy
}

const copied = (value: object, own: <A>(item: A) => A): object => {
  if (Array.isArray(value)) {
    const items = value.map((item) => own(item))
    return items.every((item, i) => item === value[i]) ? value : items
  }
  if (value instanceof Map) {
    const entries = Array.from(value, ([key, item]) => [own(key), own(item)] as const)
    return entries.every(([key, item]) => value.get(key) === item && value.has(key)) ? value : new Map(entries)
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  const copy: Record<PropertyKey, unknown> = Object.assign(Object.create(prototype), value)
  let isSame = true
  for (const key of Object.keys(copy)) {
    const item = own(copy[key])
    if (item === copy[key]) continue
    copy[key] = item
    isSame = false
  }
  return isSame ? value : copy
}
