// The entities of the service and what is in their messages: the one thing that all of its parts share.
import { Schema } from "effect"
import { ServiceBusEntity } from "effect-service-bus"

export class Order extends Schema.Class<Order>("Order")({
  id: Schema.NonEmptyString,
  customer: Schema.NonEmptyString,
  total: Schema.Finite
}) {}

/** Orders that are not paid yet. */
export const Orders = ServiceBusEntity.queue("orders", { body: Order })

/** Paid orders: a session for each customer, whose state is how many parcels the customer was sent. */
export const Shipments = ServiceBusEntity.queue("shipments", {
  body: Order,
  sessions: true,
  sessionState: Schema.Int
})
