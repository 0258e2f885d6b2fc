/**
 * Says what happened: to those who listen to the client's events, in a metric and in the log. One hub per client; each
 * receiver and processor has a reporter of its own, which knows the entity, the level and the context in which it was made.
 *
 * Reporting is synchronous and total, and holds nothing back: events that are not pulled in time are dropped, oldest first,
 * and a logger or a level of the user's that throws costs its line and nothing else. Nothing is reported where all goes well.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as PubSub from "effect/PubSub"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Take from "effect/Take"
import * as Event from "../../ServiceBusEvent.ts"
import type { ReceivedMessage } from "../../ServiceBusMessage.ts"
import { readOrUndefined } from "../options.ts"
import type { FailedMessages } from "./FailedMessages.ts"

type Omitted<E> = E extends Event.ServiceBusEvent ? Omit<E, "namespace" | "identifier" | "entity"> : never

/** An event without what its reporter knows. */
export type Reported = Omitted<Event.ServiceBusEvent>

/** What a reporter knows of every event. */
interface Origin {
  readonly context: Context.Context<never>
  readonly identifier: string
  readonly entity?: string | undefined
  readonly logLevel?: Event.LogLevelOption | undefined
  /** Those of a consumer. */
  readonly failed?: FailedMessages | undefined
}

/** What all reporters of a client share. */
interface Hub {
  readonly namespace: string
  readonly listeners: PubSub.PubSub<Take.Take<Event.ServiceBusEvent>>
  readonly logLevel: Event.LogLevelOption | undefined
  readonly attributes: Readonly<Record<string, string>>
}

/** How many events wait for a listener that is slow: an outage of many entities, and small beside what they hold. */
const capacity = 1024

/** The reporter of a client, and its events from now on, which end with the scope. */
export const make: (options: {
  readonly namespace: string
  readonly server: { readonly host: string; readonly port: number }
  readonly identifier: string
  readonly logLevel: Event.LogLevelOption | undefined
}) => Effect.Effect<
  { readonly reporter: EventReporter; readonly events: Stream.Stream<Event.ServiceBusEvent> },
  never,
  Scope.Scope
> = Effect.fnUntraced(function*({ identifier, logLevel, namespace, server }) {
  const listeners = yield* PubSub.sliding<Take.Take<Event.ServiceBusEvent>>(capacity)
  yield* Effect.addFinalizer(() => PubSub.end(listeners, Exit.void))
  const hub: Hub = {
    namespace,
    listeners,
    logLevel,
    attributes: {
      "messaging.system": "servicebus",
      "server.address": server.host,
      "server.port": String(server.port)
    }
  }
  return {
    reporter: new EventReporter(hub, { context: yield* Effect.context<never>(), identifier }),
    events: Stream.fromPubSubTake(listeners)
  }
})

export class EventReporter {
  private readonly hub: Hub
  private readonly origin: Origin
  /** The metrics of its entity, by event and source: they live as long as what they count, and a client may see many entities. */
  private readonly metrics = new Map<string, Metric.Metric<number, unknown>>()

  constructor(hub: Hub, origin: Origin) {
    this.hub = hub
    this.origin = origin
  }

  /** The same for a part of the client, in the context in which that was made. */
  within(part: Partial<Origin>): EventReporter {
    return new EventReporter(this.hub, { ...this.origin, ...part })
  }

  /**
   * Reports that a message failed, and comes again perhaps: the first time with a text that says that others are logged at
   * Debug, where it does come again.
   */
  reportFailed(
    { comesAgain, ...reported }: Omit<Reported & { readonly _tag: "ProcessorError" }, "isRepeated"> & {
      readonly comesAgain: boolean
    },
    context?: Context.Context<never>
  ): void {
    const { sequenceNumber } = reported
    const { failed } = this.origin
    const isKnown = failed !== undefined && sequenceNumber !== undefined
    const isRepeated = isKnown && failed.isRepeated(sequenceNumber)
    const message = comesAgain && isKnown && !isRepeated
      ? `${reported.message}; further failures of it are logged at Debug`
      : reported.message
    this.report({ ...reported, message, ...(isRepeated ? { isRepeated } : {}) }, context)
  }

