/**
 * One queue of the embedded broker (or a subscription, a topic or a dead-letter queue): which messages wait, which are locked,
 * deferred or scheduled, and which have expired. Queues and subscriptions have two dead-letter queues each.
 *
 * The queue owns its messages and the locks on them; a consumer owns its credit, an attachment only its position among
 * the consumers. A peek-locked message is delivered at least once: it waits again, in its order, when its lock ends
 * without success. A message is in one state at a time (scheduled, waiting, locked or deferred), and so has one deadline at most.
 *
 * One file because every operation changes the one state that they share: what waits is taken out of it as `Consumers`,
 * `SessionTable` and `Forwarding`.
 */
import * as Result from "effect/Result"
import type * as Settlement from "../../Settlement.ts"
import { Consumers } from "./Consumers.ts"
import type { DeadlineTimer } from "./DeadlineTimer.ts"
import { DuplicateHistory } from "./DuplicateHistory.ts"
import { type EntitySettings, isReceivable, isSendable } from "./EntityOptions.ts"
import type { Changes } from "./filter/FilterMessage.ts"
import { Forwarding, type ForwardingQueue } from "./Forwarding.ts"
import type {
  Attachment,
  BrowsedMessage,
  BrowseOptions,
  Consumer,
  Contents,
  Counters,
  Delivery,
  IncomingMessage,
  KeptState,
  Kind,
  MessageSnapshot,
  PurgeOptions,
  Queue,
  Refusal,
  Rules,
  RuntimeCounts
} from "./Queue.ts"
import { type SessionOwningQueue, SessionTable } from "./SessionTable.ts"
import type { SharedState } from "./SharedState.ts"
import { SortedSet } from "./SortedSet.ts"
import { type Duplicate, type Progress, type RestoredEntity, type RestoredMessage, sizeOf } from "./Store.ts"
import {
  addProperties,
  addReason,
  type Due,
  headerSizeExceeded,
  newMessage,
  propertiesOf,
  sequenceOf,
  shorterTimeToLive,
  snapshotOf,
  type StoredMessage
} from "./StoredMessage.ts"

const deadLetterPath = "$DeadLetterQueue"
const transferDeadLetterPath = `$Transfer/${deadLetterPath}`
/** System properties that are as they were. */
const unchanged: Changes["system"] = new Map()
/** When a message of a session says that its lock ends: never by itself. */
const forever = 253_402_300_799_999

/** The bytes of a queue and its dead letters, or of a topic and its subscriptions, and how many of the latter there are. */
interface Size {
  bytes: number
  copies: number
}

/**
 * Makes a queue with its dead-letter queues, which a topic does not have. `size` counts the bytes that are stored: a topic
 * and its subscriptions share one. `rules` are those of a subscription.
 *
 * @category constructors
 */
export const make = (
  shared: SharedState,
  path: string,
  settings: EntitySettings,
  kind: "queue" | "topic" | "subscription" = "queue",
  size: Size = { bytes: 0, copies: 0 },
  rules?: Rules
): MessageQueue => {
  if (kind === "topic") return new MessageQueue(shared, size, kind, path, settings)
  const dead = new MessageQueue(
    shared,
    size,
    "deadLetter",
    `${path}/${deadLetterPath}`,
    subQueueSettings(settings, settings.forwardDeadLetteredMessagesTo)
  )
  const transferDead = new MessageQueue(
    shared,
    size,
    "deadLetter",
    `${path}/${transferDeadLetterPath}`,
    subQueueSettings(settings, undefined)
  )
  const queue = new MessageQueue(shared, size, kind, path, settings, dead, transferDead, rules)
  dead.main = queue
  transferDead.main = queue
  return queue
}

/** Nothing expires in a dead-letter queue, and it has no sessions. */
const subQueueSettings = (settings: EntitySettings, forwardTo: string | undefined): EntitySettings => ({
  ...settings,
  defaultTimeToLive: undefined,
  deadLetteringOnExpiration: false,
  requiresSession: false,
  forwardTo
})

/**
 * Ends what is due: locks, and lives of waiting messages. All of it waits again before anything is delivered, so
 * that messages whose locks end together are delivered in their order.
 */
export const onDue = (due: ReadonlyArray<Due>, now: number): void => {
  const queues = new Set<Due["owner"]>()
  // What is due at one instant keeps its order.
  for (const each of due.toSorted((a, b) => a.at - b.at || a.sequence - b.sequence)) {
    queues.add(each.owner)
    each.owner.onDue(each, now)
  }
  for (const queue of queues) queue.flush()
}

export class MessageQueue implements Queue, SessionOwningQueue, ForwardingQueue {
  readonly kind: Kind
  readonly path: string
  /** The store's number for it. */
  row = 0
  options: EntitySettings
  readonly deadLetterQueue: MessageQueue | undefined
  readonly transferDeadLetterQueue: MessageQueue | undefined
  readonly rules: Rules | undefined
  readonly counters: Counters = {
    enqueued: 0,
    delivered: 0,
    redelivered: 0,
    completed: 0,
    receivedAndDeleted: 0,
    abandoned: 0,
    released: 0,
    deferred: 0,
    deadLettered: 0,
    expired: 0,
    lockExpired: 0,
    renewed: 0,
    duplicates: 0,
    deleted: 0,
    forwarded: 0,
    sessionsAccepted: 0,
    sessionsLost: 0
  }
  private readonly shared: SharedState
  /** Shared with the dead-letter queues, which count against the size of its entity. */
  private readonly size: Size
  readonly sessions: SessionTable | undefined
  /** Every message, of whatever state. */
  private readonly stored = new SortedSet(sequenceOf)
  private readonly history: DuplicateHistory | undefined
  /** Without messages where it requires sessions. */
  private readonly consumers: Consumers = new Consumers(this)
  private forwarding: Forwarding | undefined
  /** Where its messages wait. */
  private waiting: Consumers | SessionTable | Forwarding
  private readonly locks = new Map<string, StoredMessage>()
  private lastSequence = 0
  private lastEnqueuedAt = 0
  private scheduled = 0
  /** When it was used last, in milliseconds, and how many consumers use it now. */
  private accessedAt = 0
  /** That of a dead-letter queue. */
  main: MessageQueue = this
  private attached = 0
  private isEnded = false

