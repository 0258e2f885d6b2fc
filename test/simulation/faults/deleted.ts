/** An entity is deleted with all that it holds, and made again after a while. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const deleted: Fault = {
  name: "deleted entity",
  of: "peer",
  isCutting: true,
  needs: "entities",
  weight: 4,
  plan: (rng) => ({ which: rng.between(0, 9), ms: rng.between(0, rng.pick([500, 20_000])) }),
  inject: ({ topology }, { ms, which }) =>
    Effect.gen(function*() {
      const path = topology.pick(Number(which))!
      yield* topology.delete(path)
      if (Number(ms) > 0) yield* Effect.sleep(Number(ms))
      yield* topology.create(path)
    })
}
