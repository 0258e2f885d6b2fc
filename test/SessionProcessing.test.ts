import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/sessionProcessing.ts"

describe("Session processing", () => both(suite))
