import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/replaying.ts"

describe("Replaying dead letters", () => {
  both(suite)
})
