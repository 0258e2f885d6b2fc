/**
 * The contract between the broker's queues and what serves them to peers: the messages, the operations, and the reasons to
 * refuse one.
 *
 * Every operation is a synchronous function. What a queue returns or delivers (a message, a delivery, a refusal) is a value
 * that does not change afterwards; only the counters are live. A refused operation has changed nothing.
 */
import type * as Result from "effect/Result"
import type { AmqpValue } from "../../AmqpValue.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import type * as Settlement from "../../Settlement.ts"
import type { EntitySettings } from "./EntityOptions.ts"

/**
 * The bytes of a message, opaque here, on memory of their own: many pass and few stay, and what stays must not keep alive what
 * it came in. A small payload is a string of one character for each byte: that costs the heap 16 bytes beside them, and a
 * buffer of its own 350.
 *
 * @category models
 */
export type Payload = Uint8Array | string

/**
 * A message as it arrives; `timeToLive` is milliseconds.
 *
 * @category models
 */
export interface IncomingMessage {
  readonly payload: Payload
  /** How many bytes the payload has, where to ask it would be to read it from a store. */
  readonly size?: number | undefined
  readonly messageId: string | undefined
  readonly sessionId: string | undefined
  readonly timeToLive: number | undefined
  /** When it is to be enqueued, in milliseconds; at once where that is over or not given. */
  readonly enqueueAt?: number | undefined
  /** Bytes of all that it has but body and footer; 0 where they were not counted. */
  readonly propertiesSize?: number | undefined
  /** Where it comes from another entity: its numbers there, and whether it was scheduled there. */
  readonly sequenceNumber?: bigint | undefined
  readonly firstSequenceNumber?: bigint | undefined
  readonly wasScheduled?: boolean | undefined
  /** When it expires at the latest, in milliseconds: what is forwarded does not begin its life anew. */
  readonly expiresAt?: number | undefined
  /** How often it was forwarded. */
  readonly hops?: number | undefined
  /** The entity that dead-lettered it, where it was forwarded from there. */
  readonly deadLetterSource?: string | undefined
  /** When it is to be enqueued where it is forwarded to, in milliseconds: an action of a rule has set it. */
  readonly enqueueNextAt?: number | undefined
}

/**
 * A message as the queue holds it, at the moment of asking: it does not change afterwards. Times are milliseconds.
 *
 * @category models
 */
export interface MessageSnapshot {
  readonly sequenceNumber: bigint
  readonly enqueuedAt: number
  /** When it expires; never in a dead-letter queue. */
  readonly expiresAt: number | undefined
  /** The smaller of its own time to live and the queue's. */
  readonly timeToLive: number | undefined
  /**
   * How often it was abandoned or deferred or its lock ended: 0 at the first delivery. In a dead-letter queue it stays as it
   * was.
   */
  readonly deliveryCount: number
  readonly state: "active" | "deferred" | "scheduled"
  /** Whether it was scheduled before: the service goes on to say so. */
  readonly wasScheduled: boolean
  /** The number that it had in the entity that was the first to take it, where that is another one. */
  readonly firstSequenceNumber: bigint | undefined
  /** When it will be enqueued, in milliseconds, while it is scheduled. */
  readonly enqueueAt: number | undefined
  readonly payload: Payload
  readonly messageId: string | undefined
  readonly sessionId: string | undefined
  readonly propertiesSize: number | undefined
  /** How often it was forwarded, and the entity that dead-lettered it before it was. */
  readonly hops: number | undefined
  readonly deadLetterSource: string | undefined
  /** Application properties that settlements and the broker added. */
  readonly properties: ReadonlyMap<string, AmqpValue>
}

/**
 * Which messages to look at: up to `count` from a sequence number on, or the last ones before one; of one state, or of all. Here
 * what is locked is neither active nor deferred.
 *
 * @category models
 */
