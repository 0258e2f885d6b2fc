/**
 * How an operation is tried again: exponential backoff with full jitter, only while its error can pass, at most so often;
 * and one gate per namespace that holds everybody back while the service throttles.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as E from "../ServiceBusError.ts"

/** Options of retrying, checked. Durations are milliseconds. */
export interface Settings {
  /** How often a failed operation is tried again. */
  readonly maxRetries: number
  /** The first delay; each one after it may be twice as long. */
  readonly delay: number
  readonly maxDelay: number
}

/** What .NET's SDK does by default. */
export const defaults: Settings = { maxRetries: 3, delay: 800, maxDelay: 60_000 }

/** Whether an operation may be tried again on a new link: also where the host is away for a moment. */
const canPass = (error: E.Any): boolean => error.isTransient || error._tag === "ServiceBusCommunicationError"

/** Between 0 and the backoff: full jitter keeps many clients from coming back together. */
const jittered = (settings: Settings) =>
  Schedule.exponential(settings.delay).pipe(
    Schedule.modifyDelay(({ duration }) =>
      Effect.map(Random.next, (random) =>
        Duration.millis(Math.min(settings.maxDelay, Duration.toMillis(duration)) * random))
    )
  )

/** Holds everybody back for as long as the service asks; it opens by time alone. */
export interface Gate {
  /** Waits while the gate is closed. */
  readonly wait: Effect.Effect<void>
  /** Closes it where an error says that the service throttles. */
  readonly close: (error: { readonly _tag: string; readonly retryAfter?: Duration.Duration }) => void
}

export const makeGate: Effect.Effect<Gate> = Effect.map(Clock.Clock, (clock) => {
  let until = 0
  const wait: Effect.Effect<void> = Effect.suspend(() => {
    const left = until - clock.currentTimeMillisUnsafe()
    return left > 0 ? Effect.andThen(Effect.sleep(left), wait) : Effect.void
  })
  return {
    wait,
    close: (error) => {
      if (error._tag !== "ServiceBusServerBusyError" || error.retryAfter === undefined) return
      until = Math.max(until, clock.currentTimeMillisUnsafe() + Duration.toMillis(error.retryAfter))
    }
  }
})

/** The error with how often the operation was tried. Errors are values: it is a new one. */
const withAttempts = <Err extends E.Any>(error: Err, attempts: number): Err => {
  if (attempts <= 1 || !("attempts" in error)) return error
  const { constructor } = error as unknown as { constructor: new(fields: object) => Err }
  return new constructor({ ...error, attempts })
}

/** Runs an operation under the gate, and again while its error can pass. */
export const run = <A, Err extends E.Any, R>(
  gate: Gate,
  settings: Settings,
  operation: Effect.Effect<A, Err, R>
): Effect.Effect<A, Err, R> =>
  Effect.suspend(() => {
    let attempts = 0
    const attempt = Effect.andThen(
      gate.wait,
      Effect.suspend(() => {
        attempts++
        return operation
      })
    ).pipe(Effect.tapError((error) => Effect.sync(() => gate.close(error))))
    if (settings.maxRetries === 0) return attempt
    return attempt.pipe(
      Effect.retry({ schedule: jittered(settings), times: settings.maxRetries, while: canPass }),
      Effect.mapError((error) => withAttempts(error, attempts))
    )
  })

/** Runs an operation again and again until it succeeds or its error cannot pass: for what runs for ever. */
export const forever = <A, Err extends E.Any, R>(
  gate: Gate,
  operation: Effect.Effect<A, Err, R>
): Effect.Effect<A, Err, R> =>
  Effect.andThen(gate.wait, operation).pipe(
    Effect.tapError((error) => Effect.sync(() => gate.close(error))),
    Effect.retry({ schedule: jittered({ maxRetries: Infinity, delay: 100, maxDelay: 30_000 }), while: canPass })
  )
