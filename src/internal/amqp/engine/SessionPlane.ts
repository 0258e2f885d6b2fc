/**
 * Transfers, dispositions and flows of one AMQP session (AMQP 1.0 sections 2.6 and 2.7.4 to 2.7.6), over the windows, credits
 * and handles that rhea keeps. rhea itself never sees a transfer or a disposition.
 *
 * Sent deliveries wait in a queue per link for credit and for the session's window; each outcome of the peer finds its
 * delivery by id. Dispositions of one tick leave in one write, one range for each run of equal outcomes.
 */
import {
  type AmqpError,
  canShare,
  isReceived,
  type Outcome,
  readOutcome,
  transactional,
  writeOutcome
} from "../codec/Outcome.ts"
import { addPart, joined, ownBytes } from "../codec/OwnedBytes.ts"
import { DecodeProblem, type Reader } from "../codec/Reader.ts"
import type { Writer } from "../codec/Writer.ts"
import {
  IncomingDelivery,
  OutgoingDelivery,
  type PartialDelivery,
  type SendOptions,
  type SettlementWaiter
} from "./Delivery.ts"
import { FreeNumbers } from "./FreeNumbers.ts"
import { LinkPlane, type LinkSession } from "./LinkPlane.ts"
import type { RheaLink, RheaSession } from "./rhea.ts"

interface PendingDisposition {
  /** true: we are the receiver of the delivery. */
  readonly role: boolean
  readonly id: number
  readonly settled: boolean
  readonly outcome: Outcome | undefined
}

/** What the plane of a session needs of its connection. */
interface Host {
  readonly writer: Writer
  /** Whether all fields of a performative are written, for peers that read them by position. */
  readonly padded: boolean
  /** Has the next turn look at a session. */
  readonly register: (session: SessionPlane) => void
  readonly maxFrameSize: () => number
  readonly received: (link: LinkPlane) => void
  /** The peer broke a rule of a link, or of the session where none is given. */
  readonly breach: (session: SessionPlane, link: LinkPlane | undefined, error: AmqpError) => void
}

/** What rhea does not keep of an attach, while it is read. */
export interface Attaching {
  /** Its target is a coordinator of transactions (AMQP 1.0 section 4.5.1). */
  readonly isCoordinator: boolean
  /** Why it is to be refused, whatever it asks for. */
  readonly problem: AmqpError | undefined
}

/** a - b in the serial number arithmetic of RFC 1982, which delivery and transfer ids follow. */
export const distance = (a: number, b: number): number => (a - b) | 0

export class SessionPlane implements LinkSession {
  readonly host: Host
  readonly session: RheaSession
  /** Remote handle to link. rhea's own table keeps links that are detached. */
  readonly handles = new Map<number, LinkPlane>()
  private readonly links = new WeakMap<RheaLink, LinkPlane>()
  private readonly sent = new Map<number, OutgoingDelivery>()
  private readonly received = new Map<number, IncomingDelivery>()
  private dispositions: Array<PendingDisposition> = []
  waiting: Array<LinkPlane> = []
  /** The next turn looks at it. */
  isDirty = false
  /** Its end was asked for: no begin is written any more. */
  isEndRequested = false
  /** Its end was written. */
  isEndWritten = false
  /** The peer asked for a flow of the session. */
  isFlowDue = false
  /** The next flow asks the peer for one. */
  private isEchoDue = false
  private readonly freeHandles = new FreeNumbers()
  /** Links for which rhea has frames to write. */
  private dirty: Array<LinkPlane> = []
  /** The session is ended for what its peer did: all that comes before its end is discarded (AMQP 1.0 section 2.5.6). */
  isDiscarding = false
  attaching: Attaching = { isCoordinator: false, problem: undefined }

  constructor(host: Host, session: RheaSession) {
    this.host = host
    this.session = session
  }

  of(link: RheaLink): LinkPlane {
    let plane = this.links.get(link)
    if (plane === undefined) this.links.set(link, plane = new LinkPlane(this, link))
    return plane
  }

  get unsettled(): number {
    return this.sent.size
  }

