/** The broker detaches all links and does not say why; some it does not even close. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const bareDetach: Fault = {
  name: "bare detach",
  of: "peer",
  plan: (rng) => ({ closed: rng.pick(["yes", "no"]) }),
  inject: ({ peer }, { closed }) => Effect.sync(() => peer.detach(closed === "yes"))
}
