/**
 * A message as its queue stores it, with what the queue, the order of waiting messages and the deadline timer know of it.
 *
 * It is itself the deadline of the timer and the item of the order, so that a message costs one object. Its queue alone writes
 * to it; what leaves the queue is a snapshot.
 */
import * as AmqpValue from "../../AmqpValue.ts"
import type * as Settlement from "../../Settlement.ts"
import type { Deadline } from "./DeadlineTimer.ts"
import type { Waiting } from "./MessageOrder.ts"
import type { IncomingMessage, MessageSnapshot } from "./Queue.ts"

/**
 * What is due in a queue at a time: the lock, the life or the enqueueing of a message, or the lock of a session. What is
 * due at one instant is ended in the order of `sequence`.
 *
 * @category models
 */
export interface Due extends Deadline {
  readonly sequence: number
  /** The queue, or the session table of one, that set the deadline. It gets its own deadlines alone. */
  readonly owner: {
    onDue(due: Due, now: number): void
    flush(): void
  }
}

/**
 * A message. It is in one state at a time (scheduled, waiting, locked or deferred), and so has one deadline at most.
 *
 * @category models
 */
export interface StoredMessage extends Due, Waiting {
  readonly owner: Due["owner"] & { readonly row: number }
  readonly sequence: number
  /** The number that the store has for it; 0 while it is not stored. The store alone writes it. */
  row: number
  /** Replaced by that of another time to enqueue it alone. */
  incoming: IncomingMessage
  readonly enqueuedAt: number
  /** When it will be enqueued, while it is scheduled. */
  enqueueAt: number | undefined
  expiresAt: number | undefined
  readonly timeToLive: number | undefined
  /** How many deliveries failed: what goes back as `released` has been delivered, and nothing has failed. */
  deliveryCount: number
  /** Whether its queue has delivered it before. */
  delivered: boolean
  /** Each key and its value, one after the other: a Map of two takes 185 bytes, and dead letters stay. */
  properties: ReadonlyArray<AmqpValue.AmqpValue>
  deferred: boolean
  wasScheduled: boolean
  lockToken: string | undefined
  lockedUntil: number
}

/** What messages are ordered by. @category accessors */
export const sequenceOf = (message: StoredMessage): number => message.sequence

const none: ReadonlyArray<AmqpValue.AmqpValue> = []
const noProperties: ReadonlyMap<string, AmqpValue.AmqpValue> = new Map()

/**
 * A message that has just arrived; whether it was scheduled its arrival says, where nothing else does.
 *
 * @category constructors
 */
export const newMessage = (
  owner: StoredMessage["owner"],
  sequence: number,
  incoming: IncomingMessage,
  enqueuedAt: number,
  timeToLive: number | undefined,
  wasScheduled = incoming.wasScheduled === true
): StoredMessage => ({
  owner,
  row: 0,
  sequence,
  incoming,
  enqueuedAt,
  timeToLive,
  enqueueAt: undefined,
  expiresAt: undefined,
  deliveryCount: 0,
  delivered: false,
  properties: none,
  deferred: false,
  wasScheduled,
  lockToken: undefined,
  lockedUntil: 0,
  waiting: false,
  at: 0,
  slot: -1
})

/** The message as those outside see it. @category conversions */
export const snapshotOf = (message: StoredMessage): MessageSnapshot => ({
  sequenceNumber: BigInt(message.sequence),
  enqueuedAt: message.enqueuedAt,
  expiresAt: message.expiresAt,
  timeToLive: message.timeToLive,
  deliveryCount: message.deliveryCount,
  state: message.enqueueAt !== undefined ? "scheduled" : message.deferred ? "deferred" : "active",
  wasScheduled: message.wasScheduled,
  firstSequenceNumber: message.incoming.firstSequenceNumber ?? message.incoming.sequenceNumber,
  enqueueAt: message.enqueueAt,
  payload: message.incoming.payload,
  messageId: message.incoming.messageId,
  sessionId: message.incoming.sessionId,
  propertiesSize: message.incoming.propertiesSize,
  hops: message.incoming.hops,
  deadLetterSource: message.incoming.deadLetterSource,
  properties: propertiesOf(message)
})

/** What settlements and the broker added to a message. @category accessors */
export const propertiesOf = ({ properties }: StoredMessage): ReadonlyMap<string, AmqpValue.AmqpValue> => {
  if (properties.length === 0) return noProperties
  const map = new Map<string, AmqpValue.AmqpValue>()
  for (let i = 0; i < properties.length; i += 2) map.set(properties[i] as string, properties[i + 1])
  return map
}

/** Adds properties. @category mutations */
export const addProperties = (message: StoredMessage, properties: Settlement.Properties | undefined): void => {
  if (properties === undefined) return
  const merged = new Map(propertiesOf(message))
  for (const key of Object.keys(properties)) merged.set(names.get(key) ?? key, owned(properties[key]))
  message.properties = itemsOf(merged)
}

const itemsOf = (properties: ReadonlyMap<string, AmqpValue.AmqpValue>): ReadonlyArray<AmqpValue.AmqpValue> => {
  const items: Array<AmqpValue.AmqpValue> = []
  for (const [key, value] of properties) items.push(key, value)
  // As long as it is, and no longer.
  return items.slice()
}

/** The names that every dead letter has, as the one string that they share. */
const names: ReadonlyMap<string, string> = new Map(
  ["DeadLetterReason", "DeadLetterErrorDescription"].map((name) => [name, name])
)

/** A value whose bytes, if it has any, are not a view of those that it came in. @category conversions */
export const owned = (value: AmqpValue.AmqpValue): AmqpValue.AmqpValue => {
  if (value instanceof Uint8Array) return new Uint8Array(value)
  return AmqpValue.isTyped(value) && value.value instanceof Uint8Array
    ? AmqpValue.typed(value.type as "decimal128", new Uint8Array(value.value))
    : value
}

/** Says why a message was dead-lettered. @category mutations */
export const addReason = (dead: StoredMessage, reason: string | undefined, description: string | undefined): void =>
  addProperties(dead, {
    ...(reason === undefined ? undefined : { DeadLetterReason: reason }),
    ...(description === undefined ? undefined : { DeadLetterErrorDescription: description })
  })

/** `TimeSpan.MaxValue` of .NET, in milliseconds: its way of saying that a message lives without end. */
const endless = 922_337_203_685_477

/**
 * The shorter of two times to live. What is no number of milliseconds is no limit: the deadline timer must never see it.
 *
 * @category constructors
 */
export const shorterTimeToLive = (a = Infinity, b = Infinity): number | undefined => {
  const least = Math.min(a, b)
  return least < endless ? Math.max(least, 0) : undefined
}

/**
 * Why a message is dead-lettered that is larger than its entity takes: the service's own exception for it.
 *
 * @category constants
 */
export const messageSizeExceeded = {
  reason: "MessageSizeExceededException",
  description: "The message is larger than the entity takes."
}

/**
 * Why a message is dead-lettered whose properties outgrew their quota in the broker (Service Bus, dead-letter queues).
 *
 * @category constants
 */
export const headerSizeExceeded = {
  reason: "HeaderSizeExceeded",
  description: "The size quota for this stream has been exceeded."
}
