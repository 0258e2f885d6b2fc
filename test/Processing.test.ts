import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/processing.ts"

describe("Processing", () => both(suite))
