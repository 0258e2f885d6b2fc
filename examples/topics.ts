// One message, two subscriptions: each has a copy of its own, with its own locks, counts and dead-letter queue.
import { Console, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.topic("orders", {
  body: Schema.Struct({ id: Schema.String, total: Schema.Finite })
})
const Billing = ServiceBusEntity.subscription(Orders, "billing")
const Shipping = ServiceBusEntity.subscription(Orders, "shipping")

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll([{ body: { id: "A-1", total: 40 } }, { body: { id: "A-2", total: 2 } }])

  const billing = yield* ServiceBusReceiver.make(Billing)
  let billed = 0
  for (const message of yield* billing.receive({ max: 2 })) {
    billed += message.body.total
    yield* billing.complete(message)
  }

  const shipping = yield* ServiceBusReceiver.make(Shipping)
  const shipped: Array<string> = []
  for (const message of yield* shipping.receive({ max: 2 })) {
    if (message.body.total > 10) {
      shipped.push(message.body.id)
      yield* shipping.complete(message)
    } else {
      yield* shipping.deadLetter(message, { reason: "TooSmall" })
    }
  }

  const dead = yield* ServiceBusReceiver.makeDestructive(ServiceBusEntity.deadLetter(Shipping))
  const [small] = yield* dead.receive()
  yield* Console.log(`billed ${billed}, shipped ${shipped.join(", ")}, ${small!.deadLetterReason}: ${small!.body.id}`)
})

const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Orders),
    Emulator.entity(Billing),
    Emulator.entity(Shipping, { lockDuration: "30 seconds" })
  ]
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
