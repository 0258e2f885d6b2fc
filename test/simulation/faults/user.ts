/** What programs do themselves. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const user: ReadonlyArray<Fault> = [
  {
    name: "bad handlers",
    plan: (rng) => ({ percent: rng.between(10, 80) }),
    inject: ({ mood }, { percent }) =>
      Effect.sync(() => {
        mood.handlers = Number(percent) / 100
      })
  },
  {
    name: "interruptions",
    plan: (rng) => ({ percent: rng.between(5, 50) }),
    inject: ({ mood }, { percent }) =>
      Effect.sync(() => {
        mood.interruptions = Number(percent) / 100
      })
  },
  {
    name: "bad tokens",
    plan: (rng) => ({ tokens: rng.pick(["failing", "hanging"]), ms: rng.between(1_000, 50_000) }),
    inject: ({ mood, network }, { ms, tokens }) =>
      Effect.sync(() => {
        mood.tokens = tokens as "failing" | "hanging"
        network.after(Number(ms), () => {
          mood.tokens = "good"
        })
      })
  },
  {
    name: "clock jump",
    plan: (rng) => ({ ms: rng.between(-600_000, 600_000) }),
    inject: ({ mood }, { ms }) =>
      Effect.sync(() => {
        mood.skew = Number(ms)
      })
  }
]
