/**
 * The receiver behind `ServiceBusReceiver`: from deliveries to messages, with the undecodable policy, and from settlements
 * to outcomes. Stream, processor and renewer stand on it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as ServiceBusBody from "../ServiceBusBody.ts"
import type * as ServiceBusEntity from "../ServiceBusEntity.ts"
import {
  type AttachError,
  InvalidOptionError,
  type LockRenewalError,
  MessageAlreadySettled,
  MessageDecodeError,
  MessageEncodeError,
  NotSupportedError,
  OperationTimeoutError,
  type ServiceBusConnectionError,
  type SessionLockLostError,
  type SessionLockRenewalError,
  type SessionSettleError,
  type SettleError
} from "../ServiceBusError.ts"
import type { DestructiveMessage, LockedMessage } from "../ServiceBusMessage.ts"
import type { Settlement } from "../Settlement.ts"
import { accepted, type Outcome, writeOutcome } from "./amqp/dataPlane/Outcome.ts"
import { DecodeProblem } from "./amqp/dataPlane/Reader.ts"
import type { Sections } from "./amqp/dataPlane/Sections.ts"
import type { IncomingDelivery } from "./amqp/dataPlane/SessionPlane.ts"
import { EncodeProblem, Writer } from "./amqp/dataPlane/Writer.ts"
import { monotonic } from "./amqp/monotonic.ts"
import * as Receiver from "./amqp/Receiver.ts"
import * as lockWheel from "./lockWheel.ts"
import * as management from "./management.ts"
import { Destructive, Locked, sectionsOf, tokenFromTag } from "./messageCodec.ts"
import type { Namespace } from "./namespace.ts"
import * as retryPolicy from "./retryPolicy.ts"
import * as supervisor from "./supervisor.ts"
import { Telemetry } from "./telemetry.ts"

/** What becomes of a message whose bytes or body cannot be decoded. */
export type Undecodable = "deadLetter" | "abandon" | "fail"

export interface Receiving {
  readonly entity: ServiceBusEntity.Any
  readonly namespace: Namespace
  /** The link of now, dead or alive. */
  readonly link: Receiver.Receiver
  /** The link, attached again where it was lost; what came before it was lost is in its inbox. That of a session is not. */
  readonly attached: Effect.Effect<Receiver.Receiver, AttachError | SessionLockLostError>
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
  /** Who takes its messages: they would take each other's credit. */
  taker: "receive" | "stream" | "processor" | undefined
  /** How many messages met the undecodable policy. */
  undecodable: number
  /** Messages whose lock ran out before they could be handed out. */
  expired: number
  /** Renews the lock of a message, or of the session. */
  readonly renew: (token: string) => Effect.Effect<DateTime.Utc, LockRenewalError | SessionLockRenewalError>
}

/** A session that is held. */
export interface Session {
  readonly id: string
  readonly lock: lockWheel.Lock
  /** Why it is lost or closed; undefined while it is held. */
  readonly ended: () => SessionLockLostError | ServiceBusConnectionError | undefined
}

/** The outcome of `Settlement.abandon`. */
export const abandoned: Outcome = { _tag: "Modified", deliveryFailed: true, undeliverableHere: false }

/** A link that lived for as long, in milliseconds, is attached again at once: the service ends idle ones. */
export const routine = 10_000

/** The longest lock that Service Bus gives, in milliseconds. */
const longestLock = 300_000

export const make = Effect.fnUntraced(function*(options: {
  readonly entity: ServiceBusEntity.Any
  readonly namespace: Namespace
  readonly destructive: boolean
  readonly prefetch: number
}): Effect.fn.Return<Receiving, AttachError, Scope.Scope> {
  const { destructive, entity, namespace, prefetch } = options
  const { timeout } = namespace.options
  const clock = yield* Clock.Clock
  const telemetry = new Telemetry(entity, namespace.options.endpoint, yield* Effect.context<never>())
  const open = Effect.fnUntraced(function*(lost: Receiver.Receiver | undefined) {
    const session = yield* namespace.session(entity.path)
    const link = yield* Receiver.make(session, { address: entity.path, entity: entity.path, destructive, timeout })
    // Their locks outlive the link that they came on.
    if (lost !== undefined) link.putBack(lost.take(Infinity))
    if (prefetch > 0) link.addCredit(prefetch - link.size())
    telemetry.count("servicebus.link.attached", 1, { role: "receiver" })
    return link
  })
  const link = yield* namespace.retrying.run(supervisor.make({
    open,
    isLost: (receiver) => receiver.link.dead() !== undefined
  }))
  const renew = (token: string) =>
    namespace.managing(entity.path, link.isOpen, (node) =>
      management.renewLocks(node, {
        entity: entity.path,
        tokens: [token],
        link: link.current().link.rhea.name,
        timeout
      })).pipe(Effect.map((times) => times[0]!))
  return {
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
    wheel: yield* lockWheel.make(renew),
    clock,
    telemetry,
    taker: undefined,
    undecodable: 0,
    expired: 0,
    renew
  }
})

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
  return durationOf(DateTime.toEpochMillis(message.lockedUntil), self.clock.currentTimeMillisUnsafe() - age)
}

