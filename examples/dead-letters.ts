// Dead letters: what a handler rejects, what cannot be decoded, what fails too often; read through a contract of its own.
import { Console, Effect, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Payments = ServiceBusEntity.queue("payments", {
  body: Schema.Struct({ amount: Schema.Finite })
})
/** The same queue for a sender that does not know the schema. */
const Raw = ServiceBusEntity.queue("payments", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Raw)
  yield* sender.sendAll(
    ["{\"amount\":1}", "{\"amount\":\"one\"}", "no JSON", "{\"amount\":-5}"].map((body) => ({ body }))
  )

  const receiver = yield* ServiceBusReceiver.make(Payments)
  // Two of the four do not decode: they are in the dead-letter queue already, with the issue as their description.
  for (const message of yield* receiver.receive({ max: 4 })) {
    if (message.body.amount > 0) yield* receiver.complete(message)
    else yield* receiver.deadLetter(message, { reason: "NegativeAmount" })
  }

  const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Raw))
  const letters = yield* dead.receive({ max: 10 })
  yield* dead.completeAll(letters)
  const reasons = letters.map((m) => `${m.deadLetterReason}${m.deadLetterErrorDescription === undefined ? "" : "*"}`)
  yield* Console.log(reasons.join(", "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Payments, { maxDeliveryCount: 3 })] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
