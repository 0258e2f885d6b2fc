/** The defects that `npm run filter:mutants` puts into filters: each has its place in the code, once. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "../../../support/vitest.ts"
import { mutants } from "../../filter/mutants.ts"

describe("the mutants of filters", () => {
  it("have names of their own, and their texts stand in the code once", () => {
    assert.isAtLeast(mutants.length, 40)
    assert.strictEqual(new Set(mutants.map(({ name }) => name)).size, mutants.length)
    for (const { file, name, replacement, text } of mutants) {
      const source = readFileSync(new URL(`../../../../src/emulator/${file}`, import.meta.url), "utf8")
      assert.strictEqual(source.split(text).length - 1, 1, name)
      assert.notStrictEqual(text, replacement, name)
    }
  })
})
