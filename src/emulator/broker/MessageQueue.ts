/**
 * One queue of the embedded broker (or a subscription), and its two dead-letter queues: who waits, who holds which lock,
 * what has expired.
 *
 * The queue owns its messages and the locks on them; a consumer owns its credit, an attachment only its place among the
 * consumers. A peek-locked message is delivered at least once: it comes back to its place when its lock ends without
 * success. A message is in one state at a time (scheduled, waiting, locked or deferred), and so has one deadline at most.
 */
import type * as Clock from "effect/Clock"
import * as Result from "effect/Result"
import type * as Settlement from "../../Settlement.ts"
import { Lane } from "./Consumers.ts"
import type { Alarm } from "./DeadlineTimer.ts"
import { History } from "./DuplicateHistory.ts"
import type { QueueSettings } from "./EntityOptions.ts"
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
import { type Home, SessionTable } from "./SessionTable.ts"
import { Sorted } from "./SortedSet.ts"
import * as Entries from "./StoredMessage.ts"
import type { Due, Entry } from "./StoredMessage.ts"

/**
 * What the queues of one broker share.
 *
 * @category models
 */
export interface Room {
  readonly clock: Clock.Clock
  readonly alarm: Alarm<Due>
  /** Takes note of what a consumer threw. */
  readonly report: (queue: string, defect: unknown) => void
  /** Whether a message keeps to the quotas of properties with those that were added to it. */
  readonly fits: (message: IncomingMessage, properties: StoredMessage["properties"]) => boolean
  closed: boolean
}

const deadLetterPath = "$DeadLetterQueue"
const transferDeadLetterPath = `$Transfer/${deadLetterPath}`
/** When a message of a session says that its lock ends: never by itself. */
const forever = 253_402_300_799_999

/**
 * Makes a queue with its dead-letter queues, which a topic does not have. `store` counts bytes: a topic and its
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
  const kept = {
    ...settings,
    defaultTimeToLive: undefined,
    deadLetteringOnExpiration: false,
    requiresSession: false
  }
  const subQueue = (name: string) => new QueueState(room, store, "deadLetter", `${path}/${name}`, kept)
  return kind === "topic"
    ? new QueueState(room, store, kind, path, settings)
    : new QueueState(room, store, kind, path, settings, subQueue(deadLetterPath), subQueue(transferDeadLetterPath))
}

/**
 * Ends what is due: locks, and lives of waiting messages. All of it is back in line before anything is delivered, so
 * that locks that end together come back in order.
 */
export const onDue = (due: ReadonlyArray<Due>, now: number): void => {
  const queues = new Set<Due["queue"]>()
  // What is due at one instant keeps its order.
  for (const entry of due.toSorted((a, b) => a.at - b.at || a.sequence - b.sequence)) {
    queues.add(entry.queue)
    entry.queue.onDue(entry, now)
  }
  for (const queue of queues) queue.flush()
}

