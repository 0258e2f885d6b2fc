/**
 * The properties of a stored message as rules read them: out of its bytes, each when a filter first asks for it and in its exact
 * AMQP type. Where the entries of its application properties stand is found once for all filters of the message; no key and no
 * value is decoded that none of them names.
 *
 * The broker owns the message, this its own view of it: it is good for as long as it is held.
 */
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../AmqpValue.ts"
import { Reader } from "../../internal/amqp/codec/Reader.ts"
import { Sections } from "../../internal/amqp/codec/Sections.ts"
import { rawItem } from "../../internal/amqp/codec/verbatim.ts"
import type { FilterMessage, SystemName } from "../broker/filter/FilterMessage.ts"
import type { IncomingMessage, MessageSnapshot } from "../broker/Queue.ts"

/** A message, with what a topic knows of it once it has taken it. */
type Readable =
  & IncomingMessage
  & { readonly [K in "enqueuedAt" | "expiresAt" | "deliveryCount" | "state"]?: MessageSnapshot[K] | undefined }

/** Reads a message for rules. */
export const read = (message: Readable): FilterMessage => new StoredProperties(message)

/** Where the bare message has a property (AMQP 1.0 section 3.2.4; Service Bus protocol guide). */
const items: ReadonlyMap<string, number> = new Map([
  ["to", 2],
  ["label", 3],
  ["replyto", 4],
  ["correlationid", 5],
  ["contenttype", 6],
  ["replytosessionid", 12]
])

/** Which annotation a property is (Service Bus protocol guide). */
const annotations: ReadonlyMap<string, string> = new Map([
  ["partitionkey", "x-opt-partition-key"],
  ["viapartitionkey", "x-opt-via-partition-key"],
  ["scheduledenqueuetimeutc", "x-opt-scheduled-enqueue-time"],
  ["deadlettersource", "x-opt-deadletter-source"]
])

/** `TimeSpan.MaxValue` and `DateTime.MaxValue` of .NET: a life without end. */
const endlessTicks = 2n ** 63n - 1n
const lastTime = 253_402_300_799_999

/** The header's durable is true; the other form of it, a byte of 1, is written by no client. */
const durable = 0x41

const states = { active: 0, deferred: 1, scheduled: 2 }

/** What the broker itself knows of a message; public properties of Microsoft's message class all of them. */
const brokered = new Map<string, (message: Readable) => AmqpValue.AmqpValue>([
  ["messageid", (message) => message.messageId],
  ["sessionid", (message) => message.sessionId],
  [
    "timetolive",
    ({ timeToLive }) => Duration.nanos(timeToLive === undefined ? endlessTicks * 100n : ticksOf(timeToLive) * 100n)
  ],
  ["sequencenumber", (message) => message.sequenceNumber],
  ["enqueuedsequencenumber", (message) => message.firstSequenceNumber ?? message.sequenceNumber],
  ["enqueuedtimeutc", ({ enqueuedAt }) => enqueuedAt === undefined ? undefined : timestamp(enqueuedAt)],
  ["expiresatutc", ({ expiresAt }) => timestamp(expiresAt ?? lastTime)],
  ["deliverycount", (message) => message.deliveryCount ?? 0],
  ["state", (message) => states[message.state ?? "active"]],
  ["size", (message) => BigInt(message.payload.length)],
  // No message is locked that a topic copies.
  ["lockeduntilutc", () => undefined],
  ["locktoken", () => undefined]
])

const timestamp = (millis: number): AmqpValue.AmqpValue => AmqpValue.typed("timestamp", BigInt(Math.floor(millis)))

const ticksOf = (millis: number): bigint => BigInt(Math.floor(millis)) * 10_000n

const exactReader = new Reader(Buffer.alloc(0), 0, 0, true)

class StoredProperties implements FilterMessage {
  private readonly message: Readable
  private found: Sections | undefined
  private entries: Entries | undefined
  private readonly systems = new Map<string, AmqpValue.AmqpValue>()

  constructor(message: Readable) {
    this.message = message
  }

  system(name: SystemName): AmqpValue.AmqpValue {
    if (this.systems.has(name)) return this.systems.get(name)
    const value = this.readSystem(name)
    this.systems.set(name, value)
    return value
  }

  property(name: string): AmqpValue.AmqpValue {
    return this.findEntries().value(name)
  }

