/** What a configuration file may have beside JSON, and what it is refused for, with the place. */
import { Result } from "effect"
import * as Jsonc from "../../../src/emulator/config/Jsonc.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const read = (text: string) => JSON.parse(JSON.stringify(Result.getOrThrow(Jsonc.parse(text))))

const taken: ReadonlyArray<readonly [text: string, value: unknown]> = [
  ["{}", {}],
  ["\uFEFF { \"a\": [1, -2.5e3, true, false, null] }\n", { a: [1, -2500, true, false, null] }],
  ["// first\n{ /* in /* it */ \"a\": 1, // after\n \"b\": [1, 2, ], }\n// last", { a: 1, b: [1, 2] }],
  ["\"\\u0041\\n\\\\\\/\\\"//no comment /* neither */\"", "A\n\\/\"//no comment /* neither */"],
  ["{ \"a\": { // Other properties\n // \"b\": 1,\n } }", { a: {} }],
  ["\"tab\there\"", "tab\there"]
]

const refused: ReadonlyArray<readonly [text: string, problem: string]> = [
  ["", "line 1, column 1: the end of the file is no value of JSON"],
  ["{ \"a\": 1", "line 1, column 1: \"{\" is not closed"],
  ["[1\n", "line 1, column 1: \"[\" is not closed"],
  ["{ \"a\": 1\n  \"b\": 2 }", "line 2, column 3: a comma is missing before \"\"\""],
  ["{ \"a\" 1 }", "line 1, column 7: a colon is missing after \"a\""],
  ["{ a: 1 }", "line 1, column 3: \"a\" is no name; it stands in double quotation marks"],
  ["{ 'a': 1 }", "line 1, column 3: \"'\" is no name; it stands in double quotation marks"],
  ["['a']", "line 1, column 2: a text stands in double quotation marks"],
  ["{ \"a\": 1,\n\"a\": 2 }", "line 2, column 1: \"a\" is there twice in one object"],
  ["[01]", "line 1, column 2: \"01\" is no value of JSON"],
  ["[NaN]", "line 1, column 2: \"NaN\" is no value of JSON"],
  ["{} {}", "line 1, column 4: \"{\" stands after the end of the value"],
  ["\"a\nb\"", "line 1, column 1: a text is not closed"],
  ["\"\\q\"", "line 1, column 2: \"\\q\" is no escape of JSON"],
  ["[,]", "line 1, column 2: \",\" is no value of JSON"],
  ["/* a", "line 1, column 1: a comment is not closed"],
  ["[".repeat(100_000), "line 1, column 257: values stand more than 256 deep in each other"]
]

describe("JSON with comments", () => {
  for (const [text, value] of taken) {
    it(`takes ${JSON.stringify(text)}`, () => assert.deepStrictEqual(read(text), value))
  }

  for (const [text, problem] of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () =>
      assert.deepStrictEqual(Jsonc.parse(text), Result.fail(problem)))
  }

  it("an object has what is written, whatever its name, and nothing else", () => {
    const value = Result.getOrThrow(Jsonc.parse("{ \"__proto__\": { \"a\": 1 }, \"toString\": 2 }")) as Jsonc.JsonObject
    assert.deepStrictEqual(Object.keys(value), ["__proto__", "toString"])
    assert.isUndefined(value["a"])
    assert.isUndefined((Result.getOrThrow(Jsonc.parse("{}")) as Jsonc.JsonObject)["constructor"])
  })
})
