// AMQP over WebSocket, port 443, for networks that let nothing else out: the same program, another transport.
import { Console, Effect, Layer } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.send({ body: "over WebSocket" })
  const receiver = yield* ServiceBusReceiver.make(Letters)
  const [letter] = yield* receiver.receive()
  if (letter !== undefined) yield* receiver.complete(letter)
  yield* Console.log(`received "${letter?.body}"`)
})

const Client = Layer.unwrap(
  Effect.map(Emulator.Emulator, ({ certificate, tokenCredential, webSocketPort }) =>
    ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      credential: ServiceBusCredential.identity(tokenCredential),
      transport: "amqpWebSockets",
      // Your namespace needs neither of the two.
      customEndpointAddress: `sb://localhost:${webSocketPort}`,
      ca: certificate
    }))
)

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Letters)], webSocketPort: 0 })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Client.pipe(Layer.provide(Broker)))))
