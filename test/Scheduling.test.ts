import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/scheduling.ts"

describe("Scheduling", () => both(suite))
