/** The service refuses requests of administration: it throttles, it fails, or takes the token for none. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const refusedAdministration: Fault = {
  name: "refused administration",
  of: "service",
  needs: "administration",
  weight: 16,
  plan: (rng) => ({
    status: rng.pick([429, 503, 503, 500, 500, 401]),
    seconds: rng.pick([-1, 0, rng.between(1, 20)]),
    times: rng.between(1, 8)
  }),
  inject: ({ http }, { seconds, status, times }) =>
    Effect.sync(() =>
      http.add({
        refusal: { status: Number(status), headers: Number(seconds) < 0 ? {} : { "retry-after": String(seconds) } },
        times: Number(times)
      })
    )
}
