/**
 * When a handler that failed is run again in place: what callers give for `retry`, checked, and the handler with it.
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type InvalidOptionError } from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import { checkedNames, effectOrDie, isEffect, isSchedule, outOfRange, readOptions } from "../options.ts"

type Predicate<E> = (error: E) => boolean | Effect.Effect<boolean>

/** What `Effect.retry` takes. */
interface Policy<in E> {
  readonly times?: number | undefined
  readonly while?: Predicate<E> | undefined
  readonly until?: Predicate<E> | undefined
  readonly schedule?: Schedule.Schedule<unknown, E> | undefined
}

/** As a caller gives it. */
export type Retry<E> = Schedule.Schedule<unknown, E> | Policy<E>

const oneOfThem = "a Schedule, or an object with times, while, until or schedule"

/** The same, of which each field is what it is to be. */
export const check = <E>(
  entity: string,
  retry: Retry<E> | undefined
): Effect.Effect<Policy<E> | undefined, InvalidOptionError> => {
  if (retry === undefined) return Effect.undefined
  if (isSchedule(retry)) return Effect.succeed({ schedule: retry as Schedule.Schedule<unknown, E> })
  const refuse = (option: string, expected: string) => Effect.fail(outOfRange(entity, option, expected))
  if (typeof retry !== "object") return refuse("retry", oneOfThem)
  const read = Result.flatMap(
    readOptions(entity, retry as Policy<E>, "retry"),
    (policy) => checkedNames(entity, "retry", policy, ["times", "while", "until", "schedule"], oneOfThem)
  )
  return Effect.flatMap(Effect.fromResult(read), (policy) => {
    const { schedule, times, until } = policy
    // `while` is a word of the language.
    const whilst = policy.while
    if (times !== undefined && times !== Infinity && !(Number.isSafeInteger(times) && times >= 0)) {
      return refuse("retry.times", "an integer of 0 or more")
    }
    if (schedule !== undefined && !isSchedule(schedule)) return refuse("retry.schedule", "a Schedule")
    if (whilst !== undefined && typeof whilst !== "function") return refuse("retry.while", "a function")
    if (until !== undefined && typeof until !== "function") return refuse("retry.until", "a function")
    // `Effect.retry` would go on without end, and without a pause.
    if (schedule === undefined && times === undefined && whilst === undefined && until === undefined) {
      return refuse("retry", oneOfThem)
    }
    return Effect.succeed({
      times,
      schedule,
      while: whilst && decided(entity, "retry.while", whilst),
      until: until && decided(entity, "retry.until", until)
    })
  })
}

/** A predicate that decides: what is neither a boolean nor an Effect would count as true, a promise say. */
const decided = <E>(entity: string, option: string, predicate: Predicate<E>): Predicate<E> => (error) => {
  const given = predicate(error)
  return typeof given === "boolean" || isEffect(given)
    ? given
    : Effect.die(outOfRange(entity, option, "a function that gives a boolean, or an Effect of one"))
}

/** A handler that runs in a scope of its own, and again where it fails and its policy says so. */
export const withRetry = <A, E, R, B>(
  handler: (messages: Arr.NonEmptyReadonlyArray<LockedMessage<A>>) => Effect.Effect<B, E, R>,
  retry: Policy<E> | undefined
) =>
(messages: Arr.NonEmptyReadonlyArray<LockedMessage<A>>): Effect.Effect<B, E, Exclude<R, Scope.Scope>> => {
  const once = Effect.scoped(Effect.suspend(() => effectOrDie(undefined, "handler", handler(messages))))
  return retry === undefined ? once : Effect.retry(once, retry)
}
