/**
 * A session processor: slots, each of which holds one session at a time and runs a processor over its
 * messages, until the session is idle, has had its share or is lost. Then the slot takes the next one at once.
 *
 * A session that is given up has its messages back in order; one that is lost interrupts the handlers that worked on it.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AcceptSessionError,
  type AttachError,
  type InvalidOptionError,
  SessionCannotBeLockedError
} from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import type { Settlement } from "../../Settlement.ts"
import * as errorMap from "../errorMap.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import type { LinkOutage } from "../namespace/Outages.ts"
import { checkedCount, effectOrDie } from "../options.ts"
import * as SessionLink from "../session/SessionLink.ts"
import * as SessionSurface from "../session/SessionSurface.ts"
import type { EventReporter } from "../telemetry/EventReporter.ts"
import type { Telemetry } from "../telemetry/Telemetry.ts"
import * as HandlerRetry from "./HandlerRetry.ts"
import * as MessageProcessor from "./MessageProcessor.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { SessionSettings } from "./ProcessorOptions.ts"

/** Why a session is given up. */
type CloseReason = Effect.Success<ReturnType<MessageProcessor.Running["idleFor"]>> | "drain" | "lost"

/** What runs while one session is held. */
interface SessionRun<R> {
  /** Its processor, which is not started yet. */
  readonly processor: MessageProcessor.Running
  /** Runs before the first message, in the session's scope. */
  readonly open: Effect.Effect<unknown, unknown, R | Scope.Scope>
  /** Runs after the last message, while the session is still held, or once it is lost. */
  readonly close: (reason: CloseReason) => Effect.Effect<unknown, unknown, R>
}

interface Options<H extends SessionLink.Accepted, R> {
  readonly entity: ServiceBusEntity.Any
  readonly namespace: Namespace
  readonly telemetry: Telemetry
  readonly reporter: EventReporter
  readonly outage: LinkOutage
  /** Accepts a session by its id, or the next one where the id is null. */
  readonly accept: (id: string | null) => Effect.Effect<Option.Option<H>, AcceptSessionError, Scope.Scope>
  readonly runOf: (accepted: H) => SessionRun<R>
  /** The only sessions to take, where there are such. */
  readonly ids: ReadonlyArray<string> | undefined
  readonly concurrentSessions: number
  /** Milliseconds, like the next one. */
  readonly idleTimeout: number
  /** How long `close` may take while the processor drains, and where the session is lost. */
  readonly drainTimeout: number
  readonly fork: <B, E>(effect: Effect.Effect<B, E, R>) => Fiber.Fiber<B, E>
}

/** Before a session that cannot be had, or not be opened, is tried again, in milliseconds. */
const pauseAfterFailure = 1_000

class SessionProcessor<H extends SessionLink.Accepted, R> {
  private readonly options: Options<H, R>
  /** Done once all is drained: fails where that is because no session can be had any more. */
  private readonly end = Deferred.makeUnsafe<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts, AttachError>()
  private readonly draining = Deferred.makeUnsafe<void>()
  private readonly running = Latch.makeUnsafe(true)
  /** Open while no session is to be taken. */
  private readonly halted = Latch.makeUnsafe(false)
  private readonly processors = new Set<MessageProcessor.Running>()
  private readonly total = { ...ProcessorCounts.make(), renewals: 0 }
  private sessions = 0
  private sessionsLost = 0
  private isPaused = false
  private slots: number
  /** The slots whose fibers run. */
  private readonly taken = new Map<number, Fiber.Fiber<void>>()
  /** Whether accepts end by a defect, which is said once until one succeeds. */
  private isAcceptDying = false
  /** Sessions of its ids that were said to be locked by others. */
  private readonly takenElsewhere = new Set<string>()
  /** Ids that no slot has, in turn. */
  private readonly free: Array<string>
  /** Why no session can be had any more. */
  private failure: AttachError | undefined
  private drained: Deferred.Deferred<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts> | undefined

  constructor(options: Options<H, R>) {
    this.options = options
    this.slots = options.concurrentSessions
    this.free = [...options.ids ?? []]
  }

  private get isDraining(): boolean {
    return this.drained !== undefined
  }

  /** Starts the slots that there are to be and are not. */
  start(): void {
    const { ids } = this.options
    const most = ids === undefined ? this.slots : Math.min(this.slots, ids.length)
    for (let slot = 0; slot < most; slot++) {
      if (!this.taken.has(slot)) this.taken.set(slot, this.options.fork(this.serve(slot)))
    }
  }

