/**
 * Frames by hand, for what no client of this project writes: a peer that speaks bytes, and a proxy that changes what passes
 * between two others.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import type { AmqpValue } from "../../src/AmqpValue.ts"
import * as AmqpValues from "../../src/AmqpValue.ts"
import { Reader } from "../../src/internal/amqp/codec/Reader.ts"
import { skipValue } from "../../src/internal/amqp/codec/skipValue.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import { until } from "./harness.ts"
import { assert } from "./vitest.ts"

/** The codes of performatives (AMQP 1.0 sections 2.7 and 5.3.3). */
const codes = {
  open: 0x10,
  begin: 0x11,
  attach: 0x12,
  flow: 0x13,
  transfer: 0x14,
  disposition: 0x15,
  detach: 0x16,
  end: 0x17,
  close: 0x18,
  mechanisms: 0x40,
  init: 0x41,
  outcome: 0x44
} as const

type Performative = keyof typeof codes

export interface Frame {
  readonly performative: Performative | "heartbeat" | "header" | "unknown"
  readonly channel: number
  readonly fields: ReadonlyArray<AmqpValue>
  readonly payload: Buffer
  readonly bytes: Buffer
}

const names = new Map(Object.entries(codes).map(([name, code]) => [code as number, name as Performative]))

export const amqpHeader = Buffer.from("414d515000010000", "hex")
export const saslHeader = Buffer.from("414d515003010000", "hex")

export const uint = (value: number) => AmqpValues.typed("uint", value)
export const ubyte = (value: number) => AmqpValues.typed("ubyte", value)
export const ushort = (value: number) => AmqpValues.typed("ushort", value)
export const symbol = AmqpValues.symbol
export const described = (code: number, ...fields: ReadonlyArray<AmqpValue>) =>
  AmqpValues.described(BigInt(code), fields)

const writer = new Writer()

/** The bytes of AMQP values, one after the other. */
export const encoded = (...values: ReadonlyArray<AmqpValue>): Buffer => {
  for (const value of values) writer.value(value)
  return Buffer.from(writer.take())
}

/** A frame with a performative; `type` 1 is SASL. */
export const frame = (
  performative: Performative | number,
  fields: ReadonlyArray<AmqpValue>,
  options: { readonly channel?: number; readonly payload?: Buffer; readonly type?: number } = {}
): Buffer => {
  const code = typeof performative === "number" ? performative : codes[performative]
  const body = Buffer.concat([encoded(described(code, ...fields)), options.payload ?? Buffer.alloc(0)])
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length)
  head[4] = 2
  head[5] = options.type ?? 0
  head.writeUInt16BE(options.channel ?? 0, 6)
  return Buffer.concat([head, body])
}

/** Takes whole headers and frames from a stream of bytes. */
export class Splitter {
  private pending: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): ReadonlyArray<Frame> {
    this.pending = Buffer.concat([this.pending, bytes])
    const frames: Array<Frame> = []
    for (;;) {
      const { pending } = this
      if (pending.length < 8) return frames
      const isHeader = pending.readUInt32BE() === 0x414d5150
      const size = isHeader ? 8 : pending.readUInt32BE()
      if (pending.length < size) return frames
      frames.push(read(pending.subarray(0, size), isHeader))
      this.pending = pending.subarray(size)
    }
  }
}

const read = (bytes: Buffer, isHeader: boolean): Frame => {
  const none = { channel: 0, fields: [], payload: Buffer.alloc(0), bytes }
  if (isHeader) return { ...none, performative: "header" }
  const start = 4 * bytes[4]!
  if (start >= bytes.length) return { ...none, performative: "heartbeat" }
  const reader = new Reader(bytes, start)
  const performative = names.get(Number(reader.descriptor())) ?? "unknown"
  const end = skipValue(bytes, reader.position, bytes.length)
  const count = reader.list()
  const fields: Array<AmqpValue> = []
  for (let i = 0; i < count; i++) fields.push(reader.value())
  return { performative, channel: bytes.readUInt16BE(6), fields, payload: bytes.subarray(end), bytes }
}

