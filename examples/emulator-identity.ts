// An identity without Azure: a credential of @azure/identity gets its token from the broker, and has the rights of its role.
import { ClientSecretCredential } from "@azure/identity"
import { Console, Effect, Layer, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Invoices = ServiceBusEntity.queue("invoices", { body: ServiceBusBody.text })

const secret = Redacted.make("billing-secret")

const Broker = Emulator.layerServer({
  entities: [Emulator.entity(Invoices)],
  identities: [
    { clientId: "billing", secret, roles: [{ role: "Azure Service Bus Data Sender", entity: Invoices }] }
  ],
  tlsPort: 0,
  httpsPort: 0
})

// In production nothing of this stands here but the namespace and new DefaultAzureCredential().
const Client = Layer.unwrap(
  Effect.map(Emulator.Emulator, ({ certificate = "", httpsPort, tlsPort }) =>
    ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      credential: ServiceBusCredential.identity(
        new ClientSecretCredential("contoso.com", "billing", Redacted.value(secret), {
          authorityHost: `https://localhost:${httpsPort}`,
          disableInstanceDiscovery: true,
          tlsOptions: { ca: certificate }
        })
      ),
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      ca: certificate
    }))
)

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Invoices)
  yield* sender.send({ body: "12 euros" })
  // It may send and nothing else.
  const refusal = yield* Effect.flip(ServiceBusReceiver.make(Invoices))
  yield* Console.log(`sent as "billing", and receiving is ${refusal._tag}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Client.pipe(Layer.provide(Broker)))))
