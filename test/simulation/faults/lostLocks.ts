/** All locks of messages end at the broker. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const lostLocks: Fault = {
  name: "lost locks",
  of: "peer",
  needs: "locks",
  plan: () => ({}),
  inject: ({ loseLocks }) => Effect.sync(loseLocks)
}
