// The broker on ports, in a program of yours: other programs connect with a key that they know beforehand, over plain TCP with
// UseDevelopmentEmulator=true, or over TLS where they trust its certificate. The command does the same without a program:
// npx effect-service-bus emulator --queue jobs --key local --tls-port 5671
import { Console, Effect, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Jobs = ServiceBusEntity.queue("jobs", { body: ServiceBusBody.text })

// Port 0 is any that is free. In a container: `host: "0.0.0.0"`, and a port that others know.
const Server = Emulator.layerServer({
  entities: [Emulator.entity(Jobs)],
  key: Redacted.make("local"),
  port: 0,
  tlsPort: 0
})

/** Another program: it has a connection string, and knows nothing of the broker. */
const produce = (connectionString: Redacted.Redacted<string>) =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Jobs)
    yield* sender.send({ body: "over TCP" })
  }).pipe(Effect.scoped, Effect.provide(ServiceBusClient.layerConnectionString(connectionString)))

/** And one that speaks TLS: without UseDevelopmentEmulator=true, as it would to Azure. */
const consume = (connectionString: Redacted.Redacted<string>, ca: string) =>
  Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(Jobs)
    const [job] = yield* receiver.receive()
    yield* receiver.complete(job!)
    return job!.body
  }).pipe(Effect.scoped, Effect.provide(ServiceBusClient.layerConnectionString(connectionString, { ca })))

const program = Effect.gen(function*() {
  const { certificate, connectionString, tlsPort } = yield* Emulator.Emulator
  yield* produce(connectionString)
  const policy = "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=local"
  const body = yield* consume(Redacted.make(`Endpoint=sb://localhost:${tlsPort}/;${policy}`), certificate!)
  yield* Console.log(`sent ${body}, received over TLS`)
})

await Effect.runPromise(program.pipe(Effect.provide(Server)))
