/** Runs a consumer until all is taken, and makes a new one where one ends: by an error, or because its time is over. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { observe, operate, type World } from "../World.ts"

export const consume = <A, E, R>(
  world: World,
  what: string,
  consumer: Effect.Effect<A, E, R>,
  /** Keep: it is not ended while faults come, and for a while takes what is left once all is drained. */
  options: {
    readonly isKept?: boolean
    /** How long until a new one is made, in milliseconds, where its entity may be gone for long. */
    readonly pause?: number
  } = {}
): Effect.Effect<void, never, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    while (!world.isDone()) {
      const until = world.now() +
        (world.mood.interruptions > 0 && options.isKept !== true ? world.rng.between(1_000, 30_000) : Infinity)
      const done = Effect.gen(function*() {
        while (!world.isDone() && world.now() < until) yield* Effect.sleep(500)
        if (options.isKept === true) yield* Effect.sleep(30_000)
      })
      const scoped = Effect.scoped(Effect.raceFirst(consumer, done))
      yield* options.isKept === true ? observe(world, what, scoped, true) : operate(world, what, scoped, true)
      yield* Effect.sleep(options.pause ?? 100)
    }
  })
