/** Links are taken, and ended at once, again and again. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const flapping: Fault = {
  name: "flapping",
  of: "peer",
  plan: (rng) => ({ times: rng.between(20, 300), pause: rng.between(10, 100) }),
  inject: ({ emulator, isHealed }, { pause, times }) =>
    Effect.gen(function*() {
      for (let i = 0; i < Number(times) && !isHealed(); i++) {
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced", description: "simulated" })
        yield* Effect.sleep(Number(pause))
      }
    })
}
