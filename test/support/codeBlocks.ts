/**
 * The code blocks of the documentation as programs: taken out of Markdown pages and docstrings, type-checked in one run of
 * the project's compiler, and run where a page shows what they print.
 *
 * - A block with imports of its own is a whole module and stands as it is.
 * - Any other block is a fragment. It stands in a block of its own, within `Effect.gen` where it has a `yield*` outside of
 *   any function, below imports of the usual modules and below the page's `<!-- given … -->` comments: declarations that
 *   a reader does not need to see.
 * - A block before a `text` block is run, and must print that text.
 * - A block with an `it` is run as a test.
 */
import { execFile } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"

export const root = resolve(import.meta.dirname, "../..")

const folder = join(root, "test/.documentation")

/** A text that has code blocks, by its path from the root. */
export interface Page {
  readonly path: string
  readonly text: string
}

interface Block {
  readonly page: string
  /** The line of the page on which the code begins, from 1. */
  readonly line: number
  readonly code: string
  readonly given: ReadonlyArray<Given>
  /** What the page says that it prints. */
  readonly output: string | undefined
  readonly file: string
}

interface Given {
  readonly line: number
  readonly code: string
}

interface Problem {
  readonly page: string
  readonly line: number
  readonly error: string
}

const read = (path: string): Page => ({ path, text: readFileSync(join(root, path), "utf8") })

const namesIn = (path: string, ending: string) =>
  readdirSync(join(root, path)).filter((name) => name.endsWith(ending)).map((name) => `${path}/${name}`)

/** The pages that are in the package. */
export const markdown = (): ReadonlyArray<Page> => ["README.md", "AGENTS.md", ...namesIn("docs", ".md")].map(read)

/** The modules that users import. */
export const modules = (): ReadonlyArray<Page> =>
  [...namesIn("src", ".ts"), "src/emulator/Emulator.ts", "src/emulator/Controls.ts"].map(read)

const fence = /^(?<indent> *)```(?<language>\w*)[^\n]*\n(?<code>[\s\S]*?)^\k<indent>```$/gm

const lineAt = (text: string, index: number) => text.slice(0, index).split("\n").length

/** A docstring reads as a page whose lines begin after the star; what is no docstring is empty, so that lines keep their numbers. */
const docstringsOf = (source: string): string => {
  let isInside = false
  return source.split("\n").map((line) => {
    if (!isInside) {
      isInside = /^\s*\/\*\*(?!.*\*\/)/.test(line)
      return ""
    }
    if (line.includes("*/")) {
      isInside = false
      return ""
    }
    return line.replace(/^\s*\* ?/, "")
  }).join("\n")
}

export const blocksOf = (page: Page): ReadonlyArray<Block> => {
  const text = page.path.endsWith(".ts") ? docstringsOf(page.text) : page.text
  const given = Array.from(text.matchAll(/^<!-- given\n([\s\S]*?)^-->$/gm), (match) => ({
    line: lineAt(text, match.index) + 1,
    code: match[1]!
  }))
  const fences = Array.from(text.matchAll(fence), (match) => ({
    language: match.groups!["language"]!,
    // In a list it is indented.
    code: match.groups!["code"]!.replaceAll(new RegExp(`^${match.groups!["indent"]}`, "gm"), ""),
    line: lineAt(text, match.index) + 1,
    start: match.index,
    end: match.index + match[0].length
  }))
  return fences.flatMap(({ code, end, language, line }, index) => {
    if (/^(typescript|tsx|js|mjs|javascript|jsx)$/.test(language)) {
      throw new Error(`${page.path}:${line} a program in \`${language}\` is not compiled: write it in \`ts\``)
    }
    if (language !== "ts") return []
    const next = fences[index + 1]
    const isShown = next?.language === "text" && text.slice(end, next.start).trim() === ""
    return [{
      page: page.path,
      line,
      code,
      given,
      output: isShown ? next.code : undefined,
      file: join(folder, `${page.path.replaceAll(/[^\w.]/g, "-").replace(/\.ts$/, "")}-${line}.ts`)
    }]
  })
}

const isModule = (code: string) => /^import /m.test(code)

