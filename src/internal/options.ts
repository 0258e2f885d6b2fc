/**
 * Options, checked: the types that several public modules share, what callers give read once and without a defect, and the
 * error of what is out of range.
 *
 * Options and lists may be values of any kind, and their getters and proxies may throw: what cannot be read is refused as an
 * option that is out of range. Public declarations name the types here, so this module imports nothing whose own
 * declarations need more than Effect's.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { randomUUID } from "node:crypto"
import { InvalidOptionError, type MessageDecodeError } from "../ServiceBusError.ts"
import { isLogLevel, type LogLevelOption } from "../ServiceBusEvent.ts"
import { wholeMillis } from "./monotonicClock.ts"

/** What becomes of a message whose bytes or body cannot be decoded. @inline */
export type Undecodable = "deadLetter" | "abandon" | "fail"

/** A body that does not decode is an error where the receiver is told to fail. */
export type Failure<U> = "fail" extends U ? MessageDecodeError : never

/**
 * How much to receive, and how long to wait for it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReceiveOptions {
  /** The most messages to give, 1 to 5000. 1 by default. */
  readonly max?: number | undefined
  /**
   * How long to wait for the first message, 60 seconds by default: whatever keeps it away, also another call of this
   * receiver, a service that throttles the client, or a link that is attached again (which goes on, for the next call). The
   * latter two may take a second in any case. Where tries failed until then, the last one's error is the answer.
   */
  readonly maxWait?: Duration.Input | undefined
  /** How long to wait for more after the first one; by default not at all: what the broker has by then is given. */
  readonly maxWaitAfterFirst?: Duration.Input | undefined
}

/**
 * What to look at.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeekOptions {
  /** The most messages to give, 1 to 5000. 1 by default, for `browse` 100 per request. */
  readonly max?: number | undefined
  /** The sequence number to begin with. By default the first message there is. */
  readonly from?: bigint | undefined
}

/**
 * What to look at, without decoding bodies.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeekRawOptions extends PeekOptions {
  /** Has the broker leave the bodies out, where it knows how; it sends them otherwise. They are sent by default. */
  readonly omitBody?: boolean | undefined
}

/**
 * What to delete.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeleteOptions {
  /** Only messages that were enqueued before this time; before now by default. */
  readonly before?: DateTime.Utc | undefined
  /**
   * The most messages of one request, 1 or more. The service has an upper bound of its own, and refuses what is above: 4000
   * in the Premium tier and 500 elsewhere as of today.
   */
  readonly max?: number | undefined
}

/** The most messages that one call gives, and the widest window (what one session may hold comfortably). */
export const maxCount = 5000

export const isCount = (value: number, least = 1): boolean =>
  Number.isInteger(value) && value >= least && value <= maxCount

/** Sequence numbers are longs. */
export const isSequenceNumber = (value: unknown): value is bigint =>
  typeof value === "bigint" && value >= 0n && value < 2n ** 63n

/** Whether a session can have this id (Service Bus quotas). */
export const isSessionId = (id: unknown): boolean => typeof id === "string" && id.length <= 128 && id.isWellFormed()

/** How many at most, or Infinity for all. */
export const isLimit = (value: number): boolean => value === Infinity || Number.isSafeInteger(value) && value >= 1

/** The longest identifier: the peer keeps it for each link, and the frame that attaches one has room for it. */
const maxIdentifier = 512

/** Whether a peer can print it in its logs. */
export const isIdentifier = (value: unknown): value is string =>
  typeof value === "string" && value.length >= 1 && value.length <= maxIdentifier && value.isWellFormed() &&
  !/\p{Cc}/u.test(value)

export const expectedIdentifier = `a well-formed string of 1 to ${maxIdentifier} characters without control characters`

/** The identifier of a sender, receiver or session: what was given, or the entity's path and a random part. */
export const checkedIdentifier = (
  entity: string,
  value: string | undefined
): Result.Result<string, InvalidOptionError> =>
  value === undefined
    ? Result.succeed(`${entity}-${randomUUID()}`)
    : isIdentifier(value)
    ? Result.succeed(value)
    : Result.fail(outOfRange(entity, "identifier", expectedIdentifier))

export const outOfRange = (
  entity: string | undefined,
  option: string,
  expected: string,
  cause?: unknown
): InvalidOptionError =>
  new InvalidOptionError({
    option,
    expected,
    ...(entity === undefined ? {} : { entity }),
    ...(cause === undefined ? {} : { cause })
  })

/** A number of things, in range. */
export const checkedCount = (
  entity: string,
  option: string,
  value: number,
  least = 1
): Result.Result<number, InvalidOptionError> =>
  isCount(value, least)
    ? Result.succeed(value)
    : Result.fail(outOfRange(entity, option, `an integer from ${least} to ${maxCount}`))

