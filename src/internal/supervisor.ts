/**
 * Keeps one link of a sender or receiver: opened when it is made, opened again by the next use after it was lost, closed
 * with its scope. A lost link is given up before anything new is opened, so that nobody lands on it again.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"

export interface Supervised<L, E> {
  /** The link of now, dead or alive. */
  readonly current: () => L
  /** How often the link was opened. */
  readonly generation: () => number
  /** The link, opened again where it is lost. Concurrent calls open it once. */
  readonly get: Effect.Effect<L, E>
}

export const make = Effect.fnUntraced(function*<L, E>(options: {
  /** Opens the link; `lost` is the one before it. */
  readonly open: (lost: L | undefined) => Effect.Effect<L, E, Scope.Scope>
  readonly isLost: (link: L) => boolean
}): Effect.fn.Return<Supervised<L, E>, E, Scope.Scope> {
  const scope = yield* Effect.scope
  const turn = Semaphore.makeUnsafe(1)
  let held: Scope.Closeable | undefined
  let current: L | undefined
  let generation = 0

  const open: Effect.Effect<L, E> = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      if (current !== undefined && !options.isLost(current)) return current
      if (held !== undefined) {
        yield* Scope.close(held, Exit.void)
        held = undefined
      }
      const next = yield* Scope.fork(scope)
      const link = yield* restore(options.open(current)).pipe(
        Scope.provide(next),
        Effect.onError(() => Scope.close(next, Exit.void))
      )
      held = next
      current = link
      generation++
      return link
    })
  )

  const get: Effect.Effect<L, E> = Effect.suspend(() =>
    current !== undefined && !options.isLost(current) ? Effect.succeed(current) : turn.withPermits(1)(open)
  )
  yield* get
  return { current: () => current!, generation: () => generation, get }
})