export const isTest = ({ code }: Block) => /^it(\.\w+)*\(/m.test(code)

/** Whether what it prints can be seen: a whole program that prints. */
export const prints = (block: Block) => isModule(block.code) && !isTest(block) && /\b[Cc]onsole\.log\b/.test(block.code)

const usual = (): string => {
  const own = readFileSync(join(root, "src/index.ts"), "utf8").matchAll(/export \* as (\w+)/g)
  return [
    "import { Cause, Clock, Config, Console, Context, Data, DateTime, Duration, Effect, Exit, Fiber, Layer } from \"effect\"",
    "import { Logger, Option, Redacted, References, Result, Schedule, Schema, SchemaGetter, Scope, Sink, Stream } from \"effect\"",
    "import { TestClock } from \"effect/testing\"",
    "import { assert, it } from \"@effect/vitest\"",
    `import { ${Array.from(own, (match) => match[1]).join(", ")} } from "effect-service-bus"`,
    "import * as Emulator from \"effect-service-bus/emulator\""
  ].join("\n")
}

/** The program of a block, and the page's line of each of its own. */
const programOf = (block: Block): { readonly text: string; readonly lines: ReadonlyArray<number> } => {
  const lines: Array<number> = []
  const texts: Array<string> = []
  const add = (text: string, line: number | undefined) => {
    for (const [index, part] of text.replace(/\n$/, "").split("\n").entries()) {
      texts.push(part)
      lines.push(line === undefined ? block.line : line + index)
    }
  }
  if (isModule(block.code)) {
    add(block.code, block.line)
  } else {
    const yields = block.code.split("\n").some((line) => /^(?=\S).*\byield\*/.test(line) && !line.includes("function*"))
    add(usual(), undefined)
    for (const { code, line } of block.given) add(code, line)
    add(yields ? "export const fragment = Effect.gen(function*() {" : "{", undefined)
    add(block.code, block.line)
    add(yields ? "})" : "}\nexport {}", undefined)
  }
  const text = `${texts.join("\n")}\n`
  // Here the virtual time of a test waits for what it woke, however busy the machine is.
  const patient = JSON.stringify(relative(folder, join(root, "test/support/vitest.ts")))
  return { text: isTest(block) ? text.replaceAll("\"@effect/vitest\"", patient) : text, lines }
}

const output = (command: string, args: ReadonlyArray<string>): Promise<string> =>
  new Promise((done, fail) => {
    execFile(command, args, { cwd: root, maxBuffer: 1 << 26, timeout: 110_000 }, (error, stdout, stderr) => {
      // The compiler says by its exit code that it found something.
      if (error === null || typeof error.code === "number" && stdout !== "") done(stdout)
      else fail(new Error(`${error.message}\n${stdout}${stderr}`))
    })
  })

/** What the compiler is told; the package resolves to its source. */
const configuration = {
  extends: "../../tsconfig.json",
  compilerOptions: {
    noUnusedLocals: false,
    noUnusedParameters: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false
  },
  include: ["*.ts"]
}

/** Writes the programs of all blocks. One that has not changed is not written again: vitest may be watching. */
export const write = (blocks: ReadonlyArray<Block>): void => {
  mkdirSync(folder, { recursive: true })
  const programs = new Map(blocks.map((block) => [block.file, programOf(block).text]))
  programs.set(join(folder, "tsconfig.json"), JSON.stringify(configuration))
  for (const name of readdirSync(folder)) {
    const file = join(folder, name)
    if (programs.get(file) === readFileSync(file, "utf8")) programs.delete(file)
    else rmSync(file)
  }
  for (const [file, text] of programs) writeFileSync(file, text)
}

/** What the compiler says of the blocks that were written, at the lines of their pages. */
export const check = async (blocks: ReadonlyArray<Block>): Promise<ReadonlyArray<Problem>> => {
  const text = await output(process.execPath, [
    join(root, "node_modules/typescript/bin/tsc"),
    "-p",
    folder,
    "--pretty",
    "false"
  ])
  const byFile = new Map(blocks.map((block) => [block.file, { block, lines: programOf(block).lines }]))
  // What is given is compiled with each fragment of its page: its errors are told once.
  const problems = new Map<string, Problem>()
  for (const [, file, line, error] of text.matchAll(/^(\S.*?)\((\d+),\d+\): (error .*(?:\n .*)*)/gm)) {
    const found = byFile.get(resolve(root, file!))
    const problem = found === undefined
      ? { page: file!, line: Number(line), error: error! }
      : { page: found.block.page, line: found.lines[Number(line) - 1]!, error: error! }
    problems.set(`${problem.page}:${problem.line}: ${error}`, problem)
  }
  return Array.from(problems.values())
}

/** Runs the blocks that were written, one after the other, and gives what each printed. */
export const run = async (blocks: ReadonlyArray<Block>): Promise<ReadonlyArray<string>> =>
  JSON.parse(
    await output(process.execPath, [join(import.meta.dirname, "runBlocks.ts"), ...blocks.map(({ file }) => file)])
  ) as ReadonlyArray<string>

/** The paths of the files in the tarball; `dist` is not built for this. */
export const packed = async (): Promise<ReadonlySet<string>> => {
  const list = await output("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"])
  return new Set(Array.from(list.matchAll(/"path": "([^"]+)"/g), ([, path]) => path!))
}
