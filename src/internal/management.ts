/**
 * Operations on the `$management` node of an entity (Service Bus protocol guide, request/response operations).
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as AmqpValue from "../AmqpValue.ts"
import { type LockRenewalError, ServiceBusError, type SettleError } from "../ServiceBusError.ts"
import type { Settlement } from "../Settlement.ts"
import * as errorMap from "./errorMap.ts"
import type { RequestResponse, Response } from "./requestResponse.ts"

const field = (response: Response, name: string): AmqpValue.AmqpValue => {
  const { body } = response
  if (body instanceof Map) return body.get(name)
  return typeof body === "object" && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, AmqpValue.AmqpValue>)[name]
    : undefined
}

const isSuccess = (response: Response): boolean => response.status >= 200 && response.status < 300

const errorOf = (response: Response) => errorMap.fromStatus(response.status, response.condition, response.description)

/** How the service names settlements; one name is misspelt there. */
const statusOf = (settlement: Settlement): Readonly<Record<string, AmqpValue.AmqpValue>> => {
  switch (settlement._tag) {
    case "Complete":
    case "RetryAfter":
      return { "disposition-status": "completed" }
    case "Abandon":
      return { "disposition-status": "abandoned", "properties-to-modify": settlement.properties }
    case "Defer":
      return { "disposition-status": "defered", "properties-to-modify": settlement.properties }
    case "DeadLetter":
      return {
        "disposition-status": "suspended",
        "deadletter-reason": settlement.reason,
        "deadletter-description": settlement.description,
        "properties-to-modify": settlement.properties
      }
  }
}

/** Settles messages by their lock tokens: what is left where the link that they came on is lost. */
export const updateDisposition = Effect.fnUntraced(function*(
  node: RequestResponse,
  options: {
    readonly entity: string
    readonly tokens: ReadonlyArray<string>
    readonly settlement: Settlement
    readonly timeout: number
  }
): Effect.fn.Return<void, SettleError> {
  const operation = "settle"
  const fields = Object.entries(statusOf(options.settlement)).filter(([, value]) => value !== undefined)
  const response = yield* node.request(
    {
      operation: "com.microsoft:update-disposition",
      "com.microsoft:server-timeout": AmqpValue.typed("uint", options.timeout)
    },
    { ...Object.fromEntries(fields), "lock-tokens": AmqpValue.array("uuid", options.tokens) },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.settleError(errorOf(response), { entity: options.entity, operation })
  }
})

/**
 * Renews the locks of messages: all or none. Gives the new ends of the locks, in the order of the tokens, by the broker's
 * clock. `link` names the receiving link, which the service then counts as in use.
 */
export const renewLocks = Effect.fnUntraced(function*(
  node: RequestResponse,
  options: {
    readonly entity: string
    readonly tokens: ReadonlyArray<string>
    readonly link: string
    readonly timeout: number
  }
): Effect.fn.Return<ReadonlyArray<DateTime.Utc>, LockRenewalError> {
  const operation = "renewLock"
  const response = yield* node.request(
    {
      operation: "com.microsoft:renew-lock",
      "com.microsoft:server-timeout": AmqpValue.typed("uint", options.timeout),
      "associated-link-name": options.link
    },
    { "lock-tokens": AmqpValue.array("uuid", options.tokens) },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.renewError(errorOf(response), { entity: options.entity, operation })
  }
  const expirations = field(response, "expirations")
  const values = AmqpValue.isTyped(expirations) && expirations.type === "array"
    ? expirations.value as ReadonlyArray<AmqpValue.AmqpValue>
    : Array.isArray(expirations)
    ? expirations as ReadonlyArray<AmqpValue.AmqpValue>
    : []
  const times = values.filter((value): value is DateTime.Utc => DateTime.isDateTime(value))
  if (times.length !== options.tokens.length) {
    return yield* new ServiceBusError({
      entity: options.entity,
      operation,
      description: `the peer answered with ${times.length} expirations for ${options.tokens.length} locks`
    })
  }
  return times
})