export interface BrowseOptions {
  readonly from?: bigint | undefined
  /** Takes the place of `from`. */
  readonly before?: bigint | undefined
  readonly count: number
  readonly state?: MessageSnapshot["state"] | "locked" | undefined
}

/**
 * Which messages to purge: up to `count` from one sequence number to another, of one state or of all.
 *
 * @category models
 */
export interface PurgeOptions extends Pick<BrowseOptions, "count" | "state"> {
  readonly from: bigint
  readonly to: bigint
}

/**
 * A message that is looked at, and when its lock ends, in milliseconds: undefined where it has none, infinite where that of its
 * session is its lock.
 *
 * @category models
 */
export interface BrowsedMessage extends MessageSnapshot {
  readonly lockedUntil: number | undefined
}

/**
 * A message that is delivered to a consumer. In receive-and-delete mode there is no lock: the token is good only as a tag, and
 * `lockedUntil` is the time of the delivery.
 *
 * @category models
 */
export interface Delivery {
  readonly message: MessageSnapshot
  readonly lockToken: string
  readonly lockedUntil: number
}

/**
 * What messages are delivered to. `credit` is how many more it takes, without those in flight to it; it is asked before
 * messages are chosen, has no effect and does not throw. `deliver` may call any operation of the broker; where it throws, the
 * defect is logged and the consumer detached, because the caller that caused the delivery has no part in it.
 *
 * @category models
 */
export interface Consumer {
  readonly mode: "peekLock" | "receiveAndDelete"
  credit(): number
  deliver(deliveries: ReadonlyArray<Delivery>): void
}

/**
 * A consumer that is attached to a queue or a session.
 *
 * @category models
 */
export interface Attachment {
  /** Says that its credit grew; delivers at once what there is. */
  wake(): void
  /** Ends it. Locks on what it received run on until they expire. */
  detach(): void
}

/**
 * Why an operation was refused. Nothing was changed.
 *
 * @category models
 */
export interface Refusal {
  readonly _tag:
    | "EntityNotFound"
    | "Disabled"
    | "LockLost"
    | "SessionLockLost"
    | "SessionCannotBeLocked"
    | "MessageNotFound"
    | "QuotaExceeded"
    | "MessageTooLarge"
    | "PropertiesTooLarge"
    | "RuleExists"
    | "RuleNotFound"
    | "InvalidRule"
    | "NotAllowed"
  readonly entity: string
  /** More of it: the name of a rule, where one is there already or is not. */
  readonly detail?: string
  /** What is full. */
  readonly kind?: "Queue" | "Topic" | "Rules"
  /** Whether what is disabled is sending alone. */
  readonly isForSend?: boolean
}

/**
 * What happened in a queue since it was made. `enqueued` counts in a dead-letter queue what was dead-lettered to it,
 * `deadLettered` what left for it, for whatever reason; `redelivered` is a part of `delivered`; `duplicates` were
 * accepted and dropped.
 *
 * @category models
 */
export interface Counters {
  enqueued: number
  delivered: number
  redelivered: number
  completed: number
  /** What left as it was received, without a lock. */
  receivedAndDeleted: number
  abandoned: number
  released: number
  deferred: number
  deadLettered: number
  expired: number
  lockExpired: number
  renewed: number
  duplicates: number
  /** What was removed without being received. */
  deleted: number
  /** What went on to another entity. */
  forwarded: number
  /** Sessions that found a holder, and those whose lock ran out. */
  sessionsAccepted: number
  sessionsLost: number
}

/**
 * What holds a session, or waits for one. `owner` identifies it: operations on the session must name the same.
 *
 * @category models
 */
export interface SessionHolder {
  readonly owner: object
  /** The session is locked; called once, perhaps before `accept` returns. */
  granted(session: HeldSession): void
  /** The lock ran out. What was delivered under it is back in the session. */
  lost(): void
}

/**
 * A session that is locked.
 *
 * @category models
 */
