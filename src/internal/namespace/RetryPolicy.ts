/**
 * How an operation is tried again: exponential backoff with full jitter, only while its error is retryable, at most so often.
 * Each namespace has one policy, and all its operations wait together while the service throttles.
 *
 * An operation that succeeds at once pays for none of this.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as E from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic, wholeMillis } from "../monotonicClock.ts"

/** Options of retrying, checked. Durations are milliseconds. */
export interface Settings {
  /** How often a failed operation is tried again. */
  readonly maxRetries: number
  /** The first delay; each one after it may be twice as long. */
  readonly delay: number
  readonly maxDelay: number
  /** Decides instead of these numbers, from the errors of the tries. */
  readonly schedule?: Schedule.Schedule<unknown, E.Any> | undefined
}

/** What .NET's SDK does by default. */
export const defaults: Settings = { maxRetries: 3, delay: 800, maxDelay: 60_000 }

/** For what runs until it is stopped: soon at first, and never more than half a minute apart, or what the settings say. */
const untilItSucceeds: Settings = { maxRetries: Infinity, delay: 100, maxDelay: 30_000 }

/** The longest throttling advice that is followed, in milliseconds; the service advises ten seconds. */
const longestAdvice = 300_000

/**
 * Whether an operation may be tried again after an error: also where the host is unreachable, but not where it is untrusted.
 */
export const isRetryable = (error: E.Any): boolean =>
  error.isTransient || error._tag === "ServiceBusCommunicationError" && !errorMap.isUntrusted(error.cause)

/** The same for what runs until it is stopped: a quota that is used up now may be free again later. */
const isRetryableLater = (error: E.Any): boolean => isRetryable(error) || errorMap.isLimitReached(error)

/**
 * Between 0 and the backoff: full jitter keeps many clients from coming back together. A schedule that was given has the delays
 * that it wants. `left` is for how long at most.
 */
const delays = (settings: Settings, left: () => number): Schedule.Schedule<unknown, E.Any> => {
  const atMost = (millis: number) => Duration.millis(Math.min(left(), wholeMillis(millis)))
  return settings.schedule === undefined
    ? Schedule.exponential(settings.delay).pipe(
      Schedule.modifyDelay(({ duration }) =>
        Effect.map(Random.next, (random) => atMost(Math.min(settings.maxDelay, Duration.toMillis(duration)) * random))
      )
    )
    : Schedule.modifyDelay(settings.schedule, ({ duration }) => Effect.sync(() => atMost(Duration.toMillis(duration))))
}

/** The error with how often the operation was tried. */
const withAttempts = <Err extends E.Any>(error: Err, attempts: number): Err =>
  attempts <= 1 || !("attempts" in error) ? error : errorMap.withFields(error, { attempts })

/** What the caller knows of an operation before its first try. */
interface RunOptions<in Err> {
  /** An earlier request for the same, whose outcome is unknown. */
  readonly lost?: E.OperationTimeoutError | undefined
  /** Whether an error is the answer whatever an earlier try did: for example that the lock to be renewed is lost. */
  readonly isFinal?: (error: Err) => boolean
}

/** A time after which nothing is waited for any more, and what is done instead of an operation that is held back until then. */
interface Limit<out A, out Err, out R> {
  /** Milliseconds of the monotonic clock. */
  readonly until: number
  readonly otherwise: Effect.Effect<A, Err, R>
}

export interface RetryPolicy {
  /** Holds all operations back for as long as a throttling error advises. */
  readonly applyAdvice: (error: E.Any) => void
  /** Whether an operation that failed with an error is tried again at all. */
  readonly isRetried: (error: E.Any) => boolean
  /**
   * Runs an operation that changes something, and again while its error is retryable, as often as the settings say. Once a try
   * may have been carried out, no later failure says that it was not: it is OperationTimeoutError (`outcome: "unknown"`), and
   * what the last try failed with is its cause.
   */
  readonly run: <A, Err extends E.Any, R>(
    operation: Effect.Effect<A, Err, R>,
    options?: RunOptions<NoInfer<Err>>
  ) => Effect.Effect<A, Err, R>
  /**
   * The same for what changes nothing or may be repeated: the last try's error is the answer. `onRetry` hears of each try
   * that failed and is made again.
   */
  readonly runIdempotent: <A, Err extends E.Any, R>(
    operation: Effect.Effect<A, Err, R>,
    limit?: Limit<A, Err, R>,
    onRetry?: (error: Err) => void
  ) => Effect.Effect<A, Err, R>
  /** The same without a limit of tries, until it succeeds or its error is not retryable: for what runs until it is stopped. */
  readonly retryUntilSuccess: <A, Err extends E.Any, R>(
    operation: Effect.Effect<A, Err, R>,
    limit?: Limit<A, Err, R>,
    onRetry?: (error: Err) => void
  ) => Effect.Effect<A, Err, R>
}

const isUnknown = (error: E.Any): error is E.OperationTimeoutError =>
  error._tag === "OperationTimeoutError" && error.outcome === "unknown"

