import { assert, describe, it } from "@effect/vitest"
import {
  ConnectionString,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import type { ReceivedMessage } from "effect-service-bus/ServiceBusMessage"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { linksOf, messageAttributes } from "../src/internal/telemetry/Telemetry.ts"
import * as traceContext from "../src/internal/telemetry/TraceContext.ts"
import { both, inMemory, Texts, until } from "./suites/harness.ts"
import { recorder, suite } from "./suites/telemetry.ts"

both((name, layerFor) => describe(`Telemetry, ${name}`, () => suite(name, layerFor)))

describe("Trace context", () => {
  const traceId = "0af7651916cd43dd8448eb211c80319c"
  const spanId = "b7ad6b7169203331"
  const good = `00-${traceId}-${spanId}-01`
  const idsOf = (properties: Parameters<typeof traceContext.read>[0]) => {
    const found = traceContext.read(properties)
    return found && [found.traceId, found.spanId, found.sampled]
  }

  it("is read from traceparent first, then from Diagnostic-Id", () => {
    const other = `00-${traceId.replaceAll("0", "1")}-${spanId}-00`
    assert.deepStrictEqual(idsOf({ traceparent: good, "Diagnostic-Id": other }), [traceId, spanId, true])
    assert.deepStrictEqual(idsOf({ "Diagnostic-Id": good }), [traceId, spanId, true])
    assert.deepStrictEqual(idsOf({ traceparent: "nonsense", "Diagnostic-Id": good }), [traceId, spanId, true])
    assert.deepStrictEqual(idsOf({ traceparent: 7, "Diagnostic-Id": good }), [traceId, spanId, true])
    // A later version may say more.
    assert.deepStrictEqual(idsOf({ traceparent: `cc-${traceId}-${spanId}-00-more` }), [traceId, spanId, false])
  })

  it("is ignored where it is malformed", () => {
    for (
      const traceparent of [
        "",
        good.slice(1),
        good.toUpperCase(),
        `ff-${traceId}-${spanId}-01`,
        `00-${"0".repeat(32)}-${spanId}-01`,
        `00-${traceId}-${"0".repeat(16)}-01`,
        `${good}-more`,
        `${good}7`,
        ` ${good}`,
        "|abc.1."
      ]
    ) assert.isUndefined(idsOf({ traceparent }), traceparent)
  })

  it("is not made of ids that are none of W3C's", () => {
    assert.strictEqual(traceContext.traceparentOf(Tracer.externalSpan({ traceId, spanId, sampled: true })), good)
    assert.isUndefined(traceContext.traceparentOf(Tracer.externalSpan({ traceId: "noop", spanId: "noop" })))
  })

  it("sections that cannot be read cost a span its links and attributes, and nobody a failure", () => {
    const unreadable = new Proxy({}, {
      get: () => {
        throw new Error("not well-formed")
      }
    }) as ReceivedMessage<unknown>
    assert.deepStrictEqual(linksOf([unreadable]), [])
    assert.deepStrictEqual(messageAttributes(unreadable), {})
  })

  it.prop("reading never throws", [Schema.Unknown, Schema.String], ([value, text]) => {
    for (const traceparent of [value, text, `00-${text}`, good.replace("b7", text)]) {
      const found = traceContext.read({ traceparent: traceparent as never, "Diagnostic-Id": traceparent as never })
      if (found !== undefined) assert.match(`${found.traceId}-${found.spanId}`, /^[0-9a-f]{32}-[0-9a-f]{16}$/)
    }
  })
})

describe("Telemetry", () => {
  it.live("has no token, no key and no body in it, also where a credential fails", () => {
    const recording = recorder()
    const registry: Map<string, any> = new Map()
    const logged: Array<string> = []
    const logger = Logger.make(({ cause, fiber, message }) => {
      logged.push(inspect([message, Cause.pretty(cause), cause, fiber.getRef(References.CurrentLogAnnotations)], {
        depth: 20
      }))
    })
    const body = "a body that nobody else may read"
    const program = Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      yield* sender.sendAll([{ body }, { body }])
      yield* Effect.exit(sender.send({ body: body.repeat(10_000) }))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.fail("declined"))
      yield* until(Effect.map(processor.counts, ({ failed }) => failed > 1))
    }).pipe(Effect.scoped)
    return Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* program
      const { credential } = yield* ConnectionString.parse(emulator.connectionString)
      assert(credential._tag === "SharedKey")
      const key = Redacted.value(credential.key)
      const secrets = [key, "not the key", "not a token", "SharedAccessSignature", "sig=", body]
      const failing = (bad: ServiceBusCredential.ServiceBusCredential) =>
        Effect.exit(Effect.withSpan(
          Effect.provide(
            program,
            ServiceBusClient.layer({
              fullyQualifiedNamespace: "contoso.servicebus.windows.net",
              credential: bad,
              customEndpointAddress: `sb://localhost:${emulator.tlsPort}`,
              ca: emulator.certificate,
              retry: { maxRetries: 0 }
            })
          ),
          "failing"
        ))
      const token = "SharedAccessSignature sr=not a token&sig=not a token&se=1&skn=first"
      const exits = [
        yield* failing(ServiceBusCredential.sharedKey({ name: "RootManageSharedAccessKey", key: "not the key" })),
        yield* failing(ServiceBusCredential.sas(token))
      ]
      for (const exit of exits) assert.isTrue(Exit.isFailure(exit))
      const metrics = yield* Metric.snapshot
      const spans = recording.spans.map((span) => [
        span.name,
        [...span.attributes],
        span.events,
        span.status._tag === "Ended" && Exit.isFailure(span.status.exit)
          ? [Cause.pretty(span.status.exit.cause), span.status.exit.cause]
          : []
      ])
      assert.isAbove(spans.length, 6)
      assert.isAbove(metrics.length, 6)
      const all = [inspect(spans, { depth: 20 }), inspect(metrics, { depth: 20 }), ...logged].join("\n")
      assert.include(all, "ServiceBusAuth")
      for (const secret of secrets) assert.notInclude(all, secret)
    }).pipe(
      Effect.withTracer(recording.tracer),
      Effect.provide(
        Emulator.layerClientOver("tcp").pipe(
          Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity(Texts)], tlsPort: 0 }))
        )
      ),
      Effect.provideService(Metric.MetricRegistry, registry),
      Effect.provideService(References.MinimumLogLevel, "Trace"),
      Effect.provide(Logger.layer([logger]))
    )
  })

  it.effect("costs no span and writes nothing where nobody traces", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* sender.sendAll([{ body: "one" }])
      const [message] = yield* receiver.receive()
      assert.deepStrictEqual(message!.applicationProperties, {})
    }).pipe(Effect.scoped, Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] }))))
})
