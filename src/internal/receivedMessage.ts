/**
 * Messages as they are received: the sections of a delivery behind the fields that Service Bus has for them, each decoded
 * when it is first read (AMQP 1.0 section 3.2; Service Bus protocol guide).
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../AmqpValue.ts"
import type {
  DestructiveMessage,
  LockedMessage,
  LockToken,
  MessageState,
  PeekedMessage,
  ReceivedMessage
} from "../ServiceBusMessage.ts"
import type { IncomingDelivery } from "./amqp/dataPlane/Delivery.ts"
import { canonical, DecodeProblem, Reader } from "./amqp/dataPlane/Reader.ts"
import { Sections } from "./amqp/dataPlane/Sections.ts"
import * as lifetime from "./lifetime.ts"

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

/** Private names are seen without asking the value itself, which may be a proxy. */
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

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
  protected get sections(): Sections {
    return this.#sections
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
    const millis = this.lifetime()
    return millis === undefined || millis === Infinity ? undefined : Duration.millis(millis)
  }
  /** How long the message may wait, in milliseconds: what its pair of times says goes before the header. */
  private lifetime(): number | undefined {
    return lifetime.ofPair(millisOf(this.properties[9]), millisOf(this.properties[8])) ?? asNumber(this.header[2])
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
    const { absoluteExpiryTime, enqueuedTime } = this
    const expiry = millisOf(absoluteExpiryTime)
    // A pair may be as the sender wrote it, by his own clock: only what it says together is sure.
    const isPaired = lifetime.ofPair(millisOf(this.properties[9]), expiry) !== undefined
    if (expiry !== undefined && expiry < lifetime.latestExpiry && (!isPaired || enqueuedTime === undefined)) {
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
  get firstEnqueuedTime(): DateTime.Utc | undefined {
    return asTime(this.applicationProperties[retryProperties.firstEnqueued]) ?? this.enqueuedTime
  }
  get size(): number {
    return this.#sections.end - this.#sections.start
  }

  /** The sections of a message; undefined for one that is not the library's. */
  static sectionsOf(message: ReceivedMessage<unknown>): Sections | undefined {
    return isObject(message) && #sections in message ? message.#sections : undefined
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

  /**
   * When the lock ends and when the message was enqueued, in milliseconds by the broker's clock; NaN where it does not say.
   * For what is done with every message: nothing else is decoded, and nothing is kept.
   */
  lockTimes(): { readonly lockedUntil: number; readonly enqueued: number } {
    return lockTimes(this.sections)
  }

  /** The receiver that handed a message out. */
  static ownerOf(message: LockedMessage<unknown>): object | undefined {
    return isObject(message) && #owner in message ? message.#owner : undefined
  }

  /** The delivery of a message that `owner` handed out; undefined for a message of another receiver. */
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
