import { assert, describe, it } from "@effect/vitest"
import * as CodeBlocks from "./support/codeBlocks.ts"

/** Proves each time that a block that is wrong is found, and where. */
const broken: CodeBlocks.Page = {
  path: "a page that is wrong",
  text: [
    "<!-- given",
    "declare const sender: ServiceBusSender.ServiceBusSender<string>",
    "-->",
    "```ts",
    "const id = yield* sender.send({ body: \"text\" })",
    "const wrong: number = yield* sender.send({ body: id })",
    "```"
  ].join("\n")
}

const pages = [...CodeBlocks.markdown(), ...CodeBlocks.modules()]
const blocks = [...pages, broken].flatMap(CodeBlocks.blocksOf)
CodeBlocks.write(blocks)

describe("the code blocks of the documentation", () => {
  const checked = CodeBlocks.check(blocks)
  for (const { path } of pages) {
    if (!blocks.some(({ page }) => page === path)) continue
    it(`${path}: blocks compile`, async () => {
      const problems = (await checked).filter(({ page }) => page === path)
      assert.deepStrictEqual(problems.map(({ error, line }) => `${path}:${line}: ${error}`), [])
    }, 120_000)
  }

  it("a block that does not compile is found, with its line", async () => {
    const problems = await checked
    assert.deepStrictEqual(
      problems.filter(({ page }) => !pages.some(({ path }) => path === page)).map(({ error, line, page }) => ({
        page,
        line,
        code: error.slice(0, "error TS2322".length)
      })),
      [{ page: broken.path, line: 6, code: "error TS2322" }]
    )
  }, 120_000)

  const shown = blocks.filter(({ output }) => output !== undefined)
  const ran = CodeBlocks.run(shown)
  for (const [index, { line, output, page }] of shown.entries()) {
    it(`${page}:${line}: prints what the page says`, async () => {
      assert.strictEqual((await ran)[index], output)
    }, 120_000)
  }

  it("every program that prints is followed by what it prints", () => {
    const silent = blocks.filter((block) => CodeBlocks.prints(block) && block.output === undefined)
    assert.deepStrictEqual(silent.map(({ line, page }) => `${page}:${line}`), [])
  })
})

const tests = blocks.filter(CodeBlocks.isTest)
if (tests.length > 0) {
  describe("the tests that the documentation shows", async () => {
    for (const { file } of tests) await import(/* @vite-ignore */ file)
  })
}

/** Cells may be padded by the formatter. */
const squeezed = (text: string) => text.replace(/ +/g, " ").replace(/:?-+:?/g, "-")

it("the table of errors is the unions' own", async () => {
  const { current, withTable } = await import("../.ci/errorTable.mjs" as string) as {
    readonly current: () => string
    readonly withTable: (text: string) => string
  }
  assert.strictEqual(squeezed(current()), squeezed(withTable(current())), "run: npm run errors")
})
