/** Operations are interrupted, at any of their steps. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const interruptions: Fault = {
  name: "interruptions",
  of: "program",
  plan: (rng) => ({ percent: rng.between(5, 50) }),
  inject: ({ mood }, { percent }) =>
    Effect.sync(() => {
      mood.interruptions = Number(percent) / 100
    })
}
