/**
 * Forwarding: what moves the active messages of a queue, a subscription or a dead-letter queue on to another queue or topic, in
 * their order and as soon as they are there (Service Bus documentation, chaining entities with autoforwarding).
 *
 * A message stays in its source until the target has taken it, so that it is in one of the two at any time. What a target does
 * not take is tried again, with all that waits behind it, and dead-lettered after a while (Microsoft's page on dead-letter
 * queues; the transfer dead-letter queue is for what is sent by way of another entity); a dead letter waits without end, for
 * there is nowhere else to put it (azure-service-bus #666). A message makes four hops at most, which also bounds the stack: a
 * target that forwards is called from here.
 *
 * Named so because that is what Service Bus calls it.
 */
import { EmulatorError } from "../../ServiceBusError.ts"
import type { DeadlineTimer } from "./DeadlineTimer.ts"
import type { IncomingMessage, MessageSnapshot, Queue, Refusal } from "./Queue.ts"
import { SortedSet } from "./SortedSet.ts"
import { type Due, messageSizeExceeded, propertiesOf, sequenceOf, type StoredMessage } from "./StoredMessage.ts"

/** The most hops of a message (Service Bus documentation, dead-letter queues: "This value is set to 4"). */
export const maxHops = 4

/** How long a message waits for a target that does not take it, in milliseconds. No document has the number. */
const patience = 60_000

/** How long until a target that did not take a message is tried again, in milliseconds. No document has the number. */
const pause = 5_000

/** The same for dead letters, which may wait for long: a tenth of how long they have waited, and no longer than this. */
const longestPause = 600_000

/** Service Bus documentation, dead-letter queues. */
const tooManyHops = {
  reason: "MaxTransferHopCountExceeded",
  description:
    "The maximum number of allowed hops when forwarding between queues has been exceeded. This value is set to 4."
}

/** The exceptions of the service, by which it names what it dead-letters for its own errors. */
const reasons: Readonly<Partial<Record<Refusal["_tag"], string>>> = {
  EntityNotFound: "MessagingEntityNotFoundException",
  Disabled: "MessagingEntityDisabledException",
  QuotaExceeded: "QuotaExceededException",
  MessageTooLarge: messageSizeExceeded.reason
}

/**
 * What forwarding needs of the queue that it belongs to.
 *
 * @category models
 */
export interface ForwardingQueue {
  readonly path: string
  readonly deadlines: DeadlineTimer<Due>
  now(): number
  isClosed(): boolean
  /** Whether nothing leaves it for now. */
  isPaused(): boolean
  /** The queue or topic of a path. */
  find(path: string): Queue | undefined
  /** A message with more application properties. */
  withProperties(message: IncomingMessage, properties: MessageSnapshot["properties"]): IncomingMessage
  /** Logs what went wrong with a message. */
  report(defect: unknown): void
  /** A message is in its target. */
  forwarded(message: StoredMessage): void
  /** A message cannot be forwarded. Where it says `false` the message must stay. */
  failForwarding(message: StoredMessage, reason: string, description: string, now: number): boolean
  flush(): void
}

/** A message, and as its target gets it. */
interface Transfer {
  readonly message: StoredMessage
  readonly moved: IncomingMessage
}

/**
 * The messages of one entity that are to be forwarded.
 *
 * @category models
 */
export class Forwarding implements Due {
  at = 0
  slot = -1
  readonly sequence = 0
  readonly owner = this
  readonly target: string
  /** The path that a dead letter came from. */
  private readonly deadLetterSource: string | undefined
  private readonly queue: ForwardingQueue
  private readonly pending = new SortedSet<StoredMessage, number>(sequenceOf)
  /** Dead letters that have made all of their hops, and messages that nothing can be made of for a target. */
  private readonly stranded = new SortedSet<StoredMessage, number>(sequenceOf)
  /** Whether the target is not tried before the deadline. */
  private isBlocked = false
  /** Since when it has taken nothing, in milliseconds. */
  private failingSince: number | undefined
  private isRunning = false
  private again = false

