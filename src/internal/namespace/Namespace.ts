/**
 * What the links of one client share: the connection, opened by the first of them and closed after the last, its claims,
 * one `$management` node per entity, and the policy by which operations are tried again.
 *
 * A connection that dies is given up before its links hear of it, so that an operation that is tried again opens a new one.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as RcMap from "effect/RcMap"
import * as RcRef from "effect/RcRef"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ServiceBusCredential } from "../../ServiceBusCredential.ts"
import { type Any, type AttachError, type HealthCheckError, ServiceBusConnectionError } from "../../ServiceBusError.ts"
import type { LogLevelOption, ServiceBusEvent } from "../../ServiceBusEvent.ts"
import * as Connection from "../amqp/Connection.ts"
import type { TracedFrame } from "../amqp/engine/FrameTrace.ts"
import * as Link from "../amqp/Link.ts"
import type { Endpoint } from "../amqp/transport/Transport.ts"
import * as errorMap from "../errorMap.ts"
import * as HiddenState from "../HiddenState.ts"
import * as RequestResponseLink from "../management/RequestResponseLink.ts"
import { monotonic } from "../monotonicClock.ts"
import * as EventReporter from "../telemetry/EventReporter.ts"
import * as Claims from "./Claims.ts"
import { Outages } from "./Outages.ts"
import * as RecoveringLink from "./RecoveringLink.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

interface Options {
  readonly host: string
  readonly endpoint: Endpoint
  readonly credential: ServiceBusCredential
  readonly identifier: string
  readonly userAgent: string
  /** What the peer is told, in milliseconds. */
  readonly idleTimeout: number
  /** Milliseconds for one operation. */
  readonly timeout: number
  /** The only entity that the credential is for, where a connection string names one. */
  readonly entityPath: string | undefined
  /** Whether every frame is logged. */
  readonly frameTrace: boolean
  readonly retry: RetryPolicy.Settings
  /** At which level events are logged. */
  readonly logLevel: LogLevelOption | undefined
}

/** What the connection is doing. */
type ConnectionState = "disconnected" | "connecting" | "connected"

