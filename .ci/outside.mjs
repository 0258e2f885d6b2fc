// What the checks of the packed package share: a folder outside of the checkout, commands in it, the tarball.
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

export const root = resolve(import.meta.dirname, "..")

export const { devDependencies, engines, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** Node at its oldest that the package supports. */
export const oldest = /^>=(\d+\.\d+)$/.exec(engines.node)[1] + ".0"

export const run = (command, args, cwd, options) => {
  try {
    return execFileSync(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8", ...options })
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")}\n${error.stdout}${error.stderr}`, { cause: error })
  }
}

export const npm = (args, cwd) => run("npm", [...args, "--no-audit", "--no-fund"], cwd)

/** The program of the README's quick start, and what the README says that it prints. */
export const quickStart = () => {
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const [, program, printed] = /```ts\n([^]*?)```\n+```text\n([^]*?)```/.exec(readme)
  return { program, printed }
}

/** Works in a folder that is gone afterwards. */
export const inFolder = (use) => {
  const work = mkdtempSync(join(tmpdir(), "effect-service-bus-"))
  try {
    use({
      project: (name) => {
        const folder = join(work, name)
        mkdirSync(folder)
        writeFileSync(join(folder, "package.json"), JSON.stringify({ name, private: true, type: "module" }))
        return folder
      },
      folder: (name) => {
        const folder = join(work, name)
        mkdirSync(folder)
        return folder
      },
      tarball: () => {
        const [{ filename }] = JSON.parse(
          run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", work], root)
        )
        return join(work, filename)
      }
    })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
