/**
 * One AMQP connection as a scoped resource: it is open when the effect succeeds and closed when the scope closes. It owns its
 * socket, heartbeats and idle time-out. It dies once, for one reason, of which all its sessions and links are informed; it
 * never comes back to life.
 *
 * rhea keeps the state of the protocol. Waiting is on rhea's events; its Promises and timers are never used.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type { ConnectError } from "../../ServiceBusError.ts"
import { OperationTimeoutError, ServiceBusConnectionError } from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic, wholeMillis } from "../monotonicClock.ts"
import * as ClientEndpoints from "./engine/ClientEndpoints.ts"
import { DataPlane } from "./engine/DataPlane.ts"
import * as Dispatcher from "./engine/Dispatcher.ts"
import * as FrameGuard from "./engine/FrameGuard.ts"
import * as FrameTrace from "./engine/FrameTrace.ts"
import type { PromisedConnection, RheaConnection } from "./engine/rhea.ts"
import * as Transport from "./transport/Transport.ts"

/** Why a connection died. */
export type Death = ConnectError

export interface Connection {
  readonly promised: PromisedConnection
  readonly rhea: RheaConnection
  readonly plane: DataPlane
  readonly dispatcher: Dispatcher.Dispatcher
  readonly activity: PeerActivity
  /** How many answers have come: heartbeats are none, nor deliveries, but for those that are responses. */
  readonly answers: () => number
  /** Counts a delivery that is a response. */
  readonly countAnswer: () => void
  /**
   * Something that was on the wire had no answer in its time; `answersBefore` is how many answers there were when it left.
   * Where none came since, the peer is asked for what it answers at once, and given up where it does not answer.
   */
  readonly probeUnlessAnswered: (answersBefore: number) => void
  /** Why the connection is dead; undefined while it lives. */
  readonly dead: () => Death | undefined
  /** Runs a function when the connection dies, at once if it is dead; gives the function that takes it back. */
  readonly onDeath: (hook: (death: Death) => void) => () => void
}

/** What the peer has sent, and what it has left unanswered. */
interface PeerActivity {
  /** How often bytes came. */
  reads: number
  /** When they came last, in milliseconds of the monotonic clock. */
  lastRead: number
  /** How often they had come when the peer last left a close unanswered (see `awaitClose`); -1 where it never did. */
  readsAtUnansweredClose: number
}

interface Options {
  readonly endpoint: Transport.Endpoint
  /** The namespace, which the open frame names also where another host is dialled. */
  readonly hostname: string
  readonly containerId: string
  readonly userAgent: string
  /** Ours: the peer may send nothing for as long, in milliseconds (AMQP 1.0 section 2.4.5). */
  readonly idleTimeout: number
  /** Milliseconds for connecting, SASL and open together. */
  readonly openTimeout: number
  /** Called for every frame. */
  readonly frameTrace?: ((frame: FrameTrace.TracedFrame) => void) | undefined
}

/** The largest frame that we take; what Service Bus takes. */
const maxFrameSize = 65536

/** How long a peer that seems to receive nothing may take to begin a session, in milliseconds. */
const probeTimeout = 30_000

/** How long closing waits for the peer before the socket is destroyed. */
export const closeTimeout = 1_000

export const open = Effect.fnUntraced(function*(options: Options) {
  const timedOut = new OperationTimeoutError({
    operation: "connect",
    outcome: "notSent",
    description:
      `${options.endpoint.host}:${options.endpoint.port} did not open the connection within ${options.openTimeout} ms`
  })
  const scope = yield* Effect.scope
  return yield* Effect.timeoutOrElse(connect(options, scope), {
    duration: options.openTimeout,
    orElse: () => Effect.fail(timedOut)
  })
})

