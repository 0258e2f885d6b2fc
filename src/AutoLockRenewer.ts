/**
 * Keeps the lock of a message or session while work on it goes on: the broker is asked for more time before the lock ends, for as
 * long as the work runs or `maxDuration` allows.
 *
 * Each receiver supervises one renewing fiber for all its locks; it ends with the receiver's scope. A lock that is lost
 * interrupts the work that held it.
 *
 * @module
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { monotonic, whole } from "./internal/monotonicClock.ts"
import { checkedWait, isEffect, outOfRange, readOptions } from "./internal/options.ts"
import * as lockWheel from "./internal/receiver/LockRenewal.ts"
import { find } from "./internal/receiver/receivers.ts"
import * as receiving from "./internal/receiver/ReceiverState.ts"
import {
  AutoLockRenewFailed,
  AutoLockRenewTimeout,
  InvalidOptionError,
  type MessageAlreadySettled
} from "./ServiceBusError.ts"
import type { LockedMessage } from "./ServiceBusMessage.ts"
import type { ServiceBusReceiver } from "./ServiceBusReceiver.ts"
import type { ServiceBusSession } from "./ServiceBusSession.ts"

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
 * Runs work while the lock of its message is kept, or the lock of a session.
 *
 * Fails with AutoLockRenewFailed where renewing failed and the lock was lost before the work was done, with
 * AutoLockRenewTimeout where the lock ended after `maxDuration`, with MessageAlreadySettled where the message is settled
 * before the work starts, and with InvalidOptionError where another receiver received the message. In all cases the work
 * is interrupted or not started. The lock is kept until the work ends, not longer: settle the message inside, or at once
 * after it. A session's lock is renewed by itself as long as `maxLockRenewal` says; this goes on where that is over.
 *
 * @category combinators
 */
export const withLock: {
  (
    session: ServiceBusSession<any, any, unknown>,
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
    session: ServiceBusSession<any, any, unknown>,
    options?: Options
  ): Effect.Effect<A, E | AutoLockRenewFailed | AutoLockRenewTimeout | InvalidOptionError, R>
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
    holder: ServiceBusReceiver<unknown, unknown> | ServiceBusSession<any, any, unknown>,
    ...rest: ReadonlyArray<LockedMessage<unknown> | Options | undefined>
  ): Effect.Effect<any, any, R> =>
    Effect.suspend((): Effect.Effect<any, any, R> => {
      const found = find(holder)
      if (found === undefined) return Effect.fail(noReceiver())
      const behind = found.receiving
      const { session } = behind
      if (session !== undefined) {
        const ended = session.ended()
        if (ended !== undefined) {
          return Effect.fail(
            new AutoLockRenewFailed({ entity: holder.entity, operation: "withLock", cause: ended })
          )
        }
        return keeping(self, behind, session.lock, `the lock of session "${session.id}" ended`, rest[0] as Options)
      }
      const message = rest[0] as LockedMessage<unknown>
      const delivery = receiving.deliveryOf(behind, holder, message, "withLock")
      if (Result.isFailure(delivery)) return Effect.fail(delivery.failure)
      const lock = receiving.lockOf(behind, message, delivery.success)
      return keeping(self, behind, lock, `the lock of message ${message.sequenceNumber} ended`, rest[1] as Options)
    })
)

/** Runs work while a lock is kept. */
const keeping = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  behind: receiving.Receiving,
  lock: lockWheel.Lock,
  description: string,
  options: Options | undefined
): Effect.Effect<A, E | AutoLockRenewFailed | AutoLockRenewTimeout | InvalidOptionError, R> => {
  const entity = behind.entity.path
  const read = readOptions(entity, options)
  if (Result.isFailure(read)) return Effect.fail(read.failure)
  if (!isEffect(self)) return Effect.fail(outOfRange(entity, "self", "an Effect to run"))
  const maxDuration = checkedWait(entity, "maxDuration", read.success.maxDuration ?? "5 minutes")
  if (Result.isFailure(maxDuration)) return Effect.fail(maxDuration.failure)
  let lost: AutoLockRenewFailed | AutoLockRenewTimeout | undefined
  let fiber: Fiber.Fiber<A, E> | undefined
  const kept = lockWheel.kept(lock, monotonic(behind.clock) + maxDuration.success, (reason, cause) => {
    const fields = { entity, operation: "withLock", description, ...(cause === undefined ? {} : { cause }) }
    lost = reason === "budget" ? new AutoLockRenewTimeout(fields) : new AutoLockRenewFailed(fields)
    fiber?.interruptUnsafe()
  })
  // One fiber for the work and nothing beside it that waits for the lock: there may be many thousands.
  return Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<A, E | AutoLockRenewFailed | AutoLockRenewTimeout>((resume) => {
      behind.wheel.keep(kept)
      // A session is lost with its link, of which the wheel knows nothing.
      const off = behind.session?.onEnd((ended) => {
        if (kept.done) return
        const isBudgetOver = monotonic(behind.clock) > kept.until
        kept.onLost(isBudgetOver ? "budget" : "failed", ended._tag === "SessionLockLostError" ? ended : undefined)
      })
      const forked = fiber = Effect.runForkWith(context)(self)
      forked.addObserver((exit) => {
        behind.wheel.release(kept)
        off?.()
        // Also where the work was done in spite of it.
        resume(lost === undefined ? exit : Effect.fail(lost))
      })
      if (lost !== undefined) forked.interruptUnsafe()
      return Fiber.interrupt(forked)
    })
  )
}

