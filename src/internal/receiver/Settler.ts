/**
 * From settlements to outcomes: on the link that a message came on, over `$management` where that is lost, and as a copy for
 * later where a message is to be tried again.
 *
 * Settled once: a second settlement never reaches the wire. A settlement whose answer was lost with the link is tried again
 * by its lock token, and is said to be of unknown outcome where the lock is gone by then.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"
import {
  MessageAlreadySettled,
  type MessageDecodeError,
  OperationTimeoutError,
  type SessionLockLostError,
  type SessionSettleError,
  type SettleError
} from "../../ServiceBusError.ts"
import type { Subject } from "../../ServiceBusEvent.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import type { RetryAfter, Settlement } from "../../Settlement.ts"
import { accepted, type Outcome } from "../amqp/codec/Outcome.ts"
import type { Holder, IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as errorMap from "../errorMap.ts"
import type { SettlementError } from "../errorMap.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { tokenFromTag } from "../message/ReceivedMessage.ts"
import * as RetryPolicy from "../namespace/RetryPolicy.ts"
import { outOfRange } from "../options.ts"
import {
  type Attributes,
  type Disposition,
  type Hooks,
  linksOf,
  messageAttributes,
  type Operation,
  type Telemetry
} from "../telemetry/Telemetry.ts"
import * as Completion from "./Completion.ts"
import type * as LockRenewal from "./LockRenewal.ts"
import { deliveryOf, type Mode, type ReceiverState, subjectOfDelivery } from "./ReceiverState.ts"
import * as SettlementOutcome from "./SettlementOutcome.ts"

/** The operation of a settlement, in spans and metrics. */
const operations = {
  Complete: "complete",
  Abandon: "abandon",
  Defer: "defer",
  DeadLetter: "dead_letter",
  RetryAfter: "retry_after"
} as const

/** What a settlement makes of a message. */
export const dispositionOf = (settlement: Settlement): Disposition => {
  const name = operations[settlement._tag]
  return name === "retry_after" ? "complete" : name
}

/** Hears what the broker said to the settlement of one message, where many are settled together. */
export type OnAnswer = (delivery: IncomingDelivery, error: SettlementError | undefined, settlement: Settlement) => void

/** The errors of settling: of a session it is the session's lock that is lost, of other receivers the message's. */
type SettleErrorOf<L> = [L] extends [never] ? SettleError : SessionSettleError

/** Settles messages of one receiver with one settlement, and waits for the broker's answer to all of them. */
export const settle = <L extends SessionLockLostError>(
  state: ReceiverState<unknown, Mode, MessageDecodeError, L>,
  messages: ReadonlyArray<LockedMessage<unknown>>,
  settlement: Settlement,
  onAnswer?: OnAnswer
): Effect.Effect<void, SettleErrorOf<L>> => {
  const settling: Effect.Effect<void, SettlementError> = Effect.suspend(() => {
    if (!Array.isArray(messages)) {
      return Effect.fail(outOfRange(state.entity.path, "messages", "an array of messages that this receiver received"))
    }
    const checked = SettlementOutcome.make(state.entity, settlement)
    if (Result.isFailure(checked)) return Effect.fail(checked.failure)
    const made = checked.success
    const settle = (onAnswer: OnAnswer | undefined) => settleAll(state, messages, made, onAnswer)
    // There is nothing to tell of no messages.
    if (messages.length === 0) return settle(onAnswer)
    const { _tag } = made.settlement
    const operation = operations[_tag]
    const telemetry = new SettlementTelemetry(state.telemetry, operation, dispositionOf(made.settlement), messages)
    const answered = messages.length === 1 && _tag !== "RetryAfter" ? onAnswer : telemetry.counting(onAnswer)
    const run = state.telemetry.run(operation, () => settle(answered), telemetry)
    return made.truncated.length === 0
      ? run
      : Effect.andThen(SettlementOutcome.reportTruncation(state.reporter, made, messages), run)
  })
  // Links and nodes serve both, and their types say so; the answers of each are told apart where they are made.
  return settling as Effect.Effect<void, SettleErrorOf<L>>
}

