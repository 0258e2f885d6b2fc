/**
 * The control API: what a test does at the broker itself, over HTTP and for every language. Routes, decoding, errors and the
 * OpenAPI document come from one set of schemas; each file of routes has a group of them with its handlers.
 *
 * It is loaded with the first request that needs it, and made once for a server. A request is answered once all that it asks
 * for has been done; what is refused has not been done.
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Scope from "effect/Scope"
import type { HttpAnswer, HttpRequest } from "../http/HttpMessage.ts"
import * as ClockRoutes from "./ClockRoutes.ts"
import * as ControlPath from "./ControlPath.ts"
import { answerOf, BadRequest } from "./ControlProblem.ts"
import { ControlTarget } from "./ControlTarget.ts"
import * as EntityRoutes from "./EntityRoutes.ts"
import * as FaultRoutes from "./FaultRoutes.ts"
import * as LinkRoutes from "./LinkRoutes.ts"
import * as MessageRoutes from "./MessageRoutes.ts"
import * as NamespaceRoutes from "./NamespaceRoutes.ts"
import * as RuleRoutes from "./RuleRoutes.ts"
import * as StateRoutes from "./StateRoutes.ts"

/** Says of a request that cannot be decoded what is wrong, and where. */
class Decoded extends HttpApiMiddleware.Service<Decoded>()("effect-service-bus/emulator/control/Decoded", {
  error: BadRequest
}) {}

const parts = {
  Params: "the path",
  Query: "the parameters",
  Headers: "the headers",
  Payload: "the body"
} as const

const format = SchemaIssue.makeFormatterDefault()

const countOf = (issue: SchemaIssue.Issue): number => {
  switch (issue._tag) {
    case "Composite":
    case "AnyOf":
      return issue.issues.map(countOf).reduce((sum, count) => sum + count, issue.issues.length === 0 ? 1 : 0)
    case "Pointer":
    case "Encoding":
    case "Filter":
      return countOf(issue.issue)
    default:
      return 1
  }
}

/** Of what may have several shapes, only what is wrong for the nearest one: the keys of others tell nobody anything. */
const nearest = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  switch (issue._tag) {
    case "Composite": {
      const [first, ...others] = issue.issues
      return new SchemaIssue.Composite(issue.ast, [nearest(first), ...others.map(nearest)])
    }
    case "Pointer":
      return new SchemaIssue.Pointer(issue.path, nearest(issue.issue))
    case "Encoding":
      return new SchemaIssue.Encoding(issue.ast, nearest(issue.issue))
    case "AnyOf": {
      const shapes = issue.issues.map(nearest)
      const fewest = Math.min(...shapes.map(countOf))
      return new SchemaIssue.AnyOf(issue.ast, shapes.filter((shape) => countOf(shape) === fewest))
    }
    default:
      return issue
  }
}

const layerDecoded = HttpApiMiddleware.layerSchemaErrorTransform(Decoded, ({ cause, kind }) => {
  // Our own answer does not fit its schema: no fault of the request.
  if (!Object.hasOwn(parts, kind)) return Effect.die(cause)
  const message = format(nearest(cause.issue)).replaceAll(/\s*\n\s*/g, " ")
  return Effect.fail({ error: "BadRequest" as const, message: `${parts[kind as keyof typeof parts]}: ${message}` })
})

/** Every route. */
export const api = HttpApi.make("emulator")
  .add(ClockRoutes.group)
  .add(StateRoutes.group)
  .add(EntityRoutes.group)
  .add(MessageRoutes.group)
  .add(RuleRoutes.group)
  .add(LinkRoutes.group)
  .add(FaultRoutes.group)
  .add(NamespaceRoutes.group)
  .middleware(Decoded)
  .annotate(HttpApi.ParseOptions, { onExcessProperty: "error", errors: "all" })
  .annotate(HttpApi.HeadersParseOptions, {})
  .annotate(OpenApi.Title, "effect-service-bus emulator")
  .annotate(OpenApi.Version, "1")
  .annotate(
    OpenApi.Description,
    "The broker in the hands of a test: time, messages, faults and namespaces. Docs: docs/emulator-http.md."
  )
  .annotate(OpenApi.Transform, (document) => ({
    ...document,
    components: {
      ...document["components"] as object,
      securitySchemes: {
        policy: {
          type: "http",
          scheme: "basic",
          description: "The name and the key of a policy with the right Manage."
        },
        token: {
          type: "apiKey",
          in: "header",
          name: "Authorization",
          description: "A SAS token, or Bearer and a token."
        }
      }
    },
    security: [{ policy: [] }, { token: [] }]
  }))

