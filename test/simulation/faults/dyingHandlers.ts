/** Handlers die of defects. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const dyingHandlers: Fault = {
  name: "dying handlers",
  of: "program",
  needs: "handlers",
  plan: (rng) => ({ percent: rng.between(10, 80) }),
  inject: ({ mood }, { percent }) =>
    Effect.sync(() => {
      mood.handlers = Number(percent) / 100
      mood.manner = "dies"
    })
}
