/** What the compiler refuses of contracts, and that it says what the example has it say. */
import { execFile } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { assert, describe, it } from "../support/vitest.ts"

const root = resolve(import.meta.dirname, "../..")
const folder = join(root, "test/.diagnostics")

const example = readFileSync(join(root, "examples/contracts.ts"), "utf8")

/** The texts of the example, by the line that each stands above. */
const expected = example.split("\n").flatMap((line, index) => {
  const text = /^ *\/\/ @ts-expect-error (.*)$/.exec(line)?.[1]
  return text === undefined ? [] : [[index + 2, text] as const]
})

/** What the compiler says where it is not told to expect it, by line. */
const diagnostics = async (): Promise<ReadonlyMap<number, string>> => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "contracts.ts"), example.replaceAll("@ts-expect-error", "refused:"))
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: { declaration: false, declarationMap: false, sourceMap: false },
      include: ["*.ts"]
    })
  )
  const args = [join(root, "node_modules/typescript/bin/tsc"), "-p", folder, "--pretty", "false"]
  const output = await new Promise<string>((done) => {
    execFile(process.execPath, args, { cwd: root, timeout: 110_000 }, (_, stdout) => done(stdout))
  })
  return new Map(
    Array.from(
      output.matchAll(/^\S.*?\((\d+),\d+\): (error .*(?:\n .*)*)/gm),
      ([, line, text]) => [Number(line), text!]
    )
  )
}

describe("what the compiler refuses of contracts", () => {
  const found = diagnostics()

  it.each(expected)("line %i: %s", async (line, text) => {
    assert.include((await found).get(line) ?? "nothing", text)
  }, 120_000)

  it("is all that it refuses", async () => {
    assert.isAbove(expected.length, 15)
    assert.strictEqual((await found).size, expected.length)
  }, 120_000)
})
