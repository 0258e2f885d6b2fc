/**
 * Work that runs while the lock of its message or session is kept, and is interrupted where the lock is lost; and how such
 * a lock stands and changes.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import {
  AutoLockRenewFailed,
  AutoLockRenewTimeout,
  InvalidOptionError,
  type MessageAlreadySettled
} from "../../ServiceBusError.ts"
import type { Subject } from "../../ServiceBusEvent.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import { monotonic, wholeMillis } from "../monotonicClock.ts"
import { checkedWait, isEffect, outOfRange, readOptions } from "../options.ts"
import { subjectOf } from "../telemetry/EventReporter.ts"
import * as LockRenewal from "./LockRenewal.ts"
import * as MessageLock from "./MessageLock.ts"
import * as ReceiverState from "./ReceiverState.ts"

interface Options {
  readonly maxDuration?: Duration.Input | undefined
}

type LostError = AutoLockRenewFailed | AutoLockRenewTimeout

/** Runs work while a lock is kept: that of a session, or that of a message of a receiver. */
export function withLock<A, E, R>(
  self: Effect.Effect<A, E, R>,
  session: object,
  options?: Options
): Effect.Effect<A, E | LostError | InvalidOptionError, R>
export function withLock<A, E, R>(
  self: Effect.Effect<A, E, R>,
  receiver: object,
  message: LockedMessage<unknown>,
  options?: Options
): Effect.Effect<A, E | LostError | MessageAlreadySettled | InvalidOptionError, R>
export function withLock<A, E, R>(
  self: Effect.Effect<A, E, R>,
  holder: object,
  ...rest: ReadonlyArray<LockedMessage<unknown> | Options | undefined>
): Effect.Effect<A, E | LostError | MessageAlreadySettled | InvalidOptionError, R> {
  return Effect.suspend((): Effect.Effect<A, E | LostError | MessageAlreadySettled | InvalidOptionError, R> => {
    const state = ReceiverState.find(holder)
    if (state === undefined) return Effect.fail(noReceiver())
    const { session } = state
    if (session !== undefined) {
      const ended = session.ended()
      if (ended !== undefined) {
        return Effect.fail(
          new AutoLockRenewFailed({ entity: state.entity.path, operation: "withLock", cause: ended })
        )
      }
      const about = { sessionId: session.id }
      return run(self, state, session.lock, about, `the lock of session "${session.id}" ended`, rest[0] as Options)
    }
    const message = rest[0] as LockedMessage<unknown>
    const delivery = ReceiverState.deliveryOf(state, message, "withLock")
    if (Result.isFailure(delivery)) return Effect.fail(delivery.failure)
    const lock = MessageLock.of(state, message, delivery.success)
    return run(self, state, lock, message, `the lock of message ${message.sequenceNumber} ended`, rest[1] as Options)
  })
}

const run = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  state: ReceiverState.ReceiverState,
  lock: LockRenewal.Lock,
  about: Subject | LockedMessage<unknown>,
  description: string,
  options: Options | undefined
): Effect.Effect<A, E | LostError | InvalidOptionError, R> => {
  const entity = state.entity.path
  const read = readOptions(entity, options)
  if (Result.isFailure(read)) return Effect.fail(read.failure)
  if (!isEffect(self)) return Effect.fail(outOfRange(entity, "self", "an Effect to run"))
  const maxDuration = checkedWait(entity, "maxDuration", read.success.maxDuration ?? "5 minutes")
  if (Result.isFailure(maxDuration)) return Effect.fail(maxDuration.failure)
  let lost: LostError | undefined
  let fiber: Fiber.Fiber<A, E> | undefined
  const kept = LockRenewal.keptLock(lock, monotonic(state.clock) + maxDuration.success, (reason, cause) => {
    if (reason === "failing") {
      return state.reporter.report({
        _tag: "ProcessorError",
        message: "A lock could not be renewed; it is tried again as long as the lock lasts",
        source: "renew",
        ...("lockToken" in about ? subjectOf(about) : about),
        cause: Cause.fail(cause)
      })
    }
    const fields = { entity, operation: "withLock", description, ...(cause === undefined ? {} : { cause }) }
    lost = reason === "budget" ? new AutoLockRenewTimeout(fields) : new AutoLockRenewFailed(fields)
    fiber?.interruptUnsafe()
  })
  // One fiber for the work and nothing beside it that waits for the lock: there may be many thousands.
  return Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<A, E | LostError>((resume) => {
      state.renewal.keep(kept)
      // A session is lost with its link, of which its renewal knows nothing.
      const off = state.session?.onEnd((ended) => {
        if (kept.done) return
        const isBudgetOver = monotonic(state.clock) > kept.until
        kept.onTrouble(isBudgetOver ? "budget" : "failed", ended._tag === "SessionLockLostError" ? ended : undefined)
      })
      const forked = fiber = Effect.runForkWith(context)(self)
      forked.addObserver((exit) => {
        state.renewal.release(kept)
        off?.()
        // Also where the work was done in spite of it.
        resume(lost === undefined ? exit : Effect.fail(lost))
      })
      if (lost !== undefined) forked.interruptUnsafe()
      return Fiber.interrupt(forked)
    })
  )
}

/** The lock of a message that a receiver received, and how it stands now. */
export const viewOf = (
  receiver: object,
  message: LockedMessage<unknown>
): Result.Result<{ readonly lock: LockRenewal.Lock; readonly view: MessageLock.LockState }, InvalidOptionError> => {
  const state = ReceiverState.find(receiver)
  if (state === undefined) return Result.fail(noReceiver())
  const found = MessageLock.viewOf(state, message)
  if (found === undefined) {
    return Result.fail(outOfRange(state.entity.path, "message", "a message that this receiver received"))
  }
  return Result.succeed(found)
}

const noReceiver = (): InvalidOptionError =>
  new InvalidOptionError({ option: "receiver", expected: "a receiver or a session that this library made" })

/** The lock of a message as it changes, until its end. */
export const watch = (
  receiver: object,
  message: LockedMessage<unknown>
): Stream.Stream<MessageLock.LockState, InvalidOptionError> =>
  Stream.fromPull(Effect.sync(() => {
    const renewal = ReceiverState.find(receiver)?.renewal
    let last: MessageLock.LockState | undefined
    const next: Pull.Pull<readonly [MessageLock.LockState], InvalidOptionError> = Effect.suspend(() => {
      if (last !== undefined && last._tag !== "Held") return Cause.done()
      const found = viewOf(receiver, message)
      if (Result.isFailure(found)) return Effect.fail(found.failure)
      const { lock, view } = found.success
      if (last === undefined || view._tag !== "Held" || view.renewals > last.renewals) {
        last = view
        return Effect.succeed([view] as const)
      }
      const change = Effect.callback<void>((resume) => {
        const off = renewal!.watch(lock, () => resume(Effect.void))
        // A fiber may yield before it comes here, and what changed meanwhile told no watcher.
        if (lock.renewals > view.renewals || lock.lost !== undefined || !lock.held()) resume(Effect.void)
        return Effect.sync(off)
      })
      // The end of a lock that is not renewed calls no watcher.
      return Effect.flatMap(Effect.timeoutOption(change, wholeMillis(Duration.toMillis(view.remaining))), () => next)
    })
    return next
  }))
