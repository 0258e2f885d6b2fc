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
import * as Result from "effect/Result"
import * as AtomXml from "../../internal/administration/AtomXml.ts"
import * as Description from "../../internal/administration/Description.ts"
import type { Faults } from "../amqp/Faults.ts"
import type * as Broker from "../broker/Broker.ts"
import * as Authorization from "../security/Authorization.ts"
import type { Use } from "../security/IdentityProvider.ts"
import * as Envelope from "./Envelope.ts"
import * as FaultyRequest from "./FaultyRequest.ts"
import * as Condition from "./HttpCondition.ts"
import type { HttpAnswer, HttpRequest } from "./HttpMessage.ts"
import { ManagedEntities } from "./ManagedEntities.ts"
import { ManagedRules } from "./ManagedRules.ts"
import * as Resource from "./Resource.ts"

/** What it is made of. */
interface Options {
  readonly broker: Broker.Broker
  readonly clock: Clock.Clock
  /** That of the server: by it tokens expire. */
  readonly serverClock: Clock.Clock
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** Checks a token of an identity, and gives the claim. */
  readonly checkToken: (token: string, use: Use) => Result.Result<Authorization.Claim, Authorization.TokenProblem>
  /** The name by which the namespace speaks of itself. */
  readonly host: string
  /** That in its answers; by default the first label of a host of Azure, or the name that Microsoft's emulator has. */
  readonly name?: string | undefined
  /** Whether a host in a token means this namespace; `called` is the host that the peer asked. */
  readonly isOurs: (host: string, called: string) => boolean
  /** What a test asked for to go wrong. */
  readonly faults: Faults
}

const administering = ["administer"] as const

/** Answers requests. */
export class ManagementApi {
  private readonly options: Options
  private readonly entities: ManagedEntities
  private readonly rules: ManagedRules
  private readonly startedAt: DateTime.Utc

  constructor(options: Options) {
    this.options = options
    this.entities = new ManagedEntities(options.broker, options.clock, options.name ?? namespaceOf(options.host))
    this.rules = new ManagedRules(this.entities)
    this.startedAt = DateTime.makeUnsafe(this.entities.now())
  }

  /** Answers a request; it never fails. */
  answer(request: HttpRequest): Effect.Effect<HttpAnswer> {
    return Effect.suspend(() => isHealth(request) ? Effect.succeed(health) : this.answerOf(request))
  }

  /** The policies of the entities that a SAS token is for. */
  entityPolicies(token: string): ReadonlyArray<Authorization.Policy> {
    return this.entities.policies(token)
  }

  /** Forgets what entities were given that the broker does not have, such as their policies. */
  reset(): void {
    this.entities.reset()
  }

  private answerOf(request: HttpRequest): Effect.Effect<HttpAnswer> {
    const resource = Resource.parse(request.target)
    const authority = request.headers["host"] ?? this.options.host
    const now = this.entities.now()
    if (resource === undefined) {
      const called = Authorization.hostOf(authority)
      const condition = Condition.name(`${called}${request.target.slice(0, 512)}`)
      return Effect.succeed(Condition.answerOf(condition, `${called}:`, now))
    }
    // The service shows it to everybody.
    if (resource.kind === "root" && isRead(request)) return Effect.succeed(Envelope.nothing(now))
    const refuse = (condition: Condition.HttpCondition) => this.refuse(condition, resource, authority)
    const unauthorized = this.unauthorized(request, resource, authority)
    if (unauthorized !== undefined) return Effect.succeed(refuse(unauthorized))
    const asked: Envelope.Asked = {
      method: request.method,
      resource,
      scheme: request.isSecure ? "https" : "http",
      authority,
      apiVersion: Resource.parameterOf(resource, "api-version") ?? "2017-04",
      ifMatch: request.headers["if-match"],
      now
    }
    const answered = (outcome: Condition.Outcome) =>
      Result.getOrElse(outcome, (condition) => this.withEtag(refuse(condition), resource))
    const performed = request.method !== "PUT"
      ? Effect.sync(() => answered(this.perform(asked, undefined)))
      : Effect.match(AtomXml.parse(request.body), {
        onSuccess: (root) => {
          const envelope = AtomXml.envelopeOf(root)
          return answered(this.perform(asked, envelope?._tag === "Entry" ? envelope.content : undefined))
        },
        onFailure: ({ problem }) =>
          answered(Result.fail(Condition.invalid(`The request body cannot be read: ${problem}.`)))
      })
    const struck = this.options.faults.take(administering, resource.entity)
    return struck === undefined ? performed : FaultyRequest.perform(struck, performed, refuse)
  }

