/** The broker detaches the links of requests. */
import type { Fault } from "../World.ts"
import { endings } from "./conditions.ts"

export const detachOfManagement: Fault = {
  name: "detach of management",
  of: "peer",
  plan: (rng) => ({ condition: rng.pick(endings) }),
  inject: ({ emulator }, { condition }) =>
    emulator.detachLinks({ condition: String(condition), description: "simulated" }, "work/$management")
}
