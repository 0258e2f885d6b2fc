/**
 * The broker's end of a link on which a peer receives: sends messages as credit allows. What the peer says of them is carried
 * out by Disposition.
 *
 * The link is the consumer of a queue, or of a session of one: its credit is the peer's, less what waits to be written. A link
 * whose sender settles first receives and deletes.
 */
import type { Outcome } from "../../internal/amqp/codec/Outcome.ts"
import type { DeliveryOwner, OutgoingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { tagFromToken } from "../../internal/message/ReceivedMessage.ts"
import type { Attachment, Consumer, Queue } from "../broker/Queue.ts"
import * as Disposition from "./Disposition.ts"
import type { ServedConnection } from "./ServedConnection.ts"
import { outgoing } from "./StoredPayload.ts"

const noTag = Buffer.alloc(0)

type Settle = (
  delivery: OutgoingDelivery,
  lockToken: string,
  outcome: Outcome | undefined,
  settled: boolean
) => void

/** What the peer says of a message under a lock, told with its token: to read that out of the tag again would cost more. */
class LockedDelivery implements DeliveryOwner {
  private readonly settle: Settle
  private readonly lockToken: string

  constructor(settle: Settle, lockToken: string) {
    this.settle = settle
    this.lockToken = lockToken
  }

  onOutcome(delivery: OutgoingDelivery, outcome: Outcome | undefined, settled: boolean): void {
    this.settle(delivery, this.lockToken, outcome, settled)
  }
}

/** Serves a queue on a link; the consumer is attached by `attachConsumer`, to the queue or to a session of it. */
export const attach = (
  connection: ServedConnection,
  queue: Queue,
  link: RheaLink,
  attachConsumer: (consumer: Consumer) => Attachment = (consumer) => queue.attach(consumer)
): void => {
  const { plane } = connection
  const target = plane.link(link)
  const { schedule } = connection.server.options.dispatcher
  const destructive = link.remote.attach!["snd_settle_mode"] === 1
  const settle: Settle = (delivery, lockToken, outcome, settled) => {
    if (outcome === undefined && !settled) return
    connection.idle.touch(link)
    Disposition.settle(connection, queue, link, delivery, lockToken, outcome, settled)
  }
  const attachment = attachConsumer({
    mode: destructive ? "receiveAndDelete" : "peekLock",
    credit: () => Math.max(0, link.credit - target.pending),
    deliver: (deliveries) => {
      connection.idle.touch(link)
      for (const delivery of deliveries) {
        target.session.send(target, outgoing(delivery.message, destructive ? undefined : delivery), {
          settled: destructive,
          // Without a lock there is no token.
          tag: destructive ? noTag : tagFromToken(delivery.lockToken),
          owner: destructive ? undefined : new LockedDelivery(settle, delivery.lockToken)
        })
      }
    }
  })
  connection.onEnd(link, () => attachment.detach())

  const answerDrain = (): void => {
    // What is chosen already leaves first.
    if (target.pending > 0 && link.credit > 0 && link.is_open()) return schedule(answerDrain)
    link.issue_flow = true
    target.register()
  }
  link.on("sender_flow", () => {
    attachment.wake()
    if (target.isDraining) schedule(answerDrain)
  })
  // Credit that came together with the attach made no event: the link was not open yet.
  schedule(() => attachment.wake())
}
