/** The wall clock of a client jumps. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const clockJump: Fault = {
  name: "clock jump",
  of: "program",
  needs: "clocks",
  weight: 6,
  plan: (rng) => ({ ms: rng.between(-600_000, 600_000) }),
  inject: ({ mood }, { ms }) =>
    Effect.sync(() => {
      mood.skew = Number(ms)
    })
}
