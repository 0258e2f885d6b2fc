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
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { callForEffect, type Failure, readOptions, type Undecodable } from "./internal/options.ts"
import * as SessionSurface from "./internal/session/SessionSurface.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import type {
  AcceptSessionError,
  ListSessionsError,
  SessionLockLostError,
  SessionLockRenewalError,
  SessionSettleError,
  SessionStateError
} from "./ServiceBusError.ts"
import type { DestructiveMessage, LockedMessage } from "./ServiceBusMessage.ts"
import type { Reading, Settling } from "./ServiceBusReceiver.ts"

/**
 * How a session is received from.
 *
 * @category models
 * @since 0.1.0
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
  /**
   * The name of the session's receiver in the service's logs, on spans and in errors, as for a receiver; the entity's path with
   * a random part by default.
   */
  readonly identifier?: string | undefined
}

/**
 * How the next session is accepted.
 *
 * @category models
 * @since 0.1.0
 */
export interface NextOptions<U extends Undecodable = Undecodable> extends Options<U> {
  /** How long the broker waits for a session with messages that no receiver holds, more than 0; 60 seconds by default. */
  readonly wait?: Duration.Input | undefined
}

/**
 * What sessions of both modes have. `S` is the session's state.
 *
 * @category models
 * @since 0.1.0
 */
export interface Held<in out S> {
  /** The id that the broker knows the session by. */
  readonly sessionId: string
  /**
   * When the session's lock ends by the broker's clock, as far as it has said.
   *
   * @example
   * ```ts
   * import { DateTime, Effect } from "effect"
   * import type { ServiceBusSession } from "effect-service-bus"
   *
   * export const until = (session: ServiceBusSession.ServiceBusSession<string>) =>
   *   Effect.map(session.lockedUntil, DateTime.formatIso)
   * ```
   */
  readonly lockedUntil: Effect.Effect<DateTime.Utc>
  /**
   * Renews the session's lock once and gives its new end by the broker's clock. It is done for you while
   * `maxLockRenewal` lasts.
   *
   * Fails with SessionLockLostError where the lock is over already, and with the errors of connecting. Interrupting it does
   * not take a request back that has left: the lock may then be renewed, of which this program does not know.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusSession } from "effect-service-bus"
   *
   * export const longer = (session: ServiceBusSession.ServiceBusSession<string>) =>
   *   Effect.andThen(session.renewLock, Effect.sleep("20 seconds"))
   * ```
   */
  readonly renewLock: Effect.Effect<DateTime.Utc, SessionLockRenewalError>
  /**
   * The state of the session, which outlives its messages; None where it was never set, or was cleared.
   *
   * Fails with SessionLockLostError, with MessageDecodeError where the state does not decode, and with the errors of
   * connecting.
   *
   * @example
   * ```ts
   * import { Effect, Option } from "effect"
   * import type { ServiceBusSession } from "effect-service-bus"
   *
   * export const next = (session: ServiceBusSession.ServiceBusSession<string, number>) =>
   *   Effect.gen(function*() {
   *     const count = Option.getOrElse(yield* session.state, () => 0)
   *     yield* session.setState(count + 1)
   *   })
   * ```
   */
  readonly state: Effect.Effect<Option.Option<S>, SessionStateError>
  /**
   * Sets the state of the session. Fails as `state` does, and with MessageEncodeError where it cannot be encoded.
   * Interrupting it may leave either state.
   *
   * @example
   * ```ts
   * import type { ServiceBusSession } from "effect-service-bus"
   *
   * export const begin = (session: ServiceBusSession.ServiceBusSession<string, number>) => session.setState(0)
   * ```
   */
  readonly setState: (state: S) => Effect.Effect<void, SessionStateError>
  /**
   * Takes the state away. Fails as `setState` does.
   *
   * @example
   * ```ts
   * import type { ServiceBusSession } from "effect-service-bus"
   *
   * export const anew = (session: ServiceBusSession.ServiceBusSession<string, number>) => session.clearState
   * ```
   */
  readonly clearState: Effect.Effect<void, SessionStateError>
  /**
   * Fails with SessionLockLostError as soon as the session is lost; never succeeds, and never completes where its scope is
   * closed first. Race it with what must stop then.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusSession } from "effect-service-bus"
   *
   * export const guarded = (session: ServiceBusSession.ServiceBusSession<string>) =>
   *   Effect.raceFirst(Effect.sleep("1 minute"), session.lost)
   * ```
   */
  readonly lost: Effect.Effect<never, SessionLockLostError>
}

