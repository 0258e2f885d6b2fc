/**
 * `com.microsoft:get-message-sessions`: a page of the ids of the sessions that are active or, for any time but one, of those
 * whose state was set after it; 204 where there are none.
 *
 * Source: "Enumerate sessions" of the Service Bus AMQP request-response guide; Azure.Messaging.ServiceBus for the time that
 * asks for the active ones, and for pages by the last id.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import { noContent, ok, type Operation, optional, required } from "./Operation.ts"
import { onSessions } from "./SessionRequest.ts"

/**
 * This time alone asks for the sessions that are active, not for those whose state changed after it: `DateTime.MaxValue` as
 * .NET and all other official clients write it.
 */
const active = 253_402_300_800_000

const mostListed = 100

export const GetMessageSessions: Operation = onSessions(
  "com.microsoft:get-message-sessions",
  (_connection, sessions, _queue, request) => {
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
  },
  "listSessions"
)
