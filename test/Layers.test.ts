/**
 * The order of the layers: which folder may import which, what only some may name, and how a file is called. CONTRIBUTING
 * tells the same in prose; here is what holds it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "./support/vitest.ts"

/** Modules that are layers by themselves, each above those before it. Names without folder stand in src. */
const contracts = [
  "AmqpValue",
  "ServiceBusError",
  "Settlement",
  "ServiceBusMessage",
  "ServiceBusBody",
  "ServiceBusProperties",
  "ServiceBusEntity",
  "ServiceBusRule",
  "ServiceBusFilter",
  "ServiceBusEvent"
]

const base = [
  "internal/monotonicClock",
  "internal/errorMap",
  "internal/options",
  "internal/HiddenState",
  "internal/SchemaTrial",
  "internal/SasToken"
]

/** Contracts too, for users and the broker; they check options, and sign. */
const credentials = ["ServiceBusCredential", "ConnectionString"]

/** Folders of the client, from the bottom: a file imports its own folder and those before it. One line is one rank. */
const folders = [
  ["internal/telemetry"],
  ["internal/amqp/codec"],
  ["internal/amqp/transport"],
  ["internal/amqp/engine"],
  ["internal/amqp"],
  ["internal/message"],
  ["internal/management"],
  ["internal/namespace"],
  ["internal/administration"],
  ["internal/transaction"],
  ["internal/sender", "internal/receiver", "internal/rules"],
  ["internal/session"],
  ["internal/processor"],
  ["internal/deadLetters"]
]

const surface = [
  "ServiceBusClient",
  "AmqpAnnotatedMessage",
  "ServiceBusSender",
  "ServiceBusReceiver",
  "ServiceBusSession",
  "AutoLockRenewer",
  "ServiceBusProcessor",
  "ServiceBusDeadLetters",
  "ServiceBusRuleManager",
  "ServiceBusAdministration",
  "ServiceBusTopology",
  "ServiceBusTransaction",
  "index"
]

const emulator = [
  ["emulator/SeededRandom"],
  ["emulator/network"],
  ["emulator/broker/filter"],
  ["emulator/broker"],
  ["emulator/config"],
  ["emulator/security"],
  ["emulator/amqp"],
  ["emulator/amqp/operations"],
  ["emulator/amqp/LinkAttach"],
  ["emulator/amqp/AmqpConnection"],
  ["emulator/amqp/AmqpServer"],
  ["emulator/state"],
  ["emulator/store"],
  ["emulator/http"],
  ["emulator/page"],
  ["emulator/Fault"],
  ["emulator/FaultyNetwork"],
  ["emulator/Policies"],
  ["emulator/Namespace"],
  ["emulator/Namespaces"],
  ["emulator/CountHistory"],
  ["emulator/BrokerMetrics"],
  ["emulator/Controls"],
  ["emulator/control"],
  ["emulator/Emulator"],
  ["emulator/CountScreen"],
  ["emulator/CommandLine"],
  ["emulator/MetricExport"],
  ["emulator/cli"]
]

const ranks: ReadonlyArray<ReadonlyArray<string>> = [
  ...[...contracts, ...base, ...credentials].map((name) => [name]),
  ...folders,
  ...surface.map((name) => [name]),
  ...emulator
]

const root = fileURLToPath(new URL("..", import.meta.url))
const src = join(root, "src")

/** All modules, by their path in src without ".ts". */
const modules: ReadonlyArray<string> = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => relative(src, join(entry.parentPath, entry.name)).slice(0, -".ts".length))
  .toSorted()

const textOf = (module: string) => readFileSync(join(src, `${module}.ts`), "utf8")

/** A text without its comments; what looks like one in a string is none. */
const withoutComments = (text: string): string =>
  text.replace(
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, kept: string | undefined) => kept ?? ""
  )

const codeOf = (module: string) => withoutComments(textOf(module))

