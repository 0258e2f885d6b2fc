// Installs the packed tarball into an empty project, beside the official client and another rhea, and uses it there on the
// oldest and the newest Node that the package supports, and its types with each TypeScript: what users get is what works.
import { copyFileSync, cpSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { devDependencies, inFolder, npm, oldest, quickStart, root, run, version } from "./outside.mjs"

const program = `
import { ServiceBusClient as Official } from "@azure/service-bus"
import { Effect, Redacted, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver } from "effect-service-bus"
import * as Sender from "effect-service-bus/ServiceBusSender"
import * as Emulator from "effect-service-bus/emulator"
import rhea from "rhea"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Schema.Struct({ id: Schema.String })) })

const inMemory = Effect.gen(function*() {
  const sender = yield* Sender.make(Orders)
  const receiver = yield* ServiceBusReceiver.make(Orders)
  yield* sender.send({ body: { id: "1" } })
  const [message] = yield* receiver.receive()
  yield* receiver.complete(message!)
  return message!.body.id
}).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Orders)] })))

const official = Effect.gen(function*() {
  const { connectionString } = yield* Emulator.Emulator
  return yield* Effect.promise(async () => {
    const client = new Official(Redacted.value(connectionString))
    await client.createSender("orders").sendMessages({ body: { id: "2" } })
    const [message] = await client.createReceiver("orders").receiveMessages(1)
    await client.close()
    return message!.body.id as string
  })
}).pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Orders)] })))

const ids = [await Effect.runPromise(inMemory), await Effect.runPromise(official)]
if (ids.join() !== "1,2" || typeof rhea.connect !== "function") throw new Error("got " + ids.join())
for (const closed of ["effect-service-bus/internal/namespace/SasToken", "effect-service-bus/emulator/broker/Broker"]) {
  if (await import(closed).then(() => true, () => false)) throw new Error(closed + " can be imported")
}
`

/** Starts a command, has the official client use what its line of JSON says, and ends it. */
const command = `
import { ServiceBusClient as Official } from "@azure/service-bus"
import { spawn } from "node:child_process"
import { once } from "node:events"

const [file, config] = process.argv.slice(2)
const child = spawn(process.execPath, [file, "emulator", "--port", "0", "--https-port", "0", "--json", "--config", config], {
  stdio: ["ignore", "pipe", "inherit"]
})
const closed = once(child, "close")
let printed = ""
child.stdout.setEncoding("utf8").on("data", (text) => printed += text)
while (!printed.includes("\\n")) {
  await Promise.race([once(child.stdout, "data"), closed])
  if (child.exitCode !== null) throw new Error("it ended with " + child.exitCode)
}
const { adminPort, certificate, connectionString } = JSON.parse(printed)
if (!certificate.includes("BEGIN CERTIFICATE")) throw new Error("no certificate")
const health = await fetch("http://127.0.0.1:" + adminPort + "/health")
// What is loaded when it is asked for is there, too.
const key = /SharedAccessKey=([^;]+)/.exec(connectionString)[1]
const api = await fetch("http://127.0.0.1:" + adminPort + "/openapi.json", {
  headers: { authorization: "Basic " + btoa("RootManageSharedAccessKey:" + key) }
})
if (!health.ok || !api.ok) throw new Error("health " + health.status + ", openapi " + api.status)
const page = await fetch("http://127.0.0.1:" + adminPort + "/$page/main.js")
if (!page.ok || /^import/.test(await page.text())) throw new Error("the page's script " + page.status)
const client = new Official(connectionString)
await client.createSender("orders").sendMessages({ body: "3" })
const [message] = await client.createReceiver("orders").receiveMessages(1)
await client.close()
child.kill("SIGTERM")
const [code] = await closed
console.log(message.body, code, printed.trimEnd().split("\\n").length)
`

/** The versions of TypeScript that the declarations and the source compile with. */
const compilers = {
  [devDependencies.typescript]: `npm:typescript@${devDependencies.typescript}`,
  "6.0.2": "npm:typescript@6.0.2",
  "5.9.3": "npm:typescript@5.9.3"
}

const resolutions = [["NodeNext", "NodeNext"], ["ESNext", "Bundler"]]

const compile = (tsc, folder, file, options) => {
  for (const [module, moduleResolution] of resolutions) {
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { module, moduleResolution, target: "ES2022", strict: true, noEmit: true, ...options },
        files: [file]
      })
    )
    run(process.execPath, [tsc, "-p", folder], folder)
  }
}

