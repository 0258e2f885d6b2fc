/**
 * A session that is held: a link that the broker gave a session with, the lock on that session, and what makes it
 * lost. It is never attached again: a session's lock goes with its link.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as ServiceBusBody from "../../ServiceBusBody.ts"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AcceptSessionError,
  MessageDecodeError,
  MessageEncodeError,
  ServiceBusConnectionError,
  SessionCannotBeLockedError,
  SessionLockLostError,
  type SessionLockRenewalError,
  type SessionStateError
} from "../../ServiceBusError.ts"
import * as ReceiverLink from "../amqp/ReceiverLink.ts"
import * as errorMap from "../errorMap.ts"
import type { RequestResponseLink } from "../management/RequestResponseLink.ts"
import * as SessionManagement from "../management/SessionManagement.ts"
import { monotonic } from "../monotonicClock.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import type { LinkOutage } from "../namespace/Outages.ts"
import { closedOnFailure } from "../namespace/RecoveringLink.ts"
import * as Handover from "../receiver/Handover.ts"
import * as LockRenewal from "../receiver/LockRenewal.ts"
import type { Mode, ReceiverState, UndecodablePolicy } from "../receiver/ReceiverState.ts"
import * as RetryAfter from "../receiver/RetryAfter.ts"
import type { EventReporter } from "../telemetry/EventReporter.ts"
import type { Telemetry } from "../telemetry/Telemetry.ts"

export interface Options<out A, out D extends Mode, out E extends MessageDecodeError> {
  readonly entity: ServiceBusEntity.Any
  readonly identifier: string
  readonly body: ServiceBusBody.ServiceBusBody<A, never>
  readonly namespace: Namespace
  /** `null` for the next one there is. */
  readonly id: string | null
  /** How long the broker may wait for the next one, in milliseconds. */
  readonly wait: number
  readonly prefetch: number
  readonly mode: D
  readonly undecodable: UndecodablePolicy<E>
  /** For how long its lock is renewed, in milliseconds. */
  readonly maxLockRenewal: number
  readonly telemetry: Telemetry
  readonly reporter: EventReporter
  readonly outage: LinkOutage
}

/** A session that was accepted. */
export interface Accepted<
  out A = unknown,
  out D extends Mode = Mode,
  out E extends MessageDecodeError = MessageDecodeError
> {
  readonly state: ReceiverState<A, D, E, SessionLockLostError>
  readonly id: string
  /** When its lock ends by the broker's clock, as far as it has said. */
  readonly lockedUntil: () => DateTime.Utc
  readonly renew: Effect.Effect<DateTime.Utc, SessionLockRenewalError>
  /** Fails once the session is lost. */
  readonly lost: Effect.Effect<never, SessionLockLostError>
}

/**
 * Accepts a session. `None` where there was none in time. A session that another receiver has is no reason to try again: the
 * caller decides.
 */
export const accept = <A, D extends Mode, E extends MessageDecodeError>(
  options: Options<A, D, E>
): Effect.Effect<Option.Option<Accepted<A, D, E>>, AcceptSessionError, Scope.Scope> =>
  Effect.clockWith((clock) => {
    let mine: Scope.Closeable | undefined
    const attach = attachIn(options, (scope) => {
      mine = scope
    })
    // One try; what comes to nothing leaves nothing in the caller's scope.
    const attached = closedOnFailure(attach, (attached) => attached !== undefined && "id" in attached)
    return Handover.run(
      options.telemetry.runAccept(
        Effect.flatMap(
          options.namespace.retryPolicy.runIdempotent(
            attached,
            options.id === null
              ? { until: monotonic(clock) + options.wait, otherwise: Effect.succeed(undefined) }
              : undefined,
            (error) => options.outage.failed(error)
          ),
          (attached) =>
            attached === undefined
              ? Effect.succeed(Option.none())
              : attached instanceof SessionCannotBeLockedError
              ? Effect.fail(attached)
              : Effect.map(Scope.provide(hold(options, attached.receiver, attached.id), mine!), Option.some)
        )
      ),
      // A session without a caller would be held until the caller's scope closes.
      () => mine && Scope.close(mine, Exit.void)
    )
  })

