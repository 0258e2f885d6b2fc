import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import * as CodeBlocks from "./support/codeBlocks.ts"
import { assert, describe, it } from "./support/vitest.ts"

/** A declaration that users can name, with what is written above it. */
interface Export {
  readonly name: string
  readonly isValue: boolean
  readonly doc: string
}

const declaration =
  /^(?:(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\n)?export (?:declare )?(const|function|class|interface|type) (\w+)/gm

const declared = (text: string): ReadonlyArray<Export> =>
  Array.from(text.matchAll(declaration), ([, doc, kind, name]) => ({
    name: name!,
    isValue: kind === "const" || kind === "function",
    doc: doc ?? ""
  })).filter(({ doc }) => !/@internal(?: \*\/|\n)/.test(doc))

/** Forms of export that this test does not read, so that no module has them. */
const unread = ({ path, text }: CodeBlocks.Page): ReadonlyArray<string> =>
  Array.from(
    text.matchAll(/^export (?!(?:declare )?(?:const|function|class|interface|type) \w|(?:type )?\{).*/gm),
    ([line]) => `${path}: a form of export that no check reads: ${line}`
  )

/** What a module exports: its own declarations, and those that it takes from others. */
const exportsOf = ({ path, text }: CodeBlocks.Page): ReadonlyArray<Export> => {
  const imported = new Map<string, string>()
  for (const [, names, from] of text.matchAll(/import (?:type )?\{([^}]*)\} from "(\.[^"]+)"/g)) {
    for (const name of names!.match(/\w+/g) ?? []) imported.set(name, from!)
  }
  const passedOn = Array.from(
    text.matchAll(/^export (?:type )?\{([^}]*)\}(?: from "([^"]+)")?/gm),
    ([, names, from]) =>
      Array.from(names!.matchAll(/(\w+)(?: as (\w+))?/g), ([, local, name = local]) => {
        const source = from ?? imported.get(local!)
        // A name that no declaration may have (`true`) is given to one of this module's own.
        if (source === undefined) {
          const own = declared(text.replace(new RegExp(`^const ${local}\\b`, "m"), `export const ${name}`))
            .filter((one) => one.name === name)
          assert.isAbove(own.length, 0, `${path} passes on ${name}, which is found nowhere`)
          return own
        }
        const file = join(CodeBlocks.root, normalize(join(dirname(path), source)))
        assert.isTrue(existsSync(file), `${path} passes on ${name}, which is found nowhere`)
        const found = declared(readFileSync(file, "utf8")).filter((one) => one.name === local)
        return found.length > 0 ? found : [{ name: name!, isValue: false, doc: "" }]
      }).flat()
  ).flat()
  return [...declared(text), ...passedOn]
}

/** What stands in the groups of the reference. */
const categories = new Set([
  "accessors",
  "arithmetic",
  "codecs",
  "combinators",
  "conditions",
  "configuration",
  "constructors",
  "conversions",
  "destructors",
  "errors",
  "events",
  "formatting",
  "guards",
  "layers",
  "models",
  "observing",
  "operations",
  "parsing",
  "refusals",
  "running",
  "schedules",
  "schemas",
  "services",
  "settlement",
  "statements",
  "streams",
  "unions"
])

