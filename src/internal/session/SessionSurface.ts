/**
 * The operations that users have of a session: those of a receiver, its lock and its state; and the options of sessions,
 * checked.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ServiceBusBody } from "../../ServiceBusBody.ts"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { InvalidOptionError, type MessageDecodeError } from "../../ServiceBusError.ts"
import {
  checkedCount,
  checkedUndecodable,
  checkedWait,
  outOfRange,
  readOptions,
  toMillis,
  type Undecodable
} from "../options.ts"
import * as ReceiverState from "../receiver/ReceiverState.ts"
import * as ReceiverSurface from "../receiver/ReceiverSurface.ts"
import * as SessionLink from "./SessionLink.ts"

/** Options as a caller gives them. */
export interface Options<out U extends Undecodable = Undecodable> {
  readonly prefetch?: number | undefined
  readonly undecodable?: U | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly maxLockRenewal?: Duration.Input | undefined
  readonly wait?: Duration.Input | undefined
}

interface StreamOptions {
  readonly maxWait?: Duration.Input | undefined
}

/** Milliseconds; the service waits a little longer by itself. */
const defaultWait = 60_000

/** The options of a session of an entity, which must be one with sessions. */
export const check = Effect.fnUntraced(function*<A, S, U extends Undecodable>(
  contract: ServiceBusEntity.Any,
  givenOptions: Options<U> | undefined
) {
  const { path } = contract
  if (contract._tag !== "SessionQueue" && contract._tag !== "SessionSubscription") {
    return yield* new InvalidOptionError({
      option: "entity",
      expected: "the contract of a queue or subscription with sessions"
    })
  }
  // The caller's own contract, which says what its bodies and states are.
  const entity = contract as ServiceBusEntity.SessionReceivable<A, S>
  const options = yield* Effect.fromResult(readOptions(path, givenOptions))
  yield* Effect.fromResult(checkedUndecodable(path, options.undecodable))
  const prefetch = yield* Effect.fromResult(checkedCount(path, "prefetch", options.prefetch ?? 0, 0))
  if (options.maxWait !== undefined && !(toMillis(options.maxWait) > 0)) {
    return yield* outOfRange(path, "maxWait", "a duration of more than 0")
  }
  const maxLockRenewal = yield* Effect.fromResult(
    checkedWait(path, "maxLockRenewal", options.maxLockRenewal ?? "5 minutes")
  )
  const wait = options.wait === undefined ? defaultWait : toMillis(options.wait)
  if (!(wait > 0 && Number.isFinite(wait))) return yield* outOfRange(path, "wait", "a duration of more than 0")
  return { entity, prefetch, maxLockRenewal, wait, options }
})

/** A session whose messages are under its lock. */
export const make = <A, S, E extends MessageDecodeError>(
  accepted: SessionLink.Accepted<A, "locked", E>,
  codec: ServiceBusBody<S>,
  options: StreamOptions
) =>
  ReceiverState.attachTo({
    ...ReceiverSurface.readOperations(accepted.state, options),
    ...ReceiverSurface.settleOperations(accepted.state),
    ...sessionOperations(accepted, codec)
  }, accepted.state)

/** A session in receive-and-delete mode. */
export const makeDestructive = <A, S, E extends MessageDecodeError>(
  accepted: SessionLink.Accepted<A, "destructive", E>,
  codec: ServiceBusBody<S>,
  options: StreamOptions
) =>
  ReceiverState.attachTo(
    { ...ReceiverSurface.readOperations(accepted.state, options), ...sessionOperations(accepted, codec) },
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