/** The telemetry of one settlement. */
class SettlementTelemetry implements Hooks<void> {
  private readonly telemetry: Telemetry
  private readonly operation: Operation
  private readonly disposition: Disposition
  private readonly messages: ReadonlyArray<LockedMessage<unknown>>
  /** How many messages were settled as what, where they do not have one answer for all. */
  private counts: Partial<Record<Disposition, number>> | undefined

  constructor(
    telemetry: Telemetry,
    operation: Operation,
    disposition: Disposition,
    messages: ReadonlyArray<LockedMessage<unknown>>
  ) {
    this.telemetry = telemetry
    this.operation = operation
    this.disposition = disposition
    this.messages = messages
  }

  attributes(): Attributes {
    const { disposition, messages } = this
    return {
      "messaging.servicebus.disposition_status": disposition,
      ...(messages.length === 1
        ? messageAttributes(messages[0]!)
        : { "messaging.batch.message_count": messages.length })
    }
  }

  links(): Array<Tracer.SpanLink> {
    return linksOf(this.messages)
  }

  /** Counts what is answered: some may be refused, and a schedule that is done has its message dead-lettered. */
  counting(onAnswer: OnAnswer | undefined): OnAnswer {
    const counts: Partial<Record<Disposition, number>> = this.counts = {}
    return (delivery, error, settlement) => {
      if (error === undefined) {
        const disposition = dispositionOf(settlement)
        counts[disposition] = (counts[disposition] ?? 0) + 1
      }
      onAnswer?.(delivery, error, settlement)
    }
  }

  onSuccess(_: void, span: Tracer.Span | undefined): void {
    if (this.counts === undefined) return this.telemetry.countSettled(this.operation, this.disposition, 1)
    this.report()
    if (this.counts.dead_letter === this.messages.length) {
      span?.attribute("messaging.servicebus.disposition_status", "dead_letter")
    }
  }

  onFailure(): void {
    this.report()
  }

  private report(): void {
    const { counts = {} } = this
    for (const as of Object.keys(counts) as Array<Disposition>) {
      this.telemetry.countSettled(this.operation, as, counts[as]!)
    }
  }
}

const settleAll = (
  state: ReceiverState,
  messages: ReadonlyArray<LockedMessage<unknown>>,
  { outcome, settlement }: SettlementOutcome.SettlementOutcome,
  onAnswer?: OnAnswer
): Effect.Effect<void, SettlementError> =>
  Effect.suspend((): Effect.Effect<void, SettlementError> => {
    const deliveries: Array<IncomingDelivery> = []
    for (const message of messages) {
      const delivery = deliveryOf(state, message, "settle")
      if (Result.isFailure(delivery)) return Effect.fail(delivery.failure)
      deliveries.push(delivery.success)
    }
    if (deliveries.length === 0) return Effect.void
    const ended = state.session?.ended()
    if (ended !== undefined) return Effect.fail(ended)
    return settlement._tag === "RetryAfter"
      ? settleByCopy(state, messages, deliveries, settlement, onAnswer)
      : settleOnLink(state, deliveries, settlement, outcome, onAnswer)
  })

