/** What stands between administrators and the broker: requests that are lost, refused or answered late, as faults have it. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"

/** What goes wrong with the next requests, as many as `times` says. */
export interface HttpFault {
  /** Any where none is given. */
  readonly method?: string | undefined
  /** The answer is this status, and nothing is done. */
  readonly refusal?: { readonly status: number; readonly headers: Readonly<Record<string, string>> } | undefined
  /** What does not arrive: the request, of which nothing is done then, its answer, or the rest of that. */
  readonly lost?: "request" | "answer" | "rest" | undefined
  /** For how many milliseconds the answer, or its loss, is on its way. What was asked for is done at once. */
  readonly delay?: number | undefined
  readonly times: number
}

/** A request whose connection ends, or is refused. */
export const lossOf = (
  request: HttpClientRequest.HttpClientRequest,
  code: "ECONNRESET" | "ECONNREFUSED" = "ECONNRESET"
) =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({
        request,
        cause: Object.assign(new Error(`${code === "ECONNRESET" ? "read" : "connect"} ${code}`), { code })
      })
    })
  )

export class HttpNetwork {
  private pending: Array<{ readonly fault: HttpFault; left: number }> = []

  add(fault: HttpFault): void {
    this.pending.push({ fault, left: fault.times })
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.pending = []
  }

  /** A client whose requests pass here. */
  over(client: HttpClient.HttpClient): HttpClient.HttpClient {
    return HttpClient.make((request) =>
      Effect.suspend(() => {
        const { delay = 0, lost, refusal } = this.take(request.method) ?? {}
        const loss = lossOf(request)
        const answer = refusal !== undefined
          ? Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, refusal)))
          : lost === "request"
          ? loss
          : client.execute(request)
        const late = delay === 0 ? answer : Effect.tap(answer, () => Effect.sleep(delay))
        if (lost === "answer") return Effect.andThen(late, loss)
        return lost === "rest" ? Effect.map(late, (response) => cut(response, loss)) : late
      })
    )
  }

  private take(method: string): HttpFault | undefined {
    const found = this.pending.find(({ fault }) => fault.method === undefined || fault.method === method)
    if (found !== undefined && --found.left === 0) this.pending = this.pending.filter((each) => each !== found)
    return found?.fault
  }
}

/** A response whose body does not come. */
const cut = (
  response: HttpClientResponse.HttpClientResponse,
  loss: ReturnType<typeof lossOf>
): HttpClientResponse.HttpClientResponse =>
  Object.create(response, { stream: { value: Stream.fromEffect(loss) }, arrayBuffer: { value: loss } })
