/**
 * Several requests one after the other, on behalf of nobody who has a link: the connection and the node of the first are kept
 * for those that follow. Without it a client that holds nothing else opens a connection for each page.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { RequestResponse } from "../management/RequestResponseLink.ts"
import type { Namespace } from "./Namespace.ts"

/** The namespace whose last node is kept until the next one, or the end of the scope. */
export const make = Effect.fnUntraced(function*(namespace: Namespace): Effect.fn.Return<Namespace, never, Scope.Scope> {
  let kept: RequestResponse | undefined
  let held: Scope.Closeable | undefined
  const release = Effect.suspend(() => {
    const scope = held
    held = undefined
    kept = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })
  yield* Effect.addFinalizer(() => release)

  const keep = (entity: string, node: RequestResponse): Effect.Effect<void> =>
    node === kept ? Effect.void : Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = Scope.makeUnsafe()
        // It is there already: nothing goes over the wire.
        const exit = yield* Effect.exit(restore(Scope.provide(namespace.management(entity), scope)))
        if (Exit.isFailure(exit) || exit.value !== node) return yield* Scope.close(scope, Exit.void)
        yield* release
        held = scope
        kept = node
      })
    )

  return {
    ...namespace,
    managing: (entity, isOpen, request) =>
      namespace.managing(entity, isOpen, (node, timeout) => Effect.andThen(keep(entity, node), request(node, timeout)))
  }
})
