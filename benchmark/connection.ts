// One connection to the broker. Transfers and dispositions are read and written by hand, all other frames by rhea's
// codec.
import { createRequire } from "node:module"
import type * as Net from "node:net"
import { Cursor, dataSections, disposition, isSent, maxFrame, Template } from "./frames.ts"

const require = createRequire(import.meta.url)
const frames = require("rhea/lib/frames.js")
const codec = require("rhea/lib/message.js")
const types = require("rhea/lib/types.js")
const terminus = require("rhea/lib/terminus.js")

export interface Options {
  /** One settled disposition for each delivery instead of one for each range. */
  readonly separate?: boolean | undefined
  /** Milliseconds that bytes take to reach the broker. */
  readonly delay?: number | undefined
  /** The size of the bodies that sinks are sent. */
  readonly size: number
}

/** What has happened at an entity. */
export interface Stats {
  accepted: number
  completed: number
  /** Locks that were renewed. */
  renewed: number
  /** Sent messages that were looked into, and how many of them were not what they should be. */
  checked: number
  wrong: number
}

const credit = 100_000
const unlimited = 0x7fffffff
/** Every so many sent messages, one is decoded and compared. */
const sample = 997

interface Link {
  readonly kind: "sink" | "source" | "reply" | "request" | "empty"
  readonly address: string
  readonly handle: number
  readonly stats: Stats
  credit: number
  count: number
  template?: Template
  /** The delivery whose transfers are not complete. */
  partial?: { readonly id: number; readonly format: number; readonly parts: Array<Buffer> } | undefined
}

interface Session {
  readonly channel: number
  readonly links: Array<Link | undefined>
  nextIn: number
  nextOut: number
  windowEnd: number
  nextDelivery: number
  /** Ranges that are not written yet: of what came in, and of what was sent and is settled. */
  readonly accepted: Range
  readonly settled: Range
}

class Range {
  first = -1
  last = -1
  private readonly write: (first: number, last: number) => void

  constructor(write: (first: number, last: number) => void) {
    this.write = write
  }

  add(first: number, last: number): void {
    if (this.first >= 0 && first === this.last + 1) {
      this.last = last
      return
    }
    this.flush()
    this.first = first
    this.last = last
  }

  flush(): void {
    if (this.first >= 0) this.write(this.first, this.last)
    this.first = -1
  }
}

export class Connection {
  private readonly socket: Net.Socket
  private readonly options: Options
  private readonly statsOf: (entity: string) => Stats
  private readonly sessions: Array<Session | undefined> = []
  private readonly cursor = new Cursor()
  private rest: Buffer | undefined
  private out: Array<Buffer> = []
  private blocked = false

  constructor(socket: Net.Socket, options: Options, statsOf: (entity: string) => Stats) {
    this.socket = socket
    this.options = options
    this.statsOf = statsOf
    socket.setNoDelay(true)
    socket.on("error", () => {})
    socket.on("drain", () => {
      this.blocked = false
      for (const session of this.sessions) if (session !== undefined) this.pumpAll(session)
    })
    const { delay = 0 } = options
    socket.on("data", (chunk: Buffer) => {
      if (delay === 0) this.read(chunk)
      else setTimeout(() => this.read(chunk), delay)
    })
  }

  private flush(): void {
    if (this.out.length === 0) return
    const bytes = this.out.length === 1 ? this.out[0]! : Buffer.concat(this.out)
    this.out = []
    this.socket.write(bytes)
  }

  private write(channel: number, performative: any, payload?: Buffer): void {
    this.out.push(frames.write_frame(frames.amqp_frame(channel, performative.described(), payload)))
  }

  private read(chunk: Buffer): void {
    const bytes = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    while (bytes.length - at >= 8) {
      if (bytes[at] === 0x41) {
        // "AMQP": a protocol header, of SASL (3) or of AMQP itself.
        this.out.push(Buffer.from(bytes.subarray(at, at + 8)))
        if (bytes[at + 4] === 3) {
          const mechanisms = frames.sasl_mechanisms({
            sasl_server_mechanisms: ["ANONYMOUS", "MSSBCBS", "EXTERNAL", "PLAIN"]
          })
          this.out.push(frames.write_frame(frames.sasl_frame(mechanisms.described())))
        }
        at += 8
        continue
      }
      const size = bytes.readUInt32BE(at)
      if (bytes.length - at < size) break
      this.frame(bytes, at, at + size)
      at += size
    }
    this.rest = at < bytes.length ? bytes.subarray(at) : undefined
    for (const session of this.sessions) {
      session?.accepted.flush()
      session?.settled.flush()
    }
    this.flush()
  }

