/** The provider of tokens fails. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const failingTokens: Fault = {
  name: "failing tokens",
  of: "tokens",
  needs: "tokens",
  plan: (rng) => ({ ms: rng.between(1_000, 50_000) }),
  inject: ({ mood, network }, { ms }) =>
    Effect.sync(() => {
      mood.tokens = "failing"
      network.after(Number(ms), () => {
        mood.tokens = "good"
      })
    })
}
