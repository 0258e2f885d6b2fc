/**
 * An identity that the broker knows, as an application registered with Entra would be one: its id and secret, and the roles
 * that it has on the namespace, an entity or a subscription.
 *
 * Roles are looked up where a token is used, not written into it: that is how Azure's role assignments work.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as ConnectionString from "../../ConnectionString.ts"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { EmulatorError } from "../../ServiceBusError.ts"
import * as EntityPath from "../broker/EntityPath.ts"
import type { Grant, Right } from "./Authorization.ts"

/**
 * A built-in role of Azure for the data of Service Bus.
 *
 * @category models
 * @since 0.1.0
 */
export type Role =
  | "Azure Service Bus Data Owner"
  | "Azure Service Bus Data Sender"
  | "Azure Service Bus Data Receiver"

/** The rights of each role. */
export const roles: Readonly<Record<Role, ReadonlyArray<Right>>> = {
  "Azure Service Bus Data Owner": ["Manage", "Send", "Listen"],
  "Azure Service Bus Data Sender": ["Send"],
  "Azure Service Bus Data Receiver": ["Listen"]
}

/**
 * What a role of an identity is for: an entity by its contract, or by its path, as `"orders"` or `"news/Subscriptions/sport"`.
 *
 * @category models
 * @since 0.1.0
 */
export type RoleTarget = string | Exclude<ServiceBusEntity.Any, { readonly _tag: "SubQueue" }>

/**
 * A role of an identity of the broker, on all entities or on one and what is within it: a topic's is on its subscriptions too.
 * A Sender may send and schedule, a Receiver receive and settle, an Owner do both and manage entities (Service Bus documentation,
 * built-in roles).
 *
 * @category models
 * @since 0.1.0
 */
export interface RoleOptions {
  readonly role: Role
  /**
   * What it is for, with all that is within: a contract, or a path such as `"orders"` or `"news/Subscriptions/sport"`. All
   * entities by default.
   */
  readonly entity?: RoleTarget | undefined
  /** The name of the namespace that it is in; each by default. */
  readonly namespace?: string | undefined
}

/**
 * An identity that the broker knows, as an application that is registered with Entra: it proves itself by its secret and gets
 * tokens, by which clients open the broker with the rights of its roles.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * const billing: Emulator.IdentityOptions = {
 *   clientId: "billing",
 *   secret: Redacted.make("billing-secret"),
 *   roles: [
 *     { role: "Azure Service Bus Data Sender", entity: "invoices" },
 *     { role: "Azure Service Bus Data Receiver", entity: "orders" }
 *   ]
 * }
 *
 * export const Server = Emulator.layerServer({
 *   entities: [Emulator.entity("invoices"), Emulator.entity("orders")],
 *   identities: [billing],
 *   tlsPort: 5671,
 *   httpsPort: 8443
 * })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface IdentityOptions {
  /**
   * Its client (application) id: 1 to 128 letters, digits, `.`, `_` and `-`. Case makes no difference.
   */
  readonly clientId: string
  /** Its secret: 1 to 256 printable characters of ASCII without spaces. */
  readonly secret: Redacted.Redacted<string>
  /**
   * The tenant (directory) that it belongs to, an id or a domain: clients have to name that one. Whichever they name by default.
   */
  readonly tenant?: string | undefined
  /** Its roles; Owner of all entities by default, none where the array is empty. */
  readonly roles?: ReadonlyArray<RoleOptions> | undefined
  /** How long its tokens are good: 1 second to 1 day, 1 hour by default. */
  readonly tokenLifetime?: Duration.Input | undefined
}

/** A role that was read. */
export interface Assignment extends Grant {
  /** The name of the namespace that it is in, in lower case; undefined where it is in each. */
  readonly namespace: string | undefined
}

/** An identity that was read. */
export interface Identity {
  readonly clientId: string
  readonly secret: Redacted.Redacted<string>
  readonly tenant: string | undefined
  readonly roles: ReadonlyArray<Assignment>
  /** Milliseconds. */
  readonly tokenLifetime: number
}

/** Milliseconds; what Entra gives. */
export const defaultLifetime = 3600_000

const longestLifetime = 24 * 3600_000

/** An id of a client, of which there are no others. */
export const isClientId = (text: unknown): text is string =>
  typeof text === "string" && /^[0-9A-Za-z._-]{1,128}$/.test(text)

/** The id or the domain of a tenant: what Microsoft's clients take for one. */
export const isTenant = (text: unknown): text is string =>
  typeof text === "string" && /^[0-9A-Za-z.-]{1,128}$/.test(text)

