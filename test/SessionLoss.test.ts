import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/sessionLoss.ts"

describe("The loss of sessions", () => both(suite))
