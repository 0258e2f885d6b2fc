/** The metrics of the command's broker at a collector: what it is sent, what variables say of it, and what is wrong with them. */
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { gunzipSync } from "node:zlib"
import { version } from "../../src/emulator/CommandLine.ts"
import * as MetricExport from "../../src/emulator/MetricExport.ts"
import { collector, type Export, valueIn } from "../support/collector.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** Runs a broker whose metrics are exported as variables say, as long as an effect runs; gives what was warned of. */
const exporting = <A, E>(
  variables: Readonly<Record<string, string>>,
  use: (emulator: Emulator.Emulator["Service"], warnings: ReadonlyArray<string>) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const { settings, warnings: read } = MetricExport.read(variables)
    assert.deepStrictEqual(read, [])
    const warnings: Array<string> = []
    const warned = (words: string) => Effect.sync(() => void warnings.push(words))
    yield* Effect.flatMap(Emulator.Emulator, (emulator) => use(emulator, warnings)).pipe(
      Effect.provide(
        MetricExport.layer(settings!, warned).pipe(
          Layer.provideMerge(Emulator.layer({ entities: [Emulator.entity("orders")] }))
        )
      )
    )
    return warnings
  })

const orders = { "messaging.destination.name": "orders", "servicebus.namespace": "default" }

