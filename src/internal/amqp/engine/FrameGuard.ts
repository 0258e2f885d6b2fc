/**
 * Checks what comes from the network before the engine sees it: whole frames only, of a size that was agreed, well-formed, with
 * performatives whose fields have their types. A violation ends the connection, and nothing of it reaches rhea, which would
 * hang, crash or wait for ever on some of it. Each connection has one guard, on client and broker alike.
 *
 * Transfers and dispositions are checked by the data plane that reads them, and payloads when their sections are found, so that
 * nothing is checked twice.
 */
import { Reader } from "../codec/Reader.ts"
import { skipValue } from "../codec/skipValue.ts"
import { passing, type Socket, type SocketEvents } from "../transport/Socket.ts"

/**
 * What a peer did that no peer may, and the condition to close with (AMQP 1.0 sections 2.8.15 and 2.8.16). `phase` decides how
 * the peer can be answered: by a protocol header, not at all, or by a close.
 */
export class Violation extends Error {
  readonly condition: string
  phase: "header" | "sasl" | "amqp" = "amqp"

  constructor(message: string, condition = "amqp:invalid-field") {
    super(message)
    this.condition = condition
  }
}

interface Options {
  /** The largest frame that our open advertises. */
  readonly maxFrameSize: number
  /** `client`: the peer is a server, and opens nothing by itself. */
  readonly role: "client" | "server"
  /** Called once, after what came before the violation was passed on. */
  readonly onViolation: (violation: Violation) => void
  /** Called for every read of the socket, before it is looked at. */
  readonly onBytes?: (() => void) | undefined
}

/** SASL frames have at most this size (AMQP 1.0 section 5.3.1: MIN-MAX-FRAME-SIZE). */
const maxSaslFrame = 512

/** What we advertise as channel-max, and one. */
const maxSessions = 5000

/** Of a frame that is larger than was agreed, and of nothing else: see `errorMap.isUnreadable`. */
const framing = "amqp:connection:framing-error"

const malformed = "amqp:decode-error"

type FieldType = "string" | "uint" | "ushort" | "ubyte" | "ulong" | "boolean" | "map" | "binary" | "symbols" | "any"

const constructors: Record<FieldType, ReadonlySet<number> | undefined> = {
  string: new Set([0xa1, 0xb1]),
  uint: new Set([0x43, 0x52, 0x70]),
  ushort: new Set([0x60]),
  ubyte: new Set([0x50]),
  ulong: new Set([0x44, 0x53, 0x80]),
  boolean: new Set([0x41, 0x42, 0x56]),
  map: new Set([0xc1, 0xd1]),
  binary: new Set([0xa0, 0xb0]),
  // One symbol, or an array of them; some peers write a list.
  symbols: new Set([0xa3, 0xb3, 0xe0, 0xf0, 0x45, 0xc0, 0xd0]),
  any: undefined
}

interface Shape {
  readonly name: string
  /** How many fields from the front must be there and not null. */
  readonly mandatory: ReadonlyArray<number>
  readonly fields: ReadonlyArray<FieldType>
}

/** The performatives that rhea reads (AMQP 1.0 sections 2.7 and 5.3.3), by descriptor code. */
const shapes: ReadonlyMap<number, Shape> = new Map([
  [0x10, {
    name: "open",
    mandatory: [0],
    fields: ["string", "string", "uint", "ushort", "uint", "symbols", "symbols", "symbols", "symbols", "map"]
  }],
  [0x11, {
    name: "begin",
    mandatory: [1, 2, 3],
    fields: ["ushort", "uint", "uint", "uint", "uint", "symbols", "symbols", "map"]
  }],
  [0x12, {
    name: "attach",
    mandatory: [0, 1, 2],
    fields: [
      "string",
      "uint",
      "boolean",
      "ubyte",
      "ubyte",
      "any",
      "any",
      "map",
      "boolean",
      "uint",
      "ulong",
      "symbols",
      "symbols",
      "map"
    ]
  }],
  [0x13, {
    name: "flow",
    mandatory: [1, 2, 3],
    fields: ["uint", "uint", "uint", "uint", "uint", "uint", "uint", "uint", "boolean", "boolean", "map"]
  }],
  [0x16, { name: "detach", mandatory: [0], fields: ["uint", "boolean", "any"] }],
  [0x17, { name: "end", mandatory: [], fields: ["any"] }],
  [0x18, { name: "close", mandatory: [], fields: ["any"] }]
])