  constructor(
    shared: SharedState,
    size: Size,
    kind: Kind,
    path: string,
    options: EntitySettings,
    deadLetterQueue?: MessageQueue,
    transferDeadLetterQueue?: MessageQueue,
    rules?: Rules
  ) {
    this.shared = shared
    this.size = size
    this.kind = kind
    this.path = path
    this.options = options
    this.deadLetterQueue = deadLetterQueue
    this.transferDeadLetterQueue = transferDeadLetterQueue
    this.rules = rules
    const { duplicateDetectionWindow } = options
    this.history = duplicateDetectionWindow === undefined ? undefined : new DuplicateHistory(duplicateDetectionWindow)
    this.sessions = options.requiresSession ? new SessionTable(this) : undefined
    this.forwarding = this.forwardingTo(options.forwardTo)
    this.waiting = this.forwarding ?? this.sessions ?? this.consumers
    this.accessedAt = this.now()
  }

  private forwardingTo(target: string | undefined): Forwarding | undefined {
    if (target === undefined) return undefined
    // What is forwarded from a dead-letter queue says which entity it was sent to.
    const source = this.kind === "deadLetter" ? this.path.slice(0, -deadLetterPath.length - 1) : undefined
    return new Forwarding(this, target, source)
  }

  /** Other settings, from now on: of those that can be changed. */
  configure(settings: EntitySettings): void {
    this.options = settings
    this.use(this.now())
    if (settings.duplicateDetectionWindow !== undefined) this.history?.setWindow(settings.duplicateDetectionWindow)
    this.deadLetterQueue?.configure(subQueueSettings(settings, settings.forwardDeadLetteredMessagesTo))
    this.transferDeadLetterQueue?.configure(subQueueSettings(settings, undefined))
    if (this.forwarding?.target !== settings.forwardTo) this.moveWaiting(settings.forwardTo)
    this.sessions?.resume()
    this.flush()
  }

  /** What waits for consumers waits to be forwarded, or the other way round. */
  private moveWaiting(target: string | undefined): void {
    const messages: Array<StoredMessage> = []
    this.stored.forEachFrom(undefined, (message) => {
      if (message.waiting) messages.push(message)
      return true
    })
    for (const message of messages) this.waiting.remove(message)
    this.forwarding?.end()
    this.forwarding = this.forwardingTo(target)
    this.waiting = this.forwarding ?? this.sessions ?? this.consumers
    for (const message of messages) this.waiting.add(message)
  }

  /** The targets of what it forwards may be others now. */
  retryForwarding(): void {
    if (this.forwarding === undefined && this.deadLetterQueue?.forwarding === undefined) return
    this.forwarding?.unblock()
    this.deadLetterQueue?.forwarding?.unblock()
    this.flush()
  }

  /** Ends every operation; what it holds stays until `discard`. */
  end(): void {
    this.isEnded = true
    this.deadLetterQueue?.end()
    this.transferDeadLetterQueue?.end()
  }

  /** Throws away what it holds, with its dead-letter queues, and returns how many messages that were. */
  discard(): number {
    this.forwarding?.end()
    this.sessions?.clear()
    const messages: Array<StoredMessage> = []
    this.stored.forEachFrom(undefined, (message) => {
      messages.push(message)
      return true
    })
    for (const message of messages) {
      this.shared.deadlines.clear(message)
      message.waiting = false
      this.size.bytes -= sizeOf(message.incoming)
      this.shared.store.removed(message)
    }
    this.stored.clear()
    this.locks.clear()
    this.scheduled = 0
    this.counters.deleted += messages.length
    return messages.length + (this.deadLetterQueue?.discard() ?? 0) + (this.transferDeadLetterQueue?.discard() ?? 0)
  }

  /**
   * Throws away what it holds and what it remembers, with its dead-letter queues, and counts from 0 again: it is as it was when
   * it was made. Its consumers stay, locks and sessions that were held are lost. Returns how many messages are gone.
   */
  reset(): number {
    const messages: Array<StoredMessage> = []
    this.stored.forEachFrom(undefined, (message) => {
      messages.push(message)
      return true
    })
    for (const message of messages) {
      if (message.waiting) this.waiting.remove(message)
      this.shared.deadlines.clear(message)
      this.size.bytes -= sizeOf(message.incoming)
      this.shared.store.removed(message)
    }
    this.stored.clear()
    this.locks.clear()
    this.forwarding?.end()
    this.forwarding = this.forwardingTo(this.options.forwardTo)
    this.waiting = this.forwarding ?? this.sessions ?? this.consumers
    this.history?.restore([])
    this.shared.store.advanced(this)
    this.shared.store.recalled(this)
    this.scheduled = 0
    this.lastSequence = 0
    this.lastEnqueuedAt = 0
    this.use(this.now())
    for (const name of Object.keys(this.counters) as Array<keyof Counters>) this.counters[name] = 0
    this.sessions?.reset()
    return messages.length + (this.deadLetterQueue?.reset() ?? 0) + (this.transferDeadLetterQueue?.reset() ?? 0)
  }

  state(): KeptState {
    return {
      lastSequenceNumber: BigInt(this.lastSequence),
      sessions: this.sessions?.states() ?? [],
      duplicates: this.history?.list(this.now()).map(({ id, sequence, until }) => ({
        id,
        sequenceNumber: BigInt(sequence),
        until
      })) ?? []
    }
  }

