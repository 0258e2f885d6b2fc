/**
 * Stands between a connection of rhea and its socket: transfers and dispositions, on every session, are ours; all other
 * frames pass to rhea. It owns the order of what is written, the moment when it is written (a task of the Scheduler, so
 * that TestClock knows of it), and the idle time-outs of the open frame, which it hides from rhea's own timers.
 *
 * It must be installed once the connection's transport is the one that will be used: inside the `connect` of a client's
 * connection_details, before `accept` of a server.
 */
import type { Performative, RheaConnection, RheaLink, RheaSession } from "../rhea.ts"
import { DecodeProblem, Reader } from "./Reader.ts"
import { type LinkPlane, SessionPlane } from "./SessionPlane.ts"
import { Writer } from "./Writer.ts"

/** Runs a task soon, known to the Scheduler. */
export type Schedule = (task: () => void) => void

export interface Options {
  readonly schedule: Schedule
  /** Our idle time-out in milliseconds, advertised in the open frame. */
  readonly idleTimeout: number
  /** Whether performatives carry all their fields, for peers that read them by position. */
  readonly padded: boolean
}

const emptyFrame = Buffer.from([0, 0, 0, 8, 2, 0, 0, 0])

/** The window that rhea's sessions open for the peer, in transfers. */
export const sessionBuffer = { incoming: 8192, outgoing: 2048 }

export class DataPlane {
  readonly connection: RheaConnection
  private readonly options: Options
  private readonly writer = new Writer()
  private readonly planes = new Map<RheaSession, SessionPlane>()
  private touched: Array<LinkPlane> = []
  private readonly reader = new Reader(emptyFrame)
  /** The peer's idle time-out in milliseconds; undefined before its open, or where it has none. */
  remoteIdleTimeout: number | undefined = undefined
  /** Frames of transfers and dispositions since the connection opened, for tests and metrics. */
  readonly counters = { transfersIn: 0, transfersOut: 0, dispositionsIn: 0, writes: 0 }

  constructor(connection: RheaConnection, options: Options) {
    this.connection = connection
    this.options = options
    this.install()
  }

  of(session: RheaSession): SessionPlane {
    const plane = this.planes.get(session)
    if (plane === undefined) throw new Error("the session has no data plane")
    return plane
  }

  link(link: RheaLink): LinkPlane {
    return this.of(link.session).of(link)
  }

  /** Writes an empty frame: what keeps the peer from seeing us idle (AMQP 1.0 section 2.4.5). */
  heartbeat(): void {
    this.connection.socket?.write(emptyFrame)
  }

  private flush(): void {
    if (this.writer.length > 0 && this.connection.socket !== undefined) {
      this.counters.writes++
      this.connection.socket.write(this.writer.take())
    }
  }

  private pump(): void {
    for (const plane of this.planes.values()) plane.pump()
    this.flush()
  }

