// A broker that keeps what it holds in a file: what one run has sent and not taken is there for the next one.
import { Console, Effect, Option } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

const folder = mkdtempSync(join(tmpdir(), "orders-"))

// On ports it is the same: Emulator.layerServer({ …, data }), or `--data FILE` of the command.
const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)], data: join(folder, "orders.db") })

const firstRun = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll([{ body: "a chair" }, { body: "a table" }])
  const receiver = yield* ServiceBusReceiver.make(Orders)
  const [chair] = yield* receiver.receive({ max: 1 })
  yield* receiver.complete(chair!)
}).pipe(Effect.scoped, Effect.provide(Broker))

const secondRun = Effect.gen(function*() {
  const receiver = yield* ServiceBusReceiver.make(Orders)
  const [left] = yield* receiver.receive({ max: 1, maxWait: "1 second" })
  yield* Console.log(`left of the first run: ${Option.getOrElse(Option.fromUndefinedOr(left?.body), () => "nothing")}`)
}).pipe(Effect.scoped, Effect.provide(Broker))

await Effect.runPromise(Effect.andThen(firstRun, secondRun)).finally(() => rmSync(folder, { recursive: true }))