/** The condition, and how many fields it has, of the error in a detach, an end or a close. */
export const errorOf = (
  { fields, performative }: Frame
): { readonly condition: string; readonly description: string; readonly fields: number } | undefined => {
  const error = fields[performative === "detach" ? 2 : 0]
  return error === undefined || error === null ? undefined : rejection(error)
}

/** The error in an outcome or a performative: a described list. */
const rejection = (error: AmqpValue) => {
  assert(AmqpValues.isTyped(error) && error.type === "described")
  const list = error.value as ReadonlyArray<AmqpValue>
  return {
    condition: String((list[0] as AmqpValues.Typed).value),
    description: String(list[1]),
    fields: list.length
  }
}

/** The code of a delivery state, and the condition of the error in it. */
export const stateOf = (state: AmqpValue): { readonly code: number; readonly condition: string | undefined } => {
  assert(AmqpValues.isTyped(state) && state.type === "described")
  const list = state.value as ReadonlyArray<AmqpValue>
  const isRejected = Number(state.descriptor) === 0x25 && list.length > 0
  return { code: Number(state.descriptor), condition: isRejected ? rejection(list[0]).condition : undefined }
}

interface Peer {
  readonly write: (...bytes: ReadonlyArray<Buffer>) => Effect.Effect<void>
  /** All frames that came, heartbeats left out. */
  readonly frames: ReadonlyArray<Frame>
  /** Waits for the next frame of a kind, counted from the last one that was waited for. */
  readonly next: (performative: Frame["performative"]) => Effect.Effect<Frame>
  /** What came of a kind, and was not waited for. */
  readonly isClosed: () => boolean
  readonly closed: Effect.Effect<void>
}

/** A peer over TCP that says only what it is told. */
export const connect = (port: number): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const frames: Array<Frame> = []
    let isClosed = false
    let seen = 0
    const splitter = new Splitter()
    const socket = yield* Effect.acquireRelease(
      Effect.callback<net.Socket>((resume) => {
        const socket = net.connect({ port, host: "127.0.0.1", noDelay: true }, () => resume(Effect.succeed(socket)))
        socket.on("error", () => {})
      }),
      (socket) =>
        Effect.sync(() => {
          socket.destroy()
        })
    )
    socket.on(
      "data",
      (bytes) => frames.push(...splitter.push(bytes).filter((each) => each.performative !== "heartbeat"))
    )
    socket.on("close", () => {
      isClosed = true
    })
    return {
      frames,
      write: (...bytes) =>
        Effect.sync(() => {
          socket.write(Buffer.concat(bytes))
        }),
      next: (performative) =>
        Effect.gen(function*() {
          let found: Frame | undefined
          yield* until(Effect.sync(() => {
            const at = frames.findIndex((each, i) => i >= seen && each.performative === performative)
            if (at >= 0) {
              found = frames[at]
              seen = at + 1
            }
            if (at < 0 && isClosed) assert.fail(`the socket was closed, and no ${performative} had come`)
            return at >= 0
          }))
          return found!
        }),
      isClosed: () => isClosed,
      closed: until(Effect.sync(() => isClosed))
    }
  })

export const open = frame("open", ["raw", "127.0.0.1"])
export const begin = (channel = 0) => frame("begin", [null, uint(0), uint(2048), uint(2048)], { channel })

export const init = (mechanism: string, response: string) =>
  frame("init", [symbol(mechanism), Buffer.from(response)], { type: 1 })

export const source = (address: string, filter: AmqpValue = null) =>
  described(0x28, address, null, null, null, null, null, null, filter)
export const target = (address: string) => described(0x29, address)

interface Attach {
  readonly name?: string
  readonly handle?: number
  readonly channel?: number
}

/** The attach of a link that sends to an entity. */
export const attachSender = (entity: string, { channel = 0, handle = 0, name = `s${handle}` }: Attach = {}) =>
  frame("attach", [name, uint(handle), false, null, null, source("raw"), target(entity), null, null, uint(0)], {
    channel
  })

