/**
 * What handlers said of their messages, carried out: the settlement of each, `onFailure` where a handler failed, and what is
 * to become of a message whose settlement is refused.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { LockedMessage } from "../ServiceBusMessage.ts"
import * as Settlement from "../Settlement.ts"
import type { IncomingDelivery } from "./amqp/dataPlane/Delivery.ts"
import type { Outcome } from "./amqp/dataPlane/Outcome.ts"
import { monotonic } from "./amqp/monotonic.ts"
import * as errorMap from "./errorMap.ts"
import type * as lockWheel from "./lockWheel.ts"
import * as receiving from "./receiving.ts"
import * as settling from "./settling.ts"
import * as tally from "./tally.ts"

/** What a handler says: one settlement for all of its messages, complete where it says nothing, or one for each. */
export type Verdict = Settlement.Settlement | ReadonlyArray<Settlement.Settlement> | void

/** A message from its arrival to its settlement. */
export interface Job<A> {
  readonly delivery: IncomingDelivery
  readonly message: LockedMessage<A>
  readonly kept: lockWheel.Kept
  /** What it is handled in, once it is. */
  work: Work<A, unknown> | undefined
  /** `open` until the message is settled or given back, its lock is lost, or the broker did not confirm its settlement. */
  state: "open" | "settled" | "released" | "lost" | "unconfirmed"
}

/** What one handler is given. */
export interface Work<A, E> {
  readonly jobs: ReadonlyArray<Job<A>>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** The processor itself interrupted the handler. */
  isStopped: boolean
  /** Why the handler, or what it said, came to nothing: it was interrupted, and not by the processor. */
  cause: Cause.Cause<E> | undefined
}

export const isOpen = (job: Job<unknown>): boolean => job.state === "open"

export const isHeld = ({ delivery }: Job<unknown>): boolean => delivery.holder.isUnsettled(delivery)

/** What carries out verdicts for a processor. */
export interface Options<A, E> {
  readonly receiving: receiving.Receiving
  readonly owner: object
  readonly onFailure: (cause: Cause.Cause<E>, message: LockedMessage<A>) => Settlement.Settlement
  readonly tally: ReturnType<typeof tally.make>
  /** Gives a delivery back. */
  readonly release: (delivery: IncomingDelivery, outcome: Outcome) => void
}

export class Verdicts<A, E> {
  private readonly options: Options<A, E>
  private readonly behind: receiving.Receiving
  private readonly tally: ReturnType<typeof tally.make>

  constructor(options: Options<A, E>) {
    this.options = options
    this.behind = options.receiving
    this.tally = options.tally
  }

  settle(work: Work<A, E>, exit: Exit.Exit<Verdict, E>): Effect.Effect<void> {
    const { jobs } = work
    if (!jobs.some(isOpen)) return Effect.void
    if (Exit.isSuccess(exit)) {
      const verdict = exit.value ?? Settlement.complete
      if (Array.isArray(verdict)) return this.settleGroups(jobs, (_, index) => verdict[index]!)
      const said = verdict as Settlement.Settlement
      // One that its handler settled or handed over itself costs no other.
      return jobs.length === 1 || jobs.every(isHeld)
        ? this.settleAll(jobs.filter(isOpen), said)
        : this.settleGroups(jobs, () => said)
    }
    const { cause } = exit
    if (!Cause.hasInterruptsOnly(cause)) return this.fail(work, cause)
    work.cause = cause
    return Effect.void
  }

  /** A handler that failed, or that ended as interrupted though its processor did not interrupt it. */
  fail({ jobs }: Work<A, E>, cause: Cause.Cause<E>): Effect.Effect<void> {
    this.tally.failed++
    return this.settleGroups(jobs, (job) => this.options.onFailure(cause, job.message))
  }

