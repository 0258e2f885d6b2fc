/** The broker refuses requests to one subscription alone: its rules among them. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

/** That there is no such rule is the right answer to a deletion whose first answer was lost, and the truth then. */
const conditions = refusals.filter((condition) => condition !== "amqp:not-found")

export const refusedRules: Fault = {
  name: "refused rules",
  of: "service",
  needs: "rules",
  weight: 10,
  plan: (rng) => ({ condition: rng.pick(conditions), which: rng.between(0, 9), times: rng.between(1, 6) }),
  inject: ({ emulator, topology }, { condition, times, which }) =>
    emulator.fail({
      operation: "request",
      entity: topology.pick(Number(which), ({ kind }) => kind === "subscription")!,
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
