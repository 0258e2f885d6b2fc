// The consumer loop: sixteen handlers at a time, their locks kept, each message settled as its handler says.
import { Console, Data, Deferred, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly card: string }> {}
class Order extends Schema.Class<Order>("Order")({ id: Schema.Int, card: Schema.String }) {}

const Orders = ServiceBusEntity.queue("orders", { body: Order })

const bill = (order: Order) =>
  order.card === "stolen" ? Effect.fail(new CardDeclined({ card: order.card })) : Effect.sleep("1 millis")

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll(
    Array.from({ length: 200 }, (_, id) => ({ body: { id, card: id % 50 === 0 ? "stolen" : "valid" } }))
  )

  const done = yield* Deferred.make<void>()
  let handled = 0
  const processor = yield* ServiceBusProcessor.make(Orders, (order) =>
    bill(order).pipe(
      Effect.as(Settlement.complete),
      // The handler decides about errors that it knows; for all others `onFailure` does.
      Effect.catchTag("CardDeclined", () => Effect.succeed(Settlement.deadLetter({ reason: "CardDeclined" }))),
      Effect.ensuring(Effect.suspend(() => ++handled === 200 ? Deferred.succeed(done, undefined) : Effect.void))
    ), { concurrency: 16 })

  yield* Deferred.await(done)
  // Stops taking, lets handlers finish, and says what was done.
  const counts = yield* processor.drain
  yield* Console.log(`${counts.completed} completed, ${counts.deadLettered} dead-lettered of ${counts.received}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
