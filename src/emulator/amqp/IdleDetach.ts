/**
 * The idle rules of the service (Service Bus protocol guide, idle and forced-close rules): a link without traffic is
 * detached, and a connection without links, or without a token, is closed. Heartbeats are no traffic.
 *
 * Each connection has its own; it owns one time-out for each link and two for the connection, and ends them with it.
 */
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Activity, IdleLimits, ServedConnection } from "./ServedConnection.ts"
import { type Timeout, timeout } from "./Timeout.ts"

/** The limits of the service. */
export const limits: IdleLimits = { link: 600_000, connection: 300_000 }

/** The limits of a broker that ends nothing for being idle. */
export const never: IdleLimits = { link: Infinity, connection: Infinity }

/** A new connection has no longer than this for its first link. */
const firstLink = 60_000

/** A new connection has no longer than this, from its open on, for its first token. */
const firstToken = 20_000

/** The idle rules of one connection. */
export class IdleDetach implements Activity {
  private readonly connection: ServedConnection
  private readonly links = new Map<RheaLink, IdleLink>()
  /** By name, which is unique in each direction of a session only. */
  private readonly named = new Map<string, Set<RheaLink>>()
  private readonly unlinked: Timeout
  private readonly unauthorized: Timeout
  private allowed = 0
  private isAuthorized = false

  constructor(connection: ServedConnection) {
    this.connection = connection
    this.unlinked = timeout(() => connection.close(connection.namespace.conditions.inactive(this.allowed)))
    this.unauthorized = timeout(() => connection.close(connection.namespace.conditions.anonymous(firstToken)))
  }

  private get now(): number {
    return this.connection.server.options.clock.currentTimeMillisUnsafe()
  }

  /** The connection is open. */
  begin(): void {
    const { deadlines, idle } = this.connection.server.options
    this.expectLink(Math.min(firstLink, idle.connection))
    if (!this.isAuthorized) deadlines.set(this.unauthorized, this.now + firstToken)
  }

  /** The connection is over, or being closed. */
  end(): void {
    const { deadlines } = this.connection.server.options
    for (const timer of [this.unlinked, this.unauthorized, ...this.links.values()]) deadlines.clear(timer)
    this.links.clear()
    this.named.clear()
  }

  /** A token was put, or the peer has signed in with a key. */
  authorized(): void {
    this.isAuthorized = true
    this.connection.server.options.deadlines.clear(this.unauthorized)
  }

  /** A link was attached. */
  watch(link: RheaLink): void {
    const { deadlines, idle } = this.connection.server.options
    deadlines.clear(this.unlinked)
    const watched = new IdleLink(this.connection, link)
    this.links.set(link, watched)
    const { name } = link
    const named = this.named.get(name)
    if (named === undefined) this.named.set(name, new Set([link]))
    else named.add(link)
    this.touch(link)
    watched.start()
    link.on(link.is_receiver() ? "receiver_flow" : "sender_flow", () => this.touch(link))
    this.connection.onEnd(link, () => {
      deadlines.clear(watched)
      const named = this.named.get(name)
      if (named?.delete(link) === true && named.size === 0) this.named.delete(name)
      if (!this.links.delete(link) || this.links.size > 0) return
      this.expectLink(idle.connection)
    })
  }

  /** How long the connection may go without a link. */
  private expectLink(allowed: number): void {
    this.allowed = allowed
    if (allowed < Infinity) this.connection.server.options.deadlines.set(this.unlinked, this.now + allowed)
  }

  /** A link has traffic, or will not be expected to have any until a time. */
  touch(link: RheaLink, at = this.now): void {
    const watched = this.links.get(link)
    if (watched !== undefined) watched.last = Math.max(watched.last, at)
  }

  /** A request has been made for a link, and names it. */
  touchNamed(name: string): void {
    for (const link of this.named.get(name) ?? []) this.touch(link)
  }
}

/** The time-out of a link: set once, and moved only when it fires, so that traffic costs the write of a field. */
class IdleLink implements Timeout {
  at = 0
  slot = -1
  last = 0
  private readonly connection: ServedConnection
  private readonly link: RheaLink

  constructor(connection: ServedConnection, link: RheaLink) {
    this.connection = connection
    this.link = link
  }

  start(): void {
    const { deadlines, idle } = this.connection.server.options
    if (idle.link < Infinity) deadlines.set(this, this.last + idle.link)
  }

  fire(): void {
    const { clock, idle } = this.connection.server.options
    if (this.last + idle.link > clock.currentTimeMillisUnsafe()) return this.start()
    const { link, connection } = this
    connection.detach(link, connection.namespace.conditions.idle(link.name, link.is_receiver(), idle.link))
  }
}
