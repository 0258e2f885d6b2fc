/**
 * The AMQP door of the embedded broker: a socket becomes a connection of rhea's server side under the same data plane as
 * the client's, and its links become consumers and senders of the broker's queues.
 *
 * Nothing is allowed without a claim: `$cbs` checks tokens for real, an attach needs the right on its entity, and a link
 * whose claim expires is detached.
 */
import * as Result from "effect/Result"
import type { AmqpError, Outcome } from "../../internal/amqp/codec/Outcome.ts"
import type { DataPlane } from "../../internal/amqp/engine/DataPlane.ts"
import * as DataPlanes from "../../internal/amqp/engine/DataPlane.ts"
import * as FrameGuard from "../../internal/amqp/engine/FrameGuard.ts"
import {
  rhea,
  type RheaConnection,
  type RheaContainer,
  type RheaLink,
  type RheaSession
} from "../../internal/amqp/engine/rhea.ts"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import * as Authorization from "../security/Authorization.ts"
import type { Place } from "./Admission.ts"
import { Refusals } from "./Conditions.ts"
import { Faults, type Operation } from "./Faults.ts"
import { Idle } from "./IdleDetach.ts"
import { attachReceiver } from "./InboundLink.ts"
import * as Node from "./ManagementNode.ts"
import * as Management from "./operations/Management.ts"
import { attachSender } from "./OutboundLink.ts"
import type { Answer, Request } from "./Request.ts"
import * as Sasl from "./Sasl.ts"
import { type Options, type Served, timer } from "./ServedConnection.ts"
import { asksForSharedSession, attachSession, sessionOf } from "./SessionOutboundLink.ts"

const nameOf = { deadLetter: "sub-queue", subscription: "subscription" }

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

/** The most bytes of a request to `$cbs`. */
const largestClaim = 1024 * 1024

const amqpHeader = Buffer.from("AMQP\x00\x01\x00\x00", "latin1")

export class Door {
  readonly options: Options
  readonly refusals: Refusals
  readonly faults = new Faults()
  readonly connections = new Set<ServedConnection>()
  private readonly container: RheaContainer

  constructor(options: Options) {
    this.options = options
    this.refusals = new Refusals(options.host, () => options.clock.currentTimeMillisUnsafe())
    this.container = rhea.create_container({ id: options.host })
    // What nobody hears rhea throws or prints.
    for (
      const event of [
        "error",
        "protocol_error",
        "connection_error",
        "connection_close",
        "session_error",
        "session_close",
        "sender_error",
        "sender_close",
        "receiver_error",
        "receiver_close",
        "disconnected"
      ]
    ) this.container.on(event, () => {})
  }

  /** The refusal that a test asked for, if any. */
  fault(operation: Operation, entity: string): AmqpError | undefined {
    const error = this.faults.take(operation, entity)
    return error === undefined ? undefined : this.refusals.injected(error, entity)
  }

  /** Destroys every connection. */
  dropAll(): void {
    for (const served of [...this.connections]) served.drop()
  }

  /** Serves a socket until it closes; closes it at once where too many others have said nothing yet. */
  accept(socket: Socket): void {
    const place = this.options.admission.begin()
    if (place === undefined) return void socket.destroy()
    this.connections.add(new ServedConnection(this, socket, this.container, place))
  }
}

/** One connection that is served. */
class ServedConnection implements Served {
  readonly door: Door
  readonly rhea: RheaConnection
  readonly plane: DataPlane
  readonly claims: Authorization.Claims
  readonly idle: Idle
  readonly heldSessions = new Map<string, string>()
  /** The links that are attached, by the address of their node as the peer wrote it. */
  readonly links = new Map<RheaLink, string>()
  private readonly socket: Socket
  private readonly closers = new Map<RheaLink, Array<() => void>>()
  /** The links that something waits for the end of, by session: a session is listened to once, not for each of its links. */
  private readonly sessions = new Map<RheaSession, Set<RheaLink>>()
  private readonly place: Place
  private stopTimers = (): void => {}
  /** The peer is told that it broke the protocol. */
  private isRefused = false
  /** Its close was written. */
  private isClosing = false

