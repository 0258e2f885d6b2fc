// Many queues, listed as a Stream: 100 are asked for at a time, when somebody pulls them, and no more than are needed.
import { Console, Effect, Stream } from "effect"
import { ServiceBusAdministration } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const name = (tenant: number) => `tenants/${String(tenant).padStart(3, "0")}`

const program = Effect.gen(function*() {
  const administration = yield* ServiceBusAdministration.ServiceBusAdministration
  yield* Effect.forEach(
    Array.from({ length: 250 }, (_, tenant) => tenant),
    (tenant) => administration.createQueue(name(tenant), tenant % 50 === 7 ? { status: "Disabled" } : {}),
    { concurrency: 10, discard: true }
  )
  // Three requests.
  const disabled = yield* administration.listQueues.pipe(
    Stream.filter((queue) => queue.status === "Disabled"),
    Stream.map((queue) => queue.name),
    Stream.runCollect
  )
  // One.
  const first = yield* administration.listQueueRuntimes.pipe(Stream.take(3), Stream.runCollect)
  const total = yield* Stream.runCount(administration.listQueues)
  yield* Console.log(
    `${total} queues, ${disabled.length} of them disabled (${disabled[0]} to ${disabled.at(-1)}); ` +
      `the first are ${first.map((queue) => queue.name).join(", ")}`
  )
})

await Effect.runPromise(program.pipe(Effect.provide(Emulator.layer({ entities: [] }))))
