// Sending: one message, and many in as few batches as the link allows.
import { Console, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}

const Orders = ServiceBusEntity.queue("orders", { body: Order })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  // An instance of the class or its plain fields; a message id is made where none is given, and returned.
  const id = yield* sender.send({
    body: { id: "1", total: 9.5 },
    subject: "new",
    applicationProperties: { region: "eu" }
  })
  const ids = yield* sender.sendAll(
    Array.from({ length: 10_000 }, (_, i) => ({ body: new Order({ id: `${i + 2}`, total: i }) }))
  )
  const emulator = yield* Emulator.Emulator
  const { enqueued } = yield* emulator.counters(Orders)
  yield* Console.log(`sent ${id.length === 36 ? "one" : "?"} and ${ids.length}; the broker has ${enqueued}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
