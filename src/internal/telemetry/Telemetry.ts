/**
 * Spans and metrics of the senders, receivers and sessions of an entity, by OpenTelemetry's names for messaging and for Service
 * Bus. Each of them has a Telemetry of its own; metrics of one entity share a registry.
 *
 * A span is for a call, not for a message of a chunk, and is made only where a tracer is installed other than Effect's own,
 * which keeps nothing. Metrics are counted per call as well.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import type { ReceivedMessage } from "../../ServiceBusMessage.ts"
import { readOrUndefined } from "../options.ts"
import * as TraceContext from "./TraceContext.ts"

/**
 * The operations by OpenTelemetry's names, with the kind of their spans and, where it has one of those that OpenTelemetry
 * knows, their type. `retry_after` is none of Service Bus's.
 */
const operations = {
  send: ["producer", "send"],
  schedule: ["producer", "send"],
  cancel_scheduled: ["client", undefined],
  receive: ["client", "receive"],
  receive_deferred: ["client", "receive"],
  peek: ["client", "receive"],
  delete: ["client", undefined],
  accept_session: ["client", undefined],
  process: ["consumer", "process"],
  complete: ["client", "settle"],
  abandon: ["client", "settle"],
  defer: ["client", "settle"],
  dead_letter: ["client", "settle"],
  retry_after: ["client", "settle"],
  renew_message_lock: ["client", undefined],
  renew_session_lock: ["client", undefined],
  get_session_state: ["client", undefined],
  set_session_state: ["client", undefined],
  create_rule: ["client", undefined],
  delete_rule: ["client", undefined],
  list_rules: ["client", undefined]
} as const

export type Operation = keyof typeof operations

/** What a message is after its settlement. */
export type Disposition = "complete" | "abandon" | "defer" | "dead_letter"

export type Attributes = Readonly<Record<string, string | number | boolean>>

/** Seconds: the buckets that OpenTelemetry advises for messaging. */
const operationSeconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Seconds: locks last up to five minutes, and so may what is done under them. */
const lockSeconds = [0, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 240, 300]

const descriptions = {
  "messaging.client.sent.messages": "Messages that were sent, or were to be",
  "messaging.client.consumed.messages": "Messages that were handed out",
  "messaging.client.operation.duration": "Seconds that an operation took",
  "messaging.process.duration": "Seconds that a handler took",
  "servicebus.settled.messages": "Messages that were settled, by disposition",
  "servicebus.lock.margin": "Seconds that the lock of a processor's message had left when it was settled",
  "servicebus.lock.renewals": "Locks that were renewed by themselves, or were to be",
  "servicebus.link.attached": "Links that were attached, first or again",
  "servicebus.drain.duration": "Seconds that a processor took to drain",
  "servicebus.receiver.credit": "Messages that receivers have asked for and that have not come",
  "servicebus.receiver.waiting": "Messages that have come and were not handed out"
}

const histograms: Partial<Record<MetricName, ReadonlyArray<number>>> = {
  "messaging.client.operation.duration": operationSeconds,
  "messaging.process.duration": operationSeconds,
  "servicebus.lock.margin": lockSeconds,
  "servicebus.drain.duration": lockSeconds
}

const none = {}

type MetricName = keyof typeof descriptions
type AnyMetric = Metric.Metric<number, unknown>

/** A gauge that adds up the values of its readers when the registry is read. */
interface Gauge {
  readonly reads: Set<() => number>
  readonly remove: () => void
}

/** By the registry that they are in: all receivers of an entity are one gauge there. */
const gauges = new WeakMap<Metric.MetricRegistry, Map<string, Gauge>>()

const nothing = (): void => {}

/** What an operation adds to its span and its metrics. */
export interface Hooks<in A> {
  /** Instead of the operation's own. */
  readonly kind?: Tracer.SpanKind | undefined
  /** Asked for only where there is a span. */
  readonly attributes?: (() => Attributes) | undefined
  readonly links?: (() => Array<Tracer.SpanLink>) | undefined
  readonly onSuccess?: ((value: A, span: Tracer.Span | undefined) => void) | undefined
  readonly onFailure?: ((errorType: string) => void) | undefined
}

