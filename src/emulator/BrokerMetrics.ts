/**
 * What a broker counts, as Effect's metrics: what its entities hold and what has happened to their messages, its connections and
 * links, faults that struck, and requests over HTTP.
 *
 * Nothing is counted for their sake: a value is read where it is kept already, when a registry of metrics is read. Entities and
 * namespaces come and go, and so do their series. A counter is there once it has counted something, as those of OpenTelemetry
 * are, so that what is idle is three values; and of thousands of entities those beyond the first are one series, as
 * OpenTelemetry's limit of cardinality has it.
 */
import type * as Metric from "effect/Metric"
import { linkCounts } from "./amqp/ServedConnection.ts"
import type { Counters, Queue } from "./broker/Queue.ts"
import type { Namespace } from "./Namespace.ts"

/** The metrics, with their units as UCUM writes them. */
export const instruments = {
  "servicebus.broker.message.current": ["Gauge", "{message}", "Messages that an entity holds, by their state"],
  "servicebus.broker.message.enqueued": ["Counter", "{message}", "Messages that an entity took"],
  "servicebus.broker.message.delivered": ["Counter", "{message}", "Messages that were given to receivers, each time"],
  "servicebus.broker.message.redelivered": ["Counter", "{message}", "Those of them that had been given before"],
  "servicebus.broker.message.settled": ["Counter", "{message}", "Messages that receivers settled, by disposition"],
  "servicebus.broker.message.dead_lettered": [
    "Counter",
    "{message}",
    "Messages that became dead letters, for whatever reason"
  ],
  "servicebus.broker.message.expired": ["Counter", "{message}", "Messages whose time to live ended"],
  "servicebus.broker.message.deduplicated": ["Counter", "{message}", "Duplicates that were accepted and dropped"],
  "servicebus.broker.message.deleted": ["Counter", "{message}", "Messages that were removed without being received"],
  "servicebus.broker.message.forwarded": ["Counter", "{message}", "Messages that went on to another entity"],
  "servicebus.broker.lock.expired": ["Counter", "{lock}", "Locks of messages that ended before a settlement"],
  "servicebus.broker.lock.renewed": ["Counter", "{lock}", "Locks that were renewed, of messages and of sessions"],
  "servicebus.broker.session.accepted": ["Counter", "{session}", "Sessions that found a holder"],
  "servicebus.broker.session.lost": ["Counter", "{session}", "Sessions whose lock ended before they were given up"],
  "servicebus.broker.entity.size": ["Gauge", "By", "Payload that an entity holds"],
  "servicebus.broker.connection.count": ["Gauge", "{connection}", "Connections over AMQP"],
  "servicebus.broker.link.count": ["Gauge", "{link}", "Links, by what their peer does: it sends or receives"],
  "servicebus.broker.fault.struck": ["Counter", "{operation}", "Operations that a fault has struck, by its action"],
  "servicebus.broker.http.requests": ["Counter", "{request}", "Requests over HTTP that were answered"]
} as const

type Name = keyof typeof instruments
type Attributes = Readonly<Record<string, string>>

/** A value at the moment of asking. */
interface Observation {
  readonly name: Name
  readonly attributes: Attributes
  value: number
}

const disposition = (value: string): Attributes => ({ "messaging.servicebus.disposition_status": value })

/** Where what a queue counts goes. */
const counted: ReadonlyArray<readonly [counter: keyof Counters, name: Name, attributes?: Attributes]> = [
  ["enqueued", "servicebus.broker.message.enqueued"],
  ["delivered", "servicebus.broker.message.delivered"],
  ["redelivered", "servicebus.broker.message.redelivered"],
  ["completed", "servicebus.broker.message.settled", disposition("complete")],
  ["abandoned", "servicebus.broker.message.settled", disposition("abandon")],
  ["deferred", "servicebus.broker.message.settled", disposition("defer")],
  ["released", "servicebus.broker.message.settled", disposition("release")],
  ["deadLettered", "servicebus.broker.message.dead_lettered"],
  ["expired", "servicebus.broker.message.expired"],
  ["duplicates", "servicebus.broker.message.deduplicated"],
  ["deleted", "servicebus.broker.message.deleted"],
  ["forwarded", "servicebus.broker.message.forwarded"],
  ["lockExpired", "servicebus.broker.lock.expired"],
  ["renewed", "servicebus.broker.lock.renewed"],
  ["sessionsAccepted", "servicebus.broker.session.accepted"],
  ["sessionsLost", "servicebus.broker.session.lost"]
]