  private install(): void {
    const { connection, options } = this
    const { schedule } = options

    connection._register = () => {
      if (connection.registered) return
      connection.registered = true
      schedule(() => connection._process())
    }

    // Ours for links that are attached, rhea's frames, ours for links attached just now: no transfer leaves before its
    // attach and no disposition after its detach.
    const process = connection._process
    connection._process = () => {
      this.pump()
      process.call(connection)
      this.pump()
    }

    const transport = connection.amqp_transport
    if (options.padded) {
      const encode = transport.encode
      transport.encode = (frame) => {
        pad(frame.performative)
        encode.call(transport, frame)
      }
    }
    const write = transport.write
    transport.write = (socket) => {
      this.flush()
      write.call(transport, socket)
    }
    const read = transport.read
    transport.read = (bytes) => this.read(bytes, read)

    const create = connection.create_session
    connection.create_session = () => {
      const session = create.call(connection, sessionBuffer)
      this.planes.set(session, this.adopt(session))
      return session
    }
    const removeSession = connection.remove_session
    connection.remove_session = (session) => {
      this.planes.delete(session)
      removeSession.call(connection, session)
    }

    const onOpen = connection.on_open
    connection.on_open = (frame) => {
      this.remoteIdleTimeout = frame.performative["idle_time_out"] ?? undefined
      frame.performative["idle_time_out"] = undefined
      onOpen.call(connection, frame)
    }
    // rhea starts a timer of its own where it finds our idle time-out in its open: it finds it while the frame is
    // encoded and not after.
    const writeOpen = connection._write_open
    connection._write_open = () => {
      const { open } = connection.local
      const { encode } = transport
      transport.encode = (frame) => {
        transport.encode = encode
        encode.call(transport, { ...frame, performative: withIdle(open, options.idleTimeout) })
      }
      writeOpen.call(connection)
    }

    // rhea answers close, end and detach by nextTick and removes one tick later. With `_register` on the Scheduler its
    // removal would come before the answer is written: we answer at once, and remove one task later.
    const onClose = connection.on_close
    connection.on_close = (frame) => {
      onClose.call(connection, frame)
      connection.close()
    }
  }

  private adopt(session: RheaSession): SessionPlane {
    const { schedule } = this.options
    const plane = new SessionPlane({
      writer: this.writer,
      padded: this.options.padded,
      register: () => this.connection._register(),
      maxFrameSize: () => Math.max(512, this.connection.remote.open?.["max_frame_size"] ?? 65536),
      received: (link) => {
        this.touched.push(link)
      }
    }, session)

    const onAttach = session.on_attach
    session.on_attach = (frame) => {
      const { handle, name, role } = frame.performative
      // A name is unique per direction (AMQP 1.0 section 2.6.1); rhea knows one link of a name.
      const other = session.links[name]
      const collides = other !== undefined && other.is_receiver() === role && other.state.remote_open
      if (collides) delete session.links[name]
      onAttach.call(session, frame)
      if (collides) session.links[`${name}\u0000`] = other
      const link = session.remote.handles[handle]!
      // rhea starts its count at 0; the sender says where it starts (AMQP 1.0 section 2.6.7).
      if (link.is_receiver()) link.delivery_count = frame.performative["initial_delivery_count"] ?? 0
      this.wrapFlow(link)
      plane.handles.set(handle, plane.of(link))
    }
    const onDetach = session.on_detach
    session.on_detach = (frame) => {
      const { handle } = frame.performative
      const link = session.remote.handles[handle]
      onDetach.call(session, frame)
      const known = plane.handles.get(handle)
      plane.handles.delete(handle)
      if (known !== undefined) plane.drop(known)
      if (link === undefined) return
      link.close()
      schedule(() => {
        if (session.remote.handles[handle] === link) delete session.remote.handles[handle]
        link.remove()
      })
    }
    const onEnd = session.on_end
    session.on_end = (frame) => {
      onEnd.call(session, frame)
      session.close()
      schedule(() => session.remove())
    }
    // By identity: rhea goes by a handle that it never fills in, and by name.
    session.remove_link = (link) => {
      for (const name of Object.keys(session.links)) if (session.links[name] === link) delete session.links[name]
      const { handle } = link.local
      if (session.local.handles[handle] === link) delete session.local.handles[handle]
    }
    return plane
  }

  /** Credit by serial arithmetic: delivery-counts wrap at 2^32 (AMQP 1.0 section 2.6.7). */
  private wrapFlow(link: RheaLink): void {
    if (link.is_receiver()) return
    const onFlow = link.on_flow
    link.on_flow = (frame) => {
      const flow = frame.performative
      const count = flow["delivery_count"] ?? 0
      // rhea adds credit and count and subtracts ours.
      flow["delivery_count"] = link.delivery_count + ((count - link.delivery_count) | 0)
      flow["link_credit"] ??= 0
      onFlow.call(link, frame)
    }
  }

