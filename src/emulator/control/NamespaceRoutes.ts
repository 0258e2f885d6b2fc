/**
 * Namespaces over HTTP: listed, made with a key of their own, and removed. They are the server's, and so are asked for with a key
 * of its default namespace.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { EmulatorError } from "../../ServiceBusError.ts"
import * as EntityJson from "../state/EntityJson.ts"
import * as ValueJson from "../state/ValueJson.ts"
import { refused, schemas as error } from "./ControlProblem.ts"
import { controls } from "./ControlTarget.ts"

const Summary = Schema.Struct({
  name: Schema.String,
  isByUse: Schema.Boolean,
  connections: Schema.Int,
  createdAt: Schema.String
}).annotate({ identifier: "Namespace" })

const Options = Schema.Struct({
  name: Schema.String,
  key: Schema.optionalKey(Schema.String),
  entities: Schema.optionalKey(Schema.Array(EntityJson.Entity))
})

const Made = Schema.Struct({ name: Schema.String, connectionString: Schema.String }).annotate({
  identifier: "MadeNamespace"
})

export const group = HttpApiGroup.make("namespaces", { topLevel: true }).add(
  HttpApiEndpoint.get("namespaces", "/namespaces", { success: Schema.Array(Summary), error })
    .annotate(OpenApi.Summary, "The namespaces that there are"),
  HttpApiEndpoint.post("createNamespace", "/namespaces", { payload: Options, success: Made, error })
    .annotate(OpenApi.Summary, "Make a namespace with a key of its own, and get what its clients connect with"),
  HttpApiEndpoint.delete("removeNamespace", "/namespaces/:name", { params: { name: Schema.String }, error })
    .annotate(OpenApi.Summary, "Remove a namespace with all that is in it")
)

const entitiesOf = (json: typeof Options.Type["entities"]) =>
  Effect.try({
    try: () => json?.map((entity, index) => EntityJson.ofJson(entity, `entities[${index}]`)),
    catch: (problem) => {
      if (!(problem instanceof ValueJson.JsonProblem)) throw problem
      return new EmulatorError({ problem: problem.message })
    }
  })

/** What is done for each. */
export const handlers = {
  namespaces: () =>
    Effect.flatMap(
      controls,
      ({ namespaces }) =>
        Effect.map(namespaces, (all) =>
          all.map(({ connections, createdAt, isByUse, name }) => ({
            name,
            isByUse,
            connections,
            createdAt: DateTime.formatIso(createdAt)
          })))
    ),
  createNamespace: ({ payload: { entities, key, name } }: { readonly payload: typeof Options.Type }) =>
    Effect.flatMap(controls, ({ createNamespace }) =>
      refused(
        Effect.gen(function*() {
          const given = yield* entitiesOf(entities)
          const { connectionString } = yield* createNamespace({
            name,
            ...(key === undefined ? {} : { key: Redacted.make(key) }),
            ...(given === undefined ? {} : { entities: given })
          })
          // Whoever makes one is told its key: nobody else knows it.
          return { name, connectionString: Redacted.value(connectionString) }
        })
      )),
  removeNamespace: ({ params: { name } }: { readonly params: { readonly name: string } }) =>
    Effect.flatMap(controls, ({ removeNamespace }) => refused(removeNamespace(name)))
}
