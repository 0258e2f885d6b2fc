/** An entity does not forward for a while: what it holds waits in it. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const unforwarded: Fault = {
  name: "forward taken away",
  of: "service",
  needs: "forwards",
  weight: 20,
  plan: (rng) => ({ which: rng.between(0, 9), ms: rng.between(1, rng.pick([1_000, 40_000])) }),
  inject: ({ topology }, { ms, which }) =>
    Effect.gen(function*() {
      const forwards = (entity: Parameters<Parameters<typeof topology.pick>[1] & {}>[0]) =>
        entity.options !== undefined && "forwardTo" in entity.options
      const path = topology.pick(Number(which), forwards)!
      yield* topology.change(path, { forwardTo: null })
      yield* Effect.sleep(Number(ms))
      yield* topology.restore(path)
    })
}
