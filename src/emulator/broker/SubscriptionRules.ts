/**
 * The rules of a subscription: which messages of its topic it gets, and how often.
 *
 * A message enters once for all the rules without an action that match, and once more for each that has one, with what the
 * action changed and `RuleName` (Service Bus documentation, topic filters and actions). Without rules nothing enters. Rules are
 * compiled when they are added. What evaluates them calls nothing else of the broker, and so has one state of them.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import { valueProblemOf } from "./DeclaredEntity.ts"
import * as Rule from "./filter/Rule.ts"
import type { IncomingMessage, MessageSnapshot, Refusal, Rules } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"
import { headerSizeExceeded, messageSizeExceeded } from "./StoredMessage.ts"

/**
 * How many filters the rules of a topic's subscriptions have together; those that are true or false are not counted.
 *
 * @category models
 */
export interface FilterCounts {
  sql: number
  correlation: number
}

/** The most that a topic has (Service Bus quotas). */
const most: FilterCounts = { sql: 2000, correlation: 100_000 }

/**
 * What a subscription gets of the messages of one turn: copies, and what it dead-letters because a rule failed on it.
 *
 * @category models
 */
export interface Routed {
  readonly messages: Array<IncomingMessage>
  readonly failed: Array<Failed>
}

/** A message that a rule failed on, and what its dead letter says. */
interface Failed {
  readonly incoming: IncomingMessage
  readonly reason: string
  readonly description: string
}

/** What rules need of the subscription that owns them. */
interface OwningSubscription {
  /** Whether it, or its topic, is disabled. */
  readonly isDisabled: () => boolean
  /** The most bytes of a message. */
  readonly maxMessageSize: () => number
  /** A rule was added, which is a use of the subscription. */
  readonly touch: () => void
  /** The rules are others than they were. */
  readonly changed: () => void
}

const noProperties: MessageSnapshot["properties"] = new Map()

export class SubscriptionRules implements Rules {
  private readonly shared: SharedState
  private readonly path: string
  private readonly counts: FilterCounts
  private readonly subscription: OwningSubscription
  /** Whether a message that a rule fails on is dead-lettered. */
  deadLettersFailures: boolean
  /** By their names, in the order in which they came. */
  private readonly compiled = new Map<string, Rule.CompiledRule>()
  /** As they are listed; undefined until they are listed again. */
  private listed: ReadonlyArray<ServiceBusRule.Rule> | undefined
  /** How many take everything as it is, and how many change what they take. */
  private plain = 0
  private changing = 0
  /** How many may fail on a message. */
  private failing = 0

  constructor(
    shared: SharedState,
    path: string,
    counts: FilterCounts,
    subscription: OwningSubscription,
    deadLettersFailures: boolean
  ) {
    this.shared = shared
    this.path = path
    this.counts = counts
    this.subscription = subscription
    this.deadLettersFailures = deadLettersFailures
  }

  /** Whether nothing enters. */
  get isEmpty(): boolean {
    return this.compiled.size === 0
  }

  /** Whether each message enters as it is, once. */
  get takesAll(): boolean {
    return this.plain > 0 && this.changing === 0 && this.failing === 0
  }

  get isDisabled(): boolean {
    return this.subscription.isDisabled()
  }

  list(skip = 0, count = Infinity): ReadonlyArray<ServiceBusRule.Rule> {
    this.listed ??= Array.from(this.compiled.values(), ({ rule }) => rule).toSorted(byName)
    return this.listed.slice(skip, skip + count)
  }

  find(name: string): ServiceBusRule.Rule | undefined {
    const found = this.compiled.get(name)
    if (found !== undefined) return found.rule
    const key = name.toLowerCase()
    for (const { rule } of this.compiled.values()) if (rule.name.toLowerCase() === key) return rule
    return undefined
  }

  add(given: ServiceBusRule.Rule): Result.Result<void, Refusal> {
    const added = this.closed() ?? this.declare(given)
    if (Result.isSuccess(added)) {
      this.subscription.touch()
      this.subscription.changed()
    }
    return added
  }

  replace(given: ServiceBusRule.Rule): Result.Result<void, Refusal> {
    const refused = this.closed()
    if (refused !== undefined) return refused
    const before = this.compiled.get(given.name)
    if (before === undefined) return this.refuse("RuleNotFound", given.name)
    this.compiled.delete(given.name)
    this.count(before, -1)
    const { createdAt } = before.rule
    const added = this.declare(createdAt === undefined ? given : { ...given, createdAt })
    if (Result.isFailure(added)) {
      this.compiled.set(given.name, before)
      this.count(before, 1)
    } else {
      this.subscription.touch()
      this.subscription.changed()
    }
    return added
  }