/** What a module imports, types too: modules by their path in src, packages by their name with "package " before it. */
const importsOf = (module: string): ReadonlyArray<string> =>
  [
    ...textOf(module).matchAll(/^(?:import|export)\b(?:[^"'=;]*?\bfrom)?\s*["']([^"']+)["']/gm),
    ...codeOf(module).matchAll(/\bimport\(["']([^"']+)["']\)/g)
  ].map(([, specifier]) =>
    specifier!.startsWith(".")
      ? relative(src, resolve(dirname(join(src, module)), specifier!)).replace(/\.ts$/, "")
      : `package ${specifier}`
  )

const imports = new Map(modules.map((module) => [module, importsOf(module)]))

/** The layer of a module: the module itself, or its folder. */
const layerOf = (module: string): string => ranks.flat().includes(module) ? module : dirname(module)

const rankOf = (module: string): number => ranks.findIndex((layers) => layers.includes(layerOf(module)))

/** All imports that break a rule, each with the rule and both files. */
const broken = (rule: string, breaks: (module: string, imported: string) => boolean): ReadonlyArray<string> =>
  modules.flatMap((module) =>
    imports.get(module)!.filter((imported) => breaks(module, imported)).map((imported) =>
      `${rule}: src/${module}.ts imports ${imported.startsWith("package ") ? imported : `src/${imported}.ts`}`
    )
  )

const isPackage = (imported: string) => imported.startsWith("package ")

const isIn = (folder: string) => (module: string) => module.startsWith(`${folder}/`)

const none = (violations: ReadonlyArray<string>) => assert.strictEqual(violations.join("\n"), "")

describe("the layers", () => {
  it("each module stands in one of them", () => {
    assert.isAbove(modules.length, 90)
    assert.include(imports.get("internal/amqp/SenderLink")!, "internal/amqp/Link")
    none(
      modules.filter((module) => rankOf(module) === -1).map((module) =>
        `src/${module}.ts stands in no layer: put it into a folder of the list, or add its folder where it belongs`
      )
    )
  })

  it("imports go down, never up or sideways", () => {
    none([
      ...broken(
        "an import goes up",
        (module, imported) => !isPackage(imported) && rankOf(imported) > rankOf(module)
      ),
      ...broken(
        "an import goes sideways",
        (module, imported) =>
          !isPackage(imported) && rankOf(imported) === rankOf(module) && layerOf(imported) !== layerOf(module)
      )
    ])
  })

  it("and never in a circle, types included", () => {
    const state = new Map<string, "open" | "done">()
    const circles: Array<string> = []
    const visit = (module: string, path: ReadonlyArray<string>): void => {
      if (state.get(module) === "done") return
      if (state.get(module) === "open") {
        circles.push([...path.slice(path.indexOf(module)), module].map((name) => `src/${name}.ts`).join(" -> "))
        return
      }
      state.set(module, "open")
      for (const imported of imports.get(module) ?? []) visit(imported, [...path, module])
      state.set(module, "done")
    }
    for (const module of modules) visit(module, [])
    none(circles.map((circle) => `modules import each other: ${circle}`))
  })

  it("what users import leads to no unstable module of effect", () => {
    none(
      broken(
        "no unstable type is public",
        (module, imported) =>
          ([...contracts, ...credentials].includes(module) || surface.includes(module)) &&
          imported.startsWith("package effect/unstable")
      )
    )
  })

  it("only the emulator imports the emulator", () => {
    none(
      broken(
        "the client knows no broker",
        (module, imported) => isIn("emulator")(imported) && !isIn("emulator")(module)
      )
    )
  })

  it("the emulator shares the codec, the engine and the encoders with the client, and nothing else", () => {
    /** How entities are described: both sides read it and write it. */
    const descriptions = new Set(["AtomXml", "XmlText", "RuleDescription", "Description"]
      .map((name) => `internal/administration/${name}`))
    const shared = (imported: string) =>
      [...contracts, ...credentials].includes(imported) || isIn("internal/amqp")(imported) ||
      isIn("internal/message")(imported) ||
      imported === "internal/SasToken" || descriptions.has(imported)
    const forUsers = new Set(["emulator/Emulator", "emulator/Controls"])
    none(broken(
      "the emulator may import contracts, internal/amqp, internal/message, descriptions of entities and SasToken (Emulator and Controls the surface too)",
      (module, imported) =>
        isIn("emulator")(module) && !isPackage(imported) && !isIn("emulator")(imported) && !shared(imported) &&
        !(forUsers.has(module) && surface.includes(imported))
    ))
  })

  it("the broker knows nothing of AMQP", () => {
    none(
      broken(
        "the broker keeps messages, whatever protocol brings them",
        (module, imported) => isIn("emulator/broker")(module) && isIn("internal")(imported)
      )
    )
  })

  it("rhea is imported in one place, and known in the AMQP folders alone; no module names Azure's packages", () => {
    const engine = "internal/amqp/engine/rhea"
    const isRhea = (imported: string) => /^package rhea(-promise)?(\/|$)/.test(imported)
    assert.isTrue(imports.get(engine)!.some(isRhea))
    none([
      ...broken("only engine/rhea imports rhea", (module, imported) => isRhea(imported) && module !== engine),
      ...broken("no module imports Azure's packages", (_, imported) => imported.startsWith("package @azure/")),
      ...broken(
        "rhea is known in internal/amqp and emulator/amqp alone",
        (module, imported) => imported === engine && !isIn("internal/amqp")(module) && !isIn("emulator/amqp")(module)
      ),
      ...modules.filter((module) =>
        /\.rhea\b/.test(codeOf(module)) && !isIn("internal/amqp")(module) && !isIn("emulator/amqp")(module)
      ).map((module) => `rhea is known in internal/amqp and emulator/amqp alone: src/${module}.ts uses an object of it`)
    ])
  })
})

describe("what only some may do", () => {
  const named = (rule: string, forbidden: RegExp, isFree: (module: string) => boolean = () => false) =>
    modules.filter((module) => !isFree(module) && forbidden.test(codeOf(module)))
      .map((module) => `${rule}: src/${module}.ts says ${forbidden.exec(codeOf(module))![0]}`)

  it("everything is loaded by static import: what is found at run time is in no bundle", () => {
    // The build puts what it reads in its place.
    const isReplaced = (module: string) => module === "emulator/page/PageText"
    none(named("loaded at run time, where no bundler finds it", /createRequire|\brequire\(|import\.meta/, isReplaced))
    // By a path that bundlers read, and with the first request that needs it: a broker starts without it.
    const loaded = modules.flatMap((module) =>
      [...codeOf(module).matchAll(/\bimport\(([^)]*)\)/g)]
        .map(([, path]) => `${module} ${path}`)
    )
    assert.deepStrictEqual(loaded, [
      `emulator/cli "./MetricExport.ts"`,
      `emulator/control/ControlMiddleware "./ControlApi.ts"`,
      `emulator/page/PageMiddleware "./PageFile.ts"`
    ])
  })

  it("no namespace of a module is taken apart: a bundle would keep all that is in it", () => {
    none(named("a name of a module is taken by itself", /^const \{[^}]*\} = [A-Z]\w+$/m))
  })

  it("only errorMap makes errors out of conditions, and tells them apart", () => {
    // Names of AMQP's own types end with the kind of value they describe, or are compared as descriptors.
    const condition =
      /(case|(?<!descriptor(\.value)? )[=!]==) "(amqp|com\.microsoft):(?![a-z:-]+:(list|map|binary|\*)")|"(amqp|com\.microsoft):[a-z:-]+" [=!]==/
    assert.deepStrictEqual(
      modules.filter((module) => condition.test(codeOf(module)) && !isIn("emulator")(module)),
      ["internal/errorMap"]
    )
  })

  it("only the engine says any, with a reason", () => {
    const types = (module: string) => codeOf(module).replace(/"[^"\n]*"|`[^`]*`/g, "\"\"")
    const isAny = /(?<![\w.])any(?![\w:(-])/
    const engine = modules.filter(isIn("internal/amqp/engine"))
    assert.isTrue(engine.some((module) => isAny.test(types(module))))
    none([
      ...modules.filter((module) => !engine.includes(module) && isAny.test(types(module)))
        .map((module) => `a wider type is expressed by generics, unknown or never: src/${module}.ts says any`),
      ...engine.flatMap((module) => {
        const lines = textOf(module).split("\n")
        return lines.flatMap((line, at) =>
          isAny.test(line.replace(/(^|\s)(\/\/|\*|\/\*).*$/, "").replace(/"[^"\n]*"/g, "\"\"")) &&
            !/(^|\s)\/[/*]/.test(line) && !/^\s*(\/\/|\/\*\*|\*)/.test(lines[at - 1] ?? "")
            ? [`any has its reason beside it: src/${module}.ts:${at + 1} ${line.trim()}`]
            : []
        )
      })
    ])
  })

  it("time and tasks are Effect's", () => {
    const forbidden =
      /\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(|process\.nextTick\(|\basync\b[ (]|\bnew Date\(\)|performance\.now/
    none(named("time and tasks come from Clock and Scheduler", forbidden))
  })
})

describe("a file", () => {
  it("says at its top what it is", () => {
    none(
      modules.filter((module) => module !== "index" && !/^(#!.*\n)?\/\*\*\n/.test(textOf(module)))
        .map((module) =>
          `a module says at its top what it models, who owns what and what is promised: src/${module}.ts`
        )
    )
  })

  /** Its head may give the reason for a name or a length that is unusual: a sentence that begins so. */
  const headOf = (module: string) => /\/\*\*[\s\S]*?\*\//.exec(textOf(module))?.[0].replace(/\s*\n \* ?/g, " ") ?? ""
  const saysWhy = (module: string) => /A file of its own because|Named so because|One file because/.test(headOf(module))

  it("is one noun, neither a fragment nor everything: or its head says why", () => {
    const hint = (module: string): string | undefined => {
      const name = module.slice(module.lastIndexOf("/") + 1)
      const lines = textOf(module).split("\n").length - 1
      if (/[a-z]ing$/.test(name) && !name.endsWith("String")) {
        return `a gerund: name it by what it models, as AMQP, Azure or Effect call it, or say "Named so because …"`
      }
      // An operation that is short is one nevertheless.
      if (lines < 30 && module !== "index" && !isIn("emulator/amqp/operations")(module)) {
        return `a fragment of ${lines} lines: put it where it is used, or say "A file of its own because …"`
      }
      // What is written for readers is as long as it needs to be.
      const code = codeOf(module).split("\n").filter((line) => line.trim() !== "").length
      if (code > 600) return `${code} lines of code: take out a noun of its own, or say "One file because …"`
      return undefined
    }
    none(modules.flatMap((module) => {
      const said = hint(module)
      return said === undefined || saysWhy(module) ? [] : [`src/${module}.ts is ${said} in its head`]
    }))
  })
})

describe("what stands beside src", () => {
  const walk = (folder: string): ReadonlyArray<string> =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)))

  /** Tests of no single module: of the repository itself, by frames, by simulation and by other clients. */
  const ofNone =
    /^test\/((Layers|Documentation|Docstrings|emulator\/Differences)\.test|wire\/|page\/|durability\/|simulation\/|interop\/|types\/)/

  it("each test names the module that it is about", () => {
    const tests = walk("test").filter((file) => file.endsWith(".test.ts") && !ofNone.test(file))
    assert.isAbove(tests.length, 50)
    const moduleOf = (test: string) => test.slice("test/".length).replace(/(\.\w+)?\.test\.ts$/, ".ts")
    none(
      tests.filter((test) =>
        !["src", "src/internal", "."].some((folder) => existsSync(join(root, folder, moduleOf(test))))
      )
        .map((test) =>
          `${test} is about no module: src/${moduleOf(test)} and src/internal/${moduleOf(test)} do not exist`
        )
    )
  })

  it("virtual time of tests waits for what it woke", () => {
    none(
      walk("test").filter((file) =>
        file.endsWith(".test.ts") && /from ["']@effect\/vitest["']/.test(readFileSync(join(root, file), "utf8"))
      )
        .map((file) => `${file}: import it from test/support/vitest.ts, whose TestClock does not go on after a second`)
    )
  })

  it("CONTRIBUTING names what is there, and every folder", () => {
    const text = readFileSync(join(root, "CONTRIBUTING.md"), "utf8")
    const named = [...text.matchAll(/`((?:src|test|docs|examples|benchmark|\.ci)\/[\w./-]+)`/g)].map(([, path]) =>
      path!
    )
    assert.isAbove(named.length, 40)
    none(
      named.filter((path) => !path.includes("/.") && !existsSync(join(root, path))).map((path) =>
        `CONTRIBUTING names ${path}: it is not there`
      )
    )
    none(
      [...new Set(modules.map((module) => dirname(module)))].filter((folder) =>
        !text.includes(`${basename(resolve(src, folder))}/`)
      )
        .map((folder) => `CONTRIBUTING does not name the folder src/${folder}`)
    )
  })
})
