/**
 * Queues, topics and subscriptions of the management API: created, read, listed, changed and deleted in the broker, each in one
 * step. It keeps of them what the broker does not have, such as their policies.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { randomBytes } from "node:crypto"
import type * as AtomXml from "../../internal/administration/AtomXml.ts"
import * as Description from "../../internal/administration/Description.ts"
import type { EmulatorError } from "../../ServiceBusError.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import type * as Broker from "../broker/Broker.ts"
import * as Authorization from "../security/Authorization.ts"
import * as EntityDescription from "./EntityDescription.ts"
import * as Envelope from "./Envelope.ts"
import * as Condition from "./HttpCondition.ts"
import type * as Resource from "./Resource.ts"
import * as RuleDescription from "./RuleDescription.ts"

/** A resource that is an entity. */
type EntityResource = Resource.Of<"entity" | "subscription">

export class ManagedEntities {
  readonly broker: Broker.Broker
  /** By which the namespace names what is in it. */
  readonly namespaceName: string
  private readonly clock: Clock.Clock

  constructor(broker: Broker.Broker, clock: Clock.Clock, namespaceName: string) {
    this.broker = broker
    this.clock = clock
    this.namespaceName = namespaceName
  }

  /** Forgets what the broker does not have. */
  reset(): void {
    for (const { path } of this.broker.declarations()) this.broker.keep(path, undefined)
  }

  get(asked: Envelope.Asked, resource: EntityResource): Condition.Outcome {
    const declaration = this.find(resource)
    if (declaration !== undefined) return Result.succeed(this.answer(asked, declaration, 200))
    return resource.kind === "subscription" && this.topicOf(resource.topic) !== undefined
      ? Result.fail(Condition.notFoundWithin(this.nameOf(resource)))
      : Result.succeed(Envelope.nothing(this.now()))
  }

  create(
    asked: Envelope.Asked,
    resource: EntityResource,
    description: AtomXml.Element | undefined
  ): Condition.Outcome {
    if (this.find(resource) !== undefined) return Result.fail(this.conflict(resource))
    if (!isNameOf(resource)) return Result.fail(Condition.name(Envelope.selfOf(asked).slice(0, 512)))
    if (resource.kind === "subscription" && this.topicOf(resource.topic) === undefined) {
      return Result.fail(Condition.topicNotFound)
    }
    const kind = resource.kind === "subscription"
      ? "subscription"
      : Description.isOf(Description.topic, description)
      ? "topic"
      : "queue"
    return Result.gen(this, function*() {
      const given = yield* read(kind, description)
      const rules = yield* initialRulesOf(given)
      const { kept, options } = yield* EntityDescription.read(kind, given, undefined)
      const entity: Broker.Entity = resource.kind === "subscription"
        ? {
          kind: "subscription",
          topic: resource.topic,
          name: resource.subscription,
          options: { ...options as Broker.SubscriptionOptions, rules }
        }
        : { kind: kind as "queue", name: resource.entity, options }
      yield* Result.mapError(this.broker.create(entity), (error) => this.obstacle(error, resource))
      this.keep(resource, kept)
      return this.answer(asked, this.find(resource)!, 201)
    })
  }

  update(
    asked: Envelope.Asked,
    resource: EntityResource,
    description: AtomXml.Element | undefined
  ): Condition.Outcome {
    const declaration = this.find(resource)
    return Result.gen(this, function*() {
      if (declaration === undefined) {
        // The service looks at the values of a subscription first.
        if (resource.kind === "subscription") {
          yield* EntityDescription.read("subscription", yield* read("subscription", description), undefined)
        }
        return yield* Result.fail(this.missing(resource))
      }
      const { kind, path } = declaration
      yield* this.checkEtag(asked, declaration)
      const given = yield* read(kind, description)
      const { kept, options } = yield* EntityDescription.read(kind, given, { declaration, kept: this.keptOf(path) })
      yield* Result.mapError(this.broker.update(path, options), (error) => this.obstacle(error, resource))
      this.keep(resource, kept)
      return this.answer(asked, this.find(resource)!, 200)
    })
  }

  delete(resource: EntityResource): Condition.Outcome {
    const declaration = this.find(resource)
    if (declaration === undefined) {
      return Result.fail(
        resource.kind === "subscription"
          ? Condition.notFoundWithin(this.nameOf(resource))
          : Condition.deletionOfMissing
      )
    }
    const etag = this.etagOf(declaration)
    return Result.mapBoth(this.broker.delete(declaration.path), {
      onFailure: (error) => this.obstacle(error, resource),
      onSuccess: () => Envelope.empty(etag)
    })
  }

