/** An entity is disabled for a while, or takes nothing, or gives nothing. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const suspended: Fault = {
  name: "suspended entity",
  of: "peer",
  needs: "entities",
  weight: 4,
  plan: (rng) => ({
    which: rng.between(0, 9),
    status: rng.pick(["Disabled", "SendDisabled", "ReceiveDisabled"]),
    ms: rng.between(1, rng.pick([2_000, 40_000]))
  }),
  inject: ({ topology }, { ms, status, which }) =>
    Effect.gen(function*() {
      // A subscription cannot be closed for senders, a topic not for receivers: those are disabled.
      const wanted = status as "Disabled" | "SendDisabled" | "ReceiveDisabled"
      const path = topology.pick(Number(which))!
      const isFitting = path.includes("/") ? wanted !== "SendDisabled" : true
      yield* topology.change(path, { status: isFitting ? wanted : "Disabled" })
      yield* Effect.sleep(Number(ms))
      yield* topology.restore(path)
    })
}
