/** The broker refuses requests of management, whatever they ask for. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedRequests: Fault = {
  name: "refused requests",
  of: "service",
  plan: (rng) => ({ condition: rng.pick(refusals), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation: "request",
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
