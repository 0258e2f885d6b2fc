/**
 * The options of processors, checked, and what they need to be started: a receiver, and functions to call.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { InvalidOptionError } from "../../ServiceBusError.ts"
import type { LogLevelOption } from "../../ServiceBusEvent.ts"
import {
  checkedCount,
  checkedIdentifier,
  checkedLogLevel,
  checkedWait,
  isSessionId,
  outOfRange,
  readOptions,
  readValue,
  toMillis
} from "../options.ts"
import * as ReceiverState from "../receiver/ReceiverState.ts"
import type { Settings } from "./MessageProcessor.ts"

/** Options of a processor as a caller gives them. */
export interface Options {
  readonly concurrency?: number | undefined
  readonly prefetch?: number | undefined
  readonly maxLockRenewal?: Duration.Input | undefined
  readonly drainTimeout?: Duration.Input | undefined
  readonly onFailure?: unknown
  readonly undecodable?: unknown
  readonly logLevel?: LogLevelOption | undefined
}

/** Those of a processor of sessions. */
interface SessionOptions extends Omit<Options, "concurrency"> {
  readonly concurrentSessions?: number | undefined
  readonly callsPerSession?: number | undefined
  readonly idleTimeout?: Duration.Input | undefined
  readonly messagesPerSession?: number | undefined
  readonly sessionIds?: ReadonlyArray<string> | undefined
  readonly open?: unknown
  readonly close?: unknown
}

/** Refuses what is to be called and is no function; all but the handler may be left out. */
const checkFunctions = (
  entity: string,
  functions: Readonly<Record<string, unknown>>
): Effect.Effect<void, InvalidOptionError> => {
  for (const name of Object.keys(functions)) {
    const value = functions[name]
    if (typeof value !== "function" && (name === "handler" || value !== undefined)) {
      return Effect.fail(outOfRange(entity, name, "a function"))
    }
  }
  return Effect.void
}

/** What a processor takes messages from: a receiver that there is, or an entity that a receiver is to be made for. */
interface CheckedSource<in out A> {
  readonly path: string
  readonly state: ReceiverState.ReceiverState<A, "locked"> | undefined
}

/** `A` is the body of the messages. */
export const checkSource = <A>(source: unknown): Result.Result<CheckedSource<A>, InvalidOptionError> => {
  const state = ReceiverState.find(source)
  if (state !== undefined && state.mode === "locked" && state.session === undefined) {
    return Result.succeed({ path: state.entity.path, state: state as ReceiverState.ReceiverState<A, "locked"> })
  }
  const { path } = ServiceBusEntity.contractOf(source as string | ServiceBusEntity.Any)
  return state === undefined && path !== ""
    ? Result.succeed({ path, state: undefined })
    : Result.fail(
      new InvalidOptionError({
        option: "receiver",
        expected: "a receiver that ServiceBusReceiver.make made, a contract, or the name of an entity"
      })
    )
}

/** The fields of the options that a caller gave with a handler. */
export const read = <O extends object>(
  entity: string,
  handler: unknown,
  input: O | undefined
): Effect.Effect<Partial<O>, InvalidOptionError> =>
  Effect.andThen(checkFunctions(entity, { handler }), Effect.fromResult(readOptions(entity, input)))

/** The level of a processor's events, of options that were not checked. */
export const logLevelOf = (entity: string, options: object | undefined): LogLevelOption | undefined => {
  const read = Result.flatMap(
    readOptions<{ readonly logLevel?: LogLevelOption | undefined }>(entity, options),
    ({ logLevel }) => checkedLogLevel(entity, logLevel)
  )
  return Result.isSuccess(read) ? read.success : undefined
}

/** The identifier of a processor's receiver, of options that were not checked; undefined where they give none. */
export const identifierOf = (entity: string, options: object | undefined): string | undefined => {
  const read = readOptions<{ readonly identifier?: string | undefined }>(entity, options)
  if (Result.isFailure(read) || read.success.identifier === undefined) return undefined
  const checked = checkedIdentifier(entity, read.success.identifier)
  return Result.isSuccess(checked) ? checked.success : undefined
}

