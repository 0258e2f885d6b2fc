/**
 * A receiving link: it gives the peer credit, holds what has arrived in an inbox, and settles it. When credit is replenished
 * its user decides, by `addCredit`.
 *
 * Deliveries stay in the inbox until they are taken in one synchronous step, so that interrupting a wait loses nothing.
 * When the scope closes, credit is withdrawn, and deliveries that are not settled are released to the broker.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import {
  type Any,
  type AttachError,
  MessageAlreadySettled,
  OperationTimeoutError,
  type ReceiveError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic } from "../monotonicClock.ts"
import { type Outcome, released } from "./codec/Outcome.ts"
import { ticksAtEpoch } from "./codec/Reader.ts"
import { awaitClose } from "./Connection.ts"
import * as Deadlines from "./Deadlines.ts"
import { awaitEvent } from "./engine/ClientEndpoints.ts"
import type { Holder, IncomingDelivery, SettlementWaiter } from "./engine/Delivery.ts"
import { rhea } from "./engine/rhea.ts"
import * as Link from "./Link.ts"

interface Options {
  readonly entity: string
  /** The address of the target, as Microsoft's clients for .NET and JavaScript write it. */
  readonly identifier: string
  /** Receive-and-delete: the peer sends settled deliveries (AMQP 1.0 section 2.8.2). */
  readonly destructive: boolean
  /** Milliseconds for attaching, and for the answer to a settlement. */
  readonly timeout: number
  /** The session to ask for, `null` for the next one there is, and how long the peer may wait for it, in milliseconds. */
  readonly session?: { readonly id: string | null; readonly wait: number } | undefined
}

/** The session that the peer has locked for a link. */
interface GrantedSession {
  /** Undefined where it locked none. */
  readonly id: string | undefined
  /** When the lock ends by the peer's clock, in milliseconds since 1970. */
  readonly lockedUntil: number
}

type OnAnswer = (delivery: IncomingDelivery, error: errorMap.SettlementError | undefined) => void

export interface ReceiverLink extends Holder {
  readonly link: Link.Link
  /** The session of the link, where it asked for one. */
  readonly granted: GrantedSession | undefined
  /** How many deliveries are in the inbox. */
  readonly size: () => number
  /** Deliveries that the peer may still send without being asked again. */
  readonly credit: () => number
  readonly addCredit: (credit: number) => void
  /** Waits until the inbox has `count` deliveries; fails when the link is dead and it never will. */
  readonly awaitSize: (count: number) => Effect.Effect<void, ReceiveError | SessionLockLostError>
  /** Takes up to `max` deliveries, oldest first. */
  readonly take: (max: number) => Array<IncomingDelivery>
  /** Drains the link: the peer sends what it has at once and gives the rest of the credit back. Waits a second at most. */
  readonly drain: Effect.Effect<void>
  /**
   * Settles deliveries with one outcome and waits for the peer's answer to all of them. `onAnswer` is called for each that is
   * answered.
   */
  readonly settle: (
    deliveries: ReadonlyArray<IncomingDelivery>,
    outcome: Outcome,
    onAnswer?: OnAnswer
  ) => Effect.Effect<void, errorMap.SettlementError>
  /** Puts deliveries back at the head of the inbox. */
  readonly putBack: (deliveries: ReadonlyArray<IncomingDelivery>) => void
  /** Passes deliveries to a function instead of the inbox; it must only queue them. `undefined` goes back to the inbox. */
  readonly consume: (sink: ((deliveries: Array<IncomingDelivery>) => void) | undefined) => void
}

