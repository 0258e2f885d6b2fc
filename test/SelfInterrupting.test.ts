import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite } from "./suites/selfInterrupting.ts"

describe("What interrupts itself", () => both(suite))