const connect = Effect.fnUntraced(function*(options: Options, scope: Scope.Scope) {
  const dispatcher = yield* Dispatcher.get
  const clock = yield* Clock.Clock
  const transport = yield* Transport.Transport
  const dialled = yield* transport.connect(options.endpoint).pipe(Scope.provide(scope))
  const socket = options.frameTrace === undefined ? dialled : FrameTrace.wrap(dialled, options.frameTrace)

  let death: Death | undefined
  let closing = false
  const hooks = new Set<(death: Death) => void>()
  let plane: DataPlane | undefined
  const activity: PeerActivity = { reads: 0, lastRead: monotonic(clock), readsAtUnansweredClose: -1 }
  const probeRequested = Latch.makeUnsafe(false)
  const guard = new FrameGuard.FrameGuard({
    role: "client",
    maxFrameSize,
    onViolation: (violation) => broken(violation, violation.condition),
    onBytes: () => {
      activity.reads++
      activity.lastRead = monotonic(clock)
    }
  })
  const promised = ClientEndpoints.makeConnection({
    host: options.endpoint.host,
    port: options.endpoint.port,
    hostname: options.hostname,
    containerId: options.containerId,
    userAgent: options.userAgent,
    maxFrameSize,
    connect: (connected) => {
      plane = new DataPlane(rhea, {
        schedule: dispatcher.schedule,
        idleTimeout: options.idleTimeout,
        padded: false,
        onDecodeProblem: (problem) => broken(problem, "amqp:decode-error"),
        onBreach: ({ condition, description }) => broken(new Error(description), condition)
      })
      dispatcher.schedule(connected)
      return FrameGuard.wrap(socket, guard)
    }
  })
  const rhea = promised._connection

  const die = (reason: Death): void => {
    if (death !== undefined) return
    death = reason
    socket.destroy()
    for (const hook of [...hooks]) hook(reason)
    hooks.clear()
  }
  /** Closes with the reason, as far as a socket takes it that is destroyed then, and dies of it. */
  const broken = (problem: Error, condition: string): void => {
    if (death !== undefined) return
    const reason = errorMap.protocolBroken(problem, condition)
    if (!rhea.state.local_open || !rhea.state.remote_open) return die(reason)
    closing = true
    rhea.close({ condition, description: problem.message })
    rhea._process()
    die(reason)
  }
  let isOpened = false
  const failed = (error: unknown): void =>
    die(
      isAmqp(error)
        ? isOpened
          ? errorMap.endedByPeer({ condition: error.condition, description: error.description })
          : errorMap.connectError({ condition: error.condition, description: error.description })
        : errorMap.connectionLost(error instanceof Error ? error.message : "the peer closed the socket", error)
    )
  // After an error rhea only half-closes; the socket is destroyed by `die`.
  ClientEndpoints.onConnectionEnd(rhea, {
    failed,
    closed: (error) => {
      if (!closing) failed(error ?? new Error("the peer closed the connection"))
    },
    disconnected: (error) =>
      die(error === undefined ? errorMap.connectionLost("the peer closed the socket") : errorMap.fromSocket(error))
  })
  // A socket that closes without an end or an error.
  socket.once("close", () => die(errorMap.connectionLost("the socket was closed")))

  yield* Scope.addFinalizer(
    scope,
    Effect.suspend(() => {
      closing = true
      if (death !== undefined || !rhea.is_open()) {
        die(new ServiceBusConnectionError({ description: "the connection is closed", isClosed: true }))
        return Effect.void
      }
      return awaitClose(
        connection,
        ClientEndpoints.awaitEvent(rhea, "connection_close", () => ClientEndpoints.closeIfOpen(rhea))
      ).pipe(
        Effect.andThen(
          Effect.sync(() =>
            die(new ServiceBusConnectionError({ description: "the connection is closed", isClosed: true }))
          )
        )
      )
    })
  )

  const connection: Connection = {
    promised,
    rhea,
    get plane() {
      return plane!
    },
    dispatcher,
    activity,
    answers: () => guard.answers,
    countAnswer: () => {
      guard.answers++
    },
    probeUnlessAnswered: (answersBefore) => {
      if (death === undefined && guard.answers === answersBefore) probeRequested.openUnsafe()
    },
    dead: () => death,
    onDeath: (hook) => {
      if (death !== undefined) {
        hook(death)
        return () => {}
      }
      hooks.add(hook)
      return () => {
        hooks.delete(hook)
      }
    }
  }
  yield* orDeath(connection, ClientEndpoints.awaitEvent(rhea, "connection_open", () => rhea.connect()))
  isOpened = true
  const probing = Effect.forever(Effect.andThen(probeRequested.await, probe(connection, probeRequested, die)))
  const timers = socket.isLocal === true ? [] : [
    heartbeats(connection),
    watchdog(clock, activity, options.idleTimeout, die)
  ]
  for (const timer of [...timers, probing]) {
    const fiber = yield* Effect.forkIn(timer, scope, { startImmediately: true })
    // The scope of a dead connection may stay open for long.
    connection.onDeath(() => fiber.interruptUnsafe())
  }
  return connection
})

