// Traces, metrics and logs by OTLP, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector; else the console's log alone.
import { Config, Effect, Layer, Option } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"

export const layer = Layer.unwrap(Effect.gen(function*() {
  const endpoint = yield* Config.option(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT"))
  return Option.isNone(endpoint) ? Layer.empty : Otlp.layerJson({
    baseUrl: endpoint.value,
    resource: { serviceName: "orders" }
  }).pipe(Layer.provide(FetchHttpClient.layer))
}))
