/**
 * The clock over HTTP: what time it is in the broker.
 *
 * A file of its own because each group of routes is one.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type { Controls } from "../Controls.ts"
import { Controlled } from "./Controlled.ts"
import { schemas as error } from "./ControlProblem.ts"

const Time = Schema.Struct({ now: Schema.String }).annotate({ identifier: "Clock" })

export const group = HttpApiGroup.make("clock", { topLevel: true }).add(
  HttpApiEndpoint.get("clock", "/clock", { success: Time, error })
    .annotate(OpenApi.Summary, "What time it is in the broker")
)

const timeOf = (controls: Controls) => Effect.map(controls.now, (now) => ({ now: DateTime.formatIso(now) }))

/** What is done for each. */
export const handlers = {
  clock: () => Effect.flatMap(Controlled, timeOf)
}
