// Steps that arrive out of order: what is too early is set aside, and fetched by its sequence number when its turn comes.
import { Console, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Recipe = ServiceBusEntity.queue("recipe", {
  body: Schema.Struct({ step: Schema.Int, what: Schema.String })
})

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Recipe)
  yield* sender.sendAll([
    { body: { step: 3, what: "bake" } },
    { body: { step: 1, what: "mix" } },
    { body: { step: 4, what: "eat" } },
    { body: { step: 2, what: "knead" } }
  ])

  const receiver = yield* ServiceBusReceiver.make(Recipe)
  const done: Array<string> = []
  // A program that may stop keeps these numbers where it keeps its state: nothing else finds a deferred message again.
  const waiting = new Map<number, bigint>()
  while (done.length < 4) {
    const early = waiting.get(done.length + 1)
    const messages = early === undefined
      ? yield* receiver.receive({ maxWait: "5 seconds" })
      : yield* receiver.receiveDeferred([early])
    for (const message of messages) {
      if (message.body.step === done.length + 1) {
        done.push(message.body.what)
        yield* receiver.complete(message)
      } else {
        waiting.set(message.body.step, message.sequenceNumber)
        yield* receiver.defer(message)
      }
    }
  }
  yield* Console.log(`${done.join(", ")} (${waiting.size} were deferred)`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Recipe)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
