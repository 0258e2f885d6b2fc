/**
 * The process of a broker with its state in a file is killed, at a moment of its own work, and started again on that file: at
 * once, or after a while.
 */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const killed: Fault = {
  name: "killed",
  of: "peer",
  isCutting: true,
  needs: "file",
  plan: (rng) => ({
    moments: rng.between(0, rng.pick([3, 20, 200])),
    ms: rng.chance(0.3) ? 0 : rng.between(1, 60_000)
  }),
  inject: ({ broker, history }, { moments, ms }) =>
    Effect.gen(function*() {
      if (broker === undefined) return yield* Effect.die(new Error("a broker in memory has no process to kill"))
      yield* broker.kill(Number(moments))
      // What it was killed in the midst of is known from here on.
      history.add({ kind: "fault", name: "killed", what: JSON.stringify({ ms }) })
      if (Number(ms) > 0) yield* Effect.sleep(Number(ms))
      yield* broker.start
    })
}
