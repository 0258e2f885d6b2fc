/**
 * The operations that users have of a session: those of a receiver, its lock and its state; and the options of sessions,
 * checked.
 */
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ServiceBusBody } from "../../ServiceBusBody.ts"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  InvalidOptionError,
  type ListSessionsError,
  type MessageDecodeError,
  SessionCannotBeLockedError
} from "../../ServiceBusError.ts"
import type { LogLevelOption } from "../../ServiceBusEvent.ts"
import * as SessionManagement from "../management/SessionManagement.ts"
import { keepingManagementNode, type Namespace } from "../namespace/Namespace.ts"
import { LinkOutage } from "../namespace/Outages.ts"
import {
  checkedCount,
  checkedIdentifier,
  checkedLogLevel,
  checkedStreamWait,
  checkedUndecodable,
  checkedWait,
  type Failure,
  isSessionId,
  isTime,
  outOfRange,
  readOptions,
  toMillis,
  type Undecodable
} from "../options.ts"
import * as ReceiverState from "../receiver/ReceiverState.ts"
import * as ReceiverSurface from "../receiver/ReceiverSurface.ts"
import { FailedMessages } from "../telemetry/FailedMessages.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import * as SessionLink from "./SessionLink.ts"

/** Options as a caller gives them. */
interface Options<out U extends Undecodable = Undecodable> {
  readonly prefetch?: number | undefined
  readonly undecodable?: U | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly maxLockRenewal?: Duration.Input | undefined
  readonly wait?: Duration.Input | undefined
  readonly identifier?: string | undefined
  readonly logLevel?: LogLevelOption | undefined
}

/** Milliseconds; the service waits a little longer by itself. */
const defaultWait = 60_000

/**
 * The options of a session of an entity, which must be one with sessions, checked, and what its links share. `namespace` is
 * asked for once they are.
 */
export const check = Effect.fnUntraced(function*<A, S, U extends Undecodable, R>(
  entity: ServiceBusEntity.SessionReceivable<A, S>,
  namespace: Effect.Effect<Namespace, InvalidOptionError, R>,
  givenOptions: Options<U> | undefined
) {
  const { path } = entity
  // Callers without types give others.
  const { _tag }: ServiceBusEntity.Any = entity
  if (_tag !== "SessionQueue" && _tag !== "SessionSubscription") {
    return yield* new InvalidOptionError({
      option: "entity",
      expected: "the contract of a queue or subscription with sessions"
    })
  }
  const options = yield* Effect.fromResult(readOptions(path, givenOptions))
  yield* Effect.fromResult(checkedUndecodable(path, options.undecodable))
  const prefetch = yield* Effect.fromResult(checkedCount(path, "prefetch", options.prefetch ?? 0, 0))
  const maxWait = yield* Effect.fromResult(checkedStreamWait(path, options.maxWait))
  const maxLockRenewal = yield* Effect.fromResult(
    checkedWait(path, "maxLockRenewal", options.maxLockRenewal ?? "5 minutes")
  )
  const wait = options.wait === undefined ? defaultWait : toMillis(options.wait)
  if (!(wait > 0 && Number.isFinite(wait))) return yield* outOfRange(path, "wait", "a duration of more than 0")
  const identifier = yield* Effect.fromResult(checkedIdentifier(path, options.identifier))
  const found = (yield* namespace).identifiedAs(identifier)
  const logLevel = yield* Effect.fromResult(checkedLogLevel(path, options.logLevel))
  const context = yield* Effect.context<never>()
  const reporter = found.reporter.within({ context, entity: path, logLevel, failed: new FailedMessages() })
  return {
    entity,
    identifier,
    body: entity.body,
    namespace: found,
    prefetch,
    maxLockRenewal,
    wait,
    maxWait,
    undecodable: ReceiverState.policyOf<Failure<U>>(options.undecodable),
    telemetry: new Telemetry(entity, found.options.endpoint, identifier, context),
    reporter,
    outage: new LinkOutage(found.outages, reporter, yield* Clock.Clock)
  }
})

/** What `check` gives. */
interface Checked<A, S, E extends MessageDecodeError>
  extends Omit<SessionLink.Options<A, ReceiverState.Mode, E>, "entity" | "id" | "mode">
{
  readonly entity: ServiceBusEntity.SessionReceivable<A, S>
  readonly maxWait: number
}

