/**
 * One connection that the broker serves: its handshake, heartbeats and end, what it is told when it breaks the protocol, and
 * the links and claims that it has.
 *
 * It is of no namespace until it is known which one is meant: by what it signs in with, or by the first token that it puts, and
 * by the host that it opens. Until then it may put tokens, and nothing else.
 *
 * The connection owns its socket, its time-outs and the finalizers of its links. However it ends, each finalizer runs once,
 * and no time-out, listener or link is left.
 */
import * as Result from "effect/Result"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import { DataPlane } from "../../internal/amqp/engine/DataPlane.ts"
import * as FrameGuard from "../../internal/amqp/engine/FrameGuard.ts"
import type { RheaConnection, RheaContainer, RheaLink, RheaSession } from "../../internal/amqp/engine/rhea.ts"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import * as Authorization from "../security/Authorization.ts"
import type { Admitted } from "./Admission.ts"
import { IdleDetach } from "./IdleDetach.ts"
import * as LinkAttach from "./LinkAttach.ts"
import { LinkFinalizers } from "./LinkFinalizers.ts"
import { ReplyLinks } from "./ManagementNode.ts"
import * as Sasl from "./Sasl.ts"
import type { ServedConnection, ServedNamespace, Server } from "./ServedConnection.ts"
import { timeout } from "./Timeout.ts"

/** What the service advertises, in milliseconds (Service Bus protocol guide). */
const idleTimeout = 240_000

/** How long a peer may take for its header, SASL and open, in milliseconds. */
const handshakeTimeout = 5_000

/** What we advertise. */
const maxFrameSize = 65536

/** How long a peer that was told why may leave the connection open, in milliseconds. */
const closeTimeout = 5_000

/** The same for one that is not listened to any more, because it broke the protocol. */
const refusedTimeout = 1_000

const amqpHeader = Buffer.from("AMQP\x00\x01\x00\x00", "latin1")

/** A connection that is served from when it is made. */
export class AmqpConnection implements ServedConnection {
  readonly server: Server
  namespace: ServedNamespace
  isPlaced = false
  readonly acceptedAt: number
  readonly rhea: RheaConnection
  readonly plane: DataPlane
  readonly claims: Authorization.Claims
  readonly idle: IdleDetach
  readonly heldSessions = new Map<string, string>()
  readonly links = new Map<RheaLink, string>()
  /** What it has signed in with, until it is open: the host that it opens may name its namespace. */
  private signedIn: Authorization.Credential | undefined
  private readonly socket: Socket
  private readonly admitted: Admitted
  private readonly ended: (connection: AmqpConnection) => void
  private readonly finalizers = new LinkFinalizers()
  private readonly replies = new ReplyLinks(this)
  private stopTimers = (): void => {}
  /** When the peer was last heard of, in milliseconds. */
  private lastRead = 0
  /** The peer is told that it broke the protocol. */
  private isRefused = false
  /** Its close was written. */
  private isClosing = false

