/** All claims end at the broker, in the middle of everything: it detaches the links that stood on them. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const expiredClaims: Fault = {
  name: "expired claims",
  of: "peer",
  plan: () => ({}),
  inject: ({ peer }) => Effect.sync(() => peer.expireClaims())
}
