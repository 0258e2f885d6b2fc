import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/settlingTrouble.ts"

describe("Settling in trouble", () => both(suite))
