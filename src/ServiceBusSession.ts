/**
 * Sessions of a queue or subscription: an ordered conversation that one receiver has for itself.
 *
 * A session is a link and a lock, accepted when it is made and given up with its scope: what was received and not settled
 * is then back in its place, in order. Inside it there is the surface of a receiver. Its lock covers all its messages and is
 * renewed while the scope is open; once it is lost, everything fails with SessionLockLostError and the session must be
 * accepted again.
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SessionManagement from "./internal/management/SessionManagement.ts"
import { keepingManagementNode } from "./internal/namespace/Namespace.ts"
import { callForEffect, isTime, outOfRange, readOptions, type Undecodable } from "./internal/options.ts"
import * as ReceiverState from "./internal/receiver/ReceiverState.ts"
import * as SessionLink from "./internal/session/SessionLink.ts"
import * as SessionSurface from "./internal/session/SessionSurface.ts"
import { Telemetry } from "./internal/telemetry/Telemetry.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type AcceptSessionError,
  type ListSessionsError,
  type MessageDecodeError,
  SessionCannotBeLockedError,
  type SessionLockLostError,
  type SessionLockRenewalError,
  type SessionSettleError,
  type SessionStateError
} from "./ServiceBusError.ts"
import type { DestructiveMessage, LockedMessage } from "./ServiceBusMessage.ts"
import type { Reading, Settling } from "./ServiceBusReceiver.ts"

/**
 * How a session is received from.
 *
 * @category models
 */
export interface Options<U extends Undecodable = Undecodable> {
  /** How many messages the broker may send before they are asked for, 0 to 5000; 0 by default, as for a receiver. */
  readonly prefetch?: number | undefined
  /** What becomes of a message whose body does not decode, as for a receiver; `"deadLetter"` by default. */
  readonly undecodable?: U | undefined
  /** How long `messages` waits for a message before the stream ends, more than 0; without end by default. */
  readonly maxWait?: Duration.Input | undefined
  /**
   * For how long the session's lock is renewed, from its acceptance on: 5 minutes by default, 0 for never,
   * `Duration.infinity` for as long as the scope is open. When it is over the lock ends, unless `renewLock` renews it.
   */
  readonly maxLockRenewal?: Duration.Input | undefined
}

/**
 * How the next session is accepted.
 *
 * @category models
 */
export interface NextOptions<U extends Undecodable = Undecodable> extends Options<U> {
  /** How long the broker waits for a session with messages that nobody has, more than 0; 60 seconds by default. */
  readonly wait?: Duration.Input | undefined
}

/**
 * What sessions of both modes have. `S` is the session's state.
 *
 * @category models
 */
export interface Held<in out S> {
  readonly sessionId: string
  /** When the session's lock ends by the broker's clock, as far as it has said. */
  readonly lockedUntil: Effect.Effect<DateTime.Utc>
  /**
   * Renews the session's lock once and gives its new end by the broker's clock. It is done for you while
   * `maxLockRenewal` lasts.
   *
   * Fails with SessionLockLostError where the lock is over already.
   */
  readonly renewLock: Effect.Effect<DateTime.Utc, SessionLockRenewalError>
  /**
   * The state of the session, which outlives its messages; None where nobody has set one.
   *
   * Fails with SessionLockLostError, with MessageDecodeError where the state does not decode, and with the errors of
   * connecting.
   */
  readonly state: Effect.Effect<Option.Option<S>, SessionStateError>
  /**
   * Sets the state of the session. Fails as `state` does, and with MessageEncodeError where it cannot be encoded.
   * Interrupting it may leave either state.
   */
  readonly setState: (state: S) => Effect.Effect<void, SessionStateError>
  /** Takes the state away. */
  readonly clearState: Effect.Effect<void, SessionStateError>
  /**
   * Fails with SessionLockLostError as soon as the session is lost; never succeeds, and never completes where its scope is
   * closed first. Race it with what must stop then.
   */
  readonly lost: Effect.Effect<never, SessionLockLostError>
}

/**
 * A session whose messages are under its lock.
 *
 * @category models
 */
export interface ServiceBusSession<out A, in out S = Uint8Array, out E = never>
  extends
    Reading<A, LockedMessage<A>, LockedMessage<undefined>, E, SessionLockLostError>,
    Settling<SessionSettleError>,
    Held<S>
{}

/**
 * A session in receive-and-delete mode: its messages cannot be settled.
 *
 * @category models
 */
export interface DestructiveSession<out A, in out S = Uint8Array, out E = never>
  extends Reading<A, DestructiveMessage<A>, DestructiveMessage<undefined>, E, SessionLockLostError>, Held<S>
{}

