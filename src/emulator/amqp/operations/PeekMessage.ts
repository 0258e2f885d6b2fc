/**
 * `com.microsoft:peek-message`: gives messages of whatever state from a sequence number on, without locks, as whole encoded
 * messages; 204 where there are none. A topic answers with its scheduled messages. With `omit-message-body` the bodies are
 * left out (live tests of Microsoft's JavaScript client).
 *
 * Source: "Peek message" of the Service Bus AMQP request-response guide.
 */
import { outgoing } from "../StoredPayload.ts"
import { noContent, ok, type Operation, optional, required } from "./Operation.ts"

/**
 * The most messages in one answer; the client asks again for more. No document has the number: it is what users have seen of the
 * service (azure-sdk-for-python #26643, ServiceBusExplorer #56).
 */
const mostPeeked = 250

export const PeekMessage: Operation = {
  name: "com.microsoft:peek-message",
  right: "Listen",
  // What is scheduled is in the topic until it is due, and is seen there alone (azure-service-bus #352).
  isForTopics: true,
  run: (_connection, queue, request) => {
    const from = required.long(request.body, "from-sequence-number")
    const count = required.int(request.body, "message-count", 1)
    const isBodyless = optional.boolean(request.body, "omit-message-body") === true
    const messages = queue.peek(from, Math.min(mostPeeked, count), optional.text(request.body, "session-id"))
    if (messages.length === 0) return noContent
    return ok({
      messages: messages.map((message) => ({ message: outgoing(message, undefined, isBodyless) }))
    })
  }
}
