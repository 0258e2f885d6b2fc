// Events: what goes wrong is heard of, in the log by default and as a stream of typed events.
import { Console, Deferred, Effect, Schema, Stream } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

class Order extends Schema.Class<Order>("Order")({ id: Schema.Int, total: Schema.Finite }) {}

const Orders = ServiceBusEntity.queue("orders", { body: Order })
/** The same queue, as a program writes to it that does not know the contract. */
const Raw = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const client = yield* ServiceBusClient.ServiceBusClient
  const emulator = yield* Emulator.Emulator
  const seen: Array<string> = []
  const recovered = yield* Deferred.make<void>()
  yield* client.events.pipe(
    Stream.runForEach((event) =>
      Effect.suspend(() => {
        switch (event._tag) {
          case "ProcessorError":
            seen.push(`${event.source} of ${event.messageId} failed`)
            return Effect.void
          case "MessageDeadLettered":
            seen.push(`${event.messageId} dead-lettered: ${event.reason}`)
            return Effect.void
          case "ConnectionLost":
            seen.push("connection lost")
            return Effect.void
          case "LinkRecovered":
            seen.push(`${event.entity} received again`)
            return Deferred.succeed(recovered, undefined)
          default:
            return Effect.void
        }
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )

  const processor = yield* ServiceBusProcessor.make(
    Orders,
    ({ total }) => total < 0 ? Effect.fail("a negative total") : Effect.void,
    { onFailure: () => Settlement.complete }
  )
  const orders = yield* ServiceBusSender.make(Orders)
  const raw = yield* ServiceBusSender.make(Raw)
  yield* orders.send({ body: { id: 1, total: -5 }, messageId: "a" })
  yield* raw.send({ body: "no JSON", messageId: "b" })
  while ((yield* processor.counts).completed + (yield* processor.counts).undecodable < 2) {
    yield* Effect.sleep("5 millis")
  }
  yield* emulator.dropConnections
  yield* Deferred.await(recovered)
  yield* Console.log(seen.join(", "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
