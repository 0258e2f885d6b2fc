/**
 * `com.microsoft:update-disposition`: settles messages by their lock tokens, which is how deferred messages are settled, and
 * what was received on a link that is gone. The first lock that has ended refuses the request as
 * `com.microsoft:message-lock-lost` with 410; those before it are settled.
 *
 * Source: "Update disposition status" of the Service Bus AMQP request-response guide.
 */
import * as Result from "effect/Result"
import * as AmqpValue from "../../../AmqpValue.ts"
import { fieldOf } from "../../../internal/amqp/codec/DecodedValue.ts"
import * as Settlement from "../../../Settlement.ts"
import { refuse, type Request } from "../NodeRequest.ts"
import { FieldProblem, ok, type Operation, optional, required } from "./Operation.ts"
import { lostSession, sessionIdOf } from "./SessionRequest.ts"

export const UpdateDisposition: Operation = {
  name: "com.microsoft:update-disposition",
  right: "Listen",
  kind: "settle",
  run: (connection, queue, request) => {
    const { conditions } = connection.namespace
    const tokens = required.uuids(request.body, "lock-tokens")
    const settlement = settlementOf(request)
    if (settlement === undefined) {
      return refuse(conditions.argument(queue.path, "disposition-status is not one that is known."))
    }
    const error = lostSession(connection, queue, sessionIdOf(connection, request))
    if (error !== undefined) return refuse(error)
    for (const token of tokens) {
      const settled = queue.settle(token, settlement)
      if (Result.isFailure(settled)) return refuse(conditions.of(settled.failure))
    }
    return ok()
  }
}

/** The statuses of the service; one of them is misspelt there (Service Bus AMQP request-response guide). */
const settlementOf = ({ body, exactBody }: Request): Settlement.Settlement | undefined => {
  const modified = fieldOf(exactBody(), "properties-to-modify") ?? undefined
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
      return Settlement.deadLetter({ reason, description, properties })
    default:
      return undefined
  }
}
