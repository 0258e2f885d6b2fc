/** The broker detaches all links, and says why. */
import type { Fault } from "../World.ts"
import { endings } from "./conditions.ts"

export const detach: Fault = {
  name: "detach",
  of: "peer",
  plan: (rng) => ({ condition: rng.pick(endings) }),
  inject: ({ emulator }, { condition }) =>
    emulator.detachLinks({ condition: String(condition), description: "simulated" })
}