/** The attach of a link that receives from an entity, and settles second. */
export const attachReceiver = (
  entity: string,
  { channel = 0, filter = null, handle = 0, name = `r${handle}` }: Attach & { readonly filter?: AmqpValue } = {}
) => frame("attach", [name, uint(handle), true, ubyte(0), ubyte(1), source(entity, filter), target("raw")], { channel })

/** A flow of a link, or of the session where there is none. */
export const flow = (
  { channel = 0, credit, drain = null, echo = null, handle = null }: {
    readonly channel?: number
    readonly handle?: number | null
    readonly credit?: number | undefined
    readonly drain?: boolean | null
    readonly echo?: boolean | null
  } = {}
) =>
  frame("flow", [
    uint(0),
    uint(2048),
    uint(0),
    uint(2048),
    handle === null ? null : uint(handle),
    handle === null ? null : uint(0),
    credit === undefined ? null : uint(credit),
    null,
    drain,
    echo
  ], { channel })

/** A message of one data section. */
export const message = (body: string | Buffer): Buffer => encoded(AmqpValues.described(0x75n, Buffer.from(body)))

/** A transfer; `id` null leaves the delivery-id out. */
export const transfer = (
  { channel = 0, handle = 0, id, more = false, payload = message("raw"), settled = false, state = null }: {
    readonly channel?: number
    readonly handle?: number
    readonly id: number | null
    readonly more?: boolean
    readonly payload?: Buffer
    readonly settled?: boolean
    readonly state?: AmqpValue
  }
) =>
  frame("transfer", [
    uint(handle),
    id === null ? null : uint(id),
    Buffer.from(String(id)),
    uint(0),
    settled,
    more,
    null,
    state
  ], { channel, payload })

/** A message in frames of at most 60,000 bytes. */
export const transfers = (options: Parameters<typeof transfer>[0] & { readonly payload: Buffer }): Buffer => {
  const parts: Array<Buffer> = []
  for (let at = 0; at < options.payload.length; at += 60_000) {
    const payload = options.payload.subarray(at, at + 60_000)
    parts.push(transfer({ ...options, payload, more: at + payload.length < options.payload.length }))
  }
  return Buffer.concat(parts)
}

/** Says what becomes of the deliveries of the other side. */
export const disposition = (
  first: number,
  state: AmqpValue,
  { channel = 0, last = null, settled = false }: {
    readonly channel?: number
    readonly last?: number | null
    readonly settled?: boolean
  } = {}
) => frame("disposition", [true, uint(first), last === null ? null : uint(last), settled, state], { channel })

/**
 * What a proxy does with a frame: what goes on instead of it, in bytes. `say` writes to the one that the frame came from.
 */
export type Hook = (
  frame: Frame,
  direction: "toServer" | "toClient",
  say: (bytes: Buffer) => void
) => ReadonlyArray<Buffer>

export interface Proxy {
  readonly port: number
  /** How many connections were made. */
  readonly connections: () => number
}

/** A proxy over TCP that hands every frame to a hook. */
export const proxy = (target: number, hook: Hook): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    let connections = 0
    const sockets = new Set<net.Socket>()
    const pipe = (from: net.Socket, to: net.Socket, direction: "toServer" | "toClient") => {
      const splitter = new Splitter()
      from.on("data", (bytes) => {
        for (const each of splitter.push(bytes)) {
          for (const out of hook(each, direction, (said) => from.write(said))) to.write(out)
        }
      })
      from.on("error", () => {})
      from.on("close", () => to.destroy())
    }
    const server = yield* Effect.acquireRelease(
      Effect.callback<net.Server>((resume) => {
        const server = net.createServer({ noDelay: true }, (near) => {
          connections++
          const far = net.connect({ port: target, host: "127.0.0.1", noDelay: true })
          for (const socket of [near, far]) sockets.add(socket)
          pipe(near, far, "toServer")
          pipe(far, near, "toClient")
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    return { port: (server.address() as net.AddressInfo).port, connections: () => connections }
  })
