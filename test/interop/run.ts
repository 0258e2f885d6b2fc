// npm run interop [-- --only python-7.8,go] [--check defer,command-state] [--verbose]
// Runs clients of other languages against the broker over its ports, each on a broker of its own: Microsoft's go through one
// checklist, and three of them through a second one with the built command, which they start themselves; others have checks of their
// own. Fails if one of their checks does. A client that this machine cannot have (no toolchain, or its packages cannot be
// downloaded) is left out, and that is said at the end.
import { Effect, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { selfSigned } from "../../src/emulator/security/Certificate.ts"
import { checks, entities, identities } from "./checks.ts"
import { type Client, clients as all, type Programs } from "./clients.ts"
import { commandChecks, startsIn } from "./command.ts"
import { cache, type Ended, execute, here, LeftOut, limits } from "./prepare.ts"

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
const known = [
  ...Object.keys(checks),
  ...commandChecks,
  suiteCheck,
  ...all.flatMap(({ own }) => own?.checks ?? [])
]
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

/** A client's checks on a broker of its own. */
const run = ({ name, own }: Client, command: ReadonlyArray<string>, asked: ReadonlyArray<string>): Promise<Report> =>
  Effect.gen(function*() {
    const { certificate, connectionString, httpPort, httpsPort, port, tlsPort, webSocketPort } = yield* Emulator
      .Emulator
    const authority = join(cache, `${name}.pem`)
    mkdirSync(cache, { recursive: true })
    writeFileSync(authority, certificate!)
    const started = Date.now()
    const ended = yield* Effect.promise(() =>
      execute([...command, ...asked], {
        timeout: limits.running,
        env: {
          INTEROP_CLIENT: name,
          INTEROP_CONNECTION: Redacted.value(connectionString),
          SERVICE_BUS_CONNECTION_STR: Redacted.value(connectionString),
          INTEROP_PORT: String(port),
          INTEROP_TLS_PORT: String(tlsPort),
          INTEROP_WEB_SOCKET_PORT: String(webSocketPort),
          INTEROP_HTTP_PORT: String(httpPort),
          INTEROP_HTTPS_PORT: String(httpsPort),
          INTEROP_CA: authority,
          // Libraries of many languages read these.
          ...(own === undefined ? {} : { REQUESTS_CA_BUNDLE: authority, SSL_CERT_FILE: authority })
        }
      })
    )
    if (values.verbose) console.log(`---- ${name}\n${ended.output}\n----`)
    return { name, results: resultsOf(ended, asked), seconds: (Date.now() - started) / 1000 }
  }).pipe(
    Effect.provide(Emulator.layerServer({
      entities: own?.entities ?? entities,
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

interface Prepared {
  readonly client: Client
  readonly programs: Programs
}

const prepare = async (client: Client): Promise<ReadonlyArray<Prepared>> => {
  try {
    return [{ client, programs: await client.prepare() }]
  } catch (error) {
    if (!(error instanceof LeftOut)) throw error
    leftOut.push(`${client.name}: ${error.message}`)
    console.log(`LEFT OUT ${client.name}: ${error.message}`)
    return []
  }
}

/** Two at a time: they wait more than they work. */
const both = async (tasks: Array<() => Promise<unknown>>) => {
  const worker = async () => {
    for (let next = tasks.shift(); next !== undefined; next = tasks.shift()) await next()
  }
  await Promise.all([worker(), worker()])
}

const made = new Map<Client, ReadonlyArray<Prepared>>()
await both(clients.map((client) => async () => made.set(client, await prepare(client))))
const prepared = clients.flatMap((client) => made.get(client)!)

/** What a client is asked of its own checks, or of the checklist. */
const askedOf = ({ own }: Client) => own?.checks.filter((name) => asked.includes(name)) ?? askedOfClients

const reports: Array<Report> = []
const commandReports: Array<Report> = []
const tasks = prepared.flatMap(({ client, programs }) => [
  ...(askedOf(client).length === 0
    ? []
    : [async () => reports.push(tell("", await run(client, programs.checklist, askedOf(client))))]),
  ...(askedOfCommand.length === 0 || programs.command === undefined
    ? []
    : [async () => commandReports.push(tell(" with the command", await runCommand(client.name, programs)))])
])
const tell = (what: string, report: Report) => {
  console.log(`ran ${report.name}${what} in ${report.seconds.toFixed(0)} s`)
  return report
}
// From the end, near which the one stands that takes longest, Python 7.8.
await both(tasks.toReversed())

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
  prepared.flatMap(({ client }) => reports.find(({ name }) => name === client.name) ?? [])
const isOwn = ({ name }: Report) => prepared.some(({ client }) => client.name === name && client.own !== undefined)
printTable(askedOfClients, ordered(reports).filter((report) => !isOwn(report)))
printTable(askedOfCommand, ordered(commandReports))
const owners = ordered(reports).filter(isOwn)
if (owners.length > 0) console.log("")
for (const { name, results } of owners) {
  const marks = { ok: "ok", skip: "-", "not ok": "NOT OK" }
  console.log(`${name}: ${[...results].map(([check, { kind }]) => `${check} ${marks[kind]}`).join(", ")}`)
}
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