  /** `ended` is called when the connection is over. */
  constructor(
    server: Server,
    container: RheaContainer,
    socket: Socket,
    admitted: Admitted,
    ended: (connection: AmqpConnection) => void
  ) {
    this.server = server
    this.namespace = server.namespaces.first
    this.acceptedAt = server.options.clock.currentTimeMillisUnsafe()
    if (server.namespaces.isAlone) this.namespace.join(this)
    this.socket = socket
    this.admitted = admitted
    this.ended = ended
    this.claims = new Authorization.Claims(server.options.clock)
    this.idle = new IdleDetach(this)
    this.rhea = container.create_connection({
      reconnect: false,
      container_id: server.options.host,
      max_frame_size: maxFrameSize,
      channel_max: 4999,
      receiver_options: { credit_window: 0, autoaccept: false, autosettle: false },
      sender_options: { treat_modified_as_released: false, autosettle: false }
    })
    this.plane = new DataPlane(this.rhea, {
      schedule: server.options.dispatcher.schedule,
      idleTimeout,
      padded: true,
      beforeWrite: server.options.commit === undefined ? undefined : () => this.commit(server.options.commit!),
      onDecodeProblem: ({ message }) => this.violated(new FrameGuard.Violation(message, "amqp:decode-error")),
      onBreach: ({ condition, description }, session, link) => {
        const error = this.namespace.conditions.protocol(condition, description ?? "")
        if (link === undefined) this.endSession(session, error)
        else this.detach(link, error)
      }
    })
    this.listen()
    socket.on("close", () => this.end())
    const guard = new FrameGuard.FrameGuard({
      role: "server",
      maxFrameSize,
      onViolation: (violation) => this.violated(violation),
      onBytes: () => {
        this.lastRead = server.options.clock.currentTimeMillisUnsafe()
      }
    })
    this.rhea.accept(FrameGuard.wrap(socket, guard))
    Sasl.serve(this.rhea, {
      signIn: (credential, host) => this.signIn(credential, host),
      refused: () => this.finish()
    })
    this.watch()
  }

  private listen(): void {
    this.rhea.on("disconnected", () => this.drop())
    // What rhea itself cannot read; after these it only half-closes.
    for (const event of ["protocol_error", "error"]) {
      this.rhea.on(event, (error) => {
        // What it cannot write it cannot write a second time either.
        if (this.isRefused) return this.drop()
        this.refuse(new FrameGuard.Violation(error instanceof Error ? error.message : "The frame cannot be read."))
        this.rhea._process()
      })
    }
    this.rhea.on("connection_close", () => this.end())
    this.rhea.on("session_close", ({ session }) => this.finalizers.forgetSession(session))
    this.rhea.on("receiver_open", ({ receiver }) => this.attach(receiver))
    this.rhea.on("sender_open", ({ sender }) => this.attach(sender))
  }

  place(namespace: ServedNamespace): void {
    this.isPlaced = true
    this.namespace.leave(this)
    this.namespace = namespace
    namespace.join(this)
  }

  /** Gives the rights of a key to the whole connection, in the namespace that the key and the host mean. */
  private signIn(credential: Authorization.Credential, host: string | undefined): boolean {
    const found = this.server.namespaces.find(host, credential)
    if (Result.isFailure(found)) return false
    const policy = credential.provenBy(found.success.policies)
    if (Result.isFailure(policy)) return false
    this.signedIn = credential
    this.place(found.success)
    this.claims.add({ path: "", grants: Authorization.everywhere(policy.success.rights), expiresAt: Infinity })
    this.idle.authorized()
    return true
  }

  /** It has opened a host; false where what it has signed in with does not hold for that one. */
  private opened(): boolean {
    const credential = this.signedIn
    this.signedIn = undefined
    const { hostname } = this.rhea.remote.open!
    return credential === undefined || typeof hostname !== "string" || this.signIn(credential, hostname)
  }

  private attach(link: RheaLink): void {
    // What was on its way when the close was written.
    if (!this.isClosing) LinkAttach.attach(this, this.replies, link)
  }

  /** The handshake's time, our heartbeats, and the peer's silence. */
  private watch(): void {
    const { admission, clock, deadlines } = this.server.options
    const now = () => clock.currentTimeMillisUnsafe()
    const handshake = timeout(() => this.drop())
    deadlines.set(handshake, now() + handshakeTimeout)
    const heartbeat = timeout(() => {
      this.plane.heartbeat()
      deadlines.set(heartbeat, now() + this.heartbeatInterval)
    })
    // Twice what we advertise: the peer was told that half of it is safe.
    const silence = timeout(() => {
      if (now() - this.lastRead >= 2 * idleTimeout) return this.drop()
      deadlines.set(silence, this.lastRead + 2 * idleTimeout)
    })
    this.rhea.on("connection_open", () => {
      deadlines.clear(handshake)
      if (!this.admitted.open()) {
        return this.close(this.namespace.conditions.tooManyConnections(admission.limits.connections))
      }
      if (!this.opened()) return this.close(this.namespace.conditions.token("InvalidSignature", "$connection"))
      this.signedIn = undefined
      this.idle.begin()
      if (this.socket.isLocal === true) return
      deadlines.set(silence, now() + 2 * idleTimeout)
      if (this.heartbeatInterval > 0) deadlines.set(heartbeat, now() + this.heartbeatInterval)
    })
    this.stopTimers = () => {
      for (const each of [handshake, heartbeat, silence]) deadlines.clear(each)
      this.idle.end()
    }
  }

