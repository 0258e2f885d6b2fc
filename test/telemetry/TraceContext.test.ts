/** The trace that a message says it belongs to, as text and as a parent. */
import { type ReceivedMessage } from "effect-service-bus/ServiceBusMessage"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import { linksOf, messageAttributes } from "../../src/internal/telemetry/Telemetry.ts"
import * as TraceContext from "../../src/internal/telemetry/TraceContext.ts"
import { assert, describe, it } from "../support/vitest.ts"

describe("Trace context", () => {
  const traceId = "0af7651916cd43dd8448eb211c80319c"
  const spanId = "b7ad6b7169203331"
  const good = `00-${traceId}-${spanId}-01`
  const idsOf = (properties: Parameters<typeof TraceContext.read>[0]) => {
    const found = TraceContext.read(properties)
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
    assert.strictEqual(TraceContext.traceparentOf(Tracer.externalSpan({ traceId, spanId, sampled: true })), good)
    assert.isUndefined(TraceContext.traceparentOf(Tracer.externalSpan({ traceId: "noop", spanId: "noop" })))
  })

  it("sections that cannot be read cost a span its links and attributes, and no caller a failure", () => {
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
      const found = TraceContext.read({ traceparent: traceparent as never, "Diagnostic-Id": traceparent as never })
      if (found !== undefined) assert.match(`${found.traceId}-${found.spanId}`, /^[0-9a-f]{32}-[0-9a-f]{16}$/)
    }
  })
})