/** How long to wait, in milliseconds, in range. */
export const checkedWait = (
  entity: string,
  option: string,
  input: Duration.Input
): Result.Result<number, InvalidOptionError> => {
  const millis = toMillis(input)
  return millis >= 0 ? Result.succeed(millis) : Result.fail(outOfRange(entity, option, "a duration of 0 or more"))
}

/** How long a stream waits for a message before it ends, in milliseconds; Infinity for without end. */
export const checkedStreamWait = (
  entity: string,
  input: Duration.Input | undefined
): Result.Result<number, InvalidOptionError> => {
  const millis = input === undefined ? Infinity : toMillis(input)
  return millis > 0 ? Result.succeed(millis) : Result.fail(outOfRange(entity, "maxWait", "a duration of more than 0"))
}

/** How the locks of a receiver are renewed. */
export const checkedRenewal = (
  entity: string,
  options: { readonly renewalBatch?: number | undefined; readonly renewalMargin?: number | undefined } | undefined
): Result.Result<{ readonly batch: number; readonly margin: number | undefined }, InvalidOptionError> => {
  const { renewalBatch: batch = 1, renewalMargin: margin } = options ?? {}
  const counted = checkedCount(entity, "renewalBatch", batch)
  if (Result.isFailure(counted)) return Result.fail(counted.failure)
  return margin === undefined || typeof margin === "number" && margin > 0 && margin < 1
    ? Result.succeed({ batch, margin })
    : Result.fail(outOfRange(entity, "renewalMargin", "a number above 0 and below 1"))
}

/** The policy that was given, or the default. */
export const checkedUndecodable = (
  entity: string,
  value: Undecodable | undefined
): Result.Result<Undecodable, InvalidOptionError> =>
  value === undefined || value === "deadLetter" || value === "abandon" || value === "fail"
    ? Result.succeed(value ?? "deadLetter")
    : Result.fail(outOfRange(entity, "undecodable", `"deadLetter", "abandon" or "fail"`))

/** The level of events that was given, or a function that gives one; undefined for that of each event. */
export const checkedLogLevel = (
  entity: string | undefined,
  value: LogLevelOption | undefined
): Result.Result<LogLevelOption | undefined, InvalidOptionError> =>
  value === undefined || typeof value === "function" || isLogLevel(value)
    ? Result.succeed(value)
    : refused(
      entity,
      "logLevel",
      `"Fatal", "Error", "Warn", "Info", "Debug", "Trace" or "None", or a function that gives one of them for an event`
    )

/**
 * Milliseconds of a duration, whole and rounded up, Infinity included; NaN for what is none. `Duration` itself takes NaN and
 * `{}` for zero.
 */
export const toMillis = (input: Duration.Input): number => {
  if (typeof input === "number" && Number.isNaN(input) || isEmpty(input)) return NaN
  const duration = Duration.fromInput(input)
  if (duration._tag === "None") return NaN
  const millis = Duration.toMillis(duration.value)
  // Less than nothing does not become nothing.
  return millis > 0 ? wholeMillis(millis) : millis
}

const units = new Set(["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"])

/** An object that says nothing of a duration, or something else; one whose fields cannot be read is none either. */
const isEmpty = (input: Duration.Input): boolean => {
  try {
    if (typeof input !== "object" || Duration.isDuration(input) || Array.isArray(input)) return false
    const keys = Object.keys(input ?? {})
    return keys.length === 0 || !keys.every((key) => units.has(key))
  } catch {
    return true
  }
}

/** What can be read of a value; refused by its name where that throws. */
export const readValue = <A>(
  entity: string | undefined,
  option: string,
  expected: string,
  read: () => A
): Result.Result<A, InvalidOptionError> => {
  try {
    return Result.succeed(read())
  } catch (cause) {
    return refused(entity, option, expected, cause)
  }
}

/** What can be read of a value; undefined where that throws. */
export const readOrUndefined = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

const refused = (
  entity: string | undefined,
  option: string,
  expected: string,
  cause?: unknown
): Result.Result<never, InvalidOptionError> => Result.fail(outOfRange(entity, option, expected, cause))

const none = Object.freeze({})

/** All fields that an object has, also those that its class reads for it. */
const fieldsOf = <O extends object>(value: O): O => {
  const fields = { ...value } as Record<string, unknown>
  let prototype = Object.getPrototypeOf(value)
  while (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name !== "constructor" && !(name in fields)) fields[name] = value[name as keyof O]
    }
    prototype = Object.getPrototypeOf(prototype)
  }
  return fields as O
}

