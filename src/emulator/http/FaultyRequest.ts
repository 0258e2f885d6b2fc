/**
 * How a request over HTTP goes on that a fault has struck: it is refused, answered late or not at all, or its connection is cut.
 * It waits by the clock of the fiber that answers, and an interruption ends it.
 */
import * as Effect from "effect/Effect"
import { throttledText } from "../amqp/Conditions.ts"
import type { Action } from "../amqp/Faults.ts"
import * as Condition from "./HttpCondition.ts"
import { cut, type HttpAnswer } from "./HttpMessage.ts"

/** Goes on with a request. One that is not answered ends with its socket. */
export const perform = (
  struck: Action,
  performed: Effect.Effect<HttpAnswer>,
  refuse: (condition: Condition.HttpCondition) => HttpAnswer
): Effect.Effect<HttpAnswer> => {
  switch (struck.action) {
    case "error":
      return Effect.succeed(refuse(Condition.injected(struck.error)))
    case "throttle": {
      const answer = refuse(
        Condition.injected({ condition: "com.microsoft:server-busy", description: throttledText(struck.retryAfter) })
      )
      const seconds = String(Math.ceil(struck.retryAfter / 1000))
      return Effect.succeed({ ...answer, headers: { ...answer.headers, "retry-after": seconds } })
    }
    case "delay":
      return struck.when === "before"
        ? Effect.delay(performed, struck.delay)
        : Effect.tap(performed, Effect.sleep(struck.delay))
    case "drop":
      return struck.when === "before" ? Effect.never : Effect.andThen(performed, Effect.never)
    case "disconnect":
      return struck.when === "before" ? Effect.succeed(cut) : Effect.as(performed, cut)
    case "detach":
    case "endSession":
    case "loseLock":
      // No fault of administration has these, which is checked where faults are made.
      return performed
  }
}
