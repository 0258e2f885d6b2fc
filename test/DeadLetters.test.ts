import { describe } from "@effect/vitest"
import { suite } from "./suites/deadLetters.ts"
import { both } from "./suites/harness.ts"

describe("Dead letters", () => {
  both(suite)
})
