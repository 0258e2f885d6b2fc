// Receive-and-delete: the broker forgets a message when it sends it. Its messages cannot be settled: it does not compile.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Readings = ServiceBusEntity.queue("readings", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Readings)
  yield* sender.sendAll(["20.5", "21.0"].map((body) => ({ body })))

  const receiver = yield* ServiceBusReceiver.makeDestructive(Readings)
  const readings = yield* receiver.receive({ max: 10 })

  const emulator = yield* Emulator.Emulator
  const left = yield* emulator.messages(Readings)
  yield* Console.log(`received ${readings.map((m) => m.body).join(" and ")}; the broker has ${left.length} left`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Readings)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
