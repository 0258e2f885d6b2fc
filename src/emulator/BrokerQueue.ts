/**
 * One queue of the embedded broker (or a subscription), and its dead-letter queue: who waits, who holds which lock, what has expired.
 *
 * The queue owns its messages and the locks on them; a consumer owns its credit, an attachment only its place among the
 * consumers. A peek-locked message is delivered at least once: it comes back to its place when its lock ends without
 * success. A message is in one state at a time (scheduled, waiting, locked or deferred), and so has one deadline at most.
 */
import type * as Clock from "effect/Clock"
import * as Result from "effect/Result"
import type { AmqpValue } from "../AmqpValue.ts"
import type * as Settlement from "../Settlement.ts"
import type { Alarm, Deadline } from "./Alarm.ts"
import { History } from "./History.ts"
import { Line, type Waiting } from "./Line.ts"
import type {
  Attachment,
  Consumer,
  Counters,
  Delivery,
  IncomingMessage,
  Kind,
  Queue,
  Refusal,
  StoredMessage
} from "./Queue.ts"
import type { QueueSettings } from "./QueueOptions.ts"

/**
 * What the queues of one broker share.
 *
 * @category models
 */
export interface Room {
  readonly clock: Clock.Clock
  readonly alarm: Alarm<Entry>
  /** Takes note of what a consumer threw. */
  readonly report: (queue: string, defect: unknown) => void
  closed: boolean
}

/**
 * A message inside the broker. It is the alarm's deadline as well as a place in the line, so that a message costs one
 * object.
 *
 * @category models
 */
export interface Entry extends Deadline, Waiting {
  readonly queue: QueueState
  readonly message: IncomingMessage
  readonly enqueuedAt: number
  /** When it will be enqueued, while it is scheduled. */
  enqueueAt: number | undefined
  expiresAt: number | undefined
  readonly timeToLive: number | undefined
  deliveryCount: number
  properties: ReadonlyMap<string, AmqpValue>
  deferred: boolean
  lockToken: string | undefined
  lockedUntil: number
}

/** A consumer in its place; `batch` is there while a pass of the pump chooses messages for it. */
interface Seat {
  readonly consumer: Consumer
  ready: boolean
  detached: boolean
  remaining: number
  batch: Array<Entry> | undefined
}

const deadLetterPath = "$DeadLetterQueue"
const none: ReadonlyMap<string, AmqpValue> = new Map()

/**
 * Makes a queue with its dead-letter queue, which a topic does not have. `store` counts bytes: a topic and its
 * subscriptions share one.
 *
 * @category constructors
 */
export const make = (
  room: Room,
  path: string,
  settings: QueueSettings,
  kind: "queue" | "topic" | "subscription" = "queue",
  store = { bytes: 0 }
): Queue => {
  const forever = { ...settings, defaultTimeToLive: undefined, deadLetteringOnExpiration: false }
  const deadLetterQueue = kind === "topic"
    ? undefined
    : new QueueState(room, store, "deadLetter", `${path}/${deadLetterPath}`, forever, undefined)
  return new QueueState(room, store, kind, path, settings, deadLetterQueue)
}

/**
 * Ends what is due: locks, and lives of waiting messages. All of it is back in line before anything is delivered, so
 * that locks that end together come back in order.
 */
export const onDue = (due: ReadonlyArray<Entry>, now: number): void => {
  const queues = new Set<QueueState>()
  // What is due at one instant keeps its order.
  for (const entry of due.toSorted((a, b) => a.at - b.at || a.sequence - b.sequence)) {
    queues.add(entry.queue)
    entry.queue.onDue(entry, now)
  }
  for (const queue of queues) queue.flush()
}

class QueueState implements Queue {
  readonly kind: Kind
  readonly path: string
  readonly options: QueueSettings
  readonly deadLetterQueue: QueueState | undefined
  readonly counters: Counters = {
    enqueued: 0,
    delivered: 0,
    redelivered: 0,
    completed: 0,
    abandoned: 0,
    released: 0,
    deferred: 0,
    deadLettered: 0,
    expired: 0,
    lockExpired: 0,
    renewed: 0,
    duplicates: 0
  }
  private readonly room: Room
  /** Shared with the dead-letter queue, which counts against the size of its entity. */
  private readonly store: { bytes: number }
  private readonly entries = new Map<number, Entry>()
  private readonly history: History | undefined
  private readonly line = new Line<Entry>()
  private readonly locks = new Map<string, Entry>()
  private readonly ready: Array<Seat> = []
  private lastSequence = 0
  private pumping = false
  private again = false

  constructor(
    room: Room,
    store: { bytes: number },
    kind: Kind,
    path: string,
    options: QueueSettings,
    deadLetterQueue: QueueState | undefined
  ) {
    this.room = room
    this.store = store
    this.kind = kind
    this.path = path
    this.options = options
    this.deadLetterQueue = deadLetterQueue
    const { duplicateDetectionWindow } = options
    this.history = duplicateDetectionWindow === undefined ? undefined : new History(duplicateDetectionWindow)
  }