const settleOnLink = (
  state: ReceiverState,
  deliveries: ReadonlyArray<IncomingDelivery>,
  settlement: Settlement,
  outcome: Outcome,
  onAnswer: OnAnswer | undefined
): Effect.Effect<void, SettlementError> => {
  const { link, session } = state
  const isHere = deliveries.every((delivery) => delivery.holder === link)
  // A session's lock goes with its link.
  const isGone = session === undefined && link.link.dead() !== undefined
  if (!isHere || isGone) {
    return notifyingWatchers(state, deliveries, settleByToken(state, deliveries, settlement, false, onAnswer))
  }
  /** What the peer was too busy for: its lock holds, and by that it can be asked again. */
  let busy: { readonly error: SettlementError; readonly deliveries: Array<IncomingDelivery> } | undefined
  let other: SettlementError | undefined
  /** What needs no other answer. One that is settled alone ends with its own. */
  const answered: Array<IncomingDelivery> = []
  const onEach = (delivery: IncomingDelivery, error: SettlementError | undefined): void => {
    if (error?._tag === "ServiceBusServerBusyError") {
      return void (busy ??= { error, deliveries: [] }).deliveries.push(delivery)
    }
    if (deliveries.length > 1 || error !== undefined) answered.push(delivery)
    other ??= error
    onAnswer?.(delivery, error, settlement)
  }
  const failing = Effect.catch(link.settle(deliveries, outcome, onEach), (error) => {
    const first = other ?? busy?.error
    if (link.link.dead() === undefined) {
      if (busy === undefined) return Effect.fail(error)
      // A peer that is slow is not asked twice.
      const isUnanswered = answered.length + busy.deliveries.length < deliveries.length
      const left = other ?? (isUnanswered ? unanswered(state) : undefined)
      const settled = settleAgain(state, busy.deliveries, settlement, busy.error, onAnswer)
      return left === undefined ? settled : Effect.andThen(settled, Effect.fail(left))
    }
    if (session !== undefined || first === undefined && !RetryPolicy.isRetryable(error)) return Effect.fail(error)
    const known = new Set(answered)
    const rest = deliveries.filter((delivery) => !known.has(delivery))
    const settled = settleByToken(state, rest, settlement, true, onAnswer)
    return other === undefined ? settled : Effect.andThen(settled, Effect.fail(other))
  })
  return notifyingWatchers(state, deliveries, failing)
}

/** What errors of settling say of the receiver. */
const contextOf = ({ entity, identifier }: ReceiverState) => ({ entity: entity.path, identifier, operation: "settle" })

const unanswered = (state: ReceiverState): OperationTimeoutError =>
  new OperationTimeoutError({
    ...contextOf(state),
    outcome: "unknown",
    description: "the peer refused some for being busy, and of others it said nothing in time"
  })

/** Asks a peer that was busy again, once it can be asked, as often as the client's retries allow. */
const settleAgain = (
  state: ReceiverState,
  busy: ReadonlyArray<IncomingDelivery>,
  settlement: Settlement,
  error: SettlementError,
  onAnswer: OnAnswer | undefined
): Effect.Effect<void, SettlementError> =>
  Effect.suspend(() => {
    // The link has answered for them.
    const holder = new LinklessHolder(state)
    for (const delivery of busy) holder.hold(delivery)
    const { retryPolicy } = state.namespace
    retryPolicy.applyAdvice(error)
    // They are still ours: nothing is known of their settlement.
    if (!retryPolicy.isRetried(error)) return Effect.fail(error)
    return settleByToken(state, busy, settlement, false, onAnswer)
  })

/** Has those who watch the locks of deliveries see what became of them. */
const notifyingWatchers = (
  state: ReceiverState,
  deliveries: ReadonlyArray<IncomingDelivery>,
  settling: Effect.Effect<void, SettlementError>
): Effect.Effect<void, SettlementError> =>
  state.renewal.isWatched()
    ? Effect.onExit(settling, (exit) =>
      Effect.sync(() => {
        const isLost = Exit.isFailure(exit) && deliveries.length === 1 &&
          exit.cause.reasons.some((reason) =>
            Cause.isFailReason(reason) && reason.error._tag === "MessageLockLostError"
          )
        for (const delivery of deliveries) {
          const lock = delivery.lock as LockRenewal.Lock | undefined
          if (lock === undefined) continue
          if (isLost) lock.lost ??= "expired"
          state.renewal.changed(lock)
        }
      }))
    : settling

