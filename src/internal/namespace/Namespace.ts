/**
 * What the links of one client share: the connection, opened by the first of them and closed after the last, its claims,
 * one `$management` node per entity, and the way in which operations are tried again.
 *
 * A connection that dies is given up before anybody is told of it, so that whoever tries again opens a new one.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ServiceBusCredential } from "../../ServiceBusCredential.ts"
import { type Any, type AttachError, type HealthCheckError, ServiceBusConnectionError } from "../../ServiceBusError.ts"
import * as Connection from "../amqp/Connection.ts"
import type { Line } from "../amqp/engine/FrameTrace.ts"
import * as Link from "../amqp/Link.ts"
import type { Endpoint } from "../amqp/transport/Transport.ts"
import * as behind from "../behind.ts"
import * as errorMap from "../errorMap.ts"
import * as RequestResponse from "../management/RequestResponseLink.ts"
import { monotonic } from "../monotonicClock.ts"
import * as cbs from "./Claims.ts"
import * as supervisor from "./RecoveringLink.ts"
import * as retryPolicy from "./RetryPolicy.ts"

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
  /** Whether every frame is logged. */
  readonly frameTrace: boolean
  readonly retry: retryPolicy.Settings
}

/** What the connection is doing. */
export type ConnectionState = "disconnected" | "connecting" | "connected"

export interface Namespace {
  readonly options: Options
  readonly state: SubscriptionRef.SubscriptionRef<ConnectionState>
  readonly retrying: retryPolicy.Retrying
  /** A session for one link of an entity, on which the client holds a claim. It ends with the scope. */
  readonly session: (entity: string) => Effect.Effect<Link.Session, AttachError, Scope.Scope>
  /** The `$management` node of an entity, on the connection of now. */
  readonly management: (entity: string) => Effect.Effect<RequestResponse.RequestResponse, AttachError, Scope.Scope>
  /** One request to that node, on behalf of a link whose scope is not closed. */
  readonly managing: <A, E, E2>(
    entity: string,
    isOpen: Effect.Effect<void, E2>,
    request: (node: RequestResponse.RequestResponse, timeout: number) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | E2 | AttachError>
  /** Opens the connection if it is not, has the peer begin and end a session, and tells how long that took. */
  readonly health: Effect.Effect<Duration.Duration, HealthCheckError>
}

/** The namespace behind a client. */
export const { register: attachTo, of } = behind.make<Namespace>(
  "This ServiceBusClient was not made by ServiceBusClient.make."
)

/** A node that nobody asks for so long is detached: the service would do it after ten minutes. */
const managementIdle = Duration.minutes(5)

/** Logs the frames of one connection, at the level Trace. */
const trace = (context: Context.Context<never>, connection: number) => {
  const fork = Effect.runForkWith(context)
  return ({ channel, direction, link, performative, text }: Line): void => {
    fork(
      Effect.logTrace(`${direction} ${performative}${text === "" ? "" : ` ${text}`}`).pipe(
        Effect.annotateLogs({ connection, channel, ...(link === undefined ? {} : { link }) })
      )
    )
  }
}

interface Open {
  readonly connection: Connection.Connection
  readonly claims: cbs.Claims
  readonly management: RcMap.RcMap<
    string,
    supervisor.Supervised<RequestResponse.RequestResponse, AttachError>,
    AttachError
  >
  /** Whether its scope is closed. */
  readonly isClosed: () => boolean
}

/** The least time between two connections to a peer whose frames cannot be read, in milliseconds. */
const shortestPause = 100

/** A connection that lived for as long has worked, in milliseconds. */
const routine = 10_000

const gone = (): ServiceBusConnectionError =>
  new ServiceBusConnectionError({ description: "the client is closed", isClosed: true })

export const make: (options: Options) => Effect.Effect<Namespace, never, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const context = yield* Effect.context<never>()
    const state = yield* SubscriptionRef.make<ConnectionState>("disconnected")
    const tokens = cbs.tokensOf(options.credential, options.timeout)
    const policy = yield* retryPolicy.make(options.retry)
    /** Which connection is the current one: an older one that dies late changes nothing. */
    let generation = 0
    let latest: Open | undefined
    const clock = yield* Clock.Clock
    /** A peer whose frames cannot be read: why, and until when there is no new connection to it. Times are milliseconds. */
    let unreadable: { readonly death: Connection.Death; readonly pause: number; readonly until: number } | undefined
    const noteDeath = (death: Connection.Death, openedAt: number): void => {
      if (!errorMap.isUnreadable(death)) return void (unreadable = undefined)
      const { delay, maxDelay } = options.retry
      const now = monotonic(clock)
      // One that worked for a while has nothing to do with the pauses before it.
      const last = unreadable === undefined || now - openedAt > routine + unreadable.pause
        ? delay / 2
        : unreadable.pause
      const pause = Math.max(shortestPause, Math.min(maxDelay, 2 * last))
      unreadable = { death, pause, until: now + pause }
    }

    const open = Effect.gen(function*(): Effect.fn.Return<Open, AttachError, Scope.Scope> {
      const mine = ++generation
      yield* SubscriptionRef.set(state, "connecting")
      let isOver = false
      // Lost first and closed later, it is told once.
      const died = Effect.suspend(() => {
        if (isOver || generation !== mine) return Effect.void
        isOver = true
        return SubscriptionRef.set(state, "disconnected")
      })
      return latest = yield* connect(died, mine).pipe(
        Effect.tap(() => SubscriptionRef.set(state, "connected")),
        Effect.onError(() => died)
      )
    })

