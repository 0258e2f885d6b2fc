/**
 * What the links of one client share: the connection, opened by the first of them and closed after the last, its claims,
 * and one `$management` node per entity.
 */
import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import type { ServiceBusCredential } from "../ServiceBusCredential.ts"
import { type AttachError, ServiceBusConnectionError } from "../ServiceBusError.ts"
import * as Connection from "./amqp/Connection.ts"
import * as Link from "./amqp/Link.ts"
import type { Endpoint } from "./amqp/Transport.ts"
import * as cbs from "./cbs.ts"
import * as RequestResponse from "./requestResponse.ts"
import type * as retryPolicy from "./retryPolicy.ts"

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
  readonly retry: retryPolicy.Settings
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

const gone = (): ServiceBusConnectionError => new ServiceBusConnectionError({ description: "the client is closed" })

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
      // First of all hooks: whoever is told of the death and tries again must find a new connection.
      const off = connection.onDeath(() => Effect.runForkWith(context)(RcRef.invalidate(shared)))
      const claims = yield* cbs.make(connection, options)
      const management = yield* RcMap.make({
        lookup: (entity: string) =>
          Effect.andThen(
            claims.authorize(`${entity}/$management`),
            RequestResponse.make(connection, { address: `${entity}/$management`, entity, timeout: options.timeout })
          )
      })
      let closed = false
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          closed = true
          // Closed by its last holder: by the time it is dead another one may be open.
          off()
        })
      )
      return {
        connection,
        claims,
        management: (entity: string): Session["management"] =>
          // A map that is closed interrupts whoever asks.
          Effect.suspend(() => closed ? Effect.fail(connection.dead() ?? gone()) : RcMap.get(management, entity))
      }
    })
    const shared: RcRef.RcRef<
      {
        readonly connection: Connection.Connection
        readonly claims: cbs.Claims
        readonly management: (entity: string) => Session["management"]
      },
      AttachError
    > = yield* RcRef.make({ acquire: open })
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
      })
    )

    return {
      options,
      session: Effect.fnUntraced(function*(entity) {
        // A reference that is closed interrupts whoever asks.
        if (closed) return yield* gone()
        const { claims, connection, management } = yield* RcRef.get(shared)
        yield* claims.authorize(entity)
        const session = yield* Link.session(connection, options.timeout)
        return { session, management: management(entity) }
      })
    }
  }
)
