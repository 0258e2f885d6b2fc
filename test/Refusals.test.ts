import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { credentials, hosts, suite } from "./suites/refusals.ts"

describe("Refusals", () => {
  both(suite)
  credentials()
  hosts()
})
