// How operations are tried again: by numbers, or by a schedule of your own. Only errors that can pass are.
import { Clock, Console, Effect, Schedule } from "effect"
import { ServiceBusBody, type ServiceBusClient, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

/** Sends once, where the broker refuses the first tries. */
const sendDespite = (refusals: number) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const sender = yield* ServiceBusSender.make(Letters)
    yield* emulator.fail({ operation: "send", error: { condition: "amqp:internal-error" }, times: refusals })
    const began = yield* Clock.currentTimeMillis
    const outcome = yield* sender.send({ body: "hello" }).pipe(
      Effect.as("sent"),
      Effect.catchTag("ServiceBusError", (error) => Effect.succeed(`given up after ${error.attempts} tries`))
    )
    return { outcome, waited: (yield* Clock.currentTimeMillis) - began }
  }).pipe(Effect.scoped)

const withRetry = (retry: ServiceBusClient.CommonOptions["retry"]) =>
  Emulator.layer({ entities: [Emulator.entity(Letters)], client: { retry } })

const program = Effect.gen(function*() {
  // Exponential backoff with full jitter: 100 ms, 200 ms, or a random part of them.
  const numbers = yield* sendDespite(2).pipe(Effect.provide(withRetry({ maxRetries: 2, delay: "100 millis" })))
  // As long as the schedule says, and no longer: two times, 50 ms apart.
  const schedule = Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 2 }))
  const scheduled = yield* sendDespite(5).pipe(Effect.provide(withRetry(schedule)))
  yield* Console.log(
    `by numbers: ${numbers.outcome}; by the schedule: ${scheduled.outcome}, ${scheduled.waited >= 100}`
  )
})

await Effect.runPromise(program)
