/** What is heard of a client: the lines of the log, and its events. */
import { ServiceBusClient, type ServiceBusEvent } from "effect-service-bus"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import * as Stream from "effect/Stream"

export interface Line {
  readonly level: LogLevel.LogLevel
  readonly text: string
  /** The error of the cause, or its defect. */
  readonly error: unknown
  readonly annotations: Readonly<Record<string, unknown>>
}

/** The lines that a test has logged so far; the harness provides it. */
export const Lines = Context.Reference<Array<Line>>("test/Lines", { defaultValue: () => [] })

const loggerOf = (lines: Array<Line>) =>
  Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
    lines.push({
      level: logLevel,
      text: String(Array.isArray(message) ? message[0] : message),
      error: cause.reasons.length === 0 ? undefined : Cause.squash(cause),
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
  })

/** Records what is logged in an effect instead of printing it. */
export const recorded = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    return effect.pipe(Effect.provideService(Lines, lines), Effect.provide(Logger.layer([loggerOf(lines)])))
  })

/** The lines of a level or above, as `Warn: text`. */
export const texts = (lines: ReadonlyArray<Line>): ReadonlyArray<string> =>
  lines.map(({ level, text }) => `${level}: ${text}`)

/** The events of the test's client from now on, as they come. */
export const listen = Effect.gen(function*() {
  const client = yield* ServiceBusClient.ServiceBusClient
  const events: Array<ServiceBusEvent.ServiceBusEvent> = []
  yield* Effect.forkScoped(
    Stream.runForEach(client.events, (event) => Effect.sync(() => void events.push(event))),
    { startImmediately: true }
  )
  return events
})

/** Those of one kind. */
export const only = <const T extends ServiceBusEvent.ServiceBusEvent["_tag"]>(
  events: ReadonlyArray<ServiceBusEvent.ServiceBusEvent>,
  tag: T
) =>
  events.filter((event): event is Extract<ServiceBusEvent.ServiceBusEvent, { readonly _tag: T }> => event._tag === tag)
