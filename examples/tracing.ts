// Spans in OpenTelemetry's format: exported by Effect's OTLP exporter to a collector, here one of a few lines on a port of
// its own. The handler's span goes on with the trace in which the message was sent.
import { Console, Deferred, Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.send({ body: "two chairs" }).pipe(Effect.withSpan("checkout"))

  const done = yield* Deferred.make<void>()
  const processor = yield* ServiceBusProcessor.make(
    Orders,
    () => Effect.void.pipe(Effect.withSpan("bill"), Effect.andThen(Deferred.succeed(done, undefined)), Effect.asVoid)
  )
  yield* Deferred.await(done)
  yield* processor.drain
}).pipe(Effect.scoped)

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)] })

/** As much of an exported span as is shown here. */
interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string | undefined
}

/** A collector: the spans that came, and where to send them. */
const collector = Effect.acquireRelease(
  Effect.callback<{ readonly spans: Array<Span>; readonly url: string; readonly close: () => void }>((resume) => {
    const spans: Array<Span> = []
    const server = createServer((request, response) => {
      let text = ""
      request.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => {
        for (const { scopeSpans } of JSON.parse(text).resourceSpans) {
          for (const scope of scopeSpans) spans.push(...scope.spans)
        }
        response.end("{}")
      })
    }).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const close = () => {
        server.close()
        server.closeAllConnections()
      }
      resume(Effect.succeed({ spans, url: `http://127.0.0.1:${port}/v1/traces`, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const main = Effect.gen(function*() {
  const { spans, url } = yield* collector
  const Tracing = OtlpTracer.layer({ url, resource: { serviceName: "shop" } }).pipe(
    Layer.provide(OtlpSerialization.layerJson),
    Layer.provide(FetchHttpClient.layer)
  )
  // What is left is exported when the layer is released.
  yield* program.pipe(Effect.provide(Broker), Effect.provide(Tracing))
  const byId = new Map(spans.map((span) => [span.spanId, span]))
  const path = (span: Span): string => {
    const parent = byId.get(span.parentSpanId ?? "")
    return parent === undefined ? span.name : `${path(parent)} > ${span.name}`
  }
  const bill = spans.find(({ name }) => name === "bill")
  const traces = new Set(spans.map(({ traceId }) => traceId)).size
  yield* Console.log(`${spans.length} spans in ${traces} trace: ${bill === undefined ? "no bill" : path(bill)}`)
})

await Effect.runPromise(Effect.scoped(main))