export interface Namespace {
  readonly options: Options
  readonly state: SubscriptionRef.SubscriptionRef<ConnectionState>
  readonly retryPolicy: RetryPolicy.RetryPolicy
  /** The same for a sender or receiver: the errors of what its policy runs have this identifier. */
  readonly identifiedAs: (identifier: string) => Namespace
  /** What happens, from now on. */
  readonly events: Stream.Stream<ServiceBusEvent>
  readonly reporter: EventReporter.EventReporter
  readonly outages: Outages
  /** A session for one link of an entity, on which the client holds a claim. It ends with the scope. */
  readonly session: (entity: string) => Effect.Effect<Link.Session, AttachError, Scope.Scope>
  /** The `$management` node of an entity, on the present connection. */
  readonly managementNode: (
    entity: string
  ) => Effect.Effect<RequestResponseLink.RequestResponseLink, AttachError, Scope.Scope>
  /**
   * Makes one request to that node, unless `isOpen` fails: the scope of the link that it is for may be closed. `request` is
   * called only where the request is made.
   */
  readonly withManagementNode: <A, E, E2>(
    entity: string,
    isOpen: Effect.Effect<void, E2>,
    request: (node: RequestResponseLink.RequestResponseLink, timeout: number) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | E2 | AttachError>
  /** Opens the connection if it is not, has the peer begin and end a session, and gives how long that took. */
  readonly health: Effect.Effect<Duration.Duration, HealthCheckError>
}

const clients = HiddenState.make<Namespace>("This ServiceBusClient was not made by ServiceBusClient.make.")

/** Gives a client its namespace. */
export const attachTo: (client: object, namespace: Namespace) => void = clients.attach

/** The namespace of a client. Throws for a client that was not made here. */
export const of: (client: object) => Namespace = clients.of

/** A node that is not asked for so long is detached: the service would do it after ten minutes. */
const managementIdle = Duration.minutes(5)

/** Logs the frames of one connection, at the level Trace. */
const logFrames = (context: Context.Context<never>, connection: number) => {
  const fork = Effect.runForkWith(context)
  return ({ channel, direction, link, performative, text }: TracedFrame): void => {
    fork(
      Effect.logTrace(`${direction} ${performative}${text === "" ? "" : ` ${text}`}`).pipe(
        Effect.annotateLogs({ connection, channel, ...(link === undefined ? {} : { link }) })
      )
    )
  }
}

interface Open {
  readonly connection: Connection.Connection
  readonly claims: Claims.Claims
  readonly management: RcMap.RcMap<
    string,
    RecoveringLink.RecoveringLink<RequestResponseLink.RequestResponseLink, AttachError>,
    AttachError
  >
  /** Whether its scope is closed. */
  readonly isClosed: () => boolean
}

/** The least time between two connections to a peer whose frames cannot be read, in milliseconds. */
const shortestPause = 100

/** A connection that lived for as long has worked, in milliseconds. */
const provenLifetime = 10_000

/** How long tokens that were put because of a refusal are fresh, in milliseconds: what is refused so soon again is refused. */
const freshFor = 60_000

const clientClosed = (): ServiceBusConnectionError =>
  new ServiceBusConnectionError({ description: "the client is closed", isClosed: true })

export const make: (options: Options) => Effect.Effect<Namespace, never, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const context = yield* Effect.context<never>()
    const state = yield* SubscriptionRef.make<ConnectionState>("disconnected")
    const tokens = Claims.tokensOf(options.credential, options.timeout)
    const { events, reporter } = yield* EventReporter.make({
      namespace: options.host,
      server: options.endpoint,
      identifier: options.identifier,
      logLevel: options.logLevel
    })
    const clock = yield* Clock.Clock
    const outages = new Outages(reporter)
    const closing = Latch.makeUnsafe()
    const policy = yield* RetryPolicy.make(options.retry, {
      closing,
      onRetry: () => outages.retried(),
      onThrottled: (error, advice) => outages.throttled(error, advice)
    })
    /** Which connection is the current one: an older one that dies late changes nothing. */
    let generation = 0
    let latest: Open | undefined
    /** Connections that are being closed. */
    const closings = new Set<Latch.Latch>()
    /** A peer whose frames cannot be read: why, and until when there is no new connection to it. Times are milliseconds. */
    let unreadable: { readonly death: Connection.Death; readonly pause: number; readonly until: number } | undefined
    const noteDeath = (death: Connection.Death, openedAt: number): void => {
      if (!errorMap.isUnreadable(death)) return void (unreadable = undefined)
      const { delay, maxDelay } = options.retry
      const now = monotonic(clock)
      // One that worked for a while has nothing to do with the pauses before it.
      const last = unreadable === undefined || now - openedAt > provenLifetime + unreadable.pause
        ? delay / 2
        : unreadable.pause
      const pause = Math.max(shortestPause, Math.min(maxDelay, 2 * last))
      unreadable = { death, pause, until: now + pause }
    }

