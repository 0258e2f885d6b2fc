/**
 * What the queues, topics and dead-letter queues of one broker share. A file of its own because the broker makes it, and
 * topics and queues are made with it.
 */
import type * as Clock from "effect/Clock"
import type { DeadlineTimer } from "./DeadlineTimer.ts"
import type { Changes, FilterMessage } from "./filter/FilterMessage.ts"
import type { IncomingMessage, MessageSnapshot, Queue } from "./Queue.ts"
import type { Store } from "./Store.ts"
import type { Due } from "./StoredMessage.ts"

/**
 * The state of a broker; `isClosed` once its scope is.
 *
 * @category models
 */
export interface SharedState {
  readonly clock: Clock.Clock
  readonly deadlines: DeadlineTimer<Due>
  /** Is told what changes. */
  readonly store: Store
  /** Logs what a consumer threw. */
  readonly report: (queue: string, defect: unknown) => void
  /** Whether a message keeps to the quotas of properties with those that were added to it. */
  readonly fits: (message: IncomingMessage, properties: MessageSnapshot["properties"]) => boolean
  /** A message as rules read it: good until the next one is read or changed. */
  readonly read: (message: IncomingMessage) => FilterMessage
  /** A copy of a message with what an action did. */
  readonly change: (message: IncomingMessage, changes: Changes) => IncomingMessage
  /** Whether a rule can have a value: it is listed to peers. */
  readonly isRuleValue: (value: unknown) => boolean
  /** A message that is to be enqueued at another time, in milliseconds, and says so. */
  readonly reschedule: (message: IncomingMessage, enqueueAt: number) => IncomingMessage
  /** The queue or topic of a path in lower case: where messages are forwarded to. */
  readonly find: (path: string) => Queue | undefined
  isClosed: boolean
}
