/**
 * What callers give, read once: options and lists may be values of any kind, and their getters and proxies may throw. What
 * cannot be read is refused as an option that is out of range, never a defect.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { InvalidOptionError } from "../ServiceBusError.ts"

/** What can be read of a value; refused by its name where that throws. */
export const reading = <A>(
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

const refused = (
  entity: string | undefined,
  option: string,
  expected: string,
  cause?: unknown
): Result.Result<never, InvalidOptionError> =>
  Result.fail(
    new InvalidOptionError({
      option,
      expected,
      ...(entity === undefined ? {} : { entity }),
      ...(cause === undefined ? {} : { cause })
    })
  )

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
export const options = <O extends object>(
  entity: string | undefined,
  value: O | undefined | null,
  option = "options"
): Result.Result<Partial<O>, InvalidOptionError> => {
  if (value === undefined || value === null) return Result.succeed(none)
  const expected = "an object with options that can be read"
  const read = reading(
    entity,
    option,
    expected,
    () => typeof value !== "object" || Symbol.iterator in value ? undefined : fieldsOf(value)
  )
  return Result.isSuccess(read) && read.success === undefined
    ? refused(entity, option, expected)
    : read as Result.Result<Partial<O>, InvalidOptionError>
}

/** Runs an operation with the fields of its options. */
export const withOptions = <O extends object, A, E, R>(
  entity: string | undefined,
  value: O | undefined | null,
  run: (options: Partial<O>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | InvalidOptionError, R> => {
  const read = options(entity, value)
  return Result.isFailure(read) ? Effect.fail(read.failure) : run(read.success)
}

/** What an iterable gives. */
export const list = <A>(
  entity: string | undefined,
  option: string,
  value: Iterable<A>
): Result.Result<ReadonlyArray<A>, InvalidOptionError> => {
  if (Array.isArray(value)) return Result.succeed(value)
  const expected = "an array, or another iterable that can be read to its end"
  return (typeof value === "object" || typeof value === "string") && value !== null
    ? reading(entity, option, expected, () => [...value])
    : refused(entity, option, expected)
}

/**
 * The effect that a caller's function gave. What is none would end its fiber without a word to anybody, finalizers included:
 * it is a defect of that function instead.
 */
export const effectOf = <A, E, R>(
  entity: string | undefined,
  option: string,
  value: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (isEffect(value)) return value
  silence(value)
  const read = refused(entity, option, "a function that gives an Effect")
  return Effect.die(Result.isFailure(read) ? read.failure : undefined)
}

/** Calls a caller's function for its Effect; what is no function, or gives none, is refused. */
export const calling = <Args extends ReadonlyArray<unknown>, A, E, R>(
  entity: string | undefined,
  option: string,
  f: (...args: Args) => Effect.Effect<A, E, R>,
  ...args: Args
): Effect.Effect<A, E | InvalidOptionError, R> =>
  Effect.suspend((): Effect.Effect<A, E | InvalidOptionError, R> => {
    const given: unknown = typeof f === "function" ? f(...args) : undefined
    if (isEffect(given)) return given as Effect.Effect<A, E, R>
    silence(given)
    return Effect.fail(
      new InvalidOptionError({
        ...(entity === undefined ? {} : { entity }),
        option,
        expected: "a function that gives an Effect"
      })
    )
  })

/** Nobody hears what becomes of a promise that an async function gave: its failure must not end the process. */
const silence = (value: unknown): void => {
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
