/**
 * What becomes of a message, as data: the value that a handler returns, and what `receiver.settle` takes.
 *
 * A settlement is decided by the handler and carried out by the receiver, so that deciding can be tested without a
 * broker and "settled twice" cannot be written down.
 *
 * @module
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import type { AmqpValue } from "./AmqpValue.ts"

/**
 * Application properties that a settlement adds to the message or overwrites on it, with their AMQP types. What may be none
 * of a message that is sent is refused with MessageEncodeError: lists, maps and arrays, more than 32 KB in one, more than
 * 64 KB in all, which reason and description of a dead letter count to. Keys are ASCII here. A message whose own properties
 * leave no room for them is dead-lettered by the broker (`HeaderSizeExceeded`).
 *
 * @category models
 * @since 0.1.0
 */
export type Properties = Readonly<Record<string, AmqpValue>>

/**
 * The message is done; the broker removes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Complete {
  readonly _tag: "Complete"
}

/**
 * The message goes back at once, to any receiver; its delivery count grows by one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Abandon {
  readonly _tag: "Abandon"
  readonly properties?: Properties | undefined
}

/**
 * The message is set aside: only its sequence number finds it again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Defer {
  readonly _tag: "Defer"
  readonly properties?: Properties | undefined
}

/**
 * The message moves to the dead-letter sub-queue of its entity.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetter {
  readonly _tag: "DeadLetter"
  /** Why, as a word that a program can branch on; cut to 4096 characters. */
  readonly reason?: string | undefined
  /** Why, as a sentence for a person; cut to 4096 characters. */
  readonly description?: string | undefined
  readonly properties?: Properties | undefined
}

/**
 * A copy of the message is scheduled for later and the message is completed.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryAfter {
  readonly _tag: "RetryAfter"
  readonly delay: Duration.Duration | Schedule.Schedule<unknown>
}

/**
 * What becomes of a message.
 *
 * @category models
 * @since 0.1.0
 */
export type Settlement = Complete | Abandon | Defer | DeadLetter | RetryAfter

