import { describe } from "@effect/vitest"
import { suite } from "./suites/deferring.ts"
import { both } from "./suites/harness.ts"

describe("Deferring", () => both(suite))