/**
 * A session whose messages are under its lock.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceBusSession<out A, in out S = Uint8Array, out E = never, out P = unknown>
  extends
    Reading<A, LockedMessage<A> & P, LockedMessage<undefined>, E, SessionLockLostError, P>,
    Settling<SessionSettleError>,
    Held<S>
{}

/**
 * A session in receive-and-delete mode: its messages cannot be settled.
 *
 * @category models
 * @since 0.1.0
 */
export interface DestructiveSession<out A, in out S = Uint8Array, out E = never, out P = unknown>
  extends Reading<A, DestructiveMessage<A> & P, DestructiveMessage<undefined>, E, SessionLockLostError, P>, Held<S>
{}

/** @inline */
type Entity =
  | string
  | ServiceBusEntity.SessionReceivable<unknown, unknown, never>
  | ServiceBusEntity.NotSessionReceivable

/** @inline */
type BodyOf<E extends Entity> = ServiceBusEntity.BodyOf<E>

/** @inline */
type StateOf<E extends Entity> = ServiceBusEntity.StateOf<E>

/** @inline */
type PropertiesOf<E extends Entity> = ServiceBusEntity.PropertiesOf<E>

/** @inline */
type Client = ServiceBusClient.ServiceBusClient

/** @inline */
type Needs = Client | Scope.Scope

