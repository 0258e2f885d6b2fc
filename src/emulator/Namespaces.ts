/**
 * The namespaces of a broker: which one a peer means, and how they come and go. The one that the broker starts with is there
 * for as long as the broker is; others are made by a program, or by use where the broker takes any, and removed by a program or,
 * those that came by use, when nothing has used them for some time.
 *
 * A host of Azure's form or within `localhost` names a namespace by its first label; where the host says nothing the name of the
 * key does. One comes by use only for what the key of the broker has signed: a wrong key makes nothing.
 *
 * They are made and removed in one step, so that a name that a thousand peers use at once is one namespace. Each has a scope of
 * its own within that of the broker; those that wait for being idle are deadlines in the timer of the server.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { hostname } from "node:os"
import { EmulatorError } from "../ServiceBusError.ts"
import type { NamespaceRefusal, ServedNamespace, ServedNamespaces } from "./amqp/ServedConnection.ts"
import { type Timeout, timeout } from "./amqp/Timeout.ts"
import type { DeadlineTimer } from "./broker/DeadlineTimer.ts"
import type { Entity } from "./broker/DeclaredEntity.ts"
import * as HttpCondition from "./http/HttpCondition.ts"
import type { HttpAnswer, HttpRequest } from "./http/HttpMessage.ts"
import * as Namespace from "./Namespace.ts"
import * as Authorization from "./security/Authorization.ts"
import type { IdentityProvider } from "./security/IdentityProvider.ts"
import * as NamespaceRow from "./store/NamespaceRow.ts"
import type { NamespaceStore, SqliteStore, StoredNamespace } from "./store/SqliteStore.ts"

/** What a namespace has in the beginning. */
export interface Content {
  readonly entities: ReadonlyArray<Entity>
  readonly key: Redacted.Redacted<string>
  readonly policies: ReadonlyArray<Authorization.Policy>
}

/** How the namespaces of a broker are made. */
export interface Options {
  /** That which the broker starts with; the others have the same where nothing else is said. */
  readonly content: Content
  /** The name by which the broker speaks of itself. */
  readonly host: string
  /** Issues and checks the tokens of identities, for all of them. */
  readonly identities: IdentityProvider
  /** Whether a namespace comes by use. */
  readonly isAny: boolean
  /** How long one that came by use may go without it, in milliseconds. */
  readonly idle: number
  /** How many there are at a time beside the first one. */
  readonly most: number
  /** The clock of a new one. */
  readonly clockOf: () => Clock.Clock
  readonly serverClock: Clock.Clock
  readonly deadlines: DeadlineTimer<Timeout>
  /** Keeps what they hold, and has what they held before; nothing does where it is left out. */
  readonly store?: SqliteStore | undefined
  /** What that has, the first one first. */
  readonly stored?: ReadonlyArray<StoredNamespace> | undefined
}

/** The limits where nothing else is said; the time is in milliseconds. */
export const limits = { idle: 600_000, most: 10_000 }

interface Kept {
  readonly namespace: Namespace.Namespace
  readonly scope: Scope.Closeable
  readonly store: NamespaceStore | undefined
  /** Undefined where it stays until it is removed. */
  readonly idle: Timeout | undefined
}

