// The entities of the service and what is in their messages: the one thing that all of its parts share.
import { Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"

export class Order extends Schema.Class<Order>("Order")({
  id: Schema.NonEmptyString,
  customer: Schema.NonEmptyString,
  total: Schema.Finite
}) {}

/** Orders that are not paid yet. */
export const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Order) })

/** Paid orders: a session for each customer, whose state is how many parcels the customer was sent. */
export const Shipments = ServiceBusEntity.queue("shipments", {
  body: ServiceBusBody.json(Order),
  sessions: true,
  sessionState: ServiceBusBody.json(Schema.Int)
})
