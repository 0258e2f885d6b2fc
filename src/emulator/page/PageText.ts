/**
 * The texts of the page's files, by their names. Here they are read from the folder beside this file, each as it is. In the
 * package this module is another one: the build puts the texts themselves in its place (`.ci/page.mjs`), so that bundles and the
 * command have them in them and read no file.
 *
 * A file of its own because the build replaces it.
 */
import { readdirSync, readFileSync } from "node:fs"

const folder = new URL("./client/", import.meta.url)

const read = (): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(folder).filter((name) => /\.(html|css|js|svg)$/.test(name))
      .map((name) => [name, readFileSync(new URL(name, folder), "utf8")])
  )

/** The texts, as they are now. */
export const texts: () => ReadonlyMap<string, string> = read
