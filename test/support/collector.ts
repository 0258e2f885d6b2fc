/** A collector of OpenTelemetry, as far as the export of metrics needs one. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

/** What it was sent at once. */
export interface Export {
  readonly path: string | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

/** A collector that runs. */
interface Collector {
  readonly endpoint: string
  readonly exports: ReadonlyArray<Export>
  /** Completes when so many have come. */
  readonly has: (count: number) => Effect.Effect<void>
  /** Completes with the first that is as asked for, of those that have come or will: several may be under way at once. */
  readonly first: (isAsked: (one: Export) => boolean) => Effect.Effect<Export>
}

/** An answer: its status, 0 for none at all, or what gives it. */
type Answer = number | ((response: http.ServerResponse) => void)

/** A receiver of OTLP over HTTP, which gives these answers in turn, and then the status 200. */
export const collector = (answers: ReadonlyArray<Answer> = []): Effect.Effect<Collector, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ server: http.Server; exports: Array<Export>; waiting: Set<() => void> }>((resume) => {
        const exports: Array<Export> = []
        const waiting = new Set<() => void>()
        const server = http.createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const answer = answers[exports.length] ?? 200
            exports.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks) })
            if (typeof answer === "function") answer(response)
            else if (answer !== 0) response.writeHead(answer, { "content-type": "application/json" }).end("{}")
            for (const look of waiting) look()
          })
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, exports, waiting })))
      }),
      ({ server }) =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    ),
    ({ exports, server, waiting }) => {
      const found = <A>(find: () => A | undefined) =>
        Effect.callback<A>((resume) => {
          const look = () => {
            const result = find()
            if (result === undefined) return
            waiting.delete(look)
            resume(Effect.succeed(result))
          }
          waiting.add(look)
          look()
        })
      return {
        endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        exports,
        has: (count) => Effect.asVoid(found(() => exports.length < count ? undefined : exports.length)),
        first: (isAsked) => found(() => exports.find(isAsked))
      }
    }
  )

/** The value of a series in an export as JSON. */
export const valueIn = ({ body }: Export, name: string, attributes: Readonly<Record<string, string>>) => {
  const { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] } = JSON.parse(body.toString())
  const metric = metrics.find((each: { name: string }) => each.name === name)
  const points: ReadonlyArray<{ asInt: number; attributes: ReadonlyArray<{ key: string; value: object }> }> =
    (metric?.sum ?? metric?.gauge)?.dataPoints ?? []
  return points.find((point) =>
    Object.entries(attributes).every(([key, value]) =>
      point.attributes.some((each) => each.key === key && Object.values(each.value)[0] === value)
    )
  )?.asInt
}