/** `Settlement.retryAfter`: sends a copy of each message and completes those whose copy was accepted, each by itself. */
const settleByCopy = (
  state: ReceiverState,
  messages: ReadonlyArray<LockedMessage<unknown>>,
  deliveries: ReadonlyArray<IncomingDelivery>,
  settlement: RetryAfter,
  onAnswer: OnAnswer | undefined
): Effect.Effect<void, SettlementError> =>
  Effect.suspend(() => {
    const distinct = new Set(deliveries)
    if (distinct.size < deliveries.length) {
      return Effect.fail(new MessageAlreadySettled(contextOf(state)))
    }
    for (const delivery of distinct) state.copying.add(delivery)
    const one = (message: LockedMessage<unknown>, delivery: IncomingDelivery): Effect.Effect<void, SettlementError> => {
      const finish = (made: Settlement, outcome: Outcome) =>
        settleOnLink(state, [delivery], made, outcome, onAnswer && ((_, error) => onAnswer(delivery, error, made)))
      return Effect.flatMap(state.retryAfter.plan(message, settlement), (plan) => {
        if (typeof plan !== "number") {
          return Effect.flatMap(Effect.fromResult(SettlementOutcome.make(state.entity, plan)), (made) =>
            finish(made.settlement, made.outcome))
        }
        // Once the copy is accepted, the completion of the original is begun, and has a little longer than its caller.
        return Effect.uninterruptibleMask((restore) =>
          Effect.andThen(
            restore(state.retryAfter.send(message, plan)),
            Completion.run(restore, finish(settlement, accepted))
          )
        )
      }).pipe(
        Effect.ensuring(Effect.sync(() =>
          state.copying.delete(delivery)
        )),
        Effect.tapError((error) =>
          Effect.sync(() => {
            // What was on the wire has its answer.
            if (delivery.holder.isUnsettled(delivery)) onAnswer?.(delivery, error, settlement)
          })
        )
      )
    }
    return Effect.flatMap(
      Effect.forEach(messages, (message, i) => Effect.exit(one(message, deliveries[i]!)), { concurrency: 100 }),
      (exits) => exits.find(Exit.isFailure) ?? Effect.void
    ).pipe(Effect.ensuring(Effect.sync(() => {
      for (const delivery of distinct) state.copying.delete(delivery)
    })))
  })

/**
 * Holds what has a lock and no link, because it came in a response, or because its link has answered for it already: so that
 * all of its settlements go over `$management`.
 */
export class LinklessHolder implements Holder {
  private readonly state: ReceiverState
  private readonly unsettled = new Set<IncomingDelivery>()

  constructor(state: ReceiverState) {
    this.state = state
  }

  hold(delivery: IncomingDelivery): void {
    delivery.holder = this
    this.unsettled.add(delivery)
  }

  isUnsettled(delivery: IncomingDelivery): boolean {
    return this.unsettled.has(delivery)
  }

  forget(delivery: IncomingDelivery): void {
    this.unsettled.delete(delivery)
  }

  dispose(deliveries: ReadonlyArray<IncomingDelivery>, outcome: Outcome): void {
    const held = deliveries.filter((delivery) => this.unsettled.has(delivery))
    if (held.length === 0) return
    const settlement = settlementOf(outcome)
    this.state.fork(
      Effect.forEach(held, (delivery) =>
        Effect.catchCause(
          settleByToken(this.state, [delivery], settlement, false),
          (cause) => reportUnsettled(this.state, cause, subjectOfDelivery(delivery))
        ), { concurrency: 8, discard: true })
    )
  }
}

/** Reports a settlement that failed and that no caller waits for. */
export const reportUnsettled = (
  { reporter }: Pick<ReceiverState, "reporter">,
  cause: Cause.Cause<unknown>,
  subject: Subject
): Effect.Effect<void> =>
  // What its handler settled itself, and what is interrupted, is no problem.
  Cause.hasInterruptsOnly(cause) || Cause.squash(cause) instanceof MessageAlreadySettled
    ? Effect.void
    : reporter.reportHere({
      _tag: "ProcessorError",
      message: "A message could not be given back; it comes again when its lock ends",
      source: "settle",
      ...subject,
      cause
    })

