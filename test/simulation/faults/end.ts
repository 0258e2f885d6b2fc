/** The broker ends all sessions of AMQP, and says why. */
import type { Fault } from "../World.ts"
import { endings } from "./conditions.ts"

export const end: Fault = {
  name: "end",
  of: "peer",
  isCutting: true,
  plan: (rng) => ({ condition: rng.pick(endings) }),
  inject: ({ emulator }, { condition }) =>
    emulator.endSessions({ condition: String(condition), description: "simulated" })
}