  private frame(bytes: Buffer, start: number, end: number): void {
    const code = end - start > 12 && bytes[start + 5] === 0 && bytes[start + 9] === 0x53 ? bytes[start + 10] : -1
    if (code !== 0x14 && code !== 0x15) {
      if (end - start > 8) this.control(frames.read_frame(bytes.subarray(start, end)))
      return
    }
    const session = this.sessions[bytes.readUInt16BE(start + 6)]
    if (session === undefined) throw new Error("a frame came on an unknown channel")
    // A list in the eight-bit form is 3 bytes before its fields, in the wide form 9.
    const stop = start + 11 +
      (bytes[start + 11] === 0xd0 ? 5 + bytes.readUInt32BE(start + 12) : 2 + bytes[start + 12]!)
    const count = this.cursor.list(bytes, start + 11)
    if (code === 0x14) this.transfer(session, count, bytes.subarray(stop, end))
    else this.disposition(session, count)
  }

  private transfer(session: Session, count: number, payload: Buffer): void {
    const { cursor } = this
    const link = session.links[cursor.uint()]
    if (link === undefined) throw new Error("a transfer came on an unknown handle")
    const id = count > 1 ? cursor.uint() : -1
    if (count > 2) cursor.skip()
    const format = count > 3 ? cursor.uint() : -1
    if (count > 4 && cursor.boolean()) throw new Error("a transfer was sent settled")
    const more = count > 5 && cursor.boolean()
    session.nextIn++
    if (more || link.partial !== undefined) {
      link.partial ??= { id, format, parts: [] }
      link.partial.parts.push(payload)
      if (more) return
      const { partial } = link
      link.partial = undefined
      this.received(session, link, partial.id, partial.format, Buffer.concat(partial.parts))
    } else this.received(session, link, id, format, payload)
  }

  private received(session: Session, link: Link, id: number, format: number, payload: Buffer): void {
    session.accepted.add(id, id)
    if (--link.credit < credit / 2) {
      link.count += credit - link.credit
      link.credit = credit
      this.flow(session, { handle: link.handle, delivery_count: link.count, link_credit: credit })
    }
    if (link.kind === "request") this.answer(session, link, codec.decode(payload))
    if (link.kind !== "sink") return
    const { stats } = link
    const messages = format === 0x80013700 ? dataSections(payload) : undefined
    const before = stats.accepted
    stats.accepted += messages?.length ?? 1
    if (before > 0 && Math.floor(before / sample) === Math.floor(stats.accepted / sample)) return
    stats.checked++
    if (!isSent(messages?.[0] ?? payload, this.options.size)) stats.wrong++
  }

  private disposition(session: Session, count: number): void {
    const { cursor } = this
    const receiver = cursor.boolean()
    const first = cursor.uint()
    const last = count > 2 ? cursor.uint() : -1
    const settled = count > 3 && cursor.boolean()
    if (!receiver || settled) return
    const end = last < 0 ? first : last
    const source = session.links.find((link) => link?.kind === "source")
    // Released and the like are echoed as accepted: they only end what was prefetched.
    if (source !== undefined && count > 4 && cursor.accepted()) source.stats.completed += end - first + 1
    session.settled.add(first, end)
  }

  private flow(session: Session, fields: object): void {
    this.write(
      session.channel,
      frames.flow({
        next_incoming_id: session.nextIn,
        incoming_window: unlimited,
        next_outgoing_id: session.nextOut,
        outgoing_window: unlimited,
        ...fields
      })
    )
  }

  private ranges(channel: number, receiver: boolean): Range {
    return new Range((first, last) => {
      if (this.options.separate !== true) {
        this.out.push(disposition(channel, receiver, first, last))
        return
      }
      for (let id = first; id <= last; id++) this.out.push(disposition(channel, receiver, id, id))
    })
  }

  private control(frame: any): void {
    const { channel, performative } = frame
    if (performative === undefined) return
    const session = this.sessions[channel]
    switch (performative.constructor.descriptor.numeric) {
      case 0x41:
        this.out.push(frames.write_frame(frames.sasl_frame(frames.sasl_outcome({ code: 0 }).described())))
        return
      case 0x10:
        return this.write(
          0,
          frames.open({
            container_id: "benchmark",
            max_frame_size: maxFrame,
            channel_max: 4999,
            idle_time_out: 240_000
          })
        )
      case 0x11:
        this.sessions[channel] = {
          channel,
          links: [],
          nextIn: 0,
          nextOut: 0,
          windowEnd: performative.incoming_window,
          nextDelivery: 0,
          accepted: this.ranges(channel, true),
          settled: this.ranges(channel, false)
        }
        return this.write(
          channel,
          frames.begin({
            remote_channel: channel,
            next_outgoing_id: 0,
            incoming_window: unlimited,
            outgoing_window: unlimited
          })
        )
      case 0x12:
        return this.attach(session!, performative)
      case 0x13:
        return this.onFlow(session!, performative)
      case 0x16:
        session!.links[performative.handle] = undefined
        return this.write(channel, frames.detach({ handle: performative.handle, closed: performative.closed ?? true }))
      case 0x17:
        this.sessions[channel] = undefined
        return this.write(channel, frames.end({}))
      case 0x18:
        this.write(0, frames.close({}))
        this.flush()
        this.socket.end()
    }
  }

