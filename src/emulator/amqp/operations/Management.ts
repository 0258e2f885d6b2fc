/**
 * The `$management` node of a queue, topic or subscription (Service Bus protocol guide, request/response operations).
 */
import * as Result from "effect/Result"
import * as AmqpValue from "../../../AmqpValue.ts"
import * as Settlement from "../../../Settlement.ts"
import type { Delivery, IncomingMessage, Queue } from "../../broker/Queue.ts"
import type { Right } from "../../security/Authorization.ts"
import {
  type Answer,
  field,
  FieldProblem,
  noContent,
  ok,
  optional,
  refuse,
  type Request,
  required,
  result,
  text
} from "../Request.ts"
import type { Served } from "../ServedConnection.ts"
import { incoming, outgoing, QuotaProblem } from "../StoredPayload.ts"
import * as ManagementSessions from "./ManagementSessions.ts"

export const answer = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const operation = operations.get(request.operation)
  const isSending = operation?.right === "Send"
  if (request.operation === "") return refuse(refusals.argument(queue.path, "operation must be a string."))
  const isUnfit = isSending
    ? queue.kind === "subscription" || queue.kind === "deadLetter"
    // What is scheduled is in the topic until it is due, and is seen there alone (azure-service-bus #352).
    : queue.kind === "topic" && operation?.run !== peek
  if (isUnfit) {
    return refuse(refusals.notAllowed(queue.path, `A ${queue.kind} does not know "${request.operation}".`))
  }
  if (operation === undefined) return refuse(refusals.notImplemented(queue.path, request.operation))
  if (served.claims.heldUntil(queue.path, operation.right) === undefined) {
    return refuse(refusals.unauthorized(queue.path, operation.right))
  }
  try {
    return operation.run(served, queue, request)
  } catch (error) {
    if (error instanceof FieldProblem) return refuse(refusals.argument(queue.path, error.message))
    throw error
  }
}

/** The session of a request. Go names only the link that holds it. */
const sessionIdOf = (served: Served, { body, properties }: Request): string | undefined =>
  optional.text(body, "session-id") ?? served.heldSessions.get(text(properties["associated-link-name"]) ?? "")

const renewLocks = (served: Served, queue: Queue, request: Request): Answer => {
  const tokens = required.uuids(request.body, "lock-tokens")
  const fault = served.door.fault("renew", queue.path)
  if (fault !== undefined) return refuse(fault)
  return result(served, queue.renew(tokens), (until) => ({
    expirations: AmqpValue.array("timestamp", until.map((at) => BigInt(Math.floor(at))))
  }))
}

/** Clients differ in where they look for the lock token: it is in the map and in the message. */
const receiveDeferred = (served: Served, queue: Queue, request: Request): Answer => {
  const numbers = required.longs(request.body, "sequence-numbers")
  const mode = required.int(request.body, "receiver-settle-mode", 0, 1) === 0 ? "receiveAndDelete" : "peekLock"
  const sessionId = sessionIdOf(served, request)
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
  const from = required.long(request.body, "from-sequence-number")
  const count = required.int(request.body, "message-count", 1)
  const isBodyless = optional.boolean(request.body, "omit-message-body") === true
  const messages = queue.peek(from, Math.min(mostPeeked, count), optional.text(request.body, "session-id"))
  if (messages.length === 0) return noContent
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
    optional.text(entry, "message-id")
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
  return result(served, queue.cancelScheduled(required.longs(request.body, "sequence-numbers")))
}

const updateDisposition = (served: Served, queue: Queue, request: Request): Answer => {
  const tokens = required.uuids(request.body, "lock-tokens")
  const settlement = settlementOf(request)
  if (settlement === undefined) {
    return refuse(served.door.refusals.argument(queue.path, "disposition-status is not one that is known."))
  }
  const fault = served.door.fault("settle", queue.path) ??
    ManagementSessions.isLost(served, queue, sessionIdOf(served, request))
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
  const count = required.int(request.body, "message-count", 1, mostDeleted)
  const before = required.time(request.body, "enqueued-time-utc")
  const sessionId = optional.text(request.body, "session-id")
  const fault = served.door.fault("delete", queue.path)
  if (fault !== undefined) return refuse(fault)
  const deleted = queue.deleteBefore(before, count, sessionId)
  if (Result.isSuccess(deleted) && deleted.success === 0) return noContent
  return result(served, deleted, (number) => ({ "message-count": AmqpValue.typed("int", number) }))
}

/** The statuses of the service; one of them is misspelt there (Service Bus protocol guide). */
const settlementOf = ({ body, exactBody }: Request): Settlement.Settlement | undefined => {
  const modified = field(exactBody(), "properties-to-modify") ?? undefined
  const isMap = modified instanceof Map ||
    typeof modified === "object" && Object.getPrototypeOf(modified) === Object.prototype && !AmqpValue.isTyped(modified)
  if (modified !== undefined && !isMap) throw new FieldProblem("properties-to-modify must be a map.")
  const properties = modified === undefined
    ? undefined
    : Object.fromEntries(modified instanceof Map ? modified : Object.entries(modified)) as Settlement.Properties
  const reason = optional.text(body, "deadletter-reason")
  const description = optional.text(body, "deadletter-description")
  switch (required.text(body, "disposition-status")) {
    case "completed":
      return Settlement.complete
    case "abandoned":
      return Settlement.abandon({ properties })
    case "defered":
      return Settlement.defer({ properties })
    case "suspended":
      return Settlement.deadLetter({
        reason,
        description,
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
