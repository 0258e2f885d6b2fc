import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/sending.ts"

describe("Sending", () => both(suite))