const attachIn = (options: Options<unknown, Mode, MessageDecodeError>, onScope: (own: Scope.Closeable) => void) =>
  Effect.gen(function*() {
    // The one of `closedOnFailure`.
    onScope((yield* Scope.Scope) as Scope.Closeable)
    const { entity, id, identifier, mode, namespace, prefetch, wait } = options
    const session = yield* namespace.session(entity.path)
    const receiver = yield* ReceiverLink.make(session, {
      entity: entity.path,
      identifier,
      destructive: mode === "destructive",
      timeout: namespace.options.timeout,
      session: { id, wait }
    })
    const granted = receiver.granted!.id
    if (granted === undefined || id !== null && id !== granted) {
      if (id === null) return undefined
      return yield* new SessionCannotBeLockedError({ entity: entity.path, operation: "accept", sessionId: id })
    }
    if (prefetch > 0) receiver.addCredit(prefetch)
    options.outage.attached()
    return { receiver, id: granted }
  }).pipe(
    Effect.mapError((error) =>
      errorMap.acceptSessionError(error, { entity: options.entity.path, operation: "accept" })
    ),
    Effect.catch((error) =>
      errorMap.isTimedOutByPeer(error) && options.id === null
        ? Effect.succeed(undefined)
        : error._tag === "SessionCannotBeLockedError" && options.id !== null
        // An answer like any other: the client does not ask again by itself.
        ? Effect.succeed(
          errorMap.withFields(error, { sessionId: options.id })
        )
        : Effect.fail(error)
    )
  )

const hold = Effect.fnUntraced(function*<A, D extends Mode, E extends MessageDecodeError>(
  options: Options<A, D, E>,
  link: ReceiverLink.ReceiverLink,
  id: string
) {
  const { entity, identifier, namespace, reporter, telemetry } = options
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  telemetry.countAttached("session")
  const began = monotonic(clock)
  const isLost = Deferred.makeUnsafe<never, SessionLockLostError>()
  let end: SessionLockLostError | ServiceBusConnectionError | undefined
  let until = link.granted!.lockedUntil
  const hooks = new Set<(end: SessionLockLostError | ServiceBusConnectionError) => void>()
  const finish = (error: SessionLockLostError | ServiceBusConnectionError): void => {
    end = error
    for (const hook of [...hooks]) hook(error)
    hooks.clear()
  }
  const lose = (error: SessionLockLostError): void => {
    if (end !== undefined) return
    // A fiber that waits for it goes on at once, and must find it lost.
    finish(error)
    Deferred.doneUnsafe(isLost, Effect.fail(error))
    reporter.report({
      _tag: "LockLost",
      message: "A session is lost; work on it is interrupted, and what is not settled comes again",
      sessionId: id,
      cause: Cause.fail(error)
    })
  }
  // Before the link's own: what it is told of its end is not a loss.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (end !== undefined) return
      finish(
        new ServiceBusConnectionError({
          entity: entity.path,
          identifier,
          description: "the scope of the session is closed",
          isClosed: true
        })
      )
    })
  )
  link.link.onDeath((cause) =>
    lose(
      new SessionLockLostError({
        entity: entity.path,
        identifier,
        operation: "session",
        description: `the link of session "${id}" is lost, and its lock with it`,
        cause
      })
    )
  )

  const duration = LockRenewal.plausible(until - clock.currentTimeMillisUnsafe())
  const lock: LockRenewal.Lock = {
    token: id,
    expiresAt: began + duration,
    duration,
    longest: duration,
    offset: began + duration - until,
    held: () => end === undefined,
    renewals: 0,
    lost: undefined
  }
  const isOpen = Effect.suspend(() => end === undefined ? Effect.void : Effect.fail(end))
  const renew = Effect.suspend(() =>
    Effect.map(request(state, id, SessionManagement.renewLock), (expiration) => {
      until = DateTime.toEpochMillis(expiration)
      return until
    })
  )
  const renewByHand = Effect.suspend(() => {
    const now = monotonic(clock)
    return Effect.map(renew, (until) => {
      renewal.renewed(lock, now, until)
      return DateTime.makeUnsafe(until)
    })
  })
  const renewal = yield* LockRenewal.make({
    renew: () => Effect.map(renew, (until) => [until]),
    onResult: telemetry.countRenewed
  })
  const state: ReceiverState<A, D, E, SessionLockLostError> = {
    entity,
    identifier,
    body: options.body,
    properties: ServiceBusEntity.propertiesOf(entity),
    namespace,
    link,
    attached: Effect.as(isOpen, link),
    isOpen,
    session: {
      id,
      lock,
      ended: () => end,
      onEnd: (hook) => {
        if (end !== undefined) {
          hook(end)
          return () => {}
        }
        hooks.add(hook)
        return () => hooks.delete(hook)
      }
    },
    mode: options.mode,
    undecodable: options.undecodable,
    prefetch: options.prefetch,
    renewal,
    clock,
    telemetry,
    reporter,
    // Its link is not attached again.
    onRetry: () => {},
    fork: Effect.runForkWith(context),
    retryAfter: yield* RetryAfter.make({ entity, identifier, namespace, clock }),
    copying: new Set(),
    consumer: undefined,
    expired: 0
  }
  renewal.keep(LockRenewal.keptLock(lock, began + options.maxLockRenewal, (reason, cause) => {
    if (reason === "failing") {
      return reporter.report({
        _tag: "ProcessorError",
        message: "The lock of a session could not be renewed; it is tried again as long as the lock lasts",
        source: "renew",
        sessionId: id,
        cause: Cause.fail(cause)
      })
    }
    lose(
      new SessionLockLostError({
        entity: entity.path,
        identifier,
        operation: "session",
        description: reason === "budget"
          ? `the lock of session "${id}" ended after the time for which it is renewed`
          : `the lock of session "${id}" ended`,
        ...(cause === undefined ? {} : { cause })
      })
    )
  }))
  return {
    state,
    id,
    lockedUntil: () => DateTime.makeUnsafe(until),
    renew: telemetry.run(
      "renew_session_lock",
      () => namespace.retryPolicy.run(renewByHand, { isFinal: errorMap.isLockLost })
    ),
    lost: Deferred.await(isLost)
  } satisfies Accepted<A, D, E>
})

