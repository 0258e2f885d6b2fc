/** The client reads slowly. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const slowReader: Fault = {
  name: "slow reader",
  of: "network",
  plan: (rng) => ({ pace: rng.between(1, 300), ms: rng.between(1_000, 20_000) }),
  inject: ({ network }, { ms, pace }) =>
    Effect.sync(() => {
      network.weather.pace = Number(pace)
      network.after(Number(ms), () => {
        network.weather.pace = 0
      })
    })
}
