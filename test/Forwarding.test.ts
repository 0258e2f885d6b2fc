import { describe } from "@effect/vitest"
import { suite } from "./suites/forwarding.ts"
import { both } from "./suites/harness.ts"

describe("Forwarding", () => both(suite))
