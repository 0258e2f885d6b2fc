// Builds the single executable, copies it alone into an empty folder, and runs it there with an empty environment: it says its
// version, its help and what is wrong, serves everything that it has with what it loads later, has the quick start of its page
// run against it, is ready as soon as the command is, and stops when it is told to. Where `npm run interop` has left the clients
// for Python and Go, their test suites in examples/ run with it in the place of the command.
import { ServiceBusClient as Official } from "@azure/service-bus"
import { Effect, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "../benchmark/report.ts"
import { startCommand } from "../benchmark/start.ts"
import { root, run, version } from "./outside.mjs"

const work = mkdtempSync(join(tmpdir(), "effect-service-bus-"))
const folder = (name) => {
  mkdirSync(join(work, name))
  return join(work, name)
}
const alone = folder("alone")
const command = join(alone, "effect-service-bus")
const python = join(root, "test/interop/.cache/python-7.15/bin/python")
const goSuite = join(root, "test/interop/.cache/go/suite")

/** It is the only file of its folder, and nothing is in its environment. */
const place = { cwd: alone, env: {}, encoding: "utf8", timeout: 60_000 }

/** Starts it, and gives what it prints until there is a line that fits; `stop` gives its exit code. */
const start = async (args, ready, env = {}) => {
  const child = spawn(command, args, { ...place, env, stdio: ["ignore", "pipe", "inherit"] })
  const ended = once(child, "close").then(([code, signal]) => code ?? signal)
  let printed = ""
  child.stdout.setEncoding("utf8").on("data", (text) => printed += text)
  while (!ready.test(printed)) {
    const end = await Promise.race([once(child.stdout, "data").then(() => undefined), ended])
    if (end !== undefined) throw new Error(`${args.join(" ")} ended with ${end}: ${printed}`)
  }
  return { printed, stop: () => (child.kill("SIGTERM"), ended) }
}

const official = async (connectionString, body) => {
  const client = new Official(connectionString)
  await client.createSender("orders").sendMessages({ body })
  const receiver = client.createReceiver("orders")
  const [message] = await receiver.receiveMessages(1)
  await receiver.completeMessage(message)
  return { client, body: message.body }
}

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

const ours = (connectionString, options) =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Orders)
    yield* sender.send({ body: "ours" })
    const receiver = yield* ServiceBusReceiver.make(Orders)
    const [message] = yield* receiver.receive()
    yield* receiver.complete(message)
    return message.body
  }).pipe(
    Effect.scoped,
    Effect.provide(ServiceBusClient.layerConnectionString(Redacted.make(connectionString), options)),
    Effect.runPromise
  )

const saysWhatItIs = () => {
  const said = (...args) => {
    const { status, stderr, stdout } = spawnSync(command, args, place)
    return [status, stdout, stderr]
  }
  assert.deepEqual(said("--version"), [0, `effect-service-bus ${version} on Node ${process.versions.node}\n`, ""])
  const [status, help, complaints] = said("--help")
  const plain = spawnSync(process.execPath, [join(root, "dist/emulator/cli.js"), "--help"], { encoding: "utf8" })
  assert.deepEqual([status, help, complaints], [0, plain.stdout, ""])
  assert.deepEqual(said("emulator", "--nope"), [1, "", "effect-service-bus: Unknown option '--nope'; see --help\n"])
  assert.deepEqual(said(), [1, "", "effect-service-bus: give the command \"emulator\"; see --help\n"])
  // What Node itself would take as an option of its own is the command's to judge.
  assert.match(said("-e", "0")[2], /^effect-service-bus: /)
  console.log("binary: says its version, its help, and what is wrong")
}

