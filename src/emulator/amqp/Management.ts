/**
 * The `$management` node of a queue, topic or subscription (Service Bus protocol guide, request/response operations).
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as AmqpValue from "../../AmqpValue.ts"
import * as Settlement from "../../Settlement.ts"
import type { Right } from "../Authorization.ts"
import type { Delivery, IncomingMessage, Queue } from "../Queue.ts"
import * as ManagementSessions from "./ManagementSessions.ts"
import { type Answer, field, longs, refuse, type Request, text, uuids } from "./Request.ts"
import type { Served } from "./Served.ts"
import { incoming, outgoing } from "./StoredPayload.ts"

export const answer = (served: Served, queue: Queue, request: Request): Answer => {
  const isSending = sending.has(request.operation)
  if (isSending ? queue.kind === "subscription" || queue.kind === "deadLetter" : queue.kind === "topic") {
    return refuse(
      served.door.refusals.notAllowed(queue.path, `A ${queue.kind} does not know "${request.operation}".`)
    )
  }
  switch (request.operation) {
    case "com.microsoft:renew-lock":
      return allowed(served, queue, "Listen") ?? renewLocks(served, queue, request)
    case "com.microsoft:update-disposition":
      return allowed(served, queue, "Listen") ?? updateDisposition(served, queue, request)
    case "com.microsoft:receive-by-sequence-number":
      return allowed(served, queue, "Listen") ?? receiveDeferred(served, queue, request)
    case "com.microsoft:peek-message":
      return allowed(served, queue, "Listen") ?? peek(queue, request)
    case "com.microsoft:batch-delete-messages":
      return allowed(served, queue, "Listen") ?? deleteBatch(served, queue, request)
    case "com.microsoft:renew-session-lock":
    case "com.microsoft:get-session-state":
    case "com.microsoft:set-session-state":
    case "com.microsoft:get-message-sessions":
      return allowed(served, queue, "Listen") ?? ManagementSessions.answer(served, queue, request)
    case "com.microsoft:schedule-message":
      return allowed(served, queue, "Send") ?? schedule(served, queue, request)
    case "com.microsoft:cancel-scheduled-message":
      return allowed(served, queue, "Send") ?? cancelScheduled(served, queue, request)
    default:
      return refuse(served.door.refusals.notImplemented(queue.path, request.operation))
  }
}

const sending: ReadonlySet<string> = new Set([
  "com.microsoft:schedule-message",
  "com.microsoft:cancel-scheduled-message"
])

/** The refusal of a request whose connection lacks the right for it. */
const allowed = (served: Served, queue: Queue, right: Right): Answer | undefined =>
  served.claims.heldUntil(queue.path.toLowerCase(), right) === undefined
    ? refuse(served.door.refusals.unauthorized(queue.path, right))
    : undefined

const tokensOf = (request: Request): ReadonlyArray<string> | undefined => uuids(field(request.body, "lock-tokens"))

const noTokens = (served: Served, queue: Queue): Answer =>
  refuse(served.door.refusals.argument(queue.path, "lock-tokens must be an array of uuid."))

const renewLocks = (served: Served, queue: Queue, request: Request): Answer => {
  const tokens = tokensOf(request)
  if (tokens === undefined) return noTokens(served, queue)
  const fault = served.door.fault("renew", queue.path)
  if (fault !== undefined) return refuse(fault)
  const renewed = queue.renew(tokens)
  if (Result.isFailure(renewed)) return refuse(served.door.refusals.of(renewed.failure, queue.path))
  return {
    status: 200,
    description: "OK",
    body: { expirations: AmqpValue.array("timestamp", renewed.success.map((at) => BigInt(Math.floor(at)))) }
  }
}

/** Clients differ in where they look for the lock token: it is in the map and in the message. */
const receiveDeferred = (served: Served, queue: Queue, request: Request): Answer => {
  const numbers = longs(field(request.body, "sequence-numbers"))
  if (numbers === undefined) {
    return refuse(served.door.refusals.argument(queue.path, "sequence-numbers must be an array of long."))
  }
  const mode = Number(field(request.body, "receiver-settle-mode") ?? 1) === 0 ? "receiveAndDelete" : "peekLock"
  const sessionId = text(field(request.body, "session-id"))
  const isLost = ManagementSessions.isLost(served, queue, sessionId)
  if (isLost !== undefined) return refuse(isLost)
  const received = queue.receiveDeferred(numbers, mode, sessionId)
  if (Result.isFailure(received)) return refuse(served.door.refusals.of(received.failure, queue.path))
  return {
    status: 200,
    description: "OK",
    body: {
      messages: received.success.map((delivery) =>
        mode === "peekLock" ? lockedEntry(delivery) : { message: outgoing(delivery.message, undefined) }
      )
    }
  }
}

