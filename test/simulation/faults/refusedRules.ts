/** The broker refuses requests to one subscription alone: its rules among them. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedRules: Fault = {
  name: "refused rules",
  of: "service",
  needs: "rules",
  weight: 10,
  plan: (rng) => ({ condition: rng.pick(refusals), which: rng.between(0, 9), times: rng.between(1, 6) }),
  inject: ({ emulator, topology }, { condition, times, which }) =>
    emulator.fail({
      operation: "request",
      entity: topology.pick(Number(which), ({ kind }) => kind === "subscription")!,
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
