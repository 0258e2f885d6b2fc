import { assert, it } from "@effect/vitest"

/** Cells may be padded by the formatter. */
const squeezed = (text: string) => text.replace(/ +/g, " ").replace(/:?-+:?/g, "-")

it("the README's table of errors is the unions' own", async () => {
  const { current, withTable } = await import("../.ci/errorTable.mjs" as string) as {
    readonly current: () => string
    readonly withTable: (text: string) => string
  }
  assert.strictEqual(squeezed(current()), squeezed(withTable(current())), "run: npm run errors")
})
