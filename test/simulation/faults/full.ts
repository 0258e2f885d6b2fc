/** An entity has no room for a while. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const full: Fault = {
  name: "full entity",
  of: "peer",
  needs: "entities",
  weight: 4,
  plan: (rng) => ({
    which: rng.between(0, 9),
    bytes: rng.pick([1, 1, 5_000]),
    ms: rng.between(1, rng.pick([5_000, 50_000]))
  }),
  inject: ({ topology }, { bytes, ms, which }) =>
    Effect.gen(function*() {
      const path = topology.pick(Number(which), ({ kind }) => kind !== "subscription")!
      yield* topology.change(path, { maxSize: Number(bytes) })
      yield* Effect.sleep(Number(ms))
      yield* topology.restore(path)
    })
}
