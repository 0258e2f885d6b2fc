// npm run interop [-- --only python-7.8,go] [--check defer,command-state] [--verbose]
// Runs the official clients of other languages against the broker over its ports, each on a broker of its own, and three of them
// through a second checklist with the built command, which they start themselves; fails if one of their checks does. A client that this machine cannot have (no toolchain, or its packages cannot be
// downloaded) is left out, and that is said at the end.
import { Effect, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { selfSigned } from "../../src/emulator/security/Certificate.ts"
import { checks, entities, identities } from "./checks.ts"
import { commandChecks, startsIn } from "./command.ts"

const here = import.meta.dirname
const cache = join(here, ".cache")

/** Milliseconds: one download and build, all of them together, and one client's whole checklist. */
const limits = { preparing: 240_000, preparingAll: 360_000, running: 150_000 }

interface Ended {
  /** Undefined where the program could not be started, or was ended because its time was up. */
  readonly code: number | undefined
  readonly problem: string | undefined
  readonly output: string
}

/** A program with all its children, ended when its time is up. */
const execute = (
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

class LeftOut extends Error {}

const preparingEnds = Date.now() + limits.preparingAll

/** A step of preparing; a client whose step fails is left out. */
const step = async (what: string, command: ReadonlyArray<string>, options: {
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

/** Builds a program that is ours: where that fails it is a failure, and not a client that is left out. */
const build = async (...[what, command, options = {}]: Parameters<typeof step>) => {
  const { code, output, problem } = await execute(command, { ...options, timeout: limits.preparing })
  if (code !== 0) throw new Error(`${what} failed (${problem ?? `exit code ${code}`}):\n${output}`)
}

const needs = async (command: string, ...args: ReadonlyArray<string>) => {
  const { code } = await execute([command, ...args], { timeout: 30_000, cwd: here })
  if (code !== 0) throw new LeftOut(`this machine has no usable ${command}`)
}

const filesUnder = (path: string): ReadonlyArray<string> =>
  statSync(path).isDirectory()
    ? readdirSync(path).toSorted().flatMap((name) => filesUnder(join(path, name)))
    : [path]

/** Makes a folder of the cache, unless it was made of the same files before. */
const once = async (name: string, sources: ReadonlyArray<string>, make: (folder: string) => Promise<void>) => {
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

interface Client {
  readonly name: string
  /** Installs what it needs, and gives the programs that run it. */
  readonly prepare: () => Promise<Programs>
}

/** Each takes the names of checks. */
interface Programs {
  readonly checklist: ReadonlyArray<string>
  /** For the checks of the command, where the client has them. */
  readonly command?: ReadonlyArray<string>
  /** The test suite of `examples/` in its language, and what it prints when its ten tests passed. */
  readonly suite?: { readonly command: ReadonlyArray<string>; readonly passed: RegExp }
}

const python = (version: string): Client => ({
  name: `python-${version}`,
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
  prepare: () => {
    const program = [process.execPath, "javascript/interop.ts"]
    return Promise.resolve({ checklist: program, command: program })
  }
}

const all: ReadonlyArray<Client> = [javascript, python("7.15"), python("7.13"), python("7.11"), python("7.8"), go, java]

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    check: { type: "string" },
    verbose: { type: "boolean", default: false }
  }
})
const wanted = values.only?.split(",")
const clients = all.filter(({ name }) =>
  wanted === undefined || wanted.some((one) => name === one || name.startsWith(`${one}-`))
)
/** The check of the command that is no function of a program, but a test suite as a user has it. */
const suiteCheck = "command-suite"
const known = [...Object.keys(checks), ...commandChecks, suiteCheck]
const asked = values.check?.split(",") ?? known
const unknown = asked.filter((name) => !known.includes(name))
if (clients.length === 0 || unknown.length > 0) {
  console.error(`--only takes ${all.map(({ name }) => name).join(", ")}; --check takes ${known.join(", ")}`)
  process.exit(2)
}
const askedOfClients = asked.filter((name) => name in checks)
const askedOfCommand = asked.filter((name) => commandChecks.includes(name) || name === suiteCheck)

type CheckResult = { readonly kind: "ok" | "not ok" | "skip"; readonly text: string }

interface Report {
  readonly name: string
  readonly results: ReadonlyMap<string, CheckResult>
  readonly seconds: number
}

/** What a client printed: `ok NAME`, `not ok NAME: what came`, `skip NAME: why`; all else is its own noise. */
const resultsOf = (
  { code, output, problem }: Ended,
  asked: ReadonlyArray<string>
): ReadonlyMap<string, CheckResult> => {
  const results = new Map<string, CheckResult>()
  for (const line of output.split("\n")) {
    const match = /^(ok|not ok|skip) ([a-z0-9-]+)(?:: (.*))?$/.exec(line.trimEnd())
    if (match !== null) results.set(match[2]!, { kind: match[1] as CheckResult["kind"], text: match[3] ?? "" })
  }
  const last = output.trim().split("\n").slice(-8).join(" | ").slice(-600)
  for (const name of asked) {
    if (results.has(name)) continue
    const text = `said nothing (${problem ?? `exit code ${code}`}); its last words: ${last}`
    results.set(name, { kind: "not ok", text })
  }
  return results
}

/** A client's checklist on a broker of its own. */
const run = (name: string, command: ReadonlyArray<string>): Promise<Report> =>
  Effect.gen(function*() {
    const { certificate, connectionString, httpPort, httpsPort, port, tlsPort, webSocketPort } = yield* Emulator
      .Emulator
    const authority = join(cache, `${name}.pem`)
    mkdirSync(cache, { recursive: true })
    writeFileSync(authority, certificate!)
    const started = Date.now()
    const ended = yield* Effect.promise(() =>
      execute([...command, ...askedOfClients], {
        timeout: limits.running,
        env: {
          INTEROP_CLIENT: name,
          INTEROP_CONNECTION: Redacted.value(connectionString),
          INTEROP_PORT: String(port),
          INTEROP_TLS_PORT: String(tlsPort),
          INTEROP_WEB_SOCKET_PORT: String(webSocketPort),
          INTEROP_HTTP_PORT: String(httpPort),
          INTEROP_HTTPS_PORT: String(httpsPort),
          INTEROP_CA: authority
        }
      })
    )
    if (values.verbose) console.log(`---- ${name}\n${ended.output}\n----`)
    return { name, results: resultsOf(ended, askedOfClients), seconds: (Date.now() - started) / 1000 }
  }).pipe(
    Effect.provide(Emulator.layerServer({
      entities,
      identities,
      namespaces: "any",
      tlsPort: 0,
      webSocketPort: 0,
      httpPort: 0,
      httpsPort: 0
    })),
    Effect.scoped,
    Effect.runPromise
  )

/** The built command under the name that it has where the package is installed. */
const installed = (() => {
  const folder = join(cache, "bin")
  mkdirSync(folder, { recursive: true })
  const program = join(folder, "effect-service-bus")
  const command = join(here, "../../dist/emulator/cli.js")
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${command}" "$@"\n`, { mode: 0o755 })
  return folder
})()

/** Those of the path that a test suite has, with the command in it. */
const path = [installed, dirname(process.execPath), process.env["PATH"]].join(":")

/** A client's checks of the command, which its program starts, and the test suite in its language. */
const runCommand = async (name: string, { command, suite }: Programs): Promise<Report> => {
  const started = Date.now()
  const folder = join(cache, `${name}-command`)
  mkdirSync(folder, { recursive: true })
  const { cert, key } = selfSigned()
  writeFileSync(join(folder, "cert.pem"), cert)
  writeFileSync(join(folder, "key.pem"), key)
  const env = { PATH: path, INTEROP_CLIENT: name, INTEROP_STARTS: JSON.stringify(startsIn(folder)) }
  const names = askedOfCommand.filter((name) => name !== suiteCheck)
  const ended = await execute([...command!, ...names], { timeout: limits.running, env })
  if (values.verbose) console.log(`---- ${name}, the command\n${ended.output}\n----`)
  const results = new Map(resultsOf(ended, names))
  if (askedOfCommand.includes(suiteCheck)) results.set(suiteCheck, await runSuite(suite, env))
  return { name, results, seconds: (Date.now() - started) / 1000 }
}

const runSuite = async (suite: Programs["suite"], env: Record<string, string>): Promise<CheckResult> => {
  if (suite === undefined) return { kind: "skip", text: "its test suite is examples/*.test.ts, which npm test runs" }
  const { code, output, problem } = await execute(suite.command, { timeout: limits.running, env })
  return code === 0 && suite.passed.test(output)
    ? { kind: "ok", text: "" }
    : { kind: "not ok", text: `${problem ?? `exit code ${code}`}: ${output.trim().split("\n").slice(-20).join(" | ")}` }
}

const leftOut: Array<string> = []

const prepared: Array<{ readonly name: string; readonly programs: Programs }> = []
for (const { name, prepare } of clients) {
  try {
    prepared.push({ name, programs: await prepare() })
  } catch (error) {
    if (!(error instanceof LeftOut)) throw error
    leftOut.push(`${name}: ${error.message}`)
    console.log(`LEFT OUT ${name}: ${error.message}`)
  }
}

const reports: Array<Report> = []
const commandReports: Array<Report> = []
const tasks = prepared.flatMap(({ name, programs }) => [
  ...(askedOfClients.length === 0
    ? []
    : [async () => reports.push(tell("", await run(name, programs.checklist)))]),
  ...(askedOfCommand.length === 0 || programs.command === undefined
    ? []
    : [async () => commandReports.push(tell(" with the command", await runCommand(name, programs)))])
])
const tell = (what: string, report: Report) => {
  console.log(`ran ${report.name}${what} in ${report.seconds.toFixed(0)} s`)
  return report
}
// Two at a time: they wait more than they work. From the end, near which the one stands that takes longest, Python 7.8.
const worker = async () => {
  for (let next = tasks.pop(); next !== undefined; next = tasks.pop()) await next()
}
await Promise.all([worker(), worker()])

/** Prints a table: a line for each check, a column for each client. */
const printTable = (asked: ReadonlyArray<string>, columns: ReadonlyArray<Report>) => {
  if (columns.length === 0) return
  const width = Math.max(...asked.map((name) => name.length))
  console.log(`\n${"".padEnd(width)}  ${columns.map(({ name }) => name).join("  ")}`)
  for (const check of asked) {
    const cells = columns.map(({ name, results }) => {
      const { kind } = results.get(check)!
      return (kind === "ok" ? "ok" : kind === "skip" ? "-" : "NOT OK").padEnd(name.length)
    })
    console.log(`${check.padEnd(width)}  ${cells.join("  ")}`.trimEnd())
  }
}
const ordered = (reports: ReadonlyArray<Report>) =>
  prepared.flatMap(({ name }) => reports.find((report) => report.name === name) ?? [])
printTable(askedOfClients, ordered(reports))
printTable(askedOfCommand, ordered(commandReports))
const columns = [...ordered(reports), ...ordered(commandReports)]

const say = (kind: CheckResult["kind"]) =>
  columns.flatMap(({ name, results }) =>
    [...results].filter(([, result]) => result.kind === kind).map(([check, { text }]) => `${name} ${check}: ${text}`)
  )
const failures = say("not ok")
const skipped = say("skip")
if (skipped.length > 0) console.log(`\n- stands where the client has no such thing:\n  ${skipped.join("\n  ")}`)
if (failures.length > 0) console.log(`\nNot ok:\n  ${failures.join("\n  ")}`)
if (leftOut.length > 0) {
  const line = "!".repeat(100)
  console.log(`\n${line}\nLEFT OUT, and so not tested here:\n  ${leftOut.join("\n  ")}\n${line}`)
}
const passed = say("ok").length
console.log(
  `\n${prepared.length} of ${clients.length} clients ran${leftOut.length > 0 ? `, ${leftOut.length} LEFT OUT` : ""}`
)
console.log(`${passed} passed, ${failures.length} failed, ${skipped.length} skipped`)
process.exitCode = failures.length === 0 && columns.length > 0 ? 0 : 1