export interface HeldSession {
  readonly id: string
  /** When its lock ends if it is not renewed, in milliseconds. */
  readonly lockedUntil: number
  /** Adds a consumer of its messages. */
  attach(consumer: Consumer): Attachment
  /** Gives it up: what was delivered and not settled waits again, and is no failed delivery. */
  release(): void
}

/**
 * Which sessions to list: up to `count`, after `skip` of those whose ids are greater than `after`. `updatedSince` is
 * milliseconds.
 *
 * @category models
 */
export interface ListOptions {
  readonly count: number
  readonly skip?: number | undefined
  readonly after?: string | undefined
  readonly updatedSince?: number | undefined
}

/**
 * A session that is looked at: how many messages it has, of whatever state; when its lock ends, in milliseconds, where it is
 * held; and its state, where it has one.
 *
 * @category models
 */
export interface BrowsedSession {
  readonly id: string
  readonly messages: number
  readonly lockedUntil: number | undefined
  readonly state: Uint8Array | undefined
  readonly stateUpdatedAt: number | undefined
}

/**
 * The sessions of an entity.
 *
 * @category models
 */
export interface Sessions {
  /**
   * Locks a session: a named one at once, or refused as `SessionCannotBeLocked`; without an id the next one with messages,
   * as soon as there is one. Returns a function that ends the waiting.
   */
  accept(id: string | undefined, holder: SessionHolder): Result.Result<() => void, Refusal>
  /** Refused as `SessionLockLost` where the session is not held by this owner, like the next three. */
  isHeld(id: string, owner: object): Result.Result<void, Refusal>
  /**
   * Ends the lock of a session now, as if its time were over, and returns how many messages were under it; undefined where it
   * had none.
   */
  lose(id: string): number | undefined
  /** Ends the locks of all sessions. */
  loseAll(): void
  /** Starts the clock of its lock anew, and returns when it ends. */
  renew(id: string, owner: object): Result.Result<number, Refusal>
  state(id: string, owner: object): Result.Result<Uint8Array | undefined, Refusal>
  /** Sets its state, or clears it. Refused as `QuotaExceeded` and `MessageTooLarge` as a message would be. */
  setState(id: string, owner: object, state: Uint8Array | undefined): Result.Result<void, Refusal>
  /**
   * A page of the ids of the sessions with messages that wait or are locked, or with state, in order; or of those alone whose
   * state was set after a time, for which each of the others is looked at too.
   */
  list(options: ListOptions): ReadonlyArray<string>
  /** A session, without taking it; one that is not there has no messages. */
  look(id: string): BrowsedSession
}

/**
 * The rules of a subscription. What adds or removes them over AMQP asks first whether it is disabled.
 *
 * @category models
 */
export interface Rules {
  /** A page of them, by name: up to `count`, after the first `skip`. */
  list(skip?: number, count?: number): ReadonlyArray<ServiceBusRule.Rule>
  /** Whether the subscription, or its topic, is disabled. */
  readonly isDisabled: boolean
  /** One by its name, whose case does not matter where no other differs by it alone. */
  find(name: string): ServiceBusRule.Rule | undefined
  /**
   * Adds one, which holds for what the topic takes from now on. Refused as `RuleExists` where there is one of its name, as
   * `InvalidRule` where its name, filter or action is wrong, and as `QuotaExceeded` where the topic has too many filters.
   */
  add(rule: ServiceBusRule.Rule): Result.Result<void, Refusal>
  /**
   * Puts a rule in the place of the one that has its name, and keeps the time at which that came. Refused as `RuleNotFound`, and
   * as `add` does; then the one before holds.
   */
  replace(rule: ServiceBusRule.Rule): Result.Result<void, Refusal>
  /** Removes one. Refused as `RuleNotFound`. */
  remove(name: string): Result.Result<void, Refusal>
}

/**
 * How many messages an entity holds, by their states, and its times in milliseconds. Messages that are locked or deferred are
 * active ones.
 *
 * @category models
 */
