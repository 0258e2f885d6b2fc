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
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import type * as ServiceBusCredential from "../ServiceBusCredential.ts"
import type { EmulatorError } from "../ServiceBusError.ts"
import { Conditions } from "./amqp/Conditions.ts"
import { Faults } from "./amqp/Faults.ts"
import { detachLinks } from "./amqp/LinkDetach.ts"
import type { ServedConnection, ServedNamespace } from "./amqp/ServedConnection.ts"
import { change, fits, isRuleValue } from "./amqp/StoredPayload.ts"
import { read } from "./amqp/StoredProperties.ts"
import * as Broker from "./broker/Broker.ts"
import { ManagementApi } from "./http/ManagementApi.ts"
import * as Authorization from "./security/Authorization.ts"

/** The policy that every namespace has, with all rights. */
export const rootPolicy = "RootManageSharedAccessKey"

/** Milliseconds; what Entra gives. */
const tokenLifetime = 3600_000

/** How a namespace is made. */
export interface Options {
  /** The name by which it speaks of itself. */
  readonly host: string
  readonly entities: ReadonlyArray<Broker.Entity>
  /** The key of its root policy. */
  readonly key: Redacted.Redacted<string>
  /** Policies beside that one. */
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** That of locks, schedules, times to live and timestamps. */
  readonly clock: Clock.Clock
  /** That of the server: by it tokens expire. */
  readonly serverClock: Clock.Clock
}

/** A namespace. */
export class Namespace implements ServedNamespace {
  readonly host: string
  readonly broker: Broker.Broker
  readonly clock: Clock.Clock
  readonly key: Redacted.Redacted<string>
  readonly policies: ReadonlyArray<Authorization.Policy>
  readonly identityKey = Redacted.make(randomBytes(32).toString("base64"), { label: "emulator identity key" })
  readonly management: ManagementApi
  readonly faults = new Faults()
  readonly conditions: Conditions
  readonly connections = new Set<ServedConnection>()
  /** An identity that it knows, with all rights. */
  readonly tokenCredential: ServiceBusCredential.TokenCredential

  constructor(broker: Broker.Broker, { clock, host, key, policies, serverClock }: Options) {
    this.broker = broker
    this.clock = clock
    this.host = host
    this.key = key
    this.policies = [{ name: rootPolicy, key, rights: ["Manage", "Send", "Listen"] }, ...policies]
    this.conditions = new Conditions(host, () => clock.currentTimeMillisUnsafe())
    this.management = new ManagementApi({
      broker,
      clock,
      serverClock,
      policies: this.policies,
      identityKey: this.identityKey,
      host,
      faults: this.faults
    })
    this.tokenCredential = {
      getToken: () => {
        const expiresOnTimestamp = serverClock.currentTimeMillisUnsafe() + tokenLifetime
        const token = Authorization.mint(this.identityKey, ["Manage", "Send", "Listen"], expiresOnTimestamp)
        return Promise.resolve({ token: Redacted.value(token), expiresOnTimestamp })
      }
    }
    broker.onDetach((detachment) => detachLinks(this, detachment))
  }

  entityPolicies(token: string): ReadonlyArray<Authorization.Policy> {
    return this.management.entityPolicies(token)
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
      Broker.make(options.entities, { fits, change, read, isRuleValue }),
      Clock.Clock,
      options.clock
    )
    return new Namespace(broker, options)
  }
)
