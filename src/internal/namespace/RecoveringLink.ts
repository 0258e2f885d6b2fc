/**
 * Keeps one link of a sender or receiver: opened when it is made, opened again by the next use after it was lost, closed
 * with its scope. A lost link is given up before anything new is opened, so that nobody lands on it again.
 *
 * Once its scope closes it gives nothing more: what is being opened is given up, and every use fails.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { ServiceBusConnectionError } from "../../ServiceBusError.ts"
import { ownScope } from "./ownScope.ts"

export interface Supervised<L, E> {
  /** The link of now, dead or alive. */
  readonly current: () => L
  /** How often the link was opened. */
  readonly generation: () => number
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
): Effect.Effect<Supervised<L, E>, E | ServiceBusConnectionError, Scope.Scope> => ownScope(supervise(options))

const supervise = Effect.fnUntraced(
  function*<L, E>(
    options: Options<L, E>
  ): Effect.fn.Return<Supervised<L, E>, E | ServiceBusConnectionError, Scope.Scope> {
    const turn = Semaphore.makeUnsafe(1)
    const closing = Deferred.makeUnsafe<never, ServiceBusConnectionError>()
    let isClosed = false
    let held: Scope.Closeable | undefined
    let current: L | undefined
    let generation = 0

    const giveUp = Effect.suspend(() => {
      const scope = held
      held = undefined
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosed = true
        Deferred.doneUnsafe(closing, Effect.fail(closed()))
        // After whoever is opening it.
        return turn.withPermits(1)(giveUp)
      })
    )

    const open = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        if (isClosed) return yield* closed()
        if (current !== undefined && !options.isLost(current)) return current
        yield* giveUp
        const next = Scope.makeUnsafe()
        const link = yield* restore(
          Effect.raceFirst(Scope.provide(options.open(current), next), Deferred.await(closing))
        ).pipe(
          Effect.onError(() => Scope.close(next, Exit.void))
        )
        held = next
        current = link
        generation++
        return link
      })
    )

    const get: Effect.Effect<L, E | ServiceBusConnectionError> = Effect.suspend(() =>
      isClosed
        ? Effect.fail(closed())
        : current !== undefined && !options.isLost(current)
        ? Effect.succeed(current)
        : turn.withPermits(1)(open)
    )
    yield* get
    return {
      current: () => current!,
      generation: () => generation,
      get,
      isOpen: Effect.suspend(() => isClosed ? Effect.fail(closed()) : Effect.void)
    }
  }
)

const closed = (): ServiceBusConnectionError =>
  new ServiceBusConnectionError({ description: "the scope that it was made in is closed", isClosed: true })