    const open = Effect.gen(function*(): Effect.fn.Return<Open, AttachError, Scope.Scope> {
      const own = ++generation
      const gone = Latch.makeUnsafe()
      // First of all, and run last.
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          closings.delete(gone)
          gone.openUnsafe()
        })
      )
      yield* SubscriptionRef.set(state, "connecting")
      let isOver = false
      // Lost first and closed later, it is reported once.
      const died = Effect.suspend(() => {
        if (isOver || generation !== own) return Effect.void
        isOver = true
        return SubscriptionRef.set(state, "disconnected")
      })
      return latest = yield* connect(died, own, () => closings.add(gone)).pipe(
        Effect.tap(() => {
          outages.connected()
          return SubscriptionRef.set(state, "connected")
        }),
        Effect.tapError((error) => Effect.sync(() => outages.connectFailed(error))),
        Effect.onError(() => died)
      )
    })

    const connect = Effect.fnUntraced(function*(died: Effect.Effect<void>, own: number, onClosing: () => void) {
      const connection = yield* Connection.open({
        endpoint: options.endpoint,
        hostname: options.host,
        containerId: options.identifier,
        userAgent: options.userAgent,
        idleTimeout: options.idleTimeout,
        openTimeout: options.timeout,
        frameTrace: options.frameTrace ? logFrames(context, own) : undefined
      })
      const openedAt = monotonic(clock)
      // First of all hooks: an operation that is tried again after the death must find a new connection.
      const off = connection.onDeath((death) => {
        noteDeath(death, openedAt)
        outages.connectionLost(death)
        Effect.runForkWith(context)(Effect.andThen(RcRef.invalidate(shared), died))
      })
      const claims = yield* Claims.make(connection, {
        host: options.host,
        timeout: options.timeout,
        tokens,
        outages
      })
      const management = yield* RcMap.make({
        idleTimeToLive: managementIdle,
        // The service detaches a node like any other link that is idle for long.
        lookup: (entity: string) =>
          RecoveringLink.make({
            open: () =>
              Effect.andThen(
                // A caller knows the entity, and nothing of its node.
                Effect.mapError(claims.authorize(`${entity}/$management`), (error) => ofEntity(error, entity)),
                RequestResponseLink.make(connection, {
                  address: `${entity}/$management`,
                  entity,
                  timeout: options.timeout
                })
              ),
            isLost: (node) => node.isLost()
          })
      })
      let closed = false
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          closed = true
          onClosing()
          // Closed by its last holder: by the time it is dead another one may be open.
          off()
          return died
        })
      )
      return { connection, claims, management, isClosed: () => closed }
    })

    // RcRef forgets a connection that fails, or that its last holder gives up, before it is closed: the end of the client
    // waits for that. One that is dead may be held for longer.
    const opening = Semaphore.makeUnsafe(1)
    yield* Effect.addFinalizer(() =>
      opening.withPermits(1)(
        Effect.suspend(() => Effect.forEach([...closings], (gone) => gone.await, { discard: true }))
      )
    )
    const shared: RcRef.RcRef<Open, AttachError> = yield* RcRef.make({
      acquire: opening.withPermits(1)(RecoveringLink.closedOnFailure(open))
    })
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        closing.openUnsafe()
      })
    )
    const current = Effect.suspend(() =>
      closed
        ? Effect.fail(clientClosed())
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
     * a claim may be over before its time. Where no token can be put for now, the policy tries that again, too.
     */
    const withFreshClaim = <A, Err extends Any, R>(
      run: (operation: Effect.Effect<A, Err, R>) => Effect.Effect<A, Err, R>,
      operation: Effect.Effect<A, Err, R>,
      identifier: string | undefined,
      until = Infinity
    ): Effect.Effect<A, Err, R> =>
      Effect.catch(run(operation), (first) => {
        let renewedAt = -Infinity
        const refused = (error: Err): Effect.Effect<A, Err, R> => {
          const { entity } = error as { readonly entity?: string }
          if (
            options.retry.maxRetries === 0 || !errorMap.isUnauthorized(error) || entity === undefined ||
            until <= monotonic(clock) || monotonic(clock) - renewedAt < freshFor
          ) {
            return Effect.fail(identified(error, identifier))
          }
          let isFresh = false
          const renewed = Effect.suspend(() => {
            if (isFresh) return Effect.void
            const renewing = Effect.map(renew(entity), () => {
              isFresh = true
              renewedAt = monotonic(clock)
            })
            const left = until - monotonic(clock)
            return left === Infinity ? renewing : Effect.asVoid(Effect.timeoutOption(renewing, Math.max(0, left)))
          })
          // The operation fails so as well where it has to put a token first.
          return Effect.catch(run(Effect.andThen(renewed as Effect.Effect<void, Err>, operation)), refused)
        }
        return refused(first)
      })
    const renew = (entity: string): Effect.Effect<void, AttachError> =>
      Effect.flatMap(current, ({ claims }) => claims.renew(entity)).pipe(
        Effect.scoped,
        Effect.mapError((error) => ofEntity(error, entity))
      )
    const policyFor = (identifier: string | undefined): RetryPolicy.RetryPolicy => ({
      applyAdvice: policy.applyAdvice,
      isRetried: policy.isRetried,
      run: (operation, options) => withFreshClaim((tried) => policy.run(tried, options), operation, identifier),
      runIdempotent: (operation, limit, onRetry) =>
        withFreshClaim(
          (tried) => policy.runIdempotent(tried, limit, onRetry),
          operation,
          identifier,
          limit?.until
        ),
      retryUntilSuccess: (operation, limit, onRetry) =>
        withFreshClaim(
          (tried) => policy.retryUntilSuccess(tried, limit, onRetry),
          operation,
          identifier,
          limit?.until
        )
    })

    /** A reference or map that is closed interrupts those who use it: they fail with the reason instead. */
    const failingWhenClosed = <A, E, R>(
      effect: Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | ServiceBusConnectionError, R> =>
      Effect.catchCause(
        effect,
        (cause): Effect.Effect<never, E | ServiceBusConnectionError> =>
          closed && Cause.hasInterruptsOnly(cause) ? Effect.fail(clientClosed()) : Effect.failCause(cause)
      )

    const managementNode = (entity: string) =>
      failingWhenClosed(
        Effect.flatMap(current, ({ connection, isClosed, management }) =>
          isClosed() ? Effect.fail(connection.dead() ?? clientClosed()) : RcMap.get(management, entity).pipe(
            // The map keeps a failure for as long as it would keep a node.
            Effect.tapError(() =>
              RcMap.invalidate(management, entity)
            ),
            Effect.flatMap((node) => node.get)
          ))
      )

    const namespace: Namespace = {
      options,
      state,
      retryPolicy: policyFor(undefined),
      identifiedAs: (identifier) => ({
        ...namespace,
        retryPolicy: policyFor(identifier),
        reporter: reporter.within({ identifier })
      }),
      events,
      reporter,
      outages,
      managementNode,
      withManagementNode: (entity, isOpen, request) =>
        Effect.scoped(
          Effect.flatMap(
            Effect.andThen(isOpen, managementNode(entity)),
            // A node that had to be attached first may be there after what asks is lost.
            (node) => Effect.flatMap(isOpen, () => request(node, options.timeout))
          )
        ),
      session: (entity) =>
        failingWhenClosed(
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
        failingWhenClosed,
        Effect.mapError((error) => errorMap.healthError(error, { operation: "health" }))
      )
    }
    return namespace
  }
)

