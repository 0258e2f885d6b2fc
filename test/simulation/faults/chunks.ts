/** Bytes arrive in pieces of any size. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const chunks: Fault = {
  name: "chunks",
  of: "network",
  plan: (rng) => ({ most: rng.pick([1, 3, 7, 64, 500]) }),
  inject: ({ network }, { most }) =>
    Effect.sync(() => {
      network.weather.chunk = Number(most)
    })
}
