/**
 * The receiver behind `ServiceBusReceiver`: from deliveries to messages, with the undecodable policy, and from settlements
 * to outcomes. Stream, processor and renewer stand on it.
 */
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as ServiceBusBody from "../../ServiceBusBody.ts"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AttachError,
  InvalidOptionError,
  type LockRenewalError,
  MessageAlreadySettled,
  MessageDecodeError,
  type ServiceBusConnectionError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import type { DestructiveMessage, LockedMessage } from "../../ServiceBusMessage.ts"
import { DecodeProblem } from "../amqp/codec/Reader.ts"
import type { Sections } from "../amqp/codec/Sections.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as ReceiverLink from "../amqp/ReceiverLink.ts"
import * as errorMap from "../errorMap.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { Destructive, Locked, sectionsOf, tokenFromTag } from "../message/ReceivedMessage.ts"
import { monotonic } from "../monotonicClock.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import * as RecoveringLink from "../namespace/RecoveringLink.ts"
import type { Undecodable } from "../options.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import * as lockWheel from "./LockRenewal.ts"
import * as rescheduling from "./RetryAfter.ts"
import { abandoned, cutText } from "./SettlementOutcome.ts"

export interface Receiving {
  readonly entity: ServiceBusEntity.Any
  readonly namespace: Namespace
  /** The link of now, dead or alive. */
  readonly link: ReceiverLink.ReceiverLink
  /** The link, attached again where it was lost; what came before it was lost is in its inbox. That of a session is not. */
  readonly attached: Effect.Effect<ReceiverLink.ReceiverLink, AttachError | SessionLockLostError>
  /** Fails once its scope is closed, or its session lost. */
  readonly isOpen: Effect.Effect<void, AttachError | SessionLockLostError>
  /** The session whose messages these are. */
  readonly session: Session | undefined
  readonly destructive: boolean
  /** How many deliveries the peer may send ahead of what was asked for. */
  readonly prefetch: number
  readonly wheel: lockWheel.LockWheel
  readonly clock: Clock.Clock
  readonly telemetry: Telemetry
  /** Runs what nobody waits for. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly rescheduling: rescheduling.Rescheduling
  /** What a copy is being sent of: it is as good as settled. */
  readonly leaving: Set<IncomingDelivery>
  /** Who takes its messages: they would take each other's credit. */
  taker: "receive" | "stream" | "processor" | undefined
  /** Messages whose lock ran out before they could be handed out. */
  expired: number
}

/** What asks the `$management` node of an entity: a receiver, or something that has no link. */
export type Asking = Pick<Receiving, "entity" | "namespace" | "isOpen" | "session" | "telemetry">

/** A session that is held. */
export interface Session {
  readonly id: string
  readonly lock: lockWheel.Lock
  /** Why it is lost or closed; undefined while it is held. */
  readonly ended: () => SessionLockLostError | ServiceBusConnectionError | undefined
  /** Has a function called when it is lost or closed; gives what takes it back. */
  readonly onEnd: (hook: (end: SessionLockLostError | ServiceBusConnectionError) => void) => () => void
}

/** A link that lived for as long, in milliseconds, is attached again at once: the service ends idle ones. */
export const routine = 10_000

/** The longest lock that Service Bus gives, in milliseconds. */
const longestLock = 300_000

export const make = Effect.fnUntraced(function*(options: {
  readonly entity: ServiceBusEntity.Any
  readonly namespace: Namespace
  readonly destructive: boolean
  readonly prefetch: number
  /** How locks are renewed: see the wheel. */
  readonly renewal?: Pick<lockWheel.Options, "batch" | "margin"> | undefined
}): Effect.fn.Return<Receiving, AttachError, Scope.Scope> {
  const { destructive, entity, namespace, prefetch } = options
  const { timeout } = namespace.options
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const telemetry = new Telemetry(entity, namespace.options.endpoint, context)
  const open = Effect.fnUntraced(function*(lost: ReceiverLink.ReceiverLink | undefined) {
    const session = yield* namespace.session(entity.path)
    const link = yield* ReceiverLink.make(session, { entity: entity.path, destructive, timeout })
    // Their locks outlive the link that they came on.
    if (lost !== undefined) link.putBack(lost.take(Infinity))
    if (prefetch > 0) link.addCredit(prefetch - link.size())
    telemetry.countAttached("receiver")
    return link
  })
  const link = yield* namespace.retryPolicy.runIdempotent(RecoveringLink.make({
    open,
    isLost: (receiver) => receiver.link.dead() !== undefined
  }))
  yield* telemetry.registerGauge("servicebus.receiver.credit", () => link.current().credit())
  yield* telemetry.registerGauge("servicebus.receiver.waiting", () => link.current().size())
  const self: Receiving = {
    entity,
    namespace,
    get link() {
      return link.current()
    },
    attached: link.get,
    isOpen: link.isOpen,
    session: undefined,
    destructive,
    prefetch,
    wheel: yield* lockWheel.make({
      ...options.renewal,
      renew: (tokens) => renewLocks(self, tokens),
      onResult: telemetry.countRenewed
    }),
    clock,
    telemetry,
    fork: Effect.runForkWith(context),
    rescheduling: yield* rescheduling.make({ entity, namespace, clock }),
    leaving: new Set(),
    taker: undefined,
    expired: 0
  }
  return self
})

