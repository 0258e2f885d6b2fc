/**
 * The last step of what takes something for its caller. A fiber yields after so many operations, and one that is interrupted
 * there drops what it was about to return.
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
 * Gives what was taken to the caller, or has `giveBack` have it again where that fails: where the fiber is interrupted before.
 * A fiber that is about to yield does so first, while what it took can still go back; from then on none is due up to the
 * caller. To be what an operation ends with.
 */
export const handingOver = <A, E, R>(
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
