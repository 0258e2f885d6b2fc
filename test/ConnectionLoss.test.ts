import { describe } from "@effect/vitest"
import { suite } from "./suites/connectionLoss.ts"
import { both } from "./suites/harness.ts"

describe("Connection loss", () => both(suite))
