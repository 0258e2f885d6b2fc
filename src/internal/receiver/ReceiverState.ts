/**
 * A receiver: its link, which is attached again by the next use after it was lost, the locks of its messages, and what
 * becomes of a delivery: a message for a consumer, or an outcome by the undecodable policy.
 *
 * The same for a receiver and for a session, which makes its own: streams, processors, settlement and lock renewal work on
 * it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as ServiceBusBody from "../../ServiceBusBody.ts"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AttachError,
  InvalidOptionError,
  type LockRenewalError,
  MessageAlreadySettled,
  MessageDecodeError,
  MessageLockLostError,
  type ServiceBusConnectionError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import type { Subject } from "../../ServiceBusEvent.ts"
import type { DestructiveMessage, LockedMessage } from "../../ServiceBusMessage.ts"
import type { ServiceBusProperties } from "../../ServiceBusProperties.ts"
import { released } from "../amqp/codec/Outcome.ts"
import { DecodeProblem } from "../amqp/codec/Reader.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as ReceiverLink from "../amqp/ReceiverLink.ts"
import * as errorMap from "../errorMap.ts"
import * as HiddenState from "../HiddenState.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { declaredIn, Destructive, Locked, noProperties, sectionsOf } from "../message/ReceivedMessage.ts"
import { monotonic } from "../monotonicClock.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import { LinkOutage } from "../namespace/Outages.ts"
import * as RecoveringLink from "../namespace/RecoveringLink.ts"
import { readOrUndefined, type Undecodable } from "../options.ts"
import * as SchemaTrial from "../SchemaTrial.ts"
import { type EventReporter, subjectOf } from "../telemetry/EventReporter.ts"
import { FailedMessages } from "../telemetry/FailedMessages.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import * as LockRenewal from "./LockRenewal.ts"
import * as MessageLock from "./MessageLock.ts"
import * as RetryAfter from "./RetryAfter.ts"
import { abandoned, truncateText } from "./SettlementOutcome.ts"

/** How a receiver gets its messages: under locks, or settled by the broker (receive-and-delete). */
export type Mode = "locked" | "destructive"

/** The message that a receiver of a mode gives, with the body `B`. */
export type MessageOf<D extends Mode, B> = D extends "destructive" ? DestructiveMessage<B> : LockedMessage<B>

/**
 * A receiver. `A` is the body of its messages, `D` its mode, `E` what it fails with where a body does not decode and its
 * policy is to fail, and `L` that its session is lost, where it is that of a session.
 */
export interface ReceiverState<
  out A = unknown,
  out D extends Mode = Mode,
  out E extends MessageDecodeError = MessageDecodeError,
  out L extends SessionLockLostError = SessionLockLostError
> {
  readonly entity: ServiceBusEntity.Any
  /** The name of the receiver in the peer's logs, in spans and errors. */
  readonly identifier: string
  readonly body: ServiceBusBody.ServiceBusBody<A, never>
  /** The application properties that its contract declares. */
  readonly properties: ServiceBusProperties | undefined
  readonly namespace: Namespace
  /** The link of now, dead or alive. */
  readonly link: ReceiverLink.ReceiverLink
  /** The link, attached again where it was lost; what came before it was lost is in its inbox. That of a session is not. */
  readonly attached: Effect.Effect<ReceiverLink.ReceiverLink, AttachError | L>
  /** Fails once its scope is closed, or its session lost. */
  readonly isOpen: Effect.Effect<void, AttachError | L>
  /** The session whose messages these are. */
  readonly session: HeldSession<L> | undefined
  readonly mode: D
  readonly undecodable: UndecodablePolicy<E>
  /** How many deliveries the peer may send ahead of what was asked for. */
  readonly prefetch: number
  readonly renewal: LockRenewal.LockRenewal
  readonly clock: Clock.Clock
  readonly telemetry: Telemetry
  /** Says what happens to it and to its messages. */
  readonly reporter: EventReporter
  /** Hears that something which needs the link failed and is tried again. */
  readonly onRetry: () => void
  /** Runs what no caller waits for. */
  readonly fork: <B, Err>(effect: Effect.Effect<B, Err>) => Fiber.Fiber<B, Err>
  readonly retryAfter: RetryAfter.RetryAfterSender
  /** Deliveries of which a copy is being sent: they are as good as settled. */
  readonly copying: Set<IncomingDelivery>
  /** The one consumer of its messages: two would take each other's credit. */
  consumer: Consumer | undefined
  /** Messages whose lock ran out before they could be handed out. */
  expired: number
}

