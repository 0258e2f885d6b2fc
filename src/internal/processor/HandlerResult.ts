/**
 * The result of a handler, carried out: the settlement of each, `onFailure` where a handler failed, and what is
 * to become of a message whose settlement is refused.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import {
  InvalidOptionError,
  type MessageEncodeError,
  type MessageSizeExceededError,
  type NotSupportedError
} from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import * as Settlement from "../../Settlement.ts"
import type { Outcome } from "../amqp/codec/Outcome.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic } from "../monotonicClock.ts"
import type * as LockRenewal from "../receiver/LockRenewal.ts"
import type { ReceiverState } from "../receiver/ReceiverState.ts"
import * as SettlementOutcome from "../receiver/SettlementOutcome.ts"
import * as Settler from "../receiver/Settler.ts"
import { type EventReporter, subjectOf } from "../telemetry/EventReporter.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"

/** One settlement for each message of a batch, in their order. */
class Each {
  readonly settlements: ReadonlyArray<Settlement.Settlement>

  constructor(settlements: ReadonlyArray<Settlement.Settlement>) {
    this.settlements = settlements
  }
}

/** One settlement for all messages of a handler, complete where it gives none, or one for each. */
export type HandlerResult = Settlement.Settlement | Each | void

/** A message from its arrival to its settlement. */
export interface Job<A> {
  readonly delivery: IncomingDelivery
  readonly message: LockedMessage<A>
  readonly kept: LockRenewal.KeptLock
  /** The call of the handler that has it, once one has. */
  call: HandlerCall<A, unknown> | undefined
  /**
   * `open` until the message is settled or given back, its lock is lost, or the broker did not confirm its settlement; `taken`
   * where the handler settled it or handed it over itself.
   */
  state: "open" | "settled" | "released" | "lost" | "unconfirmed" | "taken"
}

/** A call of a handler, with the messages that it was given. */
export interface HandlerCall<A, E> {
  readonly jobs: ReadonlyArray<Job<A>>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** The processor itself interrupted the handler. */
  isStopped: boolean
  /** Why the handler, or its settlement, came to nothing: it was interrupted, and not by the processor. */
  cause: Cause.Cause<E> | undefined
}

export const isOpen = (job: Job<unknown>): boolean => job.state === "open"

export const isHeld = ({ delivery }: Job<unknown>): boolean => delivery.holder.isUnsettled(delivery)

/**
 * Where a settlement comes from: the handler, `onFailure`, or the processor itself, where neither gave one that can be
 * made. Each is asked once for a delivery, so that none is asked without end.
 */
type SettledBy = "handler" | "onFailure" | "processor"

/** A settlement that can never be made as it was given, however often it is tried. */
type Impossible = MessageEncodeError | InvalidOptionError | NotSupportedError | MessageSizeExceededError

const impossible: ReadonlySet<unknown> = new Set<Impossible["_tag"]>([
  "MessageEncodeError",
  "InvalidOptionError",
  "NotSupportedError",
  "MessageSizeExceededError"
])

const isImpossible = (error: unknown): error is Impossible =>
  Predicate.hasProperty(error, "_tag") && impossible.has(error._tag)

/** The settlements that a handler of batches gave are too few, too many, or none. */
const wrongSettlements = (entity: string, expected: string): InvalidOptionError =>
  new InvalidOptionError({ entity, operation: "process", option: "settlements", expected })

/** What a handler of batches gave, checked: it must be for all of its messages, or for each of them. */
export const ofBatch = (
  entity: string,
  given: Settlement.Settlement | Iterable<Settlement.Settlement> | void,
  count: number
): Effect.Effect<HandlerResult, InvalidOptionError> => {
  if (given === undefined || Settlement.isSettlement(given)) return Effect.succeed(given)
  const settlements: ReadonlyArray<unknown> = Symbol.iterator in Object(given) ? [...given as Iterable<unknown>] : []
  if (settlements.length === count && settlements.every(Settlement.isSettlement)) {
    return Effect.succeed(new Each(settlements))
  }
  const others = settlements.filter((each) => !Settlement.isSettlement(each)).length
  return Effect.fail(
    wrongSettlements(
      entity,
      `one settlement for all messages or one for each of the ${count}; the handler gave ${settlements.length}${
        others === 0 ? "" : `, of which ${others} ${others === 1 ? "is" : "are"} none`
      }`
    )
  )
}

const isWrongSettlements = (error: unknown): error is InvalidOptionError =>
  isImpossible(error) && error._tag === "InvalidOptionError" && error.option === "settlements" &&
  error.operation === "process"

