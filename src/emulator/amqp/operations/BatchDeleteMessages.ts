/**
 * `com.microsoft:batch-delete-messages`: removes messages that were enqueued before a time, oldest first, and answers how
 * many; 204 where there are none. Locked, deferred and scheduled messages stay.
 *
 * Source: Azure.Messaging.ServiceBus, `ServiceBusReceiver.DeleteMessagesAsync`.
 */
import * as Result from "effect/Result"
import * as AmqpValue from "../../../AmqpValue.ts"
import { noContent, type Operation, optional, required, result } from "./Operation.ts"

/** The most messages that one request deletes (Service Bus quotas, Premium). */
const mostDeleted = 4000

export const BatchDeleteMessages: Operation = {
  name: "com.microsoft:batch-delete-messages",
  right: "Listen",
  kind: "delete",
  run: (connection, queue, request) => {
    const count = required.int(request.body, "message-count", 1, mostDeleted)
    const before = required.time(request.body, "enqueued-time-utc")
    const sessionId = optional.text(request.body, "session-id")
    const deleted = queue.deleteBefore(before, count, sessionId)
    if (Result.isSuccess(deleted) && deleted.success === 0) return noContent
    return result(connection, deleted, (number) => ({ "message-count": AmqpValue.typed("int", number) }))
  }
}
