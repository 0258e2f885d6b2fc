import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/unwritable.ts"

describe("Settlements that cannot be written", () => both(suite))
