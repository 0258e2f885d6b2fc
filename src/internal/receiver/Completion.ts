/**
 * What is to be done although its caller is interrupted, as the completion of a message whose copy is accepted. It is begun,
 * and an interruption leaves it as long as closing may take, whatever it waits for: a service that is silent or too busy keeps
 * nobody. A file of its own because settlements, streams and the replay of dead letters end with it.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { closeTimeout } from "../amqp/Connection.ts"

/** Runs it in an uninterruptible region, of which `restore` is. */
export const run = <A, E, R>(
  restore: <A2, E2, R2>(effect: Effect.Effect<A2, E2, R2>) => Effect.Effect<A2, E2, R2>,
  completion: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.forkChild(Effect.interruptible(completion), { startImmediately: true }),
    (fiber) =>
      Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
        Effect.andThen(Effect.timeoutOption(Fiber.await(fiber), closeTimeout), Fiber.interrupt(fiber)))
  )
