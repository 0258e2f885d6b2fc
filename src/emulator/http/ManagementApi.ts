/**
 * The management API: queues, topics, subscriptions and rules created, read, changed and deleted over HTTP, with the service's
 * envelopes, statuses and texts. It answers requests out of the broker, and knows no sockets.
 *
 * An answer is made in one step once the body has been read: what was answered has happened, and what was refused has not.
 * Tokens are checked for real, and need the right Manage.
 *
 * Sources: recorded answers of the service; what Microsoft's clients send and make of answers.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { randomBytes } from "node:crypto"
import * as AtomXml from "../../internal/administration/AtomXml.ts"
import * as Description from "../../internal/administration/Description.ts"
import * as RuleDescription from "../../internal/administration/RuleDescription.ts"
import type { EmulatorError } from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import type { Faults } from "../amqp/Faults.ts"
import type * as Broker from "../broker/Broker.ts"
import * as Authorization from "../security/Authorization.ts"
import * as EntityDescription from "./EntityDescription.ts"
import * as Envelope from "./Envelope.ts"
import * as FaultyRequest from "./FaultyRequest.ts"
import * as Condition from "./HttpCondition.ts"
import type { HttpAnswer, HttpRequest } from "./HttpMessage.ts"
import * as Resource from "./Resource.ts"

/** What it is made of. */
interface Options {
  readonly broker: Broker.Broker
  readonly clock: Clock.Clock
  /** That of the server: by it tokens expire. */
  readonly serverClock: Clock.Clock
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** Signs the tokens of the broker's own identity. */
  readonly identityKey: Redacted.Redacted<string>
  /** The name by which the namespace speaks of itself. */
  readonly host: string
  /** What a test asked for to go wrong. */
  readonly faults: Faults
}

/** An answer, or why it is refused. */
type Outcome = Result.Result<HttpAnswer, Condition.HttpCondition>

type Asked = Envelope.Asked

type Of<K extends Resource.Resource["kind"]> = Extract<Resource.Resource, { readonly kind: K }>

const administering = ["administer"] as const

/** The kinds of descriptions, by the entities that they are of. */
const kinds = {
  queue: Description.queue,
  topic: Description.topic,
  subscription: Description.subscription
} as const

/** Answers requests. */
export class ManagementApi {
  private readonly options: Options
  private readonly startedAt: number
  /** What the broker does not have, of the entities that are there. */
  private readonly kept = new WeakMap<Broker.Queue, EntityDescription.Kept>()

  constructor(options: Options) {
    this.options = options
    this.startedAt = this.now()
  }

  /** Answers a request; it never fails. */
  answer(request: HttpRequest): Effect.Effect<HttpAnswer> {
    return Effect.suspend(() => {
      if (isHealth(request)) return Effect.succeed(health)
      const resource = Resource.parse(request.target)
      const authority = request.headers["host"] ?? this.options.host
      const tracker = `${Authorization.hostOf(authority)}:${resource?.path ?? ""}`
      const refuse = (condition: Condition.HttpCondition) =>
        resource !== undefined && "topic" in resource && condition.status === 400
          ? Condition.answerOf(Condition.within(condition), `${this.namespaceName}:Topic:${resource.topic}`, this.now())
          : Condition.answerOf(condition, tracker, this.now())
      if (resource === undefined) {
        return Effect.succeed(
          refuse(Condition.name(`${Authorization.hostOf(authority)}${request.target.slice(0, 512)}`))
        )
      }
      const isRead = request.method === "GET" || request.method === "HEAD"
      // The service shows it to everybody.
      if (resource.kind === "root" && isRead) return Effect.succeed(Envelope.nothing(this.now()))
      const unauthorized = this.unauthorized(request, resource, authority)
      if (unauthorized !== undefined) return Effect.succeed(refuse(unauthorized))
      const asked: Asked = {
        method: request.method,
        description: undefined,
        resource,
        scheme: request.isSecure ? "https" : "http",
        authority,
        apiVersion: Resource.parameterOf(resource, "api-version") ?? "2017-04",
        ifMatch: request.headers["if-match"],
        now: this.now()
      }
      const answered = (description: AtomXml.Element | undefined) =>
        Result.getOrElse(
          this.perform({ ...asked, description }),
          (condition) => this.withEtag(refuse(condition), resource)
        )
      const performed = request.method !== "PUT"
        ? Effect.sync(() => answered(undefined))
        : Effect.match(AtomXml.parse(request.body), {
          onSuccess: (root) => {
            const envelope = AtomXml.envelopeOf(root)
            return answered(envelope?._tag === "Entry" ? envelope.content : undefined)
          },
          onFailure: ({ problem }) => refuse(Condition.invalid(`The request body cannot be read: ${problem}.`))
        })
      const struck = this.options.faults.take(administering, entityOf(resource))
      return struck === undefined ? performed : FaultyRequest.perform(struck, performed, refuse)
    })
  }

