/**
 * A topic of the embedded broker: a queue that keeps what is scheduled until its time, and whose one consumer copies every
 * message to the subscriptions whose rules take it. The topic owns the limits of size and of filters: its subscriptions take
 * whatever it has taken. The rules read a message once, however many they are; where none takes it, nothing is copied.
 */
import type { EntitySettings } from "./EntityOptions.ts"
import * as MessageQueue from "./MessageQueue.ts"
import type { IncomingMessage, Queue } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"
import { type FilterCounts, type Routed, SubscriptionRules } from "./SubscriptionRules.ts"

/** A subscription, and its rules. */
interface Subscription {
  readonly queue: MessageQueue.MessageQueue
  readonly rules: SubscriptionRules
}

export class Topic {
  readonly queue: Queue
  private readonly shared: SharedState
  private readonly settings: EntitySettings
  private readonly size = { bytes: 0 }
  private readonly filters: FilterCounts = { sql: 0, correlation: 0 }
  /** Never changed but replaced: a consumer of one may have another one made while a message is copied to all. */
  private subscriptions: ReadonlyArray<Subscription> = []

  constructor(shared: SharedState, path: string, settings: EntitySettings) {
    this.shared = shared
    this.settings = settings
    this.queue = MessageQueue.make(shared, path, settings, "topic", this.size)
    this.queue.attach({
      mode: "receiveAndDelete",
      credit: () => Infinity,
      deliver: (deliveries) => this.copy(deliveries.map(({ message }) => message))
    }).wake()
  }

  /** Adds a subscription, which has no rules yet. */
  subscribe(path: string, settings: EntitySettings): Queue {
    // What the topic has taken its subscriptions take: the quota is that of the topic.
    const limits = { maxMessageSize: this.settings.maxMessageSize, maxSize: Number.MAX_SAFE_INTEGER }
    const rules = new SubscriptionRules(this.shared, path, this.filters, settings.deadLetteringOnFilterError)
    const queue = MessageQueue.make(this.shared, path, { ...settings, ...limits }, "subscription", this.size, rules)
    this.subscriptions = [...this.subscriptions, { queue, rules }]
    return queue
  }

  /** What a subscription would refuse, the topic has refused. */
  private copy(messages: ReadonlyArray<IncomingMessage>): void {
    const { subscriptions } = this
    const routed = this.route(subscriptions, messages)
    for (let i = 0; i < subscriptions.length; i++) {
      const { queue } = subscriptions[i]!
      const its = routed[i]
      if (its === undefined) continue
      if (its.messages.length > 0) queue.send(its.messages)
      for (const { description, incoming, reason } of its.failed) queue.deadLetterArrival(incoming, reason, description)
    }
  }

  /** What each subscription gets. All of it is known before the first is given any: consumers may change rules. */
  private route(
    subscriptions: ReadonlyArray<Subscription>,
    messages: ReadonlyArray<IncomingMessage>
  ): ReadonlyArray<
    Pick<Readonly<Routed>, "failed"> & { readonly messages: ReadonlyArray<IncomingMessage> } | undefined
  > {
    const all = { messages, failed: [] }
    const filtering: Array<SubscriptionRules> = []
    for (const { rules } of subscriptions) if (!rules.takesAll && !rules.isEmpty) filtering.push(rules)
    if (filtering.length === 0) return subscriptions.map(({ rules }) => rules.takesAll ? all : undefined)
    const routed = new Map<SubscriptionRules, Routed>()
    for (const incoming of messages) {
      const message = this.shared.read(incoming)
      for (const rules of filtering) {
        const before = routed.get(rules)
        const after = rules.route(incoming, message, before)
        if (before === undefined && after !== undefined) routed.set(rules, after)
      }
    }
    return subscriptions.map(({ rules }) => rules.takesAll ? all : routed.get(rules))
  }
}