/** Whether a text can be a secret: it goes in forms, headers and files. */
export const isSecret = (text: unknown): text is string => typeof text === "string" && /^[\x21-\x7e]{1,256}$/.test(text)

const fail = (problem: string, cause?: unknown) =>
  Effect.fail(new EmulatorError(cause === undefined ? { problem } : { problem, cause }))

const assignmentOf = Effect.fnUntraced(function*(
  option: string,
  { entity, namespace, role }: RoleOptions
): Effect.fn.Return<Assignment, EmulatorError> {
  if (typeof role !== "string" || !Object.hasOwn(roles, role)) {
    return yield* fail(
      `${option}.role must be one of ${Object.keys(roles).map((name) => `"${name}"`).join(", ")}`
    )
  }
  if (namespace !== undefined && (typeof namespace !== "string" || namespace === "")) {
    return yield* fail(`${option}.namespace must be the name of a namespace`)
  }
  const assigned = { namespace: namespace?.toLowerCase(), rights: roles[role] }
  if (entity === undefined) return { ...assigned, path: "" }
  const given = typeof entity === "string" ? entity : ServiceBusEntity.contractOf(entity)?.path
  const path = typeof given === "string" && given.isWellFormed() ? EntityPath.withoutSlashes(given).toLowerCase() : ""
  return path === ""
    ? yield* fail(`${option}.entity must be a contract, or a path such as "orders" or "news/Subscriptions/sport"`)
    : { ...assigned, path }
})

/** What an identity is that is given no roles. */
const owner: RoleOptions = { role: "Azure Service Bus Data Owner" }

/** What is an array, as it is now. */
const listOf = <A>(given: ReadonlyArray<A>): ReadonlyArray<A> => {
  // It may be a value of any kind, of which others make an empty one.
  if (!Array.isArray(given)) throw new TypeError(`a ${typeof given} is no array`)
  return Array.from(given)
}

/** The identities of the option `identities`, which may be values of any kind. Secrets are kept as they are now. */
export const readAll = Effect.fnUntraced(function*(
  given: ReadonlyArray<IdentityOptions>
): Effect.fn.Return<ReadonlyArray<Identity>, EmulatorError> {
  const read = yield* Effect.catch(
    Effect.try({
      try: () =>
        listOf(given).map(({ clientId, roles, secret, tenant, tokenLifetime }) => ({
          clientId,
          secret: ConnectionString.textOf(secret),
          isHidden: Redacted.isRedacted(secret),
          tenant,
          roles: roles === undefined
            ? [owner]
            : listOf(roles).map(({ entity, namespace, role }) => ({ entity, namespace, role })),
          tokenLifetime
        })),
      catch: (cause) => cause
    }),
    (cause) =>
      fail(
        "identities must be an array of { clientId, secret, tenant, roles, tokenLifetime }, and roles of { role, entity, namespace }",
        cause
      )
  )
  const identities = new Map<string, Identity>()
  for (const [index, { clientId, isHidden, roles, secret, tenant, tokenLifetime }] of read.entries()) {
    const option = `identities[${index}]`
    if (!isClientId(clientId)) {
      return yield* fail(`${option}.clientId must be 1 to 128 letters, digits, ".", "_" and "-"`)
    }
    if (identities.has(clientId.toLowerCase())) return yield* fail(`${option}.clientId is that of another identity`)
    if (!isHidden || !isSecret(secret)) {
      return yield* fail(`${option}.secret must be a Redacted text of 1 to 256 printable characters without spaces`)
    }
    if (tenant !== undefined && !isTenant(tenant)) {
      return yield* fail(`${option}.tenant must be an id or a domain: 1 to 128 letters, digits, "." and "-"`)
    }
    const duration = Duration.fromInput(tokenLifetime ?? defaultLifetime)
    const lifetime = duration._tag === "Some" ? Duration.toMillis(duration.value) : NaN
    if (!(lifetime >= 1000 && lifetime <= longestLifetime)) {
      return yield* fail(`${option}.tokenLifetime must be a duration from 1 second to 1 day`)
    }
    identities.set(clientId.toLowerCase(), {
      clientId,
      secret: Redacted.make(secret, { label: "emulator secret" }),
      tenant,
      roles: yield* Effect.forEach(roles, (role, at) => assignmentOf(`${option}.roles[${at}]`, role)),
      tokenLifetime: lifetime
    })
  }
  return Array.from(identities.values())
})
