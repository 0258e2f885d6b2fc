/**
 * A trace of the frames of one connection, for a person who looks for what went wrong: one line for each frame, in both
 * directions, with the fields of its performative.
 *
 * Of payloads only the size is told, so that neither bodies nor tokens are in it; what SASL carries is left out.
 */
import * as DateTime from "effect/DateTime"
import * as AmqpValue from "../../AmqpValue.ts"
import { Reader } from "./dataPlane/Reader.ts"
import { walk } from "./dataPlane/walk.ts"
import { codes } from "./Guard.ts"
import { passing, type Socket } from "./Socket.ts"

/** A line of the trace. */
export interface Line {
  readonly direction: "sent" | "received"
  readonly channel: number
  /** `open`, `attach`, `transfer`, …; `header` for a protocol header, `heartbeat` for an empty frame. */
  readonly performative: string
  /** The name of the link, where the frame is a link's and its attach was seen. */
  readonly link: string | undefined
  readonly text: string
}

interface Shape {
  readonly name: string
  readonly fields: ReadonlyArray<string>
}

/** The performatives by descriptor code (AMQP 1.0 sections 2.7 and 5.3.3). */
const shapes: ReadonlyMap<number, Shape> = new Map([
  [0x10, {
    name: "open",
    fields: [
      "container-id",
      "hostname",
      "max-frame-size",
      "channel-max",
      "idle-time-out",
      "outgoing-locales",
      "incoming-locales",
      "offered-capabilities",
      "desired-capabilities",
      "properties"
    ]
  }],
  [0x11, {
    name: "begin",
    fields: ["remote-channel", "next-outgoing-id", "incoming-window", "outgoing-window", "handle-max"]
  }],
  [0x12, {
    name: "attach",
    fields: [
      "name",
      "handle",
      "role",
      "snd-settle-mode",
      "rcv-settle-mode",
      "source",
      "target",
      "unsettled",
      "incomplete-unsettled",
      "initial-delivery-count",
      "max-message-size",
      "offered-capabilities",
      "desired-capabilities",
      "properties"
    ]
  }],
  [0x13, {
    name: "flow",
    fields: [
      "next-incoming-id",
      "incoming-window",
      "next-outgoing-id",
      "outgoing-window",
      "handle",
      "delivery-count",
      "link-credit",
      "available",
      "drain",
      "echo"
    ]
  }],
  [0x14, {
    name: "transfer",
    fields: [
      "handle",
      "delivery-id",
      "delivery-tag",
      "message-format",
      "settled",
      "more",
      "rcv-settle-mode",
      "state",
      "resume",
      "aborted",
      "batchable"
    ]
  }],
  [0x15, { name: "disposition", fields: ["role", "first", "last", "settled", "state", "batchable"] }],
  [0x16, { name: "detach", fields: ["handle", "closed", "error"] }],
  [0x17, { name: "end", fields: ["error"] }],
  [0x18, { name: "close", fields: ["error"] }],
  [0x40, { name: "sasl-mechanisms", fields: ["sasl-server-mechanisms"] }],
  [0x41, { name: "sasl-init", fields: ["mechanism"] }],
  [0x42, { name: "sasl-challenge", fields: [] }],
  [0x43, { name: "sasl-response", fields: [] }],
  [0x44, { name: "sasl-outcome", fields: ["code"] }]
])

/** The field of a performative that is a link's handle. */
const handleAt: Readonly<Record<string, number>> = { attach: 1, flow: 4, transfer: 0, detach: 0 }

/** Tells one direction's frames from its bytes. */
class Splitter {
  private readonly direction: Line["direction"]
  private readonly links: Map<string, string>
  private readonly tell: (line: Line) => void
  private pending: Buffer = Buffer.alloc(0)
  private broken = false

  constructor(direction: Line["direction"], links: Map<string, string>, tell: (line: Line) => void) {
    this.direction = direction
    this.links = links
    this.tell = tell
  }

