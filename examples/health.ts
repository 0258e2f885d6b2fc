// Whether the namespace answers, and what the connection is doing.
import { Console, Duration, Effect, Fiber, Stream } from "effect"
import { ServiceBusBody, ServiceBusClient, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const client = yield* ServiceBusClient.ServiceBusClient
  const states = yield* client.state.pipe(
    Stream.takeUntil((state) => state === "connected"),
    Stream.runCollect,
    Effect.forkChild({ startImmediately: true })
  )
  yield* ServiceBusSender.make(Letters)
  const seen = yield* Fiber.join(states)
  const took = yield* client.health
  yield* Console.log(`${seen.join(", ")}; it answers${Duration.isGreaterThan(took, Duration.zero) ? "" : " at once"}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