inFolder(({ folder, project, tarball }) => {
  const packed = tarball()
  const user = project("user")
  npm([
    "install",
    "--ignore-scripts",
    packed,
    `effect@${devDependencies.effect}`,
    `@azure/service-bus@${devDependencies["@azure/service-bus"]}`,
    "rhea@3.0.4",
    `typescript@${devDependencies.typescript}`,
    `@types/node@${devDependencies["@types/node"]}`
  ], user)
  writeFileSync(join(user, "main.ts"), program)
  const { printed, program: shown } = quickStart()
  writeFileSync(join(user, "shown.ts"), shown)
  writeFileSync(join(user, "command.mjs"), command)
  const bin = join(user, "node_modules/.bin/effect-service-bus")
  // The command alone, without anything that it could load beside it.
  const alone = folder("alone")
  const emulator = join(user, "node_modules/effect-service-bus/dist/emulator")
  copyFileSync(join(emulator, "cli.js"), join(alone, "cli.js"))
  cpSync(join(emulator, "cli"), join(alone, "cli"), { recursive: true })
  writeFileSync(join(alone, "package.json"), "{ \"type\": \"module\" }")
  const old = project("old")
  npm(["install", `node@${oldest}`], old)
  for (const node of [process.execPath, join(old, "node_modules/node/bin/node")]) {
    // The oldest Node takes no types away by itself yet.
    const typed = ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"]
    run(node, [...typed, "main.ts"], user)
    const got = run(node, [...typed, "shown.ts"], user)
    if (got !== printed) throw new Error(`the quick start printed ${got}`)
    // A CommonJS program has it by require, and Node says nothing about that: before 22.13 it did.
    const warned =
      "process.on('warning', (warning) => console.log(warning.message)); require('effect-service-bus/emulator')"
    const noise = run(node, ["--input-type=commonjs", "-e", warned], user)
    if (noise !== "") throw new Error(noise)
    const help = run(node, [bin, "--help"], user)
    if (!help.startsWith("Usage: effect-service-bus emulator")) throw new Error(`the command's help is ${help}`)
    for (const file of [bin, join(alone, "cli.js")]) {
      const served = run(node, ["command.mjs", file, join(root, "examples/emulator-config/Config.json")], user)
      if (served !== "3 0 1\n") throw new Error(`the command ${file} came to ${served}`)
    }
    console.log(`packed ${version}: sends and receives on Node ${run(node, ["--version"], user).trim()}`)
  }
  compile(join(root, "node_modules/typescript/bin/tsc"), user, "main.ts", { types: ["node"], skipLibCheck: true })
  console.log(`packed ${version}: types resolve beside those of Node`)

  const plain = project("plain")
  npm([
    "install",
    "--ignore-scripts",
    packed,
    `effect@${devDependencies.effect}`,
    ...Object.entries(compilers).map(([name, from]) => `typescript-${name}@${from}`)
  ], plain)
  const modules = readdirSync(join(plain, "node_modules/effect-service-bus/dist"))
    .flatMap((file) => file.endsWith(".d.ts") && file !== "index.d.ts" ? [file.slice(0, -".d.ts".length)] : [])
  writeFileSync(
    join(plain, "main.ts"),
    ["", "/emulator", ...modules.map((name) => `/${name}`)]
      .map((path, index) => `export * as m${index} from "effect-service-bus${path}"\n`)
      .join("")
  )
  for (const name of Object.keys(compilers)) {
    const tsc = join(plain, `node_modules/typescript-${name}/bin/tsc`)
    compile(tsc, plain, "main.ts", { types: [], skipLibCheck: false })
    run(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--noEmit"], root)
    console.log(`packed ${version}: declarations without @types/node, and the source, compile with TypeScript ${name}`)
  }
})
