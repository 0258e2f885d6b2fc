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
import { type Answer, field, longs, noContent, ok, refuse, type Request, result, text, uuids } from "./Request.ts"
import type { Served } from "./Served.ts"
import { incoming, outgoing, QuotaProblem } from "./StoredPayload.ts"

export const answer = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const operation = operations.get(request.operation)
  const isSending = operation?.right === "Send"
  const isUnfit = isSending
    ? queue.kind === "subscription" || queue.kind === "deadLetter"
    // What is scheduled is in the topic until it is due, and is seen there alone (azure-service-bus #352).
    : queue.kind === "topic" && operation?.run !== peek
  if (isUnfit) {
    return refuse(refusals.notAllowed(queue.path, `A ${queue.kind} does not know "${request.operation}".`))
  }
  if (operation === undefined) return refuse(refusals.notImplemented(queue.path, request.operation))
  return served.claims.heldUntil(queue.path, operation.right) === undefined
    ? refuse(refusals.unauthorized(queue.path, operation.right))
    : operation.run(served, queue, request)
}

const tokensOf = (request: Request): ReadonlyArray<string> | undefined => uuids(field(request.body, "lock-tokens"))

const noTokens = (served: Served, queue: Queue): Answer =>
  refuse(served.door.refusals.argument(queue.path, "lock-tokens must be an array of uuid."))

const noNumbers = (served: Served, queue: Queue): Answer =>
  refuse(served.door.refusals.argument(queue.path, "sequence-numbers must be an array of long."))

const renewLocks = (served: Served, queue: Queue, request: Request): Answer => {
  const tokens = tokensOf(request)
  if (tokens === undefined) return noTokens(served, queue)
  const fault = served.door.fault("renew", queue.path)
  if (fault !== undefined) return refuse(fault)
  return result(served, queue.renew(tokens), (until) => ({
    expirations: AmqpValue.array("timestamp", until.map((at) => BigInt(Math.floor(at))))
  }))
}

/** Clients differ in where they look for the lock token: it is in the map and in the message. */
const receiveDeferred = (served: Served, queue: Queue, request: Request): Answer => {
  const numbers = longs(field(request.body, "sequence-numbers"))
  if (numbers === undefined) return noNumbers(served, queue)
  const mode = Number(field(request.body, "receiver-settle-mode") ?? 1) === 0 ? "receiveAndDelete" : "peekLock"
  const sessionId = text(field(request.body, "session-id"))
  const isLost = ManagementSessions.isLost(served, queue, sessionId)
  if (isLost !== undefined) return refuse(isLost)
  return result(served, queue.receiveDeferred(numbers, mode, sessionId), (deliveries) => ({
    messages: deliveries.map((delivery) =>
      mode === "peekLock" ? lockedEntry(delivery) : { message: outgoing(delivery.message, undefined) }
    )
  }))
}

const lockedEntry = (delivery: Delivery): AmqpValue.AmqpValue => ({
  message: outgoing(delivery.message, delivery),
  "lock-token": AmqpValue.uuid(delivery.lockToken)
})

/** The most messages in one answer; the client asks again for more. */
const mostPeeked = 250

const peek = (_served: Served, queue: Queue, request: Request): Answer => {
  const from = field(request.body, "from-sequence-number")
  const count = Number(field(request.body, "message-count") ?? 1)
  const messages = queue.peek(
    typeof from === "bigint" || typeof from === "number" ? BigInt(from) : 0n,
    Math.max(0, Math.min(mostPeeked, Number.isFinite(count) ? count : 1)),
    text(field(request.body, "session-id"))
  )
  if (messages.length === 0) return noContent
  const isBodyless = field(request.body, "omit-message-body") === true
  return ok({
    messages: messages.map((message) => ({ message: outgoing(message, undefined, isBodyless) }))
  })
}

const schedule = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const entries = field(request.body, "messages")
  if (!Array.isArray(entries)) return refuse(refusals.argument(queue.path, "messages must be a list of maps."))
  const messages: Array<IncomingMessage> = []
  for (const entry of entries) {
    const message = field(entry, "message")
    if (!Buffer.isBuffer(message)) return refuse(refusals.argument(queue.path, "A message must be binary."))
    try {
      messages.push(incoming(message))
    } catch (error) {
      return refuse(
        error instanceof QuotaProblem
          ? refusals.properties(queue.path, error)
          : refusals.decode(queue.path, "The message is malformed.")
      )
    }
  }
  return result(served, queue.send(messages), (numbers) => ({
    "sequence-numbers": AmqpValue.array("long", numbers)
  }))
}

const cancelScheduled = (served: Served, queue: Queue, request: Request): Answer => {
  const numbers = longs(field(request.body, "sequence-numbers"))
  return numbers === undefined ? noNumbers(served, queue) : result(served, queue.cancelScheduled(numbers))
}

const updateDisposition = (served: Served, queue: Queue, request: Request): Answer => {
  const tokens = tokensOf(request)
  if (tokens === undefined) return noTokens(served, queue)
  const settlement = settlementOf(request)
  if (settlement === undefined) {
    return refuse(served.door.refusals.argument(queue.path, "disposition-status is not one that is known."))
  }
  const fault = served.door.fault("settle", queue.path) ??
    ManagementSessions.isLost(served, queue, text(field(request.body, "session-id")))
  if (fault !== undefined) return refuse(fault)
  for (const token of tokens) {
    const settled = queue.settle(token, settlement)
    if (Result.isFailure(settled)) return refuse(served.door.refusals.of(settled.failure))
  }
  return ok()
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
  if (Result.isSuccess(deleted) && deleted.success === 0) return noContent
  return result(served, deleted, (number) => ({ "message-count": AmqpValue.typed("int", number) }))
}

/** The statuses of the service; one of them is misspelt there (Service Bus protocol guide). */
const settlementOf = ({ body, exactBody }: Request): Settlement.Settlement | undefined => {
  const modified = field(exactBody(), "properties-to-modify")
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

/** An operation and the right that it needs. */
interface Operation {
  readonly right: Right
  readonly run: (served: Served, queue: Queue, request: Request) => Answer
}

const operations: ReadonlyMap<string, Operation> = new Map([
  ["com.microsoft:renew-lock", { right: "Listen", run: renewLocks }],
  ["com.microsoft:update-disposition", { right: "Listen", run: updateDisposition }],
  ["com.microsoft:receive-by-sequence-number", { right: "Listen", run: receiveDeferred }],
  ["com.microsoft:peek-message", { right: "Listen", run: peek }],
  ["com.microsoft:batch-delete-messages", { right: "Listen", run: deleteBatch }],
  ["com.microsoft:renew-session-lock", { right: "Listen", run: ManagementSessions.answer }],
  ["com.microsoft:get-session-state", { right: "Listen", run: ManagementSessions.answer }],
  ["com.microsoft:set-session-state", { right: "Listen", run: ManagementSessions.answer }],
  ["com.microsoft:get-message-sessions", { right: "Listen", run: ManagementSessions.answer }],
  ["com.microsoft:schedule-message", { right: "Send", run: schedule }],
  ["com.microsoft:cancel-scheduled-message", { right: "Send", run: cancelScheduled }]
])
