/**
 * What a sender, a receiver or a session tells of itself: spans with OpenTelemetry's names for messaging and for Service Bus,
 * and metrics of Effect.
 *
 * A span is for a call, not for a message of a chunk, and is made only where a tracer other than Effect's own is installed,
 * which keeps nothing: what nobody sees costs nothing. Metrics are counted per call as well.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type * as ServiceBusEntity from "../ServiceBusEntity.ts"
import type { ReceivedMessage } from "../ServiceBusMessage.ts"
import * as traceContext from "./traceContext.ts"

/** The operations by OpenTelemetry's names, with the type and the kind of their spans. */
const operations = {
  send: ["send", "producer"],
  schedule: ["send", "producer"],
  cancel_scheduled: ["send", "client"],
  receive: ["receive", "client"],
  receive_deferred: ["receive", "client"],
  peek: ["receive", "client"],
  delete: ["receive", "client"],
  accept_session: ["receive", "client"],
  process: ["process", "consumer"],
  complete: ["settle", "client"],
  abandon: ["settle", "client"],
  defer: ["settle", "client"],
  dead_letter: ["settle", "client"],
  retry: ["settle", "client"],
  renew_message_lock: ["settle", "client"],
  renew_session_lock: ["settle", "client"],
  get_session_state: ["receive", "client"],
  set_session_state: ["send", "client"]
} as const

export type Operation = keyof typeof operations

export type Attributes = Readonly<Record<string, string | number | boolean>>

/** Seconds: the buckets that OpenTelemetry advises for messaging. */
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

const descriptions = {
  "messaging.client.sent.messages": "Messages that the broker accepted.",
  "messaging.client.consumed.messages": "Messages that were handed out.",
  "messaging.client.operation.duration": "Seconds that an operation took.",
  "messaging.process.duration": "Seconds that a handler took.",
  "servicebus.settled.messages": "Messages that were settled, by disposition.",
  "servicebus.lock.margin": "Seconds that a lock had left when its message was settled.",
  "servicebus.lock.renewals": "Lock renewals, by result.",
  "servicebus.link.attached": "Links that were attached, first or again.",
  "servicebus.drain.duration": "Seconds that a processor took to drain."
}

export type MetricName = keyof typeof descriptions

export class Telemetry {
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  /** What every span and every metric of the entity says. */
  private readonly base: Attributes
  private readonly destination: string
  private readonly metrics = new Map<string, Metric.Metric<number, unknown>>()
  private readonly durations: Partial<Record<Operation, Metric.Metric<number, unknown>>> = {}
  private readonly dispositions: Partial<Record<Operation, Metric.Metric<number, unknown>>> = {}

  constructor(
    entity: ServiceBusEntity.Any,
    server: { readonly host: string; readonly port: number },
    context: Context.Context<never>
  ) {
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    const subscription = entity._tag === "Subscription" || entity._tag === "SessionSubscription" ? entity : undefined
    this.destination = subscription === undefined ? entity.path : subscription.topic
    this.base = {
      "messaging.system": "servicebus",
      "messaging.destination.name": this.destination,
      ...(subscription === undefined ? {} : { "messaging.destination.subscription.name": subscription.name }),
      "server.address": server.host,
      "server.port": server.port
    }
  }

  /** Adds to a counter. */
  count(name: MetricName, value: number, attributes?: Attributes): void {
    if (value > 0) this.metric(name, "counter", attributes).updateUnsafe(value, this.context)
  }

  /** Adds to a histogram, in seconds. */
  record(name: MetricName, seconds: number, attributes?: Attributes): void {
    this.metric(name, "histogram", attributes).updateUnsafe(seconds, this.context)
  }

  private metric(name: MetricName, kind: "counter" | "histogram", attributes: Attributes | undefined) {
    let key: string = name
    if (attributes !== undefined) { for (const each in attributes) key += `\u0000${attributes[each]}` }
    let metric = this.metrics.get(key)
    if (metric === undefined) {
      const options = {
        description: descriptions[name],
        attributes: Object.fromEntries(
          Object.entries({ ...this.base, ...attributes }).map(([field, value]) => [field, String(value)])
        )
      }
      metric = kind === "counter"
        ? Metric.counter(name, { ...options, incremental: true })
        : Metric.histogram(name, { ...options, boundaries })
      this.metrics.set(key, metric)
    }
    return metric
  }

  /** Nanoseconds, for `ended`. */
  now(): bigint {
    return this.clock.currentTimeNanosUnsafe()
  }

  /** Counts an operation that is over, and how long it took. */
  ended(operation: Operation, began: bigint, exit: Exit.Exit<unknown, unknown>): void {
    const seconds = Number(this.now() - began) / 1e9
    const attributes = { "messaging.operation.name": operation }
    if (Exit.isFailure(exit)) {
      return this.record("messaging.client.operation.duration", seconds, { ...attributes, ...errorType(exit) })
    }
    // The way of every message that is sent alone: nothing is built for it.
    const known = this.durations[operation] ??= this.metric(
      "messaging.client.operation.duration",
      "histogram",
      attributes
    )
    known.updateUnsafe(seconds, this.context)
  }

  /** Counts messages that were settled. */
  settled(disposition: Operation, count: number): void {
    const known = this.dispositions[disposition] ??= this.metric("servicebus.settled.messages", "counter", {
      "messaging.servicebus.disposition_status": disposition
    })
    known.updateUnsafe(count, this.context)
  }

