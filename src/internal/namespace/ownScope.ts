/**
 * A scope of its own for what may fail: a failure or an interruption leaves nothing in the caller's scope, which may be that
 * of a program that tries again and again.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/** Runs an effect in a scope below the caller's, which is closed at once where it comes to nothing. */
export const ownScope = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  isKept: (value: A) => boolean = () => true
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.Scope, (scope) => {
      const own = Scope.forkUnsafe(scope)
      return Effect.onExit(
        restore(Scope.provide(effect, own)),
        (exit) => Exit.isSuccess(exit) && isKept(exit.value) ? Effect.void : Scope.close(own, exit)
      )
    })
  )
