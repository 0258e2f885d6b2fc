import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/sessions.ts"

describe("Sessions", () => both(suite))