  constructor(door: Door, socket: Socket, container: RheaContainer, place: Place) {
    this.door = door
    this.socket = socket
    this.place = place
    this.claims = new Authorization.Claims(door.options.clock)
    this.idle = new Idle(this)
    this.rhea = container.create_connection({
      reconnect: false,
      container_id: door.options.host,
      max_frame_size: maxFrameSize,
      channel_max: 4999,
      receiver_options: { credit_window: 0, autoaccept: false, autosettle: false },
      sender_options: { treat_modified_as_released: false, autosettle: false }
    })
    this.plane = new DataPlanes.DataPlane(this.rhea, {
      schedule: door.options.dispatcher.schedule,
      idleTimeout,
      padded: true,
      onDecodeProblem: ({ message }) => this.violated(new FrameGuard.Violation(message, "amqp:decode-error")),
      onBreach: ({ condition, description }, session, link) => {
        const error = door.refusals.protocol(condition, description ?? "")
        if (link === undefined) this.endSession(session, error)
        else this.detach(link, error)
      }
    })
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
    this.rhea.on("session_close", ({ session }) => {
      for (const link of [...this.sessions.get(session) ?? []]) this.left(link)
      this.sessions.delete(session)
    })
    this.rhea.on("receiver_open", ({ receiver }) => this.opened(receiver, () => this.receiverOpen(receiver)))
    this.rhea.on("sender_open", ({ sender }) => this.opened(sender, () => this.senderOpen(sender)))
    socket.on("close", () => this.end())
    const guard = new FrameGuard.FrameGuard({
      role: "server",
      maxFrameSize,
      onViolation: (violation) => this.violated(violation),
      onBytes: () => {
        this.lastRead = door.options.clock.currentTimeMillisUnsafe()
      }
    })
    this.rhea.accept(FrameGuard.wrap(socket, guard))
    Sasl.serve(this.rhea, {
      policies: door.options.policies,
      authenticated: (policy) => {
        this.claims.add({ path: "", rights: policy.rights, expiresAt: Infinity })
        this.idle.authorized()
      },
      refused: () => this.finish()
    })
    this.watch()
  }

  /** Answers a peer that broke the protocol, after the answers that were due. */
  private violated(violation: FrameGuard.Violation): void {
    this.door.options.dispatcher.schedule(() => this.refuse(violation))
  }

  /** The answer is a header to what is no AMQP 1.0 (section 2.2), a close to a frame, and nothing while SASL goes on. */
  private refuse(violation: FrameGuard.Violation): void {
    this.isRefused = true
    if (violation.phase === "header") this.socket.write(amqpHeader)
    if (violation.phase === "amqp") {
      this.rhea.open()
      this.close(this.door.refusals.protocol(violation.condition, violation.message))
    }
    this.finish()
  }

  /** Ends the connection once what was written has left. */
  private finish(): void {
    this.dropLater(refusedTimeout)
    this.door.options.dispatcher.schedule(() => this.socket.end())
  }

  /** A peer that was told has some time to end the connection itself. */
  private dropLater(timeout: number): void {
    const { alarm, clock } = this.door.options
    this.stopTimers()
    const end = timer(() => this.drop())
    alarm.set(end, clock.currentTimeMillisUnsafe() + timeout)
    this.stopTimers = () => alarm.clear(end)
  }

  /** When the peer was last heard of, in milliseconds. */
  private lastRead = 0

  /** The handshake's time, our heartbeats, and the peer's silence. */
  private watch(): void {
    const { alarm, clock } = this.door.options
    const now = () => clock.currentTimeMillisUnsafe()
    const handshake = timer(() => this.drop())
    alarm.set(handshake, now() + handshakeTimeout)
    const heartbeat = timer(() => {
      this.plane.heartbeat()
      alarm.set(heartbeat, now() + this.heartbeatInterval)
    })
    // Twice what we advertise: the peer was told that half of it is safe.
    const silence = timer(() => {
      if (now() - this.lastRead >= 2 * idleTimeout) return this.drop()
      alarm.set(silence, this.lastRead + 2 * idleTimeout)
    })
    this.rhea.on("connection_open", () => {
      alarm.clear(handshake)
      if (!this.place.open()) {
        const { admission } = this.door.options
        return this.close(this.door.refusals.tooManyConnections(admission.limits.connections))
      }
      this.idle.begin()
      if (this.socket.isLocal === true) return
      alarm.set(silence, now() + 2 * idleTimeout)
      if (this.heartbeatInterval > 0) alarm.set(heartbeat, now() + this.heartbeatInterval)
    })
    this.stopTimers = () => {
      for (const each of [handshake, heartbeat, silence]) alarm.clear(each)
      this.idle.end()
    }
  }