/** The fields of an options object, or none where there is no such object. */
export const readOptions = <O extends object>(
  entity: string | undefined,
  value: O | undefined | null,
  option = "options"
): Result.Result<Partial<O>, InvalidOptionError> => {
  if (value === undefined || value === null) return Result.succeed(none)
  const expected = "an object with options that can be read"
  const read = readValue(
    entity,
    option,
    expected,
    // A promise has no fields: what it will be would not be seen.
    () =>
      typeof value !== "object" || Symbol.iterator in value ||
        typeof (value as { readonly then?: unknown }).then === "function"
        ? undefined
        : fieldsOf(value)
  )
  return Result.isSuccess(read) && read.success === undefined
    ? refused(entity, option, expected)
    : read as Result.Result<Partial<O>, InvalidOptionError>
}

/**
 * Refuses what has another name than an option can have: it would mean nothing, and nobody would hear of it. `own` is the value
 * that the fields were read of, where an option can be a function: a class has methods as well, which are none of its own.
 */
export const checkedNames = <O extends object>(
  entity: string | undefined,
  option: string,
  given: O,
  names: ReadonlyArray<keyof O & string>,
  expected: string,
  own?: object | null
): Result.Result<O, InvalidOptionError> => {
  const known: ReadonlyArray<string> = names
  const isOwn = (name: string) => own !== undefined && own !== null && readOrUndefined(() => Object.hasOwn(own, name))
  const other = Object.entries(given).find(([name, value]) =>
    value !== undefined && !known.includes(name) && (typeof value !== "function" || isOwn(name) === true)
  )
  return other === undefined
    ? Result.succeed(given)
    : refused(entity, `${option}.${other[0]}`, `nothing: ${option} is ${expected}`)
}

/** Runs an operation with the fields of its options. */
export const withOptions = <O extends object, A, E, R>(
  entity: string | undefined,
  value: O | undefined | null,
  run: (options: Partial<O>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | InvalidOptionError, R> => {
  const read = readOptions(entity, value)
  return Result.isFailure(read) ? Effect.fail(read.failure) : run(read.success)
}

/** What an iterable gives. */
export const readList = <A>(
  entity: string | undefined,
  option: string,
  value: Iterable<A>
): Result.Result<ReadonlyArray<A>, InvalidOptionError> => {
  if (Array.isArray(value)) return Result.succeed(value)
  const expected = "an array, or another iterable that can be read to its end"
  return (typeof value === "object" || typeof value === "string") && value !== null
    ? readValue(entity, option, expected, () => [...value])
    : refused(entity, option, expected)
}

/**
 * The effect that a caller's function gave. What is none would end its fiber silently, finalizers included:
 * it is a defect of that function instead.
 */
export const effectOrDie = <A, E, R>(
  entity: string | undefined,
  option: string,
  value: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (isEffect(value)) return value
  ignoreRejection(value)
  const read = refused(entity, option, "a function that gives an Effect")
  return Effect.die(Result.isFailure(read) ? read.failure : undefined)
}

/** Calls a caller's function for its Effect; what is no function, or gives none, is refused. */
export const callForEffect = <Args extends ReadonlyArray<unknown>, A, E, R>(
  entity: string | undefined,
  option: string,
  f: (...args: Args) => Effect.Effect<A, E, R>,
  ...args: Args
): Effect.Effect<A, E | InvalidOptionError, R> =>
  Effect.suspend((): Effect.Effect<A, E | InvalidOptionError, R> => {
    const given: unknown = typeof f === "function" ? f(...args) : undefined
    if (isEffect(given)) return given as Effect.Effect<A, E, R>
    ignoreRejection(given)
    return Effect.fail(
      new InvalidOptionError({
        ...(entity === undefined ? {} : { entity }),
        option,
        expected: "a function that gives an Effect"
      })
    )
  })

/** A promise that an async function gave has no listener: its failure must not end the process. */
const ignoreRejection = (value: unknown): void => {
  try {
    Promise.resolve(value).catch(() => {})
  } catch {
    // A proxy whose `then` throws.
  }
}

/** Whether a value is an Effect, whatever it is. */
export const isEffect = (value: unknown): boolean => {
  try {
    return Effect.isEffect(value)
  } catch {
    return false
  }
}

/** Whether a value is a schedule, whatever it is. */
export const isSchedule = (value: unknown): boolean => {
  try {
    return Schedule.isSchedule(value)
  } catch {
    return false
  }
}

/** Whether a value is a time, whatever it is. */
export const isTime = (value: unknown): value is DateTime.DateTime => {
  try {
    return DateTime.isDateTime(value)
  } catch {
    return false
  }
}
