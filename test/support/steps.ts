/** What a fiber waits for comes at each of its steps: a fiber yields after so many operations, wherever it is then. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/**
 * Runs a wait again and again, with few operations before it yields, and has what it waits for happen after one step, after two,
 * and so on. Gives the waits that did not end by it, as the budget of operations and the step.
 */
export const missedAt = <E, R>(
  wait: () => Effect.Effect<unknown, E, R>,
  happen: () => void,
  options: { readonly before: () => void }
): Effect.Effect<ReadonlyArray<string>, never, R> =>
  Effect.gen(function*() {
    const missed: Array<string> = []
    // With less than three a fiber does nothing but yield.
    for (let budget = 3; budget <= 10; budget++) {
      for (let step = 0; step <= 12; step++) {
        options.before()
        const fiber: Fiber.Fiber<unknown, E> = yield* Effect.forkChild(
          Effect.provideService(Effect.suspend(wait), Scheduler.MaxOpsBeforeYield, budget),
          { startImmediately: true }
        )
        for (let i = 0; i < step; i++) yield* Effect.yieldNow
        happen()
        for (let i = 0; i < 60 && fiber.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
        if (fiber.pollUnsafe() !== undefined) continue
        missed.push(`budget ${budget}, step ${step}`)
        fiber.interruptUnsafe()
      }
    }
    return missed
  })