/** A body that does not decode is an error where the receiver is told to fail. @inline */
type Failure<U> = "fail" extends U ? MessageDecodeError : never

/** @inline */
type Needs = ServiceBusClient.ServiceBusClient | Scope.Scope

/**
 * Accepts a session by its id, whether it has messages or not.
 *
 * Fails with SessionCannotBeLockedError where another receiver has it, with MessagingEntityNotFoundError,
 * ServiceBusAuthorizationError and InvalidOptionError as a receiver does, and with the errors of connecting.
 *
 * @category constructors
 */
export const accept = <A, S, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  sessionId: string,
  options?: Options<U>
): Effect.Effect<ServiceBusSession<A, S, Failure<U>>, AcceptSessionError, Needs> =>
  Effect.map(
    acceptNamed(entity, sessionId, options, "locked"),
    ({ accepted, entity, options }) => SessionSurface.make(accepted, entity.sessionState, options)
  )

/**
 * Accepts a session by its id in receive-and-delete mode: what the broker has sent is forgotten there.
 *
 * @category constructors
 */
export const acceptDestructive = <A, S, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  sessionId: string,
  options?: Options<U>
): Effect.Effect<DestructiveSession<A, S, Failure<U>>, AcceptSessionError, Needs> =>
  Effect.map(
    acceptNamed(entity, sessionId, options, "destructive"),
    ({ accepted, entity, options }) => SessionSurface.makeDestructive(accepted, entity.sessionState, options)
  )

/**
 * Accepts the next session that has messages and no receiver; None where there was none within `wait`.
 *
 * Fails as `accept` does, but for SessionCannotBeLockedError. Interrupting it while it waits gives up its place,
 * and a session that nobody has got by then.
 *
 * @category constructors
 */
export const acceptNext = <A, S, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  options?: NextOptions<U>
): Effect.Effect<Option.Option<ServiceBusSession<A, S, Failure<U>>>, AcceptSessionError, Needs> =>
  Effect.map(
    acceptAny(entity, options, "locked"),
    Option.map(({ accepted, entity, options }) => SessionSurface.make(accepted, entity.sessionState, options))
  )

/**
 * Accepts the next session in receive-and-delete mode.
 *
 * @category constructors
 */
export const acceptNextDestructive = <A, S, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  options?: NextOptions<U>
): Effect.Effect<Option.Option<DestructiveSession<A, S, Failure<U>>>, AcceptSessionError, Needs> =>
  Effect.map(
    acceptAny(entity, options, "destructive"),
    Option.map(({ accepted, entity, options }) =>
      SessionSurface.makeDestructive(accepted, entity.sessionState, options)
    )
  )

/**
 * Accepts a session, runs work with it and gives it up. Work whose session is lost is interrupted, and fails with
 * SessionLockLostError.
 *
 * @category running
 */
export const use = <A, S, B, E, R, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  sessionId: string,
  work: (session: ServiceBusSession<A, S, Failure<U>>) => Effect.Effect<B, E, R>,
  options?: Options<U>
): Effect.Effect<
  B,
  E | AcceptSessionError | SessionLockLostError,
  ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope>
> =>
  Effect.scoped(
    Effect.flatMap(accept(entity, sessionId, options), (held) =>
      Effect.raceFirst(callForEffect(held.entity, "work", work, held), held.lost))
  )

/**
 * Accepts the next session, runs work with it and gives it up, as `use` does; None where there was none within `wait`.
 *
 * @category running
 */
export const useNext = <A, S, B, E, R, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  work: (session: ServiceBusSession<A, S, Failure<U>>) => Effect.Effect<B, E, R>,
  options?: NextOptions<U>
): Effect.Effect<
  Option.Option<B>,
  E | AcceptSessionError | SessionLockLostError,
  ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope>
> =>
  Effect.scoped(
    Effect.flatMap(acceptNext(entity, options), (accepted) =>
      Option.match(accepted, {
        onNone: () => Effect.succeed(Option.none<B>()),
        onSome: (held) =>
          Effect.map(Effect.raceFirst(callForEffect(held.entity, "work", work, held), held.lost), Option.some)
      }))
  )

/**
 * One session after the other, as there are any: each is given up when the next one is pulled, and the last one when the
 * stream ends. With `wait` the stream ends where there was none for so long; without it, it goes on for ever. For several
 * sessions at a time use a processor.
 *
 * @category streams
 */
