/**
 * The clock over HTTP: what time it is in the broker and, where its time is in the hand of the test, on with it.
 */
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type { Controls } from "../Controls.ts"
import { refused, schemas as error } from "./ControlProblem.ts"
import { controls } from "./ControlTarget.ts"
import { DurationInput } from "./DurationInput.ts"

const Time = Schema.Struct({ now: Schema.String }).annotate({ identifier: "Clock" })

export const group = HttpApiGroup.make("clock", { topLevel: true }).add(
  HttpApiEndpoint.get("clock", "/clock", { success: Time, error })
    .annotate(OpenApi.Summary, "What time it is in the broker"),
  HttpApiEndpoint.post("advance", "/clock/advance", {
    payload: Schema.Struct({ by: DurationInput }),
    success: Time,
    error
  })
    .annotate(OpenApi.Summary, "Move the time of a manual clock on; answered once all that was due has happened")
)

const timeOf = (controls: Controls) => Effect.map(controls.now, (now) => ({ now: DateTime.formatIso(now) }))

/** What is done for each. */
export const handlers = {
  clock: () => Effect.flatMap(controls, timeOf),
  advance: ({ payload }: { readonly payload: { readonly by: Duration.Duration } }) =>
    Effect.flatMap(controls, (controls) => Effect.andThen(refused(controls.advance(payload.by)), timeOf(controls)))
}
