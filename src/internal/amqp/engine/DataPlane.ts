/**
 * Stands between a connection of rhea and its socket: transfers and dispositions of all sessions are handled here, all other
 * frames are rhea's. It owns the order of what is written, the moment when it is written (a task of the Scheduler, so
 * that TestClock knows of it), and the idle time-outs of the open frame, which it hides from rhea's own timers.
 *
 * It must be installed once the connection's transport is the one that will be used: inside the `connect` of a client's
 * connection_details, before `accept` of a server.
 */
import type { AmqpError } from "../codec/Outcome.ts"
import { DecodeProblem, Reader } from "../codec/Reader.ts"
import { Writer } from "../codec/Writer.ts"
import { FreeNumbers } from "./FreeNumbers.ts"
import type { LinkPlane } from "./LinkPlane.ts"
import type { Performative, RheaConnection, RheaError, RheaLink, RheaSession } from "./rhea.ts"
import { type Attaching, distance, SessionPlane } from "./SessionPlane.ts"

/** Runs a task soon, known to the Scheduler. */
type Schedule = (task: () => void) => void

interface Options {
  readonly schedule: Schedule
  /** Our idle time-out in milliseconds, advertised in the open frame. */
  readonly idleTimeout: number
  /** Whether performatives carry all their fields, for peers that read them by position. */
  readonly padded: boolean
  /** A frame cannot be read; nothing that comes after it is. Called once. */
  readonly onDecodeProblem: (problem: DecodeProblem) => void
  /** Is asked before bytes of answers and deliveries leave; where it says false they do not, nor does any that follows. */
  readonly beforeWrite?: (() => boolean) | undefined
  /**
   * The peer broke a rule of a link, or of a session where no link is given: to be answered with the error. The rest of
   * what it sends there is discarded.
   */
  readonly onBreach: (error: AmqpError, session: RheaSession, link: RheaLink | undefined) => void
}

const emptyFrame = Buffer.from([0, 0, 0, 8, 2, 0, 0, 0])

/** The window that rhea's sessions open for the peer, in transfers. */
const sessionBuffer = { incoming: 8192, outgoing: 2048 }

