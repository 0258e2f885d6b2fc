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

const valuesOf: (options: object) => Effect.Effect<Record<string, unknown>, Config.ConfigError> = Effect.fnUntraced(
  function*(options) {
    const values: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(options)) values[name] = isConfig(value) ? yield* value : value
    return values
  }
)

/** Those that have options of their own. */
const nested = ["retry", "proxy"] as const

/** The values of options. What is wrong with a value is for the one who takes it. */
export const read = Effect.fnUntraced(function*<O extends object>(
  given: object | undefined
): Effect.fn.Return<Partial<O>, Config.ConfigError | InvalidOptionError> {
  const input = isConfig(given) ? (yield* given) as object | undefined : given
  const values: Partial<Record<string, unknown>> = yield* valuesOf(
    yield* Effect.fromResult(readOptions(undefined, input))
  )
  for (const name of nested) {
    const value = values[name]
    if (typeof value === "object" && value !== null && !isSchedule(value)) {
      values[name] = yield* valuesOf(yield* Effect.fromResult(readOptions(undefined, value, name)))
    }
  }
  return values as Partial<O>
})