/** Renews the locks of messages with one request. */
const renewLocks = (self: Receiving, tokens: ReadonlyArray<string>) =>
  self.namespace.withManagementNode(
    self.entity.path,
    self.isOpen,
    (node, timeout) =>
      EntityManagement.renewLocks(node, { entity: self.entity.path, tokens, link: self.link.link.name, timeout })
  )

/** Takes the messages of a receiver: nobody else does until `leave`. */
export const take = (self: Receiving, taker: Receiving["taker"] & string): Effect.Effect<void, InvalidOptionError> =>
  Effect.suspend(() => {
    if (self.taker !== undefined) {
      return Effect.fail(
        new InvalidOptionError({
          entity: self.entity.path,
          option: "receiver",
          expected: `one whose messages nobody takes: a ${self.taker} has them; make another receiver`
        })
      )
    }
    self.taker = taker
    return Effect.void
  })

export const leave = (self: Receiving): Effect.Effect<void> =>
  Effect.sync(() => {
    self.taker = undefined
  })

/** Runs what takes the messages of a receiver. */
export const taking = <A, E>(
  self: Receiving,
  taker: Receiving["taker"] & string,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E | InvalidOptionError> =>
  Effect.acquireUseRelease(take(self, taker), () => effect, () => leave(self))

/** How long the lock of a message lasts, in milliseconds: what its delivery says, as seen when it arrived. */
export const lockDuration = (self: Receiving, message: LockedMessage<unknown>, delivery: IncomingDelivery): number => {
  const age = monotonic(self.clock) - delivery.receivedAt
  const { enqueued, lockedUntil } = (message as Locked<unknown>).lockTimes()
  const byOurs = lockedUntil - (self.clock.currentTimeMillisUnsafe() - age)
  // By the broker's clock alone: it locked the message after it had enqueued it.
  const most = lockedUntil - enqueued
  return durationOf(most >= 500 ? Math.min(byOurs, most) : byOurs)
}

/** A duration of a lock that can be. */
export const durationOf = (duration: number): number => {
  // A wall clock that is off gives nonsense; then the lock is taken for the shortest that the service allows. The
  // embedded broker allows one second, of which the way here has taken some.
  return duration >= 500 && duration <= longestLock ? duration : 5_000
}

/** There may be many thousands of them: it keeps what it cannot do without. */
class DeliveryLock implements lockWheel.Lock {
  expiresAt: number
  renewals = 0
  lost: "failed" | "expired" | undefined = undefined
  readonly duration: number
  private readonly delivery: IncomingDelivery

  constructor(delivery: IncomingDelivery, duration: number) {
    this.delivery = delivery
    this.duration = duration
    this.expiresAt = delivery.receivedAt + duration
  }

  get token(): string {
    return tokenFromTag(this.delivery.tag)
  }

  held(): boolean {
    return this.delivery.holder.isUnsettled(this.delivery)
  }
}

/** The lock of a message, as far as this program knows of it. */
export const lockOf = (
  self: Receiving,
  message: LockedMessage<unknown>,
  delivery: IncomingDelivery
): lockWheel.Lock => {
  if (self.session !== undefined) return self.session.lock
  let lock = delivery.lock as lockWheel.Lock | undefined
  if (lock === undefined) {
    const duration = lockDuration(self, message, delivery)
    lock = new DeliveryLock(delivery, duration)
    delivery.lock = lock
  }
  return lock
}

/** What a program knows of the lock of a message. Times are milliseconds. */
export type LockView =
  | { readonly _tag: "Held"; readonly remaining: number; readonly renewals: number }
  | { readonly _tag: "Lost"; readonly reason: "failed" | "expired"; readonly renewals: number }
  | { readonly _tag: "Settled" }

/** The lock of a message that `owner` handed out, and how it is seen now; undefined for a message of another receiver. */
export const viewOf = (
  self: Receiving,
  owner: object,
  message: LockedMessage<unknown>
): { readonly lock: lockWheel.Lock; readonly view: LockView } | undefined => {
  const delivery = Locked.deliveryOf(message, owner)
  if (delivery === undefined) return undefined
  const lock = lockOf(self, message, delivery)
  const { lost, renewals } = lock
  const remaining = lock.expiresAt - monotonic(self.clock)
  if (lost !== undefined) return { lock, view: { _tag: "Lost", reason: lost, renewals } }
  if (!lock.held()) return { lock, view: { _tag: "Settled" } }
  return remaining > 0
    ? { lock, view: { _tag: "Held", remaining, renewals } }
    : { lock, view: { _tag: "Lost", reason: "expired", renewals } }
}

/** Renews the lock of a message once. */
export const renewLock = (
  self: Receiving,
  message: LockedMessage<unknown>,
  delivery: IncomingDelivery
): Effect.Effect<DateTime.Utc, LockRenewalError | SessionLockLostError> =>
  Effect.suspend(() => {
    const now = monotonic(self.clock)
    return Effect.map(
      self.namespace.retryPolicy.run(renewLocks(self, [message.lockToken]), { isFinal: errorMap.isLockLost }),
      (times) => {
        self.wheel.renewed(lockOf(self, message, delivery), now)
        return times[0]!
      }
    )
  })

export type Handed<A> = LockedMessage<A> | DestructiveMessage<A>

/**
 * The message of a delivery. `undefined` where its lock ran out while it waited, and where it is undecodable and the
 * policy disposed of it; a MessageDecodeError where the policy is to fail.
 */
export const handOut = <A>(
  self: Receiving,
  owner: object,
  delivery: IncomingDelivery,
  body: ServiceBusBody.ServiceBusBody<A, never> | undefined,
  policy: Undecodable
): Handed<A> | undefined | MessageDecodeError => {
  let sections: Sections
  let problem: { readonly part: string; readonly description: string }
  try {
    sections = sectionsOf(delivery)
    const decoded: Result.Result<A | undefined, string> = body === undefined
      ? Result.succeed(undefined)
      : body.decode(sections.readBody())
    if (Result.isSuccess(decoded)) {
      const value = decoded.success as A
      if (self.destructive) return new Destructive(sections, value)
      const message = new Locked(sections, value, delivery, owner)
      return isOver(self, message, delivery) ? undefined : message
    }
    problem = { part: "body", description: decoded.failure }
  } catch (error) {
    if (!(error instanceof DecodeProblem)) throw error
    problem = { part: "message", description: error.message }
  }
  if (policy === "deadLetter") {
    delivery.holder.dispose([delivery], {
      _tag: "Rejected",
      error: {
        condition: "com.microsoft:dead-letter",
        info: {
          DeadLetterReason: "MessageDecodeError",
          DeadLetterErrorDescription: cutText(problem.description.toWellFormed())
        }
      }
    })
    return undefined
  }
  delivery.holder.dispose([delivery], abandoned)
  return policy === "abandon"
    ? undefined
    : new MessageDecodeError({ entity: self.entity.path, operation: "receive", ...problem })
}

/** Whether the lock of a message ended while it waited to be handed out. */
const isOver = (self: Receiving, message: Locked<unknown>, delivery: IncomingDelivery): boolean => {
  if (self.session === undefined) {
    const age = monotonic(self.clock) - delivery.receivedAt
    if (age < 1_000 || age < lockDuration(self, message, delivery)) return false
  } else if (self.session.ended() === undefined) return false
  delivery.holder.forget(delivery)
  self.expired++
  return true
}

/** The delivery of a message that this receiver handed out and that is not settled. */
export const deliveryOf = (
  self: Receiving,
  owner: object,
  message: LockedMessage<unknown>,
  operation: string
): Result.Result<IncomingDelivery, InvalidOptionError | MessageAlreadySettled> => {
  const delivery = Locked.deliveryOf(message, owner)
  if (delivery === undefined) {
    return Result.fail(
      new InvalidOptionError({
        entity: self.entity.path,
        operation,
        option: "message",
        expected: "a message that this receiver received"
      })
    )
  }
  return delivery.holder.isUnsettled(delivery) && (operation === "withLock" || !self.leaving.has(delivery))
    ? Result.succeed(delivery)
    : Result.fail(
      new MessageAlreadySettled({ entity: self.entity.path, operation, sequenceNumber: message.sequenceNumber })
    )
}
