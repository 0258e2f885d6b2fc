/**
 * Operations on the `$management` node of an entity (Service Bus protocol guide, request/response operations).
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as AmqpValue from "../AmqpValue.ts"
import { type LockRenewalError, ServiceBusError } from "../ServiceBusError.ts"
import * as errorMap from "./errorMap.ts"
import type { RequestResponse, Response } from "./requestResponse.ts"

const field = (response: Response, name: string): AmqpValue.AmqpValue => {
  const { body } = response
  if (body instanceof Map) return body.get(name)
  return typeof body === "object" && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, AmqpValue.AmqpValue>)[name]
    : undefined
}

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
  if (response.status < 200 || response.status >= 300) {
    return yield* errorMap.renewError(
      errorMap.fromStatus(response.status, response.condition, response.description),
      { entity: options.entity, operation }
    )
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
