/** All locks of sessions end at the broker. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const lostSessions: Fault = {
  name: "lost sessions",
  of: "peer",
  needs: "sessions",
  plan: () => ({}),
  inject: ({ loseSessions }) => Effect.sync(loseSessions)
}
