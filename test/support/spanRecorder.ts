/** A tracer that keeps its spans, for tests that look at what is told of an operation. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** What is exported of a span: names instead of ids. */
export interface Told {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly attributes: Readonly<Record<string, unknown>>
  readonly parent: string | undefined
  readonly links: ReadonlyArray<string>
  readonly status: "ok" | "failed" | "interrupted" | "open"
}

/** A tracer that keeps its spans, in the order in which they began. */
export const recorder = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const nameOf = (of: Tracer.AnySpan): string => {
    const known = spans.find(({ spanId, traceId }) => spanId === of.spanId && traceId === of.traceId)
    return known === undefined ? `${of.traceId}/${of.spanId}` : known.name
  }
  const statusOf = ({ status }: Tracer.NativeSpan): Told["status"] =>
    status._tag === "Started"
      ? "open"
      : Exit.isSuccess(status.exit)
      ? "ok"
      : Exit.hasInterrupts(status.exit)
      ? "interrupted"
      : "failed"
  const told = (span: Tracer.NativeSpan): Told => ({
    name: span.name,
    kind: span.kind,
    attributes: Object.fromEntries(span.attributes),
    parent: Option.getOrUndefined(Option.map(span.parent, nameOf)),
    links: span.links.map((link) => nameOf(link.span)),
    status: statusOf(span)
  })
  return {
    spans,
    tracer,
    /** What was told since it was asked last. */
    take: (): ReadonlyArray<Told> => {
      const all = spans.map(told)
      spans.length = 0
      return all
    },
    all: (): ReadonlyArray<Told> => spans.map(told)
  }
}

export type Recorder = ReturnType<typeof recorder>
