/** A queue with sessions that several tests share. */
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Schema from "effect/Schema"

const Cart = Schema.Struct({ items: Schema.Array(Schema.String) })
export const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.json(Cart)
})
