/**
 * The trace that a message belongs to, in its application properties: `traceparent` and `tracestate` (W3C Trace Context),
 * and `Diagnostic-Id`, in which older Service Bus clients write and read the same.
 */
import type * as Tracer from "effect/Tracer"
import { externalSpan } from "effect/Tracer"
import type { AmqpValue } from "../AmqpValue.ts"

type Properties = Readonly<Record<string, AmqpValue>>

/** The properties by which the message belongs to the trace of a span. What it has of them already stays. */
export const written = (span: Tracer.AnySpan, properties: Properties | undefined): Properties => {
  if (properties !== undefined && ("traceparent" in properties || "Diagnostic-Id" in properties)) return properties
  const traceparent = `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
  return { ...properties, traceparent, "Diagnostic-Id": traceparent }
}

const pattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/

/** The span that sent a message, as far as the message says. */
export const read = (properties: Properties): Tracer.ExternalSpan | undefined => {
  for (const value of [properties["traceparent"], properties["Diagnostic-Id"]]) {
    const found = typeof value === "string" ? pattern.exec(value) : null
    if (found === null || /^0+$/.test(found[1]!) || /^0+$/.test(found[2]!)) continue
    return externalSpan({ traceId: found[1]!, spanId: found[2]!, sampled: (Number.parseInt(found[3]!, 16) & 1) === 1 })
  }
  return undefined
}
