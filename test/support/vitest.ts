/**
 * What tests take from @effect/vitest, with a virtual time that waits for what it woke.
 *
 * TestClock waits for what a step woke, but only for a second of real time; then it warns and goes on. On a busy machine time
 * would pass, and locks end, before a program had its turn. Here it waits for longer than any test may take.
 */
import { it as effectIt } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"

export { assert, describe, vi } from "@effect/vitest"

const patient = TestClock.layer({ warningDelay: "5 minutes" })

const patiently =
  <Args extends ReadonlyArray<unknown>, A, E, R>(self: (...args: Args) => Effect.Effect<A, E, R>) => (...args: Args) =>
    Effect.provide(self(...args), patient)

type Tester = typeof effectIt.effect

const wrapped = (test: Tester["only"]): Tester["only"] => (name, self, options) => test(name, patiently(self), options)

const { each, fails, only, prop, runIf, skip, skipIf } = effectIt.effect

const effect: Tester = Object.assign(wrapped(effectIt.effect), {
  each: <T>(cases: ReadonlyArray<T>): ReturnType<typeof each<T>> => {
    const test = each(cases)
    return (name, self, options) => test(name, patiently(self), options)
  },
  fails: wrapped(fails),
  only: wrapped(only),
  prop: ((name, arbitraries, self, options) => prop(name, arbitraries, patiently(self), options)) as Tester["prop"],
  runIf: (condition: unknown) => wrapped(runIf(condition)),
  skip: wrapped(skip),
  skipIf: (condition: unknown) => wrapped(skipIf(condition))
})

export const it: typeof effectIt = new Proxy(effectIt, {
  get: (target, property, receiver) => property === "effect" ? effect : Reflect.get(target, property, receiver)
})
