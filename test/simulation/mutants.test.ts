/** The mutants: each has its place in the library, once, and a test that is there, or workloads and faults that are. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { basename, dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "../support/vitest.ts"
import { faults } from "./faults/index.ts"
import { mutants } from "./mutants/index.ts"
import { replacementsOf } from "./mutants/Mutant.ts"
import { workloads } from "./workloads/index.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

const namesOf = (all: ReadonlyArray<{ readonly name: string }>): ReadonlySet<string> =>
  new Set(all.map(({ name }) => name))

describe("a mutant", () => {
  it("stands in the library as it is, once", () => {
    for (const mutant of mutants) {
      let text = readFileSync(
        `${root}src/${mutant.isOfBroker === true ? "emulator" : "internal"}/${mutant.file}`,
        "utf8"
      )
      for (const [part, replacement] of replacementsOf(mutant)) {
        assert.strictEqual(text.split(part).length - 1, 1, `${mutant.name}: ${part}`)
        text = text.replace(part, () => replacement)
      }
      assert.doesNotThrow(() => stripTypeScriptTypes(text), `${mutant.name} does not parse`)
    }
  })

  it("has a name of its own, and is seen by what there is", () => {
    assert.strictEqual(namesOf(mutants).size, mutants.length)
    for (const { by, fault, name, workload } of mutants) {
      if (by !== undefined) {
        const isThere = existsSync(root + by) ||
          readdirSync(root + dirname(by)).some((file) => file.startsWith(basename(by)))
        assert.isTrue(isThere, `${name}: ${by}`)
      }
      for (const each of workload?.split(",") ?? []) assert.isTrue(namesOf(workloads).has(each), `${name}: ${each}`)
      for (const each of fault?.split(",") ?? []) assert.isTrue(namesOf(faults).has(each), `${name}: ${each}`)
    }
  })

  it("is seen by something, as the list says", () => {
    const list = readFileSync(new URL("mutants/README.md", import.meta.url), "utf8")
    for (const { name } of mutants) {
      const line = list.split("\n").find((line) => line.startsWith(`- ${name}: `))
      assert.isDefined(line, name)
      // A rule, or a test of a file.
      assert.match(line!, /: `[^`]+`, /, name)
    }
  })
})
