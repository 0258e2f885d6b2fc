/**
 * What tests take from @effect/vitest, with a virtual time that waits for what it woke, and without the lines of the log: what
 * goes wrong in a test was meant to. A test that is about them brings its own logger.
 *
 * TestClock waits for what a step woke, but only for a second of real time; then it warns and goes on. On a busy machine time
 * would pass, and locks end, before a program had its turn. Here it waits for longer than any test may take.
 */
import { it as effectIt } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"

export { assert, describe, vi } from "@effect/vitest"

const patient = TestClock.layer({ warningDelay: "5 minutes" })

type Tester = typeof effectIt.effect
type Live = typeof effectIt.live

/** Provides what a test needs beyond what @effect/vitest gives it. */
type Provide = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const silent = Logger.layer([])

const wrapAll = <T extends Tester | Live>(tester: T, provide: Provide): T => {
  const provided =
    <Args extends ReadonlyArray<unknown>, A, E, R>(self: (...args: Args) => Effect.Effect<A, E, R>) =>
    (...args: Args) => provide(self(...args))
  const { each, fails, only, prop, runIf, skip, skipIf } = tester as Tester
  const wrapped = (test: Tester["only"]): Tester["only"] => (name, self, options) => test(name, provided(self), options)
  return Object.assign(wrapped(tester as Tester), {
    each: <C>(cases: ReadonlyArray<C>): ReturnType<typeof each<C>> => {
      const test = each(cases)
      return (name, self, options) => test(name, provided(self), options)
    },
    fails: wrapped(fails),
    only: wrapped(only),
    prop: ((name, arbitraries, self, options) => prop(name, arbitraries, provided(self), options)) as Tester["prop"],
    runIf: (condition: unknown) => wrapped(runIf(condition)),
    skip: wrapped(skip),
    skipIf: (condition: unknown) => wrapped(skipIf(condition))
  }) as unknown as T
}

const effect = wrapAll(effectIt.effect, (self) => self.pipe(Effect.provide(silent), Effect.provide(patient)))
const live = wrapAll(effectIt.live, Effect.provide(silent))

export const it: typeof effectIt = new Proxy(effectIt, {
  get: (target, property, receiver) =>
    property === "effect" ? effect : property === "live" ? live : Reflect.get(target, property, receiver)
})