  /**
   * Puts back what it held, into an empty queue: numbers are above 0 and each its own, and messages have a session where it
   * requires them. Quotas were seen to when it was sent. Nothing is delivered before the next `flush`.
   */
  load({ duplicates, lastSequenceNumber, messages, sessions }: Contents): void {
    const now = this.now()
    this.lastSequence = Number(lastSequenceNumber)
    for (const { sequenceNumber } of messages) {
      this.lastSequence = Math.max(this.lastSequence, Number(sequenceNumber))
    }
    for (const kept of messages) {
      const { enqueuedAt, incoming, timeToLive } = kept
      const message = newMessage(this, Number(kept.sequenceNumber), incoming, enqueuedAt, timeToLive)
      message.deliveryCount = kept.deliveryCount
      message.wasScheduled = kept.wasScheduled
      message.expiresAt = kept.expiresAt
      this.size.bytes += incoming.payload.length
      this.lastEnqueuedAt = Math.max(this.lastEnqueuedAt, enqueuedAt)
      if (kept.state === "scheduled") {
        message.enqueueAt = kept.enqueueAt ?? now
        this.scheduled += 1
        // One whose time is over has its turn with the next that the timer has.
        this.shared.deadlines.set(message, message.enqueueAt)
      }
      this.add(message)
      if (kept.state === "deferred") message.deferred = true
      else if (kept.state === "active") this.addWaiting(message, now)
    }
    for (const session of sessions) {
      this.size.bytes += session.state.length
      this.sessions?.restore(session)
      this.shared.store.sessionChanged(this, session.id)
    }
    this.history?.restore(duplicates.map(({ id, sequenceNumber, until }) => ({
      id,
      sequence: Number(sequenceNumber),
      until
    })))
    this.shared.store.advanced(this)
    this.shared.store.recalled(this)
  }

  /** Is what a store has of it, beside its messages. */
  restoreState({ accessedAt, duplicates, isInUse, lastEnqueuedAt, lastSequence, sessions }: RestoredEntity): void {
    // When it was used last by what was attached to it when the process ended, nobody knows: no time is taken from it.
    const now = this.now()
    // Nor was it used in a time that is to come, where a clock has gone back.
    this.accessedAt = isInUse ? now : Math.min(accessedAt, now)
    for (const dead of [this.deadLetterQueue, this.transferDeadLetterQueue]) {
      if (dead !== undefined) dead.accessedAt = this.accessedAt
    }
    this.lastEnqueuedAt = lastEnqueuedAt
    this.lastSequence = lastSequence
    this.history?.restore(duplicates)
    for (const session of sessions) {
      this.size.bytes += session.state.length
      this.sessions?.restore(session)
    }
  }

  /** Has a message that a store has, and returns it. One that was locked is neither waiting nor deferred before `loseLock`. */
  restoreMessage(kept: RestoredMessage): StoredMessage {
    const { enqueueAt, incoming } = kept
    // Nothing is asked of `incoming`, which would be read for it.
    const message = newMessage(this, kept.sequence, incoming, kept.enqueuedAt, kept.timeToLive, kept.wasScheduled)
    message.row = kept.row
    message.expiresAt = kept.expiresAt
    message.deliveryCount = kept.deliveryCount
    message.delivered = kept.isLocked || kept.deliveryCount > 0
    message.properties = kept.properties
    message.deferred = kept.deferred
    this.size.bytes += sizeOf(incoming)
    if (enqueueAt !== undefined) {
      message.enqueueAt = enqueueAt
      this.scheduled += 1
      this.shared.deadlines.set(message, enqueueAt)
    }
    this.stored.add(message)
    this.sessions?.keep(message)
    if (enqueueAt === undefined && !kept.deferred && !kept.isLocked) {
      this.waiting.add(message)
      // What is over by now is ended by the timer, in its order.
      if (message.expiresAt !== undefined) this.shared.deadlines.set(message, message.expiresAt)
    }
    return message
  }

  /** The lock of a message, which has none any more, was lost: what a store had of it said that it was locked. */
  loseLock(message: StoredMessage, now: number): void {
    this.counters.lockExpired += 1
    this.failDelivery(message, now)
  }

  progress(): Progress {
    const { lastEnqueuedAt, lastSequence } = this
    const queues = [this, this.deadLetterQueue, this.transferDeadLetterQueue].filter((each) => each !== undefined)
    return {
      lastSequence,
      lastEnqueuedAt,
      accessedAt: Math.max(...queues.map(({ accessedAt }) => accessedAt)),
      isInUse: this.sessions?.isInUse === true || queues.some(({ attached }) => attached > 0)
    }
  }

  duplicates(all: boolean): ReadonlyArray<Duplicate> | undefined {
    return this.history?.take(all)
  }

  sessionState(id: string): KeptState["sessions"][number] | undefined {
    return this.sessions?.stateOf(id)
  }

  holdersChanged(): void {
    if (this.options.autoDeleteOnIdle !== undefined) this.shared.store.advanced(this)
  }

  stateChanged(id: string): void {
    this.shared.store.sessionChanged(this, id)
  }

  /** It is used. Only of what is deleted when it is idle anybody wants to know that after a restart. */
  private use(now: number): void {
    this.accessedAt = now
    if (this.options.autoDeleteOnIdle !== undefined) this.shared.store.advanced(this.main)
  }

  /** It is used now, as by a rule that is added to it. */
  touch(): void {
    this.use(this.now())
  }

  /** When it was used last: now, while a receiver is attached or a message is scheduled, and while it forwards. */
  lastUse(now: number): number {
    const isInUse = this.attached > 0 || this.scheduled > 0 || this.sessions?.isInUse === true ||
      this.forwarding !== undefined && this.kind !== "deadLetter"
    return isInUse ? now : Math.max(
      this.accessedAt,
      this.deadLetterQueue?.lastUse(now) ?? 0,
      this.transferDeadLetterQueue?.lastUse(now) ?? 0
    )
  }