  /** Why a request is not allowed; undefined where it is. */
  private unauthorized(
    { headers, method }: HttpRequest,
    { path }: Resource.Resource,
    authority: string
  ): Condition.HttpCondition | undefined {
    const header = headers["authorization"]
    if (header === undefined) return Condition.token("There is no Authorization header.")
    const { checkToken, policies, serverClock } = this.options
    const now = serverClock.currentTimeMillisUnsafe()
    const called = Authorization.hostOf(authority)
    const isOurs = (name: string) => this.options.isOurs(name, called)
    const jwt = Authorization.jwtOf(header)
    const checked = jwt === undefined
      ? Authorization.check([...policies, ...this.entityPolicies(header)], header, path, now, isOurs)
      : checkToken(jwt, { resource: path, now, isOurs })
    if (Result.isFailure(checked)) return Condition.token(Condition.tokenProblems[checked.failure])
    if (Authorization.allows(checked.success, path, "Manage")) return undefined
    return Condition.unauthorized(
      method === "PUT" ? "EntityWrite" : method === "DELETE" ? "EntityDelete" : "EntityRead"
    )
  }

  /** Does what is asked for; a PUT brings a description. */
  private perform(asked: Envelope.Asked, description: AtomXml.Element | undefined): Condition.Outcome {
    const { ifMatch, method, resource } = asked
    const notAllowed = Result.fail(Condition.method(method))
    switch (resource.kind) {
      case "root":
        return notAllowed
      case "namespace":
        return isRead(asked) ? Result.succeed(this.namespace(asked)) : notAllowed
      case "queues":
      case "topics":
        return isRead(asked) ? this.entities.list(asked, resource) : notAllowed
      case "subscriptions":
        return isRead(asked) ? this.entities.listSubscriptions(asked, resource) : notAllowed
      case "rules":
        return isRead(asked) ? this.rules.list(asked, resource) : notAllowed
      case "entity":
      case "subscription":
        if (isRead(asked)) return this.entities.get(asked, resource)
        if (method === "DELETE") return this.entities.delete(resource)
        if (method !== "PUT") return notAllowed
        return ifMatch === undefined
          ? this.entities.create(asked, resource, description)
          : this.entities.update(asked, resource, description)
      case "rule":
        if (isRead(asked)) return this.rules.get(asked, resource)
        if (method === "DELETE") return this.rules.delete(resource)
        if (method !== "PUT") return notAllowed
        return ifMatch === undefined
          ? this.rules.create(asked, resource, description)
          : this.rules.update(asked, resource, description)
    }
  }

  private namespace(asked: Envelope.Asked): HttpAnswer {
    const { namespaceName: name } = this.entities
    const self = Envelope.selfOf(asked)
    return Envelope.entry(
      {
        id: self,
        title: name,
        updated: Envelope.secondsOf(this.startedAt),
        author: name,
        self,
        content: Description.write(Description.namespaceInfo, {
          CreatedTime: this.startedAt,
          MessagingSKU: "Standard",
          ModifiedTime: this.startedAt,
          Name: name,
          NamespaceType: "Messaging"
        }, "answer")
      },
      200,
      undefined
    )
  }

  /** A description of something within a topic is refused by the topic, which tells it in words of its own. */
  private refuse(condition: Condition.HttpCondition, resource: Resource.Resource, authority: string): HttpAnswer {
    const now = this.entities.now()
    return "topic" in resource && condition.status === 400
      ? Condition.answerOf(Condition.within(condition), `${this.entities.namespaceName}:Topic:${resource.topic}`, now)
      : Condition.answerOf(condition, `${Authorization.hostOf(authority)}:${resource.path}`, now)
  }

  /** The answer to a refusal has the etag too, where there is something that has one. */
  private withEtag(answer: HttpAnswer, resource: Resource.Resource): HttpAnswer {
    const topmost = this.options.broker.declaration("topic" in resource ? resource.topic : resource.entity)
    return topmost === undefined
      ? answer
      : { ...answer, headers: { ...answer.headers, etag: this.entities.etagOf(topmost) } }
  }
}

const isRead = ({ method }: { readonly method: string }): boolean => method === "GET" || method === "HEAD"

/** Whether a request asks if the broker is there, as Microsoft's emulator is asked. */
const isHealth = ({ method, target }: HttpRequest): boolean => isRead({ method }) && /^\/health\/?$/i.test(target)

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

/** What is said where what the broker holds cannot be written: nothing that it would answer is sure. */
export const notKeptText = "The broker's data cannot be written: make room on its disk, or see why in its log. " +
  "What was asked for, where it changes something, is kept once it can be."

/** The answer where nothing can be kept; `now` is in milliseconds. */
export const notKept = (request: HttpRequest, host: string, now: number): HttpAnswer =>
  isHealth(request)
    ? { ...unhealthy, status: 507, body: JSON.stringify({ status: "unhealthy", message: notKeptText }) }
    : Condition.answerOf(Condition.notKept(notKeptText), `${Authorization.hostOf(host)}:`, now)

/** The name of a namespace; a broker that has no such name is called as Microsoft's emulator is. */
const namespaceOf = (host: string): string =>
  /^[a-z][a-z0-9-]*\.servicebus\./i.exec(host) === null ? "sbemulatorns" : host.slice(0, host.indexOf("."))
