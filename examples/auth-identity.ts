// An identity of @azure/identity: here the broker's own, in production new DefaultAzureCredential() and nothing else.
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
  yield* sender.send({ body: "signed" })
  const receiver = yield* ServiceBusReceiver.make(Letters)
  const [letter] = yield* receiver.receive()
  if (letter !== undefined) yield* receiver.complete(letter)
  yield* Console.log(`received "${letter?.body}" with a token of the identity`)
})

// The namespace keeps its name; only this machine's address is dialled, over TLS, with the broker's certificate trusted.
const Client = Layer.unwrap(
  Effect.map(Emulator.Emulator, ({ certificate, tlsPort, tokenCredential }) =>
    ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      credential: ServiceBusCredential.identity(tokenCredential),
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      ca: certificate
    }))
)

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Letters)], tlsPort: 0 })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Client.pipe(Layer.provide(Broker)))))