const isNoOtherNode = async () => {
  const env = { NODE_OPTIONS: "--require ./nowhere.cjs" }
  assert.equal(spawnSync(command, ["--version"], { ...place, env }).status, 0)
  if (process.platform === "win32") return
  const child = spawn(command, ["emulator", "--port", "0", "--json"], { ...place, stdio: ["ignore", "pipe", "pipe"] })
  let complaints = ""
  child.stderr.setEncoding("utf8").on("data", (text) => complaints += text)
  const [line] = await once(child.stdout, "data")
  // Node would listen for a debugger.
  child.kill("SIGUSR1")
  const { amqpPort } = JSON.parse(line)
  assert.equal((await fetch(`http://127.0.0.1:${amqpPort}/health`)).status, 200)
  child.kill("SIGTERM")
  await once(child, "close")
  assert.equal(complaints, "")
  console.log("binary: takes no options and no debugger that are Node's")
}

const keepsLicences = (built) => {
  const text = readFileSync(join(built, "effect-service-bus.LICENSES.txt"), "utf8")
  for (const each of ["effect-service-bus\n", "effect 4", "rhea 3", "ws 8", "Node.js 24"]) {
    assert.ok(text.includes(each), each)
  }
  assert.ok(readFileSync(command).includes(text), "the licences are not in it")
  console.log("binary: has the licences of what is in it")
}

