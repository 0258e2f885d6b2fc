/** What a network does. */
import * as Effect from "effect/Effect"
import type { Fault } from "../World.ts"

export const network: ReadonlyArray<Fault> = [
  {
    name: "reset",
    plan: () => ({}),
    inject: ({ network }) => Effect.sync(() => [...network.wires].forEach((wire) => wire.reset()))
  },
  {
    name: "half-open",
    plan: () => ({}),
    inject: ({ network }) => Effect.sync(() => [...network.wires].forEach((wire) => wire.halfOpen()))
  },
  {
    name: "silence",
    plan: (rng) => ({ direction: rng.pick(["up", "down", "both"]), ms: rng.between(100, 90_000) }),
    inject: ({ network }, { direction, ms }) =>
      Effect.sync(() => {
        network.hold(direction as "up" | "down" | "both")
        network.after(Number(ms), () => network.release())
      })
  },
  {
    name: "latency",
    plan: (rng) => ({ latency: rng.between(1, 2_000), jitter: rng.between(0, 2_000), ms: rng.between(1_000, 30_000) }),
    inject: ({ network }, { jitter, latency, ms }) =>
      Effect.sync(() => {
        network.weather.latency = Number(latency)
        network.weather.jitter = Number(jitter)
        network.after(Number(ms), () => {
          network.weather.latency = 0
          network.weather.jitter = 0
        })
      })
  },
  {
    name: "chunks",
    plan: (rng) => ({ most: rng.pick([1, 3, 7, 64, 500]) }),
    inject: ({ network }, { most }) =>
      Effect.sync(() => {
        network.weather.chunk = Number(most)
      })
  },
  {
    name: "slow reader",
    plan: (rng) => ({ pace: rng.between(1, 300), ms: rng.between(1_000, 20_000) }),
    inject: ({ network }, { ms, pace }) =>
      Effect.sync(() => {
        network.weather.pace = Number(pace)
        network.after(Number(ms), () => {
          network.weather.pace = 0
        })
      })
  },
  {
    name: "refused connections",
    plan: (rng) => ({ ms: rng.between(100, 40_000) }),
    inject: ({ network }, { ms }) =>
      Effect.sync(() => {
        network.weather.isRefusing = true
        for (const wire of [...network.wires]) wire.reset()
        network.after(Number(ms), () => {
          network.weather.isRefusing = false
        })
      })
  }
]
