import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/locks.ts"

describe("Locks", () => both(suite))
