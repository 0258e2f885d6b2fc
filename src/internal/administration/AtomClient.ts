/**
 * Requests to the management API: the address, the token, the time limit, what the answer says, and the errors of what it
 * refuses. Each request is one try; who makes it decides whether it is made again.
 *
 * A request that changes something and whose answer does not come, or says that the service failed, may have been carried out:
 * it is OperationTimeoutError with the outcome `"unknown"`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { ServiceBusCredential } from "../../ServiceBusCredential.ts"
import * as E from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { tokensOf } from "../namespace/Claims.ts"
import * as AtomXml from "./AtomXml.ts"
import * as EntitySettings from "./EntitySettings.ts"

interface Options {
  readonly http: HttpClient.HttpClient
  /** Scheme, host and port. */
  readonly base: string
  /** What tokens are for. */
  readonly audience: string
  readonly credential: ServiceBusCredential
  readonly apiVersion: string
  readonly userAgent: string
  /** Milliseconds that a request may take. */
  readonly timeout: number
}

/** One request. */
export interface Request {
  readonly method: "GET" | "PUT" | "DELETE"
  /** The path of what it is about, as it is called: it is encoded here. */
  readonly path: string
  /** Beside the version of the API. */
  readonly query?: Readonly<Record<string, string>> | undefined
  /** The description that it brings. */
  readonly content?: AtomXml.Element | undefined
  /** Whether it changes what is there, and does not create. */
  readonly isUpdate?: boolean | undefined
  /** Headers that are to have the token as well. */
  readonly supplementary?: ReadonlyArray<string> | undefined
  /** For errors. */
  readonly entity?: string | undefined
  readonly operation: string
}

/** What it is answered. */
export type Answer = NonNullable<ReturnType<typeof AtomXml.envelopeOf>> | undefined

export interface AtomClient {
  /** Makes a request; the answer is undefined where it has no body. */
  readonly request: (request: Request) => Effect.Effect<Answer, E.CreateEntityError>
}

/** The largest answer that is read, in bytes. */
const maxLength = 16 * 1024 * 1024

const tooLong = new AtomXml.XmlProblem({ problem: `it is longer than ${maxLength} bytes` })

const redirected = new AtomXml.XmlProblem({
  problem:
    "the HTTP client followed a redirection to another host, and may have taken the token along; give it one that " +
    `follows none (to fetch, RequestInit with redirect: "manual")`
})

/** Whether an answer is another host's than the one that the HTTP client was to ask. */
const isElsewhere = (response: HttpClientResponse.HttpClientResponse): boolean => {
  const asked = HttpClientRequest.toUrl(response.request)
  return response.url !== "" && URL.canParse(response.url) && asked._tag === "Some" &&
    new URL(response.url).origin !== asked.value.origin
}

/** Headers that stand beside Authorization, for targets of forwarding (Service Bus REST API). */
export const supplementary = {
  ForwardTo: "ServiceBusSupplementaryAuthorization",
  ForwardDeadLetteredMessagesTo: "ServiceBusDlqSupplementaryAuthorization"
} as const

const redacted: ReadonlyArray<string> = [
  "authorization",
  ...Object.values(supplementary).map((name) => name.toLowerCase())
]

/** A path of a URL. A `$` stays, as in the service's own links. */
const encodePath = (path: string): string =>
  path.split("/").map((segment) => encodeURIComponent(segment).replaceAll("%24", "$")).join("/")

/** Milliseconds that headers advise to wait; undefined where they do not, or not understandably. */
const retryAfterOf = (headers: Headers.Headers, now: number): number | undefined => {
  const millis = headers["retry-after-ms"] ?? headers["x-ms-retry-after-ms"]
  if (millis !== undefined && /^\d{1,9}$/.test(millis)) return Number(millis)
  const after = headers["retry-after"]
  if (after === undefined) return undefined
  if (/^\d{1,6}$/.test(after)) return Number(after) * 1000
  // JavaScript finds a date in nearly any text: "-1" is one of 2001, and would be no time to wait.
  const until = /^[A-Za-z]{3,9},? .* GMT$/.test(after) ? Date.parse(after) : NaN
  return Number.isNaN(until) ? undefined : Math.max(0, until - now)
}