export class Telemetry {
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  /** The attributes of every metric of the entity. */
  private readonly base: Readonly<Record<string, string>>
  /** The attributes of every span of the entity. */
  private readonly spanBase: Attributes
  private readonly destination: string
  /** Metrics by their name and their attributes, and those without an error by name and operation. */
  private readonly metrics = new Map<string, AnyMetric>()
  private readonly known: Partial<Record<MetricName, Partial<Record<Operation, AnyMetric>>>> = {}
  private readonly dispositions: Partial<Record<Operation, Partial<Record<Disposition, AnyMetric>>>> = {}

  constructor(
    entity: ServiceBusEntity.Any,
    server: { readonly host: string; readonly port: number },
    /**
     * Of the sender, receiver or session, or of the client for what has no link. It is in spans only: in metrics there would
     * be a series for each.
     */
    identifier: string,
    context: Context.Context<never>
  ) {
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    const subscription = entity._tag === "Subscription" || entity._tag === "SessionSubscription" ? entity : undefined
    this.destination = subscription === undefined ? entity.path : subscription.topic
    const base = {
      "messaging.system": "servicebus",
      "messaging.destination.name": this.destination,
      ...(subscription === undefined ? {} : { "messaging.destination.subscription.name": subscription.name }),
      "server.address": server.host
    }
    this.base = { ...base, "server.port": String(server.port) }
    this.spanBase = {
      ...base,
      "server.port": server.port,
      "az.namespace": "Microsoft.ServiceBus",
      "messaging.client.id": identifier
    }
  }

  /** The metric of an operation: it is built the first time only. */
  private of(name: MetricName, operation: Operation): AnyMetric {
    const byOperation = this.known[name] ??= {}
    return byOperation[operation] ??= this.metric(name, { "messaging.operation.name": operation })
  }

  private metric(name: MetricName, attributes: Readonly<Record<string, string>>): AnyMetric {
    let key: string = name
    for (const each in attributes) key += `\u0000${each}\u0000${attributes[each]}`
    let metric = this.metrics.get(key)
    if (metric === undefined) {
      const options = { description: descriptions[name], attributes: { ...this.base, ...attributes } }
      const boundaries = histograms[name]
      metric = boundaries === undefined
        ? Metric.counter(name, { ...options, incremental: true })
        : Metric.histogram(name, { ...options, boundaries })
      this.metrics.set(key, metric)
    }
    return metric
  }

  private add(name: MetricName, operation: Operation, value: number, error?: string): void {
    const metric = error === undefined
      ? this.of(name, operation)
      : this.metric(name, { "messaging.operation.name": operation, "error.type": error })
    metric.updateUnsafe(value, this.context)
  }

  /** Counts messages that were sent, or that an error kept from it. */
  countSent(operation: "send" | "schedule", count: number, error?: string): void {
    if (count > 0) this.add("messaging.client.sent.messages", operation, count, error)
  }

  /** Counts messages that were handed out. */
  countConsumed(operation: "receive" | "receive_deferred" | "process", count: number): void {
    if (count > 0) this.add("messaging.client.consumed.messages", operation, count)
  }

  /** Counts messages that were settled. */
  countSettled(operation: Operation, disposition: Disposition, count: number): void {
    const byOperation = this.dispositions[operation] ??= {}
    const metric = byOperation[disposition] ??= this.metric("servicebus.settled.messages", {
      "messaging.operation.name": operation,
      "messaging.servicebus.disposition_status": disposition
    })
    metric.updateUnsafe(count, this.context)
  }

  /** Records what a lock had left when its message was settled. */
  recordLockMargin(seconds: number): void {
    this.metric("servicebus.lock.margin", none).updateUnsafe(seconds, this.context)
  }

  /** Counts locks by what came of their renewal. */
  readonly countRenewed = (count: number, result: "renewed" | "failed"): void => {
    this.metric("servicebus.lock.renewals", { result }).updateUnsafe(count, this.context)
  }

  /** Counts a link. */
  countAttached(role: "sender" | "receiver" | "session"): void {
    this.metric("servicebus.link.attached", { role }).updateUnsafe(1, this.context)
  }