type Consumer = "receive" | "stream" | "processor"

/** What becomes of a message that does not decode, and the error of it where the policy is to fail. */
export interface UndecodablePolicy<out E extends MessageDecodeError> {
  readonly disposal: "deadLetter" | "abandon"
  readonly errorOf: (problem: ConstructorParameters<typeof MessageDecodeError>[0]) => E | undefined
}

/** The policy of an option, whose type says whether it is to fail. */
export const policyOf = <E extends MessageDecodeError>(
  undecodable: Undecodable = "deadLetter"
): UndecodablePolicy<E> => ({
  disposal: undecodable === "deadLetter" ? "deadLetter" : "abandon",
  errorOf: undecodable === "fail" ? (problem) => new MessageDecodeError(problem) as E : () => undefined
})

/** What asks the `$management` node of an entity: a receiver, or something that has no link. */
export type Requester<L extends SessionLockLostError = SessionLockLostError> = Pick<
  ReceiverState<unknown, Mode, MessageDecodeError, L>,
  "entity" | "namespace" | "isOpen" | "session" | "telemetry" | "reporter"
>

/** A requester without a link: there is no scope of one that could be closed, and no session to lose. */
export const withoutLink = (entity: ServiceBusEntity.Any, namespace: Namespace): Effect.Effect<Requester<never>> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.succeed({
      entity,
      namespace,
      isOpen: Effect.void,
      session: undefined,
      telemetry: new Telemetry(entity, namespace.options.endpoint, namespace.options.identifier, context),
      reporter: namespace.reporter.within({ context, entity: entity.path })
    })
  )

/** A session that is held. */
interface HeldSession<out L> {
  readonly id: string
  readonly lock: LockRenewal.Lock
  /** Why it is lost or closed; undefined while it is held. */
  readonly ended: () => L | ServiceBusConnectionError | undefined
  /** Has a function called when it is lost or closed, at once where it is already; gives what takes it back. */
  readonly onEnd: (hook: (end: L | ServiceBusConnectionError) => void) => () => void
}

/**
 * Narrows the errors of links and nodes, which serve sessions as well and say so in their types, to those that this receiver can
 * have: only that of a session loses one. The receiver is there for its type, which says what it loses.
 */
export const narrowErrorsTo = <L extends SessionLockLostError, B, Err, R>(
  _receiver: Requester<L>,
  effect: Effect.Effect<B, Err | SessionLockLostError, R>
): Effect.Effect<B, Err | L, R> => effect as Effect.Effect<B, Err | L, R>

const states = HiddenState.make<ReceiverState>("This receiver was not made by ServiceBusReceiver.make.")

/** Gives a public receiver or session its state. */
export const attachTo: <V extends object>(receiver: V, state: ReceiverState) => V = states.attach

/** The state of a receiver or session; throws for any other value. Tests and the benchmark look at it. */
export const stateOf: (receiver: object) => ReceiverState = states.of

/** The same; undefined for any other value. */
export const find: (value: unknown) => ReceiverState | undefined = states.find

