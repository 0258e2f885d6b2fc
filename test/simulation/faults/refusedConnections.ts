/** Connections are cut, and new ones refused. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const refusedConnections: Fault = {
  name: "refused connections",
  of: "network",
  isCutting: true,
  plan: (rng) => ({ ms: rng.between(100, 40_000) }),
  inject: ({ network }, { ms }) =>
    Effect.sync(() => {
      network.weather.isRefusing = true
      for (const wire of [...network.wires]) wire.reset()
      network.after(Number(ms), () => {
        network.weather.isRefusing = false
      })
    })
}
