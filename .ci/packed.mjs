// Installs the packed tarball into an empty project and uses it there: what users get is what works, with the AMQP engine
// that the tarball bundles.
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const work = mkdtempSync(join(tmpdir(), "effect-service-bus-"))
const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" })
const { devDependencies, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

try {
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", work], root)
  )
  writeFileSync(join(work, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }))
  run("npm", [
    "install",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    join(work, filename),
    `effect@${devDependencies.effect}`
  ], work)
  writeFileSync(
    join(work, "main.mjs"),
    `
import { Effect, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Sender from "effect-service-bus/ServiceBusSender"
import * as Emulator from "effect-service-bus/emulator"
const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Schema.Struct({ id: Schema.String })) })
const program = Effect.gen(function*() {
  const sender = yield* Sender.make(Orders)
  const receiver = yield* ServiceBusReceiver.make(Orders)
  yield* sender.send({ body: { id: "1" } })
  const [message] = yield* receiver.receive()
  yield* receiver.complete(message)
  return message.body.id
}).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Orders)] })))
if (await Effect.runPromise(program) !== "1" || ServiceBusSender !== Sender && ServiceBusSender.make !== Sender.make) process.exit(1)
for (const closed of ["effect-service-bus/internal/sas", "effect-service-bus/emulator/Broker"]) {
  const opened = await import(closed).then(() => true, () => false)
  if (opened) throw new Error(closed + " can be imported")
}
`
  )
  run(process.execPath, ["main.mjs"], work)
  console.log(`effect-service-bus ${version}: packed, installed, sent and received on Node ${process.version}`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
