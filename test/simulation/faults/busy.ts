/** The service is busy: it refuses everything for a while, and says so. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const busy: Fault = {
  name: "busy",
  of: "service",
  plan: (rng) => ({ ms: rng.between(500, 50_000) }),
  inject: ({ network, peer }, { ms }) =>
    Effect.sync(() => {
      peer.isBusy = true
      network.after(Number(ms), () => {
        peer.isBusy = false
      })
    })
}