  private attach(session: Session, attach: any): void {
    const isReceiver: boolean = attach.role
    const address: string = terminus.unwrap(isReceiver ? attach.source : attach.target)?.address ?? ""
    const { handle } = attach
    const isNode = address.endsWith("$cbs") || address.endsWith("$management")
    const source = /src\.(\d+)/.exec(address)
    const kind = isNode ? isReceiver ? "reply" : "request" : !isReceiver ? "sink" : source ? "source" : "empty"
    const link: Link = { kind, address, handle, stats: this.statsOf(address), credit: 0, count: 0 }
    if (kind === "source") link.template = new Template(Number(source![1]), handle, attach.snd_settle_mode === 1)
    session.links[handle] = link
    const answer = frames.attach({
      name: attach.name,
      handle,
      role: !isReceiver,
      snd_settle_mode: attach.snd_settle_mode ?? 2,
      rcv_settle_mode: attach.rcv_settle_mode ?? 0,
      max_message_size: 64 * 2 ** 20,
      ...(isReceiver ? { initial_delivery_count: 0 } : {})
    })
    answer.source = attach.source
    answer.target = attach.target
    this.write(session.channel, answer)
    if (isReceiver) return
    link.credit = credit
    this.flow(session, { handle, delivery_count: 0, link_credit: credit })
  }

  private onFlow(session: Session, flow: any): void {
    session.windowEnd = (flow.next_incoming_id ?? 0) + flow.incoming_window
    const link = typeof flow.handle === "number" ? session.links[flow.handle] : undefined
    if (link === undefined) return this.pumpAll(session)
    if (link.kind === "sink" || link.kind === "request") return
    link.credit = flow.delivery_count + flow.link_credit - link.count
    this.pump(session, link)
    if (flow.drain !== true) return
    link.count += Math.max(0, link.credit)
    link.credit = 0
    this.flow(session, { handle: link.handle, delivery_count: link.count, link_credit: 0, drain: true })
  }

  private pumpAll(session: Session): void {
    for (const link of session.links) if (link !== undefined) this.pump(session, link)
  }

  private pump(session: Session, link: Link): void {
    const { template } = link
    if (template === undefined) return
    while (!this.blocked) {
      const frames = template.starts.length
      const window = Math.floor((session.windowEnd - session.nextOut) / frames)
      const count = Math.min(link.credit, template.count, window)
      if (count <= 0) return
      const bytes = template.take(count, session.channel, session.nextDelivery)
      session.nextDelivery += count
      session.nextOut += count * frames
      link.count += count
      link.credit -= count
      this.flush()
      this.blocked = !this.socket.write(bytes)
    }
  }

  private answer(session: Session, link: Link, request: any): void {
    const reply = session.links.find((other) => other?.kind === "reply" && other.address === link.address)
    if (reply === undefined) throw new Error(`no request waits for the answer of ${link.address}`)
    const isManagement = link.address.endsWith("$management")
    const code = types.wrap_int(isManagement ? 200 : 202)
    const tokens: number = request.body?.["lock-tokens"]?.length ?? 1
    if (isManagement) this.statsOf(link.address.slice(0, -"/$management".length)).renewed += tokens
    const until = new Date(Date.now() + 60_000)
    const response = {
      correlation_id: request.message_id,
      application_properties: {
        statusCode: code,
        "status-code": code,
        statusDescription: "OK",
        "status-description": "OK"
      },
      ...(isManagement
        ? { body: { expirations: types.wrap_array(Array.from({ length: tokens }, () => until), 0x83) } }
        : {})
    }
    const id = session.nextDelivery++
    session.nextOut++
    reply.count++
    reply.credit--
    const tag = Buffer.alloc(16)
    tag.writeUInt32BE(id, 12)
    const { handle } = reply
    this.write(
      session.channel,
      frames.transfer({ handle, delivery_id: id, delivery_tag: tag, message_format: 0, settled: true, more: false }),
      codec.encode(response)
    )
  }
}