/** Entities, and namespaces, that have series of their own: the limit of OpenTelemetry's SDKs for a metric. */
export const most = 2000

const system: Attributes = { "messaging.system": "servicebus" }
const overflow: Attributes = { ...system, "otel.metric.overflow": "true" }

/** The methods that OpenTelemetry has names for; what a peer makes up is one of its own. */
const methods = new Set(["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"])

/** Counts requests over HTTP by their method and the status of the answer. */
export class HttpRequests {
  readonly counts = new Map<string, number>()

  add(method: string, status: number): void {
    const key = `${methods.has(method) ? method : "_OTHER"} ${status}`
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }
}

class Observations {
  readonly all: Array<Observation> = []
  private readonly merged = new Map<string, Observation>()
  private subjects = 0

  /** The attributes of what has series of its own, if there are not too many of them. */
  subject(attributes: Attributes): Attributes {
    this.subjects += 1
    return this.subjects <= most ? attributes : overflow
  }

  add(name: Name, subject: Attributes, value: number, more: Attributes = {}): void {
    if (value === 0 && instruments[name][0] === "Counter") return
    const observation = { name, attributes: { ...subject, ...more }, value }
    if (subject === overflow) {
      const key = JSON.stringify([name, more])
      const before = this.merged.get(key)
      if (before !== undefined) {
        before.value += value
        return
      }
      this.merged.set(key, observation)
    }
    this.all.push(observation)
  }
}

const entityOf = (namespace: string, path: string): Attributes => {
  const [, topic, subscription] = /^(.*)\/subscriptions\/([^/]+)$/i.exec(path) ?? []
  return {
    ...system,
    "servicebus.namespace": namespace,
    ...(subscription === undefined
      ? { "messaging.destination.name": path }
      : { "messaging.destination.name": topic!, "messaging.destination.subscription.name": subscription })
  }
}

const addQueue = (observations: Observations, namespace: string, queue: Queue): void => {
  const { counters, kind, options, path } = queue
  const entity = observations.subject(entityOf(namespace, path))
  const hold = (state: string, messages: number) =>
    observations.add("servicebus.broker.message.current", entity, messages, { "servicebus.message.state": state })
  if (kind !== "deadLetter") {
    const runtime = queue.runtime()
    // A topic keeps what is scheduled alone.
    hold("scheduled", runtime.scheduledMessageCount)
    if (kind !== "topic") {
      hold("active", runtime.activeMessageCount)
      hold("dead_letter", runtime.deadLetterMessageCount)
      const forwards = options.forwardTo !== undefined || options.forwardDeadLetteredMessagesTo !== undefined
      if (forwards || runtime.transferMessageCount > 0) hold("transfer", runtime.transferMessageCount)
    }
    observations.add("servicebus.broker.entity.size", entity, runtime.sizeInBytes)
  }
  for (const [counter, name, attributes] of counted) observations.add(name, entity, counters[counter], attributes)
}

