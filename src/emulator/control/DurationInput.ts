/**
 * A duration as people and programs of any language write it, in a request: milliseconds, ISO 8601 ("PT5M") or words
 * ("5 minutes"). It may be negative.
 *
 * A file of its own because the routes of the clock and of schedules have them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as DurationJson from "../state/DurationJson.ts"

/** A duration. */
export const DurationInput = Schema.Union([Schema.Finite, Schema.String]).annotate({
  identifier: "Duration",
  description: "Milliseconds, ISO 8601 (\"PT5M\") or words (\"5 minutes\")"
}).pipe(
  Schema.decodeTo(Schema.Duration, {
    decode: SchemaGetter.transformEffect((given) =>
      Option.match(DurationJson.read(given), {
        onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message: DurationJson.expected })),
        onSome: Effect.succeed
      })
    ),
    encode: SchemaGetter.transform((duration) => Duration.toMillis(duration))
  })
)