  /** Adds one with which the subscription is made, which is no use of it. */
  declare(given: ServiceBusRule.Rule): Result.Result<void, Refusal> {
    if (ServiceBusRule.nameProblemOf(given.name) !== undefined) {
      return this.refuse("InvalidRule", `The specified name ("${given.name.slice(0, 64)}") is not valid.`)
    }
    if (this.compiled.has(given.name)) return this.refuse("RuleExists", given.name)
    const wrong = valueProblemOf(given, this.shared.isRuleValue)
    if (wrong !== undefined) return this.refuse("InvalidRule", `The rule is not valid: its ${wrong}.`)
    const createdAt = given.createdAt ?? DateTime.makeUnsafe(this.shared.clock.currentTimeMillisUnsafe())
    const compiled = Rule.compile({ ...given, createdAt })
    if (Result.isFailure(compiled)) return this.refuse("InvalidRule", compiled.failure.message)
    const counted = countedAs(given)
    if (counted !== undefined && this.counts[counted] >= most[counted]) {
      const detail = `The topic has ${most[counted]} ${counted} filters, which is the most that it can have.`
      return Result.fail({ _tag: "QuotaExceeded", entity: this.path, detail, kind: "Rules" })
    }
    this.compiled.set(given.name, compiled.success)
    this.listed = undefined
    this.count(compiled.success, 1)
    return Result.void
  }

  remove(name: string): Result.Result<void, Refusal> {
    const refused = this.closed()
    if (refused !== undefined) return refused
    const found = this.compiled.get(name)
    if (found === undefined) return this.refuse("RuleNotFound", name)
    this.compiled.delete(name)
    this.listed = undefined
    this.count(found, -1)
    this.subscription.changed()
    return Result.void
  }

  /** Its subscription is gone: its filters count no more. */
  clear(): void {
    for (const each of this.compiled.values()) this.count(each, -1)
    this.compiled.clear()
    this.listed = undefined
  }

  /**
   * Adds to `routed` what the subscription gets of a message: nothing but its dead letter, where one of the rules fails on it
   * (Service Bus documentation, SubscriptionDescription: what causes an exception is moved there, or else discarded).
   */
  route(incoming: IncomingMessage, message: Rule.FilterMessage, routed: Routed | undefined): Routed | undefined {
    let into = routed
    const before = into?.messages.length ?? 0
    let isTaken = false
    let isActing = false
    try {
      for (const { apply, matches } of this.compiled.values()) {
        isActing = false
        if (!matches(message) || apply === undefined && isTaken) continue
        isTaken ||= apply === undefined
        isActing = apply !== undefined
        const copy = apply === undefined ? incoming : this.shared.change(incoming, apply(message))
        if (isActing && !this.shared.fits(copy, noProperties)) {
          return this.failed(incoming, into, before, headerSizeExceeded)
        }
        if (isActing && copy.payload.length > this.subscription.maxMessageSize()) {
          return this.failed(incoming, into, before, messageSizeExceeded)
        }
        into ??= { messages: [], failed: [] }
        into.messages.push(copy)
      }
    } catch (error) {
      // The type of the service's exception is the reason of the dead letter (Microsoft's page on dead-letter queues).
      const reason = isActing ? "RuleActionException" : "FilterException"
      return this.failed(incoming, into, before, { reason, description: this.textOf(error) })
    }
    return into
  }

  /** Takes the copies back that there are of a message, and dead-letters it where the subscription does so. */
  private failed(
    incoming: IncomingMessage,
    routed: Routed | undefined,
    before: number,
    why: Omit<Failed, "incoming">
  ): Routed | undefined {
    if (routed !== undefined) routed.messages.length = before
    if (!this.deadLettersFailures) return routed
    const into = routed ?? { messages: [], failed: [] }
    into.failed.push({ incoming, ...why })
    return into
  }

  /** What a rule failed with. What is no error of an evaluation is a defect, which must not stop the topic. */
  private textOf(error: unknown): string {
    if (!(error instanceof Rule.FilterError)) this.shared.report(this.path, error)
    return error instanceof Error ? error.message : String(error)
  }

  private closed(): Result.Result<never, Refusal> | undefined {
    return this.shared.isClosed ? this.refuse("EntityNotFound", "the broker is closed") : undefined
  }

  private count({ apply, rule }: Rule.CompiledRule, by: 1 | -1): void {
    const counted = countedAs(rule)
    if (counted !== undefined) this.counts[counted] += by
    if (apply !== undefined) this.changing += by
    else if (rule.filter._tag === "TrueFilter") this.plain += by
    if (rule.filter._tag === "SqlFilter") this.failing += by
  }

  private refuse(_tag: Refusal["_tag"], detail: string): Result.Result<never, Refusal> {
    return Result.fail({ _tag, entity: this.path, detail })
  }
}

/**
 * The service lists `$Default`, `correlationRule`, `sqlRule` where they were created in another order (ruleManager.spec.ts of
 * azure-sdk-for-js, "list rules by page").
 */
const byName = (one: ServiceBusRule.Rule, other: ServiceBusRule.Rule): number => {
  const [a, b] = [one.name.toLowerCase(), other.name.toLowerCase()]
  return a < b ? -1 : a > b ? 1 : one.name < other.name ? -1 : 1
}

const countedAs = ({ filter }: ServiceBusRule.Rule): keyof FilterCounts | undefined =>
  filter._tag === "SqlFilter" ? "sql" : filter._tag === "CorrelationFilter" ? "correlation" : undefined