  /** One session after the other. */
  private serve(slot: number): Effect.Effect<void, never, R> {
    const next: Effect.Effect<void, AttachError, R> = Effect.andThen(
      this.running.await,
      Effect.suspend(() => this.isDraining ? Effect.void : this.one)
    )
    const loop = Effect.whileLoop({
      while: () => !this.isDraining && slot < this.slots,
      body: () => next,
      step: () => {}
    })
    return Effect.catch(loop, (error) => {
      if (this.isDraining) return Effect.void
      // What is refused to one slot for good is refused to all: the first says it for them, and they end.
      this.failure = error
      const reported = this.options.reporter.reportHere({
        _tag: "ConsumerStopped",
        message: "A processor has stopped: it takes no more messages",
        cause: Cause.fail(error)
      })
      return Effect.andThen(reported, Effect.sync(() => this.beginDrain()))
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        this.taken.delete(slot)
        // Wanted again meanwhile.
        if (!this.isDraining && slot < this.slots) this.start()
      }))
    )
  }

  private readonly one: Effect.Effect<void, AttachError, R> = Effect.suspend(() => {
    const { ids } = this.options
    const id = ids === undefined ? null : this.free.shift()!
    let sessionId = id ?? undefined
    let isAccepted = false
    const onAccepted = (accepted: string): void => {
      sessionId = accepted
      isAccepted = true
      this.isAcceptDying = false
    }
    return Effect.scoped(this.withSession(id, onAccepted)).pipe(
      // A defect costs no slot: of an accept, or of what was acquired for a session and could not be released.
      Effect.catchCause((cause) => {
        if (Cause.hasFails(cause)) return Effect.failCause(cause)
        const isSaid = !isAccepted && this.isAcceptDying
        if (!isAccepted) this.isAcceptDying = true
        const message = isAccepted
          ? "A session could not be given up as it was to be; its slot takes the next one"
          : "No session could be accepted, for what is a defect; it is tried again every second"
        return Effect.andThen(isSaid ? Effect.void : this.reportFailed(message, cause, sessionId, "receive"), this.rest)
      }),
      Effect.ensuring(Effect.sync(() => {
        if (id !== null) this.free.push(id)
      }))
    )
  })

  private readonly rest: Effect.Effect<void> = Effect.suspend(() =>
    Effect.raceFirst(Effect.sleep(pauseAfterFailure), Deferred.await(this.draining))
  )

  private reportFailed(
    message: string,
    cause: Cause.Cause<unknown>,
    sessionId?: string,
    source: "handler" | "receive" = "handler"
  ): Effect.Effect<void> {
    const about = sessionId === undefined ? {} : { sessionId }
    return this.options.reporter.reportHere({ _tag: "ProcessorError", message, source, ...about, cause })
  }

  private withSession(
    id: string | null,
    onAccepted: (id: string) => void
  ): Effect.Effect<void, AttachError, R | Scope.Scope> {
    const { accept, entity, namespace, outage } = this.options
    const accepting = namespace.retryPolicy.retryUntilSuccess(
      Effect.catchTag(accept(id), "SessionCannotBeLockedError", (error) => Effect.succeed(error)),
      undefined,
      (error) => outage.failed(error)
    ) as Effect.Effect<Option.Option<H> | SessionCannotBeLockedError, AttachError, Scope.Scope>
    // An accept that waits is given up when the processor drains or pauses.
    return Effect.flatMap(Effect.raceFirst(accepting, this.halted.await), (accepted) => {
      if (accepted instanceof SessionCannotBeLockedError) return Effect.andThen(this.reportTaken(accepted), this.rest)
      if (id !== null) this.takenElsewhere.delete(id)
      if (accepted === undefined || Option.isNone(accepted)) return Effect.void
      onAccepted(accepted.value.id)
      return this.isDraining || this.isPaused ? Effect.void : this.handle(accepted.value)
    }).pipe(
      Effect.mapError((error) => errorMap.attachError(error, { entity: entity.path, operation: "process" }))
    )
  }

  /** Another receiver has it: said once, until it can be had. */
  private reportTaken(error: SessionCannotBeLockedError): Effect.Effect<void> {
    const { sessionId } = error
    if (sessionId === undefined || this.takenElsewhere.has(sessionId)) return Effect.void
    this.takenElsewhere.add(sessionId)
    return this.reportFailed(
      "A session is locked by another receiver; it is tried again",
      Cause.fail(error),
      sessionId,
      "receive"
    )
  }

  private handle(accepted: H): Effect.Effect<void, InvalidOptionError, R | Scope.Scope> {
    const { close, processor, open } = this.options.runOf(accepted)
    const lost = Effect.ignore(accepted.lost)
    const over = Effect.raceFirst(lost, Deferred.await(this.draining))
    const process = Effect.gen({ self: this }, function*() {
      if (this.isPaused) yield* processor.pause
      yield* Effect.forkScoped(processor.serve, { startImmediately: true })
      return yield* Effect.raceFirst(
        Effect.raceFirst(processor.idleFor(this.options.idleTimeout), processor.misuse),
        over
      )
    })
    const { drainTimeout } = this.options
    const limit = Effect.andThen(
      Effect.sleep(drainTimeout),
      drainTimeout === 0
        ? Effect.void
        : Effect.suspend(() =>
          this.reportFailed(
            `A session is closed without the rest of its close, which was interrupted after drainTimeout (${
              Duration.format(Duration.millis(drainTimeout))
            })`,
            Cause.empty,
            accepted.id
          )
        )
    )
    const closing = (finished: CloseReason | void) => {
      const isLost = accepted.state.session?.ended() !== undefined
      const closed = close(isLost ? "lost" : finished ?? "drain")
      return Effect.raceFirst(
        Effect.catchCause(
          closed,
          (cause) => this.reportFailed("A session could not be closed as it was to be", cause, accepted.id)
        ),
        // It runs once: what it began for a session that is then lost is not begun again.
        isLost ? limit : Effect.raceFirst(lost, Effect.andThen(Deferred.await(this.draining), limit))
      )
    }
    return Effect.gen({ self: this }, function*() {
      this.sessions++
      this.processors.add(processor)
      yield* Effect.forkScoped(
        Effect.andThen(
          lost,
          Effect.sync(() => {
            this.sessionsLost++
            processor.lose()
          })
        ),
        { startImmediately: true }
      )
      // Its `open` might have begun to receive from it.
      const opened = yield* Effect.raceFirst(Effect.exit(Effect.andThen(open, processor.take)), over)
      // Lost, which is said elsewhere, or drained before there was anything to do.
      if (opened === undefined) {
        if (accepted.state.session?.ended() !== undefined) return
        return yield* this.reportFailed(
          "A session was given up before it was open: the processor drains, and interrupted its open",
          Cause.empty,
          accepted.id
        )
      }
      if (Exit.isFailure(opened)) {
        yield* this.reportFailed(
          "A session could not be opened; it is given up, and taken again later",
          opened.cause,
          accepted.id
        )
        return yield* this.rest
      }
      const finished = yield* Effect.ensuring(process, processor.drain)
      yield* closing(finished)
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        this.processors.delete(processor)
        add(this.total, processor.count())
      }))
    )
  }

  readonly counts: Effect.Effect<ProcessorCounts.Counts & ProcessorCounts.SessionCounts> = Effect.sync(() => {
    const sum = { ...this.total }
    for (const processor of this.processors) add(sum, processor.count())
    return { ...sum, sessions: this.sessions, sessionsLost: this.sessionsLost, held: this.processors.size }
  })

  readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isDraining) return Effect.void
    this.isPaused = true
    this.running.closeUnsafe()
    this.halted.openUnsafe()
    return Effect.forEach([...this.processors], (processor) => processor.pause, {
      concurrency: "unbounded",
      discard: true
    })
  })

  readonly resume: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isDraining) return Effect.void
    this.isPaused = false
    this.halted.closeUnsafe()
    this.running.openUnsafe()
    return Effect.forEach([...this.processors], (processor) => processor.resume, { discard: true })
  })

  /** Changes how many sessions are held at a time; those that are too many end as they would. */
  readonly setConcurrentSessions = (slots: number): Effect.Effect<void, InvalidOptionError> =>
    Effect.suspend(() =>
      Effect.map(Effect.fromResult(checkedCount(this.options.entity.path, "concurrentSessions", slots)), () => {
        this.slots = slots
        if (!this.isDraining) this.start()
      })
    )

  /** One drain for all callers. */
  readonly drain: Effect.Effect<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts> = Effect.suspend(() =>
    Deferred.await(this.beginDrain())
  )

  private beginDrain(): Deferred.Deferred<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts> {
    if (this.drained !== undefined) return this.drained
    const drained = this.drained = Deferred.makeUnsafe<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts>()
    this.options.fork(Effect.onExit(this.stop, (exit) =>
      Effect.sync(() => {
        Deferred.doneUnsafe(drained, exit)
        Deferred.doneUnsafe(this.end, this.failure === undefined ? exit : Effect.fail(this.failure))
      })))
    return drained
  }

  private readonly stop: Effect.Effect<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts> = Effect.suspend(
    () => {
      const { telemetry } = this.options
      const began = telemetry.now()
      Deferred.doneUnsafe(this.draining, Effect.void)
      this.halted.openUnsafe()
      this.running.openUnsafe()
      return Fiber.awaitAll([...this.taken.values()]).pipe(
        Effect.andThen(Effect.suspend(() => {
          telemetry.recordDrain(began)
          return this.counts
        })),
        Effect.map(ProcessorCounts.reportOf)
      )
    }
  )

  get join(): Effect.Effect<never, AttachError> {
    return Effect.andThen(Deferred.await(this.end), Effect.never)
  }

  get stopped(): Effect.Effect<
    Exit.Exit<ProcessorCounts.DrainReport & ProcessorCounts.SessionCounts, AttachError>
  > {
    return Effect.exit(Deferred.await(this.end))
  }
}