export const make: (session: Link.Session, options: Options) => Effect.Effect<ReceiverLink, AttachError, Scope.Scope> =
  Effect.fnUntraced(function*(session, options) {
    const { session: wanted } = options
    const link = yield* Link.attach(session, {
      role: "receiver",
      address: options.entity,
      identifier: options.identifier,
      entity: options.entity,
      // The peer ends the wait itself.
      timeout: options.timeout + (wanted?.wait ?? 0),
      // Service Bus distinguishes the two modes by these (Service Bus protocol guide).
      sndSettleMode: options.destructive ? 1 : 0,
      rcvSettleMode: options.destructive ? 0 : 1,
      ...(wanted === undefined ? {} : { filter: { [sessionFilter]: wanted.id } }),
      properties: {
        // Of JavaScript's client (core-amqp, receiverIdentifierName).
        "com.microsoft:receiver-name": options.identifier,
        ...(wanted === undefined
          ? {}
          : { "com.microsoft:timeout": rhea.types.wrap_uint(Math.min(0xffffffff, Math.ceil(wanted.wait))) })
      }
    })
    const deadlines = yield* Deadlines.make(options.timeout)
    const receiver = new OpenReceiverLink(link, options, deadlines, yield* Clock.Clock)
    yield* Effect.addFinalizer(() => receiver.close)
    return receiver
  })

/** Service Bus protocol guide, sessions. */
const sessionFilter = "com.microsoft:session-filter"

/** The session that the peer has locked, by its attach. */
const grantedSessionOf = (link: Link.Link): GrantedSession => {
  const { properties, source } = link.rhea.remote.attach ?? {}
  const filter = source?.filter?.[sessionFilter]
  const id = filter?.descriptor === undefined ? filter : filter.value
  // A long of .NET's ticks since the year 1, which rhea gives as its eight bytes.
  const ticks: unknown = properties?.["com.microsoft:locked-until-utc"]
  const lockedUntil = Buffer.isBuffer(ticks)
    ? Number((ticks.readBigInt64BE() - ticksAtEpoch) / 10_000n)
    : 0
  return { id: typeof id === "string" ? id : undefined, lockedUntil }
}

class OpenReceiverLink implements ReceiverLink {
  readonly link: Link.Link
  readonly granted: GrantedSession | undefined
  private readonly options: Options
  private readonly deadlines: Deadlines.Deadlines
  private inbox: Array<IncomingDelivery> = []
  private waiters: Array<{ readonly count: number; readonly resume: () => void }> = []
  /** What was taken or has arrived and is not settled: released when the scope closes. */
  private readonly unsettled = new Set<IncomingDelivery>()

  private sink: ((deliveries: Array<IncomingDelivery>) => void) | undefined = undefined

  constructor(link: Link.Link, options: Options, deadlines: Deadlines.Deadlines, clock: Clock.Clock) {
    this.link = link
    this.granted = options.session === undefined ? undefined : grantedSessionOf(link)
    this.options = options
    this.deadlines = deadlines
    link.plane.onDeliveries = (deliveries) => {
      const now = monotonic(clock)
      for (const delivery of deliveries) {
        delivery.receivedAt = now
        delivery.holder = this
        if (!options.destructive) this.unsettled.add(delivery)
      }
      link.plane.endUsedUpDrain()
      if (this.sink !== undefined) return this.sink(deliveries)
      if (this.inbox.length === 0) this.inbox = deliveries
      else for (const delivery of deliveries) this.inbox.push(delivery)
      this.wake(false)
    }
    link.onDeath(() => this.wake(true))
  }

  private wake(all: boolean): void {
    if (this.waiters.length === 0) return
    const { inbox, waiters } = this
    this.waiters = []
    for (const waiter of waiters) {
      if (all || inbox.length >= waiter.count) waiter.resume()
      else this.waiters.push(waiter)
    }
  }

  size(): number {
    return this.inbox.length
  }

  credit(): number {
    return this.link.dead() === undefined ? Math.max(0, this.link.rhea.credit) : 0
  }

  addCredit(credit: number): void {
    if (credit > 0) this.link.addCredit(credit)
  }

  awaitSize(count: number): Effect.Effect<void, ReceiveError | SessionLockLostError> {
    return Effect.suspend(() => {
      if (this.inbox.length >= count) return Effect.void
      const dead = this.link.dead()
      if (dead !== undefined) return this.died(dead)
      return Effect.flatMap(
        Effect.callback<void>((resume) => {
          // A fiber may yield before it comes here, and what came meanwhile woke nothing.
          if (this.inbox.length >= count || this.link.dead() !== undefined) return resume(Effect.void)
          const waiter = { count, resume: () => resume(Effect.void) }
          this.waiters.push(waiter)
          return Effect.sync(() => {
            this.waiters = this.waiters.filter((other) => other !== waiter)
          })
        }),
        () => this.awaitSize(count)
      )
    })
  }

