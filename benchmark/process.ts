// The processes of a measurement, each on a core of its own, and the machine that they run on.
import { execFileSync, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Os from "node:os"
import { join } from "node:path"

const hasTaskset = (): boolean => {
  if (Os.availableParallelism() < 2) return false
  try {
    execFileSync("taskset", ["-c", "0,1", "true"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

const pinned = hasTaskset()

/** Starts a module of this folder on one core: what is measured does not share it with the broker. */
export const start = (
  role: "broker" | "client",
  module: string,
  argument: object,
  env: Readonly<Record<string, string>> = {}
) => {
  const command = [process.execPath, join(import.meta.dirname, module), JSON.stringify(argument)]
  const [file, ...args] = pinned ? ["taskset", "-c", role === "broker" ? "0" : "1", ...command] : command
  return spawn(file!, args, { stdio: ["ignore", "pipe", "inherit", "ipc"], env: { ...process.env, ...env } })
}

const modules = join(import.meta.dirname, "..", "node_modules")

const version = (name: string): string =>
  `${name} ${JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version}`

/** What was measured with, and on what machine. */
export const machine = (packages: ReadonlyArray<string>): string =>
  [
    `Node ${process.version}`,
    `${Os.availableParallelism()} x ${Os.cpus()[0]?.model ?? "unknown CPU"}`,
    `${Os.type()} ${Os.release()}`,
    ...packages.map(version)
  ].join(", ")

/** The same of processes that `start` has started. */
export const environment = (packages: ReadonlyArray<string>): string =>
  `${machine(packages)}, ${pinned ? "broker on core 0, client on core 1" : "not pinned to cores"}`