export interface RuntimeCounts {
  readonly activeMessageCount: number
  readonly deadLetterMessageCount: number
  readonly scheduledMessageCount: number
  readonly transferMessageCount: number
  readonly transferDeadLetterMessageCount: number
  readonly sizeInBytes: number
  readonly accessedAt: number
}

/**
 * A message as it is put back into a queue that it was taken from, or never was in. Times are milliseconds.
 *
 * @category models
 */
export interface KeptMessage extends
  Pick<
    MessageSnapshot,
    | "sequenceNumber"
    | "enqueuedAt"
    | "expiresAt"
    | "timeToLive"
    | "deliveryCount"
    | "state"
    | "wasScheduled"
    | "enqueueAt"
  >
{
  readonly incoming: IncomingMessage
}

/**
 * What a queue holds beside its messages: the last sequence number that it gave, the sessions that have state, and the ids
 * that its duplicate detection remembers. Times are milliseconds.
 *
 * @category models
 */
export interface KeptState {
  readonly lastSequenceNumber: bigint
  readonly sessions: ReadonlyArray<{ readonly id: string; readonly state: Uint8Array; readonly updatedAt: number }>
  readonly duplicates: ReadonlyArray<{ readonly id: string; readonly sequenceNumber: bigint; readonly until: number }>
}

/**
 * What a queue holds, as it can be put back into one that is empty.
 *
 * @category models
 */
export interface Contents extends KeptState {
  readonly messages: ReadonlyArray<KeptMessage>
}

/**
 * What a queue is in a namespace. A topic copies every message to its subscriptions at once, and keeps only those that are
 * scheduled.
 *
 * @category models
 */
export type Kind = "queue" | "topic" | "subscription" | "deadLetter"

/**
 * A queue, a dead-letter queue of one, a topic or a subscription.
 *
 * @category models
 */
