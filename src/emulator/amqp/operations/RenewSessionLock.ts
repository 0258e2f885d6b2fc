/**
 * `com.microsoft:renew-session-lock`: starts the clock of a session's lock anew and answers when it ends. Refused as
 * `com.microsoft:session-lock-lost` with 410 where this connection does not hold the session.
 *
 * Source: "Session renew lock" of the Service Bus AMQP request-response guide.
 */
import * as DateTime from "effect/DateTime"
import { type Operation, result } from "./Operation.ts"
import { onSession } from "./SessionRequest.ts"

export const RenewSessionLock: Operation = onSession(
  "com.microsoft:renew-session-lock",
  (connection, sessions, sessionId) =>
    result(connection, sessions.renew(sessionId, connection), (until) => ({
      expiration: DateTime.makeUnsafe(Math.floor(until))
    })),
  "renew"
)
