/**
 * The last step of an operation that takes something for its caller: what was taken is handed to the caller, or is put back
 * where the caller's fiber is interrupted before it has it. A fiber yields after so many operations, and one that is
 * interrupted there drops what it was about to return.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

/** More operations than a fiber needs from the end of this to its caller's own next one, through what only passes on. */
const few = 64

const isNearYield = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.currentOpCount + few >= fiber.cache.maxOpsBeforeYield

/**
 * Gives what was taken to the caller, or calls `giveBack` where taking fails, or the fiber is interrupted before. A fiber
 * that is about to yield does so first, while what it took can still go back; from then on none is due up to the caller. An
 * operation must end with it.
 */
export const run = <A, E, R>(
  take: Effect.Effect<A, E, R>,
  giveBack: (isInterrupted: boolean) => Effect.Effect<void> | void,
  onGiven?: (value: A) => void
): Effect.Effect<A, E, R> =>
  Effect.onExitPrimitive(
    Effect.matchCauseEffect(take, {
      onFailure: (cause) => beforeYield(Effect.failCause(cause)),
      onSuccess: (value) => beforeYield(Effect.succeed(value))
    }),
    (exit) => {
      if (Exit.isFailure(exit)) return giveBack(Cause.hasInterrupts(exit.cause)) || undefined
      onGiven?.(exit.value)
      return undefined
    }
  )

const beforeYield = <A, E>(last: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) =>
    isNearYield(fiber) ? Effect.andThen(Effect.yieldNow, last) : last
  )