/** What settles messages for a processor. */
interface Options<A, E> {
  readonly state: ReceiverState
  /** Abandons by default. */
  readonly onFailure: ((cause: Cause.Cause<E>, message: LockedMessage<A>) => Settlement.Settlement) | undefined
  readonly counts: ProcessorCounts.MutableCounts
  /** Gives a delivery back. */
  readonly release: (delivery: IncomingDelivery, outcome: Outcome) => void
  readonly reporter: EventReporter
}

/** Settles the messages of handlers. */
export class ResultSettler<A, E> {
  private readonly options: Options<A, E>
  private readonly state: ReceiverState
  private readonly counts: ProcessorCounts.MutableCounts
  /** What the handlers failed with for whose messages `onFailure` gave no settlement: it is said with what becomes of them. */
  private readonly undecided = new WeakMap<Job<A>, Cause.Cause<unknown>>()

  constructor(options: Options<A, E>) {
    this.options = options
    this.state = options.state
    this.counts = options.counts
  }

  settle(call: HandlerCall<A, E>, exit: Exit.Exit<HandlerResult, E>): Effect.Effect<void> {
    const { jobs } = call
    if (!jobs.some(isOpen)) return Effect.void
    if (Exit.isSuccess(exit)) {
      // What gave nothing has nothing to hear of it.
      const what = "A handler gave a settlement that is not made: it settled"
      if (this.leave(jobs, "taken", exit.value === undefined ? undefined : what, Cause.empty)) return Effect.void
      const result = exit.value === undefined ? Settlement.complete : exit.value
      if (result instanceof Each) return this.settleGroups(jobs, "handler", (_, index) => result.settlements[index]!)
      // One that its handler settled or handed over itself costs no other.
      return jobs.length === 1 || jobs.every(isHeld)
        ? this.settleAll(jobs.filter(isOpen), result, "handler")
        : this.settleGroups(jobs, "handler", () => result)
    }
    const { cause } = exit
    if (!Cause.hasInterruptsOnly(cause)) return this.fail(call, cause)
    call.cause = cause
    return Effect.void
  }

  /**
   * Leaves what the handler settled or handed over itself, and says so in one line where `what` begins it. Whether there is
   * nothing else to settle.
   */
  private leave(
    jobs: ReadonlyArray<Job<A>>,
    as: "taken" | "unconfirmed",
    what: string | undefined,
    cause: Cause.Cause<unknown>
  ): boolean {
    const taken = jobs.filter((job) => isOpen(job) && !isHeld(job))
    if (taken.length === 0) return false
    for (const job of taken) job.state = as
    if (what !== undefined) {
      const which = jobs.length === 1 ? "its message" : `${taken.length} of its ${jobs.length} messages`
      this.options.reporter.reportFailed({
        _tag: "ProcessorError",
        message: `${what} ${which} itself`,
        source: "handler",
        ...subjectOf(taken[0]!.message),
        cause,
        // Whether it does is not known: it may have been abandoned.
        comesAgain: false
      })
    }
    return !jobs.some(isOpen)
  }

  /** A handler that failed, or that ended as interrupted though its processor did not interrupt it. */
  fail({ jobs }: HandlerCall<A, E>, cause: Cause.Cause<E>): Effect.Effect<void> {
    this.counts.failed++
    const error = Cause.squash(cause)
    const isUnknown = Predicate.isTagged(error, "OperationTimeoutError")
    const what = `A handler failed; ${isUnknown ? "as far as is known" : "before that"} it settled`
    if (this.leave(jobs, isUnknown ? "unconfirmed" : "taken", what, cause)) return Effect.void
    // Run again, it would give the same number of settlements.
    if (this.options.onFailure === undefined && isWrongSettlements(error)) {
      return Effect.forEach(
        jobs.filter(isOpen),
        (job) => this.settleInstead(job, Settlement.complete, "processor", error),
        { concurrency: "unbounded", discard: true }
      )
    }
    return this.settleFailed(
      jobs,
      cause,
      Cause.hasInterruptsOnly(cause) ? "A handler interrupted itself" : "A handler failed"
    )
  }

  /** Settles messages whose handler failed as `onFailure` says, and reports each with what becomes of it. */
  private settleFailed(jobs: ReadonlyArray<Job<A>>, cause: Cause.Cause<E>, what: string): Effect.Effect<void> {
    const { onFailure = abandon, reporter } = this.options
    return Effect.contextWith((context: Context.Context<never>) => {
      const report = (job: Job<A>, then: string, cause: Cause.Cause<unknown>, comesAgain: boolean): void =>
        reporter.reportFailed({
          _tag: "ProcessorError",
          message: `${what}; ${then}`,
          source: "handler",
          ...subjectOf(job.message),
          cause,
          comesAgain
        }, context)
      return this.settleGroups(jobs, "onFailure", (job) => {
        let settlement: Settlement.Settlement
        try {
          settlement = onFailure(cause, job.message)
        } catch (error) {
          // It is no settlement either; the cause says so already, and once is enough.
          report(
            job,
            "onFailure threw, and the message comes again unless this was its last delivery",
            Cause.combine(cause, Cause.die(error)),
            true
          )
          throw new Reported(error)
        }
        const intent = intentOf(settlement)
        if (intent === undefined) this.undecided.set(job, cause)
        else report(job, intent, cause, tagOf(settlement) === "Abandon")
        return settlement
      })
    })
  }