/** How long a lock lasts that ends then by the broker's clock and began then by ours. */
export const durationOf = (lockedUntil: number, now: number): number => {
  const duration = lockedUntil - now
  // A wall clock that is off gives nonsense; then the lock is taken for the shortest that the service allows. The
  // embedded broker allows one second, of which the way here has taken some.
  return duration >= 500 && duration <= longestLock ? duration : 5_000
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
    lock = {
      token: message.lockToken,
      expiresAt: delivery.receivedAt + duration,
      duration,
      held: () => delivery.holder.isUnsettled(delivery)
    }
    delivery.lock = lock
  }
  return lock
}

/** Renews the lock of a message once. */
export const renewLock = (
  self: Receiving,
  message: LockedMessage<unknown>,
  delivery: IncomingDelivery
): Effect.Effect<DateTime.Utc, LockRenewalError | SessionLockRenewalError> =>
  Effect.suspend(() => {
    const now = monotonic(self.clock)
    return Effect.tap(self.namespace.retrying.run(self.renew(message.lockToken)), () =>
      Effect.sync(() => lockWheel.renewed(lockOf(self, message, delivery), now)))
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
  self.undecodable++
  if (policy === "deadLetter") {
    delivery.holder.dispose([delivery], {
      _tag: "Rejected",
      error: {
        condition: "com.microsoft:dead-letter",
        info: { DeadLetterReason: "MessageDecodeError", DeadLetterErrorDescription: problem.description.slice(0, 4096) }
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
  if (self.session !== undefined) {
    if (self.session.ended() === undefined) return false
    delivery.holder.forget(delivery)
    self.expired++
    return true
  }
  const age = monotonic(self.clock) - delivery.receivedAt
  if (age < 1_000 || age < lockDuration(self, message, delivery)) return false
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
  return delivery.holder.isUnsettled(delivery)
    ? Result.succeed(delivery)
    : Result.fail(
      new MessageAlreadySettled({ entity: self.entity.path, operation, sequenceNumber: message.sequenceNumber })
    )
}

const scratch = new Writer()

/** The AMQP outcome of a settlement (Service Bus protocol guide), checked so that it can be written. */
export const outcomeOf = (
  entity: ServiceBusEntity.Any,
  settlement: Settlement
): Result.Result<Outcome, MessageEncodeError | NotSupportedError> => {
  switch (settlement._tag) {
    case "Complete":
      return Result.succeed(accepted)
    case "Abandon":
      return checked(entity, { ...abandoned, annotations: settlement.properties })
    case "Defer":
      return checked(entity, { _tag: "Modified", undeliverableHere: true, annotations: settlement.properties })
    case "DeadLetter": {
      const { description, properties, reason } = settlement
      for (const [part, value] of [["reason", reason], ["description", description]] as const) {
        if (value !== undefined && value.length > 4096) {
          return Result.fail(
            new MessageEncodeError({
              entity: entity.path,
              part,
              description: `it has ${value.length} characters, at most 4096 are allowed`
            })
          )
        }
      }
      return checked(entity, {
        _tag: "Rejected",
        error: {
          condition: "com.microsoft:dead-letter",
          info: {
            ...properties,
            ...(reason === undefined ? {} : { DeadLetterReason: reason }),
            ...(description === undefined ? {} : { DeadLetterErrorDescription: description })
          }
        }
      })
    }
    case "RetryAfter":
      return Result.fail(
        new NotSupportedError({
          entity: entity.path,
          operation: "settle",
          description: "Settlement.retryAfter needs scheduled messages, which this version does not send yet"
        })
      )
  }
}

const checked = (entity: ServiceBusEntity.Any, outcome: Outcome): Result.Result<Outcome, MessageEncodeError> => {
  try {
    writeOutcome(scratch, outcome)
    return Result.succeed(outcome)
  } catch (error) {
    if (!(error instanceof EncodeProblem)) throw error
    return Result.fail(
      new MessageEncodeError({ entity: entity.path, part: "properties", description: error.message })
    )
  } finally {
    scratch.reset()
  }
}

/** What a settlement is called in spans and metrics. */
const dispositions = {
  Complete: "complete",
  Abandon: "abandon",
  Defer: "defer",
  DeadLetter: "dead_letter",
  RetryAfter: "retry"
} as const

/** Settles messages of one receiver with one settlement, and waits for the broker's answer to all of them. */
export const settle = (
  self: Receiving,
  owner: object,
  messages: ReadonlyArray<LockedMessage<unknown>>,
  settlement: Settlement
): Effect.Effect<void, SettleError | SessionSettleError> => {
  const { telemetry } = self
  const disposition = dispositions[settlement._tag]
  return telemetry.run(disposition, () => settleAll(self, owner, messages, settlement), {
    attributes: () => ({
      "messaging.servicebus.disposition_status": disposition,
      ...(messages.length === 1 ? {} : { "messaging.batch.message_count": messages.length })
    }),
    onSuccess: () => telemetry.settled(disposition, messages.length)
  })
}

const settleAll = (
  self: Receiving,
  owner: object,
  messages: ReadonlyArray<LockedMessage<unknown>>,
  settlement: Settlement
): Effect.Effect<void, SettleError | SessionSettleError> =>
  Effect.suspend((): Effect.Effect<void, SettleError | SessionSettleError> => {
    const outcome = outcomeOf(self.entity, settlement)
    if (Result.isFailure(outcome)) return Effect.fail(outcome.failure)
    const deliveries: Array<IncomingDelivery> = []
    for (const message of messages) {
      const delivery = deliveryOf(self, owner, message, "settle")
      if (Result.isFailure(delivery)) return Effect.fail(delivery.failure)
      deliveries.push(delivery.success)
    }
    if (deliveries.length === 0) return Effect.void
    const { link, session } = self
    const ended = session?.ended()
    if (ended !== undefined) return Effect.fail(ended)
    const isHere = deliveries.every((delivery) => delivery.holder === link)
    // A session's lock goes with its link.
    const isGone = session === undefined && link.link.dead() !== undefined
    if (!isHere || isGone) return settleElsewhere(self, deliveries, settlement, false)
    return Effect.catch(link.settle(deliveries, outcome.success), (error) =>
      session === undefined &&
        // Only where the link is lost: a peer that is slow is not asked twice.
        link.link.dead() !== undefined && retryPolicy.canPass(error)
        ? settleElsewhere(self, deliveries, settlement, true)
        : Effect.fail(error))
  })

/**
 * Settles by lock token, over `$management`: a lock outlives the link that its message came on. `asked` says that the link
 * was lost while an answer was awaited: a lock that is gone then may be one that was settled.
 */
export const settleElsewhere = (
  self: Receiving,
  deliveries: ReadonlyArray<IncomingDelivery>,
  settlement: Settlement,
  asked: boolean
): Effect.Effect<void, SettleError | SessionSettleError> => {
  const { entity, namespace } = self
  if (!asked && new Set(deliveries).size < deliveries.length) {
    return Effect.fail(new MessageAlreadySettled({ entity: entity.path, operation: "settle" }))
  }
  for (const delivery of deliveries) delivery.holder.forget(delivery)
  const settleOne = (delivery: IncomingDelivery): Effect.Effect<void, SettleError | SessionSettleError> => {
    let uncertain = asked
    const request = namespace.managing(entity.path, self.isOpen, (node, timeout) =>
      management.updateDisposition(node, {
        entity: entity.path,
        tokens: [tokenFromTag(delivery.tag)],
        settlement,
        sessionId: self.session?.id,
        timeout
      }))
    return namespace.retrying.run(Effect.tapError(request, (error) =>
      Effect.sync(() => {
        if (error._tag === "OperationTimeoutError" && error.outcome === "unknown") uncertain = true
      }))).pipe(
        Effect.onError((cause) =>
          Effect.sync(() => {
            const isLost = cause.reasons.some((reason) =>
              Cause.isFailReason(reason) && reason.error._tag === "MessageLockLostError"
            )
            // As far as anybody knows it is not settled: it may be tried again.
            if (!uncertain && !isLost) delivery.holder.hold(delivery)
          })
        ),
        Effect.catchTag("MessageLockLostError", (error) =>
          Effect.fail(
            uncertain
              ? new OperationTimeoutError({
                entity: entity.path,
                operation: "settle",
                outcome: "unknown",
                description:
                  "the link was lost before the peer answered, and the lock is gone: the settlement may have been made",
                cause: error
              })
              : error
          ))
      )
  }
  // One that is refused keeps no other from being settled.
  return Effect.flatMap(
    Effect.forEach(deliveries, (delivery) => Effect.exit(settleOne(delivery)), { concurrency: 8 }),
    (exits) => exits.find(Exit.isFailure) ?? Effect.void
  )
}