/**
 * The lock of a message as this program knows it: by a monotonic clock that starts when the message is received, and by what
 * the broker said to renewals and settlements.
 *
 * @category models
 */
export type LockState = Held | Lost | Settled

/** The lock is held for so much longer, unless it is renewed. @category models */
export interface Held {
  readonly _tag: "Held"
  readonly remaining: Duration.Duration
  /** How often it was renewed. */
  readonly renewals: number
}

/** The lock is over and its message not settled: it comes again. @category models */
export interface Lost {
  readonly _tag: "Lost"
  /** `failed` where the lock was to be renewed and could not be, `expired` where nobody wished to any more. */
  readonly reason: "failed" | "expired"
  readonly renewals: number
}

/** The message is settled, or given back. @category models */
export interface Settled {
  readonly _tag: "Settled"
}

const stateOf = (
  receiver: ServiceBusReceiver<unknown, unknown>,
  message: LockedMessage<unknown>
): { readonly lock: lockWheel.Lock; readonly state: LockState } | undefined => {
  const found = find(receiver)
  const seen = found && receiving.viewOf(found.receiving, receiver, message)
  if (seen === undefined) return undefined
  const { lock, view } = seen
  return {
    lock,
    state: view._tag === "Held"
      ? { _tag: "Held", remaining: Duration.millis(view.remaining), renewals: view.renewals }
      : view
  }
}

const foreign = (receiver: ServiceBusReceiver<unknown, unknown>): InvalidOptionError => {
  const found = find(receiver)
  return found === undefined
    ? noReceiver()
    : outOfRange(found.receiving.entity.path, "message", "a message that this receiver received")
}

const noReceiver = (): InvalidOptionError =>
  new InvalidOptionError({ option: "receiver", expected: "a receiver or a session that this library made" })

/**
 * What is known of the lock of a message, now. Asks nobody.
 *
 * Fails with InvalidOptionError where another receiver received the message.
 *
 * @category observing
 */
export const lockState = (
  receiver: ServiceBusReceiver<unknown, unknown>,
  message: LockedMessage<unknown>
): Effect.Effect<LockState, InvalidOptionError> =>
  Effect.suspend(() => {
    const seen = stateOf(receiver, message)
    return seen === undefined ? Effect.fail(foreign(receiver)) : Effect.succeed(seen.state)
  })

/**
 * The lock of a message as it changes: its state now, then each renewal, and the end of it, with which the stream ends. Where
 * renewals come faster than the stream is pulled it gives the latest state. Locks that nobody watches cost nothing.
 *
 * Fails with InvalidOptionError where another receiver received the message.
 *
 * @category observing
 */
export const watchLock = (
  receiver: ServiceBusReceiver<unknown, unknown>,
  message: LockedMessage<unknown>
): Stream.Stream<LockState, InvalidOptionError> =>
  Stream.fromPull(Effect.sync(() => {
    const wheel = find(receiver)?.receiving.wheel
    let last: LockState | undefined
    const next: Pull.Pull<readonly [LockState], InvalidOptionError> = Effect.suspend(() => {
      if (last !== undefined && last._tag !== "Held") return Cause.done()
      const seen = stateOf(receiver, message)
      if (seen === undefined) return Effect.fail(foreign(receiver))
      const { lock, state } = seen
      if (last === undefined || state._tag !== "Held" || state.renewals > last.renewals) {
        last = state
        return Effect.succeed([state] as const)
      }
      const change = Effect.callback<void>((resume) => Effect.sync(wheel!.watch(lock, () => resume(Effect.void))))
      // Nobody says that a lock which is not renewed has ended.
      return Effect.flatMap(Effect.timeoutOption(change, whole(Duration.toMillis(state.remaining))), () => next)
    })
    return next
  }))

/**
 * How many renewals of a receiver's locks the broker has confirmed, those by `renewLock` aside.
 *
 * @category observing
 */
export const renewals = (receiver: ServiceBusReceiver<unknown, unknown>): Effect.Effect<number> =>
  Effect.sync(() => find(receiver)?.receiving.wheel.renewals() ?? 0)
