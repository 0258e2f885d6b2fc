/** The broker refuses tokens: with 401, 404, 500, 503 and others. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedClaims: Fault = {
  name: "refused claims",
  of: "service",
  plan: (rng) => ({ condition: rng.pick(refusals), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation: "putToken",
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
