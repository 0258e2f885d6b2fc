// Trying a message again later without holding its lock: a copy is scheduled and the original completed; when the schedule
// is done the message is dead-lettered.
import { Console, Data, Deferred, Effect, Schedule } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

class ShopIsClosed extends Data.TaggedError("ShopIsClosed") {}

const Parcels = ServiceBusEntity.queue("parcels", { body: ServiceBusBody.text })

/** 50, 100 and 200 milliseconds; an hour and more in earnest. */
const patience = Schedule.exponential("50 millis").pipe(Schedule.upTo({ times: 3 }))

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Parcels)
  yield* sender.sendAll([{ body: "to a shop that opens" }, { body: "to a shop that never does" }])

  const done = yield* Deferred.make<void>()
  let ended = 0
  const end = Effect.suspend(() => ++ended === 2 ? Deferred.succeed(done, undefined) : Effect.void)
  const processor = yield* ServiceBusProcessor.make(Parcels, (parcel, message) =>
    Effect.gen(function*() {
      if (parcel.endsWith("opens") && message.retryAttempt === 2) return yield* end
      if (message.retryAttempt === 3) yield* end
      return yield* new ShopIsClosed()
    }), { onFailure: () => Settlement.retryAfter(patience) })

  yield* Deferred.await(done)
  const { completed, deadLettered, retried } = yield* processor.drain
  const emulator = yield* Emulator.Emulator
  const [letter] = yield* emulator.deadLetters(Parcels)
  yield* Console.log(
    `${completed} delivered, ${deadLettered} given up (${letter?.deadLetterReason}) after ${retried} retries`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Parcels)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
