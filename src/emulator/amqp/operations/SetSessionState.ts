/**
 * `com.microsoft:set-session-state`: sets the state of a session, or clears it with `null`; its lock runs on. Refused as
 * `com.microsoft:session-lock-lost` with 410 where this connection does not hold the session.
 *
 * Source: "Set session state" of the Service Bus AMQP request-response guide.
 */
import { fieldOf } from "../../../internal/amqp/codec/DecodedValue.ts"
import { refuse } from "../NodeRequest.ts"
import { type Operation, result } from "./Operation.ts"
import { onSession } from "./SessionRequest.ts"

export const SetSessionState: Operation = onSession(
  "com.microsoft:set-session-state",
  (connection, sessions, sessionId, queue, request) => {
    const state = fieldOf(request.body, "session-state")
    if (state !== null && state !== undefined && !(state instanceof Uint8Array)) {
      return refuse(connection.namespace.conditions.argument(queue.path, "session-state must be binary or null."))
    }
    return result(connection, sessions.setState(sessionId, connection, state ?? undefined), () => ({}))
  }
)
