/** The broker takes what comes to a kind of node, does nothing with it and answers nothing, for a while. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const unanswered: Fault = {
  name: "unanswered",
  of: "peer",
  plan: (rng) => ({ node: rng.pick(["claims", "management", "senders"] as const), ms: rng.between(1_000, 50_000) }),
  inject: ({ network, peer }, { ms, node }) =>
    Effect.sync(() => {
      peer.silent = node as "claims" | "management" | "senders"
      network.after(Number(ms), () => {
        peer.silent = undefined
      })
    })
}
