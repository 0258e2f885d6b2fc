/**
 * The connection, session and link endpoints of a client, as rhea-promise makes them: with the options under which it neither
 * reconnects, nor settles, nor gives credit, nor runs a timer by itself. Its Promises are never looked at; the client waits for
 * rhea's events.
 *
 * An endpoint belongs to the connection, session or link that asked for it, which closes or abandons it.
 */
import * as Effect from "effect/Effect"
import type { Socket } from "../transport/Socket.ts"
import {
  type Emitter,
  engine,
  type PromisedConnection,
  type RheaConnection,
  type RheaLink,
  type RheaSession
} from "./rhea.ts"

interface ConnectionOptions {
  readonly host: string
  readonly port: number
  /** The name in the open frame. */
  readonly hostname: string
  readonly containerId: string
  readonly userAgent: string
  readonly maxFrameSize: number
  /** Called when rhea connects, which happens once; `connected` is to be called when the socket it gives is open. */
  readonly connect: (connected: () => void) => Socket
}

/** A connection that is not open yet; its `_connection` is rhea's. */
export const makeConnection = (options: ConnectionOptions): PromisedConnection => {
  const { host, port } = options
  const promised = new engine.Connection({
    host,
    hostname: options.hostname,
    port,
    username: "anonymous",
    reconnect: false,
    container_id: options.containerId,
    max_frame_size: options.maxFrameSize,
    channel_max: 4999,
    // Longer than any time-out of ours: rhea-promise's own timers never win.
    operationTimeoutInSeconds: 3600,
    properties: {
      product: "effect-service-bus",
      "user-agent": options.userAgent,
      platform: `Node/${process.version}`
    },
    connection_details: () => ({
      host,
      port,
      options: {},
      connect: (_port: number, _host: string, _options: object, connected: () => void) => options.connect(connected)
    })
  })
  const rhea = promised._connection
  // rhea-promise listens here for each link that is being attached: as many as a peer allows, and no leak.
  rhea.setMaxListeners(0)
  // rhea-promise repeats rhea's events, and an `error` without a listener would be thrown.
  promised.on("error", () => {})
  return promised
}

/** How a connection ends. */
interface ConnectionEnd {
  /** With an error of the peer, of the engine, or of the protocol. */
  readonly failed: (error: unknown) => void
  /** By a close of the peer, with its error if it gave one. */
  readonly closed: (error: unknown) => void
  /** With its socket. */
  readonly disconnected: (error: unknown) => void
}

export const onConnectionEnd = (rhea: RheaConnection, end: ConnectionEnd): void => {
  rhea.on("connection_error", (context) => end.failed(context.error))
  rhea.on("connection_close", (context) => end.closed(context.connection.error))
  rhea.on("disconnected", (context) => end.disconnected(context.error))
  rhea.on("protocol_error", end.failed)
  rhea.on("error", (error) => end.failed(error?.error ?? error))
  // Sessions and links listen for their own; what has no listener becomes an `error` of the connection.
  for (
    const name of ["session_error", "session_close", "sender_error", "sender_close", "receiver_error", "receiver_close"]
  ) {
    rhea.on(name, () => {})
  }
}

/** What rhea-promise attaches the links of a session with. */
export type LinkMaker = InstanceType<typeof engine.Session>

export const linkMakerOf = (connection: PromisedConnection, session: RheaSession): LinkMaker =>
  new engine.Session(connection, session)

export interface LinkOptions {
  readonly role: "sender" | "receiver"
  readonly name: string
  /** The node: target of a sender, source of a receiver. */
  readonly address: string
  /** The other terminus. */
  readonly local?: string | undefined
  readonly filter?: object | undefined
  readonly properties?: Record<string, unknown> | undefined
  readonly sndSettleMode?: 0 | 1 | 2
  readonly rcvSettleMode?: 0 | 1
}

/** Attaches a link; it is there at once, and open once the peer has answered. An abort gives it up before that. */
export const makeLink = (
  maker: LinkMaker,
  session: RheaSession,
  options: LinkOptions,
  abortSignal: AbortSignal
): RheaLink => {
  const node = { address: options.address, ...(options.filter === undefined ? {} : { filter: options.filter }) }
  const other = options.local === undefined ? {} : { address: options.local }
  const isSender = options.role === "sender"
  // The Promise resolves also for a link that is refused.
  maker[isSender ? "createSender" : "createReceiver"]({
    name: options.name,
    ...(isSender ? { target: node, source: other } : { source: node, target: other, credit_window: 0 }),
    autoaccept: false,
    autosettle: false,
    ...(options.sndSettleMode === undefined ? {} : { snd_settle_mode: options.sndSettleMode }),
    ...(options.rcvSettleMode === undefined ? {} : { rcv_settle_mode: options.rcvSettleMode }),
    ...(options.properties === undefined ? {} : { properties: options.properties }),
    onError: () => {},
    abortSignal
  }).catch(() => {})
  return session.links[options.name]!
}

/** Whether the peer's attach has the node as a terminus: without one it refuses the link, and detaches it next. */
export const isAccepted = (link: RheaLink): boolean => {
  const { attach } = link.remote
  const terminus = link.is_receiver() ? attach?.["source"] : attach?.["target"]
  return terminus?.address !== undefined && terminus.address !== null
}

/** Closes what is open still; for `awaitEvent`. */
export const closeIfOpen = (endpoint: { readonly is_open: () => boolean; readonly close: () => void }): boolean => {
  if (!endpoint.is_open()) return false
  endpoint.close()
  return true
}

/** Ends a session that is not wanted any more: not before the peer has begun it (AMQP 1.0 section 2.5.5). */
export const abandonSession = (session: RheaSession): void => {
  const { local_open, remote_open } = session.state
  if (remote_open) session.close()
  // No begin was written.
  else if (!local_open) session.remove()
  else session.once("session_open", () => session.close())
}

/**
 * Waits for an event of an object of rhea. The action runs once the listener is there; where it gives `false`, what it was for
 * has come while the fiber yielded before this, and nothing is waited for.
 */
export const awaitEvent = (emitter: Emitter, event: string, action: () => boolean | void): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const listener = () => {
      emitter.removeListener(event, listener)
      resume(Effect.void)
    }
    emitter.on(event, listener)
    if (action() === false) listener()
    return Effect.sync(() => {
      emitter.removeListener(event, listener)
    })
  })