/** Why a text is no name of a namespace; undefined where it is one. */
const nameProblem = (name: unknown): string | undefined => {
  if (typeof name !== "string" || !/^[a-z0-9._-]{1,50}$/i.test(name)) {
    const given = typeof name === "string" ? `"${name.length > 60 ? `${name.slice(0, 60)}…` : name}"` : typeof name
    return `the name of a namespace has 1 to 50 letters, digits, periods, underscores and hyphens, not ${given}`
  }
  return name.toLowerCase() === Namespace.rootPolicy.toLowerCase()
    ? `"${name}" is the name of every namespace's root policy; give the namespace another name`
    : undefined
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`

/** The namespaces of a broker. */
export class Namespaces implements ServedNamespaces {
  readonly first: Namespace.Namespace
  private readonly options: Options
  /** Runs what is made in the context of the broker, and its scope. */
  private readonly context: Context.Context<Scope.Scope>
  private readonly scope: Scope.Scope
  /** By their names in lower case, in the order in which they came. */
  private readonly kept = new Map<string, Kept>()

  constructor(options: Options, first: Namespace.Namespace, scope: Scope.Scope, context: Context.Context<Scope.Scope>) {
    this.options = options
    this.first = first
    this.scope = scope
    this.context = context
  }

  get isAlone(): boolean {
    return this.kept.size === 0 && !this.options.isAny
  }

  /** All of them, the first one first. */
  list(): ReadonlyArray<Namespace.Namespace> {
    return [this.first, ...Array.from(this.kept.values(), ({ namespace }) => namespace)]
  }

  get(name: string): Namespace.Namespace | undefined {
    const key = name.toLowerCase()
    return key === Namespace.firstName ? this.first : this.kept.get(key)?.namespace
  }

  /** Whether it came by use, and goes when it is not used any more. */
  isByUse(namespace: Namespace.Namespace): boolean {
    return this.kept.get(namespace.name.toLowerCase())?.idle !== undefined
  }

  /** The name of the namespace that a host means, in lower case; undefined where it says where the broker is, and no more. */
  nameIn(host: string): string | undefined {
    const label = Authorization.namespaceIn(host)
    if (label === undefined || host === Authorization.hostOf(this.options.host) || host === hostname().toLowerCase()) {
      return undefined
    }
    return this.options.isAny || this.get(label) !== undefined ? label : undefined
  }

  find(
    host: string | undefined,
    credential: Authorization.Credential,
    current?: ServedNamespace
  ): Result.Result<Namespace.Namespace, NamespaceRefusal> {
    const name = (host === undefined ? undefined : this.nameIn(Authorization.hostOf(host))) ??
      credential.namespace ?? this.nameOf(credential, current)
    const namespace = this.get(name)
    if (namespace === undefined) return this.makeByUse(name, credential)
    return namespace.isUp
      ? Result.succeed(namespace)
      : Result.fail({ _tag: "Stopped", text: `The namespace "${namespace.name}" is stopped.` })
  }

  /** The namespace that the name of a key means. */
  private nameOf({ keyName, token }: Authorization.Credential, current: ServedNamespace | undefined): string {
    const { first } = this
    if (keyName === undefined || keyName === Namespace.rootPolicy || this.isAlone) return first.name
    // Keys of entities are made by users, whatever they call them.
    const isOf = (namespace: ServedNamespace) =>
      token !== undefined && namespace.entityPolicies(token).some(({ name }) => name === keyName)
    if (current !== undefined && isOf(current)) return current.name
    if (first.policies.some(({ name }) => name === keyName)) return first.name
    if (this.get(keyName) !== undefined) return keyName
    return this.options.isAny && !isOf(first) ? keyName : first.name
  }

  private makeByUse(
    name: string,
    credential: Authorization.Credential
  ): Result.Result<Namespace.Namespace, NamespaceRefusal> {
    if (!this.options.isAny) return Result.fail({ _tag: "Token", problem: "InvalidSignature" })
    const problem = nameProblem(name)
    if (problem !== undefined) return Result.fail({ _tag: "Name", text: sentence(problem) })
    const refusal = this.refusalOf(name, credential)
    if (refusal !== undefined) return Result.fail(refusal)
    const full = this.quotaProblem
    if (full !== undefined) return Result.fail({ _tag: "Quota", text: sentence(full) })
    const createdAt = this.options.clockOf().currentTimeMillisUnsafe()
    const row = { name, isByUse: true, createdAt, key: undefined, policies: undefined, entities: undefined }
    const made = this.addByUse(name, this.options.store?.addNamespace(NamespaceRow.write(row)), createdAt)
    // What the broker has started with was taken once.
    if (Result.isFailure(made)) throw made.failure
    return Result.succeed(made.success)
  }

  /** One that goes when it is not used any more. */
  private addByUse(
    name: string,
    store: NamespaceStore | undefined,
    createdAt: number | undefined
  ): Result.Result<Namespace.Namespace, EmulatorError> {
    const { content, deadlines, idle, serverClock } = this.options
    const end = timeout(() => {
      const until = namespace.lastUse + idle
      const now = serverClock.currentTimeMillisUnsafe()
      // One that is stopped keeps what it has until it is started: nothing can use it meanwhile.
      if (namespace.connections.size > 0 || !namespace.isUp) deadlines.set(end, now + idle)
      else if (until > now) deadlines.set(end, until)
      else this.remove(name)
    })
    const made = this.make(name, content, end, store, createdAt)
    if (Result.isFailure(made)) return made
    const namespace = made.success
    if (idle < Infinity) deadlines.set(end, namespace.lastUse + idle)
    return Result.succeed(namespace)
  }

  /** Why a credential is not good for a namespace that is not there yet; undefined where it is. */
  private refusalOf(name: string, credential: Authorization.Credential): NamespaceRefusal | undefined {
    const { content, identities, serverClock } = this.options
    if (credential.jwt === undefined) {
      const proven = credential.provenBy(Namespace.policiesOf(name, content.key, content.policies))
      return Result.isFailure(proven) ? { _tag: "Token", problem: proven.failure } : undefined
    }
    const checked = identities.check(credential.jwt, { namespace: name }, {
      resource: "",
      now: serverClock.currentTimeMillisUnsafe(),
      isOurs: (host) => Authorization.namespaceIn(host) === name.toLowerCase()
    })
    if (Result.isFailure(checked)) return { _tag: "Token", problem: checked.failure }
    return checked.success.grants.length === 0
      ? { _tag: "Name", text: `The identity has no role in a namespace "${name}", and so does not make it.` }
      : undefined
  }

  /** Why there may be no further one; undefined where there may. */
  private get quotaProblem(): string | undefined {
    return this.kept.size >= this.options.most
      ? `it has the ${this.options.most} namespaces that it takes at a time; remove one, or raise maxNamespaces`
      : this.options.store?.namespaceRefusal
  }

  /** Makes one that stays until it is removed. */
  create(name: string, content: Partial<Content>): Result.Result<Namespace.Namespace, EmulatorError> {
    const fail = (problem: string, reason: EmulatorError["reason"]) =>
      Result.fail(new EmulatorError({ problem, ...(reason === undefined ? {} : { reason }) }))
    const problem = nameProblem(name)
    if (problem !== undefined) return fail(problem, "invalid")
    if (this.get(name) !== undefined) return fail(`it has the namespace "${name}" already`, "alreadyExists")
    if (this.first.policies.some((policy) => policy.name.toLowerCase() === name.toLowerCase())) {
      return fail(`"${name}" is the name of a policy, by which clients mean the default namespace`, "invalid")
    }
    const full = this.quotaProblem
    if (full !== undefined) return fail(full, "quotaExceeded")
    const { entities, key, policies } = { ...this.options.content, ...content }
    const createdAt = this.options.clockOf().currentTimeMillisUnsafe()
    const store = this.options.store?.addNamespace(
      NamespaceRow.write({
        name,
        isByUse: false,
        createdAt,
        key: content.key,
        policies: content.policies,
        entities: content.entities
      })
    )
    const made = this.make(name, { entities, key, policies }, undefined, store, createdAt)
    if (Result.isFailure(made)) store?.remove()
    return made
  }

  /** One that a store has. */
  restore({ content, store }: StoredNamespace): Result.Result<Namespace.Namespace, EmulatorError> {
    const { content: own } = this.options
    const row = NamespaceRow.read(content)
    const { createdAt, entities = own.entities, isByUse, key = own.key, name, policies = own.policies } = row
    return isByUse
      ? this.addByUse(name, store, createdAt)
      : this.make(name, { entities, key, policies }, undefined, store, createdAt)
  }

  private make(
    name: string,
    content: Content,
    idle: Timeout | undefined,
    store: NamespaceStore | undefined,
    createdAt: number | undefined
  ): Result.Result<Namespace.Namespace, EmulatorError> {
    const { clockOf, identities, serverClock } = this.options
    const scope = Scope.forkUnsafe(this.scope)
    const making = Effect.result(Namespace.make({
      ...content,
      name,
      host: `${name}.localhost`,
      identities,
      clock: clockOf(),
      serverClock,
      createdAt,
      store,
      nameIn: (host) => this.nameIn(host)
    })).pipe(Scope.provide(scope))
    // It waits for nothing, and is not to yield: so it is over when the call returns, on the scheduler of the broker.
    const made = Effect.runForkWith(Context.add(this.context, Scheduler.PreventSchedulerYield, true))(making)
      .pollUnsafe()!
    if (Exit.isSuccess(made) && Result.isSuccess(made.value)) {
      this.kept.set(name.toLowerCase(), { namespace: made.value.success, scope, store, idle })
      return made.value
    }
    this.closeScope(scope)
    // Only what a program gives can be a defect; whoever called tells it.
    if (Exit.isFailure(made)) throw Cause.squash(made.cause)
    return made.value
  }

  /** Removes one: its links are detached, its connections closed, and what it held is gone. */
  remove(name: string): Result.Result<void, EmulatorError> {
    const key = name.toLowerCase()
    const kept = this.kept.get(key)
    if (kept === undefined) {
      return Result.fail(
        key === Namespace.firstName
          ? new EmulatorError({ reason: "invalid", problem: "the default namespace is there as long as the broker is" })
          : new EmulatorError({ reason: "notFound", problem: `it has no namespace "${name}"` })
      )
    }
    this.kept.delete(key)
    if (kept.idle !== undefined) this.options.deadlines.clear(kept.idle)
    kept.namespace.close()
    this.closeScope(kept.scope)
    kept.store?.remove()
    return Result.void
  }

  private closeScope(scope: Scope.Closeable): void {
    Effect.runForkWith(this.context)(Scope.close(scope, Exit.void))
  }

  /** The namespace that a request means; one without a token is for the first one where its host names none. */
  of({ headers }: HttpRequest): Result.Result<Namespace.Namespace, NamespaceRefusal> {
    const { authorization, host } = headers
    if (authorization === undefined) {
      const named = host === undefined ? undefined : this.nameIn(Authorization.hostOf(host))
      return Result.succeed((named === undefined ? undefined : this.get(named)) ?? this.first)
    }
    const now = this.options.serverClock.currentTimeMillisUnsafe()
    return this.find(
      host,
      Authorization.basicOf(authorization) ?? Authorization.credentialOf(authorization.replace(/^Bearer +/i, ""), now)
    )
  }

  /** Answers a request for the namespace that it means, or refuses it: as administration does, if not otherwise. */
  answer(
    request: HttpRequest,
    answerFor: (namespace: Namespace.Namespace, request: HttpRequest) => Effect.Effect<HttpAnswer>,
    refuse: (request: HttpRequest, refusal: NamespaceRefusal) => HttpAnswer | undefined
  ): Effect.Effect<HttpAnswer> {
    return Effect.suspend(() => {
      const found = this.of(request)
      if (Result.isSuccess(found)) {
        found.success.touch()
        return answerFor(found.success, request)
      }
      const { host } = request.headers
      const tracker = `${Authorization.hostOf(host ?? this.options.host)}:`
      return Effect.succeed(
        refuse(request, found.failure) ??
          HttpCondition.answerOf(conditionOf(found.failure), tracker, this.first.clock.currentTimeMillisUnsafe())
      )
    })
  }
}

const conditionOf = (refusal: NamespaceRefusal): HttpCondition.HttpCondition => {
  switch (refusal._tag) {
    case "Token":
      return HttpCondition.token(HttpCondition.tokenProblems[refusal.problem])
    case "Name":
      return HttpCondition.token(refusal.text)
    case "Quota":
      return HttpCondition.quota(refusal.text)
    case "Stopped":
      return HttpCondition.injected({ condition: "com.microsoft:server-busy", description: refusal.text })
  }
}

/** Makes the namespaces of a broker, with the first one. They are gone when the scope closes. */
export const make: (options: Options) => Effect.Effect<Namespaces, EmulatorError, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const context = yield* Effect.context<Scope.Scope>()
    // What comes later is closed with the first one, after what the broker serves has ended.
    const scope = Scope.forkUnsafe(yield* Effect.scope)
    const [kept, ...others] = options.stored ?? []
    const first = yield* Namespace.make({
      ...options.content,
      name: Namespace.firstName,
      host: options.host,
      identities: options.identities,
      clock: options.clockOf(),
      serverClock: options.serverClock,
      createdAt: kept === undefined ? undefined : NamespaceRow.read(kept.content).createdAt,
      store: kept?.store,
      nameIn: (host) => namespaces.nameIn(host)
    })
    const namespaces: Namespaces = new Namespaces(options, first, scope, context)
    for (const other of others) yield* Effect.fromResult(namespaces.restore(other))
    return namespaces
  }
)
