/**
 * The data plane's side of a link: the deliveries that wait for its credit, and those that came and are not passed on yet. Its
 * session owns it; credit and delivery-count are rhea's link's.
 */
import type { Outcome } from "../codec/Outcome.ts"
import type {
  DeliveryLink,
  DeliverySession,
  IncomingDelivery,
  OutgoingDelivery,
  PartialDelivery,
  SendOptions,
  SettlementWaiter
} from "./Delivery.ts"
import type { RheaLink } from "./rhea.ts"

/** What the session of a link does for it: a SessionPlane. */
export interface LinkSession extends DeliverySession {
  /** Links with queued deliveries. */
  readonly waiting: Array<LinkPlane>
  /** Deliveries that the peer has not settled yet. */
  readonly unsettled: number
  /** Has the next turn write what rhea wants to say of a link. */
  readonly registerLink: (link: LinkPlane) => void
  /** Queues a delivery until the link has credit and the session a window. */
  readonly send: (link: LinkPlane, payload: Uint8Array, options?: SendOptions) => OutgoingDelivery
  /**
   * Takes a delivery back. True if nothing of it was on the wire; otherwise its outcome is unknown and will not be
   * reported any more.
   */
  readonly cancel: (delivery: OutgoingDelivery) => boolean
  /** Disposes of a delivery that was received. With `settled: false` the peer's answer goes to the waiter. */
  readonly dispose: (delivery: IncomingDelivery, outcome: Outcome, settled: boolean, waiter?: SettlementWaiter) => void
}

export class LinkPlane implements DeliveryLink {
  readonly link: RheaLink
  readonly session: LinkSession
  /** Deliveries that wait for credit, in order; those before `head` are on the wire. */
  private queue: Array<OutgoingDelivery> = []
  private head = 0
  /** The parts of a delivery whose transfers are not complete yet. */
  partial: PartialDelivery | undefined = undefined
  /** What one read of the socket brought; passed on at its end, or before a frame that is no transfer. */
  inbox: Array<IncomingDelivery> = []
  onDeliveries: ((deliveries: Array<IncomingDelivery>) => void) | undefined = undefined
  /** The most bytes of one delivery: of one that has more only the size is kept. */
  maxMessageSize = 100 * 1024 * 1024
  /** The link is detached for what its peer did: what is still under way is discarded. */
  isDiscarding = false
  /** How many hold its attach back. */
  private holds = 0
  /** The name by which rhea finds it. */
  key: string | undefined = undefined
  /** rhea has something to write for it. */
  isDirty = false
  /** Drains that were over before their answer came: the answer may still come, or not at all. */
  lateDrains = 0

  constructor(session: LinkSession, link: RheaLink) {
    this.session = session
    this.link = link
  }

  /** Deliveries that are queued and not on the wire. */
  get pending(): number {
    return this.queue.length - this.head
  }

  /** Whether frames of this link may be written: both ends are attached and the attach has left. */
  get ready(): boolean {
    const { state } = this.link
    return state.local_open && state.open_requests === 0 && state.remote_open && this.holds === 0
  }

  /** Its attach is held back for now: nothing may be written on it. */
  get isHeld(): boolean {
    return this.holds > 0
  }

  /** Whether the peer drains the link on which it receives, and is not answered yet. */
  get isDraining(): boolean {
    return this.link._draining === true
  }

  /** Holds the attach back that rhea has asked for already. */
  holdAttach(): void {
    this.link.state.open_requests = 0
    this.holds += 1
  }

  /** Has the next turn write the attach that was held back, once all who hold it have released it. */
  releaseAttach(): void {
    this.holds -= 1
    if (this.holds > 0) return
    this.link.state.open_requests++
    this.register()
  }

  /** Has the next turn write what rhea wants to say of it. */
  register(): void {
    this.session.registerLink(this)
  }

  enqueue(delivery: OutgoingDelivery): void {
    if (this.pending === 0) this.session.waiting.push(this)
    this.queue.push(delivery)
  }

  peek(): OutgoingDelivery | undefined {
    while (this.head < this.queue.length) {
      const delivery = this.queue[this.head]!
      if (!delivery.cancelled || delivery.id >= 0) return delivery
      this.advance()
    }
    return undefined
  }

  advance(): void {
    this.head++
    if (this.head > 1024 && this.head * 2 > this.queue.length) {
      this.queue.splice(0, this.head)
      this.head = 0
    } else if (this.head === this.queue.length) {
      this.queue = []
      this.head = 0
    }
  }

  /** Ends a drain where deliveries that were under way have used up all credit, whatever the peer still answers. */
  endUsedUpDrain(): void {
    const { link } = this
    if (link.drain !== true || link.credit > 0) return
    link.drain = false
    this.lateDrains++
    link.dispatch("receiver_drained", link._context())
  }

  /** Forgets what waits; the owner of the link informs those who wait. */
  clear(): void {
    this.queue = []
    this.head = 0
    this.partial = undefined
    this.inbox = []
  }
}
