/**
 * A request to a node and the answer to it, and how the fields of a request are read: clients write them as maps or
 * objects, arrays or lists.
 */
import * as Result from "effect/Result"
import * as AmqpValue from "../../AmqpValue.ts"
import type { AmqpError } from "../../internal/amqp/dataPlane/Outcome.ts"
import type { Refusal } from "../Queue.ts"
import type { Served } from "./Served.ts"

export interface Request {
  readonly operation: string
  readonly properties: Readonly<Record<string, AmqpValue.AmqpValue>>
  readonly body: AmqpValue.AmqpValue
  /** The same with the exact type of every value: for what is kept of it. */
  readonly exactBody: () => AmqpValue.AmqpValue
}

export type Answer =
  | { readonly status: number; readonly description: string; readonly body?: AmqpValue.AmqpValue }
  | { readonly status: number; readonly error: AmqpError }

/** The status of a refusal. */
const statusOf = (error: AmqpError): number => {
  switch (error.condition) {
    case "amqp:not-found":
    case "com.microsoft:message-not-found":
      return 404
    case "com.microsoft:message-lock-lost":
    case "com.microsoft:session-lock-lost":
    case "com.microsoft:session-cannot-be-locked":
      return 410
    case "amqp:unauthorized-access":
      return 401
    case "amqp:resource-limit-exceeded":
    case "amqp:link:message-size-exceeded":
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

export const refuse = (error: AmqpError): Answer => ({ status: statusOf(error), error })

export const ok = (body?: AmqpValue.AmqpValue): Answer => ({ status: 200, description: "OK", body })

export const noContent: Answer = { status: 204, description: "NoContent" }

/** The answer to what the queue has done, or why it has not. */
export const result = <A>(
  served: Served,
  done: Result.Result<A, Refusal>,
  body?: (value: A) => AmqpValue.AmqpValue
): Answer => Result.isFailure(done) ? refuse(served.door.refusals.of(done.failure)) : ok(body?.(done.success))

export const text = (value: AmqpValue.AmqpValue): string | undefined => typeof value === "string" ? value : undefined

export const field = (body: AmqpValue.AmqpValue, name: string): AmqpValue.AmqpValue =>
  body instanceof Map
    ? body.get(name)
    : typeof body === "object" && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, AmqpValue.AmqpValue>)[name]
    : undefined

export const uuids = (value: AmqpValue.AmqpValue): ReadonlyArray<string> | undefined => {
  if (AmqpValue.isTyped(value) && value.type === "array" && value.of === "uuid") {
    return value.value as ReadonlyArray<string>
  }
  if (!Array.isArray(value)) return undefined
  const tokens = value.flatMap((item) => AmqpValue.isTyped(item) && item.type === "uuid" ? [String(item.value)] : [])
  return tokens.length === value.length ? tokens : undefined
}

export const longs = (value: AmqpValue.AmqpValue): ReadonlyArray<bigint> | undefined => {
  const items = AmqpValue.isTyped(value) && value.type === "array" ? value.value as ReadonlyArray<unknown> : value
  if (!Array.isArray(items)) return undefined
  const numbers = items.flatMap((item) =>
    typeof item === "bigint" ? [item] : Number.isSafeInteger(item) ? [BigInt(item)] : []
  )
  return numbers.length === items.length ? numbers : undefined
}
