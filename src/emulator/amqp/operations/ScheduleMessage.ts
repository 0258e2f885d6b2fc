/**
 * `com.microsoft:schedule-message`: stores encoded messages, all of them or none, each for the time in its annotation
 * `x-opt-scheduled-enqueue-time`, and answers their sequence numbers. Refused as a transfer of them would be.
 *
 * Source: "Schedule message" of the Service Bus AMQP request-response guide.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import { fieldOf } from "../../../internal/amqp/codec/DecodedValue.ts"
import type { IncomingMessage } from "../../broker/Queue.ts"
import { refuse } from "../NodeRequest.ts"
import { incoming, PropertyProblem, QuotaProblem } from "../StoredPayload.ts"
import { type Operation, optional, result } from "./Operation.ts"

export const ScheduleMessage: Operation = {
  name: "com.microsoft:schedule-message",
  right: "Send",
  run: (connection, queue, request) => {
    const { conditions } = connection.namespace
    const items = fieldOf(request.body, "messages")
    if (!Array.isArray(items)) return refuse(conditions.argument(queue.path, "messages must be a list of maps."))
    const messages: Array<IncomingMessage> = []
    for (const item of items) {
      optional.text(item, "message-id")
      const message = fieldOf(item, "message")
      if (!Buffer.isBuffer(message)) return refuse(conditions.argument(queue.path, "A message must be binary."))
      try {
        messages.push(incoming(message))
      } catch (error) {
        return refuse(
          error instanceof QuotaProblem
            ? conditions.properties(queue.path, error)
            : error instanceof PropertyProblem
            ? conditions.notAllowed(queue.path, error.message)
            : conditions.decode(queue.path, "The message is malformed.")
        )
      }
    }
    return result(connection, queue.send(messages), (numbers) => ({
      "sequence-numbers": AmqpValue.array("long", numbers)
    }))
  }
}
