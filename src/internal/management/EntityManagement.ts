/**
 * Operations on the `$management` node of an entity (Service Bus protocol guide, request/response operations): one request
 * each, on a node that the caller holds, with the errors of its operation. None is tried again here.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as AmqpValue from "../../AmqpValue.ts"
import type {
  CancelScheduledError,
  DeleteMessagesError,
  LockRenewalError,
  PeekError,
  ReceiveDeferredError,
  ScheduleError,
  ServiceBusConnectionError,
  SessionLockLostError,
  SessionSettleError,
  SettleError
} from "../../ServiceBusError.ts"
import type { Properties, Settlement } from "../../Settlement.ts"
import { fieldOf, itemsOf, longsOf } from "../amqp/codec/DecodedValue.ts"
import * as errorMap from "../errorMap.ts"
import {
  errorOf,
  field,
  isSuccess,
  malformed,
  type RequestResponseLink,
  type Response,
  serverTimeout
} from "./RequestResponseLink.ts"

/**
 * A session that has to be held for what is asked: a settlement by its lock, or messages to be locked in it. What waits to be
 * asked for when it ends is not asked for any more. To look at messages of a session, or to delete some, needs no lock: those
 * requests name the session, and go out also where it ends while they wait.
 */
interface HeldSession {
  readonly id: string
  readonly onEnd: (hook: (error: SessionLockLostError | ServiceBusConnectionError) => void) => () => void
}

const ofSession = (sessionId: string | undefined) => sessionId === undefined ? {} : { "session-id": sessionId }

/** As on a link: what is undefined is not there. */
const modified = (properties: Properties | undefined): Properties | undefined =>
  properties && Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined))

/** How the service names settlements; one name is misspelt there. */
const statusOf = (settlement: Settlement): Readonly<Record<string, AmqpValue.AmqpValue>> => {
  switch (settlement._tag) {
    case "Complete":
    case "RetryAfter":
      return { "disposition-status": "completed" }
    case "Abandon":
      return { "disposition-status": "abandoned", "properties-to-modify": modified(settlement.properties) }
    case "Defer":
      return { "disposition-status": "defered", "properties-to-modify": modified(settlement.properties) }
    case "DeadLetter":
      return {
        "disposition-status": "suspended",
        "deadletter-reason": settlement.reason,
        "deadletter-description": settlement.description,
        "properties-to-modify": modified(settlement.properties)
      }
  }
}

/** Settles messages by their lock tokens: what is left where the link that they came on is lost. */
export const updateDisposition = Effect.fnUntraced(function*(
  node: RequestResponseLink,
  options: {
    readonly entity: string
    readonly tokens: ReadonlyArray<string>
    readonly settlement: Settlement
    readonly session?: HeldSession | undefined
    readonly timeout: number
  }
): Effect.fn.Return<void, SettleError | SessionSettleError> {
  const operation = "settle"
  const fields = Object.entries(statusOf(options.settlement)).filter(([, value]) => value !== undefined)
  const response = yield* node.request(
    {
      operation: "com.microsoft:update-disposition",
      ...serverTimeout(options.timeout)
    },
    {
      ...Object.fromEntries(fields),
      "lock-tokens": AmqpValue.array("uuid", options.tokens),
      ...ofSession(options.session?.id)
    },
    operation,
    options.session?.onEnd
  )
  if (!isSuccess(response)) {
    const context = { entity: options.entity, operation }
    return yield* options.session === undefined
      ? errorMap.settleError(errorOf(response), context)
      : errorMap.sessionSettleError(errorOf(response), context)
  }
})

/**
 * Renews the locks of messages: all or none. Gives the new ends of the locks, in the order of the tokens, by the broker's
 * clock. `link` names the receiving link, which the service then counts as in use.
 */
export const renewLocks = Effect.fnUntraced(function*(
  node: RequestResponseLink,
  options: {
    readonly entity: string
    readonly tokens: ReadonlyArray<string>
    readonly link: string | undefined
    readonly timeout: number
  }
): Effect.fn.Return<ReadonlyArray<DateTime.Utc>, LockRenewalError> {
  const operation = "renewLock"
  const response = yield* node.request(
    {
      operation: "com.microsoft:renew-lock",
      ...serverTimeout(options.timeout),
      ...(options.link === undefined ? {} : { "associated-link-name": options.link })
    },
    { "lock-tokens": AmqpValue.array("uuid", options.tokens) },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.renewError(errorOf(response), { entity: options.entity, operation })
  }
  const times = (itemsOf(field(response, "expirations")) ?? []).filter((value): value is DateTime.Utc =>
    DateTime.isDateTime(value)
  )
  if (times.length !== options.tokens.length) {
    return yield* malformed(
      options.entity,
      operation,
      `${times.length} expirations for ${options.tokens.length} locks`
    )
  }
  return times
})

/** The messages of a response: encoded, each with its lock token where it has one. */
const messagesOf = (response: Response): ReadonlyArray<{ readonly bytes: Buffer; readonly lockToken: string }> => {
  const entries = field(response, "messages")
  if (!Array.isArray(entries)) return []
  return entries.flatMap((entry: AmqpValue.AmqpValue) => {
    const message = fieldOf(entry, "message")
    const token = fieldOf(entry, "lock-token")
    return message instanceof Uint8Array
      ? [{
        bytes: Buffer.from(message.buffer, message.byteOffset, message.byteLength),
        lockToken: AmqpValue.isTyped(token) && token.type === "uuid" ? String(token.value) : ""
      }]
      : []
  })
}