  /**
   * Runs an operation in a span of its own, and counts it. `within` is given the span by which what is sent belongs to the
   * trace: that of the operation, or the caller's where no tracer is installed.
   */
  run<A, E, R>(
    operation: Operation,
    within: (span: Tracer.AnySpan | undefined) => Effect.Effect<A, E, R>,
    options?: {
      readonly attributes?: (() => Attributes) | undefined
      readonly links?: ReadonlyArray<Tracer.SpanLink> | undefined
      readonly onSuccess?: ((value: A) => void) | undefined
    }
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
      const began = this.now()
      const { cache } = fiber
      let effect: Effect.Effect<A, E, R>
      if (isTraced(fiber)) {
        const span = this.start(fiber, operation, began, options?.attributes?.(), options?.links)
        effect = Effect.onExit(
          Effect.withParentSpan(Effect.suspend(() => within(span)), span, { captureStackTrace: false }),
          (exit) => Effect.sync(() => this.finish(span, exit))
        ) as Effect.Effect<A, E, R>
      } else effect = within(cache.tracerEnabled ? cache.span : undefined)
      return Effect.onExit(effect, (exit) => {
        this.ended(operation, began, exit)
        if (Exit.isSuccess(exit)) options?.onSuccess?.(exit.value)
        return Effect.void
      })
    })
  }

  /** A span of an operation, begun. */
  private start(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: Operation,
    began: bigint,
    attributes: Attributes | undefined,
    links: ReadonlyArray<Tracer.SpanLink> | undefined,
    parent: Tracer.AnySpan | undefined = fiber.cache.span
  ): Tracer.Span {
    const [type, kind] = operations[operation]
    const span = fiber.cache.tracer!.span({
      name: `${operation} ${this.destination}`,
      parent: Option.fromUndefinedOr(parent),
      annotations: Context.empty(),
      links: links === undefined ? [] : [...links],
      startTime: began,
      kind,
      root: false,
      sampled: parent === undefined || parent.sampled
    })
    for (const name in this.base) span.attribute(name, this.base[name])
    span.attribute("messaging.operation.name", operation)
    span.attribute("messaging.operation.type", type)
    for (const name in attributes) span.attribute(name, attributes[name])
    return span
  }

  private finish(span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): void {
    const { "error.type": error } = errorType(exit)
    if (error !== undefined) span.attribute("error.type", error)
    span.end(this.now(), exit)
  }

  /**
   * Tells of messages that were received, once they are there: there is no span for nothing. It is linked to the spans that
   * sent them.
   */
  received(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: "receive" | "receive_deferred" | "peek",
    began: bigint,
    messages: ReadonlyArray<ReceivedMessage<unknown>>
  ): void {
    if (messages.length === 0 || !isTraced(fiber)) return
    const attributes = { "messaging.batch.message_count": messages.length }
    this.finish(this.start(fiber, operation, began, attributes, linksOf(messages)), Exit.void)
  }

  /**
   * Runs a handler in a span. That of one message goes on with the trace in which it was sent; that of many is linked to
   * theirs.
   */
  processing<A, E, R>(
    messages: ReadonlyArray<ReceivedMessage<unknown>>,
    handler: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
      const began = this.now()
      const processed = (exit: Exit.Exit<unknown, unknown>) =>
        this.record("messaging.process.duration", Number(this.now() - began) / 1e9, errorType(exit))
      if (!isTraced(fiber)) {
        return Effect.onExit(handler, (exit) => {
          processed(exit)
          return Effect.void
        })
      }
      const links = linksOf(messages)
      const [message] = messages
      const span = messages.length === 1
        ? this.start(fiber, "process", began, messageAttributes(message!), undefined, links[0]?.span)
        : this.start(fiber, "process", began, { "messaging.batch.message_count": messages.length }, links)
      return Effect.onExit(
        Effect.withParentSpan(handler, span, { captureStackTrace: false }) as Effect.Effect<A, E, R>,
        (exit) => {
          processed(exit)
          this.finish(span, exit)
          return Effect.void
        }
      )
    })
  }
}

/** The spans that sent messages, as far as they say. */
const linksOf = (messages: ReadonlyArray<ReceivedMessage<unknown>>): ReadonlyArray<Tracer.SpanLink> =>
  messages.flatMap((message) => {
    const span = traceContext.read(message.applicationProperties)
    return span === undefined ? [] : [{ span, attributes: {} }]
  })

/** Whether somebody sees spans: Effect's own tracer keeps none. */
const isTraced = ({ cache }: Fiber.Fiber<unknown, unknown>): boolean =>
  cache.tracerEnabled && cache.tracer !== undefined && cache.tracer !== Tracer.nativeTracer

const errorType = (exit: Exit.Exit<unknown, unknown>): { readonly "error.type"?: string } => {
  if (Exit.isSuccess(exit)) return {}
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const error = reason._tag === "Fail" ? reason.error : reason.defect
    const name = error as { readonly _tag?: unknown; readonly name?: unknown } | undefined | null
    return { "error.type": String(name?._tag ?? name?.name ?? "_OTHER") }
  }
  return { "error.type": "interrupted" }
}

/** What a span of one message says of it. */
export const messageAttributes = (message: ReceivedMessage<unknown>): Attributes => ({
  "messaging.message.id": message.messageId,
  ...(message.correlationId === undefined ? {} : { "messaging.message.conversation_id": message.correlationId }),
  "messaging.servicebus.message.delivery_count": message.deliveryCount,
  ...(message.enqueuedTime === undefined
    ? {}
    : { "messaging.servicebus.message.enqueued_time": Math.floor(message.enqueuedTime.epochMilliseconds / 1000) })
})