  /** The policies of the entities that a SAS token is for: of each its two keys. */
  entityPolicies(token: string): ReadonlyArray<Authorization.Policy> {
    return Authorization.pathsTo(Authorization.resourceOf(token) ?? "").flatMap((path) =>
      (this.keptOf(path).AuthorizationRules ?? []).flatMap(({ KeyName: name, PrimaryKey, Rights, SecondaryKey }) =>
        [PrimaryKey, SecondaryKey].flatMap((key) =>
          key === undefined ? [] : [{ name, key, rights: Rights.filter(isRight) }]
        )
      )
    )
  }

  private now(): number {
    return this.options.clock.currentTimeMillisUnsafe()
  }

  /** Why a request is not allowed; undefined where it is. */
  private unauthorized(
    { headers, method }: HttpRequest,
    { path }: Resource.Resource,
    authority: string
  ): Condition.HttpCondition | undefined {
    const header = headers["authorization"]
    if (header === undefined) return Condition.token("There is no Authorization header.")
    const { host, identityKey, policies, serverClock } = this.options
    const now = serverClock.currentTimeMillisUnsafe()
    const called = Authorization.hostOf(authority)
    const isOurs = (name: string) =>
      Authorization.isLoopback(name) || name === Authorization.hostOf(host) || name === called
    const [, bearer] = /^Bearer +(.+)$/i.exec(header) ?? []
    const checked = bearer === undefined
      ? Authorization.check([...policies, ...this.entityPolicies(header)], header, path, now, isOurs)
      : Authorization.checkMinted(identityKey, bearer, path, now)
    if (Result.isFailure(checked)) return Condition.token(tokenProblems[checked.failure])
    if (checked.success.rights.includes("Manage")) return undefined
    return Condition.unauthorized(
      method === "PUT" ? "EntityWrite" : method === "DELETE" ? "EntityDelete" : "EntityRead"
    )
  }

  private perform(asked: Asked): Outcome {
    const { method, resource } = asked
    const isRead = method === "GET" || method === "HEAD"
    switch (resource.kind) {
      case "root":
        return Result.fail(Condition.method(method))
      case "namespace":
        return isRead ? this.namespace(asked) : Result.fail(Condition.method(method))
      case "queues":
      case "topics":
        return isRead ? this.entities(asked, resource) : Result.fail(Condition.method(method))
      case "subscriptions":
        return isRead ? this.subscriptions(asked, resource) : Result.fail(Condition.method(method))
      case "rules":
        return isRead ? this.rules(asked, resource) : Result.fail(Condition.method(method))
      case "entity":
      case "subscription":
        if (isRead) return this.get(asked, resource)
        if (method === "PUT") {
          return asked.ifMatch !== undefined
            ? this.update(asked, resource)
            : this.create(asked, resource)
        }
        return method === "DELETE" ? this.delete(resource) : Result.fail(Condition.method(method))
      case "rule":
        if (isRead) return this.getRule(asked, resource)
        if (method === "PUT") return this.putRule(asked, resource)
        return method === "DELETE" ? this.deleteRule(resource) : Result.fail(Condition.method(method))
    }
  }

  // Queues, topics and subscriptions.

