/** What the clients of other languages need on this machine: programs run with a time limit, and folders made once of their files. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export const here = import.meta.dirname
export const cache = join(here, ".cache")

/** Milliseconds: one download and build, all of them together, and one client's whole checklist. */
export const limits = { preparing: 240_000, preparingAll: 600_000, running: 150_000 }

export interface Ended {
  /** Undefined where the program could not be started, or was ended because its time was up. */
  readonly code: number | undefined
  readonly problem: string | undefined
  readonly output: string
}

/** A program with all its children, ended when its time is up. */
export const execute = (
  command: ReadonlyArray<string>,
  options: { readonly timeout: number; readonly env?: Record<string, string>; readonly cwd?: string }
): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(command[0]!, command.slice(1), {
      cwd: options.cwd ?? here,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true
    })
    let output = ""
    let problem: string | undefined
    const timer = setTimeout(() => {
      problem = `ended after ${options.timeout / 1000} s`
      process.kill(-child.pid!, "SIGKILL")
    }, options.timeout)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8")
      stream.on("data", (text: string) => {
        output += text
      })
    }
    const end = (code: number | undefined) => {
      clearTimeout(timer)
      resolve({ code: problem === undefined ? code : undefined, problem, output })
    }
    child.once("error", (error) => {
      problem = error.message
      end(undefined)
    })
    child.once("close", (code, signal) => {
      if (signal !== null) problem ??= `ended by ${signal}`
      end(code ?? undefined)
    })
  })

export class LeftOut extends Error {}

const preparingEnds = Date.now() + limits.preparingAll

/** A step of preparing; a client whose step fails is left out. */
export const step = async (what: string, command: ReadonlyArray<string>, options: {
  readonly env?: Record<string, string>
  readonly cwd?: string
} = {}) => {
  const timeout = Math.min(limits.preparing, preparingEnds - Date.now())
  if (timeout <= 0) throw new LeftOut(`${what}: no time is left for downloads`)
  const { code, output, problem } = await execute(command, { ...options, timeout })
  if (code === 0) return output
  const last = output.trim().split("\n").slice(-3).join(" | ")
  throw new LeftOut(`${what} failed (${problem ?? `exit code ${code}`}): ${last.slice(-400)}`)
}

/**
 * Builds a program that is ours: where that fails it is a failure, and not a client that is left out, unless its time was up, which
 * says nothing of the program.
 */
export const build = async (...[what, command, options = {}]: Parameters<typeof step>) => {
  const { code, output, problem } = await execute(command, { ...options, timeout: limits.preparing })
  if (code === undefined) throw new LeftOut(`${what} was ${problem}`)
  if (code !== 0) throw new Error(`${what} failed (exit code ${code}):\n${output}`)
}

export const needs = async (command: string, ...args: ReadonlyArray<string>) => {
  const { code } = await execute([command, ...args], { timeout: 30_000, cwd: here })
  if (code !== 0) throw new LeftOut(`this machine has no usable ${command}`)
}

const filesUnder = (path: string): ReadonlyArray<string> =>
  statSync(path).isDirectory()
    ? readdirSync(path).toSorted().flatMap((name) => filesUnder(join(path, name)))
    : [path]

/** Makes a folder of the cache, unless it was made of the same files before. */
export const once = async (name: string, sources: ReadonlyArray<string>, make: (folder: string) => Promise<void>) => {
  const hash = createHash("sha256")
  for (const file of sources.flatMap((source) => filesUnder(join(here, source)))) hash.update(readFileSync(file))
  const digest = hash.digest("hex")
  const folder = join(cache, name)
  const stamp = join(folder, ".made-of")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return folder
  rmSync(stamp, { force: true })
  mkdirSync(folder, { recursive: true })
  await make(folder)
  writeFileSync(stamp, digest)
  return folder
}