const saslShapes: ReadonlyMap<number, Shape> = new Map([
  [0x40, { name: "sasl-mechanisms", mandatory: [0], fields: ["symbols"] }],
  [0x41, { name: "sasl-init", mandatory: [0], fields: ["symbols", "binary", "string"] }],
  [0x42, { name: "sasl-challenge", mandatory: [0], fields: ["binary"] }],
  [0x43, { name: "sasl-response", mandatory: [0], fields: ["binary"] }],
  [0x44, { name: "sasl-outcome", mandatory: [0], fields: ["ubyte", "binary"] }]
])

/** The code of a performative whose descriptor is a symbol. */
export const codes: ReadonlyMap<string, number> = new Map([
  ...[...shapes, ...saslShapes].map(([code, { name }]) => [`amqp:${name}:list`, code] as const),
  ["amqp:transfer:list", 0x14],
  ["amqp:disposition:list", 0x15]
])

/** Splits a stream of bytes into whole headers and frames that have been checked. */
export class FrameGuard {
  private readonly options: Options
  private phase: "header" | "sasl" | "amqp" | "violated" = "header"
  private pending: Array<Buffer> = []
  private size = 0
  /** How many frames came that answer something: heartbeats do not, nor transfers, for which credit was given before. */
  answers = 0
  /** How many bytes must be there before it is worth looking again. */
  private needed = 8
  private opened = false
  private readonly channels = new Set<number>()

  constructor(options: Options) {
    this.options = options
  }