  private get(asked: Asked, resource: Of<"entity" | "subscription">): Outcome {
    const declaration = this.find(resource)
    if (declaration !== undefined) return Result.succeed(this.entry(asked, declaration, 200))
    return resource.kind === "subscription" && this.topicOf(resource.topic) !== undefined
      ? Result.fail(Condition.notFoundWithin(this.within(resource)))
      : Result.succeed(Envelope.nothing(this.now()))
  }

  private create(asked: Asked, resource: Of<"entity" | "subscription">): Outcome {
    const { description } = asked
    const kind = resource.kind === "subscription"
      ? "subscription"
      : Description.isOf(Description.topic, description)
      ? "topic"
      : "queue"
    if (this.find(resource) !== undefined) return Result.fail(this.conflict(resource))
    const misnamed = resource.kind === "subscription"
      ? !isName(resource.subscription, 50) || resource.subscription.includes("/")
      : !isName(resource.name, 260)
    if (misnamed) {
      return Result.fail(Condition.name(Envelope.selfOf(asked).slice(0, 512)))
    }
    if (resource.kind === "subscription" && this.topicOf(resource.topic) === undefined) {
      return Result.fail(Condition.topicNotFound("SubscriptionDescription"))
    }
    return Result.flatMap(readDescription(kind, description), (given) => {
      const rules = kind === "subscription" ? rulesOf(given) : Result.succeed({})
      if (Result.isFailure(rules)) return Result.fail(rules.failure)
      return Result.flatMap(EntityDescription.read(kind, given, undefined), ({ kept, options }) => {
        const entity = resource.kind === "subscription"
          ? {
            kind: "subscription" as const,
            topic: resource.topic,
            name: resource.subscription,
            options: { ...options, ...rules.success } as Broker.SubscriptionOptions
          }
          : { kind: kind as "queue" | "topic", name: resource.name, options: options as Broker.TopicOptions }
        const created = this.options.broker.create(entity)
        if (Result.isFailure(created)) return Result.fail(this.obstacle(created.failure, resource))
        this.keep(resource, kept)
        return Result.succeed(this.entry(asked, this.find(resource)!, 201))
      })
    })
  }

  private update(asked: Asked, resource: Of<"entity" | "subscription">): Outcome {
    const declaration = this.find(resource)
    if (declaration === undefined) {
      // The service looks at the values of a subscription first.
      const read = resource.kind === "subscription" ? this.readMissing(asked) : undefined
      return Result.fail(read ?? this.updateOfMissing(resource))
    }
    const { kind } = declaration
    const changed = this.precondition(asked, declaration)
    if (changed !== undefined) return Result.fail(changed)
    return Result.flatMap(readDescription(kind, asked.description), (given) => {
      const before = { declaration, kept: this.keptOf(declaration.path) }
      return Result.flatMap(EntityDescription.read(kind, given, before), ({ kept, options }) => {
        const updated = this.options.broker.update(declaration.path, options)
        if (Result.isFailure(updated)) return Result.fail(this.obstacle(updated.failure, resource))
        this.keep(resource, kept)
        return Result.succeed(this.entry(asked, this.find(resource)!, 200))
      })
    })
  }

  /** What is wrong with the description of a subscription that is not there. */
  private readMissing({ description }: Asked): Condition.HttpCondition | undefined {
    const read = Result.flatMap(
      readDescription("subscription", description),
      (given) => EntityDescription.read("subscription", given, undefined)
    )
    return Result.isFailure(read) ? read.failure : undefined
  }

  private delete(resource: Of<"entity" | "subscription">): Outcome {
    const declaration = this.find(resource)
    if (declaration === undefined) {
      return Result.fail(
        resource.kind === "subscription"
          ? Condition.notFoundWithin(this.within(resource))
          : Condition.deletionOfMissing
      )
    }
    const etag = this.etagOf(declaration)
    const deleted = this.options.broker.delete(declaration.path)
    return Result.isFailure(deleted)
      ? Result.fail(this.obstacle(deleted.failure, resource))
      : Result.succeed(Envelope.empty(etag))
  }

