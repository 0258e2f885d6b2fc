/** Runs a consumer until all is taken, and makes a new one where one ends: by an error, or because its time is over. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { operate, type World } from "../World.ts"

export const consume = <A, E, R>(
  world: World,
  what: string,
  consumer: Effect.Effect<A, E, R>
): Effect.Effect<void, never, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    while (!world.isDone()) {
      const until = world.now() + (world.mood.interruptions > 0 ? world.rng.between(1_000, 30_000) : Infinity)
      const done = Effect.gen(function*() {
        while (!world.isDone() && world.now() < until) yield* Effect.sleep(500)
      })
      yield* operate(world, what, Effect.scoped(Effect.raceFirst(consumer, done)))
      yield* Effect.sleep(100)
    }
  })
