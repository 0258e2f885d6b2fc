/** Everything takes longer, and not equally long. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const latency: Fault = {
  name: "latency",
  of: "network",
  plan: (rng) => ({ latency: rng.between(1, 2_000), jitter: rng.between(0, 2_000), ms: rng.between(1_000, 30_000) }),
  inject: ({ network }, { jitter, latency, ms }) =>
    Effect.sync(() => {
      network.weather.latency = Number(latency)
      network.weather.jitter = Number(jitter)
      network.after(Number(ms), () => {
        network.weather.latency = 0
        network.weather.jitter = 0
      })
    })
}
