import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/peeking.ts"

describe("Peeking", () => both(suite))