  runtime(): RuntimeCounts {
    const dead = this.deadLetterQueue
    const transfers = (this.forwarding?.size ?? 0) + (dead?.forwarding?.size ?? 0)
    return {
      activeMessageCount: this.stored.size - this.scheduled - (this.forwarding?.size ?? 0),
      deadLetterMessageCount: (dead?.stored.size ?? 0) - (dead?.forwarding?.size ?? 0),
      scheduledMessageCount: this.scheduled,
      transferMessageCount: transfers,
      transferDeadLetterMessageCount: this.transferDeadLetterQueue?.stored.size ?? 0,
      sizeInBytes: this.size.bytes,
      accessedAt: Math.max(this.accessedAt, dead?.accessedAt ?? 0)
    }
  }

  find(path: string): Queue | undefined {
    return this.shared.find(path)
  }

  isPaused(): boolean {
    // What is in a topic goes on to its subscriptions, unless it is disabled: what is due then waits (azure-service-bus #244).
    return this.kind === "topic" ? this.options.status === "Disabled" : !isReceivable(this.options)
  }

  withProperties(message: IncomingMessage, properties: MessageSnapshot["properties"]): IncomingMessage {
    return this.shared.change(message, { system: unchanged, properties })
  }

  forwarded(message: StoredMessage): void {
    // What the target set off has deleted this entity.
    if (this.isEnded) return
    this.counters.forwarded += 1
    this.remove(message)
  }

  failForwarding(message: StoredMessage, reason: string, description: string, now: number): boolean {
    if (this.deadLetterQueue === undefined) return false
    this.deadLetter(message, reason, description, now)
    return true
  }

  get deadlines(): DeadlineTimer<Due> {
    return this.shared.deadlines
  }

  transfer(messages: ReadonlyArray<IncomingMessage>): Refusal | undefined {
    const stored = this.store(messages)
    return Result.isFailure(stored) ? stored.failure : undefined
  }

  send(messages: ReadonlyArray<IncomingMessage>): Result.Result<ReadonlyArray<bigint>, Refusal> {
    if (this.kind === "queue" && this.sessions !== undefined) {
      for (const { sessionId } of messages) if (sessionId === undefined) return this.refuse("NotAllowed", noSession)
    }
    return this.store(messages)
  }

  private store(messages: ReadonlyArray<IncomingMessage>): Result.Result<ReadonlyArray<bigint>, Refusal> {
    if (this.isClosed()) return this.closed()
    if (this.kind === "deadLetter") return this.refuse("NotAllowed", "nothing can be sent to a dead-letter queue")
    // A subscription takes what its topic has taken, whatever its status.
    if (this.kind !== "subscription" && !isSendable(this.options)) {
      const isForSend = this.options.status === "SendDisabled"
      const kind = this.kind === "topic" ? "Topic" : "Queue"
      const detail = `"${this.path}" is ${this.options.status}: it takes no messages`
      return Result.fail({ _tag: "Disabled", entity: this.path, detail, isForSend, kind })
    }
    let bytes = 0
    for (const { payload } of messages) {
      // What its topic has taken, it takes, whatever the limit is by now; copies that actions changed are held by its rules.
      if (this.kind !== "subscription" && payload.length > this.options.maxMessageSize) {
        return this.refuse("MessageTooLarge", `${payload.length} of ${this.options.maxMessageSize} bytes`)
      }
      bytes += payload.length
    }
    const refusal = this.reserve(bytes)
    if (refusal !== undefined) return Result.fail(refusal)
    const now = this.now()
    if (this.kind !== "subscription") this.use(now)
    this.shared.store.advanced(this)
    const sequenceNumbers: Array<bigint> = []
    for (const incoming of messages) {
      const known = incoming.messageId === undefined
        ? undefined
        : this.history?.findOrRemember(incoming.messageId, this.lastSequence + 1, now)
      if (known !== undefined) {
        this.counters.duplicates += 1
        this.size.bytes -= incoming.payload.length
        sequenceNumbers.push(BigInt(known))
        continue
      }
      this.lastSequence += 1
      sequenceNumbers.push(BigInt(this.lastSequence))
      const timeToLive = shorterTimeToLive(incoming.timeToLive, this.options.defaultTimeToLive)
      const message = newMessage(
        this,
        this.lastSequence,
        incoming,
        this.enqueuedAt(now),
        // A copy says of its life what the topic's message says, however long the way to it took.
        this.kind === "subscription" ? timeToLive : timeToLiveOf(incoming, timeToLive, now)
      )
      if (incoming.enqueueAt !== undefined && incoming.enqueueAt > now) this.schedule(message, incoming.enqueueAt)
      else this.enqueue(message, now)
    }
    this.flush()
    return Result.succeed(sequenceNumbers)
  }

  /** Dead-letters a message of the topic that the rules of this subscription failed on, or that it does not take. */
  deadLetterArrival(incoming: IncomingMessage, reason: string, description: string): void {
    if (this.isClosed()) return
    const now = this.now()
    this.lastSequence += 1
    this.shared.store.advanced(this)
    this.counters.enqueued += 1
    this.size.bytes += incoming.payload.length
    const timeToLive = shorterTimeToLive(incoming.timeToLive, this.options.defaultTimeToLive)
    const message = newMessage(this, this.lastSequence, incoming, this.enqueuedAt(now), timeToLive)
    this.add(message)
    this.deadLetter(message, reason, description, now)
    this.flush()
  }

  failTransfer(
    messages: ReadonlyArray<IncomingMessage>,
    reason: string | undefined,
    description: string | undefined
  ): Result.Result<ReadonlyArray<bigint>, Refusal> {
    const target = this.transferDeadLetterQueue
    if (this.isClosed()) return this.closed()
    if (target === undefined) return this.refuse("NotAllowed", "it forwards nothing")
    const refusal = this.reserve(messages.reduce((bytes, { payload }) => bytes + payload.length, 0))
    if (refusal !== undefined) return Result.fail(refusal)
    const now = this.now()
    this.shared.store.advanced(this)
    const sequenceNumbers = messages.map((incoming) => {
      this.lastSequence += 1
      const timeToLive = shorterTimeToLive(incoming.timeToLive, this.options.defaultTimeToLive)
      const dead = newMessage(target, this.lastSequence, incoming, this.enqueuedAt(now), timeToLive)
      addReason(dead, reason, description)
      target.accept(dead, now)
      return BigInt(this.lastSequence)
    })
    target.flush()
    return Result.succeed(sequenceNumbers)
  }

