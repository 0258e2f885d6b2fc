/**
 * The consumer loop: takes messages off a receiver, runs a handler for each of up to `concurrency` messages at a time,
 * keeps their locks, and settles each as its handler says.
 *
 * At-least-once. A handler's failure never ends the loop: `onFailure` decides about the message. A lock that is lost
 * interrupts the handler that held it and is counted. Closing the scope drains: no new messages, handlers finish within
 * `drainTimeout`, the rest is released.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { released } from "./internal/amqp/dataPlane/Outcome.ts"
import type { IncomingDelivery } from "./internal/amqp/dataPlane/SessionPlane.ts"
import { monotonic } from "./internal/amqp/monotonic.ts"
import type * as Receiver from "./internal/amqp/Receiver.ts"
import { toMillis } from "./internal/duration.ts"
import * as errorMap from "./internal/errorMap.ts"
import { isCount, most, outOfRange } from "./internal/limits.ts"
import type * as lockWheel from "./internal/lockWheel.ts"
import { internalsOf } from "./internal/reading.ts"
import * as receiving from "./internal/receiving.ts"
import {
  type InvalidOptionError,
  MessageDecodeError,
  type ReceiveError,
  ServiceBusConnectionError
} from "./ServiceBusError.ts"
import type { LockedMessage } from "./ServiceBusMessage.ts"
import type { ServiceBusReceiver } from "./ServiceBusReceiver.ts"
import * as Settlement from "./Settlement.ts"

/**
 * What a handler is given, and what it says.
 *
 * @category models
 */
export type Handler<in A, out E = never, out R = never> = (
  body: A,
  message: LockedMessage<A>
) => Effect.Effect<Settlement.Settlement | void, E, R>

/**
 * How a processor works.
 *
 * @category models
 */
