import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/sessionHooks.ts"

describe("The work on a session, from open to close", () => both(suite))
