/** Handlers never end. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const hangingHandlers: Fault = {
  name: "hanging handlers",
  of: "program",
  needs: "handlers",
  plan: (rng) => ({ percent: rng.between(10, 80) }),
  inject: ({ mood }, { percent }) =>
    Effect.sync(() => {
      mood.handlers = Number(percent) / 100
      mood.manner = "hangs"
    })
}