  /** Settles each as it is decided: those of equal settlements together. */
  private settleGroups(
    jobs: ReadonlyArray<Job<A>>,
    by: SettledBy,
    decide: (job: Job<A>, index: number) => Settlement.Settlement
  ): Effect.Effect<void> {
    const groups = new Map<unknown, { readonly settlement: Settlement.Settlement; readonly jobs: Array<Job<A>> }>()
    const all: Array<Effect.Effect<void>> = []
    jobs.forEach((job, index) => {
      if (!isOpen(job)) return
      try {
        const settlement = decide(job, index)
        const key = isHeld(job) ? SettlementOutcome.groupKeyOf(settlement) : job
        const group = groups.get(key)
        if (group === undefined) groups.set(key, { settlement, jobs: [job] })
        else group.jobs.push(job)
      } catch (error) {
        all.push(this.refused([job], Cause.die(error)))
      }
    })
    for (const { jobs, settlement } of groups.values()) all.push(this.settleAll(jobs, settlement, by))
    return all.length === 1 ? all[0]! : Effect.all(all, { concurrency: "unbounded", discard: true })
  }

  private settleAll(
    jobs: ReadonlyArray<Job<A>>,
    settlement: Settlement.Settlement,
    by: SettledBy
  ): Effect.Effect<void> {
    const isLater = isRetry(settlement)
    // The lock need not be kept any longer; losing it from here on is the broker's answer to the settlement. Sending a
    // copy may take longer.
    if (!isLater) { for (const job of jobs) this.state.renewal.release(job.kept) }
    const refusals = jobs.length > 1 || isLater ? new Map<Job<A>, unknown>() : undefined
    const answers = refusals && this.answersOf(jobs, refusals)
    const made = Effect.suspend(() => Settler.settle(this.state, jobs.map((job) => job.message), settlement, answers))
    return Effect.matchCauseEffect(made, {
      onFailure: (cause) => this.settleImpossible(jobs, settlement, by, cause, refusals),
      onSuccess: () => {
        if (answers === undefined) this.settled(jobs[0]!, settlement)
        return Effect.void
      }
    })
  }

  /**
   * A settlement that was refused. Those of its messages for which it can never be made, and which are still ours, are
   * settled otherwise: run again, their handler would say the same.
   */
  private settleImpossible(
    jobs: ReadonlyArray<Job<A>>,
    settlement: Settlement.Settlement,
    by: SettledBy,
    cause: Cause.Cause<unknown>,
    refusals: ReadonlyMap<Job<A>, unknown> | undefined
  ): Effect.Effect<void> {
    const error = Cause.squash(cause)
    const found = jobs.flatMap((job) => {
      const reason = refusals?.get(job) ?? error
      return by !== "processor" && isOpen(job) && isHeld(job) && isImpossible(reason) ? [{ job, reason }] : []
    })
    if (found.length === 0) return this.refused(jobs, cause)
    const rest = jobs.filter((job) => !found.some((each) => each.job === job))
    const instead = found.map(({ job, reason }) => this.settleInstead(job, settlement, by, reason))
    if (by === "handler") this.counts.failed++
    return Effect.all(rest.length === 0 ? instead : [this.refused(rest, cause), ...instead], {
      concurrency: "unbounded",
      discard: true
    })
  }

  private settleInstead(
    job: Job<A>,
    settlement: Settlement.Settlement,
    by: SettledBy,
    error: Impossible
  ): Effect.Effect<void> {
    const { onFailure } = this.options
    if (isDeadLetter(settlement) && error._tag === "MessageEncodeError") {
      const { omitted, settlement: rest } = SettlementOutcome.withoutUnencodable(settlement)
      return Effect.andThen(
        this.reportSettlement(
          job,
          `A message is dead-lettered without what could not be written: ${omitted.join(", ")}`,
          Cause.fail(error)
        ),
        this.settleAll([job], rest, "processor")
      )
    }
    if (by === "handler" && onFailure !== undefined) {
      return this.settleFailed([job], Cause.die(error), "A handler gave a settlement that cannot be made")
    }
    const reason = error._tag
    const undecided = this.undecided.get(job)
    return Effect.andThen(
      this.options.reporter.reportHere({
        _tag: "MessageDeadLettered",
        message: undecided === undefined
          ? "A message cannot be settled as it was to be; it is dead-lettered"
          : "A handler failed, and onFailure gave no settlement for its message; it is dead-lettered",
        reason,
        ...subjectOf(job.message),
        cause: undecided === undefined ? Cause.fail(error) : Cause.combine(undecided, Cause.fail(error))
      }),
      this.settleAll([job], Settlement.deadLetter({ reason, description: error.message }), "processor")
    )
  }

