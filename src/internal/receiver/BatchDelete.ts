/**
 * Deleting messages without receiving them, by requests to the `$management` node of the entity.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import {
  type DeleteMessagesError,
  type OperationTimeoutError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { isTime, outOfRange } from "../options.ts"
import type { Asking } from "./ReceiverState.ts"

/** What a request can ask for: an int. How many of them one request may delete is the service's to say. */
const mostAsked = 0x7fffffff

/** What one request of a purge asks for: as many as the Standard tier allows. */
const purgeSize = 500

type Failure = DeleteMessagesError | SessionLockLostError

interface Options {
  readonly before?: DateTime.Utc | undefined
  readonly max?: number | undefined
}

/**
 * One request. It is tried again only while nothing has left: where an answer is lost, so is the count, and another request
 * deletes others.
 */
const request = (self: Asking, count: number, before: DateTime.Utc): Effect.Effect<number, Failure> => {
  const { entity, namespace, session } = self
  let unanswered: OperationTimeoutError | undefined
  return Effect.flatMap(
    namespace.retryPolicy.run(
      Effect.catchTag(
        namespace.withManagementNode(
          entity.path,
          self.isOpen,
          (node, timeout) =>
            EntityManagement.deleteMessages(node, {
              entity: entity.path,
              count,
              before,
              sessionId: session?.id,
              timeout
            })
        ),
        "OperationTimeoutError",
        (error) => {
          if (error.outcome === "notSent") return Effect.fail(error)
          unanswered = error
          return Effect.succeed(0)
        }
      )
    ),
    (deleted) => unanswered === undefined ? Effect.succeed(deleted) : Effect.fail(unanswered)
  )
}

const checked = (
  self: Asking,
  max: number,
  before: DateTime.Utc | undefined
): Effect.Effect<DateTime.Utc, Failure> => {
  if (!Number.isInteger(max) || max < 1 || max > mostAsked) {
    return Effect.fail(outOfRange(self.entity.path, "max", `an integer from 1 to ${mostAsked}`))
  }
  if (before !== undefined && !isTime(before)) {
    return Effect.fail(outOfRange(self.entity.path, "before", "a DateTime"))
  }
  return before === undefined ? DateTime.now : Effect.succeed(DateTime.toUtc(before))
}

/** Deletes up to `max` messages, and gives how many it were. */
export const deleteMessages = (self: Asking, options: Options): Effect.Effect<number, Failure> => {
  const { before, max = 1 } = options
  return Effect.flatMap(checked(self, max, before), (time) => request(self, max, time))
}

/** Deletes until there is nothing left that may be, or `limit` are, and gives how many it were. */
export const purge = Effect.fnUntraced(function*(
  self: Asking,
  options: Options,
  limit = Infinity
): Effect.fn.Return<number, Failure> {
  const { before, max = purgeSize } = options
  const time = yield* checked(self, max, before)
  let total = 0
  while (total < limit) {
    const deleted = yield* request(self, Math.min(max, limit - total), time)
    if (deleted === 0) break
    total += deleted
  }
  return total
})
