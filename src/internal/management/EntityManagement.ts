/**
 * Operations on the `$management` node of an entity (Service Bus protocol guide, request/response operations): one request
 * each, on a node that the caller holds, with the errors of its operation. None is tried again here.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as AmqpValue from "../../AmqpValue.ts"
import {
  type CancelScheduledError,
  type DeleteMessagesError,
  type LockRenewalError,
  type PeekError,
  type ReceiveDeferredError,
  type ScheduleError,
  ServiceBusError,
  type SessionLockLostError,
  type SessionSettleError,
  type SettleError
} from "../../ServiceBusError.ts"
import type { Properties, Settlement } from "../../Settlement.ts"
import * as errorMap from "../errorMap.ts"
import type { RequestResponseLink, Response } from "./RequestResponseLink.ts"

const entryOf = (map: AmqpValue.AmqpValue, name: string): AmqpValue.AmqpValue => {
  if (map instanceof Map) return map.get(name)
  return typeof map === "object" && map !== null && Object.hasOwn(map, name)
    ? (map as Record<string, AmqpValue.AmqpValue>)[name]
    : undefined
}

export const field = (response: Response, name: string): AmqpValue.AmqpValue => entryOf(response.body, name)

export const isSuccess = (response: Response): boolean => response.status >= 200 && response.status < 300

/**
 * How long the service may work at a request, in whole milliseconds: a twentieth less than its answer is awaited, one second
 * at most, so that it comes while it is awaited, and has the reason. (The SDKs take something off too.)
 */
export const serverTimeout = (timeout: number) => ({
  "com.microsoft:server-timeout": AmqpValue.typed(
    "uint",
    Math.max(1, Math.min(Math.floor(timeout - Math.min(timeout / 20, 1000)), 0xffffffff))
  )
})

/** An answer with a status of success that is not as the protocol guide has it. */
export const malformed = (entity: string, operation: string, problem: string): ServiceBusError =>
  new ServiceBusError({ entity, operation, description: `the peer answered with ${problem}` })

export const errorOf = (response: Response) =>
  errorMap.fromStatus(response.status, response.condition, response.description)

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
    readonly sessionId?: string | undefined
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
      ...ofSession(options.sessionId)
    },
    operation
  )
  if (!isSuccess(response)) {
    const context = { entity: options.entity, operation }
    return yield* options.sessionId === undefined
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
  const times = itemsOf(field(response, "expirations")).filter((value): value is DateTime.Utc =>
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
    const message = entryOf(entry, "message")
    const token = entryOf(entry, "lock-token")
    return message instanceof Uint8Array
      ? [{
        bytes: Buffer.from(message.buffer, message.byteOffset, message.byteLength),
        lockToken: AmqpValue.isTyped(token) && token.type === "uuid" ? String(token.value) : ""
      }]
      : []
  })
}

/** What is in an array or a list. */
export const itemsOf = (value: AmqpValue.AmqpValue): ReadonlyArray<unknown> => {
  const items = AmqpValue.isTyped(value) && value.type === "array" ? value.value : value
  return Array.isArray(items) ? items : []
}

/** The whole numbers of an array; what is none of them is left out. */
const longsOf = (value: AmqpValue.AmqpValue): ReadonlyArray<bigint> =>
  itemsOf(value).flatMap((item) =>
    typeof item === "bigint" ? [item] : Number.isSafeInteger(item) ? [BigInt(item as number)] : []
  )

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
  // Some peers answer that there is nothing with an error.
  if (response.status === 204 || response.condition === "com.microsoft:message-not-found") return []
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
  const numbers = longsOf(field(response, "sequence-numbers"))
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
  readonly sessionId?: string | undefined
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
      ...ofSession(options.sessionId)
    },
    operation
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