  send(messages: ReadonlyArray<IncomingMessage>): Result.Result<ReadonlyArray<bigint>, Refusal> {
    if (this.room.closed) return this.closed()
    if (this.kind === "deadLetter") return this.refuse("NotAllowed", "nothing can be sent to a dead-letter queue")
    let bytes = 0
    for (const { payload } of messages) {
      if (payload.length > this.options.maxMessageSize) {
        return this.refuse("MessageTooLarge", `${payload.length} of ${this.options.maxMessageSize} bytes`)
      }
      bytes += payload.length
    }
    if (this.store.bytes + bytes > this.options.maxSize) {
      const total = this.store.bytes + bytes
      return this.refuse("QuotaExceeded", `${total} bytes would be stored and the limit is ${this.options.maxSize}`)
    }
    const now = this.now()
    this.store.bytes += bytes
    const sequenceNumbers: Array<bigint> = []
    for (const message of messages) {
      const known = message.messageId === undefined
        ? undefined
        : this.history?.recall(message.messageId, this.lastSequence + 1, now)
      if (known !== undefined) {
        this.counters.duplicates += 1
        this.store.bytes -= message.payload.length
        sequenceNumbers.push(BigInt(known))
        continue
      }
      this.lastSequence += 1
      sequenceNumbers.push(BigInt(this.lastSequence))
      const timeToLive = smaller(message.timeToLive, this.options.defaultTimeToLive)
      const entry = entryOf(this, this.lastSequence, message, now, timeToLive)
      if (message.enqueueAt !== undefined && message.enqueueAt > now) this.schedule(entry, message.enqueueAt)
      else this.enqueue(entry, now)
    }
    this.flush()
    return Result.succeed(sequenceNumbers)
  }

  attach(consumer: Consumer): Attachment {
    const seat: Seat = { consumer, ready: false, detached: this.room.closed, remaining: 0, batch: undefined }
    this.enlist(seat)
    return {
      wake: () => {
        this.enlist(seat)
        this.flush()
      },
      detach: () => this.dismiss(seat)
    }
  }

  settle(lockToken: string, settlement: Settlement.Settlement): Result.Result<void, Refusal> {
    if (this.room.closed) return this.closed()
    const now = this.now()
    const entry = this.locked(lockToken, now)
    if (entry === undefined) return this.lockLost(lockToken)
    switch (settlement._tag) {
      case "Complete":
        this.counters.completed += 1
        this.unlock(entry)
        this.remove(entry)
        return Result.void
      case "Abandon":
        this.counters.abandoned += 1
        merge(entry, settlement.properties)
        this.fail(entry, now)
        break
      case "Defer":
        this.counters.deferred += 1
        merge(entry, settlement.properties)
        this.unlock(entry)
        entry.deferred = true
        return Result.void
      case "DeadLetter":
        if (this.deadLetterQueue === undefined) {
          return this.refuse("NotAllowed", "a dead letter cannot be dead-lettered")
        }
        merge(entry, settlement.properties)
        this.unlock(entry)
        this.deadLetter(entry, settlement.reason, settlement.description, now)
        break
      case "RetryAfter":
        return this.refuse("NotAllowed", "a retry is a copy that the client schedules")
    }
    this.flush()
    return Result.void
  }

  release(lockToken: string): Result.Result<void, Refusal> {
    if (this.room.closed) return this.closed()
    const now = this.now()
    const entry = this.locked(lockToken, now)
    if (entry === undefined) return this.lockLost(lockToken)
    this.counters.released += 1
    this.fail(entry, now)
    this.flush()
    return Result.void
  }

  renew(lockTokens: ReadonlyArray<string>): Result.Result<ReadonlyArray<number>, Refusal> {
    if (this.room.closed) return this.closed()
    const now = this.now()
    const entries: Array<Entry> = []
    for (const lockToken of lockTokens) {
      const entry = this.locked(lockToken, now)
      if (entry === undefined) return this.lockLost(lockToken)
      entries.push(entry)
    }
    this.counters.renewed += entries.length
    return Result.succeed(entries.map((entry) => {
      entry.lockedUntil = now + this.options.lockDuration
      this.room.alarm.set(entry, entry.lockedUntil)
      return entry.lockedUntil
    }))
  }

