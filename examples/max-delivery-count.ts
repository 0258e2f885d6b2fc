// A message that fails again and again: the broker dead-letters it after as many deliveries as its queue allows.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Bills = ServiceBusEntity.queue("bills", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Bills)
  yield* sender.send({ body: "unpayable" })
  const receiver = yield* ServiceBusReceiver.make(Bills)
  const counts: Array<number> = []
  for (;;) {
    const [message] = yield* receiver.receive({ maxWait: 0 })
    if (message === undefined) break
    counts.push(message.deliveryCount)
    yield* receiver.abandon(message)
  }
  const dead = yield* ServiceBusReceiver.makeDestructive(ServiceBusEntity.deadLetter(Bills))
  const [letter] = yield* dead.receive()
  yield* Console.log(`delivery counts ${counts.join(", ")}, then ${letter!.deadLetterReason}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Bills, { maxDeliveryCount: 3 })] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
