/**
 * A processor: takes what comes on a receiver's link, runs a handler for one message or a batch of them at a
 * time, up to `concurrency` of those, keeps the locks of all, and settles each message as the handler says.
 *
 * Every delivery is counted under exactly one outcome: settled, given back, or left to its lock. A lock that is lost
 * takes its message from the handler, which is interrupted once it has no other.
 *
 * One file because all of it is one loop over one state: the counts add up only where deliveries, locks and handlers are
 * counted together.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import {
  type AttachError,
  InvalidOptionError,
  MessageDecodeError,
  MessageLockLostError,
  type ReceiveError,
  ServiceBusConnectionError
} from "../../ServiceBusError.ts"
import type { LogLevelOption } from "../../ServiceBusEvent.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import type * as Settlement from "../../Settlement.ts"
import { type Outcome, released } from "../amqp/codec/Outcome.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import type * as ReceiverLink from "../amqp/ReceiverLink.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic } from "../monotonicClock.ts"
import { stableAfter } from "../namespace/RecoveringLink.ts"
import { checkedCount, maxCount } from "../options.ts"
import * as LockRenewal from "../receiver/LockRenewal.ts"
import * as MessageLock from "../receiver/MessageLock.ts"
import * as ReceiverState from "../receiver/ReceiverState.ts"
import { abandoned } from "../receiver/SettlementOutcome.ts"
import { type EventReporter, subjectOf } from "../telemetry/EventReporter.ts"
import { FailedMessages } from "../telemetry/FailedMessages.ts"
import { type HandlerCall, type HandlerResult, isHeld, isOpen, type Job, ResultSettler } from "./HandlerResult.ts"
import { IdleTimer } from "./IdleTimer.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"

/** Options of a processor, checked. Durations are milliseconds. */
export interface Settings {
  /** How many handlers run at a time. */
  readonly concurrency: number
  /** How many messages may wait; as many as are handled at a time where none is given. */
  readonly prefetch: number | undefined
  readonly maxLockRenewal: number
  readonly drainTimeout: number
  /** The most messages that one handler is given. */
  readonly size: number
  /** How long a handler's messages may wait for more after the first of them arrived. */
  readonly within: number
  /** The most messages to take in all; no end where none is given. */
  readonly limit?: number | undefined
  /** At which level its events are logged. */
  readonly logLevel: LogLevelOption | undefined
}

export interface Options<A, E, R> {
  readonly state: ReceiverState.ReceiverState<A, "locked">
  readonly settings: Settings
  readonly handler: (messages: Arr.NonEmptyReadonlyArray<LockedMessage<A>>) => Effect.Effect<HandlerResult, E, R>
  readonly onFailure: ((cause: Cause.Cause<E>, message: LockedMessage<A>) => Settlement.Settlement) | undefined
  readonly fork: <B, E2>(effect: Effect.Effect<B, E2, R>) => Fiber.Fiber<B, E2>
  readonly reporter: EventReporter
}

/**
 * Why a processor has nothing more to do: nothing came for a while, it has had all that it may take, or a message comes
 * again only once its session is given up.
 */
type Finish = "idle" | "share" | "unsettled"

/** What others see of a processor, whatever its messages are. */
export interface Running {
  readonly take: Effect.Effect<void, InvalidOptionError>
  readonly serve: Effect.Effect<void>
  /** Fails where no message can be decoded, by whatever session it came. */
  readonly misuse: Effect.Effect<never, InvalidOptionError>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  readonly drain: Effect.Effect<ProcessorCounts.DrainReport>
  readonly idleFor: (millis: number) => Effect.Effect<Finish>
  readonly lose: () => void
  readonly count: () => ProcessorCounts.Counts
}