const lockedEntry = ({ lockToken, lockedUntil, message }: Delivery): AmqpValue.AmqpValue => ({
  message: outgoing(message, lockedUntil, lockToken),
  "lock-token": AmqpValue.uuid(lockToken)
})

/** The most messages in one answer; the client asks again for more. */
const mostPeeked = 250

const peek = (queue: Queue, request: Request): Answer => {
  const from = field(request.body, "from-sequence-number")
  const count = Number(field(request.body, "message-count") ?? 1)
  const messages = queue.peek(
    typeof from === "bigint" || typeof from === "number" ? BigInt(from) : 0n,
    Math.max(0, Math.min(mostPeeked, Number.isFinite(count) ? count : 1)),
    text(field(request.body, "session-id"))
  )
  if (messages.length === 0) return { status: 204, description: "NoContent" }
  const isBodyless = field(request.body, "omit-message-body") === true
  return {
    status: 200,
    description: "OK",
    body: { messages: messages.map((message) => ({ message: outgoing(message, undefined, undefined, isBodyless) })) }
  }
}

const schedule = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const entries = field(request.body, "messages")
  if (!Array.isArray(entries)) return refuse(refusals.argument(queue.path, "messages must be a list of maps."))
  const messages: Array<IncomingMessage> = []
  for (const entry of entries) {
    const message = field(entry, "message")
    if (!(message instanceof Uint8Array)) return refuse(refusals.argument(queue.path, "A message must be binary."))
    try {
      messages.push(incoming(Buffer.from(message)))
    } catch {
      return refuse(refusals.decode(queue.path, "The message is malformed."))
    }
  }
  const sent = queue.send(messages)
  if (Result.isFailure(sent)) return refuse(refusals.of(sent.failure, queue.path))
  return { status: 200, description: "OK", body: { "sequence-numbers": AmqpValue.array("long", sent.success) } }
}

const cancelScheduled = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const numbers = longs(field(request.body, "sequence-numbers"))
  if (numbers === undefined) {
    return refuse(refusals.argument(queue.path, "sequence-numbers must be an array of long."))
  }
  const cancelled = queue.cancelScheduled(numbers)
  return Result.isFailure(cancelled)
    ? refuse(refusals.of(cancelled.failure, queue.path))
    : { status: 200, description: "OK" }
}

const updateDisposition = (served: Served, queue: Queue, request: Request): Answer => {
  const tokens = tokensOf(request)
  if (tokens === undefined) return noTokens(served, queue)
  const settlement = settlementOf(request.body)
  if (settlement === undefined) {
    return refuse(served.door.refusals.argument(queue.path, "disposition-status is not one that is known."))
  }
  const fault = served.door.fault("settle", queue.path) ??
    ManagementSessions.isLost(served, queue, text(field(request.body, "session-id")))
  if (fault !== undefined) return refuse(fault)
  for (const token of tokens) {
    const settled = queue.settle(token, settlement)
    if (Result.isFailure(settled)) return refuse(served.door.refusals.of(settled.failure, queue.path))
  }
  return { status: 200, description: "OK" }
}

/** The most messages that one request deletes (Service Bus quotas, Premium). */
const mostDeleted = 4000

const deleteBatch = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const fault = served.door.fault("delete", queue.path)
  if (fault !== undefined) return refuse(fault)
  const count = Number(field(request.body, "message-count"))
  const before = field(request.body, "enqueued-time-utc")
  if (!Number.isInteger(count) || count < 1 || count > mostDeleted) {
    return refuse(refusals.argument(queue.path, `message-count must be an int from 1 to ${mostDeleted}.`))
  }
  if (!DateTime.isDateTime(before)) {
    return refuse(refusals.argument(queue.path, "enqueued-time-utc must be a timestamp."))
  }
  const deleted = queue.deleteBefore(DateTime.toEpochMillis(before), count, text(field(request.body, "session-id")))
  if (Result.isFailure(deleted)) return refuse(refusals.of(deleted.failure, queue.path))
  return deleted.success === 0
    ? { status: 204, description: "NoContent" }
    : { status: 200, description: "OK", body: { "message-count": AmqpValue.typed("int", deleted.success) } }
}

/** The statuses of the service; one of them is misspelt there (Service Bus protocol guide). */
const settlementOf = (body: AmqpValue.AmqpValue): Settlement.Settlement | undefined => {
  const modified = field(body, "properties-to-modify")
  const properties = typeof modified === "object" && modified !== null
    ? Object.fromEntries(modified instanceof Map ? modified : Object.entries(modified)) as Settlement.Properties
    : undefined
  switch (field(body, "disposition-status")) {
    case "completed":
      return Settlement.complete
    case "abandoned":
      return Settlement.abandon({ properties })
    case "defered":
      return Settlement.defer({ properties })
    case "suspended":
      return Settlement.deadLetter({
        reason: text(field(body, "deadletter-reason")),
        description: text(field(body, "deadletter-description")),
        properties
      })
    default:
      return undefined
  }
}
