/**
 * Deleting messages without receiving them, by requests to the `$management` node of the entity.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type {
  DeleteMessagesError,
  InvalidOptionError,
  OperationTimeoutError,
  SessionLockLostError
} from "../../ServiceBusError.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { type DeleteOptions, isTime, outOfRange } from "../options.ts"
import type { Requester } from "./ReceiverState.ts"

/** What a request can ask for: an int. How many of them one request may delete is the service's to say. */
const mostAsked = 0x7fffffff

/** What one request of a purge asks for: as many as the Standard tier allows. */
const purgeSize = 500

type Lost = SessionLockLostError

/**
 * One request. It is tried again only while nothing has left: where an answer is lost, so is the count, and another request
 * deletes others.
 */
const request = <L extends Lost>(
  requester: Requester<L>,
  count: number,
  before: DateTime.Utc
): Effect.Effect<number, DeleteMessagesError | L> => {
  const { entity, namespace, session } = requester
  let unanswered: OperationTimeoutError | undefined
  return Effect.flatMap(
    namespace.retryPolicy.run(
      Effect.catch(
        namespace.withManagementNode(
          entity.path,
          requester.isOpen,
          (node, timeout) =>
            EntityManagement.deleteMessages(node, {
              entity: entity.path,
              count,
              before,
              sessionId: session?.id,
              timeout
            })
        ),
        (error) => {
          if (!isTimeout(error) || error.outcome === "notSent") return Effect.fail(error)
          unanswered = error
          return Effect.succeed(0)
        }
      )
    ),
    (deleted) => unanswered === undefined ? Effect.succeed(deleted) : Effect.fail(unanswered)
  )
}

const isTimeout = (error: DeleteMessagesError | Lost): error is OperationTimeoutError =>
  error._tag === "OperationTimeoutError"

const checkedTime = (
  requester: Requester,
  max: number,
  before: DateTime.Utc | undefined
): Effect.Effect<DateTime.Utc, InvalidOptionError> => {
  if (!Number.isInteger(max) || max < 1 || max > mostAsked) {
    return Effect.fail(outOfRange(requester.entity.path, "max", `an integer from 1 to ${mostAsked}`))
  }
  if (before !== undefined && !isTime(before)) {
    return Effect.fail(outOfRange(requester.entity.path, "before", "a DateTime"))
  }
  return before === undefined ? DateTime.now : Effect.succeed(DateTime.toUtc(before))
}

/** Deletes up to `max` messages, and gives how many it were. */
export const deleteMessages = <L extends Lost>(
  requester: Requester<L>,
  options: DeleteOptions
): Effect.Effect<number, DeleteMessagesError | L> => {
  const { before, max = 1 } = options
  return Effect.flatMap(checkedTime(requester, max, before), (time) => request(requester, max, time))
}

/** Deletes until there is nothing left that may be, or `limit` are, and gives how many it were. */
export const purge = Effect.fnUntraced(function*<L extends Lost>(
  requester: Requester<L>,
  options: DeleteOptions,
  limit = Infinity
): Effect.fn.Return<number, DeleteMessagesError | L> {
  const { before, max = purgeSize } = options
  const time = yield* checkedTime(requester, max, before)
  let total = 0
  while (total < limit) {
    const deleted = yield* request(requester, Math.min(max, limit - total), time)
    if (deleted === 0) break
    total += deleted
  }
  return total
})
