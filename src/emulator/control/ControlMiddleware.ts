/**
 * The way to the control API: tells its requests from those of administration, lets in whoever holds the key, and loads what
 * answers them with the first one, so that a broker that nobody controls over HTTP starts without it.
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { NamespaceRefusal } from "../amqp/ServedConnection.ts"
import type { Controls } from "../Controls.ts"
import type { CountHistory } from "../CountHistory.ts"
import type { HttpAnswer, HttpRequest } from "../http/HttpMessage.ts"
import { maxBodySize } from "../http/HttpServer.ts"
import { notKeptText } from "../http/ManagementApi.ts"
import type { Namespace } from "../Namespace.ts"
import * as ControlAccess from "./ControlAccess.ts"
import * as ControlPath from "./ControlPath.ts"
import { answerOf } from "./ControlProblem.ts"

/** What requests for a namespace act on, and how they are judged. */
export interface Target {
  readonly controls: Controls
  readonly namespace: Namespace
  readonly history: CountHistory | undefined
  /** The time by which its tokens are judged, in milliseconds. */
  readonly now: () => number
}

/** Answers the requests of the control API; undefined for a request that is not for it. */
export type Middleware = (request: HttpRequest, target: Target) => Effect.Effect<HttpAnswer> | undefined

/** Makes the middleware of a server; what it loads ends with the scope. */
export const make: Effect.Effect<Middleware, never, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const loaded = yield* Effect.promise(() => import("./ControlApi.ts")).pipe(
    Effect.flatMap((module) => Effect.provideService(module.make, Scope.Scope, scope)),
    // Whoever is first and goes away does not end it for the next.
    Effect.uninterruptible,
    Effect.cached
  )
  return (request, target) => {
    const { namespace, now } = target
    if (!ControlPath.isMeant(request)) return undefined
    return Effect.suspend(() => {
      const problem = ControlAccess.problemOf(request, namespace, now())
      if (problem !== undefined) return Effect.succeed(unauthorized(problem))
      if (isOfServer(request) && !namespace.isFirst) {
        // The key is a good one, and whoever asked is not to be asked for another.
        return Effect.succeed(
          answerOf("Forbidden", "Namespaces are made and removed with a key of the default namespace.")
        )
      }
      return ControlPath.isControl(request)
        ? Effect.flatMap(loaded, (answer) => answer(request, target))
        : Effect.succeed(unknown(request))
    })
  }
})

const unauthorized = (problem: string): HttpAnswer =>
  answerOf("Unauthorized", problem, { "www-authenticate": "Basic realm=\"effect-service-bus\", charset=\"UTF-8\"" })

const unknown = ({ target }: HttpRequest): HttpAnswer =>
  answerOf(
    "NotFound",
    `There is no path "${ControlPath.pathOf(target).slice(0, 300)}"; /openapi.json has all that there are. ` +
      "Requests of administration have the parameter api-version."
  )

/** The answer to a request that means no namespace that there is; undefined for one that is not for the control API. */
export const refuse = (request: HttpRequest, refusal: NamespaceRefusal): HttpAnswer | undefined => {
  if (!ControlPath.isMeant(request)) return undefined
  switch (refusal._tag) {
    case "Token":
      return unauthorized(`The token or the key is not taken: ${refusal.problem}.`)
    case "Name":
      return unauthorized(refusal.text)
    case "Quota":
      return answerOf("QuotaExceeded", refusal.text)
    case "Stopped":
      return answerOf("Unavailable", refusal.text)
  }
}

/** The answer where nothing can be kept; undefined to a request that is not for the control API. */
export const notKept = (request: HttpRequest): HttpAnswer | undefined =>
  ControlPath.isMeant(request) ? answerOf("InsufficientStorage", notKeptText) : undefined

/** How many bytes the body of a request may have: what anybody may send is small. */
export const limitOf = (head: HttpRequest, namespaceOf: () => Namespace | undefined, now: number): number => {
  if (!ControlPath.hasMessages(head)) return maxBodySize
  const namespace = namespaceOf()
  return namespace !== undefined && ControlAccess.problemOf(head, namespace, now) === undefined
    ? ControlPath.maxMessagesSize
    : maxBodySize
}

/** Whether a request is for the server itself, which is not for the keys of a namespace that shares it. */
const isOfServer = ({ target }: HttpRequest): boolean => ControlPath.pathOf(target).startsWith("/namespaces")