  /** Half of the peer's idle time-out, in milliseconds; 0 where it has none. A peer gets no more than two a second. */
  private get heartbeatInterval(): number {
    const { remoteIdleTimeout } = this.plane
    return remoteIdleTimeout === undefined || remoteIdleTimeout <= 0 ? 0 : Math.max(500, remoteIdleTimeout / 2)
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
    for (const link of [...this.closers.keys()]) this.left(link)
    this.dropLater(closeTimeout)
  }

  /** Detaches a link with an error that the peer is told; nothing more is handed to it. */
  detach(link: RheaLink, error: AmqpError): void {
    link.close(error)
    this.left(link)
  }

  /** Ends a session with an error that the peer is told; nothing more is handed to its links. */
  endSession(session: RheaSession, error: AmqpError): void {
    session.close(error)
    for (const link of [...this.closers.keys()]) if (link.session === session) this.left(link)
  }

  private end(): void {
    this.place.end()
    this.door.connections.delete(this)
    this.stopTimers()
    for (const link of [...this.closers.keys()]) this.left(link)
  }

  /** A link is not there any more: what was to run at its end runs, once. */
  private left(link: RheaLink): void {
    const closers = this.closers.get(link)
    this.closers.delete(link)
    this.sessions.get(link.session)?.delete(link)
    for (const closer of closers ?? []) closer()
  }

  /** Runs a function when the link or its connection ends. */
  onEnd(link: RheaLink, closer: () => void): void {
    const closers = this.closers.get(link)
    if (closers !== undefined) return void closers.push(closer)
    this.closers.set(link, [closer])
    const once = () => this.left(link)
    const kind = link.is_receiver() ? "receiver" : "sender"
    link.on(`${kind}_close`, once)
    link.on(`${kind}_error`, () => {})
    const links = this.sessions.get(link.session)
    if (links === undefined) this.sessions.set(link.session, new Set([link]))
    else links.add(link)
  }

  private opened(link: RheaLink, serve: () => AmqpError | undefined): void {
    // What was on its way when the close was written.
    if (this.isClosing) return
    const { attach } = link.local
    const remote = link.remote.attach!
    attach["snd_settle_mode"] = remote["snd_settle_mode"]
    // As a receiver we settle first, whatever was asked for: uamqp would wait for ever for its second.
    attach["rcv_settle_mode"] = link.is_receiver() ? 0 : remote["rcv_settle_mode"]
    const { isCoordinator, problem } = this.plane.of(link.session).attaching
    const refusal = problem !== undefined
      ? this.door.refusals.protocol(problem.condition, problem.description ?? "")
      : isCoordinator
      ? this.coordinatorOpen(link)
      : serve()
    if (refusal === undefined) {
      const { source, target } = remote
      const { kind, path } = nodeOf(String((link.is_receiver() ? target : source)?.address ?? ""))
      this.links.set(link, kind === "management" ? `${path}/$management` : path)
      this.onEnd(link, () => this.links.delete(link))
      return this.idle.watch(link)
    }
    // An attach without a terminus, then a detach that says why (AMQP 1.0 section 2.6.3).
    attach["source"] = undefined
    attach["target"] = undefined
    link.close(refusal)
  }

  /** A filter that is not applied is left out, which is how the peer learns of it (AMQP 1.0 section 3.5.3). */
  private answer(link: RheaLink, filter?: object): void {
    const { source, target } = link.remote.attach!
    link.set_source({ ...address(source), ...(filter === undefined ? {} : { filter }) })
    link.set_target(address(target))
  }