  /** Records that a processor has drained. */
  recordDrain(began: bigint): void {
    this.metric("servicebus.drain.duration", none).updateUnsafe(this.since(began), this.context)
  }

  /** Registers a value of a gauge for as long as the scope lasts; the gauge gives the sum of those of the entity. */
  registerGauge(
    name: "servicebus.receiver.credit" | "servicebus.receiver.waiting",
    read: () => number
  ): Effect.Effect<void, never, Scope.Scope> {
    const { context } = this
    const registry = Context.get(context, Metric.MetricRegistry)
    const attributes = { ...this.base, ...Context.get(context, Metric.CurrentMetricAttributes) }
    const key = JSON.stringify([name, attributes])
    return Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => {
        const all = gauges.get(registry) ?? new Map<string, Gauge>()
        gauges.set(registry, all)
        let gauge = all.get(key)
        if (gauge === undefined) {
          const reads = new Set<() => number>()
          const get = () => ({ value: [...reads].reduce((sum, each) => sum + each(), 0) })
          const options = { description: descriptions[name], attributes: this.base }
          const registration = Metric.registerUnsafe(Metric.gauge(name, options), context, {
            get,
            update: nothing,
            modify: nothing
          })
          gauge = { reads, remove: registration.remove }
          all.set(key, gauge)
        }
        gauge.reads.add(read)
        return gauge
      }),
      ({ reads, remove }) =>
        Effect.sync(() => {
          reads.delete(read)
          if (reads.size > 0) return
          gauges.get(registry)?.delete(key)
          remove()
        })
    ))
  }

  /** Nanoseconds, for `recordDrain`. */
  now(): bigint {
    return this.clock.monotonicTimeNanosUnsafe()
  }

  private since(began: bigint): number {
    return Number(this.now() - began) / 1e9
  }

  private recordDuration(name: MetricName, operation: Operation, began: bigint, error: string | undefined): void {
    this.add(name, operation, this.since(began), error)
  }

  /**
   * Runs an operation in a span of its own, and counts it. `within` is given the span by which what is sent belongs to the
   * trace: that of the operation, or the caller's where no tracer is installed; and that of the operation alone.
   */
  run<A, E, R>(
    operation: Operation,
    within: (span: Tracer.AnySpan | undefined, own: Tracer.Span | undefined) => Effect.Effect<A, E, R>,
    hooks?: Hooks<A>
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
      const began = this.now()
      let own: Tracer.Span | undefined
      let effect: Effect.Effect<A, E, R>
      if (isTraced(fiber)) {
        const span = own = this.start(fiber, operation, began, {
          kind: hooks?.kind,
          attributes: hooks?.attributes?.(),
          links: hooks?.links?.()
        })
        effect = inSpan(Effect.suspend(() => within(span, span)), span)
      } else effect = within(callerOf(fiber), undefined)
      // Nothing to run: the finalizer is done when it returns.
      return Effect.onExitPrimitive(effect, (exit) => {
        const error = errorTypeOf(exit)
        if (Exit.isSuccess(exit)) hooks?.onSuccess?.(exit.value, own)
        else hooks?.onFailure?.(error!)
        this.recordDuration("messaging.client.operation.duration", operation, began, error)
        if (own !== undefined) this.finish(fiber, own, exit, error)
        return undefined
      })
    })
  }

  /** A span of an operation, begun; with what the program gives all of its spans. */
  private start(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: Operation,
    began: bigint,
    options: {
      readonly kind?: Tracer.SpanKind | undefined
      readonly attributes?: Attributes | undefined
      readonly links?: Array<Tracer.SpanLink> | undefined
      readonly parent?: Tracer.AnySpan | undefined
    }
  ): Tracer.Span {
    const [kind, type] = operations[operation]
    const { attributes, links = [], parent = nearestPropagated(fiber.cache.span) } = options
    const all = fiber.getRef(References.TracerSpanLinks)
    const span = fiber.cache.tracer!.span({
      name: `${operation} ${this.destination}`,
      parent: Option.fromUndefinedOr(parent),
      annotations: Context.empty(),
      links: all.length === 0 ? links : [...all, ...links],
      // Spans have times of the wall clock, which costs more and is not read where there is no tracer.
      startTime: fiber.getRef(References.TracerTimingEnabled)
        ? this.clock.currentTimeNanosUnsafe() - (this.now() - began)
        : 0n,
      kind: options.kind ?? kind,
      root: false,
      sampled: (parent === undefined || parent.sampled) &&
        !LogLevel.isGreaterThan(fiber.getRef(Tracer.MinimumTraceLevel), fiber.getRef(Tracer.CurrentTraceLevel))
    })
    const annotations = fiber.getRef(References.TracerSpanAnnotations)
    for (const name in annotations) span.attribute(name, annotations[name])
    annotate(span, this.spanBase)
    span.attribute("messaging.operation.name", operation)
    if (type !== undefined) span.attribute("messaging.operation.type", type)
    if (attributes !== undefined) annotate(span, attributes)
    return span
  }

  private finish(
    fiber: Fiber.Fiber<unknown, unknown>,
    span: Tracer.Span,
    exit: Exit.Exit<unknown, unknown>,
    error: string | undefined
  ): void {
    if (error !== undefined) span.attribute("error.type", error)
    span.end(fiber.getRef(References.TracerTimingEnabled) ? this.clock.currentTimeNanosUnsafe() : 0n, exit)
  }

  /** Reports an operation once it is over, where only then it is known whether there is something to report. */
  private report(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: Operation,
    began: bigint,
    exit: Exit.Exit<unknown, unknown>,
    messages: ReadonlyArray<ReceivedMessage<unknown>> | undefined
  ): void {
    const error = errorTypeOf(exit)
    this.recordDuration("messaging.client.operation.duration", operation, began, error)
    if (!isTraced(fiber)) return
    const span = this.start(fiber, operation, began, {
      attributes: messages && attributesOf(messages),
      links: messages && linksOf(messages)
    })
    this.finish(fiber, span, exit, error)
  }

  /** Runs what receives messages. There is no span for nothing; that of messages is linked to the spans that sent them. */
  runReceive<M extends ReceivedMessage<unknown>, E, R>(
    receive: Effect.Effect<ReadonlyArray<M>, E, R>
  ): Effect.Effect<ReadonlyArray<M>, E, R> {
    return this.reportAfter("receive", receive, (messages) => messages.length === 0 ? undefined : messages)
  }

  /** Runs what accepts a session. There is no span for none. */
  runAccept<A, E, R>(accept: Effect.Effect<Option.Option<A>, E, R>): Effect.Effect<Option.Option<A>, E, R> {
    return this.reportAfter("accept_session", accept, (accepted) => Option.isNone(accepted) ? undefined : [])
  }

  private reportAfter<A, E, R>(
    operation: "receive" | "accept_session",
    self: Effect.Effect<A, E, R>,
    found: (value: A) => ReadonlyArray<ReceivedMessage<unknown>> | undefined
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
      const began = this.now()
      return Effect.onExit(self, (exit) => {
        const messages = Exit.isSuccess(exit) ? found(exit.value) : undefined
        // A caller that stops waiting has received nothing.
        const isNothing = Exit.isSuccess(exit) ? messages === undefined : Cause.hasInterruptsOnly(exit.cause)
        if (!isNothing) this.report(fiber, operation, began, exit, operation === "receive" ? messages : undefined)
        return Effect.void
      })
    })
  }

  /**
   * Runs a handler in a span, and what is done with its exit under the same. The span of one message goes on with the trace
   * in which it was sent; that of many is linked to theirs.
   */
  runHandler<A, E, R, B, E2, R2>(
    messages: ReadonlyArray<ReceivedMessage<unknown>>,
    handler: Effect.Effect<A, E, R>,
    then: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R2>
  ): Effect.Effect<B, E2, R | R2> {
    return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
      const began = this.now()
      let span: Tracer.Span | undefined
      if (isTraced(fiber)) {
        const links = linksOf(messages)
        span = this.start(fiber, "process", began, {
          attributes: messages.length === 1 ? messageAttributes(messages[0]!) : attributesOf(messages),
          ...(messages.length === 1 ? { parent: links[0]?.span } : { links })
        })
      }
      const handled = Effect.exit(
        Effect.onExitPrimitive(span === undefined ? handler : inSpan(handler, span), (exit) => {
          const error = errorTypeOf(exit)
          this.recordDuration("messaging.process.duration", "process", began, error)
          if (span !== undefined) this.finish(fiber, span, exit, error)
          return undefined
        })
      )
      return Effect.flatMap(handled, span === undefined ? then : (exit) => inSpan(then(exit), span))
    })
  }
}