const serves = async () => {
  const config = join(folder("config"), "Config.json")
  copyFileSync(join(root, "examples/emulator-config/Config.json"), config)
  const ports = ["port", "admin-port", "tls-port", "websocket-port", "https-port"].flatMap((port) => [`--${port}`, "0"])
  const args = [
    "emulator",
    "--json",
    "--config",
    config,
    "--key",
    "SAS_KEY_VALUE",
    "--identity",
    "billing=billing-secret",
    ...ports
  ]
  const exports = []
  const collector = createServer((request, response) => {
    exports.push(request.url)
    request.resume().on("end", () => response.end())
  }).listen(0, "127.0.0.1")
  await once(collector, "listening")
  const { printed, stop } = await start(args, /\n/, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`
  })
  const served = JSON.parse(printed)
  const { adminPort, certificate, connectionString, httpsPort, tlsPort, webSocketPort } = served
  // What is loaded with the first request for it.
  const authorization = `Basic ${btoa("RootManageSharedAccessKey:SAS_KEY_VALUE")}`
  const api = await fetch(`http://127.0.0.1:${adminPort}/openapi.json`, { headers: { authorization } })
  assert.equal((await api.json()).openapi, "3.1.0")
  const page = await fetch(`http://127.0.0.1:${adminPort}/$page/main.js`)
  assert.equal(page.status, 200)
  assert.doesNotMatch(await page.text(), /^import/)
  const authority = join(folder("trust"), "emulator.pem")
  writeFileSync(authority, certificate)
  // A process of its own, which trusts the certificate.
  const health = ["-e", `fetch("https://localhost:${httpsPort}/health").then((answer) => console.log(answer.status))`]
  assert.equal(run(process.execPath, health, work, { env: { NODE_EXTRA_CA_CERTS: authority } }), "200\n")
  const { body, client } = await official(connectionString, "theirs")
  assert.equal(body, "theirs")
  const over = (port) => connectionString.replace(/:\d+\/;/, `:${port}/;`).replace(";UseDevelopmentEmulator=true", "")
  const trusting = { ca: certificate }
  assert.equal(await ours(connectionString, {}), "ours")
  assert.equal(await ours(over(tlsPort), trusting), "ours")
  assert.equal(await ours(over(webSocketPort), { ...trusting, transport: "amqpWebSockets" }), "ours")
  const before = performance.now()
  // The official client is connected still.
  assert.equal(await stop(), 0)
  const millis = performance.now() - before
  assert.ok(millis < 5000, `it took ${millis} ms to stop`)
  await client.close()
  collector.close()
  // One at the beginning and one at the end, and those of the interval where this machine is slow.
  assert.ok(exports.length >= 2 && exports.every((path) => path === "/v1/metrics"), String(exports))
  assert.deepEqual(readdirSync(alone), ["effect-service-bus"])
  console.log(
    "binary: serves AMQP, TLS, WebSocket, HTTP, HTTPS and the control API, exports metrics; stops by SIGTERM, and leaves no file"
  )
}

/** What it is given a file for outlives it. */
const keeps = async () => {
  const args = [
    "emulator",
    "--json",
    "--port",
    "0",
    "--key",
    "local",
    "--queue",
    "orders",
    "--data",
    join(work, "broker.db")
  ]
  const first = await start(args, /\n/)
  const client = new Official(JSON.parse(first.printed).connectionString)
  await client.createSender("orders").sendMessages({ body: "kept" })
  assert.equal(await first.stop(), 0)
  await client.close()
  const second = await start(args, /\n/)
  const other = new Official(JSON.parse(second.printed).connectionString)
  const [message] = await other.createReceiver("orders").receiveMessages(1)
  assert.equal(message.body, "kept")
  await other.close()
  assert.equal(await second.stop(), 0)
  console.log("binary: keeps in a file what it goes on with")
}

/** The blocks of the page, in a folder where their packages are found. */
const quickStart = async () => {
  const page = readFileSync(join(root, "docs/emulator-containers.md"), "utf8")
  const block = (language) => new RegExp(`\n### Quick start\n[^]*?\`\`\`${language}\n([^]*?)\`\`\``).exec(page)[1]
  const [program, ...args] = block("sh").trim().split(" ")
  assert.equal(program, "./effect-service-bus")
  // The ports of the page may be taken on this machine.
  const { printed, stop } = await start([...args, "--port", "0"], /^SERVICE_BUS_CONNECTION_STR='.*'$/m)
  const env = { SERVICE_BUS_CONNECTION_STR: /^SERVICE_BUS_CONNECTION_STR='(.*)'$/m.exec(printed)[1] }
  if (existsSync(python)) {
    assert.equal(run(python, ["-c", block("py")], alone, { env, timeout: 60_000 }), block("text"))
    console.log("binary: the quick start in Python prints what the page says")
  } else console.log("binary: LEFT OUT the quick start in Python, which npm run interop installs the client for")
  assert.equal(await stop(), 0)
}

const suites = () => {
  const env = { ...process.env, PATH: [alone, "/usr/bin", "/bin"].join(":") }
  const tests = join(root, "examples/emulator-python")
  const commands = [
    ["Python", python, ["-B", "-m", "pytest", "-p", "no:cacheprovider", "-n", "4", tests], /\b10 passed in /],
    ["Go", goSuite, ["-test.v", "-test.parallel", "2"], /^(?:[^]*^--- PASS: ){10}[^]*^PASS$/m]
  ]
  for (const [language, program, args, passed] of commands) {
    if (!existsSync(program)) {
      console.log(`binary: LEFT OUT the test suite in ${language}, which npm run interop builds`)
      continue
    }
    assert.match(run(program, args, alone, { env, timeout: 120_000 }), passed)
    console.log(`binary: the test suite in ${language} passes with it`)
  }
}

const isReadySoon = async () => {
  const single = []
  const bundled = []
  for (let round = 0; round < 7; round++) {
    single.push((await startCommand(command)).millis)
    bundled.push((await startCommand()).millis)
  }
  const [binary, npm] = [median(single), median(bundled)].map(Math.round)
  // It is sooner by a third where nothing else runs.
  assert.ok(binary <= npm * 1.25, `ready after ${binary} ms, the command after ${npm} ms`)
  const size = statSync(command).size / 1e6
  assert.ok(size < 150, `${size} MB`)
  console.log(`binary: ${size.toFixed(0)} MB, ready after ${binary} ms (the command after ${npm} ms)`)
}

try {
  const built = folder("built")
  run(process.execPath, [join(root, ".ci/buildBinary.mjs"), "--out", built], root)
  copyFileSync(join(built, "effect-service-bus"), command)
  saysWhatItIs()
  await isNoOtherNode()
  keepsLicences(built)
  await serves()
  await keeps()
  await quickStart()
  suites()
  await isReadySoon()
} finally {
  rmSync(work, { recursive: true, force: true })
}
