/**
 * The broker's end of a link on which a peer sends: takes messages and batches, stores them, and answers each delivery.
 *
 * The link owns its credit, which it replenishes at half. A delivery is accepted once all of its messages are stored, and
 * rejected where none of them is.
 */
import * as Result from "effect/Result"
import { accepted, type AmqpError, type Outcome } from "../../internal/amqp/codec/Outcome.ts"
import { DecodeProblem } from "../../internal/amqp/codec/Reader.ts"
import type { IncomingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { batchFormat } from "../../internal/message/MessageEncoder.ts"
import type { Queue } from "../broker/Queue.ts"
import type { ServedConnection } from "./ServedConnection.ts"
import { incoming, QuotaProblem, unpack } from "./StoredPayload.ts"

/** How many messages a sender may have on their way. */
const credit = 1000

/** Serves senders of a queue or topic on a link. */
export const attach = (connection: ServedConnection, queue: Queue, link: RheaLink): void => {
  const plane = connection.plane.link(link)
  const limit = queue.options.maxMessageSize
  link.local.attach["max_message_size"] = limit
  plane.maxMessageSize = limit
  /** Deliveries since credit was given. */
  let used = 0
  plane.onDeliveries = (deliveries) => {
    connection.idle.touch(link)
    // It may have been deleted, and be there again.
    const current = connection.namespace.broker.queue(queue.path) ?? queue
    for (const delivery of deliveries) {
      const refusal = store(connection, current, delivery, limit)
      // What is settled gets no answer; but what belongs to a transaction must not be lost without a word.
      if (delivery.settled && delivery.isTransactional) return connection.detach(link, refusal!)
      if (delivery.settled) continue
      const outcome: Outcome = refusal === undefined ? accepted : { _tag: "Rejected", error: refusal }
      plane.session.dispose(delivery, outcome, true)
    }
    used += deliveries.length
    if (used >= credit / 2) {
      link.add_credit(used)
      used = 0
    }
  }
  link.add_credit(credit)
}

const store = (
  connection: ServedConnection,
  queue: Queue,
  delivery: IncomingDelivery,
  limit: number
): AmqpError | undefined => {
  const { conditions } = connection.namespace
  if (delivery.isTransactional) return conditions.transactions(queue.path)
  const fault = connection.namespace.fault("send", queue.path)
  if (fault !== undefined) return fault
  if (delivery.isTooLarge) return conditions.tooLarge(queue.path, delivery.id, delivery.size, limit)
  try {
    const messages = delivery.format === batchFormat ? unpack(delivery.payload) : [incoming(delivery.payload)]
    if (messages.length === 0) return conditions.argument(queue.path, "The batch has no messages.")
    const stored = queue.send(messages)
    return Result.isSuccess(stored) ? undefined : conditions.of(stored.failure)
  } catch (error) {
    if (error instanceof DecodeProblem) {
      return conditions.decode(queue.path, `The message is malformed: ${error.message}.`)
    }
    if (error instanceof QuotaProblem) return conditions.properties(queue.path, error)
    throw error
  }
}
