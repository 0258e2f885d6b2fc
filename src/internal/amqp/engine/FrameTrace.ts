/**
 * A trace of the frames of one connection, for diagnosis: one record for each frame, in both directions, with the fields of its
 * performative.
 *
 * Of payloads it has the size alone, so that neither bodies nor tokens are in it; what SASL carries is left out.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../AmqpValue.ts"
import { Reader } from "../codec/Reader.ts"
import { skipValue } from "../codec/skipValue.ts"
import { passing, type Socket } from "../transport/Socket.ts"
import { codes } from "./FrameGuard.ts"

/** A frame as it is traced. */
export interface TracedFrame {
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

/** Splits the bytes of one direction into frames, and traces each. */
class Splitter {
  private readonly direction: TracedFrame["direction"]
  private readonly links: Map<string, string>
  private readonly onFrame: (frame: TracedFrame) => void
  private pending: Buffer = Buffer.alloc(0)
  private broken = false

  constructor(direction: TracedFrame["direction"], links: Map<string, string>, onFrame: (frame: TracedFrame) => void) {
    this.direction = direction
    this.links = links
    this.onFrame = onFrame
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
      // A trace that cannot be continued ends; the connection goes on.
      this.broken = true
      this.trace(0, "unreadable", undefined, "a frame could not be read; the trace of this direction ends here")
    }
    // Copied: the engine reuses its buffers.
    this.pending = Buffer.from(chunk)
  }

  private trace(channel: number, performative: string, link: string | undefined, text: string): void {
    this.onFrame({ direction: this.direction, channel, performative, link, text })
  }

  private frame(frame: Buffer, isHeader: boolean): void {
    if (isHeader) return this.trace(0, "header", undefined, `protocol ${frame[4]} ${frame[5]}.${frame[6]}.${frame[7]}`)
    const channel = frame.readUInt16BE(6)
    const start = 4 * frame[4]!
    if (start >= frame.length) return this.trace(channel, "heartbeat", undefined, "")
    const reader = new Reader(frame, start, frame.length)
    const descriptor = reader.descriptor()
    const code = typeof descriptor === "number" ? descriptor : codes.get(descriptor) ?? -1
    const shape = shapes.get(code)
    if (shape === undefined) return this.trace(channel, `0x${code.toString(16)}`, undefined, "")
    const end = skipValue(frame, reader.position, frame.length)
    const count = reader.list()
    const values: Array<unknown> = []
    for (let i = 0; i < count; i++) values.push(reader.value() ?? undefined)
    const fields = shape.fields.flatMap((name, i) =>
      values[i] === undefined ? [] : [`${name}=${shown(name, values[i])}`]
    )
    if (shape.name === "transfer") fields.push(`payload=${frame.length - end} bytes`)
    this.trace(channel, shape.name, this.linkOf(channel, shape.name, values), fields.join(" "))
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

/** Values are of the peer's choosing: a field has so many characters at most. */
const longest = 1024

/** A field for a person to read, on one line, without what only its owner may know. */
const shown = (name: string, value: unknown): string => {
  if (name === "role") return value === true ? "receiver" : "sender"
  const printer = new Printer()
  if (typeof value === "string") printer.put(value)
  else if (AmqpValue.isTyped(value) && value.type === "symbol") printer.put(String(value.value))
  else printer.value(value)
  return printer.text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").replace(secrets, "$1<redacted>")
}

/** Signatures of shared access tokens, and JSON Web Tokens: a peer may repeat them in a description. */
const secrets = /(\bsig=)[^&\s"']+|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/gi

/** The described types of performatives that are not performatives themselves (AMQP 1.0 parts 2 to 4). */
const types: ReadonlyMap<string, string> = new Map([
  [0x1d, "error"],
  [0x23, "received"],
  [0x24, "accepted"],
  [0x25, "rejected"],
  [0x26, "released"],
  [0x27, "modified"],
  [0x28, "source"],
  [0x29, "target"],
  [0x2b, "delete-on-close"],
  [0x2c, "delete-on-no-links"],
  [0x2d, "delete-on-no-messages"],
  [0x2e, "delete-on-no-links-or-messages"],
  [0x30, "coordinator"],
  [0x31, "declare"],
  [0x32, "discharge"],
  [0x33, "declared"],
  [0x34, "transactional-state"]
].map(([code, name]) => [String(code), String(name)]))

/** Writes AMQP values as text of limited length; what is longer ends with an ellipsis. */
class Printer {
  text = ""

  private get isFull(): boolean {
    return this.text.length > longest
  }

  put(text: string): void {
    if (this.isFull) return
    this.text += text
    if (this.isFull) this.text = `${this.text.slice(0, longest)}…`
  }

  value(value: unknown): void {
    if (this.isFull) return
    if (typeof value === "string") return this.quoted(value)
    if (typeof value !== "object" || value === null) return this.put(value === undefined ? "null" : String(value))
    if (value instanceof Uint8Array) return this.put(bytes(value))
    if (DateTime.isDateTime(value)) return this.put(DateTime.formatIso(value))
    if (Duration.isDuration(value)) return this.put(Duration.format(value))
    if (value instanceof URL) return this.put(value.href)
    if (Array.isArray(value)) return this.items("[", value, "]")
    if (AmqpValue.isTyped(value)) return this.typed(value)
    this.map(value instanceof Map ? value : Object.entries(value))
  }

  private quoted(text: string): void {
    this.put(JSON.stringify(text.length > longest ? text.slice(0, longest + 1) : text))
  }

  private items(open: string, values: ReadonlyArray<unknown>, close: string): void {
    this.put(open)
    for (let i = 0; i < values.length && !this.isFull; i++) {
      if (i > 0) this.put(",")
      this.value(values[i])
    }
    this.put(close)
  }

  /** Each entry by itself: keys of different types may have the same text. */
  private map(entries: Iterable<readonly [unknown, unknown]>): void {
    let isFirst = true
    this.put("{")
    for (const [key, value] of entries) {
      if (this.isFull) return
      if (!isFirst) this.put(",")
      isFirst = false
      this.value(key)
      this.put(":")
      this.value(value)
    }
    this.put("}")
  }

  private typed(value: Extract<AmqpValue.AmqpValue, { readonly type: string }>): void {
    // Both are structurally values with a type.
    const { descriptor, type, value: inner } = value as {
      readonly descriptor?: unknown
      readonly type: string
      readonly value: unknown
    }
    if (descriptor !== undefined) {
      const name = AmqpValue.isTyped(descriptor) ? descriptor.value : descriptor
      this.put(
        typeof name === "bigint" || typeof name === "number"
          ? types.get(String(name)) ?? `0x${name.toString(16)}`
          : String(name)
      )
      this.put(":")
    }
    if (type === "symbol" && typeof inner === "string") return this.quoted(inner)
    this.value(inner)
  }
}

const bytes = (value: Uint8Array): string => {
  const { length } = value
  const hex = Buffer.from(value.buffer, value.byteOffset, Math.min(length, 32)).toString("hex")
  return length > 32 ? `0x${hex}… (${length} bytes)` : `0x${hex}`
}

/** A socket whose frames are traced, in both directions. */
export const wrap = (socket: Socket, onFrame: (frame: TracedFrame) => void): Socket => {
  const links = new Map<string, string>()
  const received = new Splitter("received", links, onFrame)
  const sent = new Splitter("sent", links, onFrame)
  socket.on("data", (bytes: Buffer) => received.push(bytes))
  return {
    ...passing(socket),
    write: (bytes) => {
      sent.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      return socket.write(bytes)
    }
  }
}
