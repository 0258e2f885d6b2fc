// Issues SAS tokens for others: for one queue, for ten minutes. The key stays here.
import { Console, Effect, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Invoices = ServiceBusEntity.queue("invoices", { body: ServiceBusBody.text })

const host = "contoso.servicebus.windows.net"
const key = Redacted.make("the key of the policy billing")

const program = Effect.gen(function*() {
  const token = yield* ServiceBusCredential.generateSas({
    resource: `sb://${host}/orders`,
    keyName: "billing",
    key,
    timeToLive: "10 minutes"
  })
  const { certificate, tlsPort } = yield* Emulator.Emulator
  // What the one does who was given the token.
  const send = (entity: ServiceBusEntity.Queue<string>) =>
    ServiceBusSender.make(entity).pipe(
      Effect.flatMap((sender) => sender.send({ body: "with a token" })),
      Effect.as("sent"),
      Effect.catch((error: ServiceBusError.SendError) => Effect.succeed(error._tag)),
      Effect.scoped,
      Effect.provide(ServiceBusClient.layer({
        fullyQualifiedNamespace: host,
        credential: ServiceBusCredential.sas(token),
        customEndpointAddress: `sb://localhost:${tlsPort}`,
        ca: certificate
      }))
    )
  yield* Console.log(`orders: ${yield* send(Orders)}, invoices: ${yield* send(Invoices)}, the token: ${token}`)
})

const Broker = Emulator.layerServer({
  entities: [Emulator.entity(Orders), Emulator.entity(Invoices)],
  tlsPort: 0,
  policies: [{ name: "billing", key, rights: ["Send"] }]
})

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
