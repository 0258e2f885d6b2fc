/** Equality of values of Effect, for every test file. */
import { addEqualityTesters } from "@effect/vitest"

addEqualityTesters()
