// The options of a client that are about its connection, and what they change.
import { Console, Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusClient, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const client = yield* ServiceBusClient.ServiceBusClient
  const sender = yield* ServiceBusSender.make(Letters, { identifier: "billing-letters" })
  yield* sender.send({ body: "hello" })
  yield* Console.log(`${client.identifier} sent by ${sender.identifier}`)
})

const Live = Layer.unwrap(
  Effect.map(Emulator.Emulator, ({ connectionString }) =>
    ServiceBusClient.layerConnectionString(connectionString, {
      // Names in the service's logs: of the connection, and behind the library's own name.
      identifier: "billing",
      userAgentSuffix: "billing/2.1",
      // What takes longer has failed: connecting, attaching, one try of an operation.
      operationTimeout: "20 seconds",
      // A connection that brings nothing for twice as long, not even heartbeats, is lost.
      idleTimeout: "30 seconds",
      // Every frame at the level Trace, without bodies and tokens; Trace is not shown by default.
      frameTrace: true
    }))
)

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Live.pipe(Layer.provide(Broker)))))
