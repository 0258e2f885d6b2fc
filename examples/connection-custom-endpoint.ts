// A private endpoint or an application gateway: another address is dialled, and the namespace keeps its name in everything
// that is said. The certificate is verified, against the host that is dialled.
import { Console, Effect, Layer } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const client = yield* ServiceBusClient.ServiceBusClient
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.send({ body: "through the gateway" })
  yield* Console.log(`sent to ${client.fullyQualifiedNamespace} through another address`)
})

const Client = Layer.unwrap(
  Effect.map(Emulator.Emulator, ({ certificate, tlsPort, tokenCredential }) =>
    ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      // In your program: new DefaultAzureCredential().
      credential: ServiceBusCredential.identity(tokenCredential),
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      // Where the gateway's certificate is of an authority of your own.
      ca: certificate
    }))
)

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Letters)], tlsPort: 0 })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Client.pipe(Layer.provide(Broker)))))
