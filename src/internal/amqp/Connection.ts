/**
 * One AMQP connection as a scoped resource: it is open when the effect succeeds and closed when the scope closes. It
 * dies once, for one reason, and tells that reason to everybody who holds something of it; it never comes back to life.
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
import { monotonic, whole } from "../monotonicClock.ts"
import { DataPlane } from "./engine/DataPlane.ts"
import * as Dispatcher from "./engine/Dispatcher.ts"
import * as FrameGuard from "./engine/FrameGuard.ts"
import * as FrameTrace from "./engine/FrameTrace.ts"
import { engine, type RheaConnection, type RheaSession } from "./engine/rhea.ts"
import * as Transport from "./transport/Transport.ts"

/** Why a connection died. */
export type Death = ConnectError

export interface Connection {
  readonly promised: { readonly _connection: RheaConnection }
  readonly rhea: RheaConnection
  readonly plane: DataPlane
  readonly dispatcher: Dispatcher.Dispatcher
  /** What the peer has left unanswered, if anything: see `farewell`. */
  readonly silence: Silence
  /** How many answers have come: heartbeats are none, nor deliveries, but for those that are responses. */
  readonly heard: () => number
  /** A response has come. */
  readonly hear: () => void
  /**
   * Something that was on the wire had no answer in its time; `heard` is what had been heard when it left. Where nothing was
   * heard since, the peer is asked for what it answers at once, and given up where it does not.
   */
  readonly doubt: (heard: number) => void
  /** Why the connection is dead; undefined while it lives. */
  readonly dead: () => Death | undefined
  /** Runs a function when the connection dies, at once if it is dead; gives the function that takes it back. */
  readonly onDeath: (hook: (death: Death) => void) => () => void
}

interface Silence {
  /** How often bytes came. */
  reads: number
  /** When they came last, in milliseconds of the monotonic clock. */
  lastRead: number
  /** How often they had come when the peer last left a goodbye unanswered; -1 where it never did. */
  since: number
}

export interface Options {
  readonly endpoint: Transport.Endpoint
  /** The namespace, which the open frame names also where another host is dialled. */
  readonly hostname: string
  readonly containerId: string
  readonly userAgent: string
  /** Milliseconds for connecting, SASL and open together. */
  readonly openTimeout: number
  /** Told of every frame, where somebody wants to know. */
  readonly frameTrace?: ((line: FrameTrace.TracedFrame) => void) | undefined
}

/** Ours: the peer may send nothing for as long (AMQP 1.0 section 2.4.5). */
const idleTimeout = 60_000

/** The largest frame that we take; what Service Bus takes. */
const maxFrameSize = 65536

/** How long a peer that seems to hear nothing may take to begin a session, in milliseconds. */
const probeTimeout = 30_000

/** How long closing waits for the peer before the socket is destroyed. */
const closeTimeout = 1_000

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
  const silence: Silence = { reads: 0, lastRead: monotonic(clock), since: -1 }
  const doubted = Latch.makeUnsafe(false)
  const guard = new FrameGuard.FrameGuard({
    role: "client",
    maxFrameSize,
    onViolation: (violation) => broken(violation, violation.condition),
    onBytes: () => {
      silence.reads++
      silence.lastRead = monotonic(clock)
    }
  })
  const promised = new engine.Connection({
    host: options.endpoint.host,
    hostname: options.hostname,
    port: options.endpoint.port,
    username: "anonymous",
    reconnect: false,
    container_id: options.containerId,
    max_frame_size: maxFrameSize,
    channel_max: 4999,
    // Longer than any time-out of ours: rhea-promise's own timers never win.
    operationTimeoutInSeconds: 3600,
    properties: {
      product: "effect-service-bus",
      "user-agent": options.userAgent,
      platform: `Node/${process.version}`
    },
    connection_details: () => ({
      host: options.endpoint.host,
      port: options.endpoint.port,
      options: {},
      connect: (_port: number, _host: string, _options: object, connected: () => void) => {
        plane = new DataPlane(rhea, {
          schedule: dispatcher.schedule,
          idleTimeout,
          padded: false,
          onDecodeProblem: (problem) => broken(problem, "amqp:decode-error"),
          onBreach: ({ condition, description }) => broken(new Error(description), condition)
        })
        dispatcher.schedule(connected)
        return FrameGuard.wrap(socket, guard)
      }
    })
  })
  const rhea = promised._connection
  // rhea-promise listens here for each link that is being attached: as many as a peer allows, and no leak.
  rhea.setMaxListeners(0)
  const repeated = promised as unknown as { on(event: string, f: () => void): void }
  // rhea-promise repeats rhea's events; an `error` without a listener would be thrown.
  repeated.on("error", () => {})

  const die = (reason: Death): void => {
    if (death !== undefined) return
    death = reason
    socket.destroy()
    for (const hook of [...hooks]) hook(reason)
    hooks.clear()
  }
  /** The peer is told why, as far as a socket takes it that is destroyed then; and so are those who use the connection. */
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
          ? errorMap.closed({ condition: error.condition, description: error.description })
          : errorMap.connectError({ condition: error.condition, description: error.description })
        : errorMap.connectionLost(error instanceof Error ? error.message : "the peer closed the socket", error)
    )
  rhea.on("connection_error", (context) => failed(context.error))
  rhea.on("connection_close", (context) => {
    if (!closing) failed(context.connection.error ?? new Error("the peer closed the connection"))
  })
  rhea.on(
    "disconnected",
    (context) =>
      die(
        context.error === undefined
          ? errorMap.connectionLost("the peer closed the socket")
          : errorMap.fromSocket(context.error)
      )
  )
  // After these rhea only half-closes; the socket is destroyed by `die`.
  rhea.on("protocol_error", failed)
  rhea.on("error", (error) => failed(error?.error ?? error))
  for (
    const name of ["session_error", "session_close", "sender_error", "sender_close", "receiver_error", "receiver_close"]
  ) {
    rhea.on(name, () => {})
  }
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
      return farewell(connection, awaitEvent(rhea, "connection_close", () => rhea.close())).pipe(
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
    silence,
    heard: () => guard.answers,
    hear: () => {
      guard.answers++
    },
    doubt: (heard) => {
      if (death === undefined && guard.answers === heard) doubted.openUnsafe()
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
  yield* orDeath(connection, awaitEvent(rhea, "connection_open", () => rhea.connect()))
  isOpened = true
  const doubting = Effect.forever(Effect.andThen(doubted.await, probe(connection, doubted, die)))
  const timers = socket.isLocal === true ? [] : [heartbeats(connection), watchdog(clock, silence, die)]
  for (const timer of [...timers, doubting]) {
    const fiber = yield* Effect.forkIn(timer, scope, { startImmediately: true })
    // Who does not use it any more may hold a dead connection for long.
    connection.onDeath(() => fiber.interruptUnsafe())
  }
  return connection
})

