/**
 * Operations on the `$management` node of an entity with sessions: the lock of a session, its state, and the list of
 * sessions (Service Bus protocol guide, session operations). Like those of EntityManagement, each is one request, and none is
 * tried again here.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as AmqpValue from "../../AmqpValue.ts"
import type {
  ListSessionsError,
  ServiceBusConnectionError,
  SessionLockLostError,
  SessionLockRenewalError,
  SessionStateError
} from "../../ServiceBusError.ts"
import { itemsOf } from "../amqp/codec/DecodedValue.ts"
import { ownBytes } from "../amqp/codec/OwnedBytes.ts"
import * as errorMap from "../errorMap.ts"
import { errorOf, field, isSuccess, malformed, type RequestResponseLink, serverTimeout } from "./RequestResponseLink.ts"

/** The session that a request is made on behalf of. */
export interface OfSession {
  readonly entity: string
  readonly sessionId: string
  /** The session's link, which the service then counts as in use. */
  readonly link: string
  readonly timeout: number
  /** Tells of the end of the session: what waits to be asked for then is not asked for any more. */
  readonly onEnd: (hook: (error: SessionLockLostError | ServiceBusConnectionError) => void) => () => void
}

const request = (node: RequestResponseLink, name: string, operation: string, options: OfSession, body: object = {}) =>
  node.request(
    { operation: name, ...serverTimeout(options.timeout), "associated-link-name": options.link },
    { "session-id": options.sessionId, ...body },
    operation,
    options.onEnd
  )

/** Renews the lock of a session and gives its new end by the broker's clock. */
export const renewLock = Effect.fnUntraced(function*(
  node: RequestResponseLink,
  options: OfSession
): Effect.fn.Return<DateTime.Utc, SessionLockRenewalError> {
  const operation = "renewSessionLock"
  const response = yield* request(node, "com.microsoft:renew-session-lock", operation, options)
  if (!isSuccess(response)) {
    return yield* errorMap.sessionRenewError(errorOf(response), { entity: options.entity, operation })
  }
  const expiration = field(response, "expiration")
  if (DateTime.isDateTime(expiration)) return DateTime.toUtc(expiration)
  return yield* malformed(options.entity, operation, "no expiration")
})

/** The state of a session; undefined where it has none. */
export const getState = Effect.fnUntraced(function*(
  node: RequestResponseLink,
  options: OfSession
): Effect.fn.Return<Uint8Array | undefined, SessionStateError> {
  const operation = "getSessionState"
  const response = yield* request(node, "com.microsoft:get-session-state", operation, options)
  if (!isSuccess(response)) {
    return yield* errorMap.sessionStateError(errorOf(response), { entity: options.entity, operation })
  }
  const state = field(response, "session-state")
  // It is kept as long as its session may be.
  return state instanceof Uint8Array ? ownBytes(state) : undefined
})

/** Sets the state of a session, or clears it. */
export const setState = Effect.fnUntraced(function*(
  node: RequestResponseLink,
  options: OfSession & { readonly state: Uint8Array | undefined }
): Effect.fn.Return<void, SessionStateError> {
  const operation = "setSessionState"
  const body = { "session-state": options.state ?? null }
  const response = yield* request(node, "com.microsoft:set-session-state", operation, options, body)
  if (!isSuccess(response)) {
    return yield* errorMap.sessionStateError(errorOf(response), { entity: options.entity, operation })
  }
})

/**
 * The time that asks for sessions with messages or state: `DateTime.MaxValue` as .NET writes it, which is the first
 * millisecond after it. The service tests equality: any other time lists the sessions whose state was set after it.
 */
const lastOfTimes = DateTime.makeUnsafe(253_402_300_800_000)

/** The most sessions in one answer. */
const pageSize = 100

/** One page of the sessions of an entity, and the cursor of the next. */
export const list = Effect.fnUntraced(function*(
  node: RequestResponseLink,
  options: {
    readonly entity: string
    readonly updatedSince: DateTime.Utc | undefined
    readonly skip: number
    readonly lastSessionId: string | undefined
    readonly timeout: number
  }
): Effect.fn.Return<{ readonly ids: ReadonlyArray<string>; readonly skip: number }, ListSessionsError> {
  const operation = "listSessions"
  const response = yield* node.request(
    { operation: "com.microsoft:get-message-sessions", ...serverTimeout(options.timeout) },
    {
      "last-updated-time": options.updatedSince ?? lastOfTimes,
      skip: AmqpValue.typed("int", options.skip),
      top: AmqpValue.typed("int", pageSize),
      ...(options.lastSessionId === undefined ? {} : { "last-session-id": options.lastSessionId })
    },
    operation
  )
  if (response.status === 204 || errorMap.isNoSession(response)) {
    return { ids: [], skip: options.skip }
  }
  if (!isSuccess(response)) {
    const context = { entity: options.entity, operation }
    return yield* errorMap.unsupportedOr(errorOf(response), context, errorMap.attachError)
  }
  const ids = itemsOf(field(response, "sessions-ids")) ?? []
  const texts = ids.filter((id): id is string => typeof id === "string")
  if (texts.length < ids.length) {
    return yield* malformed(options.entity, operation, "session ids that are no strings")
  }
  const skip = field(response, "skip")
  return { ids: texts, skip: typeof skip === "number" ? skip : options.skip + texts.length }
})
