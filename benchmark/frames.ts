// The frames that the broker writes and reads by hand: transfers and dispositions, the bulk of the traffic.
import { createRequire } from "node:module"
import {
  applicationProperties,
  contentType,
  firstId,
  ids,
  isOrder,
  messageIdOf,
  noteOf,
  type Order,
  orderOf
} from "./message.ts"

const require = createRequire(import.meta.url)
const rhea = require("rhea")
const codec = require("rhea/lib/message.js")

/** How long the locks of received messages are: the default of a queue. */
const lockDuration = 60_000

/** A settled disposition, accepted. */
export const disposition = (channel: number, receiver: boolean, first: number, last: number): Buffer => {
  const role = receiver ? 0x41 : 0x42
  // dprint-ignore
  const bytes = Buffer.from([
    0, 0, 0, 30, 2, 0, 0, 0, 0x00, 0x53, 0x15, 0xc0, 17, 5,
    role, 0x70, 0, 0, 0, 0, 0x70, 0, 0, 0, 0, 0x41, 0x00, 0x53, 0x24, 0x45
  ])
  bytes.writeUInt16BE(channel, 6)
  bytes.writeUInt32BE(first, 16)
  bytes.writeUInt32BE(last, 21)
  return bytes
}

/** A message as the service sends it: header, four annotations, properties, two application properties, body. */
const receivedMessage = (size: number): Buffer => {
  const now = Date.now()
  return codec.encode({
    durable: true,
    priority: 4,
    delivery_count: 0,
    message_annotations: {
      "x-opt-enqueued-time": new Date(now),
      "x-opt-sequence-number": rhea.types.wrap_long(123456789),
      "x-opt-enqueue-sequence-number": rhea.types.wrap_long(0),
      "x-opt-locked-until": new Date(now + lockDuration)
    },
    message_id: messageIdOf(0),
    content_type: contentType,
    application_properties: applicationProperties,
    body: codec.data_section(Buffer.from(JSON.stringify(orderOf(0, size))))
  })
}

/** The largest frame that all peers take. */
export const maxFrame = 65536

/** The first bytes of a transfer frame, up to its fields. */
const head = (fields: ReadonlyArray<number>, payload: number): Buffer => {
  const bytes = Buffer.from([0, 0, 0, 0, 2, 0, 0, 0, 0x00, 0x53, 0x14, 0xc0, fields.length + 1, 6, ...fields])
  bytes.writeUInt32BE(bytes.length + payload, 0)
  return bytes
}

/** The transfers of a delivery: one, or as many as its message needs. */
const transfers = (payload: Buffer, handle: number, settled: boolean): Array<Buffer> => {
  const tag = Buffer.from("8f14e45fceea167a5a36dedd4bea2543", "hex")
  const frames: Array<Buffer> = []
  for (let at = 0; at < payload.length;) {
    const of = (more: number) =>
      at === 0
        ? [0x52, handle, 0x70, 0, 0, 0, 0, 0xa0, 16, ...tag, 0x43, settled ? 0x41 : 0x42, more]
        : [0x52, handle, 0x40, 0x40, 0x40, 0x40, more]
    const end = Math.min(payload.length, at + maxFrame - head(of(0x41), 0).length)
    const part = payload.subarray(at, end)
    frames.push(Buffer.concat([head(of(end < payload.length ? 0x41 : 0x42), part.length), part]))
    at = end
  }
  return frames
}

/** Deliveries of one link, encoded once: each has its id, tag and body id written over the last one's. */
export class Template {
  /** How many deliveries are written in one piece. */
  readonly count: number
  /** The bytes of one delivery, and where its frames start. */
  readonly length: number
  readonly starts: ReadonlyArray<number>
  private readonly frames: Buffer
  private readonly idAt: number
  private readonly tagAt: number
  private readonly bodyIdAt: number
  private readonly lockedUntilAt: number
  private lockedAt = 0

  constructor(size: number, handle: number, settled: boolean) {
    const frames = transfers(receivedMessage(size), handle, settled)
    const delivery = Buffer.concat(frames)
    this.length = delivery.length
    this.starts = frames.map((_, i) => frames.slice(0, i).reduce((sum, { length }) => sum + length, 0))
    this.count = Math.max(1, Math.min(128, Math.floor(maxFrame / delivery.length)))
    this.frames = Buffer.concat(Array.from({ length: this.count }, () => delivery))
    const start = head([], 0).length
    this.idAt = start + 3
    this.tagAt = start + 9
    this.bodyIdAt = delivery.indexOf(`"id":${firstId}`) + 5
    this.lockedUntilAt = delivery.indexOf("x-opt-locked-until") + "x-opt-locked-until".length + 1
  }