export class MessageProcessor<A, E, R> implements Running {
  private readonly options: Options<A, E, R>
  private readonly settings: Settings
  private readonly state: ReceiverState.ReceiverState<A, "locked">
  /** Fails where the link cannot be had any more, and succeeds once all is drained: what comes first. */
  private readonly end = Deferred.makeUnsafe<ProcessorCounts.DrainReport, ReceiveError>()
  private readonly unusable = Deferred.makeUnsafe<never, InvalidOptionError>()
  private concurrency: number
  private waiting: Array<Job<A>> = []
  private readonly active = new Set<HandlerCall<A, E>>()
  /** Messages in the hands of handlers. */
  private inWork = 0
  /** Messages that have arrived and were not looked at. */
  private unseen = 0
  private readonly idle: IdleTimer
  /** Whether the session must be given up for one of its messages to come again. */
  private isStuck = false
  private filling: Fiber.Fiber<unknown, unknown> | undefined
  private phase: "running" | "paused" | "drained" = "running"
  private readonly renewalsBefore: number
  private dispatching = false
  private emptied: (() => void) | undefined
  private drained: Deferred.Deferred<ProcessorCounts.DrainReport> | undefined
  private readonly totals = ProcessorCounts.make()
  private readonly results: ResultSettler<A, E>

  constructor(options: Options<A, E, R>) {
    this.options = options
    this.settings = options.settings
    this.state = options.state
    this.concurrency = options.settings.concurrency
    this.renewalsBefore = options.state.renewal.renewals()
    this.idle = new IdleTimer(options.state.clock)
    const { onFailure, state } = options
    this.results = new ResultSettler<A, E>({
      state,
      onFailure,
      counts: this.totals,
      release: (delivery, outcome) => this.release(delivery, outcome),
      reporter: options.reporter
    })
  }

  /** Has the receiver's messages for itself until it is drained. */
  get take(): Effect.Effect<void, InvalidOptionError> {
    return Effect.tap(ReceiverState.startConsuming(this.state, "processor"), () =>
      Effect.sync(() => {
        // Nothing could come before.
        this.idle.note(false)
      }))
  }

  /** Takes what comes on a link. */
  private wire(link: ReceiverLink.ReceiverLink): void {
    const { dispatcher } = link.link.connection
    link.consume((deliveries) => {
      this.totals.received += deliveries.length
      this.unseen += deliveries.length
      this.idle.note(true)
      // Decoding and handling are not done inside the read of the socket.
      dispatcher.schedule(() => this.arrived(deliveries))
    })
    this.replenish()
  }

  /** Serves one link after the other: one that is lost is attached again, until that fails for good. */
  readonly serve: Effect.Effect<void> = Effect.suspend(() => {
    const { clock, entity, namespace } = this.state
    const served = Effect.suspend(() =>
      // Drained: what uses the receiver next attaches it again.
      this.phase === "drained" ? Effect.never : Effect.flatMap(this.state.attached, (link) => {
        // Meanwhile it may be.
        if (this.phase === "drained") return Effect.never
        const since = monotonic(clock)
        const { received } = this.totals
        this.wire(link)
        return Effect.callback<void, AttachError>((resume) => {
          const off = link.link.onDeath((cause) =>
            resume(
              errorMap.isUnreadable(cause)
                ? Effect.fail(errorMap.attachError(cause))
                : this.totals.received > received || monotonic(clock) - since >= stableAfter
                ? Effect.void
                // One that comes to nothing is not attached again and again without a pause.
                : Effect.fail(
                  new ServiceBusConnectionError({
                    entity: entity.path,
                    operation: "process",
                    description: "the link was lost soon after it was attached",
                    cause
                  })
                )
            )
          )
          return Effect.sync(off)
        })
      })
    )
    const next = namespace.retryPolicy.retryUntilSuccess(served, undefined, this.state.onRetry)
    const failing = Effect.mapError(
      Effect.forever(next),
      (error) => errorMap.attachError(error, { entity: entity.path, operation: "process" })
    )
    // Whatever ends it: an interruption of the processor itself does not come here.
    return Effect.catchCause(failing, (cause) =>
      Effect.sync(() => {
        const stopped = stopOf(cause)
        // First: what waits for it may drain it at once.
        this.reportStopped(stopped)
        Deferred.doneUnsafe(this.end, Effect.failCause(stopped))
      }))
  })