  send(link: LinkPlane, payload: Uint8Array, options: SendOptions = {}): OutgoingDelivery {
    const delivery = new OutgoingDelivery(
      link,
      payload,
      options.settled ?? false,
      options.format ?? 0,
      options.tag,
      options.owner,
      options.index ?? 0
    )
    link.enqueue(delivery)
    this.register()
    return delivery
  }

  cancel(delivery: OutgoingDelivery): boolean {
    delivery.cancelled = true
    if (delivery.id < 0) return true
    this.sent.delete(delivery.id)
    return false
  }

  dispose(delivery: IncomingDelivery, outcome: Outcome, settled: boolean, waiter?: SettlementWaiter): void {
    if (settled) this.received.delete(delivery.id)
    else {
      delivery.waiter = waiter
      this.received.set(delivery.id, delivery)
    }
    this.dispositions.push({ role: true, id: delivery.id, settled, outcome })
    this.register()
  }

  settle(delivery: OutgoingDelivery, outcome: Outcome | undefined): void {
    this.sent.delete(delivery.id)
    this.dispositions.push({ role: false, id: delivery.id, settled: true, outcome })
    this.register()
  }

  /** Forgets a received delivery whose link was lost. */
  forget(delivery: IncomingDelivery): void {
    this.received.delete(delivery.id)
  }

  /** Forgets the deliveries of a link that was detached. */
  forgetLink(link: LinkPlane): void {
    link.clear()
    for (const [id, delivery] of this.sent) if (delivery.link === link) this.sent.delete(id)
    for (const [id, delivery] of this.received) if (delivery.link === link) this.received.delete(id)
  }

  register(): void {
    this.host.register(this)
  }

  registerLink(link: LinkPlane): void {
    if (!link.isDirty) {
      link.isDirty = true
      this.dirty.push(link)
    }
    this.register()
  }

  /** Requests a flow of the peer (AMQP 1.0 section 2.7.4). */
  requestFlow(): void {
    this.isEchoDue = this.isFlowDue = true
    this.register()
  }

  /** Gives a new link its handle, and remembers the name by which rhea finds it. */
  assignHandle(link: RheaLink, name: string): void {
    const { handles } = this.session.local
    const handle = this.freeHandles.take()
    link.local.handle = link.local.attach["handle"] = link.local.detach["handle"] = handle
    handles[handle] = link
    this.of(link).key = name
  }

  /** Has rhea find a link by another name. */
  rename(link: RheaLink, name: string): void {
    this.session.links[name] = link
    this.of(link).key = name
  }

  /** Removes a link that was detached: its handle is free, if it is still its own. */
  removeLink(link: RheaLink): void {
    const { links, local: { handles } } = this.session
    const { key } = this.of(link)
    if (key !== undefined && links[key] === link) delete links[key]
    const { handle } = link.local
    if (handles[handle] !== link) return
    delete handles[handle]
    this.freeHandles.giveBack(handle)
  }

  /** Has rhea write the frames of the session, and of those links that were registered. */
  process(): void {
    const { incoming, local, state } = this.session
    do {
      if (state.need_open()) this.session.output(local.begin)
      const isHalfUsed = incoming.max_transfer_id - incoming.next_transfer_id < incoming.window / 2
      if (isHalfUsed || this.isFlowDue) this.writeFlow(undefined)
      const { dirty } = this
      if (dirty.length > 0) {
        this.dirty = []
        for (const link of dirty) {
          link.isDirty = false
          // A flow would be of no link yet. It is written after the attach, whose release registers the link again.
          if (!link.isHeld) link.link._process()
        }
      }
      if (state.need_close()) this.session.output(local.end)
    } while (!state.has_settled())
  }

