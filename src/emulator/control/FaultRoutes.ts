/**
 * Faults over HTTP: what is to go wrong is asked for, listed and taken back; connections are cut, links detached and locks lost
 * at once.
 */
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type { Controls } from "../Controls.ts"
import * as Fault from "../Fault.ts"
import { refused, schemas as error } from "./ControlProblem.ts"
import { controls } from "./ControlTarget.ts"

const Status = Schema.Struct({
  id: Schema.String,
  fault: Fault.schema,
  hits: Schema.Int,
  isSpent: Schema.Boolean
}).annotate({ identifier: "FaultStatus" })

const Lost = Schema.Struct({ messages: Schema.Int }).annotate({ identifier: "LostLocks" })

const Detachment = Schema.Struct({
  entity: Schema.optionalKey(Schema.NonEmptyString),
  error: Schema.optionalKey(Fault.brokerError)
})

const Loss = Schema.Struct({ entity: Schema.NonEmptyString, session: Schema.optionalKey(Schema.String) })

export const group = HttpApiGroup.make("faults", { topLevel: true }).add(
  HttpApiEndpoint.get("faults", "/faults", { success: Schema.Array(Status), error })
    .annotate(OpenApi.Summary, "What is to go wrong, and what it has struck so far"),
  HttpApiEndpoint.post("addFault", "/faults", { payload: Fault.schema, success: Status, error })
    .annotate(OpenApi.Summary, "Have the next operations that fit go wrong"),
  HttpApiEndpoint.delete("removeFaults", "/faults", { error })
    .annotate(OpenApi.Summary, "Take all faults back"),
  HttpApiEndpoint.delete("removeFault", "/faults/:id", { params: { id: Schema.String }, error })
    .annotate(OpenApi.Summary, "Take one fault back"),
  HttpApiEndpoint.post("dropConnections", "/connections/drop", { error })
    .annotate(OpenApi.Summary, "Cut every connection without a word"),
  HttpApiEndpoint.post("detachLinks", "/links/detach", { payload: Detachment, error })
    .annotate(OpenApi.Summary, "Detach the links of an entity, or all, with an error that the clients are told"),
  HttpApiEndpoint.post("loseLocks", "/locks/lose", { payload: Loss, success: Lost, error })
    .annotate(OpenApi.Summary, "End the locks of an entity, or of one of its sessions, as if their time were over")
)

/** What is listed names its entity, and has durations in milliseconds. */
const plain = (status: Fault.FaultStatus) => status as typeof Status.Type

/** An operation of the controls. */
const controlled = <A, E, R>(run: (controls: Controls) => Effect.Effect<A, E, R>) => Effect.flatMap(controls, run)

/** What is done for each. @internal */
export const handlers = {
  faults: () => controlled(({ faults }) => Effect.map(faults, (all) => all.map(plain))),
  addFault: ({ payload }: { readonly payload: typeof Fault.schema.Type }) =>
    controlled(({ fail }) => Effect.map(refused(fail(payload as Fault.Fault)), plain)),
  removeFaults: () => controlled(({ removeFaults }) => removeFaults),
  removeFault: ({ params }: { readonly params: { readonly id: string } }) =>
    controlled(({ removeFault }) => refused(removeFault(params.id))),
  dropConnections: () => controlled(({ dropConnections }) => dropConnections),
  detachLinks: ({ payload: { entity, error } }: { readonly payload: typeof Detachment.Type }) =>
    controlled(({ detachLinks }) => detachLinks(error ?? { condition: "amqp:link:detach-forced" }, entity)),
  loseLocks: ({ payload: { entity, session } }: { readonly payload: typeof Loss.Type }) =>
    controlled(({ loseLocks, loseSession }) =>
      refused(
        Effect.map(
          session === undefined ? loseLocks(entity) : loseSession(entity, session),
          (messages) => ({ messages })
        )
      )
    )
}