/** All that namespaces count now, and the requests of their server. */
export const observe = (
  namespaces: ReadonlyArray<Namespace>,
  requests: HttpRequests | undefined
): ReadonlyArray<Observation> => {
  const observations = new Observations()
  for (const { broker, connections, faults, name } of namespaces) {
    const namespace = observations.subject({ ...system, "servicebus.namespace": name })
    observations.add("servicebus.broker.connection.count", namespace, connections.size)
    let [senders, receivers] = [0, 0]
    for (const connection of connections) {
      const counts = linkCounts(connection)
      senders += counts.senders
      receivers += counts.receivers
    }
    observations.add("servicebus.broker.link.count", namespace, senders, { "servicebus.link.role": "sender" })
    observations.add("servicebus.broker.link.count", namespace, receivers, { "servicebus.link.role": "receiver" })
    for (const [action, struck] of faults.struck) {
      observations.add("servicebus.broker.fault.struck", namespace, struck, { "servicebus.fault.action": action })
    }
    for (const queue of broker.queues()) {
      addQueue(observations, name, queue)
      for (const dead of [queue.deadLetterQueue, queue.transferDeadLetterQueue]) {
        // It has series once something came into it.
        if (dead !== undefined && dead.counters.enqueued > 0) addQueue(observations, name, dead)
      }
    }
  }
  for (const [key, count] of requests?.counts ?? []) {
    const [method, status] = key.split(" ") as [string, string]
    const attributes = { "http.request.method": method, "http.response.status_code": status }
    observations.add("servicebus.broker.http.requests", system, count, attributes)
  }
  return observations.all
}

const nothing = (): void => {}

/** What a registry keeps of a metric. */
type Metadata = Metric.MetricRegistry extends Map<string, infer M> ? M : never

const metadataOf = ({ attributes, name, value }: Observation): Metadata => {
  const [type, unit, description] = instruments[name]
  const count = BigInt(value)
  const state = type === "Counter" ? { count, incremental: true } : { value: count }
  return {
    id: name,
    type,
    description,
    // Exporters read it, and it is no attribute of a point.
    attributes: Object.defineProperty({ ...attributes }, "unit", { value: unit }),
    hooks: { get: () => state, update: nothing, modify: nothing }
  }
}

/** A registry of metrics with those of a broker in it, beside those of the registry that was there. */
export class Registry extends Map<string, Metadata> {
  private readonly own: Metric.MetricRegistry
  private readonly observe: () => ReadonlyArray<Observation>
  /** What the counters of the series of entities beyond the first have come to. */
  private readonly beyond = new Map<string, { last: number; total: number }>()

  constructor(own: Metric.MetricRegistry, observe: () => ReadonlyArray<Observation>) {
    super()
    this.own = own
    this.observe = observe
  }

  private get current(): Metric.MetricRegistry {
    const all = new Map(this.own)
    for (const observation of this.observe()) {
      const key = JSON.stringify([observation.name, observation.attributes])
      if ("otel.metric.overflow" in observation.attributes && instruments[observation.name][0] === "Counter") {
        observation.value = this.risen(key, observation.value)
      }
      all.set(key, metadataOf(observation))
    }
    for (const [key, counter] of this.beyond) if (!all.has(key)) counter.last = 0
    return all
  }

  /**
   * A counter of many entities, which does not fall where one of them goes or has series of its own from now on. What others
   * count between the same two readings may be missing in it.
   */
  private risen(key: string, value: number): number {
    const { last, total } = this.beyond.get(key) ?? { last: 0, total: 0 }
    const risen = { last: value, total: total + Math.max(0, value - last) }
    this.beyond.set(key, risen)
    return risen.total
  }

  // What the program itself counts is kept where it was.
  override get(key: string) {
    return this.own.get(key)
  }
  override has(key: string) {
    return this.own.has(key)
  }
  override set(key: string, metadata: Metadata) {
    this.own.set(key, metadata)
    return this
  }
  override delete(key: string) {
    return this.own.delete(key)
  }
  override clear() {
    this.own.clear()
  }

  override get size() {
    return this.current.size
  }
  override keys() {
    return this.current.keys()
  }
  override values() {
    return this.current.values()
  }
  override entries() {
    return this.current.entries()
  }
  override [Symbol.iterator]() {
    return this.entries()
  }
  override forEach(each: Parameters<Map<string, Metadata>["forEach"]>[0]) {
    this.current.forEach(each)
  }
}
