/**
 * The end of the links of an entity that was deleted, or whose settings refuse them now. A link on which something may be on
 * its way is detached a little later, so that what comes on it until then is answered.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Detachment } from "../broker/Broker.ts"
import * as NodeAddress from "./NodeAddress.ts"
import type { ServedConnection, ServedNamespace } from "./ServedConnection.ts"
import { timeout } from "./Timeout.ts"

/** How long what comes for a deleted entity is answered before its link is detached, in milliseconds. */
const farewell = 1_000

/** Ends the links of a namespace that a detachment means. */
export const detachLinks = (namespace: ServedNamespace, { links, path, refusal }: Detachment): void => {
  const { conditions } = namespace
  for (const connection of [...namespace.connections]) {
    for (const [link, address] of [...connection.links]) {
      const isReceiver = NodeAddress.parse(address).kind === "entity" && !link.is_receiver()
      const isMeant = links === "all" || isReceiver
      if (!isMeant || !NodeAddress.belongs(address, path, links !== "ownReceivers")) continue
      const error = refusal === undefined ? conditions.changed(link.name) : conditions.of(refusal)
      if (links === "all" && !isReceiver) detachLater(namespace, connection, link, address, error)
      else connection.detach(link, error)
    }
  }
}

/**
 * A link on which messages or requests may be on their way: they are rejected, where a detached link would answer nothing. It
 * stays where the entity is there again by then, and serves that one.
 */
const detachLater = (
  { broker }: ServedNamespace,
  connection: ServedConnection,
  link: RheaLink,
  address: string,
  error: AmqpError
): void => {
  const { clock, deadlines } = connection.server.options
  const end = timeout(() => {
    if (broker.queue(NodeAddress.parse(address).path) === undefined) connection.detach(link, error)
  })
  deadlines.set(end, clock.currentTimeMillisUnsafe() + farewell)
  connection.onEnd(link, () => deadlines.clear(end))
}