type Sums = { -readonly [K in keyof ProcessorCounts.Counts]: number }

const add = (sum: Sums, counts: ProcessorCounts.Counts): void => {
  for (const name of Object.keys(counts) as Array<keyof Sums>) sum[name] += counts[name]
}

/** What runs for a session, as a caller gives it. */
interface Hooks<in out A, in out S, in E, out R> {
  readonly retry?: HandlerRetry.Retry<E> | undefined
  readonly onFailure?: MessageProcessor.Options<A, E, R>["onFailure"]
  readonly open?: ((session: Session<A, S>) => Effect.Effect<unknown, unknown, R>) | undefined
  readonly close?: ((session: Session<A, S>, reason: CloseReason) => Effect.Effect<unknown, unknown, R>) | undefined
}

type Session<A, S> = ReturnType<typeof SessionSurface.make<A, S, never>>

/** Starts a processor of sessions; it drains when the scope closes. */
export const start = Effect.fnUntraced(function*<A, S, E, R, R2>(
  session: Omit<SessionLink.Options<A, "locked", never>, "id" | "mode" | "entity"> & {
    readonly entity: ServiceBusEntity.SessionReceivable<A, S>
  },
  { concurrentSessions, idleTimeout, sessionIds, settings }: SessionSettings,
  handler: (
    body: A,
    message: LockedMessage<A>,
    session: Session<A, S>
  ) => Effect.Effect<Settlement | void, E, R>,
  hooks: Hooks<A, S, E, R2>
) {
  type Needs = Exclude<R | R2, Scope.Scope>
  const retry = yield* HandlerRetry.check(session.entity.path, hooks.retry)
  const { entity } = session
  const { path } = entity
  const context = yield* Effect.context<Needs>()
  const fork = Effect.runForkWith(context)
  const { reporter } = session
  const runHook = (name: "open" | "close", hook: () => Effect.Effect<unknown, unknown, R2> | undefined) =>
    Effect.suspend(() => effectOrDie(path, name, hook() ?? Effect.void)) as Effect.Effect<unknown, unknown, Needs>
  const processor = new SessionProcessor<SessionLink.Accepted<A, "locked", never>, Needs>({
    entity,
    namespace: session.namespace,
    telemetry: session.telemetry,
    reporter,
    outage: session.outage,
    accept: (id) => SessionLink.accept({ ...session, id, prefetch: 0, mode: "locked" }),
    runOf: (accepted) => {
      const held = SessionSurface.make(accepted, entity.sessionState, Infinity)
      const run = HandlerRetry.withRetry(
        ([message]: Arr.NonEmptyReadonlyArray<LockedMessage<A>>) => handler(message.body, message, held),
        retry
      )
      return {
        processor: new MessageProcessor.MessageProcessor<A, E, Needs>({
          state: accepted.state,
          settings,
          handler: run as MessageProcessor.Options<A, E, Needs>["handler"],
          onFailure: hooks.onFailure,
          fork,
          reporter
        }),
        open: runHook("open", () => hooks.open?.(held)),
        close: (reason) => runHook("close", () => hooks.close?.(held, reason))
      }
    },
    ids: sessionIds,
    concurrentSessions,
    idleTimeout,
    drainTimeout: settings.drainTimeout,
    fork
  })
  yield* Effect.addFinalizer(() => processor.drain)
  processor.start()
  const { counts, drain, join, pause, resume, setConcurrentSessions, stopped } = processor
  return { counts, pause, resume, setConcurrentSessions, drain, join, stopped }
})
