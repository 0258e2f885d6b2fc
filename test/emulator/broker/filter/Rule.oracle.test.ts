/**
 * Rules of the broker against an oracle that evaluates trees, of which the broker is given the text alone. The oracle is written
 * from Microsoft's documentation and shares no code with the broker: see `test/emulator/filter/oracle/`.
 */
import { assert, describe, it } from "../../../support/vitest.ts"
import { compareActions, compareCorrelations, compareFilters, type Comparison } from "../../filter/oracle/Comparison.ts"

/** They differ nowhere, and each outcome is that of a good part of the pairs. */
const agree = ({ found, seen }: Comparison, outcomes: ReadonlyArray<string>, least: number) => {
  assert.strictEqual(found.join("\n"), "")
  for (const each of outcomes) assert.isAbove(seen.get(each) ?? 0, least, each)
}

describe("generated rules are of generated messages what the documentation says", () => {
  it("filters in SQL", () => {
    const comparison = compareFilters(6_000)
    agree(comparison, ["T", "F", "U", "E"], 200)
    assert.isAbove(comparison.seen.get("refused") ?? 0, 5)
  })

  it("correlation filters", () => {
    agree(compareCorrelations(1_500), ["T", "F"], 200)
  })

  it("actions", () => {
    agree(compareActions(1_500), ["changed", "E"], 50)
  })
})
