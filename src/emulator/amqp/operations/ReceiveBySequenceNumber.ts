/**
 * `com.microsoft:receive-by-sequence-number`: gives deferred messages, all of them or none, under locks or (settle mode 0) for
 * good. Where one is not there, not deferred or locked it is refused as `com.microsoft:message-not-found`; messages of a
 * session are given to the connection that holds it.
 *
 * Source: "Receive by sequence number" of the Service Bus AMQP request-response guide.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import type { Delivery } from "../../broker/Queue.ts"
import { refuse } from "../NodeRequest.ts"
import { outgoing } from "../StoredPayload.ts"
import { type Operation, required, result } from "./Operation.ts"
import { lostSession, sessionIdOf } from "./SessionRequest.ts"

export const ReceiveBySequenceNumber: Operation = {
  name: "com.microsoft:receive-by-sequence-number",
  right: "Listen",
  run: (connection, queue, request) => {
    const numbers = required.longs(request.body, "sequence-numbers")
    const mode = required.int(request.body, "receiver-settle-mode", 0, 1) === 0 ? "receiveAndDelete" : "peekLock"
    const sessionId = sessionIdOf(connection, request)
    const lost = lostSession(connection, queue, sessionId)
    if (lost !== undefined) return refuse(lost)
    return result(connection, queue.receiveDeferred(numbers, mode, sessionId), (deliveries) => ({
      messages: deliveries.map((delivery) =>
        mode === "peekLock" ? locked(delivery) : { message: outgoing(delivery.message, undefined) }
      )
    }))
  }
}

/** Clients differ in where they look for the lock token: it is in the map and in the message. */
const locked = (delivery: Delivery): AmqpValue.AmqpValue => ({
  message: outgoing(delivery.message, delivery),
  "lock-token": AmqpValue.uuid(delivery.lockToken)
})