  private entities(asked: Asked, { kind }: Of<"queues" | "topics">): Outcome {
    const listed = kind === "queues" ? "queue" : "topic"
    return Envelope.page(asked, kind === "queues" ? "Queues" : "Topics", this.listed(listed), (declaration) => ({
      ...this.entryOf(asked, declaration, false),
      id: Envelope.addressOf(asked, declaration.path),
      self: `../${relative(asked, declaration.path)}`
    }))
  }

  private subscriptions(asked: Asked, { path, topic }: Of<"subscriptions">): Outcome {
    const declaration = this.topicOf(topic)
    if (declaration === undefined) return Result.fail(Condition.deletionOfMissing)
    const below = path.slice(path.lastIndexOf("/") + 1)
    return Envelope.page(
      asked,
      "Subscriptions",
      this.listed("subscription", declaration.path),
      (subscription) => ({
        ...this.entryOf(asked, subscription, false),
        id: Envelope.addressOf(asked, `${path}/${subscription.name}`),
        self: relative(asked, `${below}/${subscription.name}`)
      }),
      this.etagOf(declaration)
    )
  }

  private find(resource: Of<"entity" | "subscription">): Broker.Declaration | undefined {
    const isWithin = resource.kind === "subscription"
    const path = isWithin ? `${resource.topic}/Subscriptions/${resource.subscription}` : resource.name
    const declaration = this.options.broker.declaration(path)
    // The broker does not mind spaces around a path.
    return declaration?.path.toLowerCase() === path.toLowerCase() && (declaration.kind === "subscription") === isWithin
      ? declaration
      : undefined
  }

  private topicOf(name: string): Broker.Declaration | undefined {
    const declaration = this.options.broker.declaration(name)
    return declaration?.kind === "topic" ? declaration : undefined
  }

  /** The entities of a kind, by name. */
  private listed(kind: Broker.Declaration["kind"], topic?: string): ReadonlyArray<Broker.Declaration> {
    return this.options.broker.declarations()
      .filter((declaration) => declaration.kind === kind && (topic === undefined || declaration.topic === topic))
      .toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  }

  private keptOf(path: string): EntityDescription.Kept {
    const queue = this.options.broker.queue(path)
    return (queue === undefined ? undefined : this.kept.get(queue)) ?? EntityDescription.keptNothing
  }

  /** Keeps what the broker does not have; policies that come without keys keep theirs, or get new ones. */
  private keep(resource: Resource.Resource, kept: EntityDescription.Kept): void {
    const queue = this.options.broker.queue(resource.path)
    if (queue === undefined) return
    const before = this.kept.get(queue)?.AuthorizationRules ?? []
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
    this.kept.set(queue, { ...kept, AuthorizationRules: rules })
  }

  private conflict(resource: Resource.Resource): Condition.HttpCondition {
    return resource.kind === "entity" ? Condition.conflict : Condition.conflictWithin(this.within(resource))
  }

  private updateOfMissing(resource: Resource.Resource): Condition.HttpCondition {
    return resource.kind === "entity" ? Condition.updateOfMissing : Condition.notFoundWithin(this.within(resource))
  }

  /** How the service names what is within a topic. */
  private within(resource: Resource.Resource): string {
    const names = "topic" in resource ? [resource.topic] : []
    if ("subscription" in resource) names.push(resource.subscription)
    if ("rule" in resource) names.push(resource.rule)
    return `${this.namespaceName}:Topic:${names.join("|")}`
  }

  private get namespaceName(): string {
    return namespaceOf(this.options.host)
  }

  private obstacle({ problem, reason }: EmulatorError, resource: Resource.Resource): Condition.HttpCondition {
    switch (reason) {
      case "alreadyExists":
        return this.conflict(resource)
      case "notFound":
        return this.updateOfMissing(resource)
      case "quotaExceeded":
        return Condition.quota(`${problem}.`)
      default:
        return Condition.invalid(`${problem}.`)
    }
  }

  /** The answer to a refusal has the etag too, where there is something that has one. */
  private withEtag(answer: HttpAnswer, resource: Resource.Resource): HttpAnswer {
    const name = "topic" in resource ? resource.topic : resource.path
    const topmost = this.options.broker.declaration(name)
    return topmost === undefined
      ? answer
      : { ...answer, headers: { ...answer.headers, etag: this.etagOf(topmost) } }
  }