export class DataPlane {
  readonly connection: RheaConnection
  private readonly options: Options
  private readonly writer = new Writer()
  private readonly planes = new Map<RheaSession, SessionPlane>()
  /** The links that got deliveries in the present read. */
  private receiving: Array<LinkPlane> = []
  /** The sessions that may have something to write: a turn looks at no other. */
  private dirty: Array<SessionPlane> = []
  /** What rhea writes in a turn goes into the same bytes as ours. */
  private isTurn = false
  private readonly channels = new FreeNumbers()
  private readonly reader = new Reader(emptyFrame)
  private isBroken = false
  private isHeldBack = false
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
      const bytes = this.writer.take()
      // What comes after bytes that are gone would be read as if they had been there.
      if (this.isHeldBack || this.options.beforeWrite?.() === false) {
        this.isHeldBack = true
        return
      }
      this.counters.writes++
      this.connection.socket.write(bytes)
    }
  }

  /**
   * Writes what there is to write. rhea would walk every session and link that there is, twice for each turn; this walks
   * those that something was asked of.
   */
  private process(): void {
    const { connection } = this
    const { state } = connection
    connection.registered = false
    // A socket that rhea is about to end gets every frame at once: it would be ended before the rest.
    this.isTurn = connection.is_open()
    try {
      do {
        const { dirty } = this
        this.dirty = []
        for (const plane of dirty) plane.isDirty = false
        // Ours for links that are attached, rhea's frames, ours for links attached just now: no transfer leaves before its
        // attach and no disposition after its detach.
        for (const plane of dirty) plane.pump()
        if (state.need_open()) connection._write_open()
        for (const plane of dirty) {
          plane.process()
          plane.pump()
        }
        if (state.close_requests > 0) {
          this.endTurn()
          if (state.need_close()) connection._write_close()
        }
      } while (!state.has_settled())
    } finally {
      this.endTurn()
    }
  }

  /** The highest channel that the peer takes (AMQP 1.0 section 2.7.1). */
  get channelMax(): number {
    return this.connection.remote.open?.["channel_max"] ?? 65535
  }

  /** Requests a flow of the peer, which it must send: where it is unknown whether what we write arrives. */
  requestFlow(): void {
    for (const plane of this.planes.values()) if (plane.session.is_open()) return plane.requestFlow()
  }

  private endTurn(): void {
    this.isTurn = false
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
    connection._process = () => this.process()

    const transport = connection.amqp_transport
    const encode = transport.encode
    transport.encode = (frame) => {
      if (options.padded) pad(frame.performative)
      padError(frame.performative)
      encode.call(transport, frame)
    }
    const write = transport.write
    const turn = { write: (bytes: Buffer) => this.writer.raw(bytes) }
    transport.write = (socket) => {
      if (this.isTurn) return write.call(transport, turn)
      this.flush()
      write.call(transport, socket)
    }
    const read = transport.read
    transport.read = (bytes) => this.read(bytes, read)

    const create = connection.create_session
    connection.create_session = () => {
      // rhea tries every channel from the first on.
      const { local_channel_map: taken } = connection
      connection.local_channel_map = {}
      const session = create.call(connection, sessionBuffer)
      connection.local_channel_map = taken
      const channel = this.channels.take()
      session.local.channel = channel
      taken[channel] = session
      this.planes.set(session, this.adoptSession(session))
      return session
    }
    const removeSession = connection.remove_session
    connection.remove_session = (session) => {
      if (this.planes.delete(session)) this.channels.giveBack(session.local.channel)
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

  private adoptSession(session: RheaSession): SessionPlane {
    const { schedule } = this.options
    const plane = new SessionPlane({
      writer: this.writer,
      padded: this.options.padded,
      register: (dirty) => {
        if (!dirty.isDirty) {
          dirty.isDirty = true
          this.dirty.push(dirty)
        }
        this.connection._register()
      },
      maxFrameSize: () => Math.max(512, this.connection.remote.open?.["max_frame_size"] ?? 65536),
      received: (link) => {
        this.receiving.push(link)
      },
      breach: (from, link, error) => {
        if (link === undefined) from.isDiscarding = true
        else link.isDiscarding = true
        // After the answers to what came before.
        schedule(() => this.options.onBreach(error, session, link?.link))
      }
    }, session)

    // A peer names its links: "constructor" is no link that is there already.
    session.links = Object.assign(Object.create(null) as typeof session.links, session.links)
    // Whatever is asked of it, it is looked at in the next turn.
    for (const name of ["begin", "open", "end", "close"] as const) {
      const ask = session[name]
      session[name] = (error?: RheaError) => {
        // A begin that is answered after its end was asked for would be repeated.
        if (plane.isEndRequested && (name === "begin" || name === "open")) return
        if (name === "end" || name === "close") plane.isEndRequested = true
        ask.call(session, error)
        plane.register()
      }
    }
    // After its end nothing is written on a channel (AMQP 1.0 section 2.5.5); rhea would go on for its links.
    const output = session.output
    session.output = (frame) => {
      if (plane.isEndWritten) return
      output.call(session, frame)
      if (frame === session.local.end) plane.isEndWritten = true
    }
    session._process = () => plane.process()
    session._write_flow = (link) => plane.writeFlow(link)
    const createLink = session.create_link
    session.create_link = (name, constructor, options) => {
      // rhea tries every handle from the first on.
      const { handles } = session.local
      session.local.handles = {}
      const link = createLink.call(session, name, constructor, options)
      session.local.handles = handles
      plane.assignHandle(link, name)
      link.connection = new LinkConnection(link.connection, plane.of(link))
      // rhea counts credit down one by one, and answers with no drain where none was left: some would wait for ever.
      if (!link.is_receiver()) link._get_drain = () => answerDrain(link)
      return link
    }

    const onAttach = session.on_attach
    session.on_attach = (frame) => {
      const { handle, name, role } = frame.performative
      if (plane.handles.has(handle)) {
        return plane.host.breach(plane, undefined, {
          condition: "amqp:session:handle-in-use",
          description: `The link '${name}' was attached to handle ${handle}, which another link has.`
        })
      }
      // A name is unique per direction (AMQP 1.0 section 2.6.1); rhea knows one link of a name.
      const other = session.links[name]
      const isTaken = other !== undefined && other.state.remote_open
      if (isTaken) delete session.links[name]
      plane.attaching = attachingOf(frame.performative, isTaken && other.is_receiver() !== role)
      onAttach.call(session, frame)
      const link = session.remote.handles[handle]!
      if (isTaken) {
        session.links[name] = other
        plane.rename(link, `${name}\u0000${handle}`)
      }
      // rhea starts its count at 0; the sender's attach has the first one (AMQP 1.0 section 2.6.7).
      if (link.is_receiver()) link.delivery_count = frame.performative["initial_delivery_count"] ?? 0
      this.overrideSenderFlow(link)
      plane.handles.set(handle, plane.of(link))
      plane.register()
    }
    const onFlow = session.on_flow
    session.on_flow = (frame) => {
      const { echo, handle } = frame.performative
      const link = handle === undefined || handle === null ? undefined : plane.handles.get(handle)
      if (link === undefined && handle !== undefined && handle !== null) return plane.unattached("flow", handle)
      onFlow.call(session, frame)
      plane.register()
      if (echo !== true) return
      // The present state, of the link or of the session (AMQP 1.0 section 2.7.4).
      if (link === undefined) plane.isFlowDue = true
      else if (link.link.state.local_open && !link.isHeld) {
        link.link.issue_flow = true
        link.register()
      }
    }
    const onDetach = session.on_detach
    session.on_detach = (frame) => {
      const { handle } = frame.performative
      const known = plane.handles.get(handle)
      // Nothing is attached there: nothing is to be done.
      if (known === undefined) return
      const { link } = known
      onDetach.call(session, frame)
      plane.handles.delete(handle)
      plane.forgetLink(known)
      link.close()
      schedule(() => {
        if (session.remote.handles[handle] === link) delete session.remote.handles[handle]
        link.remove()
      })
    }
    const onEnd = session.on_end
    session.on_end = (frame) => {
      // Its channel may be taken again in the next frame.
      plane.isDiscarding = false
      onEnd.call(session, frame)
      session.close()
      schedule(() => session.remove())
    }
    // By identity: rhea goes by a handle that it never fills in, and by name.
    session.remove_link = (link) => plane.removeLink(link)
    return plane
  }

  /**
   * Flows by which a receiver gives us credit: by serial arithmetic, since delivery-counts wrap at 2^32 (AMQP 1.0 section
   * 2.6.7).
   */
  private overrideSenderFlow(link: RheaLink): void {
    if (link.is_receiver()) return this.overrideReceiverFlow(link)
    const onFlow = link.on_flow
    link.on_flow = (frame) => {
      const flow = frame.performative
      const { credit, delivery_count: ours } = link
      // rhea adds credit and count and subtracts ours. A flow without credit changes none.
      const isCredit = flow["link_credit"] !== undefined && flow["link_credit"] !== null
      flow["delivery_count"] = ours + (isCredit ? distance(flow["delivery_count"] ?? 0, ours) : 0)
      // A receiver that takes credit back may have been sent more meanwhile: none is left, and no less.
      flow["link_credit"] = isCredit ? Math.max(flow["link_credit"], ours - flow["delivery_count"]) : credit
      onFlow.call(link, frame)
    }
  }

  /**
   * A sender's flow on a link that we receive on. Its count may be ahead of ours, which has all transfers that came
   * before: it has used up credit without a transfer, as the answer to a drain. Credit itself is the receiver's, and what
   * the sender repeats of it may be older than what was given since (AMQP 1.0 section 2.6.7).
   */
  private overrideReceiverFlow(link: RheaLink): void {
    const plane = this.link(link)
    link.on_flow = (frame) => {
      const { delivery_count: count, drain, link_credit: credit } = frame.performative
      const ahead = count === undefined || count === null ? 0 : distance(count, link.delivery_count)
      if (ahead > 0) {
        link.delivery_count = count
        link.credit = Math.max(0, link.credit - ahead)
        plane.lateDrains = 0
      }
      link.dispatch("receiver_flow", link._context())
      if (link.drain !== true) {
        if (drain === true) plane.lateDrains = 0
        return
      }
      // A drain that was over before its answer came is not answered a second time.
      if (drain === true && ahead <= 0 && plane.lateDrains > 0) plane.lateDrains--
      // Some give all credit back and leave the count as it was.
      else if (drain === true && credit === 0) link.credit = 0
      if (link.credit <= 0) link.dispatch("receiver_drained", link._context())
    }
  }

  /** Reads whole frames; returns how many bytes were used. */
  private read(bytes: Buffer, rheaRead: (bytes: Buffer) => number): number {
    if (this.isBroken) return bytes.length
    const transport = this.connection.amqp_transport
    let problem: DecodeProblem | undefined
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
    } catch (error) {
      if (!(error instanceof DecodeProblem)) throw error
      problem = error
    } finally {
      this.deliver()
    }
    if (problem === undefined) return offset
    this.isBroken = true
    this.options.onDecodeProblem(problem)
    return bytes.length
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
    const channel = bytes.readUInt16BE(start + 6)
    const session = this.connection.remote_channel_map[channel]
    const plane = session === undefined ? undefined : this.planes.get(session)
    if (plane?.isDiscarding === true && code !== 0x17 && code !== 0x18 && end > body) return
    if (code !== 0x14 && code !== 0x15) {
      // In the order of the wire: a detach, end or close drops what its link has not handed over.
      this.deliver()
      rheaRead.call(this.connection.amqp_transport, bytes.subarray(start, end))
      return
    }
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
    if (this.receiving.length === 0) return
    const { receiving } = this
    this.receiving = []
    for (const link of receiving) {
      const { inbox } = link
      link.inbox = []
      if (inbox.length > 0) link.onDeliveries?.(inbox)
    }
  }
}