  private arrived(deliveries: ReadonlyArray<IncomingDelivery>): void {
    const { options: { reporter }, state } = this
    this.unseen -= deliveries.length
    for (const delivery of deliveries) {
      if (this.phase === "drained" || this.phase === "paused" && state.session === undefined) {
        this.totals.released++
        this.release(delivery)
        continue
      }
      const expired = state.expired
      const message = ReceiverState.decodeOrDispose(state, delivery, state.body, reporter)
      if (message instanceof InvalidOptionError) {
        this.totals.released++
        this.giveUp(message)
        continue
      }
      // Where the policy is to fail the message is abandoned, and the processor goes on.
      if (message === undefined || message instanceof MessageDecodeError) {
        if (message !== undefined) {
          ReceiverState.reportAbandoned(reporter, delivery, message)
        }
        if (state.expired > expired) this.totals.lockLost++
        else this.totals.undecodable++
        continue
      }
      this.waiting.push(this.job(delivery, message))
    }
    this.dispatch()
  }

  /** Takes no more messages: each of them would come back as this one does. */
  private giveUp(error: InvalidOptionError): void {
    this.reportStopped(Cause.fail(error))
    Deferred.doneUnsafe(this.end, Effect.fail(error))
    if (!Deferred.doneUnsafe(this.unusable, Effect.fail(error))) return
    this.options.fork(this.pause)
  }

  /** Reports, once, that it cannot go on; the processor of all sessions says so itself. */
  private reportStopped(cause: Cause.Cause<ReceiveError>): void {
    if (this.state.session !== undefined || this.phase === "drained" || Deferred.isDoneUnsafe(this.end)) return
    this.options.reporter.report({
      _tag: "ConsumerStopped",
      message: "A processor has stopped: it takes no more messages",
      cause
    })
  }

  private job(delivery: IncomingDelivery, message: LockedMessage<A>): Job<A> {
    const { settings, state } = this
    const kept = LockRenewal.keptLock(
      MessageLock.of(state, message, delivery),
      delivery.receivedAt + settings.maxLockRenewal,
      (reason, cause) => this.onLockTrouble(job, reason, cause)
    )
    const job: Job<A> = { delivery, message, kept, call: undefined, state: "open" }
    // The lock of a session is kept as long as the session is held.
    if (state.session === undefined) state.renewal.keep(kept)
    return job
  }

  private onLockTrouble(
    job: Job<A>,
    reason: "budget" | "failed" | "failing",
    cause: LockRenewal.RenewalError | undefined
  ): void {
    if (job.state !== "open") return
    const { options: { reporter }, state } = this
    const about = subjectOf(job.message)
    if (reason === "failing") {
      return reporter.report({
        _tag: "ProcessorError",
        message: "The lock of a message could not be renewed; it is tried again as long as the lock lasts",
        source: "renew",
        ...about,
        cause: Cause.fail(cause)
      })
    }
    reporter.report({
      _tag: "LockLost",
      message: job.call === undefined
        ? "The lock of a message is lost, which waited for a handler; it comes again"
        : "The lock of a message is lost while its handler works; the message comes again",
      ...about,
      cause: Cause.fail(
        cause ?? new MessageLockLostError({
          entity: state.entity.path,
          identifier: state.identifier,
          operation: "process",
          sequenceNumber: job.message.sequenceNumber,
          description: reason === "budget"
            ? "it ended after the time for which it is renewed (maxLockRenewal)"
            : "it ended before it was renewed"
        })
      )
    })
    this.lost(job)
  }

  private lost(job: Job<A>): void {
    if (job.state !== "open") return
    job.state = "lost"
    job.delivery.holder.forget(job.delivery)
    const { call } = job
    if (call !== undefined) {
      // Others of its call may be well.
      if (call.jobs.some(isOpen)) return
      call.isStopped = true
      call.fiber?.interruptUnsafe()
      return
    }
    this.waiting = this.waiting.filter((other) => other !== job)
    this.totals.lockLost++
    this.replenish()
    this.noteIdle()
  }

  /** The session whose messages these are is lost: nothing of it is ours any more. */
  lose(): void {
    const inWork = [...this.active].flatMap(({ jobs }) => jobs)
    for (const job of [...this.waiting, ...inWork]) {
      // A settlement that is on its way has an answer of its own, or none.
      if (isHeld(job)) this.lost(job)
    }
  }

  /**
   * Gives a delivery back. A session takes its own back when it is given up, and does not count that as a failure; while it
   * is held the message has to come before those that come after it.
   */
  private release(delivery: IncomingDelivery, outcome: Outcome = released): void {
    const { link, session } = this.state
    const isHeld = session !== undefined && this.phase !== "drained" && session.ended() === undefined
    // What can be given back only by a request would come after those.
    if (isHeld && delivery.holder !== link) this.isStuck = true
    if (session === undefined || isHeld && !this.isStuck) delivery.holder.dispose([delivery], outcome)
    else delivery.holder.forget(delivery)
  }