const routes = HttpApiBuilder.layer(api).pipe(
  Layer.provide(HttpApiBuilder.group(api, "clock", (group) => group.handleAll(ClockRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "entities", (group) => group.handleAll(EntityRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "messages", (group) => group.handleAll(MessageRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "rules", (group) => group.handleAll(RuleRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "links", (group) => group.handleAll(LinkRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "faults", (group) => group.handleAll(FaultRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "state", (group) => group.handleAll(StateRoutes.handlers))),
  Layer.provide(HttpApiBuilder.group(api, "namespaces", (group) => group.handleAll(NamespaceRoutes.handlers))),
  Layer.provide(layerDecoded),
  Layer.provide(HttpServer.layerServices)
)

/** Answers requests for a namespace whose controls are given; it never fails. */
export type Answer = (request: HttpRequest, target: ControlTarget["Service"]) => Effect.Effect<HttpAnswer>

/** Makes the API of a server. */
export const make: Effect.Effect<Answer, never, Scope.Scope> = Effect.gen(function*() {
  const app = yield* HttpRouter.toHttpEffect(routes)
  const document = JSON.stringify(OpenApi.fromApi(api))
  return (request, { controls, history, namespace }) => {
    if (ControlPath.pathOf(request.target) === "/openapi.json" && isRead(request)) {
      return Effect.succeed({ status: 200, headers: { "content-type": "application/json" }, body: document })
    }
    const problem = overlooked(request)
    if (problem !== undefined) return Effect.succeed(answerOf("BadRequest", problem))
    return app.pipe(
      Effect.scoped,
      Effect.provideService(HttpServerRequest.HttpServerRequest, requestOf(request)),
      Effect.provideService(ControlTarget, { controls, history, namespace }),
      Effect.map(given),
      Effect.catch((error) =>
        HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"
          ? Effect.succeed(methodNotAllowed(request))
          : Effect.die(error)
      ),
      Effect.catchCause((cause) =>
        Effect.as(
          Effect.logError("A request of the control API failed", cause),
          answerOf("InternalError", "This is a defect of the broker; its log says more.")
        )
      )
    )
  }
})

const isRead = ({ method }: HttpRequest): boolean => method === "GET" || method === "HEAD"

type Endpoint = Pick<HttpApiEndpoint.Top, "method" | "path" | "payload" | "query">

const endpoints: ReadonlyArray<Endpoint> = Object.values(api.groups).flatMap((group) => Object.values(group.endpoints))

/**
 * What a request says and its route does not take, which would be overlooked: an entity in the body of a reset, say, where the
 * namespace would be emptied for want of a parameter.
 */
const overlooked = ({ body, method, target }: HttpRequest): string | undefined => {
  const path = ControlPath.pathOf(target)
  const asked = method === "HEAD" ? "GET" : method
  const endpoint = endpoints.find((each) => each.method === asked && isAt(each, path))
  if (endpoint === undefined) return undefined
  const { payload, query } = endpoint
  if (payload.size === 0 && !/^\s*(?:\{\s*\})?\s*$/.test(body)) {
    return `the body: ${method} ${path} takes none` +
      (query === undefined ? "." : "; what it is for is said by parameters, such as ?entity=orders.")
  }
  return query === undefined && target.length > path.length + 1
    ? `the parameters: ${method} ${path} takes none.`
    : undefined
}

const isAt = ({ path }: Endpoint, asked: string): boolean =>
  path.includes(":") ? asked.startsWith(path.replace(/:.*$/, "")) : asked === path

const methodNotAllowed = (request: HttpRequest): HttpAnswer => {
  const path = ControlPath.pathOf(request.target)
  const methods = endpoints.flatMap((each) =>
    !isAt(each, path) ? [] : each.method === "GET" ? ["GET", "HEAD"] : [each.method]
  )
  return answerOf(
    "MethodNotAllowed",
    `${request.method} is not what ${path} answers: see /openapi.json.`,
    // The document itself is none of the endpoints.
    { allow: (methods.length === 0 ? ["GET", "HEAD"] : methods).join(", ") }
  )
}

const requestOf = ({ body, headers, method, target }: HttpRequest): HttpServerRequest.HttpServerRequest =>
  HttpServerRequest.fromClientRequest(
    HttpClientRequest.make(isRead({ method } as HttpRequest) ? "GET" : method as HttpMethod.HttpMethod)(
      `http://emulator${target}`,
      {
        headers: Object.fromEntries(
          Object.entries(headers).filter((entry): entry is [string, string] =>
            // What curl says of `-d` where it is not told otherwise is not meant.
            entry[1] !== undefined && !entry[0].startsWith("content-")
          )
        ),
        // Where all that may be said has a default, nothing need be.
        ...(method === "POST" ? { body: HttpBody.text(body === "" ? "{}" : body, "application/json") } : {})
      }
    )
  )

const given = ({ body, headers, status }: HttpServerResponse.HttpServerResponse): HttpAnswer => ({
  status,
  headers: Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "content-length")),
  body: body._tag === "Uint8Array" ? Buffer.from(body.body).toString("utf8") : ""
})
