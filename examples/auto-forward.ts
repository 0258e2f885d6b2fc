// Two subscriptions forward to queues that their teams own, and both queues forward their dead letters to one for operators.
import { Console, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const body = Schema.Struct({ id: Schema.String, total: Schema.Finite })
const Orders = ServiceBusEntity.topic("orders", { body })
const Billing = ServiceBusEntity.queue("billing", { body })
const Shipping = ServiceBusEntity.queue("shipping", { body })
const Errors = ServiceBusEntity.queue("errors", { body })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.send({ body: { id: "A-1", total: 40 } })

  // Nothing is received from the subscriptions: what they get is in the queues at once.
  const billing = yield* ServiceBusReceiver.make(Billing)
  const [bill] = yield* billing.receive()
  yield* billing.complete(bill!)

  const shipping = yield* ServiceBusReceiver.make(Shipping)
  const [order] = yield* shipping.receive()
  yield* shipping.deadLetter(order!, { reason: "NoAddress" })

  const errors = yield* ServiceBusReceiver.makeDestructive(Errors)
  const [letter] = yield* errors.receive()
  yield* Console.log(
    `billed ${bill!.body.total}; ${letter!.body.id} came from ${letter!.deadLetterSource}: ${letter!.deadLetterReason}`
  )
})

const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Orders),
    Emulator.entity(ServiceBusEntity.subscription(Orders, "to-billing"), { forwardTo: Billing }),
    Emulator.entity(ServiceBusEntity.subscription(Orders, "to-shipping"), { forwardTo: Shipping }),
    Emulator.entity(Billing, { forwardDeadLetteredMessagesTo: Errors }),
    Emulator.entity(Shipping, { forwardDeadLetteredMessagesTo: Errors }),
    Emulator.entity(Errors)
  ]
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
