/** The provider of tokens gives tokens that the broker refuses. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const uselessTokens: Fault = {
  name: "useless tokens",
  of: "tokens",
  needs: "tokens",
  plan: (rng) => ({ ms: rng.between(1_000, 50_000) }),
  inject: ({ mood, network }, { ms }) =>
    Effect.sync(() => {
      mood.tokens = "useless"
      network.after(Number(ms), () => {
        mood.tokens = "good"
      })
    })
}
