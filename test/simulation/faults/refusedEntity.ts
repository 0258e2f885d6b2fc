/** The broker refuses links to one entity alone, again and again for a while. */
import type { Fault } from "../World.ts"
import { refusals } from "./conditions.ts"

export const refusedEntity: Fault = {
  name: "refused entity",
  of: "service",
  plan: (rng) => ({ condition: rng.pick(refusals), which: rng.between(0, 9), times: rng.between(1, 30) }),
  inject: ({ emulator, entities }, { condition, times, which }) =>
    emulator.fail({
      operation: "attach",
      entity: entities[Number(which) % entities.length]!,
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}
