/** The broker closes all connections, and says why. */
import type { Fault } from "../World.ts"
import { endings } from "./conditions.ts"

export const close: Fault = {
  name: "close",
  of: "peer",
  isCutting: true,
  plan: (rng) => ({ condition: rng.pick(endings) }),
  inject: ({ emulator }, { condition }) =>
    emulator.closeConnections({ condition: String(condition), description: "simulated" })
}