describe("the export of metrics", () => {
  it.live("sends what the broker counts as JSON: at once, in time, and when it ends", () =>
    Effect.gen(function*() {
      const { endpoint, exports, first, has } = yield* collector()
      const enqueued = (one: Export) => valueIn(one, "servicebus.broker.message.enqueued", orders)
      const warnings = yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: `${endpoint}/below`,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_EXPORTER_OTLP_HEADERS: "api-key=hush%20hush,tenant=a",
        OTEL_METRIC_EXPORT_INTERVAL: "20",
        OTEL_SERVICE_NAME: "shop broker",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,service.name=other"
      }, (emulator) =>
        Effect.gen(function*() {
          yield* has(1)
          assert.strictEqual(enqueued(exports[0]!), undefined)
          yield* emulator.send("orders", [{ body: new Uint8Array(1) }, { body: new Uint8Array(1) }])
          yield* first((one) => enqueued(one) === 2)
          yield* emulator.send("orders", [{ body: new Uint8Array(1) }])
        }))
      assert.deepStrictEqual(warnings, [])
      const last = yield* first((one) => enqueued(one) === 3)
      assert.strictEqual(
        valueIn(last, "servicebus.broker.message.current", { ...orders, "servicebus.message.state": "active" }),
        3
      )
      assert.strictEqual(last.path, "/below/v1/metrics")
      assert.strictEqual(last.headers["api-key"], "hush hush")
      assert.strictEqual(last.headers["tenant"], "a")
      const { resourceMetrics: [{ resource: { attributes } }] } = JSON.parse(last.body.toString())
      const resource = Object.fromEntries(
        attributes.map((each: { key: string; value: object }) => [each.key, Object.values(each.value)[0]])
      )
      assert.strictEqual(resource["service.name"], "shop broker")
      assert.strictEqual(resource["service.version"], version)
      assert.strictEqual(resource["deployment.environment.name"], "test")
      assert.match(resource["service.instance.id"], /^[\da-f-]{36}$/)
    }))

  it.live("is protobuf by default, at the endpoint of metrics as it is, and compressed where that is asked for", () =>
    Effect.gen(function*() {
      const { endpoint, exports, has } = yield* collector()
      yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${endpoint}/at/it`,
        OTEL_EXPORTER_OTLP_COMPRESSION: "gzip"
      }, () => has(1))
      const [{ body, headers, path }] = exports as [Export]
      assert.strictEqual(path, "/at/it")
      assert.strictEqual(headers["content-type"], "application/x-protobuf")
      assert.strictEqual(headers["content-encoding"], "gzip")
      const text = gunzipSync(body).toString("latin1")
      for (const word of ["servicebus.broker.message.current", "orders", "effect-service-bus"]) {
        assert.include(text, word)
      }
    }))

  const told = (warnings: ReadonlyArray<string>) =>
    Effect.repeat(Effect.yieldNow, { until: () => Effect.succeed(warnings.length > 0) })

  it.live("tells of a collector that refuses what it is sent, and leaves it alone for a time", () =>
    Effect.gen(function*() {
      const { endpoint, exports } = yield* collector([403])
      const warnings = yield* exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, (_, warnings) => told(warnings))
      assert.deepStrictEqual(warnings, [
        `metrics are not exported: ${endpoint}/v1/metrics does not take them (it answers with status 403); it is tried again`
      ])
      // The last one is not sent either.
      assert.strictEqual(exports.length, 1)
    }))

  it.live("tells once of a collector that is not there or says nothing, without what is secret", () =>
    Effect.gen(function*() {
      const { endpoint: closed } = yield* Effect.scoped(collector())
      const gone = yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: `${closed}/path?token=hush`,
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20hush"
      }, (_, warnings) => told(warnings))
      assert.deepStrictEqual(gone, [
        `metrics are not exported: ${closed}/path/v1/metrics does not take them (ECONNREFUSED); it is tried again`
      ])
      const { endpoint, exports, has } = yield* collector([0, 0, 0, 0])
      const silent = yield* exporting(
        { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: "50" },
        (_, warnings) => Effect.andThen(has(1), told(warnings))
      )
      assert.deepStrictEqual(silent, [
        `metrics are not exported: ${endpoint}/v1/metrics does not take them (no answer within 50 ms); it is tried again`
      ])
      assert.strictEqual(exports.length, 1)
    }))

  it.live("tells again where a collector answered in between", () =>
    Effect.gen(function*() {
      // What may pass is tried again after a second; there is a warning for each time.
      const { endpoint, has } = yield* collector([503, 200, 503])
      const warnings = yield* exporting(
        { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_METRIC_EXPORT_INTERVAL: "1500" },
        () => has(4)
      )
      assert.strictEqual(warnings.length, 2)
    }))

  it.live("ends within its second where a collector does not answer", () =>
    Effect.gen(function*() {
      const { endpoint, has } = yield* collector([0, 0, 0, 0])
      const began = performance.now()
      yield* exporting({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, () => has(1))
      assert.isBelow(performance.now() - began, 5000)
    }))

  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318" }

  it("keeps headers out of sight", () => {
    const { settings } = MetricExport.read({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: "authorization=hush" })
    assert.deepStrictEqual(Redacted.value(settings!.headers), { authorization: "hush" })
    assert.notInclude(inspect(settings, { depth: 9, showHidden: true }), "hush")
  })

  const wrong: ReadonlyArray<readonly [variables: Readonly<Record<string, string>>, warning: RegExp, isOff?: "off"]> = [
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" }, /^OTEL_EXPORTER_OTLP_ENDPOINT must be a URL of http or/, "off"],
    [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "nowhere" }, /^OTEL_EXPORTER_OTLP_METRICS_ENDPOINT must be a URL/, "off"],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://me:hush@host" },
      /^OTEL_EXPORTER_OTLP_ENDPOINT must have no password/,
      "off"
    ],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, /^OTEL_EXPORTER_OTLP_PROTOCOL must be .* port 4318 .*: grpc is/, "off"],
    [
      { OTEL_METRICS_EXPORTER: "prometheus" },
      /^OTEL_METRICS_EXPORTER has no exporter that is here, which is otlp/,
      "off"
    ],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: "smoke" },
      /^OTEL_EXPORTER_OTLP_PROTOCOL must be .*; it is taken for http\/protobuf$/
    ],
    [{ OTEL_METRIC_EXPORT_INTERVAL: "0" }, /^OTEL_METRIC_EXPORT_INTERVAL must be .*; it is taken for 60000$/],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "soon" }, /^OTEL_EXPORTER_OTLP_TIMEOUT must be .*; it is taken for 10000$/],
    [{ OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "-1" }, /^OTEL_EXPORTER_OTLP_METRICS_TIMEOUT must be/],
    [{ OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" }, /^OTEL_EXPORTER_OTLP_COMPRESSION must be none or gzip/],
    [
      { OTEL_EXPORTER_OTLP_HEADERS: "a=b,hush" },
      /^OTEL_EXPORTER_OTLP_HEADERS must be .*; the 2\. of them is left out$/
    ],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "a=hush%0D%0Ab: c" }, /; the 1\. of them is left out$/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "a=hush%" }, /; the 1\. of them is left out$/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "a b=hush" }, /; the 1\. of them is left out$/],
    [{ OTEL_RESOURCE_ATTRIBUTES: "a=%zz" }, /^OTEL_RESOURCE_ATTRIBUTES must be .*; the 1\. of them is left out$/],
    [{ OTEL_SDK_DISABLED: "perhaps" }, /^OTEL_SDK_DISABLED must be true or false; it is taken for false$/]
  ]

  for (const [variables, warning, isOff] of wrong) {
    it(`warns of ${JSON.stringify(variables)}`, () => {
      const { settings, warnings } = MetricExport.read({ ...endpoint, ...variables })
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0]!, warning)
      assert.notInclude(warnings[0], "hush")
      assert.strictEqual(settings === undefined, isOff === "off")
    })
  }

  it("is off where a variable says so", () => {
    for (const off of [{ OTEL_SDK_DISABLED: "true" }, { OTEL_METRICS_EXPORTER: "none" }]) {
      assert.deepStrictEqual(MetricExport.read({ ...endpoint, ...off }), { settings: undefined, warnings: [] })
    }
    assert.isDefined(MetricExport.read({ ...endpoint, OTEL_METRICS_EXPORTER: "console, otlp" }).settings)
  })

  it("takes what has no METRICS in its name only where nothing else is said, and an empty variable for none", () => {
    const { settings } = MetricExport.read({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://all/",
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: " ",
      OTEL_EXPORTER_OTLP_TIMEOUT: "1",
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "2",
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "DELTA"
    })
    assert.deepInclude(settings, {
      url: "http://all/v1/metrics",
      timeout: 2,
      temporality: "delta",
      interval: 60_000,
      isJson: false,
      compression: "none"
    })
  })
})
