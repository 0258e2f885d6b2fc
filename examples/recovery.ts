// The connection is cut while a message is in work: sending goes on, and the message is settled on a new connection.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const sender = yield* ServiceBusSender.make(Letters)
  const receiver = yield* ServiceBusReceiver.make(Letters)
  yield* sender.send({ body: "before" })
  const [before] = yield* receiver.receive()

  yield* emulator.dropConnections

  yield* sender.send({ body: "after" })
  // Its lock outlives the link that it came on.
  if (before !== undefined) yield* receiver.complete(before)
  const [after] = yield* receiver.receive()
  if (after !== undefined) yield* receiver.complete(after)
  const { completed, enqueued } = yield* emulator.counters(Letters)
  yield* Console.log(`${enqueued} sent, ${completed} completed, over a connection that was cut`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