  /** Starts handlers while fewer run than may. */
  private dispatch(): void {
    // A handler that ends at once comes here from within `begin`: the loop that began it goes on.
    if (this.dispatching) return
    this.dispatching = true
    const { size } = this.settings
    const now = this.waiting.length === 0 ? 0 : monotonic(this.state.clock)
    let begun = 0
    while (this.phase === "running" && !this.isStuck && this.active.size < this.concurrency && this.isReady()) {
      const jobs = size === 1 ? [this.waiting.shift()!] : this.waiting.splice(0, size)
      const isEnded = this.state.session?.ended() !== undefined
      let held = jobs.length
      for (const job of jobs) {
        if (!isEnded && job.kept.lock.expiresAt > now) continue
        // Its renewal or its session may be about to say so.
        this.state.renewal.release(job.kept)
        if (this.state.session === undefined) this.onLockTrouble(job, "failed", job.kept.failure)
        else this.lost(job)
        held--
      }
      begun += held
      if (held > 0) this.begin(held === jobs.length ? jobs : jobs.filter(isOpen))
    }
    this.dispatching = false
    this.state.telemetry.countConsumed("process", begun)
    this.replenish()
    this.noteIdle()
  }

  /** Whether what waits is enough for a handler, or has waited long enough. */
  private isReady(): boolean {
    const { settings, waiting } = this
    if (waiting.length >= settings.size) return true
    if (waiting.length === 0) return false
    const left = waiting[0]!.delivery.receivedAt + settings.within - monotonic(this.state.clock)
    if (left <= 0) return true
    this.filling ??= this.options.fork(Effect.andThen(
      Effect.sleep(left),
      Effect.sync(() => {
        this.filling = undefined
        this.dispatch()
      })
    ))
    return false
  }

  private begin(jobs: ReadonlyArray<Job<A>>): void {
    const call: HandlerCall<A, E> = { jobs, fiber: undefined, isStopped: false, cause: undefined }
    this.active.add(call)
    this.inWork += jobs.length
    for (const job of jobs) job.call = call
    const messages = jobs.map((job) => job.message) as unknown as Arr.NonEmptyReadonlyArray<LockedMessage<A>>
    this.run(
      call,
      this.state.telemetry.runHandler(
        messages,
        Effect.suspend(() => this.options.handler(messages)),
        (exit) => this.results.settle(call, exit)
      )
    )
  }

  private run(call: HandlerCall<A, E>, effect: Effect.Effect<void, never, R>, isLast = false): void {
    const before = call.fiber
    const fiber = this.options.fork(Effect.onExitPrimitive(effect, (exit) => {
      const cause = call.cause ?? (Exit.isFailure(exit) ? exit.cause : undefined)
      // A handler that is interrupted, and not by its processor, has failed. Its own fiber may not settle any more.
      if (cause !== undefined && !isLast && !call.isStopped && call.jobs.some((job) => isOpen(job) && isHeld(job))) {
        this.run(call, Effect.suspend(() => this.results.fail(call, cause)), true)
      } else this.ended(call)
      return undefined
    }))
    // It may be over already, and what follows it begun.
    if (call.fiber === before) call.fiber = fiber
  }

  private ended(call: HandlerCall<A, E>): void {
    this.active.delete(call)
    this.inWork -= call.jobs.length
    for (const job of call.jobs) {
      this.state.renewal.release(job.kept)
      if (job.state === "lost") this.totals.lockLost++
      else if (job.state === "taken") this.totals.taken++
      else if (job.state === "unconfirmed") this.unsettled()
      else if (job.state === "open") this.giveBack(job)
    }
    if (this.active.size === 0) this.emptied?.()
    this.dispatch()
  }

  /** Its message comes when its lock ends. That of a session would not as long as the session is held, and others first. */
  private unsettled(): void {
    this.totals.unsettled++
    if (this.state.session !== undefined) this.isStuck = true
  }

  private returned(job: Job<A>): void {
    job.state = "released"
    this.totals.released++
  }

