/** The broker detaches the links of requests. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"
import { endings } from "./conditions.ts"

export const detachOfManagement: Fault = {
  name: "detach of management",
  of: "peer",
  plan: (rng) => ({ condition: rng.pick(endings) }),
  inject: ({ emulator, entities }, { condition }) =>
    Effect.forEach(
      entities,
      (entity) =>
        emulator.detachLinks({ condition: String(condition), description: "simulated" }, `${entity}/$management`),
      { discard: true }
    )
}
