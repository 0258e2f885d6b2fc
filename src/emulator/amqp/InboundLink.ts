/**
 * The broker's end of a sending link: takes messages and batches, stores them, and answers each delivery.
 */
import * as Result from "effect/Result"
import { accepted, type AmqpError, type Outcome } from "../../internal/amqp/codec/Outcome.ts"
import { DecodeProblem } from "../../internal/amqp/codec/Reader.ts"
import type { IncomingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { batchFormat } from "../../internal/message/MessageEncoder.ts"
import type { Queue } from "../broker/Queue.ts"
import type { Served } from "./ServedConnection.ts"
import { incoming, QuotaProblem, unpack } from "./StoredPayload.ts"

/** How many messages a sender may have on their way. */
const credit = 1000

export const attachReceiver = (served: Served, queue: Queue, link: RheaLink): void => {
  const plane = served.plane.link(link)
  const limit = queue.options.maxMessageSize
  link.local.attach["max_message_size"] = limit
  plane.maxMessageSize = limit
  let since = 0
  plane.onDeliveries = (deliveries) => {
    served.idle.touch(link)
    for (const delivery of deliveries) {
      const refusal = store(served, queue, delivery, limit)
      // Nobody waits for an answer; but what belongs to a transaction must not be lost without a word.
      if (delivery.settled && delivery.isTransactional) return served.detach(link, refusal!)
      if (delivery.settled) continue
      const outcome: Outcome = refusal === undefined ? accepted : { _tag: "Rejected", error: refusal }
      plane.session.dispose(delivery, outcome, true)
    }
    since += deliveries.length
    if (since >= credit / 2) {
      link.add_credit(since)
      since = 0
    }
  }
  link.add_credit(credit)
}

const store = (served: Served, queue: Queue, delivery: IncomingDelivery, limit: number): AmqpError | undefined => {
  const { refusals } = served.door
  if (delivery.isTransactional) return refusals.transactions(queue.path)
  const fault = served.door.fault("send", queue.path)
  if (fault !== undefined) return fault
  if (delivery.isTooLarge) return refusals.tooLarge(queue.path, delivery.id, delivery.size, limit)
  try {
    const messages = delivery.format === batchFormat ? unpack(delivery.payload) : [incoming(delivery.payload)]
    if (messages.length === 0) return refusals.argument(queue.path, "The batch has no messages.")
    const stored = queue.send(messages)
    return Result.isSuccess(stored) ? undefined : refusals.of(stored.failure)
  } catch (error) {
    if (error instanceof DecodeProblem) {
      return refusals.decode(queue.path, `The message is malformed: ${error.message}.`)
    }
    if (error instanceof QuotaProblem) return refusals.properties(queue.path, error)
    throw error
  }
}