export const sessions = <A, S, const U extends Undecodable = "deadLetter">(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  options?: NextOptions<U>
): Stream.Stream<ServiceBusSession<A, S, Failure<U>>, AcceptSessionError, ServiceBusClient.ServiceBusClient> =>
  Stream.unwrap(Effect.gen(function*() {
    const { wait } = yield* Effect.fromResult(readOptions(undefined, options))
    const outer = yield* Effect.scope
    let current: Scope.Closeable | undefined
    const giveUp = Effect.suspend(() => {
      const scope = current
      current = undefined
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })
    const pull = Effect.gen(function*() {
      for (;;) {
        yield* giveUp
        current = yield* Scope.fork(outer)
        const accepted = yield* Scope.provide(acceptNext(entity, options), current)
        if (Option.isSome(accepted) || wait !== undefined) return accepted
      }
    })
    yield* Effect.addFinalizer(() => giveUp)
    return Stream.unfold(
      undefined,
      () => Effect.map(pull, Option.match({ onNone: () => undefined, onSome: (held) => [held, undefined] as const }))
    )
  }))

/**
 * The ids of an entity's sessions, in the order of the broker: those that have messages or a state, or with
 * `updatedSince` those whose state was set after a time. Nothing is locked.
 *
 * Fails with NotSupportedError where the endpoint does not list sessions, with InvalidOptionError where the contract's name
 * is not usable, and with the errors of connecting.
 *
 * @category streams
 */
export const list = (
  input: ServiceBusEntity.SessionReceivable<any, any>,
  options?: { readonly updatedSince?: DateTime.Utc | undefined }
): Stream.Stream<string, ListSessionsError, ServiceBusClient.ServiceBusClient> =>
  Stream.unwrap(
    Effect.gen(function*() {
      const entity = ServiceBusEntity.contractOf(input)
      const namespace = yield* Effect.flatMap(ServiceBusClient.namespaceFor(entity), keepingManagementNode)
      const { updatedSince } = yield* Effect.fromResult(readOptions(entity.path, options))
      if (updatedSince !== undefined && !isTime(updatedSince)) {
        return yield* outOfRange(entity.path, "updatedSince", "a DateTime")
      }
      return Stream.paginate({ skip: 0, last: undefined as string | undefined }, (cursor) =>
        Effect.map(
          namespace.retryPolicy.runIdempotent(namespace.withManagementNode(entity.path, Effect.void, (node, timeout) =>
            SessionManagement.list(node, {
              entity: entity.path,
              updatedSince,
              skip: cursor.skip,
              lastSessionId: cursor.last,
              timeout
            }))),
          ({ ids, skip }) =>
            [
              ids,
              ids.length === 0 ? Option.none() : Option.some({ skip, last: ids[ids.length - 1] })
            ] as const
        ))
    })
  )

/** The options of a session, checked, and what its links share. @internal */
export const check = Effect.fnUntraced(function*<A, S, U extends Undecodable>(
  input: ServiceBusEntity.SessionReceivable<A, S>,
  options: NextOptions<U> | undefined
) {
  const checked = yield* SessionSurface.check<A, S, U>(ServiceBusEntity.contractOf(input), options)
  const { body, path } = checked.entity
  const namespace = yield* ServiceBusClient.namespaceFor(checked.entity)
  const telemetry = new Telemetry(checked.entity, namespace.options.endpoint, yield* Effect.context<never>())
  const undecodable = ReceiverState.policyOf<Failure<U>>(checked.options.undecodable)
  return { ...checked, path, body, namespace, telemetry, undecodable }
})

const acceptNamed = Effect.fnUntraced(function*<A, S, U extends Undecodable, D extends ReceiverState.Mode>(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  sessionId: string,
  options: Options<U> | undefined,
  mode: D
) {
  const checked = yield* check(entity, options)
  if (!SessionSurface.isId(sessionId)) {
    return yield* outOfRange(checked.path, "sessionId", "a well-formed string of at most 128 characters")
  }
  const accepted = yield* SessionLink.accept({ ...checked, id: sessionId, mode })
  if (Option.isSome(accepted)) return { ...checked, accepted: accepted.value }
  return yield* new SessionCannotBeLockedError({ entity: checked.path, operation: "accept", sessionId })
})

const acceptAny = Effect.fnUntraced(function*<A, S, U extends Undecodable, D extends ReceiverState.Mode>(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  options: NextOptions<U> | undefined,
  mode: D
) {
  const checked = yield* check(entity, options)
  return Option.map(
    yield* SessionLink.accept({ ...checked, id: null, mode }),
    (accepted) => ({ ...checked, accepted })
  )
})
