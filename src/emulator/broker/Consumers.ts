/**
 * The line of messages that consumers are served from, and the consumers in their places: one for a queue, one for each
 * session of a queue that has them.
 *
 * A consumer owns its credit, an attachment only its place among the consumers. Whoever waits is served in turn, message
 * by message.
 */
import { Line } from "./MessageOrder.ts"
import type { Attachment, Consumer, Delivery } from "./Queue.ts"
import type { Entry } from "./StoredMessage.ts"

/**
 * The queue that a lane belongs to.
 *
 * @category models
 */
export interface Owner {
  now(): number
  isClosed(): boolean
  /** Ends the life of a message that has left the line. */
  expire(entry: Entry, now: number): void
  /** Locks or removes a message that has left the line. */
  take(entry: Entry, mode: Consumer["mode"], now: number): Delivery
  /** Takes note of what a consumer threw. */
  report(defect: unknown): void
  /** Delivers what there is, first in this lane if one is given, and wherever a message may have moved to. */
  flush(lane?: Lane): void
}

/** A consumer in its place; `batch` is there while a pass of the pump chooses messages for it. */
interface Seat {
  readonly consumer: Consumer
  ready: boolean
  detached: boolean
  remaining: number
  batch: Array<Entry> | undefined
}

const nobody: ReadonlyArray<Seat> = []

/**
 * A line and its consumers.
 *
 * @category models
 */
export class Lane {
  readonly line = new Line<Entry>()
  private readonly owner: Owner
  private readonly ready: Array<Seat> = []
  private pumping = false
  private again = false

  constructor(owner: Owner) {
    this.owner = owner
  }

  /** Adds a consumer. Nothing is delivered before this returns. */
  attach(consumer: Consumer): Attachment {
    const seat: Seat = { consumer, ready: false, detached: this.owner.isClosed(), remaining: 0, batch: undefined }
    this.enlist(seat)
    return {
      wake: () => {
        this.enlist(seat)
        this.owner.flush(this)
      },
      detach: () => this.dismiss(seat)
    }
  }

  /** A message waits. */
  add(entry: Entry): void {
    this.line.add(entry)
  }

  /** A message leaves the line, wherever it stands. */
  leave(entry: Entry): void {
    this.line.leave(entry)
  }

  /** The first message that has not expired; those before it are ended. */
  first(now: number): Entry | undefined {
    let entry = this.line.peek()
    while (entry !== undefined && entry.expiresAt !== undefined && entry.expiresAt <= now) {
      this.line.take()
      this.owner.expire(entry, now)
      entry = this.line.peek()
    }
    return entry
  }

  /** Serving again what a consumer did while it was served, in a loop: a consumer never meets itself on the stack. */
  pump(): void {
    this.again = true
    if (this.pumping) return
    this.pumping = true
    while (this.again && !this.owner.isClosed()) {
      this.again = false
      for (const seat of this.choose()) this.serve(seat)
    }
    this.pumping = false
  }

  /** Gives the first messages in turn to the consumers with credit, and returns those that have got one. */
  private choose(): ReadonlyArray<Seat> {
    if (this.ready.length === 0) return nobody
    const now = this.owner.now()
    const chosen: Array<Seat> = []
    let seat = this.ready[0]
    while (seat !== undefined) {
      const entry = this.first(now)
      if (entry === undefined) break
      if (seat.batch === undefined) seat.remaining = this.credit(seat)
      if (seat.remaining > 0) {
        if (seat.batch === undefined) {
          seat.batch = []
          chosen.push(seat)
        }
        this.line.take()
        seat.batch.push(entry)
        seat.remaining -= 1
      }
      if (seat.remaining === 0) {
        this.unlist(seat)
      } else if (this.ready.length > 1) {
        this.ready.shift()
        this.ready.push(seat)
      }
      seat = this.ready[0]
    }
    return chosen
  }

  private serve(seat: Seat): void {
    const batch = seat.batch!
    seat.batch = undefined
    if (seat.detached) {
      // Someone served before it has detached it: these were never delivered, so nothing has failed.
      for (const entry of batch) this.line.add(entry)
      this.again = true
      return
    }
    const now = this.owner.now()
    try {
      seat.consumer.deliver(batch.map((entry) => this.owner.take(entry, seat.consumer.mode, now)))
    } catch (defect) {
      this.dismiss(seat)
      this.owner.report(defect)
    }
    if (!seat.ready && !seat.detached && this.credit(seat) > 0) this.enlist(seat)
  }

  private credit(seat: Seat): number {
    try {
      return Math.max(0, Math.floor(seat.consumer.credit()) || 0)
    } catch (defect) {
      this.dismiss(seat)
      this.owner.report(defect)
      return 0
    }
  }

  private enlist(seat: Seat): void {
    if (seat.ready || seat.detached) return
    seat.ready = true
    this.ready.push(seat)
    this.again = true
  }

  private unlist(seat: Seat): void {
    seat.ready = false
    const index = this.ready.indexOf(seat)
    if (index !== -1) this.ready.splice(index, 1)
  }

  private dismiss(seat: Seat): void {
    seat.detached = true
    this.unlist(seat)
  }
}