  /** Interrupted or never started. A settlement that was cut off is on its way and has no answer. */
  private giveBack(job: Job<A>): void {
    if (!isHeld(job)) return this.unsettled()
    this.returned(job)
    // Without end it would come at once where neither its handler nor `onFailure` decides, and not count.
    const isFailed = job.call !== undefined && !job.call.isStopped && job.call.cause !== undefined
    this.release(job.delivery, isFailed ? abandoned : released)
  }

  /** Gives credit for what may be in work or waiting beyond what is. */
  private replenish(): void {
    if (this.phase !== "running" || this.isStuck) return
    const { link } = this.state
    const { prefetch, size } = this.settings
    const handled = this.concurrency * size
    const window = Math.min(maxCount, handled + (prefetch ?? handled))
    const credit = link.credit()
    const left = (this.settings.limit ?? Infinity) - this.totals.received - credit
    const missing = Math.min(left, window - this.inWork - this.waiting.length - credit)
    if (missing > 0 && (missing >= window / 2 || credit === 0)) link.addCredit(missing)
  }

  private releaseWaiting(): void {
    for (const job of this.waiting) {
      this.state.renewal.release(job.kept)
      this.giveBack(job)
    }
    this.waiting = []
    this.noteIdle()
  }

  /** Notes since when there is nothing to do. */
  private noteIdle(): void {
    this.idle.note(this.active.size + (this.isStuck ? 0 : this.waiting.length + this.unseen) > 0)
  }

  /**
   * Completes once nothing was to do for so many milliseconds on end, all that may be taken is done with, or one is stuck.
   */
  idleFor(millis: number): Effect.Effect<Finish> {
    const { idle } = this
    return Effect.suspend((): Effect.Effect<Finish> => {
      const left = idle.left(millis)
      const next = idle.idleAfter(idle.times)
      if (left === undefined) return Effect.andThen(next, this.idleFor(millis))
      if (this.isStuck) return Effect.succeed("unsettled")
      if (this.totals.received >= (this.settings.limit ?? Infinity)) return Effect.succeed("share")
      if (left > 0) return Effect.andThen(Effect.raceFirst(Effect.sleep(left), next), this.idleFor(millis))
      const { link } = this.state
      const finish = Effect.succeed<Finish>("idle")
      // What is on its way is not sent back, however short the time is.
      return link.credit() === 0 ? finish : Effect.andThen(
        link.drain,
        Effect.suspend(() => idle.since === undefined ? this.idleFor(millis) : finish)
      )
    })
  }

  readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    if (this.phase !== "running") return Effect.void
    this.phase = "paused"
    // With credit left, what is given back would come again at once.
    return Effect.andThen(
      this.state.link.drain,
      Effect.sync(() => {
        // What a session has given waits in its order.
        if (this.phase === "paused" && this.state.session === undefined) this.releaseWaiting()
        // Resumed meanwhile: the credit it gave was drained as well.
        else this.dispatch()
      })
    )
  })

  readonly resume: Effect.Effect<void> = Effect.sync(() => {
    if (this.phase !== "paused") return
    this.phase = "running"
    this.dispatch()
  })

  readonly setConcurrency = (concurrency: number): Effect.Effect<void, InvalidOptionError> =>
    Effect.suspend(() =>
      Effect.map(Effect.fromResult(checkedCount(this.state.entity.path, "concurrency", concurrency)), () => {
        this.concurrency = concurrency
        this.dispatch()
      })
    )

  count(): ProcessorCounts.Counts {
    return { ...this.totals, renewals: this.state.renewal.renewals() - this.renewalsBefore }
  }

  readonly counts: Effect.Effect<ProcessorCounts.Counts> = Effect.sync(() => this.count())

  private readonly report = Effect.map(this.counts, ProcessorCounts.reportOf)

  /** One drain for all callers: one that is interrupted while it waits leaves it going for the others. */
  readonly drain: Effect.Effect<ProcessorCounts.DrainReport> = Effect.suspend(() => {
    if (this.drained === undefined) {
      const drained = this.drained = Deferred.makeUnsafe<ProcessorCounts.DrainReport>()
      this.options.fork(Effect.onExit(this.stop, (exit) =>
        Effect.sync(() => {
          Deferred.doneUnsafe(drained, exit)
          Deferred.doneUnsafe(this.end, exit)
        })))
    }
    return Deferred.await(this.drained)
  })

  private readonly stop: Effect.Effect<ProcessorCounts.DrainReport> = Effect.suspend(() => {
    const began = this.state.telemetry.now()
    const wasRunning = this.phase === "running"
    const { link } = this.state
    this.phase = "drained"
    return (wasRunning ? link.drain : Effect.void).pipe(
      // What came last is given back, and what waits: with credit left it would come again at once.
      Effect.andThen(link.link.connection.dispatcher.turn),
      Effect.andThen(Effect.sync(() => this.releaseWaiting())),
      Effect.andThen(Effect.timeoutOption(this.whenEmpty, this.settings.drainTimeout)),
      Effect.andThen(Effect.suspend(() => {
        this.reportCut([...this.active].filter((call) => !call.isStopped).length)
        const fibers = [...this.active].flatMap((call) => {
          call.isStopped = true
          return call.fiber === undefined ? [] : [call.fiber]
        })
        return Fiber.interruptAll(this.filling === undefined ? fibers : [...fibers, this.filling])
      })),
      Effect.andThen(Effect.sync(() => {
        link.consume(undefined)
        // It may be another by now.
        this.state.link.consume(undefined)
      })),
      Effect.andThen(ReceiverState.stopConsuming(this.state)),
      // What is over a session ends with each of them.
      Effect.andThen(
        Effect.sync(() => this.state.session === undefined ? this.state.telemetry.recordDrain(began) : undefined)
      ),
      Effect.andThen(this.report)
    )
  })

  /** Handlers that a drain interrupts, in one line: whoever drains by closing a scope has no report. */
  private reportCut(handlers: number): void {
    const { options: { reporter }, settings: { drainTimeout }, state: { session } } = this
    // Without a time they were to be interrupted.
    if (handlers === 0 || drainTimeout === 0) return
    reporter.report({
      _tag: "ProcessorError",
      message: `A processor drained, and interrupted ${handlers === 1 ? "a handler" : `${handlers} handlers`} after ` +
        `drainTimeout (${Duration.format(Duration.millis(drainTimeout))}); what was not settled comes again`,
      source: "handler",
      ...(session === undefined ? {} : { sessionId: session.id }),
      cause: Cause.empty
    })
  }

  private readonly whenEmpty: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.active.size === 0) return resume(Effect.void)
    this.emptied = () => resume(Effect.void)
    return Effect.sync(() => {
      this.emptied = undefined
    })
  })

  get misuse(): Effect.Effect<never, InvalidOptionError> {
    return Deferred.await(this.unusable)
  }

  get join(): Effect.Effect<never, ReceiveError> {
    return Effect.andThen(Deferred.await(this.end), Effect.never)
  }

  get stopped(): Effect.Effect<Exit.Exit<ProcessorCounts.DrainReport, ReceiveError>> {
    return Effect.exit(Deferred.await(this.end))
  }
}

/** Why a processor stopped. What it runs of the user's may end as interrupted, and would take those that wait for it along. */
const stopOf = (cause: Cause.Cause<AttachError>): Cause.Cause<AttachError> =>
  Cause.hasInterruptsOnly(cause)
    ? Cause.die(
      new Error("what the processor runs to attach its link, such as the schedule of `retry`, interrupted itself")
    )
    : cause

/** Starts a processor of a receiver; it drains when the scope closes. */
export const start = Effect.fnUntraced(function*<A, E, R>(
  options: Omit<Options<A, E, R>, "fork" | "reporter">
): Effect.fn.Return<MessageProcessor<A, E, R>, InvalidOptionError, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  const processor = new MessageProcessor<A, E, R>({
    ...options,
    fork: Effect.runForkWith(context),
    reporter: options.state.reporter.within({
      context,
      logLevel: options.settings.logLevel,
      failed: new FailedMessages()
    })
  })
  yield* processor.take
  yield* Effect.forkScoped(processor.serve, { startImmediately: true })
  yield* Effect.addFinalizer(() => processor.drain)
  return processor
})

/** The operations that users have of a processor, as a record of functions. */
export const operationsOf = <A, E, R>({
  counts,
  drain,
  join,
  pause,
  resume,
  setConcurrency,
  stopped
}: MessageProcessor<A, E, R>) => ({ counts, pause, resume, setConcurrency, drain, join, stopped })
