/** What programs do themselves. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const user: ReadonlyArray<Fault> = [
  {
    name: "bad handlers",
    plan: (rng) => ({ percent: rng.between(10, 80) }),
    inject: ({ mood }, { percent }) =>
      Effect.sync(() => {
        mood.handlers = Number(percent) / 100
      })
  },
  {
    name: "interruptions",
    plan: (rng) => ({ percent: rng.between(5, 50) }),
    inject: ({ mood }, { percent }) =>
      Effect.sync(() => {
        mood.interruptions = Number(percent) / 100
      })
  }
]
