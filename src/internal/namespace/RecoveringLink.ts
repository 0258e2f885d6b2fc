/**
 * A link that is opened when it is made, opened again by the next use after it was lost, and closed with its scope. It owns the
 * scope of the present link: a lost link is closed before a new one is opened, so that no use meets it again.
 *
 * Once its own scope closes, a link that is being opened is given up, and every use fails.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { ServiceBusConnectionError } from "../../ServiceBusError.ts"

/** A link that lived for as long, in milliseconds, is attached again at once: the service ends idle ones. */
export const stableAfter = 10_000

export interface RecoveringLink<L, E> {
  /** The link that was opened last, dead or alive. */
  readonly current: () => L
  /** The link, opened again where it is lost. Concurrent calls open it once. */
  readonly get: Effect.Effect<L, E | ServiceBusConnectionError>
  /** Fails once its scope is closed: for what does not need the link itself. */
  readonly isOpen: Effect.Effect<void, ServiceBusConnectionError>
}

interface Options<L, E> {
  /** Opens the link; `lost` is the one before it. */
  readonly open: (lost: L | undefined) => Effect.Effect<L, E, Scope.Scope>
  readonly isLost: (link: L) => boolean
}

/** A link that cannot be opened leaves nothing in the scope. */
export const make = <L, E>(
  options: Options<L, E>
): Effect.Effect<RecoveringLink<L, E>, E | ServiceBusConnectionError, Scope.Scope> =>
  closedOnFailure(recovering(options))

const recovering = Effect.fnUntraced(
  function*<L, E>(
    options: Options<L, E>
  ): Effect.fn.Return<RecoveringLink<L, E>, E | ServiceBusConnectionError, Scope.Scope> {
    const mutex = Semaphore.makeUnsafe(1)
    const closing = Deferred.makeUnsafe<never, ServiceBusConnectionError>()
    let isClosed = false
    let currentScope: Scope.Closeable | undefined
    let current: L | undefined

    const closeCurrent = Effect.suspend(() => {
      const scope = currentScope
      currentScope = undefined
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosed = true
        Deferred.doneUnsafe(closing, Effect.fail(closed()))
        // After a link that is being opened.
        return mutex.withPermits(1)(closeCurrent)
      })
    )

    const open = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        if (isClosed) return yield* closed()
        if (current !== undefined && !options.isLost(current)) return current
        yield* closeCurrent
        const next = Scope.makeUnsafe()
        const link = yield* restore(
          Effect.raceFirst(Scope.provide(options.open(current), next), Deferred.await(closing))
        ).pipe(
          Effect.onError(() => Scope.close(next, Exit.void))
        )
        currentScope = next
        current = link
        return link
      })
    )

    const get: Effect.Effect<L, E | ServiceBusConnectionError> = Effect.suspend(() =>
      isClosed
        ? Effect.fail(closed())
        : current !== undefined && !options.isLost(current)
        ? Effect.succeed(current)
        : mutex.withPermits(1)(open)
    )
    yield* get
    return {
      current: () => current!,
      get,
      isOpen: Effect.suspend(() => isClosed ? Effect.fail(closed()) : Effect.void)
    }
  }
)

/**
 * Runs an effect in a scope below the caller's, which is closed at once where it fails, is interrupted, or gives a value that
 * is not kept: nothing stays in the caller's scope, which may be that of a program that tries again and again.
 */
export const closedOnFailure = <A, E, R>(
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

const closed = (): ServiceBusConnectionError =>
  new ServiceBusConnectionError({ description: "the scope that it was made in is closed", isClosed: true })
