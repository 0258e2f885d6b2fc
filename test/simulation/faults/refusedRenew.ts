/** The broker refuses to renew locks. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedRenew: Fault = {
  name: "refused renew",
  of: "service",
  needs: "settlements",
  plan: (rng) => ({ condition: rng.pick(refusals), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation: "renew",
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
