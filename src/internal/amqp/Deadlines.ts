/**
 * Time-outs for many operations with one timer: operations of one kind have the same time-out, so the oldest is the next
 * to expire. One fiber sleeps until then; none runs while nothing is pending.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

/** Something that ends by itself or is ended when its time is over. */
export interface Expiring {
  readonly done: boolean
  readonly expire: () => void
}

export interface Deadlines {
  readonly add: (operation: Expiring) => void
}

/** The fiber lives in the scope. `timeout` is in milliseconds. */
export const make = Effect.fnUntraced(function*(timeout: number) {
  const clock = yield* Clock.Clock
  const latch = Latch.makeUnsafe(false)
  let pending: Array<{ readonly at: number; readonly operation: Expiring }> = []

  const sweep = Effect.gen(function*() {
    yield* latch.await
    const now = clock.currentTimeMillisUnsafe()
    let i = 0
    for (; i < pending.length; i++) {
      const { at, operation } = pending[i]!
      if (operation.done) continue
      if (at > now) break
      operation.expire()
    }
    pending = pending.slice(i)
    const next = pending[0]
    if (next === undefined) latch.closeUnsafe()
    else yield* Effect.sleep(next.at - now)
  })
  yield* Effect.forkScoped(Effect.forever(sweep), { startImmediately: true })

  return {
    add: (operation) => {
      // Under load what is done piles up between two wakes; the sweep would find nothing but that.
      if (pending.length > 4096 && pending[pending.length >> 1]!.operation.done) {
        pending = pending.filter((entry) => !entry.operation.done)
      }
      pending.push({ at: clock.currentTimeMillisUnsafe() + timeout, operation })
      latch.openUnsafe()
    }
  } satisfies Deadlines
})