/** Attaches a receiver. */
export const make = Effect.fnUntraced(function*<A, D extends Mode, E extends MessageDecodeError>(options: {
  readonly entity: ServiceBusEntity.Any
  readonly identifier: string
  readonly body: ServiceBusBody.ServiceBusBody<A, never>
  readonly namespace: Namespace
  readonly mode: D
  readonly undecodable: UndecodablePolicy<E>
  readonly prefetch: number
  /** How its locks are renewed. */
  readonly renewal?: Pick<LockRenewal.Options, "batch" | "margin"> | undefined
}): Effect.fn.Return<ReceiverState<A, D, E, never>, AttachError, Scope.Scope> {
  const { entity, identifier, mode, prefetch } = options
  const namespace = options.namespace.identifiedAs(identifier)
  const { timeout } = namespace.options
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const telemetry = new Telemetry(entity, namespace.options.endpoint, identifier, context)
  const reporter = namespace.reporter.within({ context, entity: entity.path, failed: new FailedMessages() })
  const outage = new LinkOutage(namespace.outages, reporter, clock)
  /** Why it could not be attached the last time. */
  let failure: AttachError | undefined
  const onRetry = (): void => {
    if (failure !== undefined) outage.failed(failure)
  }
  const open = Effect.fnUntraced(function*(lost: ReceiverLink.ReceiverLink | undefined) {
    const session = yield* namespace.session(entity.path)
    const link = yield* ReceiverLink.make(session, {
      entity: entity.path,
      identifier,
      destructive: mode === "destructive",
      timeout
    })
    // Their locks outlive the link that they came on.
    if (lost !== undefined) link.putBack(lost.take(Infinity))
    if (prefetch > 0) link.addCredit(prefetch - link.size())
    link.link.onDeath((death) => outage.lost(death))
    telemetry.countAttached("receiver")
    failure = undefined
    outage.attached()
    return link
  })
  const link = yield* namespace.retryPolicy.runIdempotent(
    RecoveringLink.make({
      open: (lost: ReceiverLink.ReceiverLink | undefined) =>
        Effect.tapError(open(lost), (error) =>
          Effect.sync(() => {
            failure = error
          })),
      isLost: (receiver) => receiver.link.dead() !== undefined
    }),
    undefined,
    onRetry
  )
  yield* telemetry.registerGauge("servicebus.receiver.credit", () => link.current().credit())
  yield* telemetry.registerGauge("servicebus.receiver.waiting", () => link.current().size())
  const state: ReceiverState<A, D, E, never> = {
    entity,
    identifier,
    body: options.body,
    properties: ServiceBusEntity.propertiesOf(entity),
    namespace,
    get link() {
      return link.current()
    },
    attached: link.get,
    isOpen: link.isOpen,
    session: undefined,
    mode,
    undecodable: options.undecodable,
    prefetch,
    renewal: yield* LockRenewal.make({
      ...options.renewal,
      renew: (tokens) =>
        Effect.map(renewLocks(state, tokens), (times) => times.map((time) => DateTime.toEpochMillis(time))),
      onResult: telemetry.countRenewed
    }),
    clock,
    telemetry,
    reporter,
    onRetry,
    fork: Effect.runForkWith(context),
    retryAfter: yield* RetryAfter.make({ entity, identifier, namespace, clock }),
    copying: new Set(),
    consumer: undefined,
    expired: 0
  }
  return state
})

/** A receiver that is not that of a session. */
export type WithoutSession = ReceiverState<unknown, Mode, MessageDecodeError, never>

/** Renews the locks of messages with one request. */
const renewLocks = (state: WithoutSession, tokens: ReadonlyArray<string>) =>
  state.namespace.withManagementNode(
    state.entity.path,
    state.isOpen,
    (node, timeout) =>
      EntityManagement.renewLocks(node, { entity: state.entity.path, tokens, link: state.link.link.name, timeout })
  )

/** Makes a consumer the only one of a receiver's messages, until it stops. */
export const startConsuming = (state: ReceiverState, consumer: Consumer): Effect.Effect<void, InvalidOptionError> =>
  Effect.suspend(() => {
    if (state.consumer !== undefined) {
      return Effect.fail(
        new InvalidOptionError({
          entity: state.entity.path,
          identifier: state.identifier,
          option: "receiver",
          expected: `a receiver without a consumer: a ${state.consumer} takes its messages; make another receiver`
        })
      )
    }
    state.consumer = consumer
    return Effect.void
  })

export const stopConsuming = (state: ReceiverState): Effect.Effect<void> =>
  Effect.sync(() => {
    state.consumer = undefined
  })

