/**
 * That `docs/emulator-clients.md` says of each client what `npm run interop` does: what is said to run here is in the list of
 * clients and has programs, the checks that are named are theirs, and the code on the page is code of the programs.
 */
import { Effect } from "effect"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "../support/vitest.ts"
import { checks } from "./checks.ts"
import { type Client, clients } from "./clients.ts"
import { commandChecks } from "./command.ts"

const here = import.meta.dirname

/** What is known of a section before its text is read. */
interface Section {
  readonly title: string
  /** The names of clients that are said to run here; none where it says that none does. */
  readonly run: ReadonlyArray<string>
  readonly isSaid: boolean
  readonly checks: ReadonlyArray<string>
  /** Code of programs, with its language. */
  readonly code: ReadonlyArray<{ readonly language: string; readonly text: string }>
}

const namesIn = (text: string) => Array.from(text.matchAll(/`([^`]+)`/g), ([, name]) => name!)

const sectionsOf = (page: string): ReadonlyArray<Section> =>
  page.split(/^## /m).slice(1).map((text) => {
    const known = new Set(clients.map(({ name }) => name))
    const [, said] = /^\*\*(Run|Not run) here\*\*: ./m.exec(text) ?? []
    const [run = ""] = /^\*\*Run here\*\*: .*$/m.exec(text) ?? []
    return {
      title: text.split("\n", 1)[0]!,
      run: namesIn(run).filter((name) => known.has(name)),
      isSaid: said !== undefined && (said === "Run") === namesIn(run).some((name) => known.has(name)),
      checks: Array.from(text.matchAll(/^\| .* \| ([^|]*) \|$/gm), ([, cell]) => namesIn(cell!)).flat(),
      code: Array.from(text.matchAll(/^```(\w+)\n([^]*?)^```$/gm), ([, language, code]) => ({
        language: language!,
        text: code!
      })).filter(({ language }) => !["sh", "text"].includes(language))
    }
  })

const filesUnder = (path: string): ReadonlyArray<string> =>
  statSync(path).isDirectory()
    ? readdirSync(path).flatMap((name) => name.startsWith(".") ? [] : filesUnder(join(path, name)))
    : [path]

/** Without indentation, which is another one within a function. */
const flat = (text: string) => text.split("\n").map((line) => line.trim()).filter((line) => line !== "").join("\n")

const clientsOf = ({ title }: Section) => clients.filter(({ section }) => section === title)

const checksOf = ({ own }: Client) => own?.checks ?? [...Object.keys(checks), ...commandChecks]

/** What a page says that does not hold. */
const problemsOf = (page: string): ReadonlyArray<string> => {
  const sections = sectionsOf(page)
  const titles = new Set(sections.map(({ title }) => title))
  return [
    ...clients.flatMap(({ name, section }) => titles.has(section) ? [] : `${name} has no section ${section}`),
    ...sections.flatMap((section) => {
      const its = clientsOf(section)
      const known = new Set(its.flatMap(checksOf))
      const programs = its.flatMap(({ sources }) => sources).map((source) => join(here, source))
      const sources = its.length === 0
        ? []
        : programs.flatMap(filesUnder).map((file) => flat(readFileSync(file, "utf8")))
      return [
        ...(section.isSaid ? [] : ["says neither what runs here nor that nothing does"]),
        ...its.flatMap(({ name }) => section.run.includes(name) ? [] : `does not name ${name}`),
        ...section.run.flatMap((name) =>
          its.some((client) => client.name === name) ? [] : `${name} is of another section`
        ),
        ...section.checks.flatMap((check) => its.length === 0 || known.has(check) ? [] : `has no check ${check}`),
        ...its.flatMap(({ own }) => own?.checks ?? [])
          .flatMap((check) => section.checks.includes(check) ? [] : `does not tell of ${check}`),
        ...section.code.flatMap(({ text }) =>
          its.length === 0 || sources.some((source) => source.includes(flat(text)))
            ? []
            : `shows what is in no program: ${text.split("\n", 1)[0]}`
        )
      ].map((problem) => `${section.title}: ${problem}`)
    })
  ]
}

describe("the page on clients", () => {
  const page = readFileSync(join(here, "../../docs/emulator-clients.md"), "utf8")

  it.effect("says what npm run interop does, and shows its code", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(problemsOf(page), [])
      const shown = sectionsOf(page).filter(({ run }) => run.length > 0)
      assert.deepStrictEqual(shown.filter(({ checks, code }) => checks.length === 0 || code.length === 0), [])
    }))

  it.effect("every client has its programs", () =>
    Effect.sync(() => {
      const missing = clients.flatMap(({ sources }) => sources).filter((source) => !existsSync(join(here, source)))
      assert.deepStrictEqual(missing, [])
    }))

  it.effect("what is wrong is found: a client that is not told of, a check and code that are none", () =>
    Effect.sync(() => {
      const wrong = page
        .replace("`go-1.11`", "azservicebus")
        .replace("| `tls` |", "| `tsl` |")
        .replace("receiver.complete_message(message)", "receiver.complete(message)")
        .replace("## Java\n", "## Jawa\n")
        .replace(/\*\*Not run here\*\*: [^\n]*/, "")
      assert.deepStrictEqual(problemsOf(wrong), [
        "java-7.17 has no section Java",
        "JavaScript and TypeScript: has no check tsl",
        "Python: shows what is in no program: import os",
        "Go: says neither what runs here nor that nothing does",
        "Go: does not name go-1.11",
        "Jawa: java-7.17 is of another section",
        ".NET: says neither what runs here nor that nothing does"
      ])
    }))
})
