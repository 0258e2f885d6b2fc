/**
 * Where a broker keeps what it holds beside its own memory: what it tells at its points of change, and what it is given back when
 * it is made.
 *
 * The broker never waits for a store. It tells what has changed, not how: a store reads that when it writes, as it is then, so
 * that what came and went within one turn costs nothing. Before a byte leaves that tells of a change, whoever serves the broker
 * has the store write it. A store in memory does nothing.
 */
import type { DeclaredEntity, Entity } from "./DeclaredEntity.ts"
import type { IncomingMessage, KeptState, Queue } from "./Queue.ts"
import type { StoredMessage } from "./StoredMessage.ts"

/**
 * A queue as a store knows it. `row` is the store's: its own number for it, with those of its dead-letter queues after it; 0 for
 * what is not stored.
 *
 * @category models
 */
export interface StoringQueue {
  row: number
  readonly path: string
  readonly deadLetterQueue: StoringQueue | undefined
  readonly transferDeadLetterQueue: StoringQueue | undefined
  /** The time of its broker in milliseconds. */
  now(): number
  /** What it holds beside its messages, as `row` of it goes on. */
  progress(): Progress
  /** The ids that duplicate detection has come to know since they were asked for last, or all of them; undefined without it. */
  duplicates(all: boolean): ReadonlyArray<Duplicate> | undefined
  /** The state of a session; undefined where it has none. */
  sessionState(id: string): KeptState["sessions"][number] | undefined
}

/**
 * An id that duplicate detection knows, until a time in milliseconds.
 *
 * @category models
 */
export interface Duplicate {
  readonly id: string
  readonly sequence: number
  readonly until: number
}

/**
 * How far a queue has come. Times are milliseconds.
 *
 * @category models
 */
export interface Progress {
  readonly lastSequence: number
  readonly lastEnqueuedAt: number
  /** When it was used last, if nothing is attached to it now. */
  readonly accessedAt: number
  readonly isInUse: boolean
}

/**
 * An entity that is stored, and how it is declared now.
 *
 * @category models
 */
export interface StoringEntity {
  readonly declared: DeclaredEntity
  readonly queue: StoringQueue & Pick<Queue, "rules">
  readonly createdAt: number
  readonly updatedAt: number
  /** What those who administer it keep of it: the broker does not look at it. */
  readonly kept: unknown
}

/**
 * An entity that a store has, with what it holds beside its messages. Times are milliseconds.
 *
 * @category models
 */
export interface RestoredEntity extends Progress {
  readonly row: number
  /** With the rules that it has, each with its time. */
  readonly entity: Entity
  readonly createdAt: number
  readonly updatedAt: number
  readonly kept: unknown
  readonly duplicates: ReadonlyArray<Duplicate>
  readonly sessions: KeptState["sessions"]
}

/**
 * A message that a store has. It is read once, and not kept: a store may give the same object again with another one.
 *
 * @category models
 */
export interface RestoredMessage extends
  Pick<
    StoredMessage,
    | "row"
    | "sequence"
    | "incoming"
    | "enqueuedAt"
    | "enqueueAt"
    | "expiresAt"
    | "timeToLive"
    | "deliveryCount"
    | "properties"
    | "deferred"
    | "wasScheduled"
  >
{
  /** Whether it was locked when it was written last: the lock has ended with the process. */
  readonly isLocked: boolean
}

/**
 * A store of one broker.
 *
 * @category models
 */
export interface Store {
  /** The entities that it has, in the order in which they were made. */
  entities(): ReadonlyArray<RestoredEntity>
  /** Passes on the messages that it has, with the row of their queue, in the order in which they came. */
  messages(visit: (queue: number, message: RestoredMessage) => void): void
  /** A message is there, or is another than it was, but for its bytes. */
  changed(message: StoredMessage): void
  /** A message has other bytes. */
  replaced(message: StoredMessage): void
  /** A message goes on as another one, which has the same bytes and is told of as changed. */
  moved(from: StoredMessage, to: StoredMessage): void
  /** A message is gone. */
  removed(message: StoredMessage): void
  /** A queue has given a number, or has come to know an id. */
  advanced(queue: StoringQueue): void
  /** A queue knows other ids than it did. */
  recalled(queue: StoringQueue): void
  /** The state of a session is another one. */
  sessionChanged(queue: StoringQueue, id: string): void
  /** An entity is there, or is declared otherwise. */
  declared(entity: StoringEntity): void
  /** The rules of a subscription are others. */
  rulesChanged(queue: StoringQueue): void
  /** An entity is gone, with what it held but for its messages, which are told of one by one. */
  deleted(entity: StoringEntity): void
  /** Why it takes no more than it has; undefined where it takes so many bytes more. What makes room is always taken. */
  refusal(bytes: number): string | undefined
}

/**
 * Keeps nothing: what a broker holds is gone with it.
 *
 * @category models
 */
export class MemoryStore implements Store {
  entities(): ReadonlyArray<RestoredEntity> {
    return []
  }

  messages(): void {}

  changed(): void {}

  replaced(): void {}

  moved(): void {}

  removed(): void {}

  advanced(): void {}

  recalled(): void {}

  sessionChanged(): void {}

  declared(): void {}

  rulesChanged(): void {}

  deleted(): void {}

  refusal(): undefined {
    return undefined
  }
}

/**
 * A message with fields of its own: one that is read from a store has none that could be copied.
 *
 * @category conversions
 */
export const plainOf = (incoming: IncomingMessage): IncomingMessage => {
  if (incoming.size === undefined) return incoming
  const { deadLetterSource, enqueueAt, enqueueNextAt, expiresAt, firstSequenceNumber, hops } = incoming
  const { messageId, payload, propertiesSize, sequenceNumber, sessionId, timeToLive, wasScheduled } = incoming
  return {
    payload,
    messageId,
    sessionId,
    timeToLive,
    enqueueAt,
    propertiesSize,
    sequenceNumber,
    firstSequenceNumber,
    wasScheduled,
    expiresAt,
    hops,
    deadLetterSource,
    enqueueNextAt
  }
}

/** The bytes of a message, without reading them from where they are kept. @category accessors */
export const sizeOf = (incoming: IncomingMessage): number => incoming.size ?? incoming.payload.length