  /** Why an update is refused for its etag; undefined where it is not. */
  private precondition(asked: Asked, declaration: Broker.Declaration): Condition.HttpCondition | undefined {
    const given = (asked.ifMatch ?? "*").trim().replace(/^(W\/)?"(.*)"$/, "$2")
    return given === "*" || given === this.etagOf(declaration) ? undefined : Condition.precondition
  }

  // Rules.

  private rules(asked: Asked, resource: Of<"rules">): Outcome {
    const found = this.rulesOf(resource)
    if (found === undefined) return Result.fail(Condition.notFoundWithin(this.within(resource)))
    const below = resource.path.slice(resource.path.lastIndexOf("/") + 1)
    return Envelope.page(
      asked,
      "Rules",
      found.rules.list(),
      (rule) => ({
        ...this.ruleEntryOf(asked, rule),
        id: Envelope.addressOf(asked, `${resource.path}/${rule.name}`),
        self: relative(asked, `${below}/${rule.name}`)
      }),
      this.etagOf(found.declaration)
    )
  }

  private getRule(asked: Asked, resource: Of<"rule">): Outcome {
    const found = this.rulesOf(resource)
    const rule = found === undefined ? undefined : found.rules.find(resource.rule)
    return found === undefined || rule === undefined
      ? this.topicOf(resource.topic) === undefined
        ? Result.succeed(Envelope.nothing(this.now()))
        : Result.fail(Condition.notFoundWithin(this.within(resource)))
      : Result.succeed(this.ruleAnswer(asked, found.declaration, rule, 200))
  }

  private putRule(asked: Asked, resource: Of<"rule">): Outcome {
    const { description, ifMatch } = asked
    const isUpdate = ifMatch !== undefined
    const found = this.rulesOf(resource)
    if (found === undefined) return Result.fail(Condition.notFoundWithin(this.within(resource)))
    const { declaration, rules } = found
    const before = rules.find(resource.rule)
    if (isUpdate && before === undefined) return Result.fail(Condition.notFoundWithin(this.within(resource)))
    if (!isUpdate && before !== undefined) return Result.fail(Condition.conflictWithin(this.within(resource)))
    const changed = isUpdate ? this.precondition(asked, declaration) : undefined
    if (changed !== undefined) return Result.fail(changed)
    if (description === undefined || !Description.isOf(Description.rule, description)) {
      return Result.fail(Condition.invalid("The request body is no RuleDescription."))
    }
    const read = Description.read(Description.rule, description)
    if (Result.isFailure(read)) return Result.fail(Condition.invalid(`${read.failure.message}.`))
    // The name in the address holds.
    return Result.flatMap(ruleOf({ ...read.success, Name: before?.name ?? resource.rule }), (rule) => {
      const put = before === undefined ? rules.add(rule) : rules.replace(rule)
      if (Result.isSuccess(put)) {
        return Result.succeed(this.ruleAnswer(asked, declaration, rules.find(rule.name)!, isUpdate ? 200 : 201))
      }
      const { _tag, detail } = put.failure
      const text = detail ?? `The rule cannot be changed (${_tag}).`
      return Result.fail(
        _tag === "QuotaExceeded"
          ? Condition.quota(text)
          : _tag === "Disabled"
          ? Condition.forbidden(`The messaging entity '${declaration.path}' is disabled.`)
          : Condition.invalid(text)
      )
    })
  }

  private deleteRule(resource: Of<"rule">): Outcome {
    const found = this.rulesOf(resource)
    const rule = found === undefined ? undefined : found.rules.find(resource.rule)
    if (found === undefined || rule === undefined) return Result.fail(Condition.notFoundWithin(this.within(resource)))
    const removed = found.rules.remove(rule.name)
    return Result.isSuccess(removed)
      ? Result.succeed(Envelope.empty(this.etagOf(found.declaration)))
      : Result.fail(Condition.forbidden(`The messaging entity '${found.declaration.path}' is disabled.`))
  }