/** What a timer may come late by, in milliseconds: by more the process was asleep. */
const lateness = 5_000

/**
 * Ends a connection whose peer has sent nothing for twice the time that we allow it. A process that was asleep does not take
 * its own silence for the peer's: what came meanwhile is read first.
 */
const watchdog = Effect.fnUntraced(function*(
  clock: Clock.Clock,
  activity: PeerActivity,
  idleTimeout: number,
  die: (reason: Death) => void
) {
  for (;;) {
    const due = activity.lastRead + 2 * idleTimeout
    yield* Effect.sleep(due - monotonic(clock))
    if (monotonic(clock) > due + lateness) yield* Effect.sleep(lateness)
    if (activity.lastRead + 2 * idleTimeout > due) continue
    return die(errorMap.connectionLost(`the peer said nothing for ${2 * idleTimeout / 1000} seconds`))
  }
})

/**
 * Asks a peer that answers nothing to begin a session, which every peer does at once, and gives the connection up where it
 * does not: what we write may vanish on its way while its heartbeats still come.
 */
const probe = (
  connection: Connection,
  requested: Latch.Latch,
  die: (reason: Death) => void
): Effect.Effect<void> =>
  Effect.suspend(() => {
    requested.closeUnsafe()
    const { plane, rhea } = connection
    const answersBefore = connection.answers()
    const session = rhea.create_session()
    const isAllowed = session.local.channel <= plane.channelMax
    if (!isAllowed) {
      session.remove()
      // Other sessions are open: a flow of one is asked for instead.
      plane.requestFlow()
    }
    return ClientEndpoints.awaitEvent(session, "session_open", () => isAllowed ? session.begin() : undefined).pipe(
      Effect.timeoutOption(probeTimeout),
      Effect.andThen(Effect.sync(() => {
        if (connection.answers() === answersBefore) {
          return die(errorMap.connectionLost(`the peer answered nothing for ${probeTimeout / 1000} seconds and more`))
        }
        if (isAllowed) ClientEndpoints.abandonSession(session)
      }))
    )
  })

/** Writes an empty frame at half of the peer's idle time-out (AMQP 1.0 section 2.4.5). */
const heartbeats = (connection: Connection): Effect.Effect<void> =>
  Effect.suspend(() => {
    const timeout = connection.plane.remoteIdleTimeout
    if (timeout === undefined || timeout <= 0) return Effect.void
    // At most two frames a second, whatever the peer asks for: it could keep us busy with nothing.
    return Effect.sleep(wholeMillis(Math.max(500, timeout / 2))).pipe(
      Effect.andThen(Effect.sync(() => {
        if (connection.dead() === undefined) connection.plane.heartbeat()
      })),
      Effect.forever
    )
  })

const isAmqp = (error: unknown): error is { readonly condition: string; readonly description?: string | undefined } =>
  typeof error === "object" && error !== null &&
  typeof (error as { readonly condition?: unknown }).condition === "string"

/** Runs an effect that waits for the peer; fails with the reason if the connection dies meanwhile. */
export const orDeath = <A, E, R>(
  connection: Connection,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Death, R> =>
  Effect.raceFirst(
    effect,
    Effect.callback<never, Death>((resume) => {
      const off = connection.onDeath((death) => resume(Effect.fail(death)))
      return Effect.sync(off)
    })
  )

/**
 * Runs an effect that closes something and waits for the peer's answer, for as long as closing may take. A peer that left a
 * close unanswered and has sent nothing since is not waited for again: closing does not take longer for many links.
 */
export const awaitClose = (connection: Connection, effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { activity } = connection
    const { reads } = activity
    return orDeath(connection, effect).pipe(
      Effect.timeoutOrElse({
        duration: activity.readsAtUnansweredClose === reads ? 0 : closeTimeout,
        orElse: () =>
          Effect.sync(() => {
            if (activity.reads === reads) activity.readsAtUnansweredClose = reads
          })
      }),
      Effect.ignore
    )
  })