/** The settlement of the outcomes that are made here. */
const settlementOf = (outcome: Outcome): Settlement => {
  if (outcome._tag === "Accepted") return { _tag: "Complete" }
  if (outcome._tag !== "Rejected") return { _tag: "Abandon" }
  const { DeadLetterErrorDescription, DeadLetterReason } = outcome.error?.info ?? {}
  return {
    _tag: "DeadLetter",
    reason: typeof DeadLetterReason === "string" ? DeadLetterReason : undefined,
    description: typeof DeadLetterErrorDescription === "string" ? DeadLetterErrorDescription : undefined
  }
}

/**
 * Settles by lock token, over `$management`: a lock outlives the link that its message came on. `mayBeSettled` says that
 * the link was lost while an answer was awaited: a lock that is gone then may be one that was settled.
 */
const settleByToken = (
  state: ReceiverState,
  deliveries: ReadonlyArray<IncomingDelivery>,
  settlement: Settlement,
  mayBeSettled: boolean,
  onAnswer?: OnAnswer
): Effect.Effect<void, SettlementError> => {
  const { entity, namespace } = state
  if (!mayBeSettled && new Set(deliveries).size < deliveries.length) {
    return Effect.fail(new MessageAlreadySettled(contextOf(state)))
  }
  for (const delivery of deliveries) delivery.holder.forget(delivery)
  const lost = !mayBeSettled ? undefined : new OperationTimeoutError({
    ...contextOf(state),
    outcome: "unknown",
    description: "the link was lost before the peer answered"
  })
  /** What was not begun with. */
  const waiting = new Set(deliveries)
  const settleOne = (delivery: IncomingDelivery): Effect.Effect<void, SettlementError> => {
    waiting.delete(delivery)
    let uncertain = mayBeSettled
    /** Whether a request may be with the peer that has not answered it: interrupting does not take it back. */
    let isOut = false
    const request = namespace.withManagementNode(entity.path, state.isOpen, (node, timeout) => {
      isOut = true
      return EntityManagement.updateDisposition(node, {
        entity: entity.path,
        tokens: [tokenFromTag(delivery.tag)],
        settlement,
        session: state.session,
        timeout
      })
    })
    return namespace.retryPolicy.run(
      Effect.tapError(request, (error) =>
        Effect.sync(() => {
          isOut = false
          if (error._tag === "OperationTimeoutError" && error.outcome === "unknown") uncertain = true
        })),
      { lost }
    ).pipe(
      Effect.onError((cause) =>
        Effect.sync(() => {
          const isLost = cause.reasons.some((reason) => Cause.isFailReason(reason) && errorMap.isLockLost(reason.error))
          // As far as is known it is not settled: it may be tried again.
          if (!uncertain && !isLost && !isOut) delivery.holder.hold(delivery)
        })
      )
    )
  }
  // One that is refused keeps no other from being settled.
  return Effect.flatMap(
    Effect.forEach(deliveries, (delivery) =>
      Effect.tap(Effect.exit(settleOne(delivery)), (exit) =>
        Effect.sync(() => {
          if (onAnswer === undefined) return
          if (Exit.isSuccess(exit)) return onAnswer(delivery, undefined, settlement)
          const error = exit.cause.reasons.find(Cause.isFailReason)?.error
          if (error !== undefined && !delivery.holder.isUnsettled(delivery)) onAnswer(delivery, error, settlement)
        })), { concurrency: 8 }),
    (exits) => exits.find(Exit.isFailure) ?? Effect.void
  ).pipe(Effect.onInterrupt(() =>
    Effect.sync(() => {
      if (!mayBeSettled) { for (const delivery of waiting) delivery.holder.hold(delivery) }
    })
  ))
}