  private rulesOf(
    { subscription, topic }: Of<"rule" | "rules">
  ): { readonly declaration: Broker.Declaration; readonly rules: Broker.Rules } | undefined {
    const { broker } = this.options
    const declaration = this.topicOf(topic)
    const rules = broker.queue(`${topic}/Subscriptions/${subscription}`)?.rules
    return declaration === undefined || rules === undefined ? undefined : { declaration, rules }
  }

  private ruleEntryOf(asked: Asked, rule: ServiceBusRule.Rule): AtomXml.Entry {
    const createdAt = rule.createdAt ?? DateTime.makeUnsafe(this.startedAt)
    const isRead = asked.method !== "PUT"
    const time = isRead ? createdAt : DateTime.makeUnsafe(this.now())
    const id = Envelope.selfOf(asked, isRead)
    return {
      id,
      title: rule.name,
      published: Envelope.secondsOf(time),
      updated: Envelope.secondsOf(time),
      self: id,
      content: Description.write(Description.rule, {
        Filter: rule.filter,
        Action: rule.action ?? RuleDescription.emptyAction,
        CreatedAt: createdAt,
        Name: rule.name
      }, "answer")
    }
  }

  private ruleAnswer(
    asked: Asked,
    topic: Broker.Declaration,
    rule: ServiceBusRule.Rule,
    status: 200 | 201
  ): HttpAnswer {
    return Envelope.entry(this.ruleEntryOf(asked, rule), status, this.etagOf(topic))
  }

  // The namespace.

  private namespace(asked: Asked): Outcome {
    const time = DateTime.makeUnsafe(this.startedAt)
    const self = Envelope.selfOf(asked)
    const name = this.namespaceName
    return Result.succeed(Envelope.entry(
      {
        id: self,
        title: name,
        updated: Envelope.secondsOf(time),
        author: name,
        self,
        content: Description.write(Description.namespaceInfo, {
          CreatedTime: time,
          MessagingSKU: "Standard",
          ModifiedTime: time,
          Name: name,
          NamespaceType: "Messaging"
        }, "answer")
      },
      200,
      undefined
    ))
  }

  // Envelopes.

  /** The entity of the topmost level that one belongs to: its etag is that of all that is within. */
  private etagOf(declaration: Broker.Declaration): string {
    const topmost = declaration.topic === undefined
      ? declaration
      : this.options.broker.declaration(declaration.topic) ?? declaration
    return String((BigInt(topmost.updatedAt) - yearOne) * 10_000n)
  }

  private entry(asked: Asked, declaration: Broker.Declaration, status: 200 | 201): HttpAnswer {
    const isCreation = status === 201
    const hasEtag = !isCreation || declaration.kind === "subscription"
    return Envelope.entry(
      this.entryOf(asked, declaration, isCreation),
      status,
      hasEtag ? this.etagOf(declaration) : undefined
    )
  }

  private entryOf(asked: Asked, declaration: Broker.Declaration, isCreation: boolean): AtomXml.Entry {
    const { createdAt, kind, name, updatedAt } = declaration
    const isWithin = kind === "subscription"
    const self = Envelope.selfOf(asked, isWithin && asked.method !== "PUT")
    const description = EntityDescription.describe({
      declaration,
      kept: this.keptOf(declaration.path),
      runtime: this.options.broker.runtime(declaration.path)!,
      host: Authorization.hostOf(asked.authority),
      apiVersion: asked.apiVersion,
      isCreation,
      isChange: asked.method === "PUT"
    })
    return {
      id: self,
      title: isWithin ? name : declaration.path,
      published: asked.ifMatch !== undefined && !isWithin ? undefined : Envelope.secondsOf(createdAt),
      updated: Envelope.secondsOf(updatedAt),
      author: isWithin ? undefined : this.namespaceName,
      self,
      content: Description.write(kinds[kind] as typeof Description.queue, description, "answer")
    }
  }
}

/** Whether a request asks if the broker is there, as Microsoft's emulator is asked. */
const isHealth = ({ method, target }: HttpRequest): boolean =>
  (method === "GET" || method === "HEAD") && /^\/health\/?$/i.test(target)

const health: HttpAnswer = {
  status: 200,
  headers: { "content-type": "application/json; charset=utf-8" },
  body: JSON.stringify({ status: "healthy", message: "Service is healthy." })
}