  /**
   * A flow of the session, or of a link (AMQP 1.0 section 2.7.4): the window of what comes is renewed by every one. Before the
   * peer has begun the session there is none.
   */
  writeFlow(link: RheaLink | undefined): void {
    const { incoming, outgoing, state } = this.session
    if (this.isEndWritten || !state.remote_open || state.open_requests > 0) return
    this.isFlowDue = false
    const { writer } = this.host
    const expected = incoming.next_transfer_id >>> 0
    incoming.max_transfer_id = expected + incoming.window
    const at = this.beginFrame(0x13)
    fixedUint(writer, expected)
    writer.uint(incoming.window)
    fixedUint(writer, outgoing.next_transfer_id >>> 0)
    writer.uint(outgoingWindow)
    if (link !== undefined) {
      // First: answering a drain changes the count and the credit.
      const isDrain = link._get_drain()
      writer.uint(link.local.handle)
      fixedUint(writer, link.delivery_count >>> 0)
      writer.uint(link.credit)
      writer.null()
      writer.boolean(isDrain === true)
    }
    const isLong = this.host.padded || this.isEchoDue
    if (isLong) {
      if (link === undefined) { for (let i = 0; i < 5; i++) writer.null() }
      writer.boolean(this.isEchoDue)
      writer.null()
      this.isEchoDue = false
    }
    const fields = isLong ? 11 : link === undefined ? 4 : 9
    this.endPerformative(at, fields)
    this.endFrame(at)
  }

  /** Writes what may be written now. */
  pump(): void {
    if (this.isEndWritten) return
    if (this.dispositions.length > 0) this.writeDispositions()
    if (this.waiting.length > 0) this.writeTransfers()
  }

  private writeDispositions(): void {
    // Between our begin and our end, also when the end was asked for in this tick and has not left yet.
    const { state } = this.session
    if (!state.remote_open || state.open_requests > 0 || (!state.local_open && state.close_requests === 0)) return
    const { dispositions } = this
    this.dispositions = []
    let i = 0
    while (i < dispositions.length) {
      const first = dispositions[i]!
      let last = first
      for (i++; i < dispositions.length; i++) {
        const next = dispositions[i]!
        if (
          next.role !== first.role || next.settled !== first.settled || next.id !== ((last.id + 1) >>> 0) ||
          !canShare(first.outcome, next.outcome)
        ) break
        last = next
      }
      this.writeDisposition(first, last.id)
    }
  }

  private writeDisposition(first: PendingDisposition, last: number): void {
    const { writer } = this.host
    const at = this.beginFrame(0x15)
    writer.boolean(first.role)
    fixedUint(writer, first.id)
    fixedUint(writer, last)
    writer.boolean(first.settled)
    writeOutcome(writer, first.outcome)
    writer.boolean(false)
    this.endPerformative(at, 6)
    this.endFrame(at)
  }

  private writeTransfers(): void {
    const { waiting } = this
    const still: Array<LinkPlane> = []
    this.waiting = []
    for (const link of waiting) {
      if (link.ready) this.writeLink(link)
      if (link.pending > 0) still.push(link)
    }
    // A delivery's owner may have queued more while its own was written.
    for (const link of this.waiting) if (!still.includes(link)) still.push(link)
    this.waiting = still
  }

  private writeLink(link: LinkPlane): void {
    const { outgoing } = this.session
    const maxFrameSize = this.host.maxFrameSize()
    for (;;) {
      const delivery = link.peek()
      if (delivery === undefined) return
      if (delivery.id < 0 && !(link.link.credit > 0)) return
      do {
        // The window is not known before the peer's first flow or begin; then it is undefined and nothing leaves.
        if (outgoing.remote_window === undefined) return
        const used = outgoing.remote_next_transfer_id === undefined
          ? distance(outgoing.next_transfer_id, 0)
          : distance(outgoing.next_transfer_id, outgoing.remote_next_transfer_id)
        if (outgoing.remote_window - used <= 0) return
        if (delivery.id < 0) {
          delivery.id = outgoing.next_delivery_id
          outgoing.next_delivery_id = (outgoing.next_delivery_id + 1) >>> 0
          // rhea looks for deliveries of its own between the two.
          outgoing.next_pending_delivery = outgoing.next_delivery_id
          if (!delivery.settled) this.sent.set(delivery.id, delivery)
        }
        this.writeTransfer(link.link.local.handle, delivery, maxFrameSize)
        outgoing.next_transfer_id = (outgoing.next_transfer_id + 1) >>> 0
      } while (delivery.sent < delivery.payload.length)
      delivery.payload = nothing
      link.link.credit--
      link.link.delivery_count = (link.link.delivery_count + 1) >>> 0
      link.advance()
      if (delivery.settled) delivery.owner?.onOutcome(delivery, undefined, true)
    }
  }

