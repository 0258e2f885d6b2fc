/** The options of an entity are changed while it is in use, for a while. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const updated: Fault = {
  name: "updated entity",
  of: "peer",
  needs: "entities",
  weight: 4,
  plan: (rng) => ({
    which: rng.between(0, 9),
    lockDuration: rng.between(5, 60) * 1_000,
    maxDeliveryCount: rng.between(2, 20),
    ms: rng.between(1, 50_000)
  }),
  inject: ({ topology }, { lockDuration, maxDeliveryCount, ms, which }) =>
    Effect.gen(function*() {
      const path = topology.pick(Number(which), ({ kind }) => kind !== "topic")!
      const changes = { lockDuration: Number(lockDuration), maxDeliveryCount: Number(maxDeliveryCount) }
      yield* topology.change(path, changes)
      yield* Effect.sleep(Number(ms))
      yield* topology.restore(path)
    })
}
