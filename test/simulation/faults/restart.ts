/** The broker goes away with what it holds, and comes back. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const restart: Fault = {
  name: "restart",
  of: "peer",
  isCutting: true,
  plan: (rng) => ({ ms: rng.between(1, 60_000) }),
  inject: ({ emulator }, { ms }) =>
    Effect.gen(function*() {
      yield* emulator.stop
      yield* Effect.sleep(Number(ms))
      yield* Effect.ignore(emulator.start)
    })
}
