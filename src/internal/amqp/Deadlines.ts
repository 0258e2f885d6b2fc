/**
 * Time-outs for many operations with one timer: operations of one kind have the same time-out, so the oldest is the next to
 * expire. One fiber of the scope sleeps until then; none runs while nothing is pending, and no operation is kept that is over.
 *
 * Time is the monotonic clock's: a wall clock that is set changes no time-out.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { monotonic } from "../monotonicClock.ts"

/** An operation that ends by itself, or expires when its time is over. */
export interface Expiring {
  /** When its time is over, in milliseconds of the monotonic clock; set by `add`. */
  expiresAt: number
  readonly expire: () => void
}

export interface Deadlines {
  readonly add: (operation: Expiring) => void
  /** Removes an operation that has ended by itself. */
  readonly remove: (operation: Expiring) => void
}

/** The fiber lives in the scope. `timeout` is in milliseconds. */
export const make = Effect.fnUntraced(function*(timeout: number) {
  const clock = yield* Clock.Clock
  const latch = Latch.makeUnsafe(false)
  // In the order in which they expire.
  const pending = new Set<Expiring>()

  /** Expires what is due; gives how long the next one has, or undefined where there is none. */
  const expire = (): number | undefined => {
    const now = monotonic(clock)
    for (const operation of pending) {
      if (operation.expiresAt > now) return operation.expiresAt - now
      pending.delete(operation)
      operation.expire()
    }
    return undefined
  }

  // An iterator that lived through the sleep would keep everything that is removed meanwhile.
  const sweep = Effect.andThen(
    latch.await,
    Effect.suspend(() => {
      const left = expire()
      if (left !== undefined) return Effect.sleep(left)
      latch.closeUnsafe()
      return Effect.void
    })
  )
  yield* Effect.forkScoped(Effect.forever(sweep), { startImmediately: true })

  return {
    add: (operation) => {
      operation.expiresAt = monotonic(clock) + timeout
      pending.add(operation)
      if (pending.size === 1) latch.openUnsafe()
    },
    remove: (operation) => {
      pending.delete(operation)
    }
  } satisfies Deadlines
})