  /**
   * A coordinator of transactions, which there are none of: its link is taken and every declare refused, because a client
   * with transactions across entities switched on opens one before all else, also where it never uses it (.NET 7.21). It
   * needs no claim.
   */
  private coordinatorOpen(link: RheaLink): AmqpError | undefined {
    link.set_source(address(link.remote.attach!["source"]))
    link.local.attach["target"] = coordinator()
    const plane = this.plane.link(link)
    plane.onDeliveries = (deliveries) => {
      this.idle.touch(link)
      const outcome: Outcome = { _tag: "Rejected", error: this.door.refusals.transactions("$coordinator") }
      for (const delivery of deliveries) if (!delivery.settled) plane.session.dispose(delivery, outcome, true)
      link.add_credit(deliveries.length)
    }
    link.add_credit(100)
    return undefined
  }

  /** The claim that an attach needs; the link ends with it. */
  authorize(link: RheaLink, path: string, right: Authorization.Right): AmqpError | undefined {
    const until = this.claims.heldUntil(path, right)
    if (until === undefined) return this.door.refusals.unauthorized(path, right)
    // What SASL gave does not end.
    if (until === Infinity) return undefined
    const { alarm } = this.door.options
    const expiry = timer(() => {
      const renewed = this.claims.heldUntil(path, right)
      if (renewed !== undefined) return alarm.set(expiry, renewed)
      this.detach(link, this.door.refusals.expired(path))
    })
    alarm.set(expiry, until)
    this.onEnd(link, () => alarm.clear(expiry))
    return undefined
  }

  /** The peer sends. */
  private receiverOpen(link: RheaLink): AmqpError | undefined {
    const raw = String(link.remote.attach!["target"]?.address ?? "")
    const node = nodeOf(raw)
    if (node.kind === "cbs") {
      this.answer(link)
      link.local.attach["max_message_size"] = largestClaim
      this.plane.link(link).maxMessageSize = largestClaim
      Node.serve(this, link, "dashed", () => this.replies(link, "cbs"), (request) => this.putToken(request))
      link.add_credit(100)
      return undefined
    }
    const queue = this.door.options.broker.queue(node.path)
    if (queue === undefined) return this.door.refusals.notFound(node.path)
    if (node.kind === "management") {
      const refused = this.authorizeAny(link, node.path)
      if (refused !== undefined) return refused
      this.answer(link)
      Node.serve(
        this,
        link,
        "camel",
        () => this.replies(link, node.path.toLowerCase()),
        (request) => Management.answer(this, queue, request)
      )
      link.add_credit(100)
      return undefined
    }
    if (queue.kind === "deadLetter" || queue.kind === "subscription") {
      return this.door.refusals.notAllowed(node.path, `A sender cannot be created on a ${nameOf[queue.kind]}.`)
    }
    const refused = this.authorize(link, node.path, "Send") ?? this.door.fault("attach", queue.path)
    if (refused !== undefined) return refused
    this.answer(link)
    attachReceiver(this, queue, link)
    return undefined
  }

  /** The peer receives. */
  private senderOpen(link: RheaLink): AmqpError | undefined {
    const node = nodeOf(String(link.remote.attach!["source"]?.address ?? ""))
    if (node.kind === "cbs") {
      this.answer(link)
      this.remember(link, "cbs")
      return undefined
    }
    const queue = this.door.options.broker.queue(node.path)
    if (queue === undefined) return this.door.refusals.notFound(node.path)
    if (node.kind === "management") {
      const refused = this.authorizeAny(link, node.path)
      if (refused !== undefined) return refused
      this.answer(link)
      this.remember(link, node.path.toLowerCase())
      return undefined
    }
    if (queue.kind === "topic") {
      return this.door.refusals.notAllowed(node.path, "A receiver cannot be created on a topic. Use a subscription.")
    }
    const isShared = asksForSharedSession(link)
    const id = sessionOf(link)
    const refused = this.authorize(link, node.path, "Listen") ?? this.door.fault("attach", queue.path) ??
      (isShared
        ? this.door.refusals.filterType(node.path, link.name)
        : this.door.refusals.sessions(node.path, queue.sessions !== undefined, id !== undefined))
    if (refused !== undefined) return refused
    if (id !== undefined) return attachSession(this, queue, link, id, (filter) => this.answer(link, filter))
    this.answer(link)
    attachSender(this, queue, link)
    return undefined
  }

  /** The management node is open to whoever may send or listen; each operation asks for its own right. */
  private authorizeAny(link: RheaLink, path: string): AmqpError | undefined {
    return this.claims.heldUntil(path, "Send") !== undefined
      ? this.authorize(link, path, "Send")
      : this.authorize(link, path, "Listen")
  }

