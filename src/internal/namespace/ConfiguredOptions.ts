/**
 * Options of which any may be configuration: each `Config` among them is read from the provider of the fiber, and what is a
 * value stays as it is.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { InvalidOptionError } from "../../ServiceBusError.ts"
import { isEffect, isSchedule, readOptions } from "../options.ts"

/** Whether a value is configuration, whatever it is. */
export const isConfig = (value: unknown): value is Config.Config<unknown> => {
  try {
    return Config.isConfig(value) && isEffect(value)
  } catch {
    return false
  }
}

const valuesOf: (options: object) => Effect.Effect<object, Config.ConfigError> = Effect.fnUntraced(function*(options) {
  const values: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) values[name] = isConfig(value) ? yield* value : value
  return values
})

/** The values of options; `retry` has options of its own. What is wrong with a value is for the one who takes it. */
export const read = Effect.fnUntraced(function*<O extends object>(
  given: object | undefined
): Effect.fn.Return<Partial<O>, Config.ConfigError | InvalidOptionError> {
  const input = isConfig(given) ? (yield* given) as object | undefined : given
  const values = yield* valuesOf(yield* Effect.fromResult(readOptions(undefined, input)))
  if ("retry" in values && typeof values.retry === "object" && !isSchedule(values.retry)) {
    values.retry = yield* valuesOf(yield* Effect.fromResult(readOptions(undefined, values.retry, "retry")))
  }
  return values as Partial<O>
})
