/** Both ends see a reset at once, and what was on its way is lost. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const reset: Fault = {
  name: "reset",
  of: "network",
  isCutting: true,
  plan: () => ({}),
  inject: ({ network }) => Effect.sync(() => [...network.wires].forEach((wire) => wire.reset()))
}