/** What a body that is no refusal of the service says, a page of a proxy for example. */
const beginningOf = (text: string): string =>
  text.replace(/<(script|style)[\s\S]*?<\/\1>|<[^>]*>/gi, " ").replace(/\s+/g, " ").trim().slice(0, 200)

export const make = (options: Options): AtomClient => {
  const tokens = tokensOf(options.credential, options.timeout)
  const { hostname, port } = new URL(options.base)
  const endpoint = { host: hostname, port: Number(port === "" ? options.base.startsWith("https:") ? 443 : 80 : port) }

  const bodyOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<Uint8Array, unknown> => {
    const declared = response.headers["content-encoding"] === undefined ? response.headers["content-length"] : undefined
    if (declared !== undefined && /^\d{1,15}$/.test(declared)) {
      // As one piece it costs half as much.
      return Number(declared) > maxLength
        ? Effect.fail(tooLong)
        : Effect.map(response.arrayBuffer, (buffer) => new Uint8Array(buffer))
    }
    let length = 0
    return response.stream.pipe(
      // A fetch without a body gives none, rather than an empty one.
      Stream.catchIf(
        (error) => HttpClientError.isHttpClientError(error) && error.reason._tag === "EmptyBodyError",
        () => Stream.empty
      ),
      Stream.mapEffect((chunk) => {
        length += chunk.length
        return length > maxLength ? Effect.fail(tooLong) : Effect.succeed(chunk)
      }),
      Stream.runCollect,
      Effect.map((chunks) => Buffer.concat(chunks))
    )
  }

  /** The error of a request that was not answered. */
  const unanswered = (request: Request, error: HttpClientError.HttpClientError | unknown): E.CreateEntityError => {
    const context = {
      operation: request.operation,
      ...(request.entity === undefined ? {} : { entity: request.entity })
    }
    const root = rootOf(error)
    if (isBlockedPort(root)) {
      return new E.InvalidOptionError({
        ...context,
        option: "port",
        expected:
          `another than ${endpoint.port}, to which fetch does not connect (the Fetch standard blocks it), or another ` +
          "HTTP client, by layerHttpClient"
      })
    }
    const socketError = errorMap.fromSocket(root, endpoint, request.operation)
    const lost = errorMap.withFields(socketError, context)
    // What does not reach the host has done nothing there.
    return request.method === "GET" || lost._tag === "ServiceBusCommunicationError" ? lost : unknown(request, lost)
  }

  const unknown = (request: Request, cause: E.Any): E.OperationTimeoutError =>
    new E.OperationTimeoutError({
      operation: request.operation,
      ...(request.entity === undefined ? {} : { entity: request.entity }),
      description: cause.message,
      outcome: "unknown",
      cause
    })

  const refused = (request: Request, refusal: errorMap.HttpRefusal): E.CreateEntityError => {
    const error = errorMap.createEntityError(errorMap.fromHttp(refusal, {
      operation: request.operation,
      entity: request.entity,
      option: request.operation.endsWith("Rule") ? "rule" : "settings",
      optionOf: EntitySettings.optionOf,
      existing: request.method === "PUT" && request.isUpdate !== true
    }))
    // It says that it failed, not that it did nothing.
    return request.method !== "GET" && error._tag === "ServiceBusError" &&
        /^http:5|^http:408/.test(error.condition ?? "")
      ? unknown(request, error)
      : error
  }

  const execute = (request: Request, token: string): Effect.Effect<
    { readonly status: number; readonly headers: Headers.Headers; readonly body: Uint8Array },
    E.CreateEntityError
  > => {
    const query = { ...request.query, "api-version": options.apiVersion }
    const url = `${options.base}/${encodePath(request.path)}?${
      Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")
    }`
    const asked = HttpClientRequest.make(request.method)(url, {
      headers: {
        authorization: token,
        "user-agent": options.userAgent,
        accept: "application/atom+xml, application/xml",
        ...(request.isUpdate === true ? { "if-match": "*" } : {}),
        ...Object.fromEntries((request.supplementary ?? []).map((name) => [name, token]))
      }
    })
    const withBody = request.content === undefined ? asked : HttpClientRequest.bodyText(
      asked,
      AtomXml.print(AtomXml.entryElement({ content: request.content })),
      "application/atom+xml;type=entry;charset=utf-8"
    )
    return options.http.execute(withBody).pipe(
      Effect.flatMap((response) =>
        isElsewhere(response)
          ? Effect.fail(redirected)
          : Effect.map(bodyOf(response), (body) => ({ status: response.status, headers: response.headers, body }))
      ),
      Effect.provideService(Headers.CurrentRedactedNames, redacted),
      // Its own error has the request in it, and with that the token.
      Effect.mapError((error) =>
        error === tooLong || error === redirected
          ? malformed(request, (error as AtomXml.XmlProblem).problem)
          : unanswered(request, error)
      ),
      Effect.timeoutOrElse({
        duration: options.timeout,
        orElse: () =>
          Effect.fail(
            new E.OperationTimeoutError({
              operation: request.operation,
              ...(request.entity === undefined ? {} : { entity: request.entity }),
              description: `no answer within ${options.timeout} ms`,
              outcome: "unknown"
            })
          )
      })
    )
  }

  const request = Effect.fnUntraced(function*(request: Request): Effect.fn.Return<Answer, E.CreateEntityError> {
    for (let tried = 1;; tried++) {
      const token = yield* tokens.get(options.audience)
      const bearer = token.type === "jwt" ? "Bearer " : ""
      const value = `${bearer}${Redacted.value(token.token)}`
      // An HTTP client says the header that it does not take, and with it the token.
      if (!/^[\x20-\x7e]*$/.test(value)) {
        tokens.drop(token)
        return yield* new E.CredentialError({
          operation: request.operation,
          description: "the token has characters that no header of HTTP can have, a line break for example"
        })
      }
      const { body, headers, status } = yield* execute(request, value)
      const isSuccess = status >= 200 && status < 300
      if (isSuccess && request.method === "DELETE") return undefined
      const parsed = yield* Effect.result(AtomXml.parse(body, { maxLength }))
      const root = parsed._tag === "Success" ? parsed.success : undefined
      if (isSuccess) {
        const envelope = root === undefined ? undefined : AtomXml.envelopeOf(root)
        if (envelope !== undefined) return envelope
        return yield* malformed(
          request,
          parsed._tag === "Failure" ? parsed.failure.message : "it is no entry and no feed"
        )
      }
      const refusal = root === undefined ? undefined : AtomXml.refusalOf(root)
      const error = refused(request, {
        status,
        detail: refusal?.detail ??
          `it answered ${status}: ${beginningOf(new TextDecoder().decode(body.subarray(0, 4096)))}`,
        retryAfter: retryAfterOf(headers, yield* Clock.currentTimeMillis)
      })
      // One that was revoked, or whose key was rotated, before its time is replaced once.
      if (error._tag !== "ServiceBusAuthenticationError" || tried === 2) return yield* error
      tokens.drop(token)
    }
  })
  return { request }
}

