/**
 * `com.microsoft:cancel-scheduled-message`: removes scheduled messages by their sequence numbers, all of them or none. Where
 * one is not there or has been enqueued already it is refused as `com.microsoft:message-not-found` with 404.
 *
 * Source: "Cancel scheduled message" of the Service Bus AMQP request-response guide.
 */
import { type Operation, required, result } from "./Operation.ts"

export const CancelScheduledMessage: Operation = {
  name: "com.microsoft:cancel-scheduled-message",
  right: "Send",
  run: (connection, queue, request) =>
    result(connection, queue.cancelScheduled(required.longs(request.body, "sequence-numbers")))
}
