/**
 * A span of time as people and programs of any language write it: milliseconds, ISO 8601 ("PT5M") or words ("5 minutes").
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"

const iso = Schema.decodeUnknownOption(Schema.DurationFromIsoString)

const durationOf = (given: number | string): Option.Option<Duration.Duration> =>
  typeof given === "number"
    ? Option.some(Duration.millis(given))
    : Option.orElse(iso(given.trim()), () => Duration.fromInput(given.trim() as Duration.Input))

/** A span of time. */
export const Span = Schema.Union([Schema.Finite, Schema.String]).annotate({
  identifier: "Span",
  description: "Milliseconds, ISO 8601 (\"PT5M\") or words (\"5 minutes\")"
}).pipe(
  Schema.decodeTo(Schema.Duration, {
    decode: SchemaGetter.transformEffect((given) =>
      Option.match(durationOf(given), {
        onNone: () =>
          Effect.fail(
            new SchemaIssue.InvalidValue({
              message: "Expected milliseconds, a duration of ISO 8601 such as \"PT5M\", or words such as \"5 minutes\""
            })
          ),
        onSome: Effect.succeed
      })
    ),
    encode: SchemaGetter.transform((duration) => Duration.toMillis(duration))
  })
)