  attach(consumer: Consumer): Attachment {
    const attachment = this.consumers.attach(consumer)
    this.attached += 1
    this.use(this.now())
    let isAttached = true
    return {
      wake: () => attachment.wake(),
      detach: () => {
        attachment.detach()
        if (!isAttached) return
        isAttached = false
        this.attached -= 1
        this.use(this.now())
      }
    }
  }

  /** A consumer that is a part of it: of a topic, whose messages go to its subscriptions. */
  attachOwn(consumer: Consumer): void {
    this.consumers.attach(consumer).wake()
  }

  settle(lockToken: string, settlement: Settlement.Settlement): Result.Result<void, Refusal> {
    if (this.isClosed()) return this.closed()
    const now = this.now()
    this.use(now)
    const message = this.findLocked(lockToken, now)
    if (message === undefined) return this.lockLost(lockToken)
    switch (settlement._tag) {
      case "Complete":
        this.counters.completed += 1
        this.unlock(message)
        this.remove(message)
        return Result.void
      case "Abandon":
        if (!this.addProperties(message, settlement.properties)) return this.deadLetterOversized(message, now)
        this.counters.abandoned += 1
        this.failDelivery(message, now)
        break
      case "Defer":
        if (!this.addProperties(message, settlement.properties)) return this.deadLetterOversized(message, now)
        this.counters.deferred += 1
        message.deferred = true
        this.failDelivery(message, now)
        break
      case "DeadLetter":
        if (this.deadLetterQueue === undefined) {
          return this.refuse("NotAllowed", "a dead letter cannot be dead-lettered")
        }
        if (!this.addProperties(message, settlement.properties)) return this.deadLetterOversized(message, now)
        this.unlock(message)
        this.deadLetter(message, settlement.reason, settlement.description, now)
        break
      case "RetryAfter":
        return this.refuse("NotAllowed", "a retry is a copy that the client schedules")
    }
    this.flush()
    return Result.void
  }

  /** Adds what a settlement gives, where the message keeps to its quotas with it. */
  private addProperties(message: StoredMessage, properties: Settlement.Properties | undefined): boolean {
    if (properties === undefined) return true
    const before = message.properties
    addProperties(message, properties)
    if (this.shared.fits(message.incoming, propertiesOf(message))) return true
    message.properties = before
    return false
  }

  /** A settlement gave more properties than a message may have: the message is dead-lettered without them. */
  private deadLetterOversized(message: StoredMessage, now: number): Result.Result<void, Refusal> {
    if (this.deadLetterQueue === undefined) return this.refuse("PropertiesTooLarge", headerSizeExceeded.description)
    this.unlock(message)
    this.deadLetter(message, headerSizeExceeded.reason, headerSizeExceeded.description, now)
    this.flush()
    return Result.void
  }

  release(lockToken: string): Result.Result<void, Refusal> {
    if (this.isClosed()) return this.closed()
    const now = this.now()
    const message = this.findLocked(lockToken, now)
    if (message === undefined) return this.lockLost(lockToken)
    this.counters.released += 1
    this.restore(message, now)
    this.flush()
    return Result.void
  }

  loseLocks(lockTokens?: ReadonlyArray<string>): number {
    if (this.isClosed()) return 0
    // Those of now: what is given to others meanwhile is not lost by them.
    const tokens = [...new Set(lockTokens ?? this.locks.keys())].filter((token) => this.locks.has(token))
    if (lockTokens === undefined) this.sessions?.loseAll()
    const now = this.now()
    for (const token of tokens) {
      const message = this.locks.get(token)
      if (message === undefined) continue
      if (message.lockedUntil === forever) {
        this.sessions!.lose(message.incoming.sessionId!)
        continue
      }
      this.counters.lockExpired += 1
      this.failDelivery(message, now)
    }
    this.flush()
    return tokens.length
  }

  renew(lockTokens: ReadonlyArray<string>): Result.Result<ReadonlyArray<number>, Refusal> {
    if (this.isClosed()) return this.closed()
    if (this.sessions !== undefined) {
      return this.refuse("NotAllowed", "the messages of a session have no locks of their own: renew the session's")
    }
    const now = this.now()
    this.use(now)
    const messages: Array<StoredMessage> = []
    for (const lockToken of lockTokens) {
      const message = this.findLocked(lockToken, now)
      if (message === undefined) return this.lockLost(lockToken)
      messages.push(message)
    }
    this.counters.renewed += messages.length
    return Result.succeed(messages.map((message) => {
      message.lockedUntil = now + this.options.lockDuration
      this.shared.deadlines.set(message, message.lockedUntil)
      return message.lockedUntil
    }))
  }

  receiveDeferred(
    sequenceNumbers: ReadonlyArray<bigint>,
    mode: Consumer["mode"],
    sessionId?: string
  ): Result.Result<ReadonlyArray<Delivery>, Refusal> {
    if (this.isClosed()) return this.closed()
    const now = this.now()
    this.use(now)
    const messages: Array<StoredMessage> = []
    for (const sequenceNumber of new Set(sequenceNumbers)) {
      const message = this.stored.get(Number(sequenceNumber))
      const isThere = message !== undefined && message.deferred && message.lockToken === undefined
      if (!isThere || this.sessions !== undefined && message.incoming.sessionId !== sessionId) {
        return this.refuse("MessageNotFound", `there is no deferred message ${sequenceNumber}, or it is locked`)
      }
      messages.push(message)
    }
    return Result.succeed(messages.map((message) => this.take(message, mode, now)))
  }

