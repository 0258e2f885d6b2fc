/**
 * Handles each message of a stream, and settles it as its handler says: through the receiver that received it, which the
 * message knows.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { InvalidOptionError, type SettleError } from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import * as Settlement from "../../Settlement.ts"
import { Locked } from "../message/ReceivedMessage.ts"
import { callForEffect, readOptions } from "../options.ts"
import { subjectOf } from "../telemetry/EventReporter.ts"
import * as Completion from "./Completion.ts"
import type { WithoutSession } from "./ReceiverState.ts"
import * as Settler from "./Settler.ts"

export const settleEach = <A, E, R, E2, R2, P>(
  messages: Stream.Stream<LockedMessage<A> & P, E2, R2>,
  handler: (body: A, message: LockedMessage<A> & P) => Effect.Effect<Settlement.Settlement | void, E, R>,
  options: { readonly concurrency?: number | undefined } | undefined
): Stream.Stream<Settlement.Settlement, E | E2 | SettleError, R | R2> => {
  const read = readOptions(undefined, options)
  if (Result.isFailure(read)) return Stream.fail(read.failure)
  const { concurrency = 1 } = read.success
  if (typeof concurrency !== "number" || !(concurrency >= 1)) {
    return Stream.fail(new InvalidOptionError({ option: "concurrency", expected: "a number of 1 or more" }))
  }
  return Stream.mapEffect(
    messages,
    Effect.fnUntraced(function*(message: LockedMessage<A> & P) {
      const state = Locked.ownerOf(message) as WithoutSession | undefined
      if (state === undefined) {
        return yield* new InvalidOptionError({ option: "messages", expected: "the messages of a receiver" })
      }
      const abandon = Effect.catchCause(
        Settler.settle(state, [message], Settlement.abandon()),
        (cause) => Settler.reportUnsettled(state, cause, subjectOf(message))
      )
      const handled = Effect.uninterruptibleMask((restore) =>
        Effect.onError(
          restore(callForEffect(undefined, "handler", handler, message.body, message)),
          (cause) =>
            // A handler that ends as interrupted may have done so itself: only where the stream is, nothing can be restored.
            Cause.hasInterruptsOnly(cause)
              ? Effect.matchCauseEffect(restore(Effect.void), {
                onFailure: () => Effect.void,
                onSuccess: () => Completion.run(restore, abandon)
              })
              : Completion.run(restore, abandon)
        )
      )
      return yield* state.telemetry.runHandler(
        [message],
        handled,
        (exit) =>
          Effect.flatMap(exit, (given) => {
            const settlement = given ?? Settlement.complete
            return Effect.as(Settler.settle(state, [message], settlement), settlement)
          })
      )
    }),
    { concurrency, unordered: true }
  )
}
