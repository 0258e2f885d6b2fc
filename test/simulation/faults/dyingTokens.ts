/** The provider of tokens dies of a defect. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const dyingTokens: Fault = {
  name: "dying tokens",
  of: "tokens",
  needs: "tokens",
  plan: (rng) => ({ ms: rng.between(1_000, 50_000) }),
  inject: ({ mood, network }, { ms }) =>
    Effect.sync(() => {
      mood.tokens = "dying"
      network.after(Number(ms), () => {
        mood.tokens = "good"
      })
    })
}
