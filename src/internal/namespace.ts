/**
 * What the links of one client share: the connection, opened by the first of them and closed after the last, its claims,
 * and one `$management` node per entity.
 */
import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import type { ServiceBusCredential } from "../ServiceBusCredential.ts"
import type { AttachError } from "../ServiceBusError.ts"
import * as Connection from "./amqp/Connection.ts"
import * as Link from "./amqp/Link.ts"
import type { Endpoint } from "./amqp/Transport.ts"
import * as cbs from "./cbs.ts"
import * as RequestResponse from "./requestResponse.ts"

export interface Options {
  readonly host: string
  readonly endpoint: Endpoint
  readonly credential: ServiceBusCredential
  readonly identifier: string
  readonly userAgent: string
  /** Milliseconds for one operation. */
  readonly timeout: number
  /** The only entity that the credential is for, where a connection string names one. */
  readonly entityPath: string | undefined
}

/** An entity on the connection that is open now. */
export interface Session {
  readonly session: Link.Session
  readonly management: Effect.Effect<RequestResponse.RequestResponse, AttachError, Scope.Scope>
}

/** The namespace behind a client: kept apart, so that no type of AMQP is in the client's public shape. */
const namespaces = new WeakMap<object, Namespace>()

export const attachTo = (client: object, namespace: Namespace): void => {
  namespaces.set(client, namespace)
}

export const of = (client: object): Namespace => {
  const namespace = namespaces.get(client)
  if (namespace === undefined) throw new Error("This ServiceBusClient was not made by ServiceBusClient.make.")
  return namespace
}

export interface Namespace {
  readonly options: Options
  /** A session for one link of an entity, on which the client holds a claim. It ends with the scope. */
  readonly session: (entity: string) => Effect.Effect<Session, AttachError, Scope.Scope>
}

export const make: (options: Options) => Effect.Effect<Namespace, never, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const context = yield* Effect.context<never>()
    const open = Effect.gen(function*() {
      const connection = yield* Connection.open({
        endpoint: options.endpoint,
        hostname: options.host,
        containerId: options.identifier,
        userAgent: options.userAgent,
        openTimeout: options.timeout
      })
      // First of all hooks: whoever is told of the death and tries again must find a new connection. Not when it is
      // closed by its last holder: by then another may be open.
      const off = connection.onDeath(() => Effect.runForkWith(context)(RcRef.invalidate(shared)))
      yield* Effect.addFinalizer(() => Effect.sync(off))
      const claims = yield* cbs.make(connection, options)
      const management = yield* RcMap.make({
        lookup: (entity: string) =>
          Effect.andThen(
            claims.authorize(`${entity}/$management`),
            RequestResponse.make(connection, { address: `${entity}/$management`, entity, timeout: options.timeout })
          )
      })
      return { connection, claims, management }
    })
    const shared: RcRef.RcRef<
      {
        readonly connection: Connection.Connection
        readonly claims: cbs.Claims
        readonly management: RcMap.RcMap<string, RequestResponse.RequestResponse, AttachError>
      },
      AttachError
    > = yield* RcRef.make({ acquire: open })

    return {
      options,
      session: Effect.fnUntraced(function*(entity) {
        const { claims, connection, management } = yield* RcRef.get(shared)
        yield* claims.authorize(entity)
        const session = yield* Link.session(connection, options.timeout)
        return { session, management: RcMap.get(management, entity) }
      })
    }
  }
)