  /** Reports an event. It is logged in a context, or in that in which the reporter was made. */
  report(reported: Reported, context: Context.Context<never> = this.origin.context): void {
    const { entity, identifier } = this.origin
    const { namespace } = this.hub
    // A function of the user's is asked for its level before others see it.
    const event = Object.freeze({
      ...reported,
      namespace,
      identifier,
      ...(entity === undefined ? {} : { entity })
    }) as Event.ServiceBusEvent
    this.count(event)
    this.publish(event)
    this.log(event, context)
  }

  /** Reports an event from a fiber, with its annotations and its span. */
  reportHere(reported: Reported): Effect.Effect<void> {
    return Effect.contextWith((context: Context.Context<never>) => Effect.sync(() => this.report(reported, context)))
  }

  private publish(event: Event.ServiceBusEvent): void {
    const { listeners } = this.hub
    const take: Take.Take<Event.ServiceBusEvent> = [event]
    // A full one makes room, which is an Effect that never waits.
    if (!PubSub.publishUnsafe(listeners, take)) Effect.runSync(PubSub.publish(listeners, take))
  }

  private count(event: Event.ServiceBusEvent): void {
    const { hub: { attributes }, metrics } = this
    const source = event._tag === "ProcessorError" ? event.source : undefined
    const key = `${event._tag} ${source}`
    let metric = metrics.get(key)
    if (metric === undefined) {
      metric = Metric.counter("servicebus.events", {
        description: "What happened to clients, consumers and messages",
        attributes: {
          ...attributes,
          event: event._tag,
          ...(source === undefined ? {} : { source }),
          ...(event.entity === undefined ? {} : { "messaging.destination.name": event.entity })
        },
        incremental: true
      })
      metrics.set(key, metric)
    }
    metric.updateUnsafe(1, this.origin.context)
  }

  private log(event: Event.ServiceBusEvent, context: Context.Context<never>): void {
    const level = this.levelOf(event)
    if (level === "None" || LogLevel.isGreaterThan(Context.get(context, References.MinimumLogLevel), level)) return
    const cause = "cause" in event ? event.cause : Cause.empty
    // Loggers are synchronous: the fiber is over when this returns, and what they throw is over with it.
    Effect.runForkWith(context)(
      Effect.annotateLogs(Effect.logWithLevel(level)(event.message, cause), annotationsOf(event))
    )
  }

  private levelOf(event: Event.ServiceBusEvent): Event.LogLevel {
    return levelBy(this.origin.logLevel, event) ?? levelBy(this.hub.logLevel, event) ?? Event.defaultLogLevel(event)
  }
}

/** The level that an option gives; undefined where it gives none. The function is the user's. */
const levelBy = (
  option: Event.LogLevelOption | undefined,
  event: Event.ServiceBusEvent
): Event.LogLevel | undefined => {
  if (typeof option !== "function") return option
  try {
    const level: unknown = option(event)
    return Event.isLogLevel(level) ? level : undefined
  } catch {
    return undefined
  }
}

const annotationsOf = (event: Event.ServiceBusEvent): Record<string, unknown> => {
  const subject: Event.Subject = event as Event.Subject
  const annotations: Record<string, unknown> = {
    namespace: event.namespace,
    identifier: event.identifier,
    entity: event.entity,
    source: event._tag === "ProcessorError" ? event.source : undefined,
    sessionId: subject.sessionId,
    messageId: subject.messageId,
    // Loggers that write JSON have no form for a bigint.
    sequenceNumber: subject.sequenceNumber?.toString(),
    deliveryCount: subject.deliveryCount
  }
  for (const name in annotations) if (annotations[name] === undefined) delete annotations[name]
  return annotations
}

/** The message that an event is about. Its sections are read here, and may be malformed. */
export const subjectOf = (message: ReceivedMessage<unknown>): Event.Subject => {
  const subject: { -readonly [K in keyof Event.Subject]: Event.Subject[K] } = {}
  const messageId = readOrUndefined(() => message.messageId)
  const sequenceNumber = readOrUndefined(() => message.sequenceNumber)
  const deliveryCount = readOrUndefined(() => message.deliveryCount)
  const sessionId = readOrUndefined(() => message.sessionId)
  if (messageId !== undefined) subject.messageId = messageId
  if (sequenceNumber !== undefined) subject.sequenceNumber = sequenceNumber
  if (deliveryCount !== undefined) subject.deliveryCount = deliveryCount
  if (sessionId !== undefined) subject.sessionId = sessionId
  return subject
}
