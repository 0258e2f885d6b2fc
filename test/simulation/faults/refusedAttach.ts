/** The broker refuses links to entities. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedAttach: Fault = {
  name: "refused attach",
  of: "service",
  plan: (rng) => ({ condition: rng.pick(refusals), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation: "attach",
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
