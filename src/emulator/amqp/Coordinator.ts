/**
 * A link to a coordinator of transactions (AMQP 1.0 section 4.5.1), which there are none of. It is attached and every declare
 * refused, because a client with transactions across entities switched on opens one before all else, also where it never
 * uses it (.NET 7.21). It needs no claim. A file of its own because a coordinator is a node of AMQP like the others.
 */
import type { Outcome } from "../../internal/amqp/codec/Outcome.ts"
import { rhea, type RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { ServedConnection } from "./ServedConnection.ts"

const credit = 100

/** Serves a coordinator on a link whose source is set. */
export const attach = (connection: ServedConnection, link: RheaLink): void => {
  link.local.attach["target"] = terminus()
  const plane = connection.plane.link(link)
  plane.onDeliveries = (deliveries) => {
    connection.idle.touch(link)
    const outcome: Outcome = { _tag: "Rejected", error: connection.namespace.conditions.transactions("$coordinator") }
    for (const delivery of deliveries) if (!delivery.settled) plane.session.dispose(delivery, outcome, true)
    link.add_credit(deliveries.length)
  }
  link.add_credit(credit)
}

/** A coordinator as a terminus: a list of no capabilities. */
const terminus = (): unknown => rhea.types.wrap_described([null], 0x30)
