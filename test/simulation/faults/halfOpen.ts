/** The broker's end is gone, and the client is not told. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const halfOpen: Fault = {
  name: "half-open",
  of: "network",
  isCutting: true,
  plan: () => ({}),
  inject: ({ network }) => Effect.sync(() => [...network.wires].forEach((wire) => wire.halfOpen()))
}