/**
 * Accepts a session by its id, whether it has messages or not.
 *
 * Fails with SessionCannotBeLockedError where another receiver has it, with MessagingEntityNotFoundError,
 * ServiceBusAuthorizationError and InvalidOptionError as a receiver does, and with the errors of connecting.
 *
 * When the scope closes, the session is given up: what was received and not settled is back in its place.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* ServiceBusSession.accept(Carts, "ada")
 *   for (const message of yield* session.receive({ max: 10 })) yield* session.complete(message)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const accept = <E extends Entity, const U extends Undecodable = "deadLetter">(
  entity: E & ServiceBusEntity.NoName,
  sessionId: string,
  options?: Options<U>
): Effect.Effect<ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>, AcceptSessionError, Needs> =>
  Effect.flatMap(check<E, U>(entity, options), (checked) =>
    Effect.map(
      SessionSurface.acceptNamed(checked, sessionId, "locked"),
      (accepted) => declared<E, U>(SessionSurface.make(accepted, checked.entity.sessionState, checked.maxWait))
    ))

/**
 * Accepts a session by its id in receive-and-delete mode: what the broker has sent is forgotten there.
 *
 * Fails as `accept` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const taken = ServiceBusSession.acceptDestructive(Carts, "ada").pipe(
 *   Effect.flatMap((session) => session.receive({ max: 100 })),
 *   Effect.scoped
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const acceptDestructive = <E extends Entity, const U extends Undecodable = "deadLetter">(
  entity: E & ServiceBusEntity.NoName,
  sessionId: string,
  options?: Options<U>
): Effect.Effect<DestructiveSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>, AcceptSessionError, Needs> =>
  Effect.flatMap(check<E, U>(entity, options), (checked) =>
    Effect.map(
      SessionSurface.acceptNamed(checked, sessionId, "destructive"),
      (accepted) =>
        declaredDestructive<E, U>(
          SessionSurface.makeDestructive(accepted, checked.entity.sessionState, checked.maxWait)
        )
    ))

/**
 * Accepts the next session that has messages and no receiver; None where there was none within `wait`.
 *
 * Fails as `accept` does, but for SessionCannotBeLockedError. Interrupting it while it waits gives up its place,
 * and a session that was locked for it meanwhile.
 *
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const next = ServiceBusSession.acceptNext(Carts, { wait: "5 seconds" }).pipe(
 *   Effect.map(Option.map((session) => session.sessionId)),
 *   Effect.scoped
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const acceptNext = <E extends Entity, const U extends Undecodable = "deadLetter">(
  entity: E & ServiceBusEntity.NoName,
  options?: NextOptions<U>
): Effect.Effect<
  Option.Option<ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>>,
  AcceptSessionError,
  Needs
> =>
  Effect.flatMap(check<E, U>(entity, options), (checked) =>
    Effect.map(
      SessionSurface.acceptNext(checked, "locked"),
      Option.map((accepted) =>
        declared<E, U>(SessionSurface.make(accepted, checked.entity.sessionState, checked.maxWait))
      )
    ))

/**
 * Accepts the next session in receive-and-delete mode.
 *
 * Fails as `acceptNext` does.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const next = ServiceBusSession.acceptNextDestructive(Carts, { wait: "5 seconds" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const acceptNextDestructive = <
  E extends Entity,
  const U extends Undecodable = "deadLetter"
>(
  entity: E & ServiceBusEntity.NoName,
  options?: NextOptions<U>
): Effect.Effect<
  Option.Option<DestructiveSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>>,
  AcceptSessionError,
  Needs
> =>
  Effect.flatMap(check<E, U>(entity, options), (checked) =>
    Effect.map(
      SessionSurface.acceptNext(checked, "destructive"),
      Option.map((accepted) =>
        declaredDestructive<E, U>(
          SessionSurface.makeDestructive(accepted, checked.entity.sessionState, checked.maxWait)
        )
      )
    ))

/**
 * Accepts a session, runs work with it and gives it up. Work whose session is lost is interrupted, and fails with
 * SessionLockLostError.
 *
 * Fails as `accept` does, and with what the work fails with.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const emptied = ServiceBusSession.use(Carts, "ada", (session) =>
 *   Effect.flatMap(session.receive({ max: 100 }), session.completeAll))
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const use = <
  E extends Entity,
  B,
  Err,
  R,
  const U extends Undecodable = "deadLetter"
>(
  entity: E & ServiceBusEntity.NoName,
  sessionId: string,
  work: (session: ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>) => Effect.Effect<B, Err, R>,
  options?: Options<U>
): Effect.Effect<
  B,
  Err | AcceptSessionError | SessionLockLostError,
  ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope>
> =>
  Effect.scoped(
    Effect.flatMap(accept<E, U>(entity, sessionId, options), (held) =>
      Effect.raceFirst(callForEffect(held.entity, "work", work, held), held.lost))
  )

/**
 * Accepts the next session, runs work with it and gives it up, as `use` does; None where there was none within `wait`.
 *
 * Fails as `acceptNext` does, and with what the work fails with.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const emptied = ServiceBusSession.useNext(Carts, (session) =>
 *   Effect.flatMap(session.receive({ max: 100 }), session.completeAll), { wait: "5 seconds" })
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const useNext = <
  E extends Entity,
  B,
  Err,
  R,
  const U extends Undecodable = "deadLetter"
>(
  entity: E & ServiceBusEntity.NoName,
  work: (session: ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>) => Effect.Effect<B, Err, R>,
  options?: NextOptions<U>
): Effect.Effect<
  Option.Option<B>,
  Err | AcceptSessionError | SessionLockLostError,
  ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope>
> =>
  Effect.scoped(
    Effect.flatMap(acceptNext<E, U>(entity, options), (accepted) =>
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
 * Fails as `acceptNext` does.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const all = ServiceBusSession.sessions(Carts, { wait: "5 seconds" }).pipe(
 *   Stream.runForEach((session) => Effect.flatMap(session.receive({ max: 100 }), session.completeAll))
 * )
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const sessions = <E extends Entity, const U extends Undecodable = "deadLetter">(
  entity: E & ServiceBusEntity.NoName,
  options?: NextOptions<U>
): Stream.Stream<ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>, AcceptSessionError, Client> =>
  Stream.unwrap(Effect.map(
    Effect.fromResult(readOptions(undefined, options)),
    ({ wait }) => SessionSurface.stream(acceptNext<E, U>(entity, options), wait !== undefined)
  ))

/**
 * The ids of an entity's sessions, in the order of the broker: those that have messages or a state, or with
 * `updatedSince` those whose state was set after a time. Nothing is locked.
 *
 * Fails with NotSupportedError where the endpoint does not list sessions, with InvalidOptionError where the contract's name
 * is not usable, and with the errors of connecting.
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const ids = Stream.runCollect(ServiceBusSession.list(Carts))
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const list = <E extends Entity>(
  input: E & ServiceBusEntity.NoName,
  options?: { readonly updatedSince?: DateTime.Utc | undefined }
): Stream.Stream<string, ListSessionsError, ServiceBusClient.ServiceBusClient> =>
  Stream.suspend(() => {
    const entity = ServiceBusEntity.contractOf(input)
    return SessionSurface.list(entity, ServiceBusClient.namespaceFor(entity), options)
  })

/** What the contract declares is decoded with the body: a session of a contract gives messages that have it. */
const declared = <E extends Entity, U extends Undecodable>(
  session: ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>>
) => session as ServiceBusSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>

const declaredDestructive = <E extends Entity, U extends Undecodable>(
  session: DestructiveSession<BodyOf<E>, StateOf<E>, Failure<U>>
) => session as DestructiveSession<BodyOf<E>, StateOf<E>, Failure<U>, PropertiesOf<E>>

const check = <E extends Entity, U extends Undecodable>(
  entity: E,
  options: NextOptions<U> | undefined
) => {
  const contract = ServiceBusEntity.contractOf(entity) as ServiceBusEntity.SessionReceivable<BodyOf<E>, StateOf<E>>
  return SessionSurface.check(contract, ServiceBusClient.namespaceFor(contract), options)
}