export interface Options<in A = never, in E = never> {
  /** How many handlers run at a time, 1 to 5000. 1 by default. */
  readonly concurrency?: number | undefined
  /**
   * How many messages may wait beside those that are handled, 0 to 5000; `concurrency` by default. Their locks are kept
   * while they wait.
   */
  readonly prefetch?: number | undefined
  /** What becomes of a message whose handler failed; `Settlement.abandon()` by default, so that it comes again. */
  readonly onFailure?:
    | ((cause: Cause.Cause<E>, message: LockedMessage<A>) => Settlement.Settlement)
    | undefined
  /**
   * For how long the lock of a message is renewed, from its arrival on; 5 minutes by default, 0 for never. When it is
   * over the handler goes on, and is interrupted only when the lock then ends.
   */
  readonly maxLockRenewal?: Duration.Input | undefined
  /** How long handlers may go on once the processor drains; 30 seconds by default. */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * What a processor has done.
 *
 * `received` is the sum of `completed`, `abandoned`, `deferred`, `deadLettered`, `undecodable`, `lockLost`, `unsettled`,
 * `released` and what is still in work.
 *
 * @category models
 */
export interface Counts {
  /** Messages that came from the broker. */
  readonly received: number
  readonly completed: number
  readonly abandoned: number
  readonly deferred: number
  readonly deadLettered: number
  /** Messages that met the receiver's undecodable policy. */
  readonly undecodable: number
  /** Handlers that failed; their messages are counted under what `onFailure` said. */
  readonly failed: number
  /** Messages whose lock was lost before they were settled. */
  readonly lockLost: number
  /** Messages whose settlement the broker did not confirm. */
  readonly unsettled: number
  /** Messages given back unhandled or interrupted when the processor drained. */
  readonly released: number
  /** Lock renewals that the broker confirmed. */
  readonly renewals: number
}

/**
 * A running processor.
 *
 * @category models
 */
export interface Processor {
  /** What has been done so far. */
  readonly counts: Effect.Effect<Counts>
  /** Takes no new messages; those in work go on, those that wait are released. */
  readonly pause: Effect.Effect<void>
  /** Goes on after a pause. */
  readonly resume: Effect.Effect<void>
  /** Changes how many handlers run at a time, from now on. */
  readonly setConcurrency: (concurrency: number) => Effect.Effect<void, InvalidOptionError>
  /**
   * Stops: takes no new messages, lets handlers finish within `drainTimeout`, interrupts the rest and releases their
   * messages. Gives what the processor has done in all.
   */
  readonly drain: Effect.Effect<Counts>
  /**
   * Never succeeds. A link that is lost is attached again; `join` fails where that cannot succeed any more, because the
   * entity is gone, say, or the right to receive from it.
   */
  readonly join: Effect.Effect<never, ReceiveError>
}

/**
 * Starts a processor; it drains when the scope closes.
 *
 * Fails with InvalidOptionError where an option is out of range, or a stream or another processor has the receiver's
 * messages.
 *
 * @category constructors
 */
export const make: <A, E, R>(
  receiver: ServiceBusReceiver<A, unknown>,
  handler: Handler<A, E, R>,
  options?: Options<A, NoInfer<E>>
) => Effect.Effect<Processor, InvalidOptionError, Exclude<R, Scope.Scope> | Scope.Scope> = Effect.fnUntraced(
  function*<A, E, R>(
    receiver: ServiceBusReceiver<A, unknown>,
    handler: Handler<A, E, R>,
    options?: Options<A, NoInfer<E>>
  ) {
    const settings = yield* check(receiver.entity, options)
    const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
    const running = new Running<A, E, R>(
      receiver,
      handler,
      settings,
      options?.onFailure ?? (() => Settlement.abandon()),
      Effect.runForkWith(context)
    )
    yield* running.take
    yield* Effect.forkScoped(running.serve, { startImmediately: true })
    yield* Effect.addFinalizer(() => running.drain)
    return running
  }
)

/**
 * Runs a processor until it is interrupted: `make` and `join`. Interrupting it drains.
 *
 * @category running
 */
export const process = <A, E, R>(
  receiver: ServiceBusReceiver<A, unknown>,
  handler: Handler<A, E, R>,
  options?: Options<A, NoInfer<E>>
): Effect.Effect<never, ReceiveError, Exclude<R, Scope.Scope>> =>
  Effect.scoped(Effect.flatMap(make(receiver, handler, options), (processor) => processor.join)) as any

interface Settings {
  readonly concurrency: number
  readonly prefetch: number | undefined
  readonly maxLockRenewal: number
  readonly drainTimeout: number
}

const check = Effect.fnUntraced(function*(entity: string, options: Options<never, never> | undefined) {
  const concurrency = options?.concurrency ?? 1
  if (!isCount(concurrency)) return yield* outOfRange(entity, "concurrency", `an integer from 1 to ${most}`)
  const prefetch = options?.prefetch
  if (prefetch !== undefined && !isCount(prefetch, 0)) {
    return yield* outOfRange(entity, "prefetch", `an integer from 0 to ${most}`)
  }
  const maxLockRenewal = toMillis(options?.maxLockRenewal ?? "5 minutes")
  if (!(maxLockRenewal >= 0)) return yield* outOfRange(entity, "maxLockRenewal", "a duration of 0 or more")
  const drainTimeout = toMillis(options?.drainTimeout ?? "30 seconds")
  if (!(drainTimeout >= 0)) return yield* outOfRange(entity, "drainTimeout", "a duration of 0 or more")
  return { concurrency, prefetch, maxLockRenewal, drainTimeout }
})

/** A message from its arrival to its settlement. */
interface Job<A> {
  readonly delivery: IncomingDelivery
  readonly message: LockedMessage<A>
  readonly kept: lockWheel.Kept
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** `open` until the message is settled, its lock is lost, or the broker did not confirm its settlement. */
  state: "open" | "settled" | "lost" | "unconfirmed"
}

class Running<A, E, R> implements Processor {
  private readonly receiver: ServiceBusReceiver<A, unknown>
  private readonly handler: Handler<A, E, R>
  private readonly settings: Settings
  private readonly onFailure: (cause: Cause.Cause<E>, message: LockedMessage<A>) => Settlement.Settlement
  private readonly fork: <B, E2>(effect: Effect.Effect<B, E2, Exclude<R, Scope.Scope>>) => Fiber.Fiber<B, E2>
  private readonly behind: receiving.Receiving
  private readonly policy: receiving.Undecodable
  private readonly failed = Deferred.makeUnsafe<never, ReceiveError>()
  private concurrency: number
  private waiting: Array<Job<A>> = []
  private readonly active = new Set<Job<A>>()
  private state: "running" | "paused" | "drained" = "running"
  private readonly renewalsBefore: number
  private dispatching = false
  private emptied: (() => void) | undefined
  private drained: Deferred.Deferred<Counts> | undefined
  private readonly tally = {
    received: 0,
    completed: 0,
    abandoned: 0,
    deferred: 0,
    deadLettered: 0,
    undecodable: 0,
    failed: 0,
    lockLost: 0,
    unsettled: 0,
    released: 0
  }

