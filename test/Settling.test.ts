import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/settling.ts"

describe("Settling", () => both(suite))
