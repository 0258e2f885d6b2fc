// Puts the page's files, as texts, into the module that hands them out: its scripts as one, without what only people need. What
// runs the package reads no file for it, and a bundle of it has all of it. As a program it does so to what is built; whatever
// is bundled out of `src` has `page` among its plugins.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { rolldown } from "rolldown"

const root = resolve(import.meta.dirname, "..")
const client = join(root, "src/emulator/page/client")
const built = join(root, "dist/emulator/page/PageText.js")

/** Bytes of all of it, which the package has twice: most people install that to send a message. */
const most = 74 * 1024

/** The module, and how many bytes of files it has. */
const make = async () => {
  const bundle = await rolldown({
    input: { main: join(client, "main.js") },
    platform: "browser",
    onLog: (level, log) => {
      if (level === "warn") throw new Error(log.message)
    }
  })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  await bundle.close()
  if (output.length !== 1) throw new Error("the page has more than one script")
  const texts = new Map([["main.js", output[0].code]])
  for (const name of readdirSync(client)) {
    const text = () => readFileSync(join(client, name), "utf8")
    if (name.endsWith(".css")) texts.set(name, text().replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/\s+/g, " "))
    else if (/\.(html|svg)$/.test(name)) texts.set(name, text())
  }
  const size = Array.from(texts.values(), (text) => Buffer.byteLength(text)).reduce((sum, bytes) => sum + bytes, 0)
  if (size > most) throw new Error(`the page has ${size} bytes, of ${most} that it may have`)
  return { size, code: `const all = new Map(${JSON.stringify([...texts])});\nexport const texts = () => all;\n` }
}

/** A plugin of Rolldown. */
export const page = {
  name: "page",
  load: async (id) => {
    if (!/[\\/]emulator[\\/]page[\\/]PageText\.ts$/.test(id)) return null
    const { code } = await make()
    return { code, moduleType: "js" }
  }
}

if (import.meta.main) {
  const { code, size } = await make()
  writeFileSync(built, code)
  rmSync(`${built}.map`, { force: true })
  console.log(`the page: ${size} bytes`)
}
