/**
 * The session that a request speaks of, and the operations that entities with sessions alone have. What is done to a session
 * under its lock must come from the connection that holds it: the connection is the owner that the broker's sessions know.
 *
 * Source: "Session operations" of the Service Bus AMQP request-response guide.
 */
import * as Result from "effect/Result"
import type { AmqpError } from "../../../internal/amqp/codec/Outcome.ts"
import type { Queue, Sessions } from "../../broker/Queue.ts"
import type { FaultOperation } from "../Faults.ts"
import { type Answer, refuse, type Request } from "../NodeRequest.ts"
import type { ServedConnection } from "../ServedConnection.ts"
import { type Operation, optional, required, text } from "./Operation.ts"

/** The session of a request. Go names only the link that holds it (azure-sdk-for-go, azservicebus). */
export const sessionIdOf = (connection: ServedConnection, { body, properties }: Request): string | undefined =>
  optional.text(body, "session-id") ?? connection.heldSessions.get(text(properties["associated-link-name"]) ?? "")

/** Why a request on behalf of a session is refused: it is not held by this connection. */
export const lostSession = (
  connection: ServedConnection,
  queue: Queue,
  sessionId: string | undefined
): AmqpError | undefined => {
  if (queue.sessions === undefined || sessionId === undefined) return undefined
  const held = queue.sessions.isHeld(sessionId, connection)
  return Result.isFailure(held) ? connection.namespace.conditions.of(held.failure) : undefined
}

/** An operation on the sessions of an entity; refused as not allowed where the entity does not require sessions. */
export const onSessions = (
  name: string,
  run: (connection: ServedConnection, sessions: Sessions, queue: Queue, request: Request) => Answer,
  kind?: FaultOperation
): Operation => ({
  name,
  right: "Listen",
  ...(kind === undefined ? {} : { kind }),
  run: (connection, queue, request) =>
    queue.sessions === undefined
      ? refuse(connection.namespace.conditions.notAllowed(queue.path, "The entity does not require sessions."))
      : run(connection, queue.sessions, queue, request)
})

/** An operation on the session that the request names. */
export const onSession = (
  name: string,
  run: (connection: ServedConnection, sessions: Sessions, sessionId: string, queue: Queue, request: Request) => Answer,
  kind?: FaultOperation
): Operation =>
  onSessions(
    name,
    (connection, sessions, queue, request) =>
      run(connection, sessions, required.text(request.body, "session-id"), queue, request),
    kind
  )
