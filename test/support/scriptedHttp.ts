/** An HTTP client that answers from a script, and keeps what it was asked. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"

/** What is answered: a status and a body, an error of the socket by its code, or nothing ever. */
export type Answer =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly code: string }
  | "silence"

/** What was asked. */
export interface Asked {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/** Answers each request by a function of it. */
export const answering = (answer: (asked: Asked) => Answer): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
    const given = answer({
      method: request.method,
      target: url.pathname + url.search,
      url,
      headers: request.headers,
      body
    })
    if (given === "silence") return Effect.never
    return "code" in given
      ? Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({
            request,
            // As fetch fails.
            cause: new TypeError("fetch failed", { cause: Object.assign(new Error(given.code), { code: given.code }) })
          })
        })
      )
      : Effect.succeed(
        HttpClientResponse.fromWeb(
          request,
          // A status of 204 or 304 has no body.
          new Response(given.body === undefined || given.body === "" ? null : given.body, {
            status: given.status,
            ...(given.headers === undefined ? {} : { headers: given.headers })
          })
        )
      )
  })

/** Answers from a list, in its order; a request after the last one fails the test. */
export const scripted = (answers: ReadonlyArray<Answer>) => {
  const asked: Array<Asked> = []
  const http = answering((request) => {
    asked.push(request)
    const answer = answers[asked.length - 1]
    if (answer === undefined) throw new Error(`nobody answers ${request.method} ${request.target}`)
    return answer
  })
  return { http, asked }
}