  private writeTransfer(handle: number, delivery: OutgoingDelivery, maxFrameSize: number): void {
    const { writer } = this.host
    const at = this.beginFrame(0x14)
    writer.uint(handle)
    fixedUint(writer, delivery.id)
    if (delivery.tag === undefined) {
      writer.ensure(6)
      writer.u8(0xa0)
      writer.u8(4)
      writer.u32(delivery.id)
    } else writer.binary(delivery.tag)
    writer.uint(delivery.format)
    writer.boolean(delivery.settled)
    // The head is at most this long once `more` and the padding are written.
    const available = maxFrameSize - (writer.length - at) - 8
    const size = Math.min(available, delivery.payload.length - delivery.sent)
    const from = delivery.sent
    delivery.sent += size
    writer.boolean(delivery.sent < delivery.payload.length)
    if (this.host.padded) {
      writer.null()
      writer.null()
      writer.boolean(false)
      writer.boolean(false)
      writer.boolean(false)
      this.endPerformative(at, 11)
    } else this.endPerformative(at, 6)
    writer.raw(
      from === 0 && size === delivery.payload.length ? delivery.payload : delivery.payload.subarray(from, from + size)
    )
    this.endFrame(at)
  }

  /** Where the frame starts, relative to the writer's start. */
  private beginFrame(code: number): number {
    const { writer } = this.host
    writer.ensure(64)
    const at = writer.length
    writer.u32(0)
    writer.u8(2)
    writer.u8(0)
    writer.u16(this.session.local.channel)
    writer.descriptor(code)
    writer.u8(0xd0)
    writer.u32(0)
    writer.u32(0)
    return at
  }

  private endPerformative(at: number, fields: number): void {
    this.host.writer.end(at + 12, fields)
  }

  private endFrame(at: number): void {
    const { writer } = this.host
    writer.patch(at, writer.length - at)
  }

  /** A transfer frame: `reader` stands at the performative's list, the payload follows it. */
  onTransfer(reader: Reader): void {
    const { bytes, end } = reader
    const stop = listEnd(reader)
    const count = reader.list()
    const handle = count > 0 ? reader.uint() : undefined
    const id = count > 1 ? reader.uint() : undefined
    const tag = count > 2 ? reader.binary() : undefined
    const format = count > 3 ? reader.uint() : undefined
    const settled = count > 4 ? reader.boolean() === true : false
    const more = count > 5 ? reader.boolean() === true : false
    let isTransactional = false
    let aborted = false
    if (count > 7) {
      reader.skip()
      isTransactional = readOutcome(reader) === transactional
      if (count > 9) {
        reader.skip()
        aborted = reader.boolean() === true
      }
    }
    const link = handle === undefined ? undefined : this.handles.get(handle)
    if (link === undefined) return this.unattached("transfer", handle)
    const { incoming } = this.session
    if (incoming.next_transfer_id === 0xffffffff) {
      // rhea compares the two without wrapping.
      incoming.next_transfer_id = 0
      incoming.max_transfer_id -= 0x100000000
    } else incoming.next_transfer_id++
    // rhea renews the session's window only when it is asked to process.
    if (incoming.max_transfer_id - incoming.next_transfer_id < incoming.window / 2) this.register()
    if (link.isDiscarding) return
    const payload = bytes.subarray(stop, end)
    const { maxMessageSize, partial } = link
    if (partial === undefined) {
      if (id === undefined) {
        return this.refuse(link, "amqp:not-allowed", "The first transfer of a delivery has no delivery-id.")
      }
      if (aborted) return
      if (!more && payload.length <= maxMessageSize) {
        // Most deliveries are one frame.
        return this.complete(link, id, tag ?? noTag, format ?? 0, settled, payload, payload.length, isTransactional)
      }
      const begun: PartialDelivery = {
        id,
        tag: tag === undefined ? noTag : ownBytes(tag),
        format: format ?? 0,
        settled,
        isTransactional,
        parts: [],
        size: 0
      }
      return this.addTransfer(link, begun, payload, more)
    }
    if (id !== undefined && id !== partial.id) {
      const description = `Delivery ${partial.id} is not complete, and a transfer of ${id} came.`
      return this.refuse(link, "amqp:not-allowed", description)
    }
    if (aborted) {
      link.partial = undefined
      return
    }
    partial.settled ||= settled
    this.addTransfer(link, partial, payload, more)
  }

