/**
 * The way to the page: tells the requests of a browser that opens the broker's address from those of administration, which is
 * asked at the same path, and loads what answers them with the first one.
 *
 * What is served here is the same for everybody and has nothing of the broker in it: what the page shows it asks the control API
 * for, with a key that somebody gives it.
 *
 * A file of its own because a broker whose page nobody opens loads this alone.
 */
import * as Effect from "effect/Effect"
import type { HttpAnswer, HttpRequest } from "../http/HttpMessage.ts"

/** Answers the requests of the page's files; undefined for a request that is not for one. */
export type Middleware = (request: HttpRequest) => Effect.Effect<HttpAnswer> | undefined

/** Makes the middleware of a server. */
export const make: Effect.Effect<Middleware> = Effect.gen(function*() {
  const loaded = yield* Effect.cached(
    // Whoever is first and goes away does not end it for the next.
    Effect.uninterruptible(Effect.promise(() => import("./PageFile.ts")))
  )
  return (request) => isMeant(request) ? Effect.map(loaded, ({ answer }) => answer(request)) : undefined
})

/** No entity can have a name with this sign. */
const folder = "/$page/"

/** Whether a request is for a file of the page: by its path or, at the root, by what a browser says that it takes. */
const isMeant = ({ headers, method, target }: HttpRequest): boolean =>
  (method === "GET" || method === "HEAD") &&
  (target.startsWith(folder) || target === "/" && /\btext\/html\b/i.test(headers["accept"] ?? ""))