  list(asked: Envelope.Asked, { kind }: Resource.Of<"queues" | "topics">): Condition.Outcome {
    const [listed, title] = kind === "queues" ? ["queue", "Queues"] as const : ["topic", "Topics"] as const
    return Envelope.page(asked, title, this.listed(listed), (declaration) => ({
      ...this.entryOf(asked, declaration, false),
      id: Envelope.addressOf(asked, declaration.path),
      self: `../${Envelope.relative(asked, declaration.path)}`
    }))
  }

  listSubscriptions(asked: Envelope.Asked, { path, topic }: Resource.Of<"subscriptions">): Condition.Outcome {
    const declaration = this.topicOf(topic)
    if (declaration === undefined) return Result.fail(Condition.deletionOfMissing)
    return Envelope.page(
      asked,
      "Subscriptions",
      this.listed("subscription", declaration.path),
      (subscription) => ({
        ...this.entryOf(asked, subscription, false),
        id: Envelope.addressOf(asked, `${path}/${subscription.name}`),
        self: Envelope.belowOf(asked, subscription.name)
      }),
      this.etagOf(declaration)
    )
  }

  /** The policies of the entities that a SAS token is for: of each its two keys. */
  policies(token: string): ReadonlyArray<Authorization.Policy> {
    return Authorization.pathsTo(Authorization.resourceOf(token) ?? "").flatMap((path) =>
      (this.keptOf(path).AuthorizationRules ?? []).flatMap(({ KeyName: name, PrimaryKey, Rights, SecondaryKey }) =>
        [PrimaryKey, SecondaryKey].flatMap((key) =>
          key === undefined ? [] : [{ name, key, rights: Rights.filter(isRight) }]
        )
      )
    )
  }

  topicOf(name: string): Broker.Declaration | undefined {
    const declaration = this.broker.declaration(name)
    return declaration?.kind === "topic" ? declaration : undefined
  }

  /** The etag of an entity: that of the topmost one, which all that is within it has. */
  etagOf({ topic, updatedAt }: Broker.Declaration): string {
    const topmost = topic === undefined ? undefined : this.broker.declaration(topic)
    return String((BigInt(topmost?.updatedAt ?? updatedAt) - yearOne) * 10_000n)
  }

  /** Refuses an update for its etag. */
  checkEtag(asked: Envelope.Asked, declaration: Broker.Declaration): Result.Result<void, Condition.HttpCondition> {
    const given = (asked.ifMatch ?? "*").trim().replace(/^(W\/)?"(.*)"$/, "$2")
    return given === "*" || given === this.etagOf(declaration) ? Result.void : Result.fail(Condition.precondition)
  }

