/**
 * Keeps the lock of a message while work on it goes on: the broker is asked for more time before the lock ends, for as
 * long as the work runs or `maxDuration` allows.
 *
 * Each receiver supervises one renewing fiber for all its locks; it ends with the receiver's scope. A lock that is lost
 * interrupts the work that held it.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import { monotonic } from "./internal/amqp/monotonic.ts"
import { toMillis } from "./internal/duration.ts"
import type * as lockWheel from "./internal/lockWheel.ts"
import { internalsOf } from "./internal/reading.ts"
import * as receiving from "./internal/receiving.ts"
import {
  AutoLockRenewFailed,
  AutoLockRenewTimeout,
  InvalidOptionError,
  type MessageAlreadySettled
} from "./ServiceBusError.ts"
import type { LockedMessage } from "./ServiceBusMessage.ts"
import type { ServiceBusReceiver } from "./ServiceBusReceiver.ts"

/**
 * How long a lock is kept.
 *
 * @category models
 */
export interface Options {
  /**
   * For how long the lock is renewed; 5 minutes by default, `Duration.infinity` for as long as the work takes. When it is
   * over the work goes on, and is interrupted only when the lock then ends.
   */
  readonly maxDuration?: Duration.Input | undefined
}

/**
 * Runs work while the lock of its message is kept.
 *
 * Fails with AutoLockRenewFailed where renewing failed and the lock was lost before the work was done, with
 * AutoLockRenewTimeout where the lock ended after `maxDuration`, with MessageAlreadySettled where the message is settled
 * before the work starts, and with InvalidOptionError where another receiver received the message. In all cases the work
 * is interrupted or not started. The lock is kept until the work ends, not longer: settle the message inside, or at once
 * after it.
 *
 * @category combinators
 */
export const withLock: {
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
    receiver: ServiceBusReceiver<unknown, unknown>,
    message: LockedMessage<unknown>,
    options?: Options
  ): Effect.Effect<A, E | AutoLockRenewFailed | AutoLockRenewTimeout | MessageAlreadySettled | InvalidOptionError, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    receiver: ServiceBusReceiver<unknown, unknown>,
    message: LockedMessage<unknown>,
    options?: Options
  ): Effect.Effect<
    A,
    E | AutoLockRenewFailed | AutoLockRenewTimeout | MessageAlreadySettled | InvalidOptionError,
    R
  > =>
    Effect.suspend((): Effect.Effect<any, any, R> => {
      const behind = internalsOf(receiver).receiving
      const delivery = receiving.deliveryOf(behind, receiver, message, "withLock")
      if (Result.isFailure(delivery)) return Effect.fail(delivery.failure)
      const maxDuration = toMillis(options?.maxDuration ?? "5 minutes")
      if (!(maxDuration >= 0)) {
        return Effect.fail(
          new InvalidOptionError({
            entity: receiver.entity,
            option: "maxDuration",
            expected: "a duration of 0 or more"
          })
        )
      }
      const lost = Deferred.makeUnsafe<never, AutoLockRenewFailed | AutoLockRenewTimeout>()
      const now = monotonic(behind.clock)
      const kept: lockWheel.Kept = {
        lock: receiving.lockOf(behind, message, delivery.success),
        until: now + maxDuration,
        done: false,
        bucket: 0,
        failure: undefined,
        onLost: (reason, cause) => {
          const fields = {
            entity: receiver.entity,
            operation: "withLock",
            description: `the lock of message ${message.sequenceNumber} ended`,
            ...(cause === undefined ? {} : { cause })
          }
          Deferred.doneUnsafe(
            lost,
            Effect.fail(reason === "budget" ? new AutoLockRenewTimeout(fields) : new AutoLockRenewFailed(fields))
          )
        }
      }
      behind.wheel.keep(kept)
      return Effect.raceFirst(self, Deferred.await(lost)).pipe(
        Effect.ensuring(Effect.sync(() => {
          behind.wheel.release(kept)
        }))
      )
    })
)