/** The error of an operation of which an earlier try may have been carried out, by what the last one failed with. */
const stillUnknown = (lost: E.OperationTimeoutError, last: E.Any): E.OperationTimeoutError =>
  new E.OperationTimeoutError({
    ...lost,
    outcome: "unknown",
    description: `a try was not answered and may have been carried out, and the last one failed: ${last.message}`,
    cause: last
  })

/** What is told of what the policy does. */
interface Hooks {
  /** A try failed, and is made again. */
  readonly onRetry: () => void
  /** The service throttles, from now on. */
  readonly onThrottled: (error: E.Any, advice: Duration.Duration) => void
  /** Opened when the namespace closes. Nothing pauses from then on: a next try fails at once, and no timer is left behind. */
  readonly closing: Latch.Latch
}

const noHooks: Hooks = { onRetry: () => {}, onThrottled: () => {}, closing: Latch.makeUnsafe() }

export const make = (settings: Settings, hooks: Hooks = noHooks): Effect.Effect<RetryPolicy> =>
  Effect.map(Clock.Clock, (clock) => {
    /** Until when the service throttles, in milliseconds. It passes by time, never by a caller's fiber. */
    let throttledUntil = 0
    const { closing } = hooks
    const pause = (duration: Duration.Input): Effect.Effect<void> =>
      Effect.suspend(() => closing.isOpen() ? Effect.void : Effect.raceFirst(Effect.sleep(duration), closing.await))
    const applyAdvice = (error: E.Any): void => {
      if (error._tag !== "ServiceBusServerBusyError") return
      const advice = wholeMillis(Math.min(longestAdvice, Duration.toMillis(error.retryAfter)))
      const now = monotonic(clock)
      const isBegun = throttledUntil > now
      throttledUntil = Math.max(throttledUntil, now + advice)
      if (!isBegun && advice > 0) hooks.onThrottled(error, Duration.millis(advice))
    }
    const retry = <A, Err extends E.Any, R>(
      by: Settings,
      operation: Effect.Effect<A, Err, R>,
      options: RunOptions<Err> | undefined,
      limit?: Limit<A, Err, R>,
      onRetry?: (error: Err) => void
    ): Effect.Effect<A, Err, R> => {
      const isRetryableHere = by === endless ? isRetryableLater : isRetryable
      const left = (): number => limit === undefined ? Infinity : Math.max(0, limit.until - monotonic(clock))
      const attempt: Effect.Effect<A, Err, R> = Effect.suspend(() => {
        const throttled = throttledUntil - monotonic(clock)
        if (throttled <= 0 || closing.isOpen()) return operation
        const rest = left()
        return limit !== undefined && throttled > rest
          ? Effect.andThen(pause(rest), limit.otherwise)
          : Effect.andThen(pause(throttled), attempt)
      })
      return Effect.catch(attempt, (first) => {
        let lost = options?.lost
        const note = (error: Err): void => {
          applyAdvice(error)
          if (options !== undefined && isUnknown(error)) lost ??= error
        }
        /** One that was lost is among the operation's own errors. */
        const reported = (error: Err): Err =>
          lost === undefined || isUnknown(error) || options?.isFinal?.(error) === true
            ? error
            : stillUnknown(lost, error) as E.Any as Err
        note(first)
        const isWorth = (error: Err): boolean => isRetryableHere(error) && left() > 0
        if (by.maxRetries === 0 || !isWorth(first)) return Effect.fail(reported(first))
        const schedule: Schedule.Schedule<unknown, Err> = delays(by, left)
        const retries = schedule.pipe(
          Schedule.while(({ attempt, input }) => Effect.succeed(attempt <= by.maxRetries && isWorth(input))),
          // Only here is it certain that there is another try: a schedule says for itself when it ends.
          Schedule.tap(({ input }) =>
            Effect.sync(() => {
              hooks.onRetry()
              onRetry?.(input)
            })
          ),
          // The schedule makes the pause itself and leaves no delay: that of Effect.retry could not end with the client. It
          // stands last, so that what is above hears of a try before the pause.
          Schedule.modifyDelay(({ duration }) => Effect.as(pause(duration), Duration.zero))
        )
        let attempts = 0
        return Effect.suspend(() => attempts++ === 0 ? Effect.fail(first) : attempt).pipe(
          Effect.tapError((error) => Effect.sync(() => note(error))),
          Effect.retry(retries),
          Effect.mapError((error) => withAttempts(reported(error), attempts))
        )
      })
    }
    const endless = { ...untilItSucceeds, maxDelay: Math.min(untilItSucceeds.maxDelay, settings.maxDelay) }
    return {
      applyAdvice,
      isRetried: (error) => settings.maxRetries > 0 && isRetryable(error),
      run: (operation, options = {}) => retry(settings, operation, options),
      runIdempotent: (operation, limit, onRetry) => retry(settings, operation, undefined, limit, onRetry),
      retryUntilSuccess: (operation, limit, onRetry) => retry(endless, operation, undefined, limit, onRetry)
    }
  })