  constructor(queue: ForwardingQueue, target: string, deadLetterSource: string | undefined) {
    this.queue = queue
    this.target = target
    this.deadLetterSource = deadLetterSource
  }

  /** How many messages wait to be forwarded. */
  get size(): number {
    return this.pending.size
  }

  /** A message is to be forwarded, with the next `run`. */
  add(message: StoredMessage): void {
    message.waiting = true
    this.pending.add(message)
  }

  /** A message is not to be forwarded any more. */
  remove(message: StoredMessage): void {
    if (!message.waiting) return
    message.waiting = false
    if (!this.pending.delete(message)) this.stranded.delete(message)
  }

  /** Takes out all messages; nothing is forwarded after that. */
  end(): ReadonlyArray<StoredMessage> {
    this.queue.deadlines.clear(this)
    const messages: Array<StoredMessage> = []
    for (const set of [this.pending, this.stranded]) {
      set.forEachFrom(undefined, (message) => {
        messages.push(message)
        return true
      })
    }
    for (const message of messages) this.remove(message)
    return messages
  }

  /** With the next `run` the target is tried again, whatever it said last. */
  unblock(): void {
    this.isBlocked = false
  }

  /** Forwards what there is. What comes meanwhile is forwarded in a loop: a source never meets itself on the stack. */
  run(): void {
    this.again = true
    if (this.isRunning) return
    this.isRunning = true
    try {
      while (this.again && !this.queue.isClosed() && !this.queue.isPaused()) {
        this.again = false
        if (this.pending.size > 0 && !this.isBlocked) this.forward()
      }
    } finally {
      this.isRunning = false
    }
  }

  /** The target may have changed. */
  onDue(): void {
    this.unblock()
    this.run()
  }

  flush(): void {
    this.queue.flush()
  }

  /** Hands over all that waits. */
  private forward(): void {
    const now = this.queue.now()
    const messages: Array<StoredMessage> = []
    const hopped: Array<StoredMessage> = []
    this.pending.forEachFrom(undefined, (message) => {
      // It ends where it is, and its timer is about to come.
      if (message.expiresAt !== undefined && message.expiresAt <= now) return true
      if ((message.incoming.hops ?? 0) >= maxHops) hopped.push(message)
      else messages.push(message)
      return true
    })
    // All of it is made before anything is taken out: what cannot be made stays, and keeps nothing else from going on.
    const transfers: Array<Transfer> = []
    for (const message of messages) {
      try {
        transfers.push({ message, moved: this.transferOf(message) })
      } catch (defect) {
        this.queue.report(defect)
        this.strand(message)
      }
    }
    for (const message of hopped) this.fail(message, tooManyHops.reason, tooManyHops.description, now)
    if (transfers.length === 0) return
    // A target that has refused is tried with one of them.
    if (this.failingSince === undefined && this.hand(transfers) === undefined) return
    // One of them is refused, and then all are: those before it are taken by themselves.
    for (let i = 0; i < transfers.length; i++) {
      const transfer = transfers[i]!
      // By what the target set off it is not to be forwarded any more, or not now.
      if (this.queue.isPaused()) return
      if (!this.isPending(transfer)) continue
      const refusal = this.hand([transfer])
      if (refusal === undefined) {
        if (i > 0 || this.queue.isPaused()) continue
        if (this.hand(transfers.slice(1).filter((each) => this.isPending(each))) === undefined) return
        continue
      }
      if (refusal._tag !== "MessageTooLarge") return this.block(refusal, now)
      this.fail(transfer.message, messageSizeExceeded.reason, describe(refusal), now)
    }
  }

  private isPending({ message }: Transfer): boolean {
    return this.pending.get(message.sequence) === message
  }