/** Runs the only consumer of a receiver's messages. */
export const consuming = <B, Err>(
  state: ReceiverState,
  consumer: Consumer,
  effect: Effect.Effect<B, Err>
): Effect.Effect<B, Err | InvalidOptionError> =>
  Effect.acquireUseRelease(startConsuming(state, consumer), () => effect, () => stopConsuming(state))

/** Renews the lock of a message once. */
export const renewLock = (
  state: WithoutSession,
  message: LockedMessage<unknown>,
  delivery: IncomingDelivery
): Effect.Effect<DateTime.Utc, LockRenewalError> =>
  state.namespace.retryPolicy.run(
    Effect.suspend(() => {
      const now = monotonic(state.clock)
      return Effect.map(renewLocks(state, [message.lockToken]), (times) => {
        const until = times[0]!
        state.renewal.renewed(MessageLock.of(state, message, delivery), now, DateTime.toEpochMillis(until))
        return until
      })
    }),
    { isFinal: errorMap.isLockLost }
  )

/**
 * The message of a delivery, or what the undecodable policy makes of it: `undefined` where it was disposed of, and where the
 * lock ran out while the delivery waited; the error where the policy is to fail. Without a codec the body is undefined. What
 * is disposed of is reported, but not the error, which is for the caller.
 *
 * A schema that waits says nothing of the message: it is released, whatever the policy, and the error is for its receiver. What
 * was received in receive-and-delete mode cannot be released: it is reported as lost.
 */
export const decodeOrDispose = <B, D extends Mode, E extends MessageDecodeError>(
  state: ReceiverState<unknown, D, E>,
  delivery: IncomingDelivery,
  body: ServiceBusBody.ServiceBusBody<B, never> | undefined,
  reporter: EventReporter = state.reporter
): MessageOf<D, B> | E | InvalidOptionError | undefined => {
  let problem: { readonly part: string; readonly description: string }
  try {
    const sections = sectionsOf(delivery)
    const decoded: Result.Result<B, string> = body === undefined
      ? Result.succeed(undefined as B)
      : body.decode(sections.readBody())
    let part: "body" | "applicationProperties" = "body"
    let failed: Result.Result<unknown, string> = decoded
    if (Result.isSuccess(decoded)) {
      const value = decoded.success
      const properties = body === undefined ? noProperties : declaredIn(sections, state.properties)
      if (Result.isSuccess(properties)) {
        const declared = properties.success
        if (state.mode === "destructive") return ofMode<D, B>(new Destructive(sections, value, declared))
        const message = new Locked(sections, value, delivery, state, declared)
        return forgetIfExpired(state, message, delivery, reporter) ? undefined : ofMode<D, B>(message)
      }
      part = "applicationProperties"
      failed = properties
    }
    if (failed === ServiceBusBody.asynchronous) {
      const isLost = state.mode === "destructive"
      const option = part === "body" ? "body" : "properties"
      const error = SchemaTrial.asynchronous(state.entity.path, option, isLost ? "lost" : "released")
      if (isLost) reportLost(reporter, delivery, error)
      else delivery.holder.dispose([delivery], released)
      return error
    }
    problem = { part, description: Result.isFailure(failed) ? failed.failure : "" }
  } catch (error) {
    if (!(error instanceof DecodeProblem)) throw error
    problem = { part: "message", description: error.message }
  }
  const { disposal, errorOf } = state.undecodable
  if (disposal === "deadLetter") {
    delivery.holder.dispose([delivery], {
      _tag: "Rejected",
      error: {
        condition: "com.microsoft:dead-letter",
        info: {
          DeadLetterReason: undecodableReason,
          DeadLetterErrorDescription: truncateText(textOf(problem).toWellFormed())
        }
      }
    })
  } else delivery.holder.dispose([delivery], abandoned)
  const fields = { entity: state.entity.path, identifier: state.identifier, operation: "receive", ...problem }
  const error = errorOf(fields)
  if (error !== undefined) return error
  const undecodable = new MessageDecodeError(fields)
  if (state.mode === "destructive") {
    reportLost(reporter, delivery, undecodable)
    return undefined
  }
  if (disposal === "abandon") reportAbandoned(reporter, delivery, undecodable)
  else {
    reporter.report({
      _tag: "MessageDeadLettered",
      message: "A message cannot be decoded; it is dead-lettered",
      reason: undecodableReason,
      ...subjectOfDelivery(delivery),
      cause: Cause.fail(undecodable)
    })
  }
  return undefined
}