  private died(death: Any): Effect.Effect<void, ReceiveError | SessionLockLostError> {
    if (this.granted !== undefined) {
      return Effect.fail(errorMap.sessionEnded(death, Link.contextOf(this.link, "receive")))
    }
    // What came before the link died is still received.
    return this.inbox.length > 0
      ? Effect.void
      : Effect.fail(errorMap.attachError(death, Link.contextOf(this.link, "receive")))
  }

  take(max: number): Array<IncomingDelivery> {
    if (this.inbox.length <= max) {
      const all = this.inbox
      this.inbox = []
      return all
    }
    return this.inbox.splice(0, max)
  }

  /** A link that is lost is not drained any more. */
  private readonly death: Effect.Effect<void> = Effect.callback((resume) => {
    const off = this.link.onDeath(() => resume(Effect.void))
    return Effect.sync(off)
  })

  readonly drain: Effect.Effect<void> = Effect.suspend(() => {
    const { rhea } = this.link
    if (this.credit() === 0) return Effect.void
    const { connection } = this.link
    return awaitClose(
      connection,
      Effect.raceFirst(
        awaitEvent(rhea, "receiver_drained", () => {
          if (this.credit() === 0) return false
          rhea.drain_credit()
          return true
        }),
        this.death
      )
    ).pipe(
      // The answer may be seen before the deliveries of the same read are.
      Effect.andThen(connection.dispatcher.turn),
      Effect.ensuring(Effect.sync(() => {
        // rhea repeats the flag in every flow until it is taken back.
        rhea.drain = false
      }))
    )
  })

  settle(
    deliveries: ReadonlyArray<IncomingDelivery>,
    outcome: Outcome,
    onAnswer?: OnAnswer
  ): Effect.Effect<void, errorMap.SettlementError> {
    return Effect.callback((resume) => {
      const dead = this.link.dead()
      if (dead !== undefined) {
        if (this.granted !== undefined) {
          return resume(Effect.fail(errorMap.sessionEnded(dead, Link.contextOf(this.link, "settle"))))
        }
        resume(Effect.fail(errorMap.settleError(dead, Link.contextOf(this.link, "settle"))))
        return
      }
      // A delivery that is named twice would be settled twice, and answered once.
      const isTwice = deliveries.length > 1 && new Set(deliveries).size < deliveries.length
      if (isTwice || deliveries.some((delivery) => !this.unsettled.has(delivery))) {
        resume(Effect.fail(new MessageAlreadySettled(Link.contextOf(this.link, "settle"))))
        return
      }
      const operation = new PendingSettlement(this, this.deadlines, deliveries, this.options.timeout, resume, onAnswer)
      for (const delivery of deliveries) {
        this.unsettled.delete(delivery)
        this.link.session.dispose(delivery, outcome, false, operation)
      }
      this.deadlines.add(operation)
      return Effect.sync(() => operation.cancel())
    })
  }

  dispose(deliveries: ReadonlyArray<IncomingDelivery>, outcome: Outcome): void {
    if (this.link.dead() !== undefined) return
    for (const delivery of deliveries) {
      if (this.unsettled.delete(delivery)) this.link.session.dispose(delivery, outcome, true)
    }
  }

  forget(delivery: IncomingDelivery): void {
    this.unsettled.delete(delivery)
  }

  hold(delivery: IncomingDelivery): void {
    this.unsettled.add(delivery)
  }

  putBack(deliveries: ReadonlyArray<IncomingDelivery>): void {
    if (deliveries.length === 0) return
    if (this.sink !== undefined) return this.sink([...deliveries])
    this.inbox.unshift(...deliveries)
    this.wake(false)
  }