/**
 * The message is done: the broker removes it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Settlement } from "effect-service-bus"
 *
 * // What a handler that gives nothing says, too.
 * export const handler = (order: string) => Effect.as(Effect.log(order), Settlement.complete)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const complete: Settlement = Object.freeze({ _tag: "Complete" })

/**
 * Gives the message back; when its delivery count reaches the entity's maximum the broker dead-letters it instead.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Settlement } from "effect-service-bus"
 *
 * export const handler = (order: string) =>
 *   Effect.succeed(order === "" ? Settlement.abandon({ properties: { why: "empty" } }) : Settlement.complete)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const abandon = (options?: { readonly properties?: Properties | undefined }): Settlement => ({
  _tag: "Abandon",
  properties: options?.properties
})

/**
 * Sets the message aside. Keep its sequence number: it is the only way back to it. The service counts it as a delivery, and
 * dead-letters the message where it was the last one of its entity's `maxDeliveryCount`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type ServiceBusMessage, Settlement } from "effect-service-bus"
 *
 * export const handler = (_order: string, message: ServiceBusMessage.LockedMessage<string>) =>
 *   Effect.as(Effect.log(`later: ${message.sequenceNumber}`), Settlement.defer())
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const defer = (options?: { readonly properties?: Properties | undefined }): Settlement => ({
  _tag: "Defer",
  properties: options?.properties
})

/**
 * Moves the message to the dead-letter sub-queue. `reason` and `description` arrive there as `deadLetterReason` and
 * `deadLetterErrorDescription`. The service takes 4096 characters of each: what is longer, the trace of a stack say, is cut
 * to that, between characters, and a warning in the log says so once for each settlement.
 *
 * In a processor a dead letter that cannot be written is dead-lettered with what can be: reason and description stay, and
 * properties that no message may have are left out with a warning.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Settlement } from "effect-service-bus"
 *
 * export const handler = (order: { readonly total: number }) =>
 *   Effect.succeed(
 *     order.total < 0
 *       ? Settlement.deadLetter({ reason: "NegativeTotal", description: `The total is ${order.total}` })
 *       : Settlement.complete
 *   )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const deadLetter = (options?: {
  readonly reason?: string | undefined
  readonly description?: string | undefined
  readonly properties?: Properties | undefined
}): Settlement => ({
  _tag: "DeadLetter",
  reason: options?.reason,
  description: options?.description,
  properties: options?.properties
})

/**
 * Tries the message again after a delay, without holding its lock for so long: a copy of it is sent to its queue, to be
 * enqueued then, and the original is completed once the broker has accepted the copy. Interrupted before that, or where
 * sending fails, the original is not settled; interrupted after it, its completion has a second more, and the original comes
 * again where that is too short.
 *
 * `delay` is a finite duration of 0 or more, or a schedule, whose n-th step gives the delay before the n-th retry: it is
 * asked each time from its beginning, with the message's first enqueueing as the time of its first step and the number of
 * retries so far as its input, so it must not keep anything. When the schedule is done the message goes to the dead-letter
 * queue with the reason `RetriesExhausted`. After 10,000 steps it is taken to go on as before.
 *
 * The copy has the body, the session, the partition key and all properties of the original, with their AMQP types; its time
 * to live and its delivery count begin anew. Its application properties `retry-attempt`, `retry-first-enqueued` and
 * `retry-original-message-id` say what it is, as `message.retryAttempt` and `message.firstEnqueuedTime` do. Its message id
 * is made of the original's id and sequence number and the attempt: if the program dies between the two steps, the message
 * comes again and its second copy has the same id, which an entity with duplicate detection drops. On others it is then
 * there twice; it is never lost.
 *
 * Queues only: what is sent to a topic goes to all of its subscriptions, and nothing can be sent to a sub-queue. There it
 * fails with NotSupportedError, and with InvalidOptionError where the delay is infinite or none, before anything is on the
 * wire. The credential needs the Send right.
 *
 * @example
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Settlement } from "effect-service-bus"
 *
 * // A minute, two, four and so on; after ten times the message is a dead letter.
 * const backoff = Schedule.exponential("1 minute").pipe(Schedule.upTo({ times: 10 }))
 *
 * export const handler = (url: string) =>
 *   Effect.tryPromise(() => fetch(url)).pipe(
 *     Effect.as(Settlement.complete),
 *     Effect.catch(() => Effect.succeed(Settlement.retryAfter(backoff)))
 *   )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const retryAfter = (delay: Duration.Input | Schedule.Schedule<unknown>): Settlement => ({
  _tag: "RetryAfter",
  delay: Schedule.isSchedule(delay) ? delay : durationOf(delay)
})

const units = new Set(["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"])

/**
 * What is no duration becomes an infinite one, so that the settlement is refused. `Duration` takes `NaN` and `{}` for zero.
 */
const durationOf = (input: Duration.Input): Duration.Duration => {
  try {
    const keys = typeof input === "object" && !Duration.isDuration(input) && !Array.isArray(input)
      ? Object.keys(input ?? {})
      : undefined
    const isNone = keys !== undefined && (keys.length === 0 || !keys.every((key) => units.has(key)))
    return Number.isNaN(input) || isNone
      ? Duration.infinity
      : Option.getOrElse(Duration.fromInput(input), () => Duration.infinity)
  } catch {
    return Duration.infinity
  }
}

const tags = new Set(["Complete", "Abandon", "Defer", "DeadLetter", "RetryAfter"])

/**
 * Whether a value is a settlement.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSettlement = (u: unknown): u is Settlement => {
  try {
    return Predicate.hasProperty(u, "_tag") && Predicate.isString(u._tag) && tags.has(u._tag)
  } catch {
    // A proxy, or a getter.
    return false
  }
}
