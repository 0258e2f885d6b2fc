// From a connection string: the same program against a real namespace, or against the broker on a port as it is here.
import { Config, ConfigProvider, Console, Effect, Layer, Redacted } from "effect"
import { ServiceBusClient, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const program = Effect.gen(function*() {
  const queue = yield* Config.String("SERVICE_BUS_QUEUE_NAME")
  // A plain name stands for a queue whose bodies are bytes.
  const sender = yield* ServiceBusSender.make(queue)
  yield* sender.send({ body: new TextEncoder().encode("over TCP") })
  const receiver = yield* ServiceBusReceiver.make(queue)
  const [message] = yield* receiver.receive()
  if (message !== undefined) yield* receiver.complete(message)
  yield* Console.log(`received "${new TextDecoder().decode(message?.body)}"`)
})

const Live = ServiceBusClient.layerConnectionString(Config.Redacted("SERVICE_BUS_CONNECTION_STR"))

// In your program the environment has the two names; here they are the broker's.
const Environment = Layer.unwrap(
  Effect.map(Emulator.Emulator, ({ connectionString }) =>
    ConfigProvider.layer(ConfigProvider.fromUnknown({
      SERVICE_BUS_CONNECTION_STR: Redacted.value(connectionString),
      SERVICE_BUS_QUEUE_NAME: "orders"
    })))
)

await Effect.runPromise(
  program.pipe(
    Effect.scoped,
    Effect.provide(Live.pipe(
      Layer.provideMerge(Environment),
      Layer.provide(Emulator.layerServer({ entities: [Emulator.entity("orders")] }))
    ))
  )
)