  messages(from = 0n, count = Infinity): ReadonlyArray<MessageSnapshot> {
    return this.snapshots(from, count)
  }

  browse({ before, count, from = 0n, state }: BrowseOptions): ReadonlyArray<BrowsedMessage> {
    const found: Array<BrowsedMessage> = []
    const visit = (message: StoredMessage): boolean => {
      if (found.length >= count) return false
      if (state !== undefined && stateOf(message) !== state) return true
      const lockedUntil = message.lockToken === undefined
        ? undefined
        : message.lockedUntil === forever
        ? Infinity
        : message.lockedUntil
      found.push({ ...snapshotOf(message), lockedUntil })
      return true
    }
    if (before === undefined) this.stored.forEachFrom(Number(from), visit)
    else this.stored.forEachBefore(Number(before), visit)
    return before === undefined ? found : found.toReversed()
  }

  dispose(sequenceNumber: bigint, settlement: Settlement.Settlement): Result.Result<void, Refusal> {
    if (this.isClosed()) return this.closed()
    const message = this.stored.get(Number(sequenceNumber))
    if (message === undefined) return this.refuse("MessageNotFound", `there is no message ${sequenceNumber}`)
    if (message.lockToken !== undefined) return this.refuse("NotAllowed", "it is locked by a receiver")
    const state = stateOf(message)
    const now = this.now()
    switch (settlement._tag) {
      case "Complete":
        this.counters.deleted += 1
        this.leave(message, now)
        this.remove(message)
        break
      case "Defer":
        if (state !== "active" || this.kind === "topic") {
          return this.refuse("NotAllowed", `what is ${state} is not deferred`)
        }
        this.counters.deferred += 1
        this.leave(message, now)
        message.deferred = true
        this.shared.store.changed(message)
        break
      case "DeadLetter":
        if (this.deadLetterQueue === undefined) return this.refuse("NotAllowed", "it has no dead-letter queue")
        if (state === "scheduled") return this.refuse("NotAllowed", "what is scheduled is not dead-lettered")
        this.leave(message, now)
        this.deadLetter(message, settlement.reason, settlement.description, now)
        break
      default:
        return this.refuse("NotAllowed", "it is not locked")
    }
    this.flush()
    return Result.void
  }

  purge({ count, from, state, to }: PurgeOptions): { readonly messages: number; readonly next: bigint | undefined } {
    const found: Array<StoredMessage> = []
    let next: bigint | undefined
    if (this.isClosed()) return { messages: 0, next }
    this.stored.forEachFrom(Number(from), (message) => {
      if (message.sequence > to) return false
      if (message.lockToken !== undefined || state !== undefined && stateOf(message) !== state) return true
      if (found.length === count) {
        next = BigInt(message.sequence)
        return false
      }
      found.push(message)
      return true
    })
    const now = this.now()
    for (const message of found) {
      this.leave(message, now)
      this.remove(message)
    }
    this.counters.deleted += found.length
    this.flush()
    return { messages: found.length, next }
  }

  /** A message waits no longer, for a consumer, a forwarding or the end of its life. */
  private leave(message: StoredMessage, now: number): void {
    this.use(now)
    if (message.waiting) this.waiting.remove(message)
    this.shared.deadlines.clear(message)
  }

  onDue(message: StoredMessage, now: number): void {
    // What was due before it may have deleted the entity.
    if (this.isEnded) return
    if (message.enqueueAt !== undefined) {
      this.activate(message, now)
    } else if (message.lockToken !== undefined) {
      this.counters.lockExpired += 1
      this.failDelivery(message, now)
    } else if (message.waiting) {
      this.waiting.remove(message)
      this.expire(message, now)
    }
  }

  /**
   * Delivers what there is to the consumers with credit: to these, to those of the sessions and, since messages may have
   * moved there, to those of the dead-letter queue.
   */
  flush(consumers: Consumers = this.consumers): void {
    consumers.deliver()
    this.sessions?.flush()
    this.forwarding?.run()
    const dead = this.deadLetterQueue
    if (dead === undefined) return
    dead.consumers.deliver()
    dead.forwarding?.run()
  }

  putBack(message: StoredMessage): void {
    // What is deleted has been thrown away already.
    if (!this.isEnded) this.addWaiting(message, this.now())
  }

  take(message: StoredMessage, mode: Consumer["mode"], now: number): Delivery {
    this.counters.delivered += 1
    this.use(now)
    if (message.delivered) this.counters.redelivered += 1
    message.delivered = true
    const lockToken = crypto.randomUUID()
    if (mode === "receiveAndDelete") {
      // A topic takes its own to its subscriptions.
      if (this.kind !== "topic") this.counters.receivedAndDeleted += 1
      this.remove(message)
      return { message: snapshotOf(message), lockToken, lockedUntil: now }
    }
    const session = this.sessions?.heldNow(message.incoming.sessionId)
    message.lockToken = lockToken
    this.shared.store.changed(message)
    this.locks.set(lockToken, message)
    if (session === undefined) {
      message.lockedUntil = now + this.options.lockDuration
      this.shared.deadlines.set(message, message.lockedUntil)
    } else {
      // The lock of its session is its lock.
      message.lockedUntil = forever
      this.shared.deadlines.clear(message)
      this.sessions!.lock(session, message)
    }
    return { message: snapshotOf(message), lockToken, lockedUntil: message.lockedUntil }
  }

  cancelScheduled(sequenceNumbers: ReadonlyArray<bigint>): Result.Result<void, Refusal> {
    return Result.map(this.scheduledOf(sequenceNumbers), (messages) => {
      for (const message of messages) this.remove(message)
      this.use(this.now())
    })
  }

