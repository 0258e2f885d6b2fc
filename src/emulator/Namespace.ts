/**
 * A namespace of the embedded broker: its entities and what they hold, its keys, its management API, the faults that were asked
 * for, its clock and the connections that are served for it. Namespaces share a server (sockets, admission, time-outs of the
 * wire) and nothing else.
 *
 * It is made in a scope of its own, and what it holds is gone with that scope; its connections are the server's.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { randomBytes, randomUUID } from "node:crypto"
import type * as ServiceBusCredential from "../ServiceBusCredential.ts"
import type { EmulatorError } from "../ServiceBusError.ts"
import { Conditions } from "./amqp/Conditions.ts"
import { Faults } from "./amqp/Faults.ts"
import { detachLinks } from "./amqp/LinkDetach.ts"
import type { ServedConnection, ServedNamespace } from "./amqp/ServedConnection.ts"
import { change, fits, isRuleValue, reschedule } from "./amqp/StoredPayload.ts"
import { read } from "./amqp/StoredProperties.ts"
import * as Broker from "./broker/Broker.ts"
import type { Store } from "./broker/Store.ts"
import { ManagementApi } from "./http/ManagementApi.ts"
import * as Authorization from "./security/Authorization.ts"
import { defaultLifetime } from "./security/Identity.ts"
import { type IdentityProvider, type Place, serviceBus, type Use } from "./security/IdentityProvider.ts"

/** The policy that every namespace has, with all rights. */
export const rootPolicy = "RootManageSharedAccessKey"

/** The name of the namespace that a broker starts with. */
export const firstName = "default"

const allRights = ["Manage", "Send", "Listen"] as const

/**
 * The policies of a namespace: the root's, and but for the first one the same under the namespace's own name, by which it is
 * told from others where no host tells.
 */
export const policiesOf = (
  name: string,
  key: Redacted.Redacted<string>,
  beside: ReadonlyArray<Authorization.Policy>
): ReadonlyArray<Authorization.Policy> => [
  { name: rootPolicy, key, rights: allRights },
  ...(name === firstName ? [] : [{ name, key, rights: allRights, isAnyCase: true }]),
  ...beside
]

/** A key for who gives none. */
export const randomKey = (label = "emulator key"): Redacted.Redacted<string> =>
  Redacted.make(randomBytes(32).toString("base64"), { label })

/** The tenant of its own identity. */
const tenant = "emulator"

/** How a namespace is made. */
export interface Options {
  readonly name: string
  /** The name by which it speaks of itself. */
  readonly host: string
  readonly entities: ReadonlyArray<Broker.Entity>
  /** The key of its root policy. */
  readonly key: Redacted.Redacted<string>
  /** Policies beside that one. */
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** The server's: issues and checks the tokens of identities. */
  readonly identities: IdentityProvider
  /** That of locks, schedules, times to live and timestamps. */
  readonly clock: Clock.Clock
  /** That of the server: by it tokens expire. */
  readonly serverClock: Clock.Clock
  /** The name of the namespace that a host means, in lower case; undefined where it means none. */
  readonly nameIn: (host: string) => string | undefined
  /** When it was made, in milliseconds of its clock; now where that is left out. */
  readonly createdAt?: number | undefined
  /** Keeps what it holds; nothing does where it is left out. */
  readonly store?: Store | undefined
}

/** A namespace. */
export class Namespace implements ServedNamespace {
  readonly name: string
  readonly host: string
  readonly broker: Broker.Broker
  readonly clock: Clock.Clock
  readonly key: Redacted.Redacted<string>
  readonly policies: ReadonlyArray<Authorization.Policy>
  private readonly identities: IdentityProvider
  private readonly own: Required<Place>
  readonly management: ManagementApi
  readonly faults = new Faults()
  readonly conditions: Conditions
  readonly connections = new Set<ServedConnection>()
  readonly createdAt: number
  /** An identity that it knows, with all rights. */
  readonly tokenCredential: ServiceBusCredential.TokenCredential
  isRemoved = false
  /** Whether it answers: one that is stopped keeps what it has. */
  isUp = true
  /** When a request was made or its last connection left, in milliseconds of the server's clock. */
  lastUse: number
  private readonly nameIn: Options["nameIn"]
  private readonly serverClock: Clock.Clock

