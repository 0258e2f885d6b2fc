// The worker over the queue of orders: charges the card of each and hands the order on to shipping.
import { Context, Data, Effect, Layer } from "effect"
import { ServiceBusProcessor, ServiceBusSender, Settlement } from "effect-service-bus"
import { type Order, Orders, Shipments } from "./Contracts.ts"

export class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly limit: number }> {}

/** The payment provider. */
export class Cards extends Context.Service<Cards, {
  readonly charge: (order: Order) => Effect.Effect<void, CardDeclined>
}>()("service/Cards") {
  static readonly layer = Layer.succeed(this, {
    charge: (order) => order.total > 1000 ? Effect.fail(new CardDeclined({ limit: 1000 })) : Effect.void
  })
}

/** Runs until it is interrupted, and drains then: cards that are being charged are, and what has not begun is released. */
export const run = Effect.gen(function*() {
  const cards = yield* Cards
  const shipments = yield* ServiceBusSender.make(Shipments)
  return yield* ServiceBusProcessor.process(
    Orders,
    Effect.fn("bill")(
      function*(order, { messageId }) {
        yield* cards.charge(order)
        // Under the order's own id: where the order comes again, duplicate detection drops the second shipment.
        yield* shipments.send({ messageId, sessionId: order.customer, body: order })
        yield* Effect.log(`Billed ${order.id}`)
        return Settlement.complete
      },
      Effect.catchTag(
        "CardDeclined",
        ({ limit }) =>
          Effect.succeed(Settlement.deadLetter({ reason: "CardDeclined", description: `The limit is ${limit}` }))
      )
    ),
    { concurrency: 16, drainTimeout: "20 seconds" }
  )
}).pipe(Effect.scoped)