  push(bytes: Buffer): void {
    if (this.broken) return
    let chunk = this.pending.length === 0 ? bytes : Buffer.concat([this.pending, bytes])
    try {
      while (chunk.length >= 8) {
        const isHeader = chunk.readUInt32BE(0) === 0x414d5150
        const size = isHeader ? 8 : chunk.readUInt32BE(0)
        if (size < 8 || chunk.length < size) break
        this.frame(chunk.subarray(0, size), isHeader)
        chunk = chunk.subarray(size)
      }
    } catch {
      // A trace that cannot read on is over; the connection is not its business.
      this.broken = true
      this.line(0, "unreadable", undefined, "a frame could not be read; the trace of this direction ends here")
    }
    // Copied: the engine reuses its buffers.
    this.pending = Buffer.from(chunk)
  }

  private line(channel: number, performative: string, link: string | undefined, text: string): void {
    this.tell({ direction: this.direction, channel, performative, link, text })
  }

  private frame(frame: Buffer, isHeader: boolean): void {
    if (isHeader) return this.line(0, "header", undefined, `protocol ${frame[4]} ${frame[5]}.${frame[6]}.${frame[7]}`)
    const channel = frame.readUInt16BE(6)
    const start = 4 * frame[4]!
    if (start >= frame.length) return this.line(channel, "heartbeat", undefined, "")
    const reader = new Reader(frame, start, frame.length)
    const descriptor = reader.descriptor()
    const code = typeof descriptor === "number" ? descriptor : codes.get(descriptor) ?? -1
    const shape = shapes.get(code)
    if (shape === undefined) return this.line(channel, `0x${code.toString(16)}`, undefined, "")
    const end = walk(frame, reader.position, frame.length)
    const count = reader.list()
    const values: Array<unknown> = []
    for (let i = 0; i < count; i++) values.push(reader.value() ?? undefined)
    const fields = shape.fields.flatMap((name, i) =>
      values[i] === undefined ? [] : [`${name}=${shown(name, values[i])}`]
    )
    if (shape.name === "transfer") fields.push(`payload=${frame.length - end} bytes`)
    this.line(channel, shape.name, this.linkOf(channel, shape.name, values), fields.join(" "))
  }

  /** Handles are each direction's own. */
  private linkOf(channel: number, performative: string, values: ReadonlyArray<unknown>): string | undefined {
    const at = handleAt[performative]
    if (at === undefined || values[at] === undefined) return undefined
    const key = `${this.direction} ${channel} ${String(values[at])}`
    if (performative === "attach") this.links.set(key, String(values[0]))
    const name = this.links.get(key)
    if (performative === "detach") this.links.delete(key)
    return name
  }
}

/** A field for a person to read, without what only its owner may know. */
const shown = (name: string, value: unknown): string =>
  // Values of the peer's choosing: bounded, and on one line.
  name === "role" ? value === true ? "receiver" : "sender" : text(value).replace(/[\r\n]+/g, " ").slice(0, 512)

const text = (value: unknown): string => {
  const simple = plain("", value)
  return typeof simple === "object" ? JSON.stringify(simple, plain) : String(simple)
}

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === "bigint") return String(value)
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString("hex").slice(0, 64)}`
  if (DateTime.isDateTime(value)) return DateTime.formatIso(value)
  if (value instanceof Map) return Object.fromEntries(value)
  return AmqpValue.isTyped(value) ? plain("", value.value) : value
}

/** A socket whose frames are told, in both directions. */
export const wrap = (socket: Socket, tell: (line: Line) => void): Socket => {
  const links = new Map<string, string>()
  const received = new Splitter("received", links, tell)
  const sent = new Splitter("sent", links, tell)
  socket.on("data", (bytes: Buffer) => received.push(bytes))
  return {
    ...passing(socket),
    write: (bytes) => {
      sent.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      return socket.write(bytes)
    }
  }
}