  receiveDeferred(
    sequenceNumbers: ReadonlyArray<bigint>,
    mode: Consumer["mode"]
  ): Result.Result<ReadonlyArray<Delivery>, Refusal> {
    if (this.room.closed) return this.closed()
    const now = this.now()
    const entries: Array<Entry> = []
    for (const sequenceNumber of new Set(sequenceNumbers)) {
      const entry = this.entries.get(Number(sequenceNumber))
      if (entry === undefined || !entry.deferred || entry.lockToken !== undefined) {
        return this.refuse("MessageNotFound", `there is no deferred message ${sequenceNumber}, or it is locked`)
      }
      entries.push(entry)
    }
    return Result.succeed(entries.map((entry) => this.take(entry, mode, now)))
  }

  messages(): ReadonlyArray<StoredMessage> {
    return Array.from(this.entries.values()).toSorted((a, b) => a.sequence - b.sequence).map(snapshot)
  }

  onDue(entry: Entry, now: number): void {
    if (entry.enqueueAt !== undefined) {
      this.activate(entry, now)
    } else if (entry.lockToken !== undefined) {
      this.counters.lockExpired += 1
      this.fail(entry, now)
    } else if (entry.waiting) {
      this.line.leave(entry)
      this.expire(entry, now)
    }
  }

  /** Delivers what there is to whoever can take it, here and, since messages may have moved there, among the dead. */
  flush(): void {
    this.pump()
    this.deadLetterQueue?.pump()
  }

  /** Serving again what a consumer did while it was served, in a loop: a consumer never meets itself on the stack. */
  private pump(): void {
    this.again = true
    if (this.pumping) return
    this.pumping = true
    while (this.again && !this.room.closed) {
      this.again = false
      for (const seat of this.choose()) this.serve(seat)
    }
    this.pumping = false
  }