/** What the options of a layer have fail where its processor stops for good. */
export const checkStopped = <E>(
  entity: string,
  options: { readonly stopped?: Deferred.Deferred<never, E> | undefined } | undefined
): Result.Result<Deferred.Deferred<never, E> | undefined, InvalidOptionError> => {
  const expected = "a Deferred, as Deferred.make gives it"
  return Result.flatMap(readOptions(entity, options), ({ stopped }) =>
    Result.flatMap(
      readValue(entity, "stopped", expected, () => stopped === undefined || Deferred.isDeferred(stopped)),
      (isUsable) => isUsable ? Result.succeed(stopped) : Result.fail(outOfRange(entity, "stopped", expected))
    ))
}

/** What becomes of an undecodable body. It fails no processor: there would be nobody to tell. */
const checkUndecodable = (entity: string, value: unknown): Effect.Effect<void, InvalidOptionError> =>
  value === undefined || value === "deadLetter" || value === "abandon"
    ? Effect.void
    : Effect.fail(outOfRange(entity, "undecodable", `"deadLetter" or "abandon"`))

/** The options of a processor of single messages. */
export const check = Effect.fnUntraced(
  function*(entity: string, options: Options): Effect.fn.Return<Settings, InvalidOptionError> {
    const { onFailure, prefetch } = options
    yield* checkFunctions(entity, { onFailure })
    yield* checkUndecodable(entity, options.undecodable)
    const concurrency = yield* Effect.fromResult(checkedCount(entity, "concurrency", options.concurrency ?? 1))
    if (prefetch !== undefined) yield* Effect.fromResult(checkedCount(entity, "prefetch", prefetch, 0))
    const maxLockRenewal = yield* Effect.fromResult(
      checkedWait(entity, "maxLockRenewal", options.maxLockRenewal ?? "5 minutes")
    )
    const drainTimeout = yield* Effect.fromResult(
      checkedWait(entity, "drainTimeout", options.drainTimeout ?? "30 seconds")
    )
    const logLevel = yield* Effect.fromResult(checkedLogLevel(entity, options.logLevel))
    return { concurrency, prefetch, maxLockRenewal, drainTimeout, size: 1, within: 0, logLevel }
  }
)

/** The options of a processor of sessions, checked. Durations are milliseconds. */
export interface SessionSettings {
  readonly settings: Settings
  readonly sessionIds: ReadonlyArray<string> | undefined
  readonly concurrentSessions: number
  readonly idleTimeout: number
}

export const checkSessions = Effect.fnUntraced(
  function*(
    entity: string,
    handler: unknown,
    options: SessionOptions
  ): Effect.fn.Return<SessionSettings, InvalidOptionError> {
    const { callsPerSession = 1, concurrentSessions = 8, messagesPerSession, sessionIds } = options
    yield* checkFunctions(entity, { handler, open: options.open, close: options.close })
    yield* Effect.fromResult(checkedCount(entity, "concurrentSessions", concurrentSessions))
    yield* Effect.fromResult(checkedCount(entity, "callsPerSession", callsPerSession))
    if (messagesPerSession !== undefined && !(Number.isSafeInteger(messagesPerSession) && messagesPerSession >= 1)) {
      return yield* outOfRange(entity, "messagesPerSession", "an integer of 1 or more")
    }
    if (
      sessionIds !== undefined &&
      !(Array.isArray(sessionIds) && sessionIds.length > 0 && new Set(sessionIds).size === sessionIds.length &&
        sessionIds.every(isSessionId))
    ) {
      return yield* outOfRange(
        entity,
        "sessionIds",
        "an array of one well-formed id or more of at most 128 characters, each once"
      )
    }
    const idleTimeout = toMillis(options.idleTimeout ?? "60 seconds")
    if (!(idleTimeout > 0)) return yield* outOfRange(entity, "idleTimeout", "a duration of more than 0")
    const settings = yield* check(entity, {
      ...options,
      concurrency: callsPerSession,
      prefetch: options.prefetch ?? 0
    })
    return { settings: { ...settings, limit: messagesPerSession }, sessionIds, concurrentSessions, idleTimeout }
  }
)
