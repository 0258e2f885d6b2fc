/**
 * The options that callers can give, as the source declares them and as the pages tell of them. A table of options stands
 * below a comment that names what it documents: `<!-- options: ServiceBusReceiver.Options -->`.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Page, root } from "./codeBlocks.ts"

/** What each option is declared with, or told to be, by the name of the option. */
export type Options = ReadonlyMap<string, string>

const read = (path: string) => readFileSync(join(root, path), "utf8")

const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

/** Spaces, line breaks, `undefined` and the parentheses around a whole type make no difference. */
const plain = (type: string): string => {
  const text = type.replace(/\s+/g, " ").replace(/(?<=\() | (?=\))/g, "").replace(/\s*\|\s*undefined\b/g, "").replace(
    /^\s*\|/,
    ""
  ).trim()
  return /^\([^()]*(\([^()]*\)[^()]*)*\)$/.test(text) ? text.slice(1, -1).trim() : text
}

/** The text between the brace at an index and the one that closes it. */
const braced = (text: string, start: number): string => {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    if (text[at] === "{") depth++
    if (text[at] === "}" && --depth === 0) return text.slice(start + 1, at)
  }
  throw new Error("a brace is not closed")
}

/** The members of a type literal: `readonly name?: type`, ended by a new line or a semicolon outside of any bracket. */
const membersOf = (body: string): Map<string, string> => {
  const members = new Map<string, string>()
  const open = /[({[<]/
  let depth = 0
  let current = ""
  const end = () => {
    const [, name, type] = /^\s*readonly (\w+)\??:([\s\S]*)$/.exec(current) ?? []
    if (name !== undefined) members.set(name, plain(type!))
    current = ""
  }
  for (const [at, char] of [...body].entries()) {
    const isArrow = char === ">" && body[at - 1] === "="
    if (open.test(char)) depth++
    if (/[)}\]>]/.test(char) && !isArrow) depth--
    if (depth === 0 && (char === ";" || char === "\n" && /^\s*(readonly |$)/.test(body.slice(at + 1)))) end()
    else current += char
  }
  end()
  return members
}

/** What callers give by an interface of its own. */
const given = /(Options?|Which|Policy|FaultTarget|NetworkConditions|NetworkLoss|OutgoingMessage)$/

/** Names for unions of words, which a page spells out. */
const aliases = (): ReadonlyMap<string, string> => {
  const source = withoutComments(read("src/internal/options.ts"))
  return new Map(
    Array.from(source.matchAll(/export type (\w+) = ((?:"\w+"[ |]*)+)$/gm), ([, name, type]) => [name!, plain(type!)])
  )
}

