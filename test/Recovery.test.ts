import { describe } from "@effect/vitest"
import * as connectionState from "./suites/connectionState.ts"
import { both, inMemory } from "./suites/harness.ts"
import * as idling from "./suites/idling.ts"
import * as outages from "./suites/outages.ts"
import { suite } from "./suites/recovery.ts"
import * as throttling from "./suites/throttling.ts"

describe("Recovery", () => {
  both(suite)
  both(outages.suite)
  idling.suite("in memory", inMemory)
  throttling.suite("in memory", inMemory)
  both(connectionState.suite)
  connectionState.networked()
})