  /** Half of the peer's idle time-out, in milliseconds; 0 where it has none. A peer gets no more than two a second. */
  private get heartbeatInterval(): number {
    const { remoteIdleTimeout } = this.plane
    return remoteIdleTimeout === undefined || remoteIdleTimeout <= 0 ? 0 : Math.max(500, remoteIdleTimeout / 2)
  }

  /** Answers a peer that broke the protocol, after the answers that were due. */
  private violated(violation: FrameGuard.Violation): void {
    this.server.options.dispatcher.schedule(() => this.refuse(violation))
  }

  /** The answer is a header to what is no AMQP 1.0 (section 2.2), a close to a frame, and nothing while SASL goes on. */
  private refuse(violation: FrameGuard.Violation): void {
    this.isRefused = true
    if (violation.phase === "header") this.socket.write(amqpHeader)
    if (violation.phase === "amqp") {
      this.rhea.open()
      this.close(this.namespace.conditions.protocol(violation.condition, violation.message))
    }
    this.finish()
  }

  /** Ends the connection once what was written has left. */
  private finish(): void {
    this.dropLater(refusedTimeout)
    this.server.options.dispatcher.schedule(() => this.socket.end())
  }

  /** A peer that was told has some time to end the connection itself. */
  private dropLater(delay: number): void {
    const { clock, deadlines } = this.server.options
    this.stopTimers()
    const end = timeout(() => this.drop())
    deadlines.set(end, clock.currentTimeMillisUnsafe() + delay)
    this.stopTimers = () => deadlines.clear(end)
  }

  /** Has what it is about to tell be kept. What cannot be kept is not told: the peer learns that it does not know. */
  private commit(commit: () => boolean): boolean {
    const isKept = commit()
    if (!isKept) this.server.options.dispatcher.schedule(() => this.drop())
    return isKept
  }

  /** Destroys the socket, without a word to the peer. */
  drop(): void {
    this.end()
    this.socket.destroy()
  }

  /** Closes the connection with an error that the peer is told, once it is open; nothing more is handed to it. */
  close(error: AmqpError): void {
    if (!this.rhea.state.local_open) return this.drop()
    this.isClosing = true
    this.rhea.close(error)
    this.finalizers.runAll()
    this.dropLater(closeTimeout)
  }

  detach(link: RheaLink, error: AmqpError): void {
    this.flush(link)
    link.close(error)
    this.finalizers.run(link)
  }

  /** Writes what was delivered on a link before it ends: the broker has forgotten what is received and deleted. */
  flush(link: RheaLink): void {
    if (this.plane.link(link).pending > 0) this.rhea._process()
  }

  /** Ends a session with an error that the peer is told; nothing more is handed to its links. */
  endSession(session: RheaSession, error: AmqpError): void {
    session.close(error)
    this.finalizers.runSession(session)
  }

  onEnd(link: RheaLink, finalizer: () => void): void {
    this.finalizers.add(link, finalizer)
  }

  private end(): void {
    // What came in the same read is not served any more: a session would be held by a connection that is gone.
    this.isClosing = true
    this.admitted.end()
    this.namespace.leave(this)
    this.ended(this)
    this.stopTimers()
    this.finalizers.runAll()
  }
}