  /** A frame came for a link that is not there. */
  unattached(what: string, handle: number | undefined): void {
    this.host.breach(this, undefined, {
      condition: "amqp:session:unattached-handle",
      description: `A ${what} came on handle ${handle}, where no link is attached.`
    })
  }

  /** A part of a delivery. One that grows beyond what its link takes is counted and not kept. */
  private addTransfer(link: LinkPlane, partial: PartialDelivery, payload: Buffer, more: boolean): void {
    partial.size += payload.length
    if (partial.size > link.maxMessageSize) partial.parts = []
    else addPart(partial.parts, payload, more)
    link.partial = more ? partial : undefined
    if (more) return
    const { format, id, isTransactional, parts, settled, size, tag } = partial
    this.complete(link, id, tag, format, settled, joined(parts), size, isTransactional)
  }

  private refuse(link: LinkPlane, condition: string, description: string): void {
    this.host.breach(this, link, { condition, description })
  }

  private complete(
    link: LinkPlane,
    id: number,
    tag: Buffer,
    format: number,
    settled: boolean,
    payload: Buffer,
    size: number,
    isTransactional: boolean
  ): void {
    // A peer that sends more than it may has no less than none: a flow has no negative credit.
    if (link.link.credit > 0) link.link.credit--
    link.link.delivery_count = (link.link.delivery_count + 1) >>> 0
    if (link.inbox.length === 0) this.host.received(link)
    link.inbox.push(new IncomingDelivery(link, id, tag, format, settled, payload, size, isTransactional))
  }

  /** A disposition frame: `reader` stands at the performative's list. */
  onDisposition(reader: Reader): void {
    const count = reader.list()
    const role = count > 0 ? reader.boolean() : undefined
    const first = count > 1 ? reader.uint() : undefined
    if (role === undefined || first === undefined) throw new DecodeProblem("a disposition lacks its role or first id")
    const last = (count > 2 ? reader.uint() : undefined) ?? first
    const settled = count > 3 ? reader.boolean() === true : false
    const outcome = count > 4 ? readOutcome(reader) : undefined
    const span = distance(last, first)
    // No delivery is in a range that ends before it starts.
    if (span < 0) return
    // How much was received is no outcome: the receiver will still settle the delivery (AMQP 1.0 section 3.4.1).
    if (!settled && isReceived(outcome)) return
    const table: Map<number, OutgoingDelivery | IncomingDelivery> = role ? this.sent : this.received
    if (span + 1 > table.size) {
      // A range may name far more ids than exist: look at what exists.
      for (const id of [...table.keys()]) {
        const offset = distance(id, first)
        if (offset >= 0 && offset <= span) this.apply(role, id, outcome, settled)
      }
    } else {
      for (let i = 0; i <= span; i++) this.apply(role, (first + i) >>> 0, outcome, settled)
    }
  }

  private apply(role: boolean, id: number, outcome: Outcome | undefined, settled: boolean): void {
    if (role) {
      const delivery = this.sent.get(id)
      if (delivery === undefined) return
      if (settled) this.sent.delete(id)
      if (!delivery.cancelled) delivery.owner?.onOutcome(delivery, outcome, settled)
    } else {
      const delivery = this.received.get(id)
      if (delivery === undefined || !settled) return
      this.received.delete(id)
      const { waiter } = delivery
      delivery.waiter = undefined
      waiter?.onSettled(delivery, outcome)
    }
  }
}

const noTag = Buffer.alloc(0)
const nothing = noTag

/** As in our begin, which rhea writes: no limit of ours. */
const outgoingWindow = 0xffffffff

/** Ids are written in the widest form, so that frames have a predictable size. */
const fixedUint = (writer: Writer, value: number): void => {
  writer.ensure(5)
  writer.u8(0x70)
  writer.u32(value)
}

/** Where the list at the reader's position ends. */
const listEnd = (reader: Reader): number => {
  const { bytes, position } = reader
  switch (bytes[position]) {
    case 0x45:
      return position + 1
    case 0xc0:
      return position + 2 + bytes[position + 1]!
    case 0xd0:
      return position + 5 + bytes.readUInt32BE(position + 1)
    default:
      throw new DecodeProblem("a performative is not a list")
  }
}
