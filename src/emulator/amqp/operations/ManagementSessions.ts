/**
 * What the `$management` node of an entity with sessions does for them: their locks, their states, and the list of them
 * (Service Bus protocol guide, session operations).
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as AmqpValue from "../../../AmqpValue.ts"
import type { AmqpError } from "../../../internal/amqp/codec/Outcome.ts"
import type { Queue, Sessions } from "../../broker/Queue.ts"
import { type Answer, field, noContent, ok, optional, refuse, type Request, required, result } from "../Request.ts"
import type { Served } from "../ServedConnection.ts"

/** Why a request on behalf of a session is refused: it is not held by this connection. */
export const isLost = (served: Served, queue: Queue, sessionId: string | undefined): AmqpError | undefined => {
  if (queue.sessions === undefined || sessionId === undefined) return undefined
  const held = queue.sessions.isHeld(sessionId, served)
  return Result.isFailure(held) ? served.door.refusals.of(held.failure) : undefined
}

export const answer = (served: Served, queue: Queue, request: Request): Answer => {
  const { refusals } = served.door
  const { sessions } = queue
  if (sessions === undefined) {
    return refuse(refusals.notAllowed(queue.path, "The entity does not require sessions."))
  }
  if (request.operation === "com.microsoft:get-message-sessions") return list(served, queue, sessions, request)
  const id = required.text(request.body, "session-id")
  switch (request.operation) {
    case "com.microsoft:renew-session-lock": {
      const fault = served.door.fault("renew", queue.path)
      if (fault !== undefined) return refuse(fault)
      return result(served, sessions.renew(id, served), (until) => ({
        expiration: DateTime.makeUnsafe(Math.floor(until))
      }))
    }
    case "com.microsoft:get-session-state":
      return result(served, sessions.state(id, served), (state) => ({ "session-state": state ?? null }))
    default: {
      const state = field(request.body, "session-state")
      if (state !== null && state !== undefined && !(state instanceof Uint8Array)) {
        return refuse(refusals.argument(queue.path, "session-state must be binary or null."))
      }
      return result(served, sessions.setState(id, served, state ?? undefined), () => ({}))
    }
  }
}

/**
 * This time alone asks for the sessions that are active, not for those whose state changed after it: `DateTime.MaxValue` as
 * .NET and all other official clients write it.
 */
const active = 253_402_300_800_000

const mostListed = 100

const list = (served: Served, queue: Queue, sessions: Sessions, request: Request): Answer => {
  const fault = served.door.fault("listSessions", queue.path)
  if (fault !== undefined) return refuse(fault)
  const millis = required.time(request.body, "last-updated-time")
  const skip = required.int(request.body, "skip", 0)
  const top = Math.min(mostListed, required.int(request.body, "top", 0))
  const last = optional.text(request.body, "last-session-id")
  const page = sessions.list({
    count: top,
    // By the last id, where it is given: sessions come and go between two pages.
    skip: last === undefined ? skip : 0,
    after: last,
    updatedSince: millis === active ? undefined : millis
  })
  if (page.length === 0) return noContent
  return ok({
    skip: AmqpValue.typed("int", skip + page.length),
    "sessions-ids": AmqpValue.array("string", page)
  })
}