  /** How the service names what is within a topic. */
  nameOf(resource: Resource.Of<"subscriptions" | "subscription" | "rules" | "rule">): string {
    const names = [resource.topic]
    if ("subscription" in resource) names.push(resource.subscription)
    if ("rule" in resource) names.push(resource.rule)
    return `${this.namespaceName}:Topic:${names.join("|")}`
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private find(resource: EntityResource): Broker.Declaration | undefined {
    const declaration = this.broker.declaration(resource.entity)
    // The broker does not mind spaces around a path.
    return declaration?.path.toLowerCase() === resource.entity.toLowerCase() &&
        (declaration.kind === "subscription") === (resource.kind === "subscription")
      ? declaration
      : undefined
  }

  /** The entities of a kind, by name. */
  private listed(kind: Broker.Declaration["kind"], topic?: string): ReadonlyArray<Broker.Declaration> {
    return this.broker.declarations()
      .filter((declaration) => declaration.kind === kind && (topic === undefined || declaration.topic === topic))
      .toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  }

  private keptOf(path: string): EntityDescription.Kept {
    // Nobody else keeps anything of them.
    return this.broker.kept(path) as EntityDescription.Kept | undefined ?? EntityDescription.keptNothing
  }

  /** Keeps what the broker does not have; policies that come without keys keep theirs, or get new ones. */
  private keep({ entity }: EntityResource, kept: EntityDescription.Kept): void {
    const before = this.keptOf(entity).AuthorizationRules ?? []
    const now = DateTime.makeUnsafe(this.now())
    const rules = (kept.AuthorizationRules ?? []).map(({ KeyName, PrimaryKey, Rights, SecondaryKey }) => {
      const same = before.find((rule) => rule.KeyName === KeyName)
      return {
        KeyName,
        Rights,
        PrimaryKey: PrimaryKey ?? same?.PrimaryKey ?? newKey(),
        SecondaryKey: SecondaryKey ?? same?.SecondaryKey ?? newKey(),
        CreatedTime: same?.CreatedTime ?? now,
        ModifiedTime: now
      }
    })
    this.broker.keep(entity, { ...kept, AuthorizationRules: rules } satisfies EntityDescription.Kept)
  }

  private conflict(resource: EntityResource): Condition.HttpCondition {
    return resource.kind === "entity" ? Condition.conflict : Condition.conflictWithin(this.nameOf(resource))
  }

  private missing(resource: EntityResource): Condition.HttpCondition {
    return resource.kind === "entity" ? Condition.updateOfMissing : Condition.notFoundWithin(this.nameOf(resource))
  }

  private obstacle({ problem, reason }: EmulatorError, resource: EntityResource): Condition.HttpCondition {
    switch (reason) {
      case "alreadyExists":
        return this.conflict(resource)
      case "notFound":
        return this.missing(resource)
      case "quotaExceeded":
        return Condition.quota(`${problem}.`)
      default:
        return Condition.invalid(`${problem}.`)
    }
  }

  private answer(asked: Envelope.Asked, declaration: Broker.Declaration, status: 200 | 201) {
    const isCreation = status === 201
    const hasEtag = !isCreation || declaration.kind === "subscription"
    return Envelope.entry(
      this.entryOf(asked, declaration, isCreation),
      status,
      hasEtag ? this.etagOf(declaration) : undefined
    )
  }

  private entryOf(asked: Envelope.Asked, declaration: Broker.Declaration, isCreation: boolean): AtomXml.Entry {
    const { createdAt, kind, name, path, updatedAt } = declaration
    const isWithin = kind === "subscription"
    const isChange = asked.method === "PUT"
    const self = Envelope.selfOf(asked, isWithin && !isChange)
    const description = EntityDescription.describe({
      declaration,
      kept: this.keptOf(path),
      runtime: this.broker.runtime(path)!,
      host: Authorization.hostOf(asked.authority),
      apiVersion: asked.apiVersion,
      isCreation,
      isChange
    })
    return {
      id: self,
      title: isWithin ? name : path,
      published: isChange && !isCreation && !isWithin ? undefined : Envelope.secondsOf(createdAt),
      updated: Envelope.secondsOf(updatedAt),
      author: isWithin ? undefined : this.namespaceName,
      self,
      content: Description.write(Description.entities[kind], description, "answer")
    }
  }
}

/** The beginning of .NET's time, in milliseconds of Unix time. */
const yearOne = BigInt(Date.parse("0001-01-01T00:00:00Z"))

const isRight = (right: string): right is Authorization.Right =>
  right === "Manage" || right === "Send" || right === "Listen"

const newKey = () => Redacted.make(randomBytes(32).toString("base64"), { label: "access key" })

/** Whether a name is one: segments of letters, digits, periods, hyphens and underscores, with slashes between them. */
const isName = (name: string, longest: number): boolean =>
  name.length <= longest && /^[\p{L}\p{N}._-]+(\/[\p{L}\p{N}._-]+)*$/u.test(name)

const isNameOf = (resource: EntityResource): boolean =>
  resource.kind === "subscription"
    ? isName(resource.subscription, 50) && !resource.subscription.includes("/")
    : isName(resource.entity, 260)

const read = (
  kind: Broker.Declaration["kind"],
  description: AtomXml.Element | undefined
): Result.Result<Description.Entity, Condition.HttpCondition> => {
  const expected = Description.entities[kind]
  return description === undefined || !Description.isOf(expected, description)
    ? Result.fail(Condition.invalid(`The request body is no ${expected.name}.`))
    : Result.mapError(
      Description.read(expected, description),
      ({ message }) => Condition.invalid(`${message}.`)
    )
}

/** The rules that a new subscription is given; undefined is the broker's own. */
const initialRulesOf = (
  { DefaultRuleDescription: description }: Description.Entity
): Result.Result<ReadonlyArray<ServiceBusRule.Rule> | undefined, Condition.HttpCondition> =>
  description === undefined
    ? Result.succeed(undefined)
    : Result.map(RuleDescription.read(description), (rule) => [rule])