/** An answer that cannot be read; what was asked for may have been carried out. */
export const malformed = (request: Pick<Request, "entity" | "operation">, problem: string): E.ServiceBusError =>
  new E.ServiceBusError({
    operation: request.operation,
    ...(request.entity === undefined ? {} : { entity: request.entity }),
    description: `what answered is not the management API, or a newer one: ${problem}`
  })

/** Whether fetch refused a port without trying it; it says so in words alone. */
const isBlockedPort = (error: unknown): boolean => error instanceof Error && error.message === "bad port"

/** What an HTTP client failed of: the error of the socket, where there is one. */
const rootOf = (error: unknown): unknown => {
  let root = error
  for (let depth = 0; depth < 8; depth++) {
    if (typeof root !== "object" || root === null) break
    if (typeof (root as { readonly code?: unknown }).code === "string") break
    const next = (root as { readonly cause?: unknown }).cause ??
      (root as { readonly reason?: { readonly cause?: unknown } }).reason?.cause
    if (next === undefined || next === null) break
    root = next
  }
  // Without a cause it is the HTTP client's own error, which has the request: its text alone is kept.
  const isOwn = typeof root === "object" && root !== null && "request" in root || root === error
  return isOwn ? new Error(root instanceof Error ? root.message : String(root)) : root
}
