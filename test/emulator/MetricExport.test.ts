/** The metrics of the command's broker at a collector: what it is sent, what variables say of it, and what is wrong with them. */
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import type { ServerResponse } from "node:http"
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
const enqueued = (one: Export) => valueIn(one, "servicebus.broker.message.enqueued", orders)

describe("the export of metrics", () => {
  /** Has intervals pass until an effect is over; gives how long that was, in milliseconds. */
  const passing = (millis: number, effect: Effect.Effect<void>) =>
    Effect.gen(function*() {
      const began = yield* Clock.currentTimeMillis
      const turn = Effect.andThen(TestClock.adjust(millis), Effect.promise(() => new Promise(setImmediate)))
      yield* Effect.raceFirst(effect, Effect.forever(turn))
      return (yield* Clock.currentTimeMillis) - began
    })

  it.effect("sends what the broker counts as JSON: at once, in time, and when it ends", () =>
    Effect.gen(function*() {
      const { endpoint, exports, first, has } = yield* collector()
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
          yield* passing(20, Effect.asVoid(first((one) => enqueued(one) === 2)))
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

  const refusal = (endpoint: string, why: string) =>
    `metrics are not exported: ${endpoint}/v1/metrics does not take them (${why}); it is tried again`

  it.effect("tells once of a collector that refuses what it is sent, and tries it again at each interval and at the end", () =>
    Effect.gen(function*() {
      const { endpoint, exports, has } = yield* collector(Array.from({ length: 100 }, () => 403))
      const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }
      const once = yield* exporting(variables, (_, warnings) => told(warnings))
      assert.deepStrictEqual(once, [refusal(endpoint, "it answers with status 403")])
      assert.strictEqual(exports.length, 2)
      const often = yield* exporting({ ...variables, OTEL_METRIC_EXPORT_INTERVAL: "20" }, () => passing(20, has(6)))
      assert.deepStrictEqual(often, once)
    }))

  const two = [{ body: new Uint8Array(1) }, { body: new Uint8Array(1) }]

  it.effect("sends at the end what a collector did not take before", () =>
    Effect.gen(function*() {
      const { endpoint, exports, has } = yield* collector([400])
      yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json"
      }, (emulator) => Effect.andThen(has(1), emulator.send("orders", two)))
      assert.deepStrictEqual(exports.map(enqueued), [undefined, 2])
    }))

  it.effect("keeps the deltas that a collector did not take for the next export, which comes after a minute", () =>
    Effect.gen(function*() {
      const { endpoint, exports, has } = yield* collector([200, 400])
      yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta",
        OTEL_METRIC_EXPORT_INTERVAL: "1000"
      }, (emulator, warnings) =>
        Effect.gen(function*() {
          yield* has(1)
          yield* emulator.send("orders", two)
          yield* TestClock.adjust("1 second")
          yield* told(warnings)
          yield* emulator.send("orders", two)
          yield* TestClock.adjust("1 minute")
          yield* has(3)
        }))
      assert.deepStrictEqual(exports.slice(0, 3).map(enqueued), [undefined, 2, 4])
    }))

  it.live("follows no redirection, which would make a GET of an export or take its headers elsewhere", () =>
    Effect.gen(function*() {
      for (const status of [301, 302, 303, 307, 308, 304]) {
        const other = yield* collector()
        const redirect = (response: ServerResponse) =>
          response.writeHead(status, { location: `${other.endpoint}/other` }).end()
        const { endpoint } = yield* collector([redirect, redirect])
        const warnings = yield* exporting({
          OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
          OTEL_EXPORTER_OTLP_HEADERS: "authorization=hush"
        }, (_, warnings) => told(warnings))
        assert.deepStrictEqual(warnings, [refusal(endpoint, `it answers with status ${status}`)])
        assert.deepStrictEqual(other.exports, [])
      }
    }))

  it.live("tells of an answer that does not end, and goes on", () =>
    Effect.gen(function*() {
      const { endpoint, has } = yield* collector([(response) => response.writeHead(200).write("x")])
      const warnings = yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_TIMEOUT: "50",
        OTEL_METRIC_EXPORT_INTERVAL: "100"
      }, () => has(2))
      assert.strictEqual(warnings[0], refusal(endpoint, "no answer within 50 ms"))
    }))

  it.live("reads no more than the beginning of an answer", () =>
    Effect.gen(function*() {
      let isClosed = false
      const { endpoint } = yield* collector([(response) => {
        const write = () => {
          if (!isClosed && response.write(new Uint8Array(65_536))) setImmediate(write)
        }
        response.on("close", () => isClosed = true).on("drain", write).writeHead(200)
        write()
      }])
      const warnings = yield* exporting(
        { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
        () => Effect.repeat(Effect.yieldNow, { until: () => Effect.succeed(isClosed) })
      )
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("gives a collector that asks for time no more than an interval", () =>
    Effect.gen(function*() {
      const busy = (status: number) => (response: ServerResponse) =>
        response.writeHead(status, { "retry-after": "99999999999" }).end()
      const { endpoint, has } = yield* collector([busy(429), busy(503)])
      yield* exporting(
        { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_METRIC_EXPORT_INTERVAL: "100" },
        // It asks for three thousand years.
        () => Effect.map(passing(100, has(3)), (millis) => assert.isBelow(millis, 86_400_000))
      )
    }))

  it.live("tells of a collector that takes an export in part", () =>
    Effect.gen(function*() {
      const message = "m".repeat(200)
      const json = JSON.stringify({ partialSuccess: { rejectedDataPoints: "300", errorMessage: message } })
      const protobuf = Buffer.concat([Buffer.from([0x0a, 206, 1, 0x08, 172, 2, 0x12, 200, 1]), Buffer.from(message)])
      for (const [protocol, answer] of [["http/json", json], ["http/protobuf", protobuf]] as const) {
        const { endpoint } = yield* collector([(response) => response.writeHead(200).end(answer)])
        const warnings = yield* exporting(
          { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: protocol },
          (_, warnings) => told(warnings)
        )
        assert.deepStrictEqual(warnings, [
          `metrics are not all exported: ${endpoint}/v1/metrics rejects 300 data points`
        ])
      }
    }))

  it.live("tells once of a collector that is not there or says nothing, without what is secret", () =>
    Effect.gen(function*() {
      const { endpoint: closed } = yield* Effect.scoped(collector())
      const gone = yield* exporting({
        OTEL_EXPORTER_OTLP_ENDPOINT: `${closed}/path?token=hush`,
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20hush"
      }, (_, warnings) => told(warnings))
      assert.deepStrictEqual(gone, [refusal(`${closed}/path`, "ECONNREFUSED")])
      const { endpoint, has } = yield* collector([0, 0, 0, 0])
      const silent = yield* exporting(
        {
          OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
          OTEL_EXPORTER_OTLP_TIMEOUT: "50",
          // On a busy machine the time may be over before the collector has the first.
          OTEL_METRIC_EXPORT_INTERVAL: "100"
        },
        (_, warnings) => Effect.andThen(has(1), told(warnings))
      )
      assert.deepStrictEqual(silent, [refusal(endpoint, "no answer within 50 ms")])
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

  it("names the service where a variable gives it an empty name", () => {
    for (const variables of [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=" }, { OTEL_SERVICE_NAME: " " }]) {
      const { settings } = MetricExport.read({ ...endpoint, ...variables })
      assert.strictEqual(settings!.resource["service.name"], "effect-service-bus")
    }
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