/** A request on behalf of a session that is held. */
const request = <A, E>(
  { entity, isOpen, link, namespace, session }: Pick<
    ReceiverState,
    "entity" | "isOpen" | "link" | "namespace" | "session"
  >,
  id: string,
  send: (node: RequestResponseLink, options: SessionManagement.OfSession) => Effect.Effect<A, E>
) =>
  namespace.withManagementNode(
    entity.path,
    isOpen,
    (node, timeout) =>
      send(node, { entity: entity.path, sessionId: id, link: link.link.name, timeout, onEnd: session!.onEnd })
  )

/** The state of a session by its codec. */
export const getState = <S>(
  self: Accepted,
  codec: ServiceBusBody.ServiceBusBody<S>
): Effect.Effect<Option.Option<S>, SessionStateError> =>
  Effect.flatMap(
    self.state.telemetry.run(
      "get_session_state",
      () => self.state.namespace.retryPolicy.runIdempotent(request(self.state, self.id, SessionManagement.getState))
    ),
    (bytes) => {
      if (bytes === undefined) return Effect.succeed(Option.none())
      const decoded = codec.decode({ kind: "data", data: bytes })
      return Result.isSuccess(decoded)
        ? Effect.succeed(Option.some(decoded.success))
        : Effect.fail(
          new MessageDecodeError({
            entity: self.state.entity.path,
            operation: "getSessionState",
            part: "session state",
            description: decoded.failure
          })
        )
    }
  )

/** Sets the state of a session, or clears it. */
export const setState = <S>(
  self: Accepted,
  codec: ServiceBusBody.ServiceBusBody<S>,
  state: Option.Option<S>
): Effect.Effect<void, SessionStateError> =>
  Effect.suspend((): Effect.Effect<void, SessionStateError> => {
    let bytes: Uint8Array | undefined
    if (Option.isSome(state)) {
      const encoded = Result.flatMap(codec.encode(state.value), (sections) => ServiceBusBody.bytes.decode(sections))
      if (Result.isFailure(encoded)) {
        return Effect.fail(
          new MessageEncodeError({
            entity: self.state.entity.path,
            operation: "setSessionState",
            part: "session state",
            description: encoded.failure
          })
        )
      }
      bytes = encoded.success
    }
    return self.state.telemetry.run("set_session_state", () =>
      self.state.namespace.retryPolicy.run(
        request(self.state, self.id, (node, options) => SessionManagement.setState(node, { ...options, state: bytes }))
      ))
  })