class QueueState implements Queue, Home {
  readonly kind: Kind
  readonly path: string
  readonly options: QueueSettings
  readonly deadLetterQueue: QueueState | undefined
  readonly transferDeadLetterQueue: QueueState | undefined
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
    duplicates: 0,
    deleted: 0,
    sessionsAccepted: 0,
    sessionsLost: 0
  }
  private readonly room: Room
  /** Shared with the dead-letter queues, which count against the size of its entity. */
  private readonly stored: { bytes: number }
  readonly sessions: SessionTable | undefined
  /** Every message, of whatever state. */
  private readonly entries = new Sorted(Entries.sequenceOf)
  private readonly history: History | undefined
  /** Where it requires sessions nothing stands in it. */
  private readonly lane: Lane = new Lane(this)
  /** Where its messages wait. */
  private readonly place: Lane | SessionTable
  private readonly locks = new Map<string, Entry>()
  private lastSequence = 0
  private lastEnqueuedAt = 0

  constructor(
    room: Room,
    store: { bytes: number },
    kind: Kind,
    path: string,
    options: QueueSettings,
    deadLetterQueue?: QueueState,
    transferDeadLetterQueue?: QueueState
  ) {
    this.room = room
    this.stored = store
    this.kind = kind
    this.path = path
    this.options = options
    this.deadLetterQueue = deadLetterQueue
    this.transferDeadLetterQueue = transferDeadLetterQueue
    const { duplicateDetectionWindow } = options
    this.history = duplicateDetectionWindow === undefined ? undefined : new History(duplicateDetectionWindow)
    this.sessions = options.requiresSession ? new SessionTable(this) : undefined
    this.place = this.sessions ?? this.lane
  }

  get alarm(): Alarm<Due> {
    return this.room.alarm
  }

  send(messages: ReadonlyArray<IncomingMessage>): Result.Result<ReadonlyArray<bigint>, Refusal> {
    if (this.room.closed) return this.closed()
    if (this.kind === "deadLetter") return this.refuse("NotAllowed", "nothing can be sent to a dead-letter queue")
    let bytes = 0
    for (const { payload, sessionId } of messages) {
      if (this.kind === "queue" && this.sessions !== undefined && sessionId === undefined) {
        return this.refuse("NotAllowed", noSession)
      }
      if (payload.length > this.options.maxMessageSize) {
        return this.refuse("MessageTooLarge", `${payload.length} of ${this.options.maxMessageSize} bytes`)
      }
      bytes += payload.length
    }
    const full = this.store(bytes)
    if (full !== undefined) return Result.fail(full)
    const now = this.now()
    const sequenceNumbers: Array<bigint> = []
    for (const message of messages) {
      const known = message.messageId === undefined
        ? undefined
        : this.history?.recall(message.messageId, this.lastSequence + 1, now)
      if (known !== undefined) {
        this.counters.duplicates += 1
        this.stored.bytes -= message.payload.length
        sequenceNumbers.push(BigInt(known))
        continue
      }
      this.lastSequence += 1
      sequenceNumbers.push(BigInt(this.lastSequence))
      const timeToLive = Entries.smaller(message.timeToLive, this.options.defaultTimeToLive)
      const entry = Entries.make(this, this.lastSequence, message, this.enqueuedAt(now), timeToLive)
      if (message.enqueueAt !== undefined && message.enqueueAt > now) this.schedule(entry, message.enqueueAt)
      else this.enqueue(entry, now)
    }
    this.flush()
    return Result.succeed(sequenceNumbers)
  }

  failTransfer(
    messages: ReadonlyArray<IncomingMessage>,
    reason: string | undefined,
    description: string | undefined
  ): Result.Result<ReadonlyArray<bigint>, Refusal> {
    const target = this.transferDeadLetterQueue
    if (this.room.closed) return this.closed()
    if (target === undefined) return this.refuse("NotAllowed", "it forwards nothing")
    const full = this.store(messages.reduce((bytes, { payload }) => bytes + payload.length, 0))
    if (full !== undefined) return Result.fail(full)
    const now = this.now()
    const sequenceNumbers = messages.map((message) => {
      this.lastSequence += 1
      const timeToLive = Entries.smaller(message.timeToLive, this.options.defaultTimeToLive)
      const dead = Entries.make(target, this.lastSequence, message, this.enqueuedAt(now), timeToLive)
      Entries.mergeReason(dead, reason, description)
      target.accept(dead, now)
      return BigInt(this.lastSequence)
    })
    target.flush()
    return Result.succeed(sequenceNumbers)
  }

  attach(consumer: Consumer): Attachment {
    return this.lane.attach(consumer)
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
        if (!this.merge(entry, settlement.properties)) return this.overfill(entry, now)
        this.counters.abandoned += 1
        this.fail(entry, now)
        break
      case "Defer":
        if (!this.merge(entry, settlement.properties)) return this.overfill(entry, now)
        this.counters.deferred += 1
        entry.deferred = true
        this.fail(entry, now)
        break
      case "DeadLetter":
        if (this.deadLetterQueue === undefined) {
          return this.refuse("NotAllowed", "a dead letter cannot be dead-lettered")
        }
        if (!this.merge(entry, settlement.properties)) return this.overfill(entry, now)
        this.unlock(entry)
        this.deadLetter(entry, settlement.reason, settlement.description, now)
        break
      case "RetryAfter":
        return this.refuse("NotAllowed", "a retry is a copy that the client schedules")
    }
    this.flush()
    return Result.void
  }

  /** Adds what a settlement gives, where the message has room for it. */
  private merge(entry: Entry, properties: Settlement.Properties | undefined): boolean {
    if (properties === undefined) return true
    const before = entry.properties
    Entries.merge(entry, properties)
    if (this.room.fits(entry.message, Entries.propertiesOf(entry))) return true
    entry.properties = before
    return false
  }

  /** A settlement gave more properties than a message may have: it is dead-lettered without them. */
  private overfill(entry: Entry, now: number): Result.Result<void, Refusal> {
    if (this.deadLetterQueue === undefined) return this.refuse("PropertiesTooLarge", Entries.headerSize.description)
    this.unlock(entry)
    this.deadLetter(entry, Entries.headerSize.reason, Entries.headerSize.description, now)
    this.flush()
    return Result.void
  }

  release(lockToken: string): Result.Result<void, Refusal> {
    if (this.room.closed) return this.closed()
    const now = this.now()
    const entry = this.locked(lockToken, now)
    if (entry === undefined) return this.lockLost(lockToken)
    this.counters.released += 1
    this.restore(entry, now)
    this.flush()
    return Result.void
  }

  renew(lockTokens: ReadonlyArray<string>): Result.Result<ReadonlyArray<number>, Refusal> {
    if (this.room.closed) return this.closed()
    if (this.sessions !== undefined) {
      return this.refuse("NotAllowed", "the messages of a session have no locks of their own: renew the session's")
    }
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
    mode: Consumer["mode"],
    sessionId?: string
  ): Result.Result<ReadonlyArray<Delivery>, Refusal> {
    if (this.room.closed) return this.closed()
    const now = this.now()
    const entries: Array<Entry> = []
    for (const sequenceNumber of new Set(sequenceNumbers)) {
      const entry = this.entries.get(Number(sequenceNumber))
      const isThere = entry !== undefined && entry.deferred && entry.lockToken === undefined
      if (!isThere || this.sessions !== undefined && entry.message.sessionId !== sessionId) {
        return this.refuse("MessageNotFound", `there is no deferred message ${sequenceNumber}, or it is locked`)
      }
      entries.push(entry)
    }
    return Result.succeed(entries.map((entry) => this.take(entry, mode, now)))
  }

  messages(): ReadonlyArray<StoredMessage> {
    return this.peek(0n, Infinity)
  }

  onDue(entry: Entry, now: number): void {
    if (entry.enqueueAt !== undefined) {
      this.activate(entry, now)
    } else if (entry.lockToken !== undefined) {
      this.counters.lockExpired += 1
      this.fail(entry, now)
    } else if (entry.waiting) {
      this.place.leave(entry)
      this.expire(entry, now)
    }
  }

  /**
   * Delivers what there is to whoever can take it: in a lane, in the sessions and, since messages may have moved there,
   * among the dead.
   */
  flush(lane: Lane = this.lane): void {
    lane.pump()
    this.sessions?.flush()
    this.deadLetterQueue?.lane.pump()
  }

  take(entry: Entry, mode: Consumer["mode"], now: number): Delivery {
    this.counters.delivered += 1
    if (entry.delivered) this.counters.redelivered += 1
    entry.delivered = true
    const lockToken = crypto.randomUUID()
    if (mode === "receiveAndDelete") {
      this.remove(entry)
      return { message: Entries.snapshot(entry), lockToken, lockedUntil: now }
    }
    const session = this.sessions?.heldNow(entry.message.sessionId)
    entry.lockToken = lockToken
    this.locks.set(lockToken, entry)
    if (session === undefined) {
      entry.lockedUntil = now + this.options.lockDuration
      this.room.alarm.set(entry, entry.lockedUntil)
    } else {
      // Its session's lock is its lock.
      entry.lockedUntil = forever
      this.room.alarm.clear(entry)
      this.sessions!.lock(session, entry)
    }
    return { message: Entries.snapshot(entry), lockToken, lockedUntil: entry.lockedUntil }
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

  peek(from: bigint, count: number, sessionId?: string): ReadonlyArray<StoredMessage> {
    const found: Array<StoredMessage> = []
    const all = sessionId === undefined || this.sessions === undefined
      ? this.entries
      : this.sessions.entriesOf(sessionId)
    all?.forEachFrom(Number(from), (entry) => {
      if (found.length >= count) return false
      if (sessionId === undefined || entry.message.sessionId === sessionId) found.push(Entries.snapshot(entry))
      return true
    })
    return found
  }

  deleteBefore(enqueuedBefore: number, count: number, sessionId?: string): Result.Result<number, Refusal> {
    if (this.room.closed) return this.closed()
    const found: Array<Entry> = []
    const visit = (entry: Entry): boolean => {
      // Whoever comes later was enqueued later.
      if (found.length >= count || entry.enqueuedAt >= enqueuedBefore) return false
      if (entry.waiting && (sessionId === undefined || entry.message.sessionId === sessionId)) found.push(entry)
      return true
    }
    if (this.sessions === undefined) this.lane.line.forEach(visit)
    else if (sessionId === undefined) this.entries.forEachFrom(undefined, visit)
    else this.sessions.lineOf(sessionId)?.forEach(visit)
    for (const entry of found) {
      this.place.leave(entry)
      this.remove(entry)
    }
    this.counters.deleted += found.length
    return Result.succeed(found.length)
  }

  /** When what comes now is enqueued: never before what came before it, also where the clock was set back. */
  private enqueuedAt(now: number): number {
    this.lastEnqueuedAt = Math.max(this.lastEnqueuedAt, now)
    return this.lastEnqueuedAt
  }

  private keep(entry: Entry): void {
    this.entries.add(entry)
    this.sessions?.keep(entry)
  }

  private drop(entry: Entry): void {
    this.entries.delete(entry)
    this.sessions?.drop(entry)
  }

  private schedule(entry: Entry, at: number): void {
    this.counters.enqueued += 1
    entry.enqueueAt = at
    this.keep(entry)
    this.room.alarm.set(entry, at)
  }

  /** A scheduled message whose time has come goes to the end of the line, under a new number. */
  private activate(scheduled: Entry, now: number): void {
    this.drop(scheduled)
    this.lastSequence += 1
    this.counters.enqueued -= 1
    const entry = Entries.make(this, this.lastSequence, scheduled.message, this.enqueuedAt(now), scheduled.timeToLive)
    entry.wasScheduled = true
    this.enqueue(entry, now)
  }

  /** Its life counts from here. */
  private enqueue(entry: Entry, now: number): void {
    entry.expiresAt = entry.timeToLive === undefined ? undefined : now + entry.timeToLive
    this.accept(entry, now)
  }

  private accept(entry: Entry, now: number): void {
    this.counters.enqueued += 1
    this.keep(entry)
    if (this.sessions !== undefined && entry.message.sessionId === undefined) {
      // It came through a topic, which had nobody to refuse it to.
      const text = "Session enabled entity doesn't allow a message whose session identifier is null."
      return this.deadLetter(entry, "Session ID is null.", text, now)
    }
    this.wait(entry, now)
  }

  /** Back in line, unless its time is over: nothing expires while it is locked, so it may be over for long. */
  private wait(entry: Entry, now: number): void {
    if (entry.expiresAt !== undefined && entry.expiresAt <= now) return this.expire(entry, now)
    this.place.add(entry)
    if (entry.expiresAt !== undefined) this.room.alarm.set(entry, entry.expiresAt)
  }

  giveBack(entries: ReadonlyArray<Entry>, failed: boolean, now: number): void {
    for (const entry of entries) {
      if (failed) {
        this.counters.lockExpired += 1
        this.fail(entry, now)
      } else {
        this.restore(entry, now)
      }
    }
  }

  /**
   * A delivery is over without success: its message was abandoned or deferred, or its lock has ended. A dead letter keeps the
   * count that it came with, and has no limit of them (azure-sdk-for-net #53437).
   */
  private fail(entry: Entry, now: number): void {
    if (this.kind === "deadLetter") return this.restore(entry, now)
    entry.deliveryCount += 1
    if (this.deadLetterQueue === undefined || entry.deliveryCount < this.options.maxDeliveryCount) {
      return this.restore(entry, now)
    }
    this.unlock(entry)
    const description = `Message could not be consumed after ${entry.deliveryCount} delivery attempts.`
    this.deadLetter(entry, "MaxDeliveryCountExceeded", description, now)
  }

  /** Back to its place: in line or, if it was set aside, aside. */
  private restore(entry: Entry, now: number): void {
    this.unlock(entry)
    if (!entry.deferred) this.wait(entry, now)
  }

  expire(entry: Entry, now: number): void {
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
    this.stored.bytes += entry.message.payload.length
    const dead = Entries.make(target, entry.sequence, entry.message, entry.enqueuedAt, entry.timeToLive)
    dead.deliveryCount = entry.deliveryCount
    dead.wasScheduled = entry.wasScheduled
    dead.properties = entry.properties
    Entries.mergeReason(dead, reason, description)
    if (!this.room.fits(dead.message, Entries.propertiesOf(dead))) {
      dead.properties = entry.properties
      Entries.mergeReason(dead, Entries.headerSize.reason, Entries.headerSize.description)
    }
    target.accept(dead, now)
  }

  private remove(entry: Entry): void {
    this.room.alarm.clear(entry)
    this.drop(entry)
    this.stored.bytes -= entry.message.payload.length
  }

  private locked(lockToken: string, now: number): Entry | undefined {
    const entry = this.locks.get(lockToken)
    if (entry === undefined) return undefined
    // The alarm may come late; a lock that ended is lost all the same.
    if (entry.lockedUntil < forever) return entry.lockedUntil <= now ? undefined : entry
    return this.sessions?.holding(entry.message.sessionId, now) === undefined ? undefined : entry
  }

  private unlock(entry: Entry): void {
    this.room.alarm.clear(entry)
    this.locks.delete(entry.lockToken!)
    if (entry.lockedUntil === forever) this.sessions?.unlock(entry)
    entry.lockToken = undefined
    entry.lockedUntil = 0
  }

  now(): number {
    return this.room.clock.currentTimeMillisUnsafe()
  }

  isClosed(): boolean {
    return this.room.closed
  }

  report(defect: unknown): void {
    this.room.report(this.path, defect)
  }

  store(bytes: number): Refusal | undefined {
    const total = this.stored.bytes + bytes
    if (bytes > 0 && total > this.options.maxSize) {
      const detail = `${total} bytes would be stored and the limit is ${this.options.maxSize}`
      return { _tag: "QuotaExceeded", entity: this.path, detail }
    }
    this.stored.bytes = total
    return undefined
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

/** What the service says of a message without a session. */
const noSession =
  "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support enabled can only receive messages that have the SessionId set to a valid value."
