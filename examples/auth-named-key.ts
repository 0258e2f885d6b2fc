// A shared access policy by name and key, which is rotated: it is looked up when a token is needed and none is good. A program
// that runs on gets its next tokens so, and its links stay; here each connection asks.
import { Console, Effect, Redacted, Ref } from "effect"
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
  // In your program: a secret of a vault, or a file that is mounted.
  const current = yield* Ref.make({ name: "primary", key: Redacted.make("the first key") })
  const asked = yield* Ref.make<ReadonlyArray<string>>([])
  const credential = ServiceBusCredential.rotating(
    Ref.get(current).pipe(
      Effect.tap(({ name }) => Ref.update(asked, (names) => [...names, name])),
      Effect.map(ServiceBusCredential.sharedKey)
    )
  )

  const { certificate, tlsPort } = yield* Emulator.Emulator
  const Client = ServiceBusClient.layer({
    fullyQualifiedNamespace: "contoso.servicebus.windows.net",
    credential,
    // Your namespace needs neither of the two.
    customEndpointAddress: `sb://localhost:${tlsPort}`,
    ca: certificate
  })
  const send = (body: string) =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Letters)
      yield* sender.send({ body })
    }).pipe(Effect.scoped, Effect.provide(Client))

  yield* send("signed with the first key")
  yield* Ref.set(current, { name: "secondary", key: Redacted.make("the second key") })
  yield* send("signed with the second key")
  yield* Console.log(`sent with the keys ${(yield* Ref.get(asked)).join(" and ")}`)
})

const Broker = Emulator.layerServer({
  entities: [Emulator.entity(Letters)],
  tlsPort: 0,
  policies: [
    { name: "primary", key: Redacted.make("the first key"), rights: ["Send"] },
    { name: "secondary", key: Redacted.make("the second key"), rights: ["Send"] }
  ]
})

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