/** What is said to every request before all that the broker starts with is there: the words of Microsoft's emulator. */
export const unhealthy: HttpAnswer = {
  status: 503,
  headers: { "content-type": "application/json; charset=utf-8", "retry-after": "1" },
  body: JSON.stringify({
    status: "unhealthy",
    message: "Service not available. Please try after some time."
  })
}

const tokenProblems: Record<Authorization.TokenProblem, string> = {
  MalformedToken: "The token is malformed.",
  InvalidSignature: "The token has an invalid signature.",
  ExpiredToken: "The token is expired.",
  InvalidAudience: "The token is for another resource."
}

/** The beginning of .NET's time, in milliseconds of Unix time. */
const yearOne = BigInt(Date.parse("0001-01-01T00:00:00Z"))

/** The name of a namespace; a broker that has no such name is called as Microsoft's emulator is. */
const namespaceOf = (host: string): string =>
  /^[a-z][a-z0-9-]*\.servicebus\./i.exec(host) === null ? "sbemulatorns" : host.slice(0, host.indexOf("."))

/** A path as it stands in an entry of a list. */
const relative = ({ apiVersion }: Asked, path: string): string =>
  `${Envelope.encoded(path)}?api-version=${encodeURIComponent(apiVersion)}`

/** The path of the entity that a request is about; a rule is of its subscription. */
const entityOf = (resource: Resource.Resource): string =>
  resource.kind === "rule" || resource.kind === "rules"
    ? `${resource.topic}/Subscriptions/${resource.subscription}`
    : resource.kind === "subscriptions"
    ? resource.topic
    : resource.path

const isRight = (right: string): right is Authorization.Right =>
  right === "Manage" || right === "Send" || right === "Listen"

const newKey = () => Redacted.make(randomBytes(32).toString("base64"), { label: "access key" })

/** Whether a name is one: segments of letters, digits, periods, hyphens and underscores, with slashes between them. */
const isName = (name: string, longest: number): boolean =>
  name.length <= longest && /^[\p{L}\p{N}._-]+(\/[\p{L}\p{N}._-]+)*$/u.test(name)

const readDescription = (
  kind: keyof typeof kinds,
  description: AtomXml.Element | undefined
): Result.Result<Description.Queue & Description.Topic & Description.Subscription, Condition.HttpCondition> => {
  const { name } = kinds[kind]
  if (description === undefined || !Description.isOf(kinds[kind] as typeof Description.queue, description)) {
    return Result.fail(Condition.invalid(`The request body is no ${name}.`))
  }
  return Result.mapError(
    Description.read(kinds[kind] as typeof Description.queue, description),
    ({ message }) => Condition.invalid(`${message}.`)
  )
}

/** The rules that a new subscription starts with. */
const rulesOf = (
  { DefaultRuleDescription }: Description.Subscription
): Result.Result<Pick<Broker.SubscriptionOptions, "rules">, Condition.HttpCondition> =>
  DefaultRuleDescription === undefined
    ? Result.succeed({})
    : Result.map(
      ruleOf({ ...DefaultRuleDescription, Name: DefaultRuleDescription.Name ?? ServiceBusRule.defaultName }),
      (rule) => ({ rules: [rule] })
    )

/** A rule of a description with a name. */
const ruleOf = (
  { Action, Filter = ServiceBusRule.true, Name = "" }: Description.Rule
): Result.Result<ServiceBusRule.Rule, Condition.HttpCondition> => {
  if (Filter._tag === "UnknownFilter") return Result.fail(Condition.invalid("The type of the filter is not known."))
  if (Action?._tag === "UnknownAction") return Result.fail(Condition.invalid("The type of the action is not known."))
  const rule = ServiceBusRule.make(Name, Filter, Action?._tag === "SqlAction" ? Action : undefined)
  const problem = ServiceBusRule.nameProblemOf(Name)
  return problem === undefined
    ? Result.succeed(rule)
    : Result.fail(Condition.invalid(`The specified name ("${Name.slice(0, 64)}") is not valid.`))
}
