/** The broker cuts all connections without a word. */
import type { Fault } from "../World.ts"

export const drop: Fault = {
  name: "drop",
  of: "peer",
  isCutting: true,
  plan: () => ({}),
  inject: ({ emulator }) => emulator.dropConnections
}