  /** `count` deliveries from `id` on. */
  take(count: number, channel: number, id: number): Buffer {
    const now = Date.now()
    if (now > this.lockedAt + 500) {
      this.lockedAt = now
      const until = BigInt(now + lockDuration)
      for (let i = 0; i < this.count; i++) this.frames.writeBigInt64BE(until, i * this.length + this.lockedUntilAt)
    }
    const bytes = Buffer.from(this.frames.subarray(0, count * this.length))
    for (let i = 0, at = 0; i < count; i++, at += this.length) {
      for (const start of this.starts) bytes.writeUInt16BE(channel, at + start + 6)
      bytes.writeUInt32BE(id + i, at + this.idAt)
      bytes.writeUInt32BE(id + i, at + this.tagAt + 12)
      let digits = firstId + ((id + i) % ids)
      for (let digit = 6; digit >= 0; digit--) {
        bytes[at + this.bodyIdAt + digit] = 48 + (digits % 10)
        digits = Math.floor(digits / 10)
      }
    }
    return bytes
  }
}

/** Whether the payload is a message that a peer was to send. */
export const isSent = (payload: Buffer, size: number): boolean => {
  const message = codec.decode(payload)
  const text: string = message.body.content.toString()
  const body = JSON.parse(text) as Order
  return text.length === size && body.note === noteOf(size) && isOrder(body, body.id - firstId, size) &&
    message.message_id === messageIdOf(body.id - firstId) && message.content_type === contentType &&
    message.application_properties.kind === "order" && message.application_properties.version === 3
}

/** The messages of a batch (format 0x80013700): the data sections of an envelope. */
export const dataSections = (payload: Buffer): Array<Buffer> => {
  const sections: Array<Buffer> = []
  for (let at = 0; at < payload.length;) {
    const code = payload[at + 2]!
    const wide = (payload[at + 3]! & 0xf0) === 0xb0 || (payload[at + 3]! & 0xf0) === 0xd0
    const start = at + (wide ? 8 : 5)
    const empty = payload[at + 3] === 0x45
    const size = empty ? -1 : wide ? payload.readUInt32BE(at + 4) : payload[at + 4]!
    if (code === 0x75) sections.push(payload.subarray(start, start + size))
    at = start + size
  }
  return sections
}

/** Reads the fields of a transfer or disposition. */
export class Cursor {
  bytes: Buffer = Buffer.alloc(0)
  at = 0

  /** Goes to the list of a performative and gives the number of its fields. */
  list(bytes: Buffer, at: number): number {
    this.bytes = bytes
    const wide = bytes[at] === 0xd0
    this.at = at + (wide ? 9 : 3)
    return wide ? bytes.readUInt32BE(at + 5) : bytes[at + 2]!
  }

  /** -1 for null. */
  uint(): number {
    const { bytes } = this
    switch (bytes[this.at++]) {
      case 0x43:
        return 0
      case 0x52:
        return bytes[this.at++]!
      case 0x70:
        this.at += 4
        return bytes.readUInt32BE(this.at - 4)
      case 0x40:
        return -1
      default:
        throw new Error("expected a uint")
    }
  }

  boolean(): boolean {
    const code = this.bytes[this.at++]
    return code === 0x56 ? this.bytes[this.at++] === 1 : code === 0x41
  }

  skip(): void {
    const code = this.bytes[this.at++]!
    switch (code >> 4) {
      case 0x4:
        return
      case 0x5:
        this.at += 1
        return
      case 0x7:
        this.at += 4
        return
      case 0xa:
        this.at += 1 + this.bytes[this.at]!
        return
      case 0xb:
        this.at += 4 + this.bytes.readUInt32BE(this.at)
        return
      default:
        throw new Error(`did not expect the constructor 0x${code.toString(16)}`)
    }
  }

  /** Whether a delivery state is `accepted`, named by its code in one of both lengths. */
  accepted(): boolean {
    const { at, bytes } = this
    return bytes[at] === 0 && (bytes[at + 1] === 0x53 ? bytes[at + 2] === 0x24 : bytes[at + 9] === 0x24)
  }
}
