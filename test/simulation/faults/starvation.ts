/** The broker takes its credit back from those that send, and gives none, or one by one, for a while. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const starvation: Fault = {
  name: "starvation",
  of: "peer",
  plan: (rng) => ({
    of: rng.pick(["senders", "all"]),
    ms: rng.between(1_000, 90_000),
    every: rng.pick([0, 0, 100, 2_000])
  }),
  inject: ({ isHealed, peer }, { every, ms, of }) =>
    Effect.gen(function*() {
      peer.starve(of === "all")
      const step = Number(every) === 0 ? Number(ms) : Number(every)
      for (let left = Number(ms); left > 0 && !isHealed(); left -= step) {
        yield* Effect.sleep(Math.min(step, left))
        if (left > step) peer.feed()
      }
      peer.satisfy()
    })
}
