// A ready-made SAS token, which somebody else has signed: this program has no key. It can send, and nothing else.
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

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.send({ body: "signed elsewhere" })
  const refused = yield* ServiceBusReceiver.make(Letters).pipe(
    Effect.as("it can receive"),
    Effect.catchTag("ServiceBusAuthorizationError", (error) => Effect.succeed(`the right to ${error.claim} is missing`))
  )
  yield* Console.log(`sent; ${refused}`)
})

const key = Redacted.make("a key that only the issuer has")

const Client = Layer.unwrap(
  Effect.gen(function*() {
    const { certificate, tlsPort } = yield* Emulator.Emulator
    // In your program: Config.Redacted("SERVICE_BUS_SAS_TOKEN"), or what your issuer answers.
    const token = yield* ServiceBusCredential.generateSas({
      resource: "sb://contoso.servicebus.windows.net/letters",
      keyName: "issuer",
      key
    })
    return ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      credential: ServiceBusCredential.sas(token),
      // Your namespace needs neither of the two.
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      ca: certificate
    })
  })
)

const Broker = Emulator.layerServer({
  entities: [Emulator.entity(Letters)],
  tlsPort: 0,
  policies: [{ name: "issuer", key, rights: ["Send"] }]
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Client.pipe(Layer.provide(Broker)))))
