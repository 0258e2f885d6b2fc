// The licences of the packages that a bundle has parts of, as one text. A package without one is an error.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** A licence under the name of what it is of. */
export const licence = (title, text) => `${title}\n\n${text.trim()}\n`

/** Licences one below the other. */
export const licences = (head, all) => `${head}\n\n${all.join(`\n${"-".repeat(80)}\n\n`)}`

/** Those of the packages that these modules are of. */
export const licencesOf = (modules) => {
  const packages = new Set(modules.flatMap((id) => /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1] ?? []))
  return Array.from(packages).toSorted().map((at) => {
    const { license, name, version } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"))
    const file = readdirSync(at).find((each) => /^licen[cs]e/i.test(each))
    if (file === undefined) throw new Error(`${name} has no licence beside it`)
    return licence(`${name} ${version} (${license})`, readFileSync(join(at, file), "utf8"))
  })
}
