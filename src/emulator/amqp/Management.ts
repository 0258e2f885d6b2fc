/**
 * The `$management` node of a queue (Service Bus protocol guide, request/response operations).
 */
import * as Result from "effect/Result"
import * as AmqpValue from "../../AmqpValue.ts"
import type { AmqpError } from "../../internal/amqp/dataPlane/Outcome.ts"
import type { Queue } from "../Queue.ts"
import type { Served } from "./Door.ts"
import type { Answer, Request } from "./Node.ts"

/** The status of a refusal. */
const statusOf = (error: AmqpError): number => {
  switch (error.condition) {
    case "amqp:not-found":
      return 404
    case "com.microsoft:message-lock-lost":
      return 410
    case "amqp:unauthorized-access":
      return 401
    case "amqp:resource-limit-exceeded":
      return 403
    case "amqp:not-implemented":
      return 501
    default:
      return 400
  }
}

const refuse = (error: AmqpError): Answer => ({ status: statusOf(error), error })

export const answer = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  switch (request.operation) {
    case "com.microsoft:renew-lock": {
      if (served.claims.heldUntil(queue.path.toLowerCase(), "Listen") === undefined) {
        return refuse(refusals.unauthorized(queue.path, "Listen"))
      }
      const tokens = uuids(field(request.body, "lock-tokens"))
      if (tokens === undefined) return refuse(refusals.argument(queue.path, "lock-tokens must be an array of uuid."))
      const renewed = queue.renew(tokens)
      if (Result.isFailure(renewed)) return refuse(refusals.of(renewed.failure, queue.path))
      return {
        status: 200,
        description: "OK",
        body: { expirations: AmqpValue.array("timestamp", renewed.success.map((at) => BigInt(Math.floor(at)))) }
      }
    }
    default:
      return refuse(refusals.notImplemented(queue.path, request.operation))
  }
}

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