  /** The scheduled messages of these numbers, or all of them. */
  private scheduledOf(
    sequenceNumbers: ReadonlyArray<bigint> | undefined
  ): Result.Result<ReadonlyArray<StoredMessage>, Refusal> {
    if (this.isClosed()) return this.closed()
    const messages: Array<StoredMessage> = []
    if (sequenceNumbers === undefined && this.scheduled > 0) {
      this.stored.forEachFrom(undefined, (message) => {
        if (message.enqueueAt !== undefined) messages.push(message)
        return true
      })
    }
    for (const sequenceNumber of new Set(sequenceNumbers)) {
      const message = this.stored.get(Number(sequenceNumber))
      if (message?.enqueueAt === undefined) {
        return this.refuse("MessageNotFound", `there is no scheduled message ${sequenceNumber}`)
      }
      messages.push(message)
    }
    return Result.succeed(messages)
  }

  enqueueScheduled(sequenceNumbers: ReadonlyArray<bigint> | undefined): Result.Result<number, Refusal> {
    return Result.map(this.scheduledOf(sequenceNumbers), (messages) => this.enqueueNow(messages))
  }

  private enqueueNow(messages: ReadonlyArray<StoredMessage>): number {
    const now = this.now()
    // As their timer would have it.
    for (const message of messages.toSorted((a, b) => a.enqueueAt! - b.enqueueAt! || a.sequence - b.sequence)) {
      this.shared.deadlines.clear(message)
      this.activate(message, now)
    }
    this.use(now)
    this.flush()
    return messages.length
  }

  reschedule(
    sequenceNumbers: ReadonlyArray<bigint> | undefined,
    at: (enqueueAt: number) => number
  ): Result.Result<number, Refusal> {
    return Result.map(this.scheduledOf(sequenceNumbers), (messages) => {
      const now = this.now()
      const times = messages.map(({ enqueueAt }) => at(enqueueAt!))
      for (const [index, message] of messages.entries()) {
        const time = times[index]!
        const { incoming } = message
        message.incoming = this.shared.reschedule(incoming, time)
        this.size.bytes += sizeOf(message.incoming) - sizeOf(incoming)
        message.enqueueAt = time
        this.shared.store.replaced(message)
        this.shared.deadlines.set(message, time)
      }
      this.use(now)
      this.enqueueNow(messages.filter(({ enqueueAt }) => enqueueAt! <= now))
      return messages.length
    })
  }

  peek(from: bigint, count: number, sessionId?: string): ReadonlyArray<MessageSnapshot> {
    this.use(this.now())
    return this.snapshots(from, count, sessionId)
  }

  private snapshots(from: bigint, count: number, sessionId?: string): ReadonlyArray<MessageSnapshot> {
    const found: Array<MessageSnapshot> = []
    const all = sessionId === undefined || this.sessions === undefined
      ? this.stored
      : this.sessions.messagesOf(sessionId)
    all?.forEachFrom(Number(from), (message) => {
      if (found.length >= count) return false
      if (sessionId === undefined || message.incoming.sessionId === sessionId) found.push(snapshotOf(message))
      return true
    })
    return found
  }

  deleteBefore(enqueuedBefore: number, count: number, sessionId?: string): Result.Result<number, Refusal> {
    if (this.isClosed()) return this.closed()
    this.use(this.now())
    const found: Array<StoredMessage> = []
    const visit = (message: StoredMessage): boolean => {
      // What follows was enqueued later.
      if (found.length >= count || message.enqueuedAt >= enqueuedBefore) return false
      if (message.waiting && (sessionId === undefined || message.incoming.sessionId === sessionId)) found.push(message)
      return true
    }
    if (this.sessions === undefined) this.consumers.waiting.forEach(visit)
    else if (sessionId === undefined) this.stored.forEachFrom(undefined, visit)
    else this.sessions.waitingOf(sessionId)?.forEach(visit)
    for (const message of found) {
      this.waiting.remove(message)
      this.remove(message)
    }
    this.counters.deleted += found.length
    return Result.succeed(found.length)
  }

  /** When a message that arrives now is enqueued: never before an earlier one, also where the clock was set back. */
  private enqueuedAt(now: number): number {
    this.lastEnqueuedAt = Math.max(this.lastEnqueuedAt, now)
    return this.lastEnqueuedAt
  }

  private add(message: StoredMessage): void {
    this.shared.store.changed(message)
    this.stored.add(message)
    this.sessions?.keep(message)
  }

  private drop(message: StoredMessage): void {
    if (message.enqueueAt !== undefined) this.scheduled -= 1
    this.stored.delete(message)
    this.sessions?.drop(message)
  }

  private schedule(message: StoredMessage, at: number): void {
    this.counters.enqueued += 1
    message.enqueueAt = at
    this.scheduled += 1
    this.add(message)
    this.shared.deadlines.set(message, at)
  }

  /** A scheduled message whose time has come is enqueued as the last one, under a new number. */
  private activate(scheduled: StoredMessage, now: number): void {
    this.drop(scheduled)
    this.lastSequence += 1
    this.shared.store.advanced(this)
    this.counters.enqueued -= 1
    const message = newMessage(this, this.lastSequence, scheduled.incoming, this.enqueuedAt(now), scheduled.timeToLive)
    message.wasScheduled = true
    this.shared.store.moved(scheduled, message)
    this.enqueue(message, now)
  }

  /** It becomes a message that is received; its time to live counts from here. */
  private enqueue(message: StoredMessage, now: number): void {
    message.expiresAt = message.timeToLive === undefined ? undefined : now + message.timeToLive
    this.accept(message, now)
  }

  private accept(message: StoredMessage, now: number): void {
    this.counters.enqueued += 1
    this.add(message)
    if (this.sessions !== undefined && message.incoming.sessionId === undefined) {
      // It came through a topic, which cannot refuse it.
      const text = "Session enabled entity doesn't allow a message whose session identifier is null."
      return this.deadLetter(message, "Session ID is null.", text, now)
    }
    this.addWaiting(message, now)
  }

  /** It waits, unless its time is over: nothing expires while it is locked, so it may be over for long. */
  private addWaiting(message: StoredMessage, now: number): void {
    if (message.expiresAt !== undefined && message.expiresAt <= now) return this.expire(message, now)
    this.waiting.add(message)
    if (message.expiresAt !== undefined) this.shared.deadlines.set(message, message.expiresAt)
  }