/** Looks at messages of every state from a sequence number on; fewer than asked for may come, none means the end. */
export const peek = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly from: bigint
  readonly count: number
  readonly omitBody?: boolean | undefined
  readonly sessionId?: string | undefined
  readonly timeout: number
}): Effect.fn.Return<ReadonlyArray<Buffer>, PeekError> {
  const operation = "peek"
  const response = yield* node.request(
    { operation: "com.microsoft:peek-message", ...serverTimeout(options.timeout) },
    {
      "from-sequence-number": AmqpValue.typed("long", options.from),
      "message-count": AmqpValue.typed("int", options.count),
      ...(options.omitBody === true ? { "omit-message-body": true } : {}),
      ...ofSession(options.sessionId)
    },
    operation
  )
  if (response.status === 204 || errorMap.isNoMessage(response)) return []
  if (!isSuccess(response)) {
    return yield* errorMap.attachError(errorOf(response), { entity: options.entity, operation })
  }
  return messagesOf(response).map(({ bytes }) => bytes)
})

/** Schedules encoded messages, all of them or none, and gives their sequence numbers. */
export const schedule = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly messages: ReadonlyArray<{
    readonly id: string
    readonly bytes: Uint8Array
    readonly sessionId: string | undefined
    readonly partitionKey: string | undefined
    readonly viaPartitionKey: string | undefined
  }>
  readonly timeout: number
}): Effect.fn.Return<ReadonlyArray<bigint>, ScheduleError> {
  const operation = "schedule"
  const response = yield* node.request(
    { operation: "com.microsoft:schedule-message", ...serverTimeout(options.timeout) },
    {
      messages: options.messages.map(({ bytes, id, partitionKey, sessionId, viaPartitionKey }) => {
        const entry: Record<string, AmqpValue.AmqpValue> = { "message-id": id, message: bytes }
        if (sessionId !== undefined) entry["session-id"] = sessionId
        if (partitionKey !== undefined) entry["partition-key"] = partitionKey
        if (viaPartitionKey !== undefined) entry["via-partition-key"] = viaPartitionKey
        return entry
      })
    },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.sendError(errorOf(response), { entity: options.entity, operation })
  }
  const numbers = longsOf(itemsOf(field(response, "sequence-numbers")) ?? [])
  if (numbers.length !== options.messages.length) {
    return yield* malformed(
      options.entity,
      operation,
      `${numbers.length} sequence numbers for ${options.messages.length} messages`
    )
  }
  return numbers
})

/** Takes scheduled messages back, all of them or none. */
export const cancelScheduled = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly sequenceNumbers: ReadonlyArray<bigint>
  readonly timeout: number
}): Effect.fn.Return<void, CancelScheduledError> {
  const operation = "cancelScheduled"
  const response = yield* node.request(
    { operation: "com.microsoft:cancel-scheduled-message", ...serverTimeout(options.timeout) },
    { "sequence-numbers": AmqpValue.array("long", options.sequenceNumbers) },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.notFoundError(errorOf(response), { entity: options.entity, operation })
  }
})

/** Receives deferred messages by their sequence numbers, all of them or none. */
export const receiveDeferred = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly sequenceNumbers: ReadonlyArray<bigint>
  readonly destructive: boolean
  readonly session?: HeldSession | undefined
  readonly timeout: number
}): Effect.fn.Return<
  ReadonlyArray<{ readonly bytes: Buffer; readonly lockToken: string }>,
  ReceiveDeferredError | SessionLockLostError
> {
  const operation = "receiveDeferred"
  const response = yield* node.request(
    { operation: "com.microsoft:receive-by-sequence-number", ...serverTimeout(options.timeout) },
    {
      "sequence-numbers": AmqpValue.array("long", options.sequenceNumbers),
      "receiver-settle-mode": AmqpValue.typed("uint", options.destructive ? 0 : 1),
      ...ofSession(options.session?.id)
    },
    operation,
    options.session?.onEnd
  )
  if (!isSuccess(response)) {
    return yield* errorMap.sessionDeferredError(errorOf(response), { entity: options.entity, operation })
  }
  return messagesOf(response)
})

/** Deletes messages that were enqueued before a time, oldest first, and gives how many it were. */
export const deleteMessages = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly count: number
  readonly before: DateTime.Utc
  readonly sessionId: string | undefined
  readonly timeout: number
}): Effect.fn.Return<number, DeleteMessagesError> {
  const operation = "deleteMessages"
  const response = yield* node.request(
    { operation: "com.microsoft:batch-delete-messages", ...serverTimeout(options.timeout) },
    {
      "message-count": AmqpValue.typed("int", options.count),
      "enqueued-time-utc": options.before,
      ...ofSession(options.sessionId)
    },
    operation
  )
  if (response.status === 204) return 0
  if (!isSuccess(response)) {
    return yield* errorMap.unsupportedOr(errorOf(response), { entity: options.entity, operation }, errorMap.attachError)
  }
  const count = field(response, "message-count")
  return typeof count === "number" ? count : yield* malformed(options.entity, operation, "no message-count")
})
