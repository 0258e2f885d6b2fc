/** The broker detaches the links of claims. */
import type { Fault } from "../World.ts"
import { endings } from "./conditions.ts"

export const detachOfClaims: Fault = {
  name: "detach of claims",
  of: "peer",
  plan: (rng) => ({ condition: rng.pick(endings) }),
  inject: ({ emulator }, { condition }) =>
    emulator.detachLinks({ condition: String(condition), description: "simulated" }, "$cbs")
}