    const connect = Effect.fnUntraced(function*(died: Effect.Effect<void>, mine: number) {
      const connection = yield* Connection.open({
        endpoint: options.endpoint,
        hostname: options.host,
        containerId: options.identifier,
        userAgent: options.userAgent,
        openTimeout: options.timeout,
        frameTrace: options.frameTrace ? trace(context, mine) : undefined
      })
      const openedAt = monotonic(clock)
      // First of all hooks: whoever is told of the death and tries again must find a new connection.
      const off = connection.onDeath((death) => {
        noteDeath(death, openedAt)
        Effect.runForkWith(context)(Effect.andThen(RcRef.invalidate(shared), died))
      })
      const claims = yield* cbs.make(connection, { host: options.host, timeout: options.timeout, tokens })
      const management = yield* RcMap.make({
        idleTimeToLive: managementIdle,
        // The service detaches a node like any other link that is idle for long.
        lookup: (entity: string) =>
          supervisor.make({
            open: () =>
              Effect.andThen(
                claims.authorize(`${entity}/$management`),
                RequestResponse.make(connection, { address: `${entity}/$management`, entity, timeout: options.timeout })
              ),
            isLost: (node) => node.isLost()
          })
      })
      let closed = false
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          closed = true
          // Closed by its last holder: by the time it is dead another one may be open.
          off()
          return died
        })
      )
      return { connection, claims, management, isClosed: () => closed }
    })

    const shared: RcRef.RcRef<Open, AttachError> = yield* RcRef.make({ acquire: open })
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
      })
    )
    const current = Effect.suspend(() =>
      closed
        ? Effect.fail(gone())
        : unreadable !== undefined && monotonic(clock) < unreadable.until
        ? Effect.fail(unreadable.death)
        : RcRef.get(shared)
    ).pipe(
      Effect.tap((opened) => {
        const dead = opened.connection.dead()
        if (dead === undefined) return Effect.void
        // It died before it was there to be given up.
        return Effect.andThen(opened === latest ? RcRef.invalidate(shared) : Effect.void, Effect.fail(dead))
      })
    )
    /**
     * What is refused as unauthorized is tried once more, under fresh tokens, before that is final: what the service knows of
     * a claim may be over before its time.
     */
    const renewing = <A, Err extends Any, R>(
      operation: Effect.Effect<A, Err, R>,
      until = Infinity
    ): Effect.Effect<A, Err, R> =>
      Effect.catch(operation, (error) => {
        const left = until - monotonic(clock)
        if (
          options.retry.maxRetries === 0 || !errorMap.isUnauthorized(error) || error.entity === undefined || left <= 0
        ) {
          return Effect.fail(error)
        }
        const renewed = renew(error.entity)
        return Effect.andThen(left === Infinity ? renewed : Effect.timeoutOption(renewed, left), operation)
      })
    const renew = (entity: string) =>
      Effect.flatMap(current, ({ claims }) => claims.renew(entity)).pipe(Effect.scoped, Effect.ignore)
    const retrying: retryPolicy.Retrying = {
      heeds: policy.heeds,
      run: (operation, known) => renewing(policy.run(operation, known)),
      look: (operation, limit) => renewing(policy.look(operation, limit), limit?.until),
      persist: (operation, limit) => renewing(policy.persist(operation, limit), limit?.until)
    }

    /** A reference or map that is closed interrupts whoever asks: they are told why instead. */
    const told = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ServiceBusConnectionError, R> =>
      Effect.catchCause(
        effect,
        (cause): Effect.Effect<never, E | ServiceBusConnectionError> =>
          closed && Cause.hasInterruptsOnly(cause) ? Effect.fail(gone()) : Effect.failCause(cause)
      )

    const management = (entity: string) =>
      told(
        Effect.flatMap(current, ({ connection, isClosed, management }) =>
          isClosed() ? Effect.fail(connection.dead() ?? gone()) : RcMap.get(management, entity).pipe(
            // The map keeps a failure for as long as it would keep a node.
            Effect.tapError(() =>
              RcMap.invalidate(management, entity)
            ),
            Effect.flatMap((node) => node.get)
          ))
      )

    return {
      options,
      state,
      retrying,
      management,
      managing: (entity, isOpen, request) =>
        Effect.scoped(
          Effect.flatMap(Effect.andThen(isOpen, management(entity)), (node) => request(node, options.timeout))
        ),
      session: (entity) =>
        told(
          Effect.flatMap(current, ({ claims, connection }) =>
            Effect.andThen(claims.authorize(entity), Link.session(connection, options.timeout)))
        ),
      health: Effect.gen(function*() {
        const { connection } = yield* current
        const before = yield* Clock.monotonicTimeNanos
        yield* Effect.scoped(Link.session(connection, options.timeout))
        return Duration.nanos((yield* Clock.monotonicTimeNanos) - before)
      }).pipe(
        Effect.scoped,
        told,
        Effect.mapError((error) => errorMap.healthError(error, { operation: "health" }))
      )
    }
  }
)
