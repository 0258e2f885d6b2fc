/**
 * Who is connected, over HTTP: the connections of a namespace with their links. To cut them is in `FaultRoutes`.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as ConnectionSummary from "../amqp/ConnectionSummary.ts"
import * as MessageJson from "../state/MessageJson.ts"
import { schemas as error } from "./ControlProblem.ts"
import { ControlTarget } from "./ControlTarget.ts"

const Link = Schema.Struct({
  name: Schema.String,
  role: Schema.Literals(["sender", "receiver"]),
  address: Schema.String,
  session: Schema.optionalKey(Schema.String),
  credit: Schema.Int,
  pending: Schema.Int
}).annotate({ identifier: "Link" })

const Connection = Schema.Struct({
  containerId: Schema.String,
  hostname: Schema.optionalKey(Schema.String),
  product: Schema.optionalKey(Schema.String),
  acceptedAt: Schema.String,
  links: Schema.Array(Link)
}).annotate({ identifier: "Connection" })

export const group = HttpApiGroup.make("links", { topLevel: true }).add(
  HttpApiEndpoint.get("connections", "/connections", { success: Schema.Array(Connection), error })
    .annotate(OpenApi.Summary, "The connections that are open, with their links, as their clients see them")
)

/** What is done for each. */
export const handlers = {
  connections: () =>
    Effect.map(ControlTarget, ({ namespace }) =>
      Array.from(namespace.connections, (connection) => {
        const { acceptedAt, containerId, hostname, links, product } = ConnectionSummary.of(connection)
        return MessageJson.present<typeof Connection.Type>({
          containerId,
          hostname,
          product,
          acceptedAt: DateTime.formatIso(DateTime.makeUnsafe(acceptedAt)),
          links: links.map((link) => MessageJson.present<typeof Link.Type>(link))
        })
      }))
}
