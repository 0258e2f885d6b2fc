// Bundles the built command: one file with all that its start needs, of effect and rhea too, and further ones for what it loads
// when it is asked for. A process that reads one file is ready three times as fast as one that reads 400. The licences of
// what is in it stand beside it.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { rolldown } from "rolldown"

const root = resolve(import.meta.dirname, "..")
const folder = join(root, "dist/emulator")

const bundle = await rolldown({
  input: { cli: join(folder, "cli.js") },
  platform: "node",
  // What it warns of is an error: a module that is not found is one that is looked for when somebody runs the command.
  onLog: (level, log) => {
    if (level === "warn") throw new Error(log.message)
  }
})
const { output } = await bundle.write({
  dir: folder,
  format: "esm",
  minify: true,
  entryFileNames: "[name].js",
  chunkFileNames: "cli/[name].js"
})
await bundle.close()
// It is that of the file which the bundle has replaced.
rmSync(join(folder, "cli.js.map"), { force: true })

const modules = output.flatMap((chunk) => chunk.type === "chunk" ? chunk.moduleIds : [])

/** The folders of the packages that it has parts of. */
const packages = new Set(modules.flatMap((id) => /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1] ?? []))
const licences = Array.from(packages).toSorted().map((at) => {
  const { license, name, version } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"))
  const file = readdirSync(at).find((each) => /^licen[cs]e/i.test(each))
  if (file === undefined) throw new Error(`${name} has no licence beside it`)
  return `${name} ${version} (${license})\n\n${readFileSync(join(at, file), "utf8").trim()}\n`
})
writeFileSync(
  join(folder, "cli.LICENSES.txt"),
  `The command is one file with parts of these packages in it.\n\n${licences.join(`\n${"-".repeat(80)}\n\n`)}`
)
if (process.argv.includes("--list")) {
  for (const id of modules.toSorted()) console.log(relative(root, id))
}
for (const { fileName } of output) {
  if (!existsSync(join(folder, fileName))) throw new Error(`${dirname(fileName)} was not written`)
}
