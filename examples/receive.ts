// Receiving when you ask for it: up to so many messages, waiting for so long.
import { Console, Effect, Option } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.sendAll(["alpha", "beta", "gamma"].map((body) => ({ body })))

  const receiver = yield* ServiceBusReceiver.make(Letters)
  const messages = yield* receiver.receive({ max: 5, maxWait: "10 seconds" })
  yield* receiver.completeAll(messages)
  const none = yield* receiver.receive({ max: 5, maxWait: "50 millis" })
  yield* sender.send({ body: "delta" })
  const one = yield* receiver.receiveOne({ maxWait: "10 seconds" }) // an Option
  yield* Effect.forEach(Option.toArray(one), receiver.complete)
  const bodies = messages.map((m) => m.body).join(", ")
  yield* Console.log(`received ${bodies}, then ${none.length}, then ${Option.isSome(one) ? one.value.body : "none"}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