const inSpan = <A, E, R>(effect: Effect.Effect<A, E, R>, span: Tracer.Span): Effect.Effect<A, E, R> =>
  Effect.withParentSpan(effect, span, { captureStackTrace: false }) as Effect.Effect<A, E, R>

/** Whether a tracer keeps spans: Effect's own keeps none. */
const isTraced = ({ cache }: Fiber.Fiber<unknown, unknown>): boolean =>
  cache.tracerEnabled && cache.tracer !== undefined && cache.tracer !== Tracer.nativeTracer

/** The nearest span that is to be a parent. */
const nearestPropagated = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined => {
  let nearest = span
  while (nearest !== undefined && Context.get(nearest.annotations, Tracer.DisablePropagation)) {
    nearest = nearest._tag === "Span" ? Option.getOrUndefined(nearest.parent) : undefined
  }
  return nearest
}

/** The span of the calling fiber, where there is one that may be nearestPropagated. */
export const callerOf = ({ cache }: Fiber.Fiber<unknown, unknown>): Tracer.AnySpan | undefined =>
  cache.tracerEnabled ? nearestPropagated(cache.span) : undefined

/** The kind of an error: never its text. */
export const errorTypeOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const error = reason._tag === "Fail" ? reason.error : reason.defect
    const tag = (error as { readonly _tag?: unknown } | undefined | null)?._tag
    return typeof tag === "string" ? tag : error instanceof Error ? error.name : "_OTHER"
  }
  return "interrupted"
}