  returnMessages(messages: ReadonlyArray<StoredMessage>, failed: boolean, now: number): void {
    for (const message of messages) {
      if (failed) {
        this.counters.lockExpired += 1
        this.failDelivery(message, now)
      } else {
        this.restore(message, now)
      }
    }
  }

  /**
   * A delivery is over without success: its message was abandoned or deferred, or its lock has ended. A dead letter keeps the
   * count that it came with, and has no limit of them (azure-sdk-for-net #53437).
   */
  private failDelivery(message: StoredMessage, now: number): void {
    if (this.kind === "deadLetter") return this.restore(message, now)
    message.deliveryCount += 1
    if (this.deadLetterQueue === undefined || message.deliveryCount < this.options.maxDeliveryCount) {
      return this.restore(message, now)
    }
    if (message.lockToken !== undefined) this.unlock(message)
    const description = `Message could not be consumed after ${message.deliveryCount} delivery attempts.`
    this.deadLetter(message, "MaxDeliveryCountExceeded", description, now)
  }

  /** It waits again or, if it was deferred, is deferred again. */
  private restore(message: StoredMessage, now: number): void {
    if (message.lockToken !== undefined) this.unlock(message)
    this.shared.store.changed(message)
    if (!message.deferred) this.addWaiting(message, now)
  }

  expire(message: StoredMessage, now: number): void {
    this.counters.expired += 1
    if (this.options.deadLetteringOnExpiration) {
      this.deadLetter(message, "TTLExpiredException", "The message expired and was dead lettered.", now)
    } else {
      this.remove(message)
    }
  }

  private deadLetter(
    message: StoredMessage,
    reason: string | undefined,
    description: string | undefined,
    now: number
  ): void {
    const target = this.deadLetterQueue!
    this.counters.deadLettered += 1
    const dead = newMessage(target, message.sequence, message.incoming, message.enqueuedAt, message.timeToLive)
    this.shared.store.moved(message, dead)
    this.remove(message)
    this.size.bytes += sizeOf(message.incoming)
    dead.deliveryCount = message.deliveryCount
    dead.wasScheduled = message.wasScheduled
    dead.properties = message.properties
    addReason(dead, reason, description)
    if (!this.shared.fits(dead.incoming, propertiesOf(dead))) {
      dead.properties = message.properties
      addReason(dead, headerSizeExceeded.reason, headerSizeExceeded.description)
    }
    target.accept(dead, now)
  }

  private remove(message: StoredMessage): void {
    this.shared.deadlines.clear(message)
    this.shared.store.removed(message)
    this.drop(message)
    this.size.bytes -= sizeOf(message.incoming)
  }

  private findLocked(lockToken: string, now: number): StoredMessage | undefined {
    const message = this.locks.get(lockToken)
    if (message === undefined) return undefined
    // The timer may come late; a lock that ended is lost all the same.
    if (message.lockedUntil < forever) return message.lockedUntil <= now ? undefined : message
    return this.sessions?.holding(message.incoming.sessionId, now) === undefined ? undefined : message
  }

  private unlock(message: StoredMessage): void {
    this.shared.deadlines.clear(message)
    this.locks.delete(message.lockToken!)
    if (message.lockedUntil === forever) this.sessions?.unlock(message)
    message.lockToken = undefined
    message.lockedUntil = 0
  }

  now(): number {
    return this.shared.clock.currentTimeMillisUnsafe()
  }

  isClosed(): boolean {
    return this.isEnded || this.shared.isClosed
  }

  report(defect: unknown): void {
    this.shared.report(this.path, defect)
  }

  reserve(bytes: number): Refusal | undefined {
    const total = this.size.bytes + bytes
    if (bytes > 0 && total > this.options.maxSize) {
      const detail = `Size of entity in bytes:${total}, Max entity size in bytes:${this.options.maxSize}`
      return { _tag: "QuotaExceeded", entity: this.path, detail, kind: this.kind === "topic" ? "Topic" : "Queue" }
    }
    // What its topic has taken, it takes: the topic asks for the copies too.
    const full = bytes > 0 && this.kind !== "subscription"
      ? this.shared.store.refusal(this.kind === "topic" ? bytes * (1 + this.size.copies) : bytes)
      : undefined
    if (full !== undefined) {
      return {
        _tag: "QuotaExceeded",
        entity: this.path,
        detail: full,
        kind: this.kind === "topic" ? "Topic" : "Queue"
      }
    }
    this.size.bytes = total
    return undefined
  }

  private refuse(_tag: Refusal["_tag"], detail: string): Result.Result<never, Refusal> {
    return Result.fail({ _tag, entity: this.path, detail })
  }

  private lockLost(lockToken: string): Result.Result<never, Refusal> {
    return this.refuse("LockLost", `the lock ${lockToken} has ended or was never given`)
  }

  private closed(): Result.Result<never, Refusal> {
    return this.refuse("EntityNotFound", this.isEnded ? "it is deleted" : "the broker is closed")
  }
}

/** What a message is to those who look: a lock comes before what it is locked as. */
const stateOf = (message: StoredMessage): MessageSnapshot["state"] | "locked" =>
  message.enqueueAt !== undefined
    ? "scheduled"
    : message.lockToken !== undefined
    ? "locked"
    : message.deferred
    ? "deferred"
    : "active"

/** A message that is forwarded has what is left of its life: clients reckon its end from when it was enqueued. */
const timeToLiveOf = (
  { expiresAt }: IncomingMessage,
  timeToLive: number | undefined,
  now: number
): number | undefined => expiresAt === undefined ? timeToLive : shorterTimeToLive(timeToLive, expiresAt - now)

/** What the service says of a message without a session. */
const noSession =
  "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support enabled can only receive messages that have the SessionId set to a valid value."
