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
import { rhea, type RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { batchFormat } from "../../internal/message/MessageEncoder.ts"
import type { Queue } from "../broker/Queue.ts"
import * as FaultyOperation from "./FaultyOperation.ts"
import type { ServedConnection } from "./ServedConnection.ts"
import { incoming, PropertyProblem, QuotaProblem, unpack } from "./StoredPayload.ts"

const kinds = ["send"] as const

/** How many messages a sender may have on their way. */
const credit = 1000

/**
 * The most bytes of a batch where a message may be larger: the service tells them to clients as a property of the link, and ends
 * a link on which more comes (azure-sdk-for-net PR #57941, azure-sdk-for-js #33278).
 */
const largestBatch = 1024 * 1024

/** Serves senders of a queue or topic on a link. */
export const attach = (connection: ServedConnection, queue: Queue, link: RheaLink): void => {
  const plane = connection.plane.link(link)
  const limit = queue.options.maxMessageSize
  link.local.attach["max_message_size"] = limit
  plane.maxMessageSize = limit
  const batchLimit = Math.min(limit, largestBatch)
  link.local.attach["properties"] = { "com.microsoft:max-message-batch-size": rhea.types.wrap_ulong(batchLimit) }
  const { faults } = connection.namespace
  /** Deliveries since credit was given. */
  let used = 0
  /** Those that came after one that a fault delays: they stay behind it, and the sender's credit bounds their number. */
  let delayed: Array<IncomingDelivery> | undefined
  const answer = (delivery: IncomingDelivery, refusal: AmqpError | undefined): void => {
    if (delivery.settled) return
    const outcome: Outcome = refusal === undefined ? accepted : { _tag: "Rejected", error: refusal }
    plane.session.dispose(delivery, outcome, true)
  }
  const take = (deliveries: ReadonlyArray<IncomingDelivery>): void => {
    // It may have been deleted, and be there again.
    const current = connection.namespace.broker.queue(queue.path) ?? queue
    for (let i = 0; i < deliveries.length; i++) {
      const delivery = deliveries[i]!
      if (delivery.format === batchFormat && delivery.size > batchLimit && !delivery.isTooLarge) {
        return connection.detach(link, connection.namespace.conditions.batchTooLarge(link.name))
      }
      const struck = delivery.isTransactional ? undefined : faults.take(kinds, current.path, !delivery.settled)
      if (struck === undefined) {
        const refusal = store(connection, current, delivery, limit)
        // What is settled gets no answer; but what belongs to a transaction must not be lost without a word.
        if (delivery.settled && delivery.isTransactional) return connection.detach(link, refusal!)
        answer(delivery, refusal)
        used += 1
        continue
      }
      const isDelayed = struck.action === "delay" && struck.when === "before"
      if (isDelayed) delayed = deliveries.slice(i + 1)
      FaultyOperation.perform(connection, link, struck, current.path, {
        run: () => store(connection, current, delivery, limit),
        refuse: (error) => error,
        answer: (refusal) => {
          answer(delivery, refusal)
          if (!isDelayed) return
          const rest = delayed!
          delayed = undefined
          take(rest)
        }
      })
      used += 1
      // What it was is over with its link.
      if (isDelayed || !connection.links.has(link)) return
    }
    if (used < credit / 2) return
    link.add_credit(used)
    used = 0
  }
  plane.onDeliveries = (deliveries) => {
    connection.idle.touch(link)
    if (delayed === undefined) take(deliveries)
    else delayed.push(...deliveries)
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
    if (error instanceof PropertyProblem) return conditions.notAllowed(queue.path, error.message)
    throw error
  }
}