  /** Gives the first messages in turn to the consumers with credit, and returns those that have got one. */
  private choose(): ReadonlyArray<Seat> {
    const now = this.now()
    const chosen: Array<Seat> = []
    let seat = this.ready[0]
    while (seat !== undefined) {
      const entry = this.line.peek()
      if (entry === undefined) break
      if (entry.expiresAt !== undefined && entry.expiresAt <= now) {
        this.line.take()
        this.expire(entry, now)
        continue
      }
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
    const now = this.now()
    try {
      seat.consumer.deliver(batch.map((entry) => this.take(entry, seat.consumer.mode, now)))
    } catch (defect) {
      this.dismiss(seat)
      this.room.report(this.path, defect)
    }
    if (!seat.ready && !seat.detached && this.credit(seat) > 0) this.enlist(seat)
  }

  private take(entry: Entry, mode: Consumer["mode"], now: number): Delivery {
    this.counters.delivered += 1
    if (entry.deliveryCount > 0) this.counters.redelivered += 1
    const lockToken = crypto.randomUUID()
    if (mode === "receiveAndDelete") {
      this.remove(entry)
      return { message: snapshot(entry), lockToken, lockedUntil: now }
    }
    entry.lockToken = lockToken
    entry.lockedUntil = now + this.options.lockDuration
    this.locks.set(lockToken, entry)
    this.room.alarm.set(entry, entry.lockedUntil)
    return { message: snapshot(entry), lockToken, lockedUntil: entry.lockedUntil }
  }

  private credit(seat: Seat): number {
    try {
      return Math.max(0, Math.floor(seat.consumer.credit()) || 0)
    } catch (defect) {
      this.dismiss(seat)
      this.room.report(this.path, defect)
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

  cancelScheduled(sequenceNumbers: ReadonlyArray<bigint>): Result.Result<void, Refusal> {
    if (this.room.closed) return this.closed()
    const entries: Array<Entry> = []
    for (const sequenceNumber of new Set(sequenceNumbers)) {
      const entry = this.entries.get(Number(sequenceNumber))
      if (entry?.enqueueAt === undefined) {
        return this.refuse("MessageNotFound", `there is no scheduled message ${sequenceNumber}`)
      }
      entries.push(entry)
    }
    for (const entry of entries) this.remove(entry)
    return Result.void
  }

  peek(from: bigint, count: number): ReadonlyArray<StoredMessage> {
    const first = Number(from)
    // Sequence numbers are given in order, and what stays is mostly in that order already.
    return this.messages().filter((message) => Number(message.sequenceNumber) >= first).slice(0, count)
  }

  private schedule(entry: Entry, at: number): void {
    this.counters.enqueued += 1
    entry.enqueueAt = at
    this.entries.set(entry.sequence, entry)
    this.room.alarm.set(entry, at)
  }

  /** A scheduled message whose time has come goes to the end of the line, under a new number. */
  private activate(scheduled: Entry, now: number): void {
    this.entries.delete(scheduled.sequence)
    this.lastSequence += 1
    this.counters.enqueued -= 1
    this.enqueue(entryOf(this, this.lastSequence, scheduled.message, now, scheduled.timeToLive), now)
  }

  /** Its life counts from here. */
  private enqueue(entry: Entry, now: number): void {
    entry.expiresAt = entry.timeToLive === undefined ? undefined : now + entry.timeToLive
    this.accept(entry, now)
  }

  private accept(entry: Entry, now: number): void {
    this.counters.enqueued += 1
    this.entries.set(entry.sequence, entry)
    this.wait(entry, now)
  }

  /** Back in line, unless its time is over: nothing expires while it is locked, so it may be over for long. */
  private wait(entry: Entry, now: number): void {
    if (entry.expiresAt === undefined) return this.line.add(entry)
    if (entry.expiresAt <= now) return this.expire(entry, now)
    this.line.add(entry)
    this.room.alarm.set(entry, entry.expiresAt)
  }

  private fail(entry: Entry, now: number): void {
    this.unlock(entry)
    entry.deliveryCount += 1
    if (this.deadLetterQueue !== undefined && entry.deliveryCount >= this.options.maxDeliveryCount) {
      const description = `Message could not be consumed after ${entry.deliveryCount} delivery attempts.`
      this.deadLetter(entry, "MaxDeliveryCountExceeded", description, now)
    } else if (!entry.deferred) {
      // What was set aside stays aside.
      this.wait(entry, now)
    }
  }

  private expire(entry: Entry, now: number): void {
    this.counters.expired += 1
    if (this.options.deadLetteringOnExpiration) {
      this.deadLetter(entry, "TTLExpiredException", "The message expired and was dead lettered.", now)
    } else {
      this.remove(entry)
    }
  }

  private deadLetter(entry: Entry, reason: string | undefined, description: string | undefined, now: number): void {
    const target = this.deadLetterQueue!
    this.counters.deadLettered += 1
    this.remove(entry)
    this.store.bytes += entry.message.payload.length
    const dead = entryOf(target, entry.sequence, entry.message, entry.enqueuedAt, entry.timeToLive)
    dead.deliveryCount = entry.deliveryCount
    dead.properties = entry.properties
    merge(dead, {
      ...(reason === undefined ? undefined : { DeadLetterReason: reason }),
      ...(description === undefined ? undefined : { DeadLetterErrorDescription: description })
    })
    target.accept(dead, now)
  }

  private remove(entry: Entry): void {
    this.room.alarm.clear(entry)
    this.entries.delete(entry.sequence)
    this.store.bytes -= entry.message.payload.length
  }

  private locked(lockToken: string, now: number): Entry | undefined {
    const entry = this.locks.get(lockToken)
    // The alarm may come late; a lock that ended is lost all the same.
    return entry === undefined || entry.lockedUntil <= now ? undefined : entry
  }

  private unlock(entry: Entry): void {
    this.room.alarm.clear(entry)
    this.locks.delete(entry.lockToken!)
    entry.lockToken = undefined
  }

  private now(): number {
    return this.room.clock.currentTimeMillisUnsafe()
  }

  private refuse(_tag: Refusal["_tag"], detail: string): Result.Result<never, Refusal> {
    return Result.fail({ _tag, entity: this.path, detail })
  }

  private lockLost(lockToken: string): Result.Result<never, Refusal> {
    return this.refuse("LockLost", `the lock ${lockToken} has ended or was never given`)
  }

  private closed(): Result.Result<never, Refusal> {
    return this.refuse("EntityNotFound", "the broker is closed")
  }
}

export type { QueueState }

const entryOf = (
  queue: QueueState,
  sequence: number,
  message: IncomingMessage,
  enqueuedAt: number,
  timeToLive: number | undefined
): Entry => ({
  queue,
  sequence,
  message,
  enqueuedAt,
  timeToLive,
  enqueueAt: undefined,
  expiresAt: undefined,
  deliveryCount: 0,
  properties: none,
  deferred: false,
  lockToken: undefined,
  lockedUntil: 0,
  waiting: false,
  at: 0,
  slot: -1
})

const snapshot = (entry: Entry): StoredMessage => ({
  sequenceNumber: BigInt(entry.sequence),
  enqueuedAt: entry.enqueuedAt,
  expiresAt: entry.expiresAt,
  timeToLive: entry.timeToLive,
  deliveryCount: entry.deliveryCount,
  state: entry.enqueueAt !== undefined ? "scheduled" : entry.deferred ? "deferred" : "active",
  enqueueAt: entry.enqueueAt,
  payload: entry.message.payload,
  messageId: entry.message.messageId,
  sessionId: entry.message.sessionId,
  properties: entry.properties
})

/** A new map, because snapshots share the old one. */
const merge = (entry: Entry, properties: Settlement.Properties | undefined): void => {
  if (properties === undefined) return
  entry.properties = new Map([...entry.properties, ...Object.entries(properties)])
}

/** What is no number of milliseconds is no limit: the alarm must never see it. */
const smaller = (a = Infinity, b = Infinity): number | undefined => {
  const least = Math.min(a, b)
  return least < Infinity ? Math.max(least, 0) : undefined
}
