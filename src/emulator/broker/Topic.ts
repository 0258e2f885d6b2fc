/**
 * A topic of the embedded broker: a queue that keeps what is scheduled until its time, and whose one consumer copies every
 * message to the subscriptions whose rules take it. The topic owns the limits of size and of filters: its subscriptions take
 * whatever it has taken. The rules read a message once, however many they are; where none takes it, nothing is copied.
 */
import * as Result from "effect/Result"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import type { EntitySettings } from "./EntityOptions.ts"
import * as MessageQueue from "./MessageQueue.ts"
import type { IncomingMessage, Refusal } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"
import { shorterTimeToLive } from "./StoredMessage.ts"
import { type FilterCounts, type Routed, SubscriptionRules } from "./SubscriptionRules.ts"

/** A rule with which a subscription cannot be made. */
interface RefusedRule {
  readonly rule: ServiceBusRule.Rule
  readonly refusal: Refusal
}

/** A subscription, and its rules. */
interface Subscription {
  readonly queue: MessageQueue.MessageQueue
  readonly rules: SubscriptionRules
  /** As they were given, without the topic's limits. */
  readonly settings: EntitySettings
}

export class Topic {
  readonly queue: MessageQueue.MessageQueue
  private readonly shared: SharedState
  private readonly size = { bytes: 0, copies: 0 }
  readonly filterCounts: FilterCounts = { sql: 0, correlation: 0 }
  /** Never changed but replaced: a consumer of one may have another one made while a message is copied to all. */
  private subscriptions: ReadonlyArray<Subscription> = []

  constructor(shared: SharedState, path: string, settings: EntitySettings) {
    this.shared = shared
    this.queue = MessageQueue.make(shared, path, settings, "topic", this.size)
    this.queue.attachOwn({
      mode: "receiveAndDelete",
      credit: () => Infinity,
      deliver: (deliveries) => this.copy(deliveries.map(({ message }) => message))
    })
  }

  /** Adds a subscription with its rules, or says which of them is refused, and why. */
  subscribe(
    path: string,
    settings: EntitySettings,
    given: ReadonlyArray<ServiceBusRule.Rule>
  ): Result.Result<MessageQueue.MessageQueue, RefusedRule> {
    const isDisabled = (): boolean => [queue, this.queue].some(({ options }) => options.status === "Disabled")
    const owner = {
      isDisabled,
      maxMessageSize: () => this.queue.options.maxMessageSize,
      touch: () => queue.touch(),
      changed: () => this.shared.store.rulesChanged(queue)
    }
    const rules = new SubscriptionRules(
      this.shared,
      path,
      this.filterCounts,
      owner,
      settings.deadLetteringOnFilterError
    )
    const queue = MessageQueue.make(
      this.shared,
      path,
      this.limited(settings),
      "subscription",
      this.size,
      rules
    )
    for (const rule of given) {
      const declared = rules.declare(rule)
      if (Result.isSuccess(declared)) continue
      rules.clear()
      return Result.fail({ rule, refusal: declared.failure })
    }
    this.subscriptions = [...this.subscriptions, { queue, rules, settings }]
    this.size.copies = this.subscriptions.length
    return Result.succeed(queue)
  }

  /** Other rules of a subscription, in place of all that it has, or which of them is refused; then it has those before it. */
  setRules(queue: MessageQueue.MessageQueue, given: ReadonlyArray<ServiceBusRule.Rule>): RefusedRule | undefined {
    const { rules } = this.subscriptions.find((each) => each.queue === queue)!
    rules.clear()
    for (const rule of given) {
      const declared = rules.declare(rule)
      if (Result.isFailure(declared)) return { rule, refusal: declared.failure }
    }
    return undefined
  }

  /** A subscription gets no more messages, and its filters count no more. */
  unsubscribe(queue: MessageQueue.MessageQueue): void {
    for (const each of this.subscriptions) if (each.queue === queue) each.rules.clear()
    this.subscriptions = this.subscriptions.filter((each) => each.queue !== queue)
    this.size.copies = this.subscriptions.length
  }

  /** The subscriptions that it has. */
  get queues(): ReadonlyArray<MessageQueue.MessageQueue> {
    return this.subscriptions.map(({ queue }) => queue)
  }

  /** Other settings of the topic, whose limits are those of its subscriptions. */
  configure(settings: EntitySettings): void {
    this.queue.configure(settings)
    for (const { queue, settings: own } of this.subscriptions) queue.configure(this.limited(own))
  }

  /** Other settings of a subscription. */
  configureSubscription(queue: MessageQueue.MessageQueue, settings: EntitySettings): void {
    this.subscriptions = this.subscriptions.map((each) => each.queue === queue ? { ...each, settings } : each)
    for (const each of this.subscriptions) {
      if (each.queue === queue) each.rules.deadLettersFailures = settings.deadLetteringOnFilterError
    }
    queue.configure(this.limited(settings))
  }

  /** When the topic or one of its subscriptions was used last. */
  lastUse(now: number): number {
    let last = this.queue.lastUse(now)
    for (const { queue } of this.subscriptions) last = Math.max(last, queue.lastUse(now))
    return last
  }

  /**
   * What the topic has taken its subscriptions take: the quota is that of the topic. Nothing lives longer than the topic says,
   * whatever an action sets.
   */
  private limited(settings: EntitySettings): EntitySettings {
    const { defaultTimeToLive: longest, maxMessageSize } = this.queue.options
    const defaultTimeToLive = shorterTimeToLive(settings.defaultTimeToLive, longest)
    return { ...settings, defaultTimeToLive, maxMessageSize, maxSize: Number.MAX_SAFE_INTEGER }
  }

  /** What a subscription would refuse, the topic has refused; one that refuses all the same has it as dead letters. */
  private copy(messages: ReadonlyArray<IncomingMessage>): void {
    const { subscriptions } = this
    const routed = this.route(subscriptions, messages)
    for (let i = 0; i < subscriptions.length; i++) {
      const { queue } = subscriptions[i]!
      const its = routed[i]
      if (its === undefined) continue
      const sent = its.messages.length === 0 ? undefined : queue.send(its.messages)
      if (sent !== undefined && Result.isFailure(sent)) {
        const { _tag, detail = _tag } = sent.failure
        for (const incoming of its.messages) queue.deadLetterArrival(incoming, _tag, detail)
      }
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