  /** Settles each as it is decided: those of equal settlements together. */
  private settleGroups(
    jobs: ReadonlyArray<Job<A>>,
    decide: (job: Job<A>, index: number) => Settlement.Settlement
  ): Effect.Effect<void> {
    const groups = new Map<unknown, { readonly settlement: Settlement.Settlement; readonly jobs: Array<Job<A>> }>()
    const all: Array<Effect.Effect<void>> = []
    jobs.forEach((job, index) => {
      if (!isOpen(job)) return
      try {
        const settlement = decide(job, index)
        const key = isHeld(job) ? settling.keyOf(settlement) : job
        const group = groups.get(key)
        if (group === undefined) groups.set(key, { settlement, jobs: [job] })
        else group.jobs.push(job)
      } catch (error) {
        all.push(this.refused([job], Cause.die(error)))
      }
    })
    for (const { jobs, settlement } of groups.values()) all.push(this.settleAll(jobs, settlement))
    return all.length === 1 ? all[0]! : Effect.all(all, { concurrency: "unbounded", discard: true })
  }

  private settleAll(jobs: ReadonlyArray<Job<A>>, settlement: Settlement.Settlement): Effect.Effect<void> {
    // The lock need not be kept any longer; losing it from here on is the broker's answer to the settlement. Sending a
    // copy may take longer.
    if (settlement?._tag !== "RetryAfter") { for (const job of jobs) this.behind.wheel.release(job.kept) }
    const answers = jobs.length > 1 || settlement?._tag === "RetryAfter" ? this.answersOf(jobs) : undefined
    const made = Effect.suspend(() =>
      settling.settle(this.behind, this.options.owner, jobs.map((job) => job.message), settlement, answers)
    )
    return Effect.matchCauseEffect(made, {
      onFailure: (cause) => this.refused(jobs, cause),
      onSuccess: () => {
        if (answers === undefined) this.settled(jobs[0]!, settlement)
        return Effect.void
      }
    })
  }

  /** Hears of each message of many by itself. */
  private answersOf(jobs: ReadonlyArray<Job<A>>): settling.OnAnswer {
    const byDelivery = new Map(jobs.map((job) => [job.delivery, job]))
    return (delivery, error, settlement) => {
      const job = byDelivery.get(delivery)
      if (job === undefined || job.state !== "open") return
      if (error === undefined) this.settled(job, settlement)
      else job.state = stateOf(error)
    }
  }

  private settled(job: Job<A>, settlement: Settlement.Settlement): void {
    const { clock, telemetry } = this.behind
    telemetry.margin((job.kept.lock.expiresAt - monotonic(clock)) / 1000)
    job.state = "settled"
    this.tally[tally.nameOf(settlement)]++
  }

  /** A settlement that failed, for those that have no answer of their own: their messages come again. */
  private refused(jobs: ReadonlyArray<Job<A>>, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    if (Cause.hasInterruptsOnly(cause)) {
      // What a settlement runs may end so by itself: the schedule of a retry.
      for (const { work } of jobs) if (work !== undefined) work.cause ??= cause
      return Effect.void
    }
    const state = stateOf(Cause.squash(cause))
    const open = jobs.filter(isOpen)
    // Of one that stands alone, the error is its own answer.
    if (state === "lost" && jobs.length === 1) { for (const job of open) job.state = state }
    if (state === "lost") return Effect.void
    for (const job of open) {
      const isOurs = isHeld(job)
      // What never went to the wire is still ours to give back. Its handler had it: that it comes again counts as a failed
      // delivery, or it would do so without end.
      this.options.release(job.delivery, receiving.abandoned)
      if (!isOurs || isHeld(job)) job.state = "unconfirmed"
      else {
        job.state = "released"
        this.tally.released++
      }
    }
    return Effect.logWarning("A message could not be settled; it will be delivered again", cause).pipe(
      Effect.annotateLogs({
        entity: this.behind.entity.path,
        sequenceNumber: (open[0] ?? jobs[0]!).message.sequenceNumber
      })
    )
  }
}

/** What a refused settlement makes of its message. */
const stateOf = (error: unknown): "lost" | "unconfirmed" => errorMap.isLockLost(error) ? "lost" : "unconfirmed"