/** A dead letter says where the problem is: in the body, unless it names another part. */
const textOf = ({ description, part }: { readonly part: string; readonly description: string }): string =>
  part === "applicationProperties" ? `${part}: ${description}` : description

/** Reports a message that does not decode, and was abandoned. */
export const reportAbandoned = (reporter: EventReporter, delivery: IncomingDelivery, error: MessageDecodeError): void =>
  reporter.reportFailed({
    _tag: "ProcessorError",
    message: "A message cannot be decoded; it is abandoned, and comes again unless this was its last delivery",
    source: "decode",
    ...subjectOfDelivery(delivery),
    cause: Cause.fail(error),
    comesAgain: true
  })

/** Reports a message that the broker has forgotten, and that no caller is given. */
export const reportLost = (
  reporter: EventReporter,
  delivery: IncomingDelivery,
  error: MessageDecodeError | InvalidOptionError
): void =>
  reporter.report({
    _tag: "ProcessorError",
    message: "A message cannot be decoded, and is lost: it was received in receive-and-delete mode",
    source: "decode",
    ...subjectOfDelivery(delivery),
    cause: Cause.fail(error)
  })

/** The message of a delivery, as an event names it: nothing of it where its bytes are no message. */
export const subjectOfDelivery = (delivery: IncomingDelivery): Subject =>
  readOrUndefined(() => subjectOf(new Destructive(sectionsOf(delivery), undefined))) ?? {}

/** The reason of a dead letter that could not be decoded. */
const undecodableReason = "MessageDecodeError"

/** The mode says which of both it is. */
const ofMode = <D extends Mode, B>(message: LockedMessage<B> | DestructiveMessage<B>): MessageOf<D, B> =>
  message as MessageOf<D, B>

/** Forgets and counts a message whose lock ended while it waited for its consumer; false where it did not end. */
const forgetIfExpired = (
  state: ReceiverState,
  message: Locked<unknown>,
  delivery: IncomingDelivery,
  reporter: EventReporter
): boolean => {
  if (state.session === undefined) {
    const age = monotonic(state.clock) - delivery.receivedAt
    if (age < 1_000 || age < MessageLock.durationOf(state, delivery, MessageLock.timesOf(message))) return false
    reporter.report({
      _tag: "LockLost",
      message: "The lock of a message ended while the message waited to be handed out; it comes again",
      ...subjectOf(message),
      cause: Cause.fail(
        new MessageLockLostError({
          entity: state.entity.path,
          identifier: state.identifier,
          operation: "receive",
          sequenceNumber: message.sequenceNumber
        })
      )
    })
  } else if (state.session.ended() === undefined) return false
  delivery.holder.forget(delivery)
  state.expired++
  return true
}

/** The delivery of a message that this receiver handed out and that is not settled. */
export const deliveryOf = (
  state: ReceiverState,
  message: LockedMessage<unknown>,
  operation: string
): Result.Result<IncomingDelivery, InvalidOptionError | MessageAlreadySettled> => {
  const delivery = Locked.deliveryOf(message, state)
  if (delivery === undefined) {
    return Result.fail(
      new InvalidOptionError({
        entity: state.entity.path,
        identifier: state.identifier,
        operation,
        option: "message",
        expected: "a message that this receiver received"
      })
    )
  }
  return delivery.holder.isUnsettled(delivery) && (operation === "withLock" || !state.copying.has(delivery))
    ? Result.succeed(delivery)
    : Result.fail(
      new MessageAlreadySettled({
        entity: state.entity.path,
        identifier: state.identifier,
        operation,
        sequenceNumber: message.sequenceNumber
      })
    )
}
