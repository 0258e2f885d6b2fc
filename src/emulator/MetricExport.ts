/**
 * The broker's metrics sent to a collector over OTLP, as OpenTelemetry's environment variables say it. The command loads this
 * where one of them names an endpoint, and whoever names none does without it.
 *
 * It is in nobody's way: what a variable says wrongly is warned of and left out, an endpoint that does not answer is told of once
 * and tried again, and the last values are sent when the command stops, for which it has a second. Headers, which may be
 * secrets, are in no warning.
 *
 * Sources: OpenTelemetry specification 1.5x, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter".
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { version } from "./CommandLine.ts"
import * as Emulator from "./Emulator.ts"

type Variables = Readonly<Record<string, string | undefined>>

/** What is exported, where to and how; times are milliseconds. */
interface Settings {
  readonly url: string
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
  readonly isJson: boolean
  readonly compression: "gzip" | "none"
  readonly interval: number
  readonly timeout: number
  readonly temporality: "cumulative" | "delta"
  readonly resource: Readonly<Record<string, string>>
}

/** Names of OpenTelemetry's variables for a signal and for all of them, the first of which counts. */
const both = (name: string): ReadonlyArray<string> => [
  `OTEL_EXPORTER_OTLP_METRICS_${name}`,
  `OTEL_EXPORTER_OTLP_${name}`
]

class Reader {
  readonly warnings: Array<string> = []
  private readonly variables: Variables

  constructor(variables: Variables) {
    this.variables = variables
  }

  warn(name: string, words: string): void {
    this.warnings.push(`${name} ${words}`)
  }

  /** The first of these variables that is set; an empty one is none. */
  first(names: ReadonlyArray<string>): { readonly name: string; readonly text: string } | undefined {
    const name = names.find((each) => (this.variables[each] ?? "").trim() !== "")
    return name === undefined ? undefined : { name, text: this.variables[name]!.trim() }
  }

  /** One of some words, in whatever case. */
  word<const W extends string>(names: ReadonlyArray<string>, words: ReadonlyArray<W>, otherwise: W): W {
    const given = this.first(names)
    if (given === undefined) return otherwise
    const found = words.find((each) => each === given.text.toLowerCase())
    if (found === undefined) this.warn(given.name, `must be ${words.join(" or ")}; it is taken for ${otherwise}`)
    return found ?? otherwise
  }

  millis(names: ReadonlyArray<string>, otherwise: number): number {
    const given = this.first(names)
    if (given === undefined) return otherwise
    const value = Number(given.text)
    if (Number.isInteger(value) && value > 0 && value <= 2 ** 31 - 1) return value
    this.warn(given.name, `must be a number of milliseconds, 1 or more; it is taken for ${otherwise}`)
    return otherwise
  }

