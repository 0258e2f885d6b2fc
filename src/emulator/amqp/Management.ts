/**
 * The `$management` node of a queue, topic or subscription (Service Bus protocol guide, request/response operations).
 */
import * as Result from "effect/Result"
import * as AmqpValue from "../../AmqpValue.ts"
import type { AmqpError } from "../../internal/amqp/dataPlane/Outcome.ts"
import * as Settlement from "../../Settlement.ts"
import type { Right } from "../Authorization.ts"
import type { Delivery, IncomingMessage, Queue } from "../Queue.ts"
import type { Answer, Request } from "./Node.ts"
import type { Served } from "./Served.ts"
import { incoming, outgoing } from "./StoredPayload.ts"

/** The status of a refusal. */
const statusOf = (error: AmqpError): number => {
  switch (error.condition) {
    case "amqp:not-found":
    case "com.microsoft:message-not-found":
      return 404
    case "com.microsoft:message-lock-lost":
      return 410
    case "amqp:unauthorized-access":
      return 401
    case "amqp:resource-limit-exceeded":
      return 403
    case "amqp:not-implemented":
      return 501
    case "amqp:internal-error":
      return 500
    case "com.microsoft:server-busy":
      return 503
    case "com.microsoft:timeout":
      return 408
    default:
      return 400
  }
}

const refuse = (error: AmqpError): Answer => ({ status: statusOf(error), error })

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
  const received = queue.receiveDeferred(numbers, mode)
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
    Math.max(0, Math.min(mostPeeked, Number.isFinite(count) ? count : 1))
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
  const fault = served.door.fault("settle", queue.path)
  if (fault !== undefined) return refuse(fault)
  for (const token of tokens) {
    const settled = queue.settle(token, settlement)
    if (Result.isFailure(settled)) return refuse(served.door.refusals.of(settled.failure, queue.path))
  }
  return { status: 200, description: "OK" }
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

const text = (value: AmqpValue.AmqpValue): string | undefined => typeof value === "string" ? value : undefined

const field = (body: AmqpValue.AmqpValue, name: string): AmqpValue.AmqpValue =>
  body instanceof Map
    ? body.get(name)
    : typeof body === "object" && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, AmqpValue.AmqpValue>)[name]
    : undefined

const uuids = (value: AmqpValue.AmqpValue): ReadonlyArray<string> | undefined => {
  if (AmqpValue.isTyped(value) && value.type === "array" && value.of === "uuid") {
    return value.value as ReadonlyArray<string>
  }
  if (!Array.isArray(value)) return undefined
  const tokens = value.flatMap((item) => AmqpValue.isTyped(item) && item.type === "uuid" ? [String(item.value)] : [])
  return tokens.length === value.length ? tokens : undefined
}

const longs = (value: AmqpValue.AmqpValue): ReadonlyArray<bigint> | undefined => {
  const items = AmqpValue.isTyped(value) && value.type === "array" ? value.value as ReadonlyArray<unknown> : value
  if (!Array.isArray(items)) return undefined
  const numbers = items.flatMap((item) =>
    typeof item === "bigint" ? [item] : Number.isSafeInteger(item) ? [BigInt(item)] : []
  )
  return numbers.length === items.length ? numbers : undefined
}
