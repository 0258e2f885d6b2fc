// The worker over the sessions of shipments: one customer's parcels in their order, many customers at a time.
import { Effect, Option } from "effect"
import { ServiceBusProcessor } from "effect-service-bus"
import { Shipments } from "./Contracts.ts"

/**
 * Runs until it is interrupted, and drains then. Delivery is at least once: where a message was counted and could not be
 * completed, it comes again and is counted twice. A count that must be exact keeps the number of the last message with it.
 */
export const run = ServiceBusProcessor.processSessions(
  Shipments,
  Effect.fn("ship")(function*(order, _message, session) {
    const parcels = Option.getOrElse(yield* session.state, () => 0) + 1
    yield* session.setState(parcels)
    yield* Effect.log(`Shipped ${order.id}, parcel ${parcels} of ${order.customer}`)
  }),
  { concurrentSessions: 32, idleTimeout: "10 seconds", drainTimeout: "20 seconds" }
)