  /**
   * Takes what was read and passes on whole headers and frames, at once as far as that goes. The header that follows SASL
   * begins a piece of its own: a peer may write on without waiting (AMQP 1.0 sections 2.4.1 and 5.3.2), and rhea takes
   * what follows the last SASL frame of a piece for the size of another one.
   */
  push(bytes: Buffer, pass: (checked: Buffer) => void): void {
    if (this.phase === "violated") return
    this.options.onBytes?.()
    let chunk = bytes
    if (this.size > 0) {
      this.pending.push(bytes)
      this.size += bytes.length
      if (this.size < this.needed) return
      chunk = Buffer.concat(this.pending, this.size)
      this.pending = []
    }
    let from = 0
    let offset = 0
    let violation: Violation | undefined
    const upTo = (end: number) => {
      if (end > from) pass(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end))
      from = end
    }
    try {
      for (;;) {
        const isAfterSasl = this.phase === "sasl"
        const end = this.next(chunk, offset)
        if (end < 0) break
        if (isAfterSasl && this.phase !== "sasl") upTo(offset)
        offset = end
      }
    } catch (error) {
      violation = error instanceof Violation ? error : new Violation("a frame is not well-formed", malformed)
      violation.phase = this.phase as Violation["phase"]
      this.phase = "violated"
    }
    if (violation === undefined) {
      this.size = chunk.length - offset
      if (this.size > 0) this.pending.push(offset === 0 ? chunk : chunk.subarray(offset))
    }
    upTo(offset)
    if (violation !== undefined) this.options.onViolation(violation)
  }

  /** Checks the header or frame at `start`; gives its end, or -1 where it is not all there. */
  private next(bytes: Buffer, start: number): number {
    const left = bytes.length - start
    if (left < 8) {
      this.needed = 8
      // Another protocol is recognized by its first bytes.
      if (this.phase === "header" && left > 0) this.header(bytes, start, left)
      return -1
    }
    if (this.phase === "header") {
      this.header(bytes, start, 8)
      this.phase = bytes[start + 4] === 3 ? "sasl" : "amqp"
      return start + 8
    }
    // Between SASL and AMQP there is a second header.
    if (this.phase === "sasl" && bytes.readUInt32BE(start) === 0x414d5150) {
      this.phase = "header"
      if (bytes[start + 4] === 3) throw new Violation("the peer began SASL twice")
      return this.next(bytes, start)
    }
    const size = bytes.readUInt32BE(start)
    const limit = this.phase === "sasl" ? maxSaslFrame : this.options.maxFrameSize
    if (size < 8) throw new Violation(`a frame of ${size} bytes is smaller than its header`, malformed)
    if (size > limit) {
      throw new Violation(`a frame of ${size} bytes is larger than the ${limit} that were agreed`, framing)
    }
    if (left < size) {
      this.needed = size
      return -1
    }
    this.frame(bytes, start, start + size)
    return start + size
  }

  private header(bytes: Buffer, start: number, count: number): void {
    const protocol = [0x41, 0x4d, 0x51, 0x50, -1, 1, 0, 0]
    for (let i = 0; i < count; i++) {
      const byte = bytes[start + i]!
      if (i === 4 ? byte !== 0 && byte !== 3 : byte !== protocol[i]) {
        throw new Violation("the peer does not speak AMQP 1.0")
      }
    }
  }

  private frame(bytes: Buffer, start: number, end: number): void {
    const body = start + 4 * bytes[start + 4]!
    if (body < start + 8 || body > end) {
      throw new Violation("the offset of a frame's body is outside of the frame", malformed)
    }
    const type = bytes[start + 5]
    if (type !== (this.phase === "sasl" ? 1 : 0)) {
      throw new Violation(`a frame of type ${type} came in this phase`, malformed)
    }
    // An empty frame keeps the connection alive.
    if (body === end) return
    const channel = bytes.readUInt16BE(start + 6)
    const reader = new Reader(bytes, body, end)
    const descriptor = reader.descriptor()
    const code = typeof descriptor === "number" ? descriptor : codes.get(descriptor) ?? -1
    if (this.phase === "amqp" && (code === 0x14 || code === 0x15)) {
      if (!this.channels.has(channel)) this.failUnknownChannel("transfer or disposition", channel)
      return
    }
    if (code !== 0x14) this.answers++
    const shape = (this.phase === "sasl" ? saslShapes : shapes).get(code)
    if (shape === undefined) throw new Violation("a frame has an unknown performative", malformed)
    const list = reader.position
    if (skipValue(bytes, list, end) !== end) {
      throw new Violation(`a frame of ${shape.name} is not well-formed`, malformed)
    }
    const values = this.fields(reader, shape)
    if (this.phase === "amqp") this.checkOrder(code, channel, shape, values)
  }

  /** The fields of a performative, checked by type; null is undefined. */
  private fields(reader: Reader, shape: Shape): ReadonlyArray<unknown> {
    const count = reader.list()
    if (count > shape.fields.length) throw new Violation(`a frame of ${shape.name} has too many fields`)
    const values: Array<unknown> = []
    for (let i = 0; i < count; i++) {
      const constructor = reader.bytes[reader.position]!
      const allowed = constructors[shape.fields[i]!]
      if (constructor !== 0x40 && allowed !== undefined && !allowed.has(constructor)) {
        throw new Violation(`field ${i} of a frame of ${shape.name} has the wrong type`)
      }
      values.push(reader.value() ?? undefined)
    }
    for (const i of shape.mandatory) {
      if (values[i] === undefined) throw new Violation(`a frame of ${shape.name} lacks field ${i}`)
    }
    return values
  }

  private checkOrder(code: number, channel: number, shape: Shape, values: ReadonlyArray<unknown>): void {
    if (code === 0x10) {
      if (this.opened) throw new Violation("the peer opened the connection twice", "amqp:illegal-state")
      // Below AMQP's minimum no payload fits into a frame, and a sender would split for ever.
      if (values[2] !== undefined && (values[2] as number) < 512) {
        throw new Violation("the peer's frames are below 512 bytes")
      }
      this.opened = true
      return
    }
    if (!this.opened) throw new Violation(`a frame of ${shape.name} came before the open`, "amqp:illegal-state")
    if (code === 0x18) return
    if (code === 0x11) {
      if (this.channels.has(channel)) {
        throw new Violation(
          `the peer began a session on channel ${channel}, which is in use`,
          "amqp:session:handle-in-use"
        )
      }
      if (this.options.role === "client" && values[0] === undefined) {
        throw new Violation("the peer began a session by itself", "amqp:not-allowed")
      }
      if (channel >= maxSessions) {
        throw new Violation(
          `the peer began a session on channel ${channel}, above the agreed maximum of ${maxSessions - 1}`,
          "amqp:resource-limit-exceeded"
        )
      }
      this.channels.add(channel)
      return
    }
    if (!this.channels.has(channel)) this.failUnknownChannel(shape.name, channel)
    if (code === 0x17) this.channels.delete(channel)
  }

  private failUnknownChannel(what: string, channel: number): never {
    throw new Violation(`a frame of ${what} came on channel ${channel}, where there is no session`, "amqp:not-found")
  }
}

/** A socket whose data passes a guard. */
export const wrap = (socket: Socket, guard: FrameGuard): Socket => ({
  ...passing(socket),
  on: (event, listener) =>
    event === "data"
      ? socket.on("data", (bytes) => guard.push(bytes, listener as SocketEvents["data"]))
      : socket.on(event, listener)
})
