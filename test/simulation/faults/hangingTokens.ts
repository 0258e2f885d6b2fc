/** The provider of tokens does not answer. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const hangingTokens: Fault = {
  name: "hanging tokens",
  of: "tokens",
  needs: "tokens",
  plan: (rng) => ({ ms: rng.between(1_000, 50_000) }),
  inject: ({ mood, network }, { ms }) =>
    Effect.sync(() => {
      mood.tokens = "hanging"
      network.after(Number(ms), () => {
        mood.tokens = "good"
      })
    })
}
