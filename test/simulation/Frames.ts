/**
 * The frames of a connection, read out of its bytes: what a client wrote when it wrote it, and what came to it when it came,
 * whatever the client makes of it. Oracles judge by them what peers may say to each other.
 */
import { Reader } from "../../src/internal/amqp/codec/Reader.ts"
import { skipValue } from "../../src/internal/amqp/codec/skipValue.ts"
import { tokenFromTag } from "../../src/internal/message/ReceivedMessage.ts"

/** A frame, with those of its fields that oracles ask for. A session that is over with its connection has none. */
export interface Frame {
  readonly performative: "begin" | "attach" | "flow" | "transfer" | "disposition" | "detach" | "end" | "close" | "over"
  readonly channel: number
  /** Of a begin: the channel that it answers. */
  readonly remote?: number | undefined
  /** Of a begin: the id of the next transfer. */
  readonly next?: number | undefined
  /** Of a begin or flow: how many transfers the peer may send. */
  readonly window?: number | undefined
  /** Of a flow: the id of the transfer that is expected. */
  readonly expected?: number | undefined
  readonly handle?: number | undefined
  readonly name?: string | undefined
  readonly isReceiver?: boolean | undefined
  /** Of an attach: where messages come from, and where they go; a refusal has neither the one nor the other. */
  readonly source?: string | undefined
  readonly target?: string | undefined
  /** Of an attach: the session that is asked for or given, `null` for any. */
  readonly session?: string | null | undefined
  /** Of an attach or flow: the count of deliveries. */
  readonly count?: number | undefined
  readonly credit?: number | undefined
  /** Of a transfer: the id of its delivery, in the first of its frames. */
  readonly delivery?: number | undefined
  /** Of a transfer with a lock: its token. */
  readonly token?: string | undefined
  /** Of a transfer that is a request on behalf of a link: its operation, and the link's name. */
  readonly operation?: string | undefined
  readonly behalf?: string | undefined
  readonly isMore?: boolean | undefined
  readonly isSettled?: boolean | undefined
  readonly first?: number | undefined
  readonly last?: number | undefined
}

const performatives = new Map<number, Frame["performative"]>([
  [0x11, "begin"],
  [0x12, "attach"],
  [0x13, "flow"],
  [0x14, "transfer"],
  [0x15, "disposition"],
  [0x16, "detach"],
  [0x17, "end"],
  [0x18, "close"]
])

const sessionFilter = "com.microsoft:session-filter"

/** Takes whole frames from the bytes of one direction. */
export class Frames {
  private pending: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): ReadonlyArray<Frame> {
    let rest = this.pending.length === 0 ? bytes : Buffer.concat([this.pending, bytes])
    const frames: Array<Frame> = []
    while (rest.length >= 8) {
      const isHeader = rest.readUInt32BE(0) === 0x414d5150
      const size = isHeader ? 8 : rest.readUInt32BE(0)
      if (rest.length < size) break
      const frame = isHeader ? undefined : read(rest.subarray(0, size))
      if (frame !== undefined) frames.push(frame)
      rest = rest.subarray(size)
    }
    // Copied: who gave the bytes may use them again.
    this.pending = Buffer.from(rest)
    return frames
  }
}

const numeric = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

const truth = (value: unknown): boolean => value === true

const read = (bytes: Buffer): Frame | undefined => {
  const start = 4 * bytes[4]!
  if (start >= bytes.length) return undefined
  const reader = new Reader(bytes, start, bytes.length)
  const performative = performatives.get(Number(reader.descriptor()))
  if (performative === undefined) return undefined
  const end = skipValue(bytes, reader.position, bytes.length)
  const fields: Array<unknown> = []
  for (let count = reader.list(); count > 0; count--) fields.push(reader.value() ?? undefined)
  const frame = { performative, channel: bytes.readUInt16BE(6) }
  switch (performative) {
    case "begin":
      return { ...frame, remote: numeric(fields[0]), next: numeric(fields[1]), window: numeric(fields[2]) }
    case "attach":
      return { ...frame, ...attached(fields) }
    case "flow":
      return {
        ...frame,
        expected: numeric(fields[0]),
        window: numeric(fields[1]),
        handle: numeric(fields[4]),
        count: numeric(fields[5]),
        credit: numeric(fields[6])
      }
    case "transfer": {
      const tag = fields[2]
      return {
        ...frame,
        handle: numeric(fields[0]),
        delivery: numeric(fields[1]),
        token: Buffer.isBuffer(tag) && tag.length === 16 ? tokenFromTag(tag) : undefined,
        isSettled: truth(fields[4]),
        isMore: truth(fields[5]),
        ...request(bytes.subarray(end))
      }
    }
    case "disposition":
      return {
        ...frame,
        isReceiver: truth(fields[0]),
        first: numeric(fields[1]),
        last: numeric(fields[2]) ?? numeric(fields[1]),
        isSettled: truth(fields[3])
      }
    case "detach":
      return { ...frame, handle: numeric(fields[0]) }
    default:
      return frame
  }
}

const associatedLink = "associated-link-name"

/** What a request says in its application properties. */
const request = (payload: Buffer) => {
  if (!payload.includes(associatedLink)) return {}
  const reader = new Reader(payload)
  while (reader.position < payload.length) {
    const section = reader.descriptor()
    const value = reader.value()
    if (section !== 0x74) continue
    const properties = value instanceof Map ? value : new Map(Object.entries(value ?? {}))
    return { operation: textOf(properties.get("operation")), behalf: textOf(properties.get(associatedLink)) }
  }
  return {}
}

/** The item of a described list, which a terminus is. */
const itemOf = (terminus: unknown, at: number): unknown => {
  const list = (terminus as { readonly value?: unknown } | undefined)?.value
  return Array.isArray(list) ? list[at] ?? undefined : undefined
}

/** The session of a filter, whose keys are symbols; `null` asks for any. */
const sessionOf = (filter: unknown): string | null | undefined => {
  const entries = filter instanceof Map ? [...filter] : Object.entries(filter ?? {})
  for (const [key, value] of entries) {
    if ((typeof key === "string" ? key : key?.value) !== sessionFilter) continue
    const id = typeof value === "object" && value !== null && "value" in value ? value.value : value
    return typeof id === "string" ? id : null
  }
  return undefined
}

const textOf = (value: unknown): string | undefined => value === undefined ? undefined : String(value)

const attached = (fields: ReadonlyArray<unknown>) => ({
  name: String(fields[0]),
  handle: numeric(fields[1]),
  isReceiver: truth(fields[2]),
  source: textOf(itemOf(fields[5], 0)),
  target: textOf(itemOf(fields[6], 0)),
  session: sessionOf(itemOf(fields[5], 7)),
  count: numeric(fields[9])
})