const annotate = (span: Tracer.Span, attributes: Attributes): void => {
  for (const name in attributes) span.attribute(name, attributes[name])
}

/** Annotates a span with the messages that one call received: how many, and of a single one its ids. */
export const annotateMessages = (span: Tracer.Span, messages: ReadonlyArray<ReceivedMessage<unknown>>): void => {
  annotate(span, attributesOf(messages))
  const links = linksOf(messages)
  if (links.length > 0) span.addLinks(links)
}

const attributesOf = (messages: ReadonlyArray<ReceivedMessage<unknown>>): Attributes => ({
  "messaging.batch.message_count": messages.length,
  ...(messages.length === 1 ? messageAttributes(messages[0]!) : {})
})

/** The spans that sent messages, each once, as far as the messages name them. */
export const linksOf = (messages: ReadonlyArray<ReceivedMessage<unknown>>): Array<Tracer.SpanLink> => {
  const links = new Map<string, Tracer.SpanLink>()
  for (const message of messages) {
    const span = readOrUndefined(() => TraceContext.read(message.applicationProperties))
    if (span !== undefined) links.set(`${span.traceId}${span.spanId}`, { span, attributes: {} })
  }
  return [...links.values()]
}

/** The attributes of a span of one message. */
export const messageAttributes = (message: ReceivedMessage<unknown>): Attributes =>
  readOrUndefined(() => ({
    ...(message.messageId === "" ? {} : { "messaging.message.id": message.messageId }),
    ...(message.correlationId === undefined ? {} : { "messaging.message.conversation_id": message.correlationId }),
    // OpenTelemetry counts this delivery as well.
    "messaging.servicebus.message.delivery_count": message.deliveryCount + 1,
    // A broker that is not Service Bus may leave it out.
    ...(message.messageAnnotations["x-opt-enqueued-time"] === undefined
      ? {}
      : { "messaging.servicebus.message.enqueued_time": Math.floor(message.enqueuedTime.epochMilliseconds / 1000) })
  })) ?? {}