  /** Hears of each message of many by itself. */
  private answersOf(jobs: ReadonlyArray<Job<A>>, refusals: Map<Job<A>, unknown>): Settler.OnAnswer {
    const byDelivery = new Map(jobs.map((job) => [job.delivery, job]))
    return (delivery, error, settlement) => {
      const job = byDelivery.get(delivery)
      if (job === undefined || job.state !== "open") return
      if (error === undefined) this.settled(job, settlement)
      // Nothing of it is on the wire.
      else if (isHeld(job)) refusals.set(job, error)
      else this.end(job, error)
    }
  }

  private settled(job: Job<A>, settlement: Settlement.Settlement): void {
    const { clock, telemetry } = this.state
    telemetry.recordLockMargin((job.kept.lock.expiresAt - monotonic(clock)) / 1000)
    job.state = "settled"
    this.counts[ProcessorCounts.nameOf(settlement)]++
  }

  /** A settlement that failed, for those that have no answer of their own: their messages come again. */
  private refused(jobs: ReadonlyArray<Job<A>>, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    if (Cause.hasInterruptsOnly(cause)) {
      // What a settlement runs may end so by itself: the schedule of a retry.
      for (const { call } of jobs) if (call !== undefined) call.cause ??= cause
      return Effect.void
    }
    const error = Cause.squash(cause)
    const open = jobs.filter(isOpen)
    if (errorMap.isLockLost(error)) {
      // Of one that stands alone, the error is its own answer.
      if (jobs.length === 1) { for (const job of open) this.end(job, error) }
      return Effect.void
    }
    for (const job of open) {
      const isOurs = isHeld(job)
      // What never went to the wire is still ours to give back. Its handler had it: that it comes again counts as a failed
      // delivery, or it would do so without end.
      this.options.release(job.delivery, SettlementOutcome.abandoned)
      if (!isOurs || isHeld(job)) job.state = "unconfirmed"
      else {
        job.state = "released"
        this.counts.released++
      }
    }
    if (error instanceof Reported) return Effect.void
    const others = jobs.length > 1 ? `, nor could others of the ${jobs.length} that were settled with it` : ""
    return this.reportSettlement(
      open[0] ?? jobs[0]!,
      `A message could not be settled, as far as is known${others}; what is not settled comes again`,
      cause
    )
  }

  /** Notes what a refused settlement makes of its message. */
  private end(job: Job<A>, error: unknown): void {
    job.state = errorMap.isLockLost(error) ? "lost" : "unconfirmed"
    // That of a session is reported once for all of its messages.
    if (!errorMap.isLockLost(error) || this.state.session !== undefined) return
    this.options.reporter.report({
      _tag: "LockLost",
      message: "The lock of a message was lost before the message was settled; it comes again",
      ...subjectOf(job.message),
      cause: Cause.fail(error)
    })
  }

  private reportSettlement(job: Job<A>, message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return this.options.reporter.reportHere({
      _tag: "ProcessorError",
      message,
      source: "settle",
      ...subjectOf(job.message),
      cause
    })
  }
}

const abandon = (): Settlement.Settlement => Settlement.abandon()

/** What user code gives may be anything. */
const tagOf = (settlement: Settlement.Settlement): unknown => {
  try {
    return settlement._tag
  } catch {
    return undefined
  }
}

const isRetry = (settlement: Settlement.Settlement): boolean => tagOf(settlement) === "RetryAfter"

const isDeadLetter = (settlement: Settlement.Settlement): settlement is Settlement.DeadLetter =>
  tagOf(settlement) === "DeadLetter"

/** What `onFailure` threw, once that is reported. */
class Reported extends Error {
  constructor(cause: unknown) {
    super("onFailure threw", { cause })
  }
}

/** What is to become of a message whose handler failed; undefined for what is no settlement. */
const intentOf = (settlement: Settlement.Settlement): string | undefined => {
  switch (tagOf(settlement)) {
    case "Complete":
      return "its message is completed"
    case "Abandon":
      return "its message is abandoned, and comes again unless this was its last delivery"
    case "Defer":
      return "its message is deferred"
    case "DeadLetter":
      return "its message is dead-lettered"
    case "RetryAfter":
      return "its message is tried again later"
    default:
      return undefined
  }
}
