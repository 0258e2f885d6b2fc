/**
 * An HTTP client whose requests the broker answers in this process: nothing waits for a socket or for a promise, so that virtual
 * time goes on only when an answer has come.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import { cut, type HttpAnswer, type HttpRequest } from "./HttpMessage.ts"

/** Statuses that have no body, not even an empty one (Fetch, null body status). */
const bodiless = new Set([204, 205, 304])

/** What stands between a client and the broker in memory: nothing by default. The simulation puts a network of its own there. */
export const Network: Context.Reference<(client: HttpClient.HttpClient) => HttpClient.HttpClient> = Context.Reference(
  "effect-service-bus/emulator/http/Network",
  { defaultValue: () => (client) => client }
)

/** Makes a client. While `isUp` says no, nothing listens, as seen from here. */
export const make = (
  answer: (request: HttpRequest) => Effect.Effect<HttpAnswer>,
  isUp: () => boolean
): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const fail = (description: string, cause?: unknown) =>
      Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({ request, description, cause })
        })
      )
    return Effect.suspend(() => {
      if (!isUp()) {
        const refused = Object.assign(new Error(`connect ECONNREFUSED ${url.host}`), { code: "ECONNREFUSED" })
        return fail(refused.message, refused)
      }
      const body = bodyOf(request)
      if (body === undefined) return fail("A body of this kind is not sent in memory.")
      return Effect.flatMap(
        answer({
          method: request.method,
          target: `${url.pathname}${url.search}`,
          headers: { host: url.host, ...request.headers },
          body,
          isSecure: url.protocol === "https:"
        }),
        (given) => {
          if (given !== cut) return Effect.succeed(responseOf(request, given))
          const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
          return fail(reset.message, reset)
        }
      )
    })
  })

const bodyOf = ({ body }: HttpClientRequest.HttpClientRequest): string | undefined =>
  body._tag === "Empty" ? "" : body._tag === "Uint8Array" ? Buffer.from(body.body).toString("utf8") : undefined

const responseOf = (
  request: HttpClientRequest.HttpClientRequest,
  { body, headers, status }: HttpAnswer
): HttpClientResponse.HttpClientResponse => {
  const bytes = new TextEncoder().encode(body)
  const response = HttpClientResponse.fromWeb(
    request,
    new Response(bodiless.has(status) ? null : "", { status, headers })
  )
  // What reads the body of a fetched response takes turns of the event loop.
  return Object.defineProperties(response, {
    stream: { value: bytes.length === 0 ? Stream.empty : Stream.make(bytes) },
    text: { value: Effect.succeed(body) },
    arrayBuffer: { value: Effect.succeed(bytes.buffer) }
  })
}