export interface Queue {
  readonly path: string
  readonly kind: Kind
  readonly options: EntitySettings
  /** Where its dead letters go; `undefined` on a dead-letter queue and on a topic. */
  readonly deadLetterQueue: Queue | undefined
  /** Where goes what is sent by way of it in vain; `undefined` likewise. */
  readonly transferDeadLetterQueue: Queue | undefined
  /** Where it requires sessions. Its consumers are attached to them, not to it. */
  readonly sessions: Sessions | undefined
  /** Which messages of its topic a subscription gets; `undefined` on every other entity. */
  readonly rules: Rules | undefined
  readonly counters: Counters
  /**
   * Stores all of the messages or none, and returns their sequence numbers; a duplicate is dropped, and its number is
   * the first one's. One that is scheduled waits, and gets a new
   * number when it is enqueued. Refused as `NotAllowed` on a dead-letter queue and, without a session id, on a queue that
   * requires sessions; as `MessageTooLarge` and as `QuotaExceeded`.
   */
  send(messages: ReadonlyArray<IncomingMessage>): Result.Result<ReadonlyArray<bigint>, Refusal>
  /**
   * Stores what another entity forwards, all of it or nothing, and says why not. What `send` would refuse for a missing
   * session id is dead-lettered.
   */
  transfer(messages: ReadonlyArray<IncomingMessage>): Refusal | undefined
  /**
   * Stores messages in the transfer dead-letter queue, as what was sent by way of the entity in vain, and returns their
   * sequence numbers.
   * Refused as `NotAllowed` where there is none, and as `QuotaExceeded`.
   */
  failTransfer(
    messages: ReadonlyArray<IncomingMessage>,
    reason: string | undefined,
    description: string | undefined
  ): Result.Result<ReadonlyArray<bigint>, Refusal>
  /** Adds a consumer. Nothing is delivered before this returns: call `wake` once the consumer can take messages. */
  attach(consumer: Consumer): Attachment
  /**
   * Carries out a settlement. Refused as `LockLost` where the token is unknown or its lock has ended, and as
   * `NotAllowed` for `RetryAfter` and for a dead-lettering from a dead-letter queue. Where the properties exceed
   * the quotas the message is dead-lettered as `HeaderSizeExceeded`, and in a dead-letter queue refused as `PropertiesTooLarge`.
   */
  settle(lockToken: string, settlement: Settlement.Settlement): Result.Result<void, Refusal>
  /** Gives a message back, as AMQP's `released` does (AMQP 1.0 section 3.4.4): its delivery count stays. */
  release(lockToken: string): Result.Result<void, Refusal>
  /**
   * Ends locks now, as if their time were over: those of these tokens that are there, or all. Where sessions are required it is
   * the lock of the session that ends. Returns how many messages were under them.
   */
  loseLocks(lockTokens?: ReadonlyArray<string>): number
  /** Starts the clock of these locks anew, of all or of none, and returns when each ends. */
  renew(lockTokens: ReadonlyArray<string>): Result.Result<ReadonlyArray<number>, Refusal>
  /**
   * Gives deferred messages by their sequence numbers, all of them or none, locked or (in receive-and-delete mode) for
   * good. Refused as `MessageNotFound` where one is not there, not deferred, or locked already. Where sessions are
   * required they are those of one session, under its lock.
   */
  receiveDeferred(
    sequenceNumbers: ReadonlyArray<bigint>,
    mode: Consumer["mode"],
    sessionId?: string | undefined
  ): Result.Result<ReadonlyArray<Delivery>, Refusal>
  /** Takes scheduled messages back, all of them or none. Refused as `MessageNotFound` where one is not scheduled. */
  cancelScheduled(sequenceNumbers: ReadonlyArray<bigint>): Result.Result<void, Refusal>
  /**
   * Up to `count` messages of whatever state from a sequence number on, of one session or of all, in their order, without
   * taking them.
   */
  peek(from: bigint, count: number, sessionId?: string | undefined): ReadonlyArray<MessageSnapshot>
  /**
   * Removes up to `count` messages that were enqueued before a time, oldest first, of one session or of all; locked,
   * deferred and scheduled ones stay. Returns how many.
   */
  deleteBefore(enqueuedBefore: number, count: number, sessionId?: string | undefined): Result.Result<number, Refusal>
  /**
   * Every message, of whatever state, in the order of sequence numbers; or up to `count` of them from a number on. Unlike a peek
   * of a client it is no use of the entity.
   */
  messages(from?: bigint, count?: number): ReadonlyArray<MessageSnapshot>
  /** Messages in the order of sequence numbers; like the operation before it is no use of the entity. */
  browse(options: BrowseOptions): ReadonlyArray<BrowsedMessage>
  /**
   * Completes, defers or dead-letters a message that nobody has locked, as if it had been received for that: whoever looks
   * after a broker decides about what lies there. What is scheduled can be completed, which takes it back. Refused as
   * `MessageNotFound`, and as `NotAllowed` where it is locked or not in a state for it, and for every other settlement.
   */
  dispose(sequenceNumber: bigint, settlement: Settlement.Settlement): Result.Result<void, Refusal>
  /**
   * Completes messages as `dispose` does, without a look at what they are made of; those that are locked stay. Returns how many,
   * and from where on there are more of them, if there are.
   */
  purge(options: PurgeOptions): { readonly messages: number; readonly next: bigint | undefined }
  /**
   * Enqueues scheduled messages now, of these numbers or all of them, in the order of their times, and returns how many. Refused
   * as `MessageNotFound` where one is not scheduled; then none is.
   */
  enqueueScheduled(sequenceNumbers: ReadonlyArray<bigint> | undefined): Result.Result<number, Refusal>
  /**
   * Gives scheduled messages another time, which is made of the one that each has; where that is over they are enqueued, as the
   * operation before does it. Refused likewise.
   */
  reschedule(
    sequenceNumbers: ReadonlyArray<bigint> | undefined,
    at: (enqueueAt: number) => number
  ): Result.Result<number, Refusal>
  /** What it holds beside its messages. */
  state(): KeptState
  /** What it holds, with its dead-letter queues. */
  runtime(): RuntimeCounts
}
