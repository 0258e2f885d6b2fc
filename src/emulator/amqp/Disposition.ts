/**
 * Settlement on a link: what a peer's outcome means for the message, and the outcome that it is answered with (Service Bus
 * protocol guide, AMQP 1.0 section 3.4). Accepted completes, modified abandons or defers, rejected dead-letters, and released
 * gives the message back.
 *
 * A disposition that the peer has not settled is answered once: with the same kind of outcome where it was carried out, and
 * rejected with the reason where it was not. The message is then as it was.
 */
import * as Result from "effect/Result"
import type { AmqpValue } from "../../AmqpValue.ts"
import { accepted, type Outcome, released, transactional } from "../../internal/amqp/codec/Outcome.ts"
import type { OutgoingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import * as Settlement from "../../Settlement.ts"
import type { Queue, Refusal } from "../broker/Queue.ts"
import * as FaultyOperation from "./FaultyOperation.ts"
import type { ServedConnection } from "./ServedConnection.ts"

const kinds = ["settle"] as const

/**
 * Carries out what the peer says of a delivery that came on a link. An outcome that is missing or unknown gives the message
 * back.
 */
export const settle = (
  connection: ServedConnection,
  queue: Queue,
  link: RheaLink,
  delivery: OutgoingDelivery,
  token: string,
  outcome: Outcome | undefined,
  settled: boolean
): void => {
  const { session } = delivery.link
  if (outcome === transactional) {
    // Nothing is settled: the lock stays.
    const error = connection.namespace.conditions.transactions(queue.path)
    return settled ? undefined : session.settle(delivery, { _tag: "Rejected", error })
  }
  // What is given back is not refused.
  const struck = outcome === undefined || outcome._tag === "Released"
    ? undefined
    : connection.namespace.faults.take(kinds, queue.path, !settled)
  if (struck !== undefined) {
    return FaultyOperation.perform(connection, link, struck, queue.path, {
      run: () => applied(connection, queue, token, outcome),
      refuse: (error): Outcome => ({ _tag: "Rejected", error }),
      answer: (answered) => {
        if (!settled) session.settle(delivery, answered)
      },
      loseLock: () => void queue.loseLocks([token])
    })
  }
  const answered = applied(connection, queue, token, outcome)
  if (!settled) session.settle(delivery, answered)
}

/** Carries out an outcome, and says what it is answered with. */
const applied = (
  connection: ServedConnection,
  queue: Queue,
  token: string,
  outcome: Outcome | undefined
): Outcome => {
  const refusal = applyOutcome(queue, token, outcome)
  if (refusal === undefined) return answerTo(outcome)
  const { conditions } = connection.namespace
  // Messages of a session have no lock but the session's.
  const isSession = refusal._tag === "LockLost" && queue.sessions !== undefined
  return { _tag: "Rejected", error: isSession ? conditions.sessionLockLost(queue.path) : conditions.of(refusal) }
}

const applyOutcome = (queue: Queue, token: string, outcome: Outcome | undefined): Refusal | undefined => {
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
        ? textOf(properties["DeadLetterErrorDescription"])
        : outcome.error?.description
      return Settlement.deadLetter({ reason: textOf(properties["DeadLetterReason"]), description, properties })
    }
  }
}

const textOf = (value: AmqpValue | undefined): string | undefined => typeof value === "string" ? value : undefined

const rejected: Outcome = Object.freeze({ _tag: "Rejected" })
const modified: Outcome = Object.freeze({ _tag: "Modified" })

/** The same outcome, without content: a client takes an error in it for a refusal. */
const answerTo = (outcome: Outcome | undefined): Outcome => {
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