  constructor(
    broker: Broker.Broker,
    { clock, createdAt, host, identities, key, name, nameIn, policies, serverClock }: Options
  ) {
    this.broker = broker
    this.name = name
    this.identities = identities
    // An identity with all rights, whose secret is known to none.
    const secret = randomKey("emulator secret")
    const role = { namespace: undefined, path: "", rights: allRights }
    this.own = {
      namespace: name,
      identity: { clientId: randomUUID(), secret, tenant: undefined, roles: [role], tokenLifetime: defaultLifetime }
    }
    this.nameIn = nameIn
    this.serverClock = serverClock
    this.createdAt = createdAt ?? clock.currentTimeMillisUnsafe()
    this.lastUse = serverClock.currentTimeMillisUnsafe()
    this.clock = clock
    this.host = host
    this.key = key
    this.policies = policiesOf(name, key, policies)
    this.conditions = new Conditions(host, () => clock.currentTimeMillisUnsafe())
    this.management = new ManagementApi({
      broker,
      clock,
      serverClock,
      policies: this.policies,
      checkToken: (token, use) => this.checkToken(token, use),
      host,
      faults: this.faults,
      name: this.isFirst ? undefined : name,
      isOurs: (host, called) => this.isOurs(host, called)
    })
    this.tokenCredential = {
      getToken: () => {
        const now = serverClock.currentTimeMillisUnsafe()
        const { expiresAt, token } = identities.issue(this.own.identity, serviceBus, tenant, now, "secret", name)
        return Promise.resolve({ token: Redacted.value(token), expiresOnTimestamp: expiresAt })
      }
    }
    broker.onDetach((detachment) => detachLinks(this, detachment))
  }

  entityPolicies(token: string): ReadonlyArray<Authorization.Policy> {
    return this.management.entityPolicies(token)
  }

  checkToken(token: string, use: Use): Result.Result<Authorization.Claim, Authorization.TokenProblem> {
    return this.identities.check(token, this.own, use)
  }

  /** Whether the broker has started with it. */
  get isFirst(): boolean {
    return this.name === firstName
  }

  isOurs(host: string, called: string | undefined): boolean {
    const named = this.nameIn(host)
    if (named !== undefined) return named === this.name.toLowerCase()
    return Authorization.isLoopback(host) || host === Authorization.hostOf(this.host) || host === called
  }

  join(connection: ServedConnection): void {
    this.connections.add(connection)
  }

  leave(connection: ServedConnection): void {
    if (this.connections.delete(connection)) this.touch()
  }

  /** It is used now. */
  touch(): void {
    this.lastUse = this.serverClock.currentTimeMillisUnsafe()
  }

  /** Ends what is served for it, and tells the peers why. */
  close(): void {
    this.isRemoved = true
    const error = this.conditions.removed(this.name)
    for (const connection of [...this.connections]) {
      for (const link of [...connection.links.keys()]) connection.detach(link, error)
      connection.close(error)
    }
  }

  /** Cuts its connections, and refuses new ones until it starts again. */
  stop(): void {
    this.isUp = false
    this.dropConnections()
  }

  start(): void {
    this.isUp = true
    this.touch()
  }

  /** Makes it what it was when it was made, but for its time and its connections; returns how many messages are gone. */
  reset(): number {
    this.faults.clear()
    this.management.reset()
    return this.broker.resetAll()
  }

  /** Destroys every connection that is served for it. */
  dropConnections(): void {
    for (const connection of [...this.connections]) connection.drop()
  }
}

/**
 * Makes a namespace, in one step. Fails with EmulatorError for what the broker does not take of its entities. When the scope
 * closes its timer ends, and what it held is not found any more.
 */
export const make: (options: Options) => Effect.Effect<Namespace, EmulatorError, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const broker = yield* Effect.provideService(
      Broker.make(options.entities, { fits, change, read, isRuleValue, reschedule }, options.store),
      Clock.Clock,
      options.clock
    )
    return new Namespace(broker, options)
  }
)