/** What a timer may come late by, in milliseconds: by more the process was asleep. */
const lateness = 5_000

/**
 * Ends a connection whose peer has said nothing for twice the time that we allow it. A process that was asleep does not take
 * its own silence for the peer's: what came meanwhile is read first.
 */
const watchdog = Effect.fnUntraced(function*(clock: Clock.Clock, silence: Silence, die: (reason: Death) => void) {
  for (;;) {
    const due = silence.lastRead + 2 * idleTimeout
    yield* Effect.sleep(due - monotonic(clock))
    if (monotonic(clock) > due + lateness) yield* Effect.sleep(lateness)
    if (silence.lastRead + 2 * idleTimeout > due) continue
    return die(errorMap.connectionLost(`the peer said nothing for ${2 * idleTimeout / 1000} seconds`))
  }
})

/**
 * Asks a peer that answers nothing to begin a session, which every peer does at once, and gives the connection up where it
 * does not: what we write may vanish on its way while its heartbeats still come.
 */
const probe = (
  connection: Connection,
  doubted: Latch.Latch,
  die: (reason: Death) => void
): Effect.Effect<void> =>
  Effect.suspend(() => {
    doubted.closeUnsafe()
    const { rhea } = connection
    const heard = connection.heard()
    const session = rhea.create_session()
    const isAllowed = session.local.channel <= channelMax(connection)
    if (!isAllowed) {
      session.remove()
      // Every session has one that was begun before it: it is asked where it stands.
      connection.plane.ask()
    }
    return awaitEvent(session, "session_open", () => isAllowed ? session.begin() : undefined).pipe(
      Effect.timeoutOption(probeTimeout),
      Effect.andThen(Effect.sync(() => {
        if (connection.heard() === heard) {
          return die(errorMap.connectionLost(`the peer answered nothing for ${probeTimeout / 1000} seconds and more`))
        }
        if (isAllowed) giveUp(session)
      }))
    )
  })

/** The highest channel that the peer takes (AMQP 1.0 section 2.7.1). */
export const channelMax = ({ rhea }: Connection): number => rhea.remote.open?.["channel_max"] ?? 65535

/** Ends a session that is not wanted any more: not before the peer has begun it (AMQP 1.0 section 2.5.5). */
export const giveUp = (session: RheaSession): void => {
  const { local_open, remote_open } = session.state
  if (remote_open) session.close()
  // The peer has never heard of it.
  else if (!local_open) session.remove()
  else session.once("session_open", () => session.close())
}

/** An empty frame at half of the peer's idle time-out. */
const heartbeats = (connection: Connection): Effect.Effect<void> =>
  Effect.suspend(() => {
    const timeout = connection.plane.remoteIdleTimeout
    if (timeout === undefined || timeout <= 0) return Effect.void
    // A peer that asks for less than two frames a second is not served as it wishes: it could keep us busy with nothing.
    return Effect.sleep(whole(Math.max(500, timeout / 2))).pipe(
      Effect.andThen(Effect.sync(() => {
        if (connection.dead() === undefined) connection.plane.heartbeat()
      })),
      Effect.forever
    )
  })

const isAmqp = (error: unknown): error is { readonly condition: string; readonly description?: string | undefined } =>
  typeof error === "object" && error !== null &&
  typeof (error as { readonly condition?: unknown }).condition === "string"

/** Waits for an event of an object of rhea. The action runs once the listener is there. */
export const awaitEvent = (
  emitter: { on(e: string, f: (x: any) => void): unknown; removeListener(e: string, f: (x: any) => void): unknown },
  event: string,
  action: () => void
): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const listener = () => {
      emitter.removeListener(event, listener)
      resume(Effect.void)
    }
    emitter.on(event, listener)
    action()
    return Effect.sync(() => {
      emitter.removeListener(event, listener)
    })
  })

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
 * Asks the peer for something that ends, and waits for its answer for as long as closing may take. A peer that left one
 * unanswered and has said nothing since is not waited for again: closing does not take longer for many links.
 */
export const farewell = (connection: Connection, effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { silence } = connection
    const { reads } = silence
    return orDeath(connection, effect).pipe(
      Effect.timeoutOrElse({
        duration: silence.since === reads ? 0 : closeTimeout,
        orElse: () =>
          Effect.sync(() => {
            if (silence.reads === reads) silence.since = reads
          })
      }),
      Effect.ignore
    )
  })