  constructor(
    receiver: ServiceBusReceiver<A, unknown>,
    handler: Handler<A, E, R>,
    settings: Settings,
    onFailure: (cause: Cause.Cause<E>, message: LockedMessage<A>) => Settlement.Settlement,
    fork: <B, E2>(effect: Effect.Effect<B, E2, Exclude<R, Scope.Scope>>) => Fiber.Fiber<B, E2>
  ) {
    this.receiver = receiver
    this.handler = handler
    this.settings = settings
    this.onFailure = onFailure
    this.fork = fork
    const { receiving, undecodable } = internalsOf(receiver)
    this.behind = receiving
    this.policy = undecodable
    this.concurrency = settings.concurrency
    this.renewalsBefore = receiving.wheel.renewals()
  }

  /** Has the receiver's messages for itself until it is drained. */
  get take(): Effect.Effect<void, InvalidOptionError> {
    return receiving.take(this.behind, "processor")
  }

  /** Takes what comes on a link. */
  private wire(link: Receiver.Receiver): void {
    const { dispatcher } = link.link.connection
    link.consume((deliveries) => {
      this.tally.received += deliveries.length
      // Decoding and handling are not done inside the read of the socket.
      dispatcher.schedule(() => this.arrived(deliveries))
    })
    this.replenish()
  }

