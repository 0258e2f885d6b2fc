import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as CodeBlocks from "./support/codeBlocks.ts"
import * as OptionTables from "./support/optionTables.ts"
import { assert, describe, it } from "./support/vitest.ts"

/** Prove each time that a block that is wrong is found, and where: in a page, and in a docstring. */
const wrong: ReadonlyArray<CodeBlocks.Page> = [{
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
}, {
  path: "a module that is wrong.ts",
  text: [
    "/**",
    " * Sends.",
    " *",
    " * @example",
    " * ```ts",
    " * import { Settlement } from \"effect-service-bus\"",
    " *",
    " * export const wrong: number = Settlement.complete",
    " * ```",
    " */",
    "export const send = () => undefined"
  ].join("\n")
}]

const pages = [...CodeBlocks.markdown(), ...CodeBlocks.modules()]
const blocks = [...pages, ...wrong].flatMap(CodeBlocks.blocksOf)
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
    const found = (await checked).filter(({ page }) => !pages.some(({ path }) => path === page))
    assert.deepStrictEqual(
      found.map(({ error, line, page }) => `${page}:${line}: ${error.slice(0, "error TS2322".length)}`).toSorted(),
      ["a module that is wrong.ts:8: error TS2322", "a page that is wrong:6: error TS2322"]
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

describe("the tests that the documentation shows", async () => {
  for (const { file } of blocks.filter(CodeBlocks.isTest)) await import(/* @vite-ignore */ file)
})

describe("the links of the documentation", () => {
  const packed = CodeBlocks.packed()

  /** As GitHub makes them: lower case, spaces to hyphens, other signs left out. */
  const anchorsOf = (text: string) =>
    Array.from(
      text.matchAll(/^#+ (.*)$/gm),
      ([, heading]) => heading!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    )

  const examples = readdirSync(join(CodeBlocks.root, "examples")).filter((file) =>
    file.endsWith(".ts") && file !== "run.ts"
  )

  it("every example is named by a page", () => {
    const text = CodeBlocks.markdown().map((page) => page.text).join("\n")
    assert.deepStrictEqual(examples.filter((file) => !text.includes(`examples/${file})`)), [])
  })

  it("an example imports what is published alone, so that it can be copied", () => {
    const own = examples.flatMap((file) =>
      Array.from(
        readFileSync(join(CodeBlocks.root, "examples", file), "utf8").matchAll(/from "([./#][^"]*)"/g),
        ([, from]) => `${file}: ${from}`
      )
    )
    assert.deepStrictEqual(own, [])
  })

  for (const { path, text } of CodeBlocks.markdown()) {
    it(`${path}: every link leads to what is in the package`, async () => {
      const files = await packed
      const folders = new Set(
        [...files].flatMap((file) => file.split("/").map((_, i, parts) => parts.slice(0, i).join("/")))
      )
      const dead = Array.from(text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g), ([, to, anchor]) => {
        const target = to === "" ? path : join(dirname(path), to!).replace(/\/$/, "")
        if (!files.has(target)) return folders.has(target) ? undefined : target
        if (anchor === undefined) return undefined
        const headings = anchorsOf(readFileSync(join(CodeBlocks.root, target), "utf8"))
        return headings.includes(anchor) ? undefined : `${target}#${anchor}`
      }).filter((link) => link !== undefined)
      assert.deepStrictEqual(dead, [])
    }, 120_000)
  }

  it("README leads to every page", async () => {
    const files = await packed
    const readme = CodeBlocks.markdown().find(({ path }) => path === "README.md")!.text
    assert.deepStrictEqual(
      [...files].filter((file) => /^docs\/[^/]*\.md$/.test(file) && !readme.includes(`(${file})`)),
      []
    )
  })

  it("AGENTS.md imports every module that index.ts exports, each with what it is for", () => {
    const namesOf = (text: string, line: RegExp) => Array.from(text.matchAll(line), ([, name]) => name!).toSorted()
    const [list] = /import \{\n([^}]*)\} from "effect-service-bus"/.exec(
      CodeBlocks.markdown().find(({ path }) => path === "AGENTS.md")!.text
    )!
    const index = CodeBlocks.modules().find(({ path }) => path === "src/index.ts")!.text
    assert.deepStrictEqual(namesOf(list!, /^ {2}(\w+),? \/\/ ./gm), namesOf(index, /^export \* as (\w+)/gm))
  })

  it("README has 200 lines at most", () => {
    const readme = CodeBlocks.markdown().find(({ path }) => path === "README.md")!.text
    assert.isAtMost(readme.split("\n").length, 200)
  })
})

/** Cells may be padded by the formatter. */
const squeezed = (text: string) => text.replace(/ +/g, " ").replace(/:?-+:?/g, "-")

it("the table of errors is the unions' own", async () => {
  const { current, withTable } = await import("../.ci/errorTable.mjs" as string) as {
    readonly current: () => string
    readonly withTable: (text: string) => string
  }
  assert.strictEqual(squeezed(current()), squeezed(withTable(current())), "run: npm run errors")
})

describe("the tables of options", () => {
  it("have every option that is declared, with its type, and no other", () => {
    assert.deepStrictEqual(OptionTables.differences(OptionTables.declared(), OptionTables.documented(pages)), [])
  })

  it("miss nothing: an option without a row, a row without an option, and another type are found", () => {
    const options = (entries: Record<string, string>) => new Map([["X.Options", new Map(Object.entries(entries))]])
    assert.deepStrictEqual(
      OptionTables.differences(
        options({ kept: "number", new: "number", changed: "number" }),
        options({ kept: "number", gone: "number", changed: "string" })
      ),
      [
        "X.Options: new is declared, and no page tells of it",
        "X.Options: changed is number, and a page says string",
        "X.Options: a page tells of gone, which is not declared"
      ]
    )
    assert.strictEqual(OptionTables.differences(options({ kept: "number" }), new Map()).length, 1)
    assert.strictEqual(OptionTables.differences(new Map(), options({ kept: "number" })).length, 1)
  })
})
