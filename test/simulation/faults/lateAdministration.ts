/** Answers to requests of administration are late, some by more than anybody waits, and some do not come then either. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const lateAdministration: Fault = {
  name: "late administration",
  of: "service",
  needs: "administration",
  weight: 16,
  plan: (rng) => ({
    delay: rng.between(1, rng.pick([500, 10_000, 90_000])),
    lost: rng.pick(["nothing", "nothing", "answer"]),
    times: rng.between(1, 20)
  }),
  inject: ({ http }, { delay, lost, times }) =>
    Effect.sync(() =>
      http.add({ delay: Number(delay), lost: lost === "answer" ? "answer" : undefined, times: Number(times) })
    )
}
