// Installs the packed tarball into an empty project, beside the official client and another rhea, and uses it there on the
// oldest and the newest Node that the package supports: what users get is what works.
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const work = mkdtempSync(join(tmpdir(), "effect-service-bus-"))
const run = (command, args, cwd) => {
  try {
    return execFileSync(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" })
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")}\n${error.stdout}${error.stderr}`, { cause: error })
  }
}
const npm = (args, cwd) => run("npm", [...args, "--no-audit", "--no-fund"], cwd)
const { devDependencies, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const project = (name) => {
  const folder = join(work, name)
  mkdirSync(folder)
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, private: true, type: "module" }))
  return folder
}

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
for (const closed of ["effect-service-bus/internal/sas", "effect-service-bus/emulator/Broker"]) {
  if (await import(closed).then(() => true, () => false)) throw new Error(closed + " can be imported")
}
`

try {
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", work], root)
  )
  const user = project("user")
  npm([
    "install",
    "--ignore-scripts",
    join(work, filename),
    `effect@${devDependencies.effect}`,
    `@azure/service-bus@${devDependencies["@azure/service-bus"]}`,
    "rhea@3.0.4",
    `typescript@${devDependencies.typescript}`,
    `@types/node@${devDependencies["@types/node"]}`
  ], user)
  writeFileSync(join(user, "main.ts"), program)
  const old = project("old")
  npm(["install", "node@22.12.0"], old)
  for (const node of [process.execPath, join(old, "node_modules/node/bin/node")]) {
    // The oldest Node takes no types away by itself yet.
    run(node, ["--experimental-strip-types", "--disable-warning=ExperimentalWarning", "main.ts"], user)
    console.log(`packed ${version}: sends and receives on Node ${run(node, ["--version"], user).trim()}`)
  }
  for (const [module, moduleResolution] of [["NodeNext", "NodeNext"], ["ESNext", "Bundler"]]) {
    writeFileSync(
      join(user, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { module, moduleResolution, target: "ES2022", strict: true, noEmit: true, types: ["node"] },
        files: ["main.ts"]
      })
    )
    const errors = run(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), "-p", user, "--skipLibCheck"],
      user
    )
    if (errors !== "") throw new Error(errors)
    console.log(`packed ${version}: types resolve with moduleResolution ${moduleResolution}`)
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