  /** Serves one link after the other: one that is lost is attached again, until that fails for good. */
  readonly serve: Effect.Effect<void> = Effect.suspend(() => {
    const { clock, namespace } = this.behind
    const served = Effect.suspend(() =>
      // Drained: whoever uses the receiver next attaches it again.
      this.state === "drained" ? Effect.never : Effect.flatMap(this.behind.attached, (link) => {
        // Meanwhile it may be.
        if (this.state === "drained") return Effect.never
        const since = monotonic(clock)
        const { received } = this.tally
        this.wire(link)
        return Effect.callback<void, ServiceBusConnectionError>((resume) => {
          const off = link.link.onDeath((cause) =>
            resume(
              this.tally.received > received || monotonic(clock) - since >= receiving.routine
                ? Effect.void
                // One that comes to nothing is not attached again and again without a pause.
                : Effect.fail(
                  new ServiceBusConnectionError({
                    entity: this.receiver.entity,
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
    const next = namespace.retrying.persist(served)
    return Effect.catch(Effect.forever(next), (error) =>
      Effect.sync(() =>
        Deferred.doneUnsafe(
          this.failed,
          Effect.fail(errorMap.attachError(error, { entity: this.receiver.entity, operation: "process" }))
        )
      ))
  })

  private arrived(deliveries: ReadonlyArray<IncomingDelivery>): void {
    const { behind } = this
    for (const delivery of deliveries) {
      if (this.state !== "running") {
        this.tally.released++
        delivery.holder.dispose([delivery], released)
        continue
      }
      const expired = behind.expired
      const message = receiving.handOut(
        behind,
        this.receiver,
        delivery,
        behind.entity.body as never,
        // A processor goes on: there is nobody to fail to.
        this.policy === "fail" ? "abandon" : this.policy
      ) as LockedMessage<A> | MessageDecodeError | undefined
      if (message === undefined || message instanceof MessageDecodeError) {
        if (behind.expired > expired) this.tally.lockLost++
        else this.tally.undecodable++
        continue
      }
      this.waiting.push(this.job(delivery, message))
    }
    this.dispatch()
  }

  private job(delivery: IncomingDelivery, message: LockedMessage<A>): Job<A> {
    const { behind, settings } = this
    const kept: lockWheel.Kept = {
      lock: receiving.lockOf(behind, message, delivery),
      until: delivery.receivedAt + settings.maxLockRenewal,
      done: false,
      bucket: 0,
      failure: undefined,
      onLost: () => this.lost(job)
    }
    const job: Job<A> = { delivery, message, kept, fiber: undefined, state: "open" }
    behind.wheel.keep(kept)
    return job
  }

  private lost(job: Job<A>): void {
    job.state = "lost"
    job.delivery.holder.forget(job.delivery)
    if (job.fiber !== undefined) return job.fiber.interruptUnsafe()
    this.waiting = this.waiting.filter((other) => other !== job)
    this.tally.lockLost++
    this.replenish()
  }

  /** Starts handlers while there is room for them. */
  private dispatch(): void {
    // A handler that ends at once comes here from within `begin`: the loop that began it goes on.
    if (this.dispatching) return
    this.dispatching = true
    while (this.state === "running" && this.active.size < this.concurrency && this.waiting.length > 0) {
      this.begin(this.waiting.shift()!)
    }
    this.dispatching = false
    this.replenish()
  }

  private begin(job: Job<A>): void {
    this.active.add(job)
    const { message } = job
    const work = Effect.suspend(() => this.handler(message.body, message)).pipe(
      Effect.scoped,
      Effect.exit,
      Effect.flatMap((exit) => this.settle(job, exit)),
      Effect.onExit(() => Effect.sync(() => this.ended(job)))
    ) as Effect.Effect<void, never, Exclude<R, Scope.Scope>>
    job.fiber = this.fork(work)
  }

  private settle(job: Job<A>, exit: Exit.Exit<Settlement.Settlement | void, E>): Effect.Effect<void> {
    const { message } = job
    if (job.state !== "open") return Effect.void
    if (Exit.isFailure(exit)) {
      if (Cause.hasInterruptsOnly(exit.cause)) return Effect.void
      this.tally.failed++
    }
    // The lock need not be kept any longer; losing it from here on is the broker's answer to the settlement.
    this.behind.wheel.release(job.kept)
    return Effect.suspend(() => {
      const settlement = Exit.isSuccess(exit)
        ? exit.value ?? Settlement.complete
        : this.onFailure(exit.cause, message)
      return Effect.as(receiving.settle(this.behind, this.receiver, [message], settlement), settlement)
    }).pipe(
      Effect.exit,
      Effect.flatMap((settled) => {
        if (Exit.isSuccess(settled)) {
          this.tally[tallied(settled.value)]++
          job.state = "settled"
          return Effect.void
        }
        return this.refused(job, settled.cause)
      })
    )
  }

  /** A settlement that failed: the message comes again. */
  private refused(job: Job<A>, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    if (Cause.hasInterruptsOnly(cause)) return Effect.void
    const error = Cause.squash(cause)
    if ((error as { readonly _tag?: string } | undefined)?._tag === "MessageLockLostError") {
      job.state = "lost"
      return Effect.void
    }
    job.state = "unconfirmed"
    // What never went to the wire is still ours to give back.
    job.delivery.holder.dispose([job.delivery], released)
    return Effect.logWarning("A message could not be settled; it will be delivered again", cause).pipe(
      Effect.annotateLogs({ entity: this.receiver.entity, sequenceNumber: job.message.sequenceNumber })
    )
  }

  private ended(job: Job<A>): void {
    this.active.delete(job)
    this.behind.wheel.release(job.kept)
    if (job.state === "lost") this.tally.lockLost++
    else if (job.state === "unconfirmed") this.tally.unsettled++
    else if (job.state === "open") this.giveBack(job)
    if (this.active.size === 0) this.emptied?.()
    this.dispatch()
  }

  /** Interrupted or never started. A settlement that was cut off is on its way and has no answer. */
  private giveBack(job: Job<A>): void {
    if (!job.delivery.holder.isUnsettled(job.delivery)) {
      this.tally.unsettled++
      return
    }
    this.tally.released++
    job.delivery.holder.dispose([job.delivery], released)
  }

  /** Gives credit for what may be in work or waiting beyond what is. */
  private replenish(): void {
    if (this.state !== "running") return
    const { link } = this.behind
    const ahead = this.settings.prefetch ?? this.concurrency
    const window = Math.min(most, this.concurrency + ahead)
    const missing = window - this.active.size - this.waiting.length - link.credit()
    if (missing > 0 && (missing >= window / 2 || link.credit() === 0)) link.addCredit(missing)
  }

  private releaseWaiting(): void {
    for (const job of this.waiting) {
      this.behind.wheel.release(job.kept)
      this.giveBack(job)
    }
    this.waiting = []
  }

  readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    if (this.state !== "running") return Effect.void
    this.state = "paused"
    this.releaseWaiting()
    return Effect.andThen(
      this.behind.link.drain,
      // Resumed meanwhile: the credit it gave was drained as well.
      Effect.sync(() => this.replenish())
    )
  })

  readonly resume: Effect.Effect<void> = Effect.sync(() => {
    if (this.state !== "paused") return
    this.state = "running"
    this.dispatch()
  })

  setConcurrency(concurrency: number): Effect.Effect<void, InvalidOptionError> {
    return Effect.suspend(() => {
      if (!isCount(concurrency)) {
        return Effect.fail(outOfRange(this.receiver.entity, "concurrency", `an integer from 1 to ${most}`))
      }
      this.concurrency = concurrency
      this.dispatch()
      return Effect.void
    })
  }

  readonly counts: Effect.Effect<Counts> = Effect.sync(() => ({
    ...this.tally,
    renewals: this.behind.wheel.renewals() - this.renewalsBefore
  }))

  /** One drain for all who ask: whoever is interrupted while waiting leaves it going for the others. */
  readonly drain: Effect.Effect<Counts> = Effect.suspend(() => {
    if (this.drained === undefined) {
      const drained = this.drained = Deferred.makeUnsafe<Counts>()
      this.fork(Effect.onExit(this.stop, (exit) => Effect.sync(() => Deferred.doneUnsafe(drained, exit))))
    }
    return Deferred.await(this.drained)
  })

  private readonly stop: Effect.Effect<Counts> = Effect.suspend(() => {
    const wasRunning = this.state === "running"
    const { link } = this.behind
    this.state = "drained"
    this.releaseWaiting()
    return (wasRunning ? link.drain : Effect.void).pipe(
      // What came last is given back.
      Effect.andThen(link.link.connection.dispatcher.turn),
      Effect.andThen(Effect.timeoutOption(this.idle, this.settings.drainTimeout)),
      Effect.andThen(Effect.suspend(() => {
        const fibers = [...this.active].flatMap((job) => job.fiber === undefined ? [] : [job.fiber])
        return Fiber.interruptAll(fibers)
      })),
      Effect.andThen(Effect.sync(() => {
        link.consume(undefined)
        // It may be another by now.
        this.behind.link.consume(undefined)
      })),
      Effect.andThen(receiving.leave(this.behind)),
      Effect.andThen(this.counts)
    )
  })

  private readonly idle: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.active.size === 0) return resume(Effect.void)
    this.emptied = () => resume(Effect.void)
    return Effect.sync(() => {
      this.emptied = undefined
    })
  })

  get join(): Effect.Effect<never, ReceiveError> {
    return Deferred.await(this.failed)
  }
}

const tallied = (settlement: Settlement.Settlement): "completed" | "abandoned" | "deferred" | "deadLettered" => {
  switch (settlement._tag) {
    case "Complete":
    case "RetryAfter":
      return "completed"
    case "Abandon":
      return "abandoned"
    case "Defer":
      return "deferred"
    case "DeadLetter":
      return "deadLettered"
  }
}
