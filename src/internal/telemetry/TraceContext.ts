/**
 * The trace that a message belongs to, in its application properties: `traceparent` (W3C Trace Context), and
 * `Diagnostic-Id`, in which older Service Bus clients write and read the same.
 */
import type * as Tracer from "effect/Tracer"
import { externalSpan } from "effect/Tracer"
import type { AmqpValue } from "../../AmqpValue.ts"

/** What is written and read, in the order in which it is read. */
export const properties = ["traceparent", "Diagnostic-Id"] as const

/** Version, trace, span and flags. Version ff is none, zeros are no ids, and after the flags only a later version has more. */
const pattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/

/** The `traceparent` of messages that belong to the trace of a span; undefined for a span whose ids are none of W3C's. */
export const traceparentOf = (span: Tracer.AnySpan): string | undefined => {
  const traceparent = `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
  return parse(traceparent) === undefined ? undefined : traceparent
}

const parse = (text: string): RegExpExecArray | undefined => {
  const found = pattern.exec(text)
  return found === null || text.startsWith("00") && text.length > 55 ? undefined : found
}

/** The span that sent a message, where its application properties name one. */
export const read = (from: Readonly<Record<string, AmqpValue>>): Tracer.ExternalSpan | undefined => {
  for (const property of properties) {
    const value = from[property]
    const found = typeof value === "string" ? parse(value) : undefined
    if (found === undefined) continue
    return externalSpan({ traceId: found[1]!, spanId: found[2]!, sampled: (Number.parseInt(found[3]!, 16) & 1) === 1 })
  }
  return undefined
}

/** Whether application properties name a trace already. */
export const isTraced = (own: Readonly<Record<string, AmqpValue>>): boolean =>
  properties.some((property) => own[property] !== undefined)