  spelling(name: string): string | undefined {
    return this.findEntries().spelling(name)
  }

  private readSystem(name: SystemName): AmqpValue.AmqpValue {
    const known = brokered.get(name)
    if (known !== undefined) return known(this.message)
    const item = items.get(name)
    const { sections } = this
    if (item !== undefined) {
      const bytes = rawItem(sections, sections.properties, item)
      const value = bytes === undefined ? undefined : new Reader(bytes).value()
      // .NET has texts there, whatever the type is.
      return value === undefined ? undefined : textOf(value)
    }
    if (name === "forcepersistence") return rawItem(sections, sections.header, 0)?.[0] === durable
    if (name === "deadlettersource" && this.message.deadLetterSource !== undefined) return this.message.deadLetterSource
    const annotation = annotations.get(name)
    return annotation === undefined ? undefined : sections.readRecord(sections.messageAnnotations, true)[annotation]
  }

  private get sections(): Sections {
    const { payload } = this.message
    // Bytes of its own: one message may be filtered while another is, where a topic forwards to a topic.
    const bytes = () => typeof payload === "string" ? Buffer.from(payload, "latin1") : payload as Buffer
    return this.found ??= new Sections(bytes(), 0, payload.length)
  }

  private findEntries(): Entries {
    return this.entries ??= new Entries(this.sections)
  }
}

const textOf = (value: AmqpValue.AmqpValue): string =>
  AmqpValue.isTyped(value) && value.type !== "uuid"
    ? String(value.value)
    : AmqpValue.toText(value as AmqpValue.MessageId)

/** The entries of a message's application properties, by where they stand. */
class Entries {
  private readonly bytes: Buffer
  private readonly end: number
  /** Of each entry: where the text of its key begins and ends, and where its value begins. */
  private readonly places: Array<number> = []
  private readonly values: Array<AmqpValue.AmqpValue> = []
  private readonly isRead: Array<boolean> = []

  constructor({ applicationProperties, bytes, end }: Sections) {
    this.bytes = bytes
    this.end = end
    if (applicationProperties < 0) return
    exactReader.reset(bytes, applicationProperties, end)
    for (let left = exactReader.map(); left > 0; left -= 2) {
      const key = exactReader.position
      exactReader.skip()
      const value = exactReader.position
      exactReader.skip()
      const constructor = bytes[key]!
      // Keys are texts (AMQP 1.0 section 3.2.5); another has no name that a filter could say.
      if (constructor === 0xa1 || constructor === 0xa3) this.add(key + 2, value)
      else if (constructor === 0xb1 || constructor === 0xb3) this.add(key + 5, value)
    }
  }

  value(name: string): AmqpValue.AmqpValue {
    const at = this.indexOf(name)
    if (at < 0) return undefined
    if (this.isRead[at] === true) return this.values[at]
    exactReader.reset(this.bytes, this.places[3 * at + 2]!, this.end)
    this.isRead[at] = true
    return this.values[at] = exactReader.value()
  }

  spelling(name: string): string | undefined {
    const at = this.indexOf(name)
    return at < 0 ? undefined : this.key(at)
  }

  private add(key: number, value: number): void {
    this.places.push(key, value, value)
    this.values.push(undefined)
    this.isRead.push(false)
  }

  private key(at: number): string {
    return this.bytes.toString("utf8", this.places[3 * at], this.places[3 * at + 1])
  }

  /** The first entry of a name in lower case, or -1. */
  private indexOf(name: string): number {
    const count = this.values.length
    for (let at = 0; at < count; at++) if (this.isAscii(at, name)) return at
    if (!isBeyondAscii.test(name)) return -1
    for (let at = 0; at < count; at++) if (this.key(at).toLowerCase() === name) return at
    return -1
  }

  /** Whether a key is these letters, all of ASCII, whatever their case in the message. */
  private isAscii(at: number, name: string): boolean {
    const { bytes, places } = this
    const start = places[3 * at]!
    if (places[3 * at + 1]! - start !== name.length) return false
    for (let i = 0; i < name.length; i++) {
      const byte = bytes[start + i]!
      const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
      if (lower !== name.charCodeAt(i) || lower > 0x7f) return false
    }
    return true
  }
}

const isBeyondAscii = /[^\0-\x7f]/
