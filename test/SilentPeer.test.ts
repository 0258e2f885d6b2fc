import { describe } from "@effect/vitest"
import { suite } from "./suites/silence.ts"

// One after the other: their time-outs are short, and real.
describe("Silent peer", { concurrent: false }, () => {
  suite()
})
