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

const effect: typeof effectIt.effect = Object.assign(
  (...[name, self, options]: Parameters<typeof effectIt.effect>) =>
    effectIt.effect(name, (context) => Effect.provide(self(context), patient), options),
  effectIt.effect
)

export const it: typeof effectIt = new Proxy(effectIt, {
  get: (target, property, receiver) => property === "effect" ? effect : Reflect.get(target, property, receiver)
})
