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
import * as Rule from "./filter/Rule.ts"
import type { IncomingMessage, MessageSnapshot, Refusal, Rules } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"
import { headerSizeExceeded } from "./StoredMessage.ts"

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

const noProperties: MessageSnapshot["properties"] = new Map()

export class SubscriptionRules implements Rules {
  private readonly shared: SharedState
  private readonly path: string
  private readonly counts: FilterCounts
  /** Whether a message that a rule fails on is dead-lettered. */
  deadLettersFailures: boolean
  /** By their names, in the order in which they came. */
  private readonly compiled = new Map<string, Rule.CompiledRule>()
  /** How many take everything as it is, and how many change what they take. */
  private plain = 0
  private changing = 0

  constructor(shared: SharedState, path: string, counts: FilterCounts, deadLettersFailures: boolean) {
    this.shared = shared
    this.path = path
    this.counts = counts
    this.deadLettersFailures = deadLettersFailures
  }

  /** Whether nothing enters. */
  get isEmpty(): boolean {
    return this.compiled.size === 0
  }

  /** Whether each message enters as it is, once. */
  get takesAll(): boolean {
    return this.plain > 0 && this.changing === 0
  }

  list(skip = 0, count = Infinity): ReadonlyArray<ServiceBusRule.Rule> {
    return Array.from(this.compiled.values()).slice(skip, skip + count).map(({ rule }) => rule)
  }

  add(given: ServiceBusRule.Rule): Result.Result<void, Refusal> {
    if (this.shared.isClosed) return this.refuse("EntityNotFound", "the broker is closed")
    if (ServiceBusRule.nameProblemOf(given.name) !== undefined) {
      return this.refuse("InvalidRule", `The specified name ("${given.name}") is not valid.`)
    }
    if (this.compiled.has(given.name)) return this.refuse("RuleExists", given.name)
    const createdAt = given.createdAt ?? DateTime.makeUnsafe(this.shared.clock.currentTimeMillisUnsafe())
    const compiled = Rule.compile({ ...given, createdAt })
    if (Result.isFailure(compiled)) return this.refuse("InvalidRule", compiled.failure.message)
    const counted = countedAs(given)
    if (counted !== undefined && this.counts[counted] >= most[counted]) {
      const detail = `The topic has ${most[counted]} ${counted} filters, which is the most that it can have.`
      return Result.fail({ _tag: "QuotaExceeded", entity: this.path, detail, kind: "Rules" })
    }
    this.compiled.set(given.name, compiled.success)
    this.count(compiled.success, 1)
    return Result.void
  }

  remove(name: string): Result.Result<void, Refusal> {
    if (this.shared.isClosed) return this.refuse("EntityNotFound", "the broker is closed")
    const found = this.compiled.get(name)
    if (found === undefined) return this.refuse("RuleNotFound", name)
    this.compiled.delete(name)
    this.count(found, -1)
    return Result.void
  }

  /** Its subscription is gone: its filters count no more. */
  clear(): void {
    for (const each of this.compiled.values()) this.count(each, -1)
    this.compiled.clear()
  }

  /**
   * Adds to `routed` what the subscription gets of a message. A rule that fails has the message dead-lettered, where the
   * subscription does so; a filter that fails has no say where another rule without an action takes the message.
   */
  route(incoming: IncomingMessage, message: Rule.FilterMessage, routed: Routed | undefined): Routed | undefined {
    let into = routed
    let isTaken = false
    let failure: Failed | undefined
    let plainFailure: Failed | undefined
    for (const { apply, matches } of this.compiled.values()) {
      if (apply === undefined && isTaken) continue
      let isMatching = false
      try {
        if (!matches(message)) continue
        isMatching = true
        const copy = apply === undefined ? incoming : this.shared.change(incoming, apply(message))
        if (apply === undefined) isTaken = true
        else if (!this.shared.fits(copy, noProperties)) {
          failure ??= { incoming, ...headerSizeExceeded }
          continue
        }
        into ??= { messages: [], failed: [] }
        into.messages.push(copy)
      } catch (error) {
        // The names of the exceptions that the service has: an exception's type is the reason of its dead letter.
        const failed = {
          incoming,
          reason: isMatching ? "RuleActionException" : "FilterException",
          description: this.textOf(error)
        }
        if (apply === undefined) plainFailure ??= failed
        else failure ??= failed
      }
    }
    failure ??= isTaken ? undefined : plainFailure
    if (failure === undefined || !this.deadLettersFailures) return into
    into ??= { messages: [], failed: [] }
    into.failed.push(failure)
    return into
  }

  /** What a rule failed with. What is no error of an evaluation is a defect, which must not stop the topic. */
  private textOf(error: unknown): string {
    if (!(error instanceof Rule.FilterError)) this.shared.report(this.path, error)
    return error instanceof Error ? error.message : String(error)
  }

  private count({ apply, rule }: Rule.CompiledRule, by: 1 | -1): void {
    const counted = countedAs(rule)
    if (counted !== undefined) this.counts[counted] += by
    if (apply !== undefined) this.changing += by
    else if (rule.filter._tag === "TrueFilter") this.plain += by
  }

  private refuse(_tag: Refusal["_tag"], detail: string): Result.Result<never, Refusal> {
    return Result.fail({ _tag, entity: this.path, detail })
  }
}

const countedAs = ({ filter }: ServiceBusRule.Rule): keyof FilterCounts | undefined =>
  filter._tag === "SqlFilter" ? "sql" : filter._tag === "CorrelationFilter" ? "correlation" : undefined
