/**
 * Deliveries (AMQP 1.0 section 2.6.12) as the data plane knows them, in both directions, and the contracts of those who take
 * part in them: the link and session of a delivery, its owner, and its holder.
 */
import type { Outcome } from "../codec/Outcome.ts"

/** The link of a delivery: a LinkPlane. */
export interface DeliveryLink {
  readonly session: DeliverySession
}

/** The session of a delivery's link: a SessionPlane. */
export interface DeliverySession {
  /** Settles a delivery that was sent: the answer to a receiver that settles second (AMQP 1.0 section 2.6.12). */
  readonly settle: (delivery: OutgoingDelivery, outcome: Outcome | undefined) => void
}

/** Is informed of the outcome of a delivery. Called inside the read of a frame: it may only complete, offer or queue. */
export interface DeliveryOwner {
  readonly onOutcome: (delivery: OutgoingDelivery, outcome: Outcome | undefined, settled: boolean) => void
}

/** How a payload is sent; unsettled, of message format 0 and with its id as its tag unless given otherwise. */
export interface SendOptions {
  readonly settled?: boolean
  readonly format?: number
  readonly tag?: Uint8Array
  readonly owner?: DeliveryOwner | undefined
  readonly index?: number
}

export class OutgoingDelivery {
  /** The delivery id, or -1 while nothing of it is on the wire. */
  id = -1
  /** How many bytes of the payload are on the wire. */
  sent = 0
  cancelled = false
  readonly link: DeliveryLink
  /** Nothing once all of it is on the wire: a delivery that stays unsettled for long keeps no bytes. */
  payload: Uint8Array
  readonly settled: boolean
  readonly format: number
  readonly tag: Uint8Array | undefined
  readonly owner: DeliveryOwner | undefined
  /** For the owner: which of its deliveries this is. */
  readonly index: number

  constructor(
    link: DeliveryLink,
    payload: Uint8Array,
    settled: boolean,
    format: number,
    tag: Uint8Array | undefined,
    owner: DeliveryOwner | undefined,
    index: number
  ) {
    this.link = link
    this.payload = payload
    this.settled = settled
    this.format = format
    this.tag = tag
    this.owner = owner
    this.index = index
  }
}

/** Is informed of the peer's answer to a disposition that asked for one. */
export interface SettlementWaiter {
  readonly onSettled: (delivery: IncomingDelivery, outcome: Outcome | undefined) => void
}

/** Holds a received delivery until it is settled. */
export interface Holder {
  readonly isUnsettled: (delivery: IncomingDelivery) => boolean
  /** Drops a delivery of which nothing is left to settle. */
  readonly forget: (delivery: IncomingDelivery) => void
  /** Takes a delivery that is to be settled after all. */
  readonly hold: (delivery: IncomingDelivery) => void
  /** Settles deliveries with an outcome, without an answer of the peer. */
  readonly dispose: (deliveries: ReadonlyArray<IncomingDelivery>, outcome: Outcome) => void
}

export class IncomingDelivery {
  waiter: SettlementWaiter | undefined = undefined
  /** When it arrived, in milliseconds of the monotonic clock; the receiver sets it. */
  receivedAt = 0
  /** What the receiver knows of its lock: kept here, because a map beside would keep deliveries alive for long. */
  lock: object | undefined = undefined
  /** Set by the receiver. */
  holder!: Holder
  /** The link that it came on; undefined for what came in a response. */
  readonly link: DeliveryLink | undefined
  readonly id: number
  tag: Buffer
  readonly format: number
  /** Sent settled: the peer keeps no state of it. */
  readonly settled: boolean
  payload: Buffer
  /** The bytes that were sent: more than the payload has where they were more than its link takes. */
  readonly size: number
  /** Sent in a transaction (AMQP 1.0 section 4.4.1). */
  readonly isTransactional: boolean

  constructor(
    link: DeliveryLink | undefined,
    id: number,
    tag: Buffer,
    format: number,
    settled: boolean,
    payload: Buffer,
    size = payload.length,
    isTransactional = false
  ) {
    this.link = link
    this.id = id
    this.tag = tag
    this.format = format
    this.settled = settled
    this.payload = payload
    this.size = size
    this.isTransactional = isTransactional
  }

  /** Whether it was larger than its link takes: of its bytes there are none. */
  get isTooLarge(): boolean {
    return this.size > this.payload.length
  }
}

/** A delivery whose transfers are not complete. */
export interface PartialDelivery {
  readonly id: number
  readonly tag: Buffer
  readonly format: number
  settled: boolean
  readonly isTransactional: boolean
  parts: Array<Buffer>
  size: number
}
