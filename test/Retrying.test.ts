import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/retrying.ts"

describe("Settlement.retryAfter", () => both(suite))
