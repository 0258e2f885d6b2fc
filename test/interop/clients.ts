/**
 * The clients of other languages that `npm run interop` has go through their checks. A new one is an item of the list, and a section
 * of `docs/emulator-clients.md`, which `clients.test.ts` compares with it.
 */
import type * as Emulator from "effect-service-bus/emulator"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, here, needs, once, step } from "./prepare.ts"

/** A client, with what is known of it before anything is installed. */
export interface Client {
  readonly name: string
  /** The section of the page that is about it. */
  readonly section: string
  /** The folders and files, from here, that its programs consist of. */
  readonly sources: ReadonlyArray<string>
  /** Checks of its own, on a broker with these entities, in place of the checklist that all official clients go through. */
  readonly own?: { readonly checks: ReadonlyArray<string>; readonly entities: ReadonlyArray<Emulator.Entity> }
  /** Installs what it needs, and gives the programs that run it. */
  readonly prepare: () => Promise<Programs>
}

/** Each takes the names of checks. */
export interface Programs {
  readonly checklist: ReadonlyArray<string>
  /** For the checks of the command, where the client has them. */
  readonly command?: ReadonlyArray<string>
  /** The test suite of `examples/` in its language, and what it prints when its ten tests passed. */
  readonly suite?: { readonly command: ReadonlyArray<string>; readonly passed: RegExp }
}

const python = (version: string): Client => ({
  name: `python-${version}`,
  section: "Python",
  sources: ["python", "../../examples/emulator-python"],
  prepare: async () => {
    await needs("python3", "-c", "import sys, venv; sys.exit(sys.version_info < (3, 8))")
    const isNewest = version === "7.15"
    const requirements = [
      `python/requirements-${version}.txt`,
      ...(isNewest ? ["../../examples/emulator-python/requirements.txt"] : [])
    ]
    const folder = await once(`python-${version}`, requirements, async (folder) => {
      rmSync(folder, { recursive: true, force: true })
      await step("python3 -m venv", ["python3", "-m", "venv", folder])
      const packages = requirements.flatMap((file) => ["-r", file])
      await step("pip install", [join(folder, "bin/python"), "-m", "pip", "install", "-q", ...packages])
    })
    const program = (name: string) => [join(folder, "bin/python"), "-u", "-W", "ignore", `python/${name}.py`]
    if (!isNewest) return { checklist: program("interop") }
    const tests = join(here, "../../examples/emulator-python")
    return {
      checklist: program("interop"),
      command: program("command"),
      suite: {
        command: [join(folder, "bin/python"), "-B", "-m", "pytest", "-p", "no:cacheprovider", "-n", "4", tests],
        passed: /\b10 passed in /
      }
    }
  }
})

const go: Client = {
  name: "go-1.11",
  section: "Go",
  sources: ["go", "../../examples/emulator-go"],
  prepare: async () => {
    await needs("go", "version")
    const tests = "../../examples/emulator-go"
    const folder = await once("go", ["go", tests], async (folder) => {
      // Read-only folders, as Go makes them by default, could not be removed with the cache.
      const env = { GOMODCACHE: join(folder, "modules"), GOFLAGS: "-modcacherw -mod=readonly", GOTOOLCHAIN: "local" }
      await step("go mod download", ["go", "mod", "download"], { cwd: join(here, "go"), env })
      await step("go mod download", ["go", "mod", "download"], { cwd: join(here, tests), env })
      await build("go build", ["go", "build", "-o", join(folder, "interop"), "."], { cwd: join(here, "go"), env })
      await build("go test", ["go", "test", "-c", "-o", join(folder, "suite"), "."], { cwd: join(here, tests), env })
    })
    const program = [join(folder, "interop")]
    const suite = [join(folder, "suite"), "-test.v", "-test.parallel", "4"]
    return {
      checklist: program,
      command: program,
      suite: { command: suite, passed: /^(?:[^]*^--- PASS: ){10}[^]*^PASS$/m }
    }
  }
}

const java: Client = {
  name: "java-7.17",
  section: "Java",
  sources: ["java"],
  prepare: async () => {
    await needs("javac", "-version")
    await needs("mvn", "-v")
    const folder = await once("java", ["java"], async (folder) => {
      const options = [`-Dmaven.repo.local=${join(folder, "repository")}`, `-DcacheFolder=${folder}`]
      const mvn = ["mvn", "-q", "-B", "-f", "java/pom.xml", ...options]
      // The first resolves what the second needs: its plugins as well, by doing nothing with them.
      await step("mvn dependency", [...mvn, "-Dmaven.main.skip", "compile", "dependency:build-classpath"])
      await build("mvn compile", [...mvn, "-o", "compile"])
    })
    const classPath = `${join(folder, "target/classes")}:${readFileSync(join(folder, "classpath"), "utf8").trim()}`
    return { checklist: ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath, "Interop"] }
  }
}

const javascript: Client = {
  name: "javascript-7.9",
  section: "JavaScript and TypeScript",
  sources: ["javascript"],
  prepare: () => {
    const program = [process.execPath, "javascript/interop.ts"]
    return Promise.resolve({ checklist: program, command: program })
  }
}

/** All of them, in the order of the table. */
export const clients: ReadonlyArray<Client> = [
  javascript,
  python("7.15"),
  python("7.13"),
  python("7.11"),
  python("7.8"),
  go,
  java
]
