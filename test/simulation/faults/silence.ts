/** Black holes in one direction or both: what is held back comes later, where the connection lasts. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const silence: Fault = {
  name: "silence",
  of: "network",
  isCutting: true,
  plan: (rng) => ({ direction: rng.pick(["up", "down", "both"]), ms: rng.between(100, 90_000) }),
  inject: ({ network }, { direction, ms }) =>
    Effect.sync(() => {
      network.hold(direction as "up" | "down" | "both")
      network.after(Number(ms), () => network.release())
    })
}