  /** The links that responses of a node go out on, of each session. */
  private readonly replyLinks = new Map<RheaSession, Map<string, Array<RheaLink>>>()

  private remember(link: RheaLink, node: string): void {
    let nodes = this.replyLinks.get(link.session)
    if (nodes === undefined) this.replyLinks.set(link.session, nodes = new Map())
    nodes.set(node, [...nodes.get(node) ?? [], link])
    this.onEnd(link, () => {
      const left = nodes.get(node)!.filter((other) => other !== link)
      if (left.length > 0) return void nodes.set(node, left)
      nodes.delete(node)
      if (nodes.size === 0) this.replyLinks.delete(link.session)
    })
  }

  private replies(link: RheaLink, node: string): ReadonlyArray<RheaLink> {
    return this.replyLinks.get(link.session)?.get(node) ?? []
  }

  /** Whether a claim can be on a path: the namespace's, an entity's, or one that entities lie below. */
  private isKnown(path: string): boolean {
    const { broker } = this.door.options
    if (path === "" || path.toLowerCase() === "$cbs" || broker.queue(path) !== undefined) return true
    const below = `${path.toLowerCase()}/`
    return broker.queues().some((queue) => queue.path.toLowerCase().startsWith(below))
  }

  /** Whether a host is this broker: by its own name, as this machine, or as the peer called it when it opened the connection. */
  private isOurs(host: string): boolean {
    const called = this.rhea.remote.open?.["hostname"]
    return Authorization.isLoopback(host) || host === Authorization.hostOf(this.door.options.host) ||
      typeof called === "string" && host === Authorization.hostOf(called)
  }

  private putToken(request: Request): Answer {
    const { clock, identityKey, policies } = this.door.options
    const { name, type } = request.properties
    if (request.operation !== "put-token") {
      return { status: 501, error: this.door.refusals.notImplemented("$cbs", request.operation) }
    }
    if (typeof name !== "string" || typeof request.body !== "string") {
      return { status: 400, error: this.door.refusals.argument("$cbs", "name and token must be strings.") }
    }
    const audience = name
    const token = request.body
    const now = clock.currentTimeMillisUnsafe()
    const isOurs = (host: string) => this.isOurs(host)
    let checked: Result.Result<Authorization.Claim, Authorization.TokenProblem>
    if (type === "jwt" || type === "amqp:jwt") {
      // Some clients call a SAS token that as well.
      checked = token.startsWith("SharedAccessSignature ")
        ? Authorization.check(policies, token, audience, now, isOurs)
        : Authorization.checkMinted(identityKey, token, audience, now)
    } else if (type === "servicebus.windows.net:sastoken" || type === "amqp:swt") {
      checked = Authorization.check(policies, token, audience, now, isOurs)
    } else return { status: 400, error: this.door.refusals.argument("$cbs", "Unknown token type.") }
    if (Result.isFailure(checked)) {
      return { status: 401, error: this.door.refusals.token(checked.failure, audience) }
    }
    const { path } = nodeOf(audience)
    if (!this.isKnown(path)) return { status: 404, error: this.door.refusals.notFound(path) }
    this.claims.add(checked.success)
    this.idle.authorized()
    return { status: 202, description: "Accepted" }
  }
}

/** A coordinator as a terminus (AMQP 1.0 section 4.5.1): a list of no capabilities. */
const coordinator = (): unknown => rhea.types.wrap_described([null], 0x30)

const address = (terminus: { readonly address?: unknown } | undefined): { readonly address?: string } =>
  typeof terminus?.address === "string" ? { address: terminus.address } : {}

type NodeAddress = { readonly kind: "cbs" | "management" | "entity"; readonly path: string }

/** The node that an address names (Service Bus protocol guide). */
const nodeOf = (raw: string): NodeAddress => {
  const path = Authorization.bareOf(raw)
  const lower = path.toLowerCase()
  if (lower === "$cbs") return { kind: "cbs", path }
  return lower.endsWith("/$management")
    ? { kind: "management", path: path.slice(0, -"/$management".length) }
    : { kind: "entity", path }
}
