import { describe } from "@effect/vitest"
import { suite } from "./suites/custody.ts"
import { both } from "./suites/harness.ts"

describe("Custody", () => both(suite))
