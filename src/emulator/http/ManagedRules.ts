/**
 * Rules of subscriptions in the management API: created, read, listed, changed and deleted in the broker, each in one step. The
 * subscription and its topic are those of ManagedEntities; of an etag the topic's alone counts.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import type * as AtomXml from "../../internal/administration/AtomXml.ts"
import * as Description from "../../internal/administration/Description.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import type * as Broker from "../broker/Broker.ts"
import * as Envelope from "./Envelope.ts"
import * as Condition from "./HttpCondition.ts"
import type { ManagedEntities } from "./ManagedEntities.ts"
import type * as Resource from "./Resource.ts"
import * as RuleDescription from "./RuleDescription.ts"

/** A subscription, as far as its rules need it. */
interface Found {
  readonly topic: Broker.Declaration
  readonly rules: Broker.Rules
}

export class ManagedRules {
  private readonly entities: ManagedEntities
  /** The time of rules that the broker has started with. */
  private readonly startedAt: DateTime.Utc

  constructor(entities: ManagedEntities) {
    this.entities = entities
    this.startedAt = DateTime.makeUnsafe(entities.now())
  }

  list(asked: Envelope.Asked, resource: Resource.Of<"rules">): Condition.Outcome {
    return Result.flatMap(this.find(resource), ({ rules, topic }) =>
      Envelope.page(
        asked,
        "Rules",
        rules.list(),
        (rule) => ({
          ...this.entryOf(asked, rule),
          id: Envelope.addressOf(asked, `${resource.path}/${rule.name}`),
          self: Envelope.belowOf(asked, rule.name)
        }),
        this.entities.etagOf(topic)
      ))
  }

  get(asked: Envelope.Asked, resource: Resource.Of<"rule">): Condition.Outcome {
    return this.entities.topicOf(resource.topic) === undefined
      ? Result.succeed(Envelope.nothing(this.entities.now()))
      : Result.map(this.findRule(resource), ({ rule, topic }) => this.answer(asked, topic, rule, 200))
  }

  create(
    asked: Envelope.Asked,
    resource: Resource.Of<"rule">,
    description: AtomXml.Element | undefined
  ): Condition.Outcome {
    return Result.gen(this, function*() {
      const { rules, topic } = yield* this.find(resource)
      if (rules.find(resource.rule) !== undefined) {
        return yield* Result.fail(Condition.conflictWithin(this.entities.nameOf(resource)))
      }
      const rule = yield* read(resource.rule, description)
      yield* Result.mapError(rules.add(rule), obstacle)
      return this.answer(asked, topic, rules.find(rule.name)!, 201)
    })
  }

  update(
    asked: Envelope.Asked,
    resource: Resource.Of<"rule">,
    description: AtomXml.Element | undefined
  ): Condition.Outcome {
    return Result.gen(this, function*() {
      const { rule: before, rules, topic } = yield* this.findRule(resource)
      yield* this.entities.checkEtag(asked, topic)
      const rule = yield* read(before.name, description)
      yield* Result.mapError(rules.replace(rule), obstacle)
      return this.answer(asked, topic, rules.find(rule.name)!, 200)
    })
  }

  delete(resource: Resource.Of<"rule">): Condition.Outcome {
    return Result.gen(this, function*() {
      const { rule, rules, topic } = yield* this.findRule(resource)
      yield* Result.mapError(rules.remove(rule.name), obstacle)
      return Envelope.empty(this.entities.etagOf(topic))
    })
  }

  private find(resource: Resource.Of<"rule" | "rules">): Result.Result<Found, Condition.HttpCondition> {
    const topic = this.entities.topicOf(resource.topic)
    const rules = this.entities.broker.queue(resource.entity)?.rules
    return topic === undefined || rules === undefined ? this.notFound(resource) : Result.succeed({ topic, rules })
  }

  private findRule(
    resource: Resource.Of<"rule">
  ): Result.Result<Found & { readonly rule: ServiceBusRule.Rule }, Condition.HttpCondition> {
    return Result.flatMap(this.find(resource), (found) => {
      const rule = found.rules.find(resource.rule)
      return rule === undefined ? this.notFound(resource) : Result.succeed({ ...found, rule })
    })
  }

  private notFound(resource: Resource.Of<"rule" | "rules">): Result.Result<never, Condition.HttpCondition> {
    return Result.fail(Condition.notFoundWithin(this.entities.nameOf(resource)))
  }

  private answer(asked: Envelope.Asked, topic: Broker.Declaration, rule: ServiceBusRule.Rule, status: 200 | 201) {
    return Envelope.entry(this.entryOf(asked, rule), status, this.entities.etagOf(topic))
  }

  private entryOf(asked: Envelope.Asked, rule: ServiceBusRule.Rule): AtomXml.Entry {
    const createdAt = rule.createdAt ?? this.startedAt
    const isRead = asked.method !== "PUT"
    const time = Envelope.secondsOf(isRead ? createdAt : this.entities.now())
    const id = Envelope.selfOf(asked, isRead)
    return {
      id,
      title: rule.name,
      published: time,
      updated: time,
      self: id,
      content: Description.write(Description.rule, RuleDescription.describe(rule, createdAt), "answer")
    }
  }
}

/** The rule of a request: the name in its address holds. */
const read = (
  name: string,
  description: AtomXml.Element | undefined
): Result.Result<ServiceBusRule.Rule, Condition.HttpCondition> => {
  if (description === undefined || !Description.isOf(Description.rule, description)) {
    return Result.fail(Condition.invalid("The request body is no RuleDescription."))
  }
  const fields = Result.mapError(
    Description.read(Description.rule, description),
    ({ message }) => Condition.invalid(`${message}.`)
  )
  return Result.flatMap(fields, (fields) => RuleDescription.read({ ...fields, Name: name }))
}

/** Why the broker does not take a rule. */
const obstacle = ({ _tag, detail }: Broker.Refusal): Condition.HttpCondition => {
  const text = detail ?? `The rule cannot be changed (${_tag}).`
  return _tag === "QuotaExceeded" ? Condition.quota(text) : Condition.invalid(text)
}
