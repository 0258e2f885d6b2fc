/**
 * What the service does to those who do nothing (Service Bus protocol guide, idle and forced-close rules): a link without
 * traffic is detached, and a connection without links, or without a token, is closed. Heartbeats are no traffic.
 */
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { type Limits, type Served, type Timer, timer } from "./ServedConnection.ts"

export const limits: Limits = { link: 600_000, connection: 300_000 }

/** Of a broker that lets whoever does nothing be. */
export const never: Limits = { link: Infinity, connection: Infinity }

/** A new connection has no longer than this for its first link. */
const firstLink = 60_000

/** From the open on. */
const firstToken = 20_000

export class Idle {
  private readonly served: Served
  private readonly links = new Map<RheaLink, LinkIdle>()
  /** A name is unique in each direction of a session only. */
  private readonly named = new Map<string, Set<RheaLink>>()
  private readonly unlinked: Timer
  private readonly unauthorized: Timer
  private allowed = 0
  private isAuthorized = false

  constructor(served: Served) {
    this.served = served
    this.unlinked = timer(() => served.close(served.door.refusals.inactive(this.allowed)))
    this.unauthorized = timer(() => served.close(served.door.refusals.anonymous(firstToken)))
  }

  private get now(): number {
    return this.served.door.options.clock.currentTimeMillisUnsafe()
  }

  /** The connection is open. */
  begin(): void {
    const { alarm, idle } = this.served.door.options
    this.expectLink(Math.min(firstLink, idle.connection))
    if (!this.isAuthorized) alarm.set(this.unauthorized, this.now + firstToken)
  }

  end(): void {
    const { alarm } = this.served.door.options
    for (const timer of [this.unlinked, this.unauthorized, ...this.links.values()]) alarm.clear(timer)
    this.links.clear()
    this.named.clear()
  }

  /** A token was put, or the peer has signed in with a key. */
  authorized(): void {
    this.isAuthorized = true
    this.served.door.options.alarm.clear(this.unauthorized)
  }

  /** A link was attached. */
  watch(link: RheaLink): void {
    const { alarm, idle } = this.served.door.options
    alarm.clear(this.unlinked)
    const watched = new LinkIdle(this.served, link)
    this.links.set(link, watched)
    const { name } = link
    const named = this.named.get(name)
    if (named === undefined) this.named.set(name, new Set([link]))
    else named.add(link)
    this.touch(link)
    watched.start()
    link.on(link.is_receiver() ? "receiver_flow" : "sender_flow", () => this.touch(link))
    this.served.onEnd(link, () => {
      alarm.clear(watched)
      const named = this.named.get(name)
      if (named?.delete(link) === true && named.size === 0) this.named.delete(name)
      if (!this.links.delete(link) || this.links.size > 0) return
      this.expectLink(idle.connection)
    })
  }

  /** How long the connection may go without a link. */
  private expectLink(allowed: number): void {
    this.allowed = allowed
    if (allowed < Infinity) this.served.door.options.alarm.set(this.unlinked, this.now + allowed)
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

/** Set once, and moved only when it rings: traffic costs a field. */
class LinkIdle implements Timer {
  at = 0
  slot = -1
  last = 0
  private readonly served: Served
  private readonly link: RheaLink

  constructor(served: Served, link: RheaLink) {
    this.served = served
    this.link = link
  }

  start(): void {
    const { alarm, idle } = this.served.door.options
    if (idle.link < Infinity) alarm.set(this, this.last + idle.link)
  }

  ring(): void {
    const { clock, idle } = this.served.door.options
    if (this.last + idle.link > clock.currentTimeMillisUnsafe()) return this.start()
    const { link, served } = this
    served.detach(link, served.door.refusals.idle(link.name, link.is_receiver(), idle.link))
  }
}