const problemsOf = (module: CodeBlocks.Page): ReadonlyArray<string> =>
  exportsOf(module).flatMap(({ doc, isValue, name }) => {
    const category = /@category (.*?)(?: \*\/|\n)/.exec(doc)?.[1]
    const problems = []
    if (!/^\/\*\*\n \* [^@\s]/.test(doc)) problems.push("says nothing of itself")
    if (!/\n \* @since \d+\.\d+\.\d+\n/.test(doc)) problems.push("has no @since")
    if (category === undefined || !categories.has(category)) {
      problems.push(`has no @category that is known: ${category}`)
    }
    if (isValue && category !== "guards" && !/\n \* @example\n \* ```ts\n/.test(doc)) problems.push("has no @example")
    return problems.map((problem) => `${module.path}: ${name} ${problem}`)
  })

/** Interfaces whose functions are the user's, and the broker's controls, which `Emulator` shows as a whole. */
const withoutOperations = new Set([
  "ServiceBusBody",
  "ServiceBusProperties",
  "Makeable",
  "WebSocketAgent",
  "Rotating",
  "TokenCredential",
  "MapOption",
  "Controls"
])

/** A variant says what it is a variant of, and has no example of its own. */
const isVariant = (doc: string) => /\/\*\*\s+(?:\* )?(?:`\w+` |Settles with `|As `)/.test(doc)

/** Each function, Effect, Stream and Sink in the interface of what users hold is an operation. */
const undocumentedMembers = ({ path, text }: CodeBlocks.Page): ReadonlyArray<string> =>
  Array.from(text.matchAll(/^export interface (\w+)\b(?:[^{}]*\{\}\n|[\s\S]*?^\})/gm)).flatMap(([body, name]) => {
    if (withoutOperations.has(name!)) return []
    const members = Array.from(
      body.matchAll(
        /^ {2}(?:(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\n {2})?(?:readonly (\w+): (?=[<({]|Effect\.|Stream\.|Sink\.)|(\w+)[<(])/gm
      )
    )
    return members.filter(([, doc = ""]) => !doc.includes("@example") && !isVariant(doc)).map((
      [, , property, method]
    ) => `${path}: ${name}.${property ?? method} has no @example`)
  })

describe("the docstrings of the public modules", () => {
  for (const module of CodeBlocks.modules()) {
    if (module.path === "src/index.ts") continue
    it(module.path, () => {
      assert.isAbove(exportsOf(module).length, 0)
      assert.deepStrictEqual([...unread(module), ...problemsOf(module), ...undocumentedMembers(module)], [])
      if (module.path !== "src/emulator/Controls.ts") {
        assert.match(module.text, /^\/\*\*\n(?: \*.*\n)* \* @module.*\n \* @since \d/)
      }
    })
  }

  it("an operation without an example is found", () => {
    const text = [
      "export interface ServiceBusSender {",
      "  /**",
      "   * Sends.",
      "   *",
      "   * @example",
      "   */",
      "  readonly send: () => void",
      "  /** `send` without waiting. */",
      "  readonly sendLater: () => void",
      "  /** Cancels. */",
      "  readonly cancel: Effect.Effect<void>",
      "  /** Closes. */",
      "  close(): Effect.Effect<void>",
      "  /** The path. */",
      "  readonly entity: string",
      "}"
    ].join("\n")
    assert.deepStrictEqual(undocumentedMembers({ path: "src/ServiceBusSender.ts", text }), [
      "src/ServiceBusSender.ts: ServiceBusSender.cancel has no @example",
      "src/ServiceBusSender.ts: ServiceBusSender.close has no @example"
    ])
  })

  it("a docstring that lacks something is found", () => {
    const text = [
      "/** Makes one. @category constructors */",
      "export const make = 1",
      "/**",
      " * Makes another.",
      " *",
      " * @category makers",
      " * @since 0.1.0",
      " */",
      "export const other = 1",
      "export interface Options {}",
      "/** Ours. @internal */",
      "export const hidden = 1",
      "/** Not @internal at all. */",
      "export type Shown = 1",
      "const true_ = 1",
      "export { true_ as true }",
      "export * from \"./ours.ts\"",
      "export abstract class Base {}"
    ].join("\n")
    assert.lengthOf(unread({ path: "wrong", text }), 2)
    assert.deepStrictEqual(problemsOf({ path: "wrong", text }), [
      "wrong: make says nothing of itself",
      "wrong: make has no @since",
      "wrong: make has no @example",
      "wrong: other has no @category that is known: makers",
      "wrong: other has no @example",
      "wrong: Options says nothing of itself",
      "wrong: Options has no @since",
      "wrong: Options has no @category that is known: undefined",
      "wrong: Shown says nothing of itself",
      "wrong: Shown has no @since",
      "wrong: Shown has no @category that is known: undefined",
      "wrong: true says nothing of itself",
      "wrong: true has no @since",
      "wrong: true has no @category that is known: undefined",
      "wrong: true has no @example"
    ])
  })
})

it("no line of a comment is longer than 130 characters: the formatter leaves them as they are", () => {
  const files = readdirSync(join(CodeBlocks.root, "src"), { recursive: true, encoding: "utf8" })
  const long = files.filter((file) => file.endsWith(".ts")).flatMap((file) =>
    readFileSync(join(CodeBlocks.root, "src", file), "utf8").split("\n").flatMap((line, index) =>
      line.length > 130 && /^\s*(?:\/\*\*?|\*|\/\/) /.test(line) ? [`src/${file}:${index + 1}`] : []
    )
  )
  assert.deepStrictEqual(long, [])
})
