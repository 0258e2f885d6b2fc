/**
 * The broker's end of a receiving link: hands messages over as credit allows, and carries out what the peer says of
 * them.
 */
import * as Result from "effect/Result"
import { accepted, type Outcome, released, transactional } from "../../internal/amqp/codec/Outcome.ts"
import type { DeliveryOwner, OutgoingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { tagFromToken, tokenFromTag } from "../../internal/message/ReceivedMessage.ts"
import * as Settlement from "../../Settlement.ts"
import type { Attachment, Consumer, Queue, Refusal } from "../broker/Queue.ts"
import { text } from "./Request.ts"
import type { Served } from "./ServedConnection.ts"
import { outgoing } from "./StoredPayload.ts"

const noTag = Buffer.alloc(0)

/** Serves a queue on a link; the consumer gets its place by `attach`, at the queue or in a session of it. */
export const attachSender = (
  served: Served,
  queue: Queue,
  link: RheaLink,
  attach: (consumer: Consumer) => Attachment = (consumer) => queue.attach(consumer)
): void => {
  const { plane } = served
  const target = plane.link(link)
  const { schedule } = served.door.options.dispatcher
  const destructive = link.remote.attach!["snd_settle_mode"] === 1
  const owner: DeliveryOwner = {
    onOutcome: (delivery, outcome, settled) => {
      // Our own settled delivery has left.
      if (destructive || outcome === undefined && !settled) return
      served.idle.touch(link)
      decide(served, queue, delivery, outcome, settled)
    }
  }
  const attachment = attach({
    mode: destructive ? "receiveAndDelete" : "peekLock",
    credit: () => Math.max(0, link.credit - target.pending),
    deliver: (deliveries) => {
      served.idle.touch(link)
      for (const delivery of deliveries) {
        target.session.send(target, outgoing(delivery.message, destructive ? undefined : delivery), {
          settled: destructive,
          // Without a lock there is no token.
          tag: destructive ? noTag : tagFromToken(delivery.lockToken),
          owner
        })
      }
    }
  })
  served.onEnd(link, () => attachment.detach())

  const draining = link as unknown as { readonly _draining: boolean }
  const answerDrain = (): void => {
    // What is chosen already leaves first.
    if (target.pending > 0 && link.credit > 0 && link.is_open()) return schedule(answerDrain)
    link.issue_flow = true
    target.register()
  }
  link.on("sender_flow", () => {
    attachment.wake()
    if (draining._draining) schedule(answerDrain)
  })
  // Credit that came together with the attach made no event: the link was not open yet.
  schedule(() => attachment.wake())
}

const decide = (
  served: Served,
  queue: Queue,
  delivery: OutgoingDelivery,
  outcome: Outcome | undefined,
  settled: boolean
): void => {
  const token = tokenFromTag(delivery.tag as Buffer)
  const { session } = delivery.link
  if (outcome === transactional) {
    // Nothing is settled: the lock stays.
    const error = served.door.refusals.transactions(queue.path)
    return settled ? undefined : session.settle(delivery, { _tag: "Rejected", error })
  }
  // What is given back is not refused.
  const fault = settled || outcome === undefined || outcome._tag === "Released"
    ? undefined
    : served.door.fault("settle", queue.path)
  if (fault !== undefined) return session.settle(delivery, { _tag: "Rejected", error: fault })
  const done = carryOut(queue, token, outcome)
  if (settled) return
  if (done === undefined) return session.settle(delivery, echo(outcome))
  session.settle(delivery, { _tag: "Rejected", error: served.door.refusals.of(done) })
}

const carryOut = (queue: Queue, token: string, outcome: Outcome | undefined): Refusal | undefined => {
  const result = outcome?._tag === "Released" || outcome === undefined || outcome._tag === "Other"
    ? queue.release(token)
    : queue.settle(token, settlementOf(outcome))
  return Result.isFailure(result) ? result.failure : undefined
}

const settlementOf = (outcome: Exclude<Outcome, { readonly _tag: "Released" | "Other" }>): Settlement.Settlement => {
  switch (outcome._tag) {
    case "Accepted":
      return Settlement.complete
    case "Modified":
      return outcome.undeliverableHere === true
        ? Settlement.defer({ properties: outcome.annotations })
        : Settlement.abandon({ properties: outcome.annotations })
    case "Rejected": {
      // What is no text stays what it is: a property (live tests of .NET).
      const properties = outcome.error?.info ?? {}
      const description = "DeadLetterErrorDescription" in properties
        ? text(properties["DeadLetterErrorDescription"])
        : outcome.error?.description
      return Settlement.deadLetter({ reason: text(properties["DeadLetterReason"]), description, properties })
    }
  }
}

const rejected: Outcome = Object.freeze({ _tag: "Rejected" })
const modified: Outcome = Object.freeze({ _tag: "Modified" })

/** The same outcome, without content: a client takes an error in it for a refusal. */
const echo = (outcome: Outcome | undefined): Outcome => {
  switch (outcome?._tag) {
    case "Rejected":
      return rejected
    case "Modified":
      return modified
    case "Released":
      return released
    default:
      return accepted
  }
}