  /** Pairs `name=value` between commas, whose values are percent-encoded; no value is in a warning. */
  pairs(names: ReadonlyArray<string>, isName: RegExp, isValue: RegExp): Readonly<Record<string, string>> {
    const given = this.first(names)
    const pairs = new Map<string, string>()
    for (const [index, pair] of (given?.text ?? "").split(",").entries()) {
      if (pair.trim() === "") continue
      const at = pair.indexOf("=")
      const name = decoded(pair.slice(0, Math.max(at, 0)).trim())
      const value = decoded(pair.slice(at + 1).trim())
      if (at > 0 && name !== undefined && value !== undefined && isName.test(name) && isValue.test(value)) {
        pairs.set(name, value)
      } else this.warn(given!.name, `must be NAME=VALUE between commas; the ${index + 1}. of them is left out`)
    }
    return Object.fromEntries(pairs)
  }
}

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** A name and a value of a header (RFC 9110, sections 5.1 and 5.5). */
const headerName = /^[\w!#$%&'*+.^`|~-]+$/
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** The endpoint of metrics: a variable for all signals names what its path is below. */
const endpointOf = (reader: Reader): string | undefined => {
  const given = reader.first(both("ENDPOINT"))!
  const url = URL.canParse(given.text) ? new URL(given.text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    reader.warn(given.name, "must be a URL of http or https, such as http://localhost:4318; no metrics are exported")
    return undefined
  }
  if (url.username !== "" || url.password !== "") {
    reader.warn(given.name, "must have no password: give OTEL_EXPORTER_OTLP_HEADERS; no metrics are exported")
    return undefined
  }
  if (!given.name.includes("METRICS")) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/metrics`
  return url.href
}

/** Whether variables say that nothing is exported. */
const isOff = (reader: Reader): boolean => {
  if (reader.word(["OTEL_SDK_DISABLED"], ["true", "false"], "false") === "true") return true
  const exporter = reader.first(["OTEL_METRICS_EXPORTER"])
  const names = new Set((exporter?.text ?? "otlp").toLowerCase().split(",").map((each) => each.trim()))
  if (names.has("otlp")) return false
  if (!names.has("none")) {
    reader.warn(exporter!.name, "has no exporter that is here, which is otlp; no metrics are exported")
  }
  return true
}

/** Reads the variables; no settings where nothing is to be exported. One of the endpoints is set. */
export const read = (
  variables: Variables
): { readonly settings: Settings | undefined; readonly warnings: ReadonlyArray<string> } => {
  const reader = new Reader(variables)
  const settings = settingsOf(reader)
  return { settings, warnings: reader.warnings }
}

const settingsOf = (reader: Reader): Settings | undefined => {
  if (isOff(reader)) return undefined
  const protocol = reader.word(both("PROTOCOL"), ["http/protobuf", "http/json", "grpc"], "http/protobuf")
  if (protocol === "grpc") {
    reader.warn(
      reader.first(both("PROTOCOL"))!.name,
      "must be http/protobuf or http/json (collectors listen on port 4318 for them): grpc is not spoken here, and no metrics are exported"
    )
    return undefined
  }
  const url = endpointOf(reader)
  if (url === undefined) return undefined
  const name = reader.first(["OTEL_SERVICE_NAME"])
  const attributes = reader.pairs(["OTEL_RESOURCE_ATTRIBUTES"], /^[^\s].*$/, /^.*$/s)
  return {
    url,
    headers: Redacted.make(reader.pairs(both("HEADERS"), headerName, headerValue), { label: "OTLP headers" }),
    isJson: protocol === "http/json",
    compression: reader.word(both("COMPRESSION"), ["none", "gzip"], "none"),
    interval: reader.millis(["OTEL_METRIC_EXPORT_INTERVAL"], 60_000),
    timeout: reader.millis([...both("TIMEOUT"), "OTEL_METRIC_EXPORT_TIMEOUT"], 10_000),
    temporality: reader.word(
      ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
      ["cumulative", "delta"],
      "cumulative"
    ),
    resource: {
      "service.version": version,
      "service.instance.id": randomUUID(),
      ...attributes,
      "service.name": name?.text ?? (attributes["service.name"] || "effect-service-bus")
    }
  }
}

/** Why a request failed, without anything that is in it: what is thrown may quote a header. */
const reasonOf = (error: unknown): string => {
  for (let at: unknown = error, depth = 0; typeof at === "object" && at !== null && depth < 8; depth++) {
    if ("code" in at && typeof at.code === "string") return at.code
    const next: object = at
    at = "reason" in next ? next.reason : "cause" in next ? next.cause : undefined
  }
  return "the request failed"
}

/** Why an export was not taken, and whether that may be otherwise in a second. */
interface Refusal {
  readonly why: string
  readonly mayPass: boolean
}

/** How many bytes of an answer are read. */
const answerLimit = 65_536

/** How many data points an answer rejects of an export that is otherwise taken: its `partial_success`. */
const rejectedIn = (answer: Buffer, isJson: boolean): number => {
  if (isJson) return Number(/"rejectedDataPoints"\s*:\s*"?(\d+)/.exec(answer.toString())?.[1] ?? 0)
  let at = 0
  const next = (): number => {
    let value = 0
    for (let scale = 1, more = true; more && at < answer.length; scale *= 128) {
      const byte = answer[at++]!
      value += (byte & 127) * scale
      more = byte >= 128
    }
    return value
  }
  // The first field of the answer, its length, and the first field of that.
  return next() === 0x0a && next() > 0 && next() === 0x08 ? next() : 0
}

/** Sends an export once, and gives the whole answer of a collector that takes it. */
const attempt = (
  response: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError, Scope.Scope>,
  { timeout }: Settings
): Effect.Effect<Buffer, Refusal> =>
  Effect.gen(function*() {
    const { headers, status, stream } = yield* response
    if (status >= 200 && status < 300) {
      return Buffer.concat(yield* Stream.runCollect(Stream.limitBytes(stream, answerLimit, () => Stream.empty)))
    }
    return yield* Effect.fail<Refusal>({
      why: `it answers with status ${status}`,
      // A collector that asks for time is given it until the next interval.
      mayPass: [502, 503, 504].includes(status) && headers["retry-after"] === undefined
    })
  }).pipe(
    // A redirection is not followed: it would make a GET of the request, or take its headers to somebody else.
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
    // Whatever is not read of the answer is not waited for.
    Effect.scoped,
    Effect.timeout(timeout),
    Effect.catchTags({
      TimeoutError: () => Effect.fail<Refusal>({ why: `no answer within ${timeout} ms`, mayPass: false }),
      HttpClientError: (error) => Effect.fail<Refusal>({ why: reasonOf(error), mayPass: true })
    })
  )

/**
 * A client that tells of an endpoint that does not take what it is sent: once, until it does again.
 *
 * Effect's exporter leaves an endpoint alone for a minute after a failure, and when it ends in that minute. It hears of one
 * with `delta` alone, where it keeps for the next export what the last did not bring. Cumulative values come again by themselves.
 */
const clientOf = (
  client: HttpClient.HttpClient,
  settings: Settings,
  warn: (words: string) => Effect.Effect<void>
): HttpClient.HttpClient => {
  const { origin, pathname } = new URL(settings.url)
  const endpoint = `${origin}${pathname}`
  let isTold = false
  const tell = (words: string) =>
    Effect.suspend(() => {
      if (isTold) return Effect.void
      isTold = true
      return warn(words)
    })
  const scoped = HttpClient.withScope(client)
  return HttpClient.make((request) =>
    attempt(scoped.execute(request), settings).pipe(
      Effect.tap((answer) => {
        const rejected = rejectedIn(answer, settings.isJson)
        if (rejected > 0) return tell(`metrics are not all exported: ${endpoint} rejects ${rejected} data points`)
        isTold = false
        return Effect.void
      }),
      Effect.tapError(({ why }) =>
        tell(`metrics are not exported: ${endpoint} does not take them (${why}); it is tried again`)
      ),
      Effect.retry({ times: 3, schedule: Schedule.spaced("1 second"), while: ({ mayPass }) => mayPass }),
      settings.temporality === "delta" ? Effect.orDie : Effect.ignore,
      Effect.as(HttpClientResponse.fromWeb(request, new Response()))
    )
  )
}

/** How long the last export may take when the command stops. */
const shutdown = Duration.seconds(1)

/** Exports what a broker counts: at once, so that an endpoint that is wrong is heard of, then again and again, and at the end. */
export const layer = (
  settings: Settings,
  warn: (words: string) => Effect.Effect<void>
): Layer.Layer<never, never, Emulator.Emulator> => {
  const { "service.name": serviceName, "service.version": serviceVersion, ...attributes } = settings.resource
  const exporter = OtlpMetrics.layer({
    url: settings.url,
    headers: Redacted.value(settings.headers),
    compression: settings.compression,
    exportInterval: settings.interval,
    temporality: settings.temporality,
    shutdownTimeout: shutdown,
    resource: { serviceName, serviceVersion, attributes }
  })
  const first = Layer.effectDiscard(
    Effect.flatMap(OtlpExporter.Flusher, ({ flush }) => Effect.forkScoped(flush))
  )
  const client = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (client) => clientOf(client, settings, warn))
  )
  return first.pipe(
    Layer.provide(exporter),
    Layer.provide(settings.isJson ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
    Layer.provide(client),
    Layer.provide(FetchHttpClient.layer),
    Layer.provide(Emulator.layerMetrics),
    // What the variables say is read above, where nothing that they say is a defect.
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({})))
  )
}