  consume(sink: ((deliveries: Array<IncomingDelivery>) => void) | undefined): void {
    this.sink = sink
    if (sink === undefined || this.inbox.length === 0) return
    const { inbox } = this
    this.inbox = []
    sink(inbox)
  }

  isUnsettled(delivery: IncomingDelivery): boolean {
    return this.unsettled.has(delivery)
  }

  /** No credit is left with the peer and nothing is kept from it. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    this.link.dead() !== undefined
      ? Effect.void
      : Effect.andThen(
        this.drain,
        Effect.sync(() => {
          // A session that is given up takes its messages back, and does not count that as a failed delivery.
          if (this.granted === undefined) this.dispose([...this.unsettled], released)
          this.inbox = []
          // What comes after the drain goes back at once.
          this.link.plane.onDeliveries = (late) => {
            if (!this.options.destructive && this.granted === undefined) {
              for (const delivery of late) this.link.session.dispose(delivery, released, true)
            }
          }
        })
      )
  )
}

/** Waits for the peer's answers to the dispositions of one call. */
class PendingSettlement implements SettlementWaiter, Deadlines.Expiring {
  expiresAt = 0
  private done = false
  private remaining: number
  private failure: errorMap.SettlementError | undefined
  private readonly deliveries: ReadonlyArray<IncomingDelivery>
  private readonly link: Link.Link
  private readonly errorOf: typeof errorMap.settleError | typeof errorMap.sessionSettleError
  private readonly deadlines: Deadlines.Deadlines
  private readonly timeout: number
  private readonly resume: (effect: Effect.Effect<void, errorMap.SettlementError>) => void
  private readonly onAnswer: OnAnswer | undefined
  private readonly off: () => void
  /** How many answers the connection had before. */
  private readonly answersBefore: number

  constructor(
    { granted, link }: ReceiverLink,
    deadlines: Deadlines.Deadlines,
    deliveries: ReadonlyArray<IncomingDelivery>,
    timeout: number,
    resume: (effect: Effect.Effect<void, errorMap.SettlementError>) => void,
    onAnswer: OnAnswer | undefined
  ) {
    this.onAnswer = onAnswer
    this.link = link
    this.errorOf = granted === undefined ? errorMap.settleError : errorMap.sessionSettleError
    this.deadlines = deadlines
    this.deliveries = deliveries
    this.timeout = timeout
    this.resume = resume
    this.remaining = deliveries.length
    this.answersBefore = link.connection.answers()
    this.off = link.onDeath((death) => this.unanswered("the link was lost before the peer answered", death))
  }

  onSettled(delivery: IncomingDelivery, outcome: Outcome | undefined): void {
    if (this.done) return
    this.remaining--
    // A rejection without an error is the echo of our own dead-lettering.
    const error = outcome?._tag === "Rejected" && outcome.error !== undefined
      ? this.errorOf(outcome.error, Link.contextOf(this.link, "settle"))
      : undefined
    this.failure ??= error
    this.onAnswer?.(delivery, error)
    if (this.remaining > 0) return
    this.end(this.failure === undefined ? Effect.void : Effect.fail(this.failure))
  }

  expire(): void {
    this.link.connection.probeUnlessAnswered(this.answersBefore)
    this.unanswered(`the peer did not answer within ${this.timeout} ms`)
  }

  private unanswered(description: string, cause?: unknown): void {
    for (const delivery of this.deliveries) this.link.session.forget(delivery)
    this.end(Effect.fail(
      this.failure ?? new OperationTimeoutError({
        ...Link.contextOf(this.link, "settle"),
        outcome: "unknown",
        description,
        ...(cause === undefined ? {} : { cause })
      })
    ))
  }

  /** Interrupted: the dispositions are on their way and stay valid; only their answer is not waited for. */
  cancel(): void {
    if (!this.done) this.over()
  }

  private end(effect: Effect.Effect<void, errorMap.SettlementError>): void {
    if (this.done) return
    this.over()
    this.resume(effect)
  }

  private over(): void {
    this.done = true
    this.off()
    this.deadlines.remove(this)
  }
}
