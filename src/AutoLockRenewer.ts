/**
 * Keeps the lock of a message or session while work on it goes on: the broker is asked for more time before the lock ends,
 * for as long as the work runs or `maxDuration` allows.
 *
 * Each receiver supervises one renewing fiber for all its locks; it ends with the receiver's scope. A lock that is lost
 * interrupts the work that held it.
 *
 * @module
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Stream from "effect/Stream"
import * as LockedWork from "./internal/receiver/LockedWork.ts"
import * as ReceiverState from "./internal/receiver/ReceiverState.ts"
import type {
  AutoLockRenewFailed,
  AutoLockRenewTimeout,
  InvalidOptionError,
  MessageAlreadySettled
} from "./ServiceBusError.ts"
import type { LockedMessage } from "./ServiceBusMessage.ts"
import type { ServiceBusReceiver } from "./ServiceBusReceiver.ts"
import type { ServiceBusSession } from "./ServiceBusSession.ts"

/**
 * How long a lock is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * For how long the lock is renewed; 5 minutes by default, `Duration.infinity` for as long as the work takes. When it is
   * over the work goes on, and is interrupted only when the lock then ends.
   */
  readonly maxDuration?: Duration.Input | undefined
}

/** A session whose state is of any type. @inline */
type AnySession = Omit<ServiceBusSession<unknown, never, unknown>, "state" | "setState">

/**
 * Runs work while the lock of its message is kept, or the lock of a session.
 *
 * Fails with AutoLockRenewFailed where renewing failed and the lock was lost before the work was done, with
 * AutoLockRenewTimeout where the lock ended after `maxDuration`, with MessageAlreadySettled where the message is settled
 * before the work starts, and with InvalidOptionError where another receiver received the message or an option is out of
 * range. With the first two the work is interrupted, or not started; it may also have completed when the lock was found to
 * be lost, and its result is then dropped. With the other two it is not started. The lock is kept until the work ends, not
 * longer: settle the message inside, or at once after it. A session's lock is renewed by itself as long as `maxLockRenewal`
 * says; this goes on where that is over.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { AutoLockRenewer, type ServiceBusReceiver } from "effect-service-bus"
 *
 * export const slow = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   Effect.gen(function*() {
 *     const [message] = yield* receiver.receive()
 *     if (message === undefined) return
 *     yield* Effect.sleep("3 minutes").pipe(
 *       AutoLockRenewer.withLock(receiver, message, { maxDuration: "10 minutes" })
 *     )
 *     yield* receiver.complete(message)
 *   })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLock: {
  (
    session: AnySession,
    options?: Options
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AutoLockRenewFailed | AutoLockRenewTimeout | InvalidOptionError, R>
  (
    receiver: ServiceBusReceiver<unknown, unknown>,
    message: LockedMessage<unknown>,
    options?: Options
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<
    A,
    E | AutoLockRenewFailed | AutoLockRenewTimeout | MessageAlreadySettled | InvalidOptionError,
    R
  >
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    session: AnySession,
    options?: Options
  ): Effect.Effect<A, E | AutoLockRenewFailed | AutoLockRenewTimeout | InvalidOptionError, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    receiver: ServiceBusReceiver<unknown, unknown>,
    message: LockedMessage<unknown>,
    options?: Options
  ): Effect.Effect<A, E | AutoLockRenewFailed | AutoLockRenewTimeout | MessageAlreadySettled | InvalidOptionError, R>
} = dual((args) => Effect.isEffect(args[0]), LockedWork.withLock)

/**
 * The lock of a message as this program knows it: by a monotonic clock that starts when the message is received, and by what
 * the broker said to renewals and settlements.
 *
 * @category models
 * @since 0.1.0
 */
export type LockState = Held | Lost | Settled

/**
 * The lock is held for so much longer, unless it is renewed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Held {
  readonly _tag: "Held"
  readonly remaining: Duration.Duration
  /** How often it was renewed. */
  readonly renewals: number
}

/**
 * The lock is over and its message not settled: it comes again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lost {
  readonly _tag: "Lost"
  /** `failed` where the lock was to be renewed and could not be, `expired` where it was not to be renewed any more. */
  readonly reason: "failed" | "expired"
  readonly renewals: number
}

/**
 * The message is settled, or given back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settled {
  readonly _tag: "Settled"
}

/**
 * What is known of the lock of a message, now, without a request.
 *
 * Fails with InvalidOptionError where another receiver received the message.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { AutoLockRenewer, type ServiceBusReceiver } from "effect-service-bus"
 *
 * export const states = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   Effect.flatMap(receiver.receive(), Effect.forEach((message) => AutoLockRenewer.lockState(receiver, message)))
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const lockState = (
  receiver: ServiceBusReceiver<unknown, unknown>,
  message: LockedMessage<unknown>
): Effect.Effect<LockState, InvalidOptionError> =>
  Effect.suspend(() => Effect.map(Effect.fromResult(LockedWork.viewOf(receiver, message)), ({ view }) => view))

/**
 * The lock of a message as it changes: its state now, then each renewal, and the end of it, with which the stream ends.
 * Where renewals come faster than the stream is pulled it gives the latest state. Locks that are not watched cost nothing.
 *
 * Fails with InvalidOptionError where another receiver received the message.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { AutoLockRenewer, type ServiceBusMessage, type ServiceBusReceiver } from "effect-service-bus"
 *
 * export const told = (
 *   receiver: ServiceBusReceiver.ServiceBusReceiver<string>,
 *   message: ServiceBusMessage.LockedMessage<string>
 * ) => AutoLockRenewer.watchLock(receiver, message).pipe(Stream.runForEach((state) => Effect.log(state._tag)))
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const watchLock = (
  receiver: ServiceBusReceiver<unknown, unknown>,
  message: LockedMessage<unknown>
): Stream.Stream<LockState, InvalidOptionError> => LockedWork.watch(receiver, message)

/**
 * How many renewals of a receiver's locks the broker has confirmed, those by `renewLock` aside.
 *
 * @example
 * ```ts
 * import { AutoLockRenewer, type ServiceBusReceiver } from "effect-service-bus"
 *
 * export const count = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) => AutoLockRenewer.renewals(receiver)
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const renewals = (receiver: ServiceBusReceiver<unknown, unknown>): Effect.Effect<number> =>
  Effect.sync(() => ReceiverState.find(receiver)?.renewal.renewals() ?? 0)
