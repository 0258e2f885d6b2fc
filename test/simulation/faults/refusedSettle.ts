/** The broker refuses settlements. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedSettle: Fault = {
  name: "refused settle",
  of: "service",
  needs: "settlements",
  plan: (rng) => ({ condition: rng.pick(refusals), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation: "settle",
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
