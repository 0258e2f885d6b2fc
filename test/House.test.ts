import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const src = fileURLToPath(new URL("../src", import.meta.url))

const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => relative(src, join(entry.parentPath, entry.name)))

const textOf = (file: string) => readFileSync(join(src, file), "utf8")

/** The code of a module: what an example in a docstring imports is no import of the module. */
const codeOf = (file: string) => textOf(file).replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "")

/** What a module imports: files of the house by their path in src, packages by their name. */
const importsOf = (file: string): ReadonlyArray<string> =>
  [...codeOf(file).matchAll(/(?:from|import) "([^"]+)"/g)].map(([, specifier]) =>
    specifier!.startsWith(".") ? relative(src, resolve(dirname(join(src, file)), specifier!)) : specifier!
  )

const contracts = new Set([
  "AmqpValue.ts",
  "ConnectionString.ts",
  "ServiceBusBody.ts",
  "ServiceBusCredential.ts",
  "ServiceBusEntity.ts",
  "ServiceBusError.ts",
  "ServiceBusMessage.ts",
  "Settlement.ts"
])

/** Which floor a module stands on: contracts, the AMQP rooms, the rest of internal, the client, the emulator. */
const floorOf = (file: string): number => {
  if (contracts.has(file)) return 0
  if (file.startsWith("internal/")) return 1
  if (file.startsWith("emulator/")) return 3
  return 2
}

const isPackage = (specifier: string) => !specifier.endsWith(".ts")

const violations = (rule: (file: string, imported: string) => boolean): ReadonlyArray<string> =>
  files.flatMap((file) => importsOf(file).filter((imported) => rule(file, imported)).map((to) => `${file} -> ${to}`))

describe("the house", () => {
  it("has modules to look at", () => {
    assert.isAbove(files.length, 30)
    assert.include(files, "internal/amqp/engine/DataPlane.ts")
  })

  it("imports go down only", () => {
    assert.deepStrictEqual(
      violations((file, to) => !isPackage(to) && file !== "index.ts" && floorOf(to) > floorOf(file)),
      []
    )
  })

  it("nobody outside its folder imports the emulator", () => {
    assert.deepStrictEqual(
      violations((file, to) => to.startsWith("emulator/") && !file.startsWith("emulator/")),
      []
    )
  })

  /** What the emulator's users see. */
  const surface = new Set(["emulator/Emulator.ts", "emulator/Controls.ts"])

  it("of the emulator, only its surface knows the client", () => {
    const client = (to: string) => !isPackage(to) && floorOf(to) === 2
    assert.deepStrictEqual(
      violations((file, to) => file.startsWith("emulator/") && !surface.has(file) && client(to)),
      []
    )
    const rooms = [
      "internal/amqp/",
      "internal/message/",
      "internal/namespace/SasToken.ts"
    ]
    assert.deepStrictEqual(
      violations((file, to) =>
        file.startsWith("emulator/") && to.startsWith("internal/") && !rooms.some((room) => to.startsWith(room))
      ),
      []
    )
  })

  it("the broker knows nothing of AMQP", () => {
    const broker = files.filter((file) => file.startsWith("emulator/broker/") && !surface.has(file))
    assert.isAbove(broker.length, 4)
    assert.deepStrictEqual(
      broker.flatMap((file) =>
        importsOf(file).filter((to) => /amqp|internal\/message/.test(to)).map((to) => `${file} -> ${to}`)
      ),
      []
    )
  })

  it("only the AMQP rooms name rhea, and none names Azure's packages", () => {
    const engine = (to: string) => isPackage(to) && /^rhea(-promise)?(\/|$)/.test(to)
    assert.deepStrictEqual(violations((_file, to) => engine(to) || to.startsWith("@azure/")), [
      "internal/amqp/engine/rhea.ts -> rhea-promise"
    ])
    assert.deepStrictEqual(
      violations((file, to) =>
        to === "internal/amqp/engine/rhea.ts" && !file.startsWith("internal/amqp/") &&
        !file.startsWith("emulator/amqp/")
      ),
      []
    )
    assert.deepStrictEqual(
      files.filter((file) => /\.rhea\b/.test(textOf(file)) && !/^(internal|emulator)\/amqp\//.test(file)),
      []
    )
  })

  it("loads everything by static import: what is found at run time is in no bundle", () => {
    assert.deepStrictEqual(
      files.filter((file) => /createRequire|\brequire\(|\bimport\(|import\.meta/.test(textOf(file))),
      []
    )
  })

  it("only errorMap makes errors out of conditions", () => {
    // Names of AMQP's own types end with the kind of value they describe.
    const condition = /case "(amqp|com\.microsoft):(?![a-z:-]+:(list|map|binary|\*)")/
    const makers = files.filter((file) => condition.test(textOf(file)) && !file.startsWith("emulator/"))
    assert.deepStrictEqual(makers, ["internal/errorMap.ts"])
  })

  it("time and tasks are Effect's", () => {
    const forbidden = /\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(|process\.nextTick\(|\basync\b[ (]/
    assert.deepStrictEqual(files.filter((file) => forbidden.test(codeOf(file))), [])
  })

  it("every module says what it is, and stays short", () => {
    assert.deepStrictEqual(files.filter((file) => file !== "index.ts" && !/^(#!.*\n)?\/\*\*\n/.test(textOf(file))), [])
    // What is written for readers of the reference does not count: it is as long as it needs to be.
    const long = files.filter((file) => codeOf(file).split("\n").filter((line) => line.trim() !== "").length > 600)
    assert.deepStrictEqual(long, [])
  })
})
