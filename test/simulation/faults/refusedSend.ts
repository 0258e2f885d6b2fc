/** The broker refuses messages and batches. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedSend: Fault = {
  name: "refused send",
  of: "service",
  plan: (rng) => ({ condition: rng.pick(refusals), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation: "send",
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
