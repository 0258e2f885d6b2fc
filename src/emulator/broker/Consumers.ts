/**
 * The messages that wait, and the consumers that they are delivered to: one of these for a queue, one for each session of
 * a queue that has them.
 *
 * A consumer owns its credit, an attachment only its position among the consumers. Messages go to the consumers with credit
 * in turn, one by one, and never to a consumer that is still being called.
 */
import { MessageOrder } from "./MessageOrder.ts"
import type { Attachment, Consumer, Delivery } from "./Queue.ts"
import type { StoredMessage } from "./StoredMessage.ts"

/**
 * What consumers need of the queue that they belong to.
 *
 * @category models
 */
export interface OwningQueue {
  now(): number
  isClosed(): boolean
  /** Whether nothing is delivered for now. */
  isPaused(): boolean
  /** Ends the life of a message that waits no longer. */
  expire(message: StoredMessage, now: number): void
  /** A message that was chosen for a consumer was not delivered: it waits as it did before, wherever messages wait now. */
  putBack(message: StoredMessage): void
  /** Locks or removes a message that waits no longer. */
  take(message: StoredMessage, mode: Consumer["mode"], now: number): Delivery
  /** Logs what a consumer threw. */
  report(defect: unknown): void
  /** Delivers what there is, first to these consumers if they are given, and wherever a message may have moved to. */
  flush(consumers?: Consumers): void
}

/** A consumer that is attached; `batch` is there while messages are chosen for it. */
interface Attached {
  readonly consumer: Consumer
  isReady: boolean
  isDetached: boolean
  remaining: number
  batch: Array<StoredMessage> | undefined
}

const none: ReadonlyArray<Attached> = []

/**
 * Waiting messages and their consumers.
 *
 * @category models
 */
export class Consumers {
  readonly waiting = new MessageOrder<StoredMessage>()
  private readonly queue: OwningQueue
  /** The consumers that may have credit, in their turns. */
  private readonly ready: Array<Attached> = []
  private isDelivering = false
  private again = false

  constructor(queue: OwningQueue) {
    this.queue = queue
  }

  /** Adds a consumer. Nothing is delivered before this returns. */
  attach(consumer: Consumer): Attachment {
    const attached: Attached = {
      consumer,
      isReady: false,
      isDetached: this.queue.isClosed(),
      remaining: 0,
      batch: undefined
    }
    this.addReady(attached)
    return {
      wake: () => {
        this.addReady(attached)
        this.queue.flush(this)
      },
      detach: () => this.detach(attached)
    }
  }

  /** A message waits. */
  add(message: StoredMessage): void {
    this.waiting.add(message)
  }

  /** A message waits no longer. */
  remove(message: StoredMessage): void {
    this.waiting.remove(message)
  }

  /** The first message that has not expired; those before it are ended. */
  first(now: number): StoredMessage | undefined {
    let message = this.waiting.peek()
    while (message !== undefined && message.expiresAt !== undefined && message.expiresAt <= now) {
      this.waiting.take()
      this.queue.expire(message, now)
      message = this.waiting.peek()
    }
    return message
  }

  /** Delivers what waits. What consumers do meanwhile is delivered in a loop: a consumer never meets itself on the stack. */
  deliver(): void {
    this.again = true
    if (this.isDelivering) return
    this.isDelivering = true
    while (this.again && !this.queue.isClosed() && !this.queue.isPaused()) {
      this.again = false
      for (const attached of this.choose()) this.deliverTo(attached)
    }
    this.isDelivering = false
  }

  /** Gives the first messages in turn to the consumers with credit, and returns those that have got one. */
  private choose(): ReadonlyArray<Attached> {
    if (this.ready.length === 0) return none
    const now = this.queue.now()
    const chosen: Array<Attached> = []
    let attached = this.ready[0]
    while (attached !== undefined) {
      const message = this.first(now)
      if (message === undefined) break
      if (attached.batch === undefined) attached.remaining = this.credit(attached)
      if (attached.remaining > 0) {
        if (attached.batch === undefined) {
          attached.batch = []
          chosen.push(attached)
        }
        this.waiting.take()
        attached.batch.push(message)
        attached.remaining -= 1
      }
      if (attached.remaining === 0) {
        this.removeReady(attached)
      } else if (this.ready.length > 1) {
        this.ready.shift()
        this.ready.push(attached)
      }
      attached = this.ready[0]
    }
    return chosen
  }

  private deliverTo(attached: Attached): void {
    const batch = attached.batch!
    attached.batch = undefined
    if (attached.isDetached || this.queue.isClosed() || this.queue.isPaused()) {
      // By what a consumer before it in this loop has done: these were never delivered, so nothing has failed.
      for (const message of batch) this.queue.putBack(message)
      this.addReady(attached)
      this.again = true
      return
    }
    const now = this.queue.now()
    try {
      attached.consumer.deliver(batch.map((message) => this.queue.take(message, attached.consumer.mode, now)))
    } catch (defect) {
      this.detach(attached)
      this.queue.report(defect)
    }
    if (!attached.isReady && !attached.isDetached && this.credit(attached) > 0) this.addReady(attached)
  }

  private credit(attached: Attached): number {
    try {
      return Math.max(0, Math.floor(attached.consumer.credit()) || 0)
    } catch (defect) {
      this.detach(attached)
      this.queue.report(defect)
      return 0
    }
  }

  private addReady(attached: Attached): void {
    if (attached.isReady || attached.isDetached) return
    attached.isReady = true
    this.ready.push(attached)
    this.again = true
  }

  private removeReady(attached: Attached): void {
    attached.isReady = false
    const index = this.ready.indexOf(attached)
    if (index !== -1) this.ready.splice(index, 1)
  }

  private detach(attached: Attached): void {
    attached.isDetached = true
    this.removeReady(attached)
  }
}
