// `npm run docs`: builds the site of the API reference into docs/api/site. typedoc and its TypeScript are installed here first
// where they are missing, or other than the lockfile says.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const here = import.meta.dirname
const run = (command, args) => {
  const { error, status } = spawnSync(command, args, { cwd: here, stdio: "inherit" })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

const versionsIn = (file) => {
  const { packages } = JSON.parse(readFileSync(join(here, file), "utf8"))
  return JSON.stringify(Object.entries(packages).flatMap(([path, { version }]) => path === "" ? [] : [path, version]))
}
const installed = "node_modules/.package-lock.json"
if (!existsSync(join(here, installed)) || versionsIn(installed) !== versionsIn("package-lock.json")) {
  run("npm", ["ci", "--no-audit", "--no-fund"])
}
run(process.execPath, ["node_modules/typedoc/bin/typedoc"])