  /** Has the target take messages, all of them or none. */
  private hand(transfers: ReadonlyArray<Transfer>): Refusal | undefined {
    const target = this.queue.find(this.target)
    if (target === undefined) return { _tag: "EntityNotFound", entity: this.target }
    // What the target sets off must find them neither here nor to be taken a second time.
    for (const { message } of transfers) this.remove(message)
    const refusal = target.transfer(transfers.map(({ moved }) => moved))
    if (refusal === undefined) this.failingSince = undefined
    for (const { message } of transfers) {
      if (refusal === undefined) this.queue.forwarded(message)
      else this.add(message)
    }
    return refusal
  }

  private transferOf(message: StoredMessage): IncomingMessage {
    const { incoming, sequence } = message
    const properties = propertiesOf(message)
    const moved: IncomingMessage = {
      payload: incoming.payload,
      messageId: incoming.messageId,
      sessionId: incoming.sessionId,
      timeToLive: message.timeToLive,
      expiresAt: message.expiresAt,
      propertiesSize: incoming.propertiesSize,
      sequenceNumber: BigInt(sequence),
      firstSequenceNumber: incoming.firstSequenceNumber ?? incoming.sequenceNumber,
      wasScheduled: message.wasScheduled,
      enqueueAt: incoming.enqueueNextAt,
      hops: (incoming.hops ?? 0) + 1,
      deadLetterSource: this.deadLetterSource ?? incoming.deadLetterSource
    }
    // What settlements added is the message's own from now on: rules of the target see it.
    return properties.size === 0 ? moved : this.queue.withProperties(moved, properties)
  }

  /** The target takes nothing. What has waited for too long is dead-lettered. */
  private block(refusal: Refusal, now: number): void {
    const since = this.failingSince ?? now
    this.failingSince = since
    this.isBlocked = true
    if (this.deadLetterSource !== undefined) {
      const next = Math.min(Math.max(pause, Math.ceil((now - since) / 10)), longestPause)
      return this.queue.deadlines.set(this, now + next)
    }
    const late: Array<StoredMessage> = []
    this.pending.forEachFrom(undefined, (message) => {
      if (Math.max(message.enqueuedAt, since) + patience <= now) late.push(message)
      return true
    })
    for (const message of late) {
      this.remove(message)
      this.queue.failForwarding(message, reasons[refusal._tag] ?? refusal._tag, describe(refusal), now)
    }
    if (this.pending.size > 0) return this.queue.deadlines.set(this, now + pause)
    this.isBlocked = false
    this.failingSince = undefined
  }

  /** A message that no target would take. */
  private fail(message: StoredMessage, reason: string, description: string, now: number): void {
    this.remove(message)
    if (!this.queue.failForwarding(message, reason, description, now)) this.strand(message)
  }

  /** It waits here, and is not forwarded. */
  private strand(message: StoredMessage): void {
    this.remove(message)
    message.waiting = true
    this.stranded.add(message)
  }
}

/** A refusal of messages in the service's words. @category accessors */
export const describe = ({ _tag, detail, entity, kind }: Refusal): string => {
  switch (_tag) {
    case "EntityNotFound":
      return `The messaging entity '${entity}' could not be found.`
    case "Disabled":
      return `Messaging entity '${entity}' is currently disabled.`
    case "QuotaExceeded":
      // Service Bus documentation, messaging exceptions: QuotaExceededException.
      return kind === "Rules" ?
        `${detail}` :
        `The maximum entity size has been reached or exceeded for ${kind ?? "Queue"}: '${entity}'.${
          detail === undefined ? "" : ` ${detail}.`
        }`
    default:
      return detail ?? `'${entity}' does not take the message.`
  }
}

/** What a test or a request is told of messages that an entity has refused. @category constructors */
export const notTaken = (path: string, refusal: Refusal): EmulatorError =>
  new EmulatorError({
    reason: refusal._tag === "QuotaExceeded" ? "quotaExceeded" : "invalid",
    problem: `"${path}" does not take the messages: ${describe(refusal).replace(/\.$/, "")}`
  })
