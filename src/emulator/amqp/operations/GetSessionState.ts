/**
 * `com.microsoft:get-session-state`: answers the state of a session, `null` where it has none. Refused as
 * `com.microsoft:session-lock-lost` with 410 where this connection does not hold the session.
 *
 * Source: "Get session state" of the Service Bus AMQP request-response guide.
 */
import { type Operation, result } from "./Operation.ts"
import { onSession } from "./SessionRequest.ts"

export const GetSessionState: Operation = onSession(
  "com.microsoft:get-session-state",
  (connection, sessions, sessionId) =>
    result(connection, sessions.state(sessionId, connection), (state) => ({ "session-state": state ?? null }))
)