/** Accepts a session by its id. */
export const acceptNamed = Effect.fnUntraced(
  function*<A, S, E extends MessageDecodeError, D extends ReceiverState.Mode>(
    checked: Checked<A, S, E>,
    sessionId: string,
    mode: D
  ) {
    const { path } = checked.entity
    if (!isSessionId(sessionId)) {
      return yield* outOfRange(path, "sessionId", "a well-formed string of at most 128 characters")
    }
    const accepted = yield* SessionLink.accept({ ...checked, id: sessionId, mode })
    if (Option.isSome(accepted)) return accepted.value
    return yield* new SessionCannotBeLockedError({ entity: path, operation: "accept", sessionId })
  }
)

/** Accepts the next session; None where there was none in time. */
export const acceptNext = <A, S, E extends MessageDecodeError, D extends ReceiverState.Mode>(
  checked: Checked<A, S, E>,
  mode: D
) => SessionLink.accept({ ...checked, id: null, mode })

/**
 * One session after the other: each is given up when the next one is pulled, and the last one when the stream ends. It ends where
 * there was none in time, or goes on for ever.
 */
export const stream = <H, E, R>(
  acceptNext: Effect.Effect<Option.Option<H>, E, R>,
  isEnding: boolean
): Stream.Stream<H, E, Exclude<R, Scope.Scope>> =>
  Stream.unwrap(Effect.gen(function*() {
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
        const accepted = yield* Scope.provide(acceptNext, current)
        if (Option.isSome(accepted) || isEnding) return accepted
      }
    })
    yield* Effect.addFinalizer(() => giveUp)
    return Stream.unfold(
      undefined,
      () => Effect.map(pull, Option.match({ onNone: () => undefined, onSome: (held) => [held, undefined] as const }))
    )
  }))

/** The ids of the sessions of an entity, in pages: those whose state was set after a time, or all. */
export const list = <R>(
  { path }: ServiceBusEntity.Any,
  namespace: Effect.Effect<Namespace, InvalidOptionError, R>,
  options: { readonly updatedSince?: DateTime.Utc | undefined } | undefined
): Stream.Stream<string, ListSessionsError, Exclude<R, Scope.Scope>> =>
  Stream.unwrap(Effect.gen(function*() {
    const { retryPolicy, withManagementNode } = yield* Effect.flatMap(namespace, keepingManagementNode)
    const { updatedSince } = yield* Effect.fromResult(readOptions(path, options))
    if (updatedSince !== undefined && !isTime(updatedSince)) {
      return yield* outOfRange(path, "updatedSince", "a DateTime")
    }
    return Stream.paginate({ skip: 0, last: undefined as string | undefined }, (cursor) =>
      Effect.map(
        retryPolicy.runIdempotent(withManagementNode(path, Effect.void, (node, timeout) =>
          SessionManagement.list(node, {
            entity: path,
            updatedSince,
            skip: cursor.skip,
            lastSessionId: cursor.last,
            timeout
          }))),
        ({ ids, skip }) =>
          [ids, ids.length === 0 ? Option.none() : Option.some({ skip, last: ids[ids.length - 1] })] as const
      ))
  }))

/** A session whose messages are under its lock. */
export const make = <A, S, E extends MessageDecodeError>(
  accepted: SessionLink.Accepted<A, "locked", E>,
  codec: ServiceBusBody<S>,
  maxWait: number
) =>
  ReceiverState.attachTo({
    ...ReceiverSurface.readOperations(accepted.state, maxWait),
    ...ReceiverSurface.settleOperations(accepted.state),
    ...sessionOperations(accepted, codec)
  }, accepted.state)

/** A session in receive-and-delete mode. */
export const makeDestructive = <A, S, E extends MessageDecodeError>(
  accepted: SessionLink.Accepted<A, "destructive", E>,
  codec: ServiceBusBody<S>,
  maxWait: number
) =>
  ReceiverState.attachTo(
    { ...ReceiverSurface.readOperations(accepted.state, maxWait), ...sessionOperations(accepted, codec) },
    accepted.state
  )

/** What sessions of both modes have beyond a receiver. */
const sessionOperations = <S>(accepted: SessionLink.Accepted, codec: ServiceBusBody<S>) => ({
  sessionId: accepted.id,
  lockedUntil: Effect.sync(accepted.lockedUntil),
  renewLock: accepted.renew,
  state: SessionLink.getState(accepted, codec),
  setState: (state: S) => SessionLink.setState(accepted, codec, Option.some(state)),
  clearState: SessionLink.setState(accepted, codec, Option.none()),
  lost: accepted.lost
})