/** An error that names an entity, where it names its node. */
const ofEntity = <Err extends Any>(error: Err, entity: string): Err =>
  "attempts" in error && (error as { readonly entity?: string }).entity === `${entity}/$management`
    ? errorMap.withFields(error, { entity })
    : error

/** An error with the identifier of what failed, where it has none. */
const identified = <Err extends Any>(error: Err, identifier: string | undefined): Err =>
  identifier === undefined || (error as { readonly identifier?: string }).identifier !== undefined ||
    !("attempts" in error)
    ? error
    : errorMap.withFields(error, { identifier })

/**
 * The namespace for several requests one after the other, of a caller that holds no link: its last management node, and with it
 * the connection, is kept until the next one or the end of the scope. Otherwise each request would open a connection.
 */
export const keepingManagementNode = Effect.fnUntraced(
  function*(namespace: Namespace): Effect.fn.Return<Namespace, never, Scope.Scope> {
    let kept: RequestResponseLink.RequestResponseLink | undefined
    let held: Scope.Closeable | undefined
    const release = Effect.suspend(() => {
      const scope = held
      held = undefined
      kept = undefined
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })
    yield* Effect.addFinalizer(() => release)

    const keep = (entity: string, node: RequestResponseLink.RequestResponseLink): Effect.Effect<void> =>
      node === kept ? Effect.void : Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const scope = Scope.makeUnsafe()
          // It is there already: nothing goes over the wire.
          const exit = yield* Effect.exit(restore(Scope.provide(namespace.managementNode(entity), scope)))
          if (Exit.isFailure(exit) || exit.value !== node) return yield* Scope.close(scope, Exit.void)
          yield* release
          held = scope
          kept = node
        })
      )

    return {
      ...namespace,
      withManagementNode: (entity, isOpen, request) =>
        namespace.withManagementNode(
          entity,
          isOpen,
          (node, timeout) => Effect.flatMap(keep(entity, node), () => request(node, timeout))
        )
    }
  }
)