  /** Reads whole frames; returns how many bytes were used. */
  private read(bytes: Buffer, rheaRead: (bytes: Buffer) => number): number {
    const transport = this.connection.amqp_transport
    let offset = 0
    if (!transport.header_received) {
      if (bytes.length < 8) return 0
      offset = rheaRead.call(transport, bytes.subarray(0, 8))
    }
    try {
      while (bytes.length - offset >= 8) {
        const size = bytes.readUInt32BE(offset)
        if (size < 8) throw new DecodeProblem("a frame is smaller than its header")
        if (bytes.length - offset < size) break
        this.frame(bytes, offset, offset + size, rheaRead)
        offset += size
      }
    } finally {
      this.deliver()
    }
    return offset
  }

  private frame(bytes: Buffer, start: number, end: number, rheaRead: (bytes: Buffer) => number): void {
    const body = start + 4 * bytes[start + 4]!
    if (body < start + 8 || body > end) throw new DecodeProblem("a frame's header is longer than the frame")
    const { reader } = this
    let code = -1
    if (bytes[start + 5] === 0 && end - body >= 4 && bytes[body] === 0) {
      if (bytes[body + 1] === 0x53) {
        code = bytes[body + 2]!
        reader.reset(bytes, body + 3, end)
      } else {
        reader.reset(bytes, body, end)
        code = codeOf(reader.descriptor())
      }
    }
    if (code !== 0x14 && code !== 0x15) {
      // In the order of the wire: a detach, end or close drops what its link has not handed over.
      this.deliver()
      rheaRead.call(this.connection.amqp_transport, bytes.subarray(start, end))
      return
    }
    const channel = bytes.readUInt16BE(start + 6)
    const session = this.connection.remote_channel_map[channel]
    const plane = session === undefined ? undefined : this.planes.get(session)
    if (plane === undefined) throw new DecodeProblem(`a transfer or disposition came on the unknown channel ${channel}`)
    if (code === 0x14) {
      this.counters.transfersIn++
      plane.onTransfer(reader)
    } else {
      this.counters.dispositionsIn++
      plane.onDisposition(reader)
    }
  }

  /** Hands each link what this read brought, as one array where no frame of rhea's came between. */
  private deliver(): void {
    if (this.touched.length === 0) return
    const { touched } = this
    this.touched = []
    for (const link of touched) {
      const { inbox } = link
      link.inbox = []
      if (inbox.length > 0) link.onDeliveries?.(inbox)
    }
  }
}

/** A performative may be named by a long code or by its symbol as well (AMQP 1.0 section 2.7). */
const codeOf = (descriptor: number | string): number => {
  switch (descriptor) {
    case "amqp:transfer:list":
      return 0x14
    case "amqp:disposition:list":
      return 0x15
    default:
      return typeof descriptor === "number" ? descriptor : -1
  }
}

/** How many fields open, begin, attach and flow have (AMQP 1.0 section 2.7). */
const fields: Readonly<Record<number, number>> = { 0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11 }

/** rhea leaves the fields at the end out where they are null. */
const pad = (performative: Performative | undefined): void => {
  if (performative === undefined) return
  const { descriptor } = performative.constructor as { readonly descriptor?: { readonly numeric: number } }
  const count = fields[descriptor?.numeric ?? -1]
  if (count === undefined) return
  // The default, said aloud: pyamqp compares with it.
  if (descriptor!.numeric === 0x11) performative["handle_max"] ??= 4294967295
  const { value } = performative
  while (value.length < count) value.push(undefined)
}

/** A view of the open performative that has our idle time-out. */
const withIdle = (open: object, idleTimeout: number): Performative => {
  const copy = Object.create(Object.getPrototypeOf(open), Object.getOwnPropertyDescriptors(open))
  copy.value = [...(open as { value: Array<unknown> }).value]
  copy.idle_time_out = idleTimeout
  return copy
}
