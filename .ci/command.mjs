// Bundles the built command: one file with all that its start needs, of effect and rhea too, and further ones for what it loads
// when it is asked for. A process that reads one file is ready three times as fast as one that reads 400. The licences of
// what is in it stand beside it.
import { existsSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { rolldown } from "rolldown"
import { licences, licencesOf } from "./licences.mjs"

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

writeFileSync(
  join(folder, "cli.LICENSES.txt"),
  licences("The command is one file with parts of these packages in it.", licencesOf(modules))
)
if (process.argv.includes("--list")) {
  for (const id of modules.toSorted()) console.log(relative(root, id))
}
for (const { fileName } of output) {
  if (!existsSync(join(folder, fileName))) throw new Error(`${dirname(fileName)} was not written`)
}
