/** Requests of administration are lost, before or after they are carried out, or the rest of their answers is. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const lostAdministration: Fault = {
  name: "lost administration",
  of: "service",
  needs: "administration",
  weight: 16,
  plan: (rng) => ({
    lost: rng.pick(["request", "answer", "answer", "rest"]),
    method: rng.pick(["any", "PUT", "PUT", "DELETE"]),
    times: rng.between(1, 8)
  }),
  inject: ({ http }, { lost, method, times }) =>
    Effect.sync(() =>
      http.add({
        lost: lost as "request" | "answer" | "rest",
        method: method === "any" ? undefined : String(method),
        times: Number(times)
      })
    )
}