const interfacesOf = (source: string): ReadonlyArray<readonly [name: string, Options]> => {
  const known = aliases()
  return Array.from(
    source.matchAll(/export interface (\w+)(?:<((?:[^<>]|<[^<>]*>)*)>)?[^{]*\{/g),
    ({ 0: head, 1: name, 2: parameters = "", index }) => {
      const members = membersOf(braced(source, index + head.length - 1))
      for (const [member, type] of members) {
        const constraint = new RegExp(`\\b${type.replace(/\W/g, "")} extends (\\w+)`).exec(parameters)?.[1] ?? type
        members.set(member, known.get(constraint) ?? constraint)
      }
      return [name!, members] as const
    }
  )
}

/** What callers give to a function by a type literal: `options: { … }`. */
const literalsOf = (source: string): ReadonlyArray<readonly [name: string, Options]> => {
  const found = new Map<string, Map<string, string>>()
  for (const section of source.split(/^(?=export |const |class )/m)) {
    const name = /^export const (\w+)/.exec(section)?.[1]
    if (name === undefined) continue
    const signature = section.split(/^\} = |=>\s*$|=> ?\(?\{$/m)[0]!
    for (const { 0: head, index } of signature.matchAll(/options\??: \{/g)) {
      const members = found.get(name) ?? new Map<string, string>()
      found.set(name, members)
      for (const [member, declared] of membersOf(braced(section, index + head.length - 1))) {
        // A type parameter, with checks of it, is what it extends.
        const parameter = /^(\w+)(?: & [\w.]+<\w+>)*$/.exec(declared)?.[1]
        const type = new RegExp(`\\b${parameter ?? " "} extends ([\\w.]+)`).exec(signature)?.[1] ?? declared
        // Overloads of a flag that is `true` in one and `false` in another.
        members.set(member, type === "true" || type === "false" ? "boolean" : type)
      }
    }
  }
  return Array.from(found)
}

/** All options of the public modules and of the command, by what takes them. */
export const declared = (): ReadonlyMap<string, Options> => {
  const found = new Map<string, Options>()
  const add = (module: string, [name, members]: readonly [string, Options]) => {
    if (members.size > 0) found.set(`${module}.${name}`, members)
  }
  const modules = readdirSync(join(root, "src")).filter((file) => file.endsWith(".ts")).map((file) => [file, file])
  for (
    const [file, path] of [
      ...modules,
      ["Emulator.ts", "emulator/Emulator.ts"],
      ["Emulator.ts", "emulator/Controls.ts"],
      ["Emulator.ts", "emulator/Fault.ts"],
      ["Emulator.ts", "emulator/FaultyNetwork.ts"],
      ["Emulator.ts", "emulator/Policies.ts"]
    ]
  ) {
    const source = withoutComments(read(`src/${path}`))
    const module = file!.replace(/\.ts$/, "")
    for (const entry of interfacesOf(source)) if (given.test(entry[0])) add(module, entry)
    for (const entry of literalsOf(source)) add(module, entry)
  }
  // Declared below the surface, and exported by it.
  for (const entry of interfacesOf(withoutComments(read("src/internal/options.ts")))) add("ServiceBusReceiver", entry)
  const entity = interfacesOf(withoutComments(read("src/emulator/broker/EntityOptions.ts")))
  const identity = interfacesOf(withoutComments(read("src/emulator/security/Identity.ts")))
  for (const [name, members] of [...entity, ...identity]) {
    if (name.endsWith("Options")) add("Emulator", [name, members])
  }
  const settings = interfacesOf(withoutComments(read("src/internal/administration/EntitySettings.ts")))
  for (const [name, members] of settings) {
    if (/(Settings|Changes)$/.test(name)) add("ServiceBusAdministration", [name, members])
  }
  const flags = read("src/emulator/CommandLine.ts").matchAll(/^\s+"?([\w-]+)"?: \{ type: "(?:string|boolean)"/gm)
  found.set("cli", new Map(Array.from(flags, ([, name]) => [`--${name}`, ""])))
  return found
}

/** All options that the pages have tables of. */
export const documented = (pages: ReadonlyArray<Page>): ReadonlyMap<string, Options> => {
  const found = new Map<string, Options>()
  for (const { path, text } of pages) {
    for (const [, name, table] of text.matchAll(/<!-- options: ([\w.]+) -->\n\n((?:\|.*\n)+)/g)) {
      if (found.has(name!)) throw new Error(`${path}: a second table of ${name}`)
      const rows = table!.trimEnd().split("\n").slice(2).map((row) =>
        row.split(/(?<!\\)\|/).slice(1, 3).map((cell) => cell.trim().replace(/^`|`$/g, "").replaceAll("\\|", "|"))
      )
      found.set(name!, new Map(rows.map(([option, type]) => [option!, name === "cli" ? "" : plain(type!)])))
    }
  }
  return found
}

/** What one of two has and the other does not, or tells otherwise. */
export const differences = (source: ReadonlyMap<string, Options>, pages: ReadonlyMap<string, Options>) => {
  const found: Array<string> = []
  for (const name of new Set([...source.keys(), ...pages.keys()])) {
    const [declares, tells] = [source.get(name), pages.get(name)]
    if (declares === undefined) found.push(`${name}: a page has a table of it, and no type or function declares it`)
    else if (tells === undefined) found.push(`${name}: no page has a table of it (${[...declares.keys()].join(", ")})`)
    else {
      for (const option of new Set([...declares.keys(), ...tells.keys()])) {
        const [type, told] = [declares.get(option), tells.get(option)]
        if (type === undefined) found.push(`${name}: a page tells of ${option}, which is not declared`)
        else if (told === undefined) found.push(`${name}: ${option} is declared, and no page tells of it`)
        else if (type !== told) found.push(`${name}: ${option} is ${type}, and a page says ${told}`)
      }
    }
  }
  return found
}