/** The answer to a drain uses up what credit is left (AMQP 1.0 section 2.6.7); true where it is one. */
const answerDrain = (link: RheaLink): boolean => {
  if (link._draining !== true) return false
  link._draining = false
  link.delivery_count = (link.delivery_count + Math.max(0, link.credit)) >>> 0
  link.credit = 0
  return true
}

/** The connection of a link of rhea: it registers the link, where rhea would register the connection. */
class LinkConnection {
  readonly options: RheaConnection["options"]
  readonly container: unknown
  private readonly plane: LinkPlane

  constructor(connection: Pick<RheaConnection, "options" | "container">, plane: LinkPlane) {
    this.options = connection.options
    this.container = connection.container
    this.plane = plane
  }

  _register(): void {
    this.plane.register()
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
  // The default, written out: pyamqp compares with it.
  if (descriptor!.numeric === 0x11) performative["handle_max"] ??= 4294967295
  const { value } = performative
  while (value.length < count) value.push(undefined)
}

/**
 * Errors in detach, end and close have all their fields too, for every peer: azure-servicebus 7.10 to 7.14 for Python
 * reads the third without asking whether it is there.
 */
const padError = (performative: Performative | undefined): void => {
  if (performative === undefined) return
  const { descriptor } = performative.constructor as { readonly descriptor?: { readonly numeric: number } }
  const code = descriptor?.numeric
  if (code !== 0x16 && code !== 0x17 && code !== 0x18) return
  const fields: unknown = performative["value"][code === 0x16 ? 2 : 0]?.value
  if (!Array.isArray(fields)) return
  while (fields.length < 3) fields.push(undefined)
}

/** What rhea does not keep of an attach, taken out where it would print what it does not know. */
const attachingOf = (attach: Performative, isTaken: boolean): Attaching => {
  let problem: AmqpError | undefined = isTaken
    ? {
      condition: "amqp:illegal-state",
      description: `The session has a link '${attach["name"]}' of this direction already.`
    }
    : undefined
  let isCoordinator = false
  for (const terminus of ["source", "target"] as const) {
    const descriptor = attach[terminus]?.descriptor?.value
    if (descriptor === undefined || termini[terminus].includes(descriptor)) continue
    if (terminus === "target" && (descriptor === 0x30 || descriptor === "amqp:coordinator:list")) isCoordinator = true
    else {problem ??= {
        condition: "amqp:not-implemented",
        description: `The ${terminus} is of a kind that is not known.`
      }}
    attach[terminus] = undefined
  }
  return { isCoordinator, problem }
}

/** The descriptors of the termini that rhea knows (AMQP 1.0 sections 3.5.3 and 3.5.4). */
const termini: Readonly<Record<"source" | "target", ReadonlyArray<unknown>>> = {
  source: [0x28, "amqp:source:list"],
  target: [0x29, "amqp:target:list"]
}

/** A view of the open performative that has our idle time-out. */
const withIdle = (open: object, idleTimeout: number): Performative => {
  const copy = Object.create(Object.getPrototypeOf(open), Object.getOwnPropertyDescriptors(open))
  copy.value = [...(open as { value: Array<unknown> }).value]
  copy.idle_time_out = idleTimeout
  return copy
}
