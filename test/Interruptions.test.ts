import { both } from "./suites/harness.ts"
import { suite } from "./suites/interruptions.ts"

both(suite)
