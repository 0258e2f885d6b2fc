import { describe } from "@effect/vitest"
import { suite } from "./suites/batching.ts"
import { both } from "./suites/harness.ts"

describe("Batches and retries in place", () => both(suite))
