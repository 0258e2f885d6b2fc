/** The broker ends sessions or closes connections, and does not say why. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const bareEnd: Fault = {
  name: "bare end",
  of: "peer",
  isCutting: true,
  plan: (rng) => ({ what: rng.pick(["sessions", "connections"]) }),
  inject: ({ peer }, { what }) => Effect.sync(() => what === "sessions" ? peer.endSessions() : peer.closeConnections())
}
