/**
 * What a broker does that its controls do not offer: it is busy, takes credit back, answers nothing, ends what it served without
 * a reason, forgets claims. Its server has no hooks for it; methods are wrapped for the time of one run.
 */
import * as Effect from "effect/Effect"
import { AmqpConnection } from "../../src/emulator/amqp/AmqpConnection.ts"
import { AmqpServer } from "../../src/emulator/amqp/AmqpServer.ts"
import { Faults } from "../../src/emulator/amqp/Faults.ts"
import type { Namespace } from "../../src/emulator/Namespace.ts"
import { accepted } from "../../src/internal/amqp/codec/Outcome.ts"
import type { IncomingDelivery } from "../../src/internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../src/internal/amqp/engine/rhea.ts"

/** What a link of the client goes to. */
type Node = "claims" | "management" | "senders"

/** A link on which the client sends, and the credit that it was to have. */
interface Sender {
  readonly node: Node
  readonly give: (credit: number) => void
  owed: number
}

/** What is private to a connection of the broker. */
interface Inside {
  readonly finalizers: { readonly run: (link: RheaLink) => void }
  readonly attach: (link: RheaLink) => void
}

/** What is private to its claims. */
interface Claims {
  readonly claims: Map<string, { readonly expiresAt: number }>
}

const nodeOf = (link: RheaLink): Node => {
  const address = String(link.remote.attach?.["target"]?.address)
  return address === "$cbs" ? "claims" : address.endsWith("/$management") ? "management" : "senders"
}

export class Peer {
  isBusy = false
  /** The kind of node whose links are not answered. */
  silent: Node | undefined
  private server: AmqpServer | undefined
  private readonly senders = new Map<RheaLink, Sender>()
  private starving: "none" | "senders" | "all" = "none"

  serving(server: AmqpServer): void {
    this.server = server
  }

  private get connections(): ReadonlyArray<AmqpConnection> {
    return [...this.server?.connections ?? []]
  }

  private isStarving(node: Node): boolean {
    return this.starving === "all" || this.starving === "senders" && node === "senders"
  }

  /** The client attaches a link on which it sends: `attach` has the broker serve it. */
  attach(connection: AmqpConnection, link: RheaLink, attach: () => void): void {
    const sender: Sender = { node: nodeOf(link), give: link.add_credit.bind(link), owed: 0 }
    this.senders.set(link, sender)
    link.add_credit = (credit) => {
      if (this.isStarving(sender.node)) sender.owed += credit
      else sender.give(credit)
    }
    attach()
    connection.onEnd(link, () => this.senders.delete(link))
    const plane = connection.plane.link(link)
    const serve = plane.onDeliveries
    plane.onDeliveries = (deliveries: Array<IncomingDelivery>) => {
      if (this.silent !== sender.node) return serve?.(deliveries)
      // A request is taken as a message, and no answer to it ever comes.
      if (sender.node === "senders") return
      for (const delivery of deliveries) if (!delivery.settled) plane.session.dispose(delivery, accepted, true)
      link.add_credit(deliveries.length)
    }
  }

  /** Takes the credit back from all who send messages or, where all are meant, requests too. */
  starve(isAll: boolean): void {
    this.starving = isAll ? "all" : "senders"
    for (const [link, sender] of this.senders) {
      if (!this.isStarving(sender.node) || link.credit === 0) continue
      sender.owed += link.credit
      link.credit = 0
      link.issue_flow = true
      link.connection._register()
    }
  }

  /** Each may send one. */
  feed(): void {
    for (const sender of this.senders.values()) {
      if (sender.owed === 0) continue
      sender.owed--
      sender.give(1)
    }
  }

  /** All have again what they are to have. */
  satisfy(): void {
    this.starving = "none"
    for (const sender of this.senders.values()) {
      const { owed } = sender
      sender.owed = 0
      sender.give(owed)
    }
  }

  /** Detaches all links without an error, and closes them or does not. */
  detach(isClosed: boolean): void {
    for (const connection of this.connections) {
      for (const link of [...connection.links.keys()]) {
        connection.flush(link)
        if (isClosed) link.close()
        else (link as unknown as { readonly detach: () => void }).detach()
        ;(connection as unknown as Inside).finalizers.run(link)
      }
    }
  }

  endSessions(): void {
    for (const connection of this.connections) {
      for (const session of new Set([...connection.links.keys()].map((link) => link.session))) {
        connection.endSession(session, undefined as never)
      }
    }
  }

  closeConnections(): void {
    for (const connection of this.connections) connection.close(undefined as never)
  }

  /** No claim counts any more, and the links that stood on them end. */
  expireClaims(): void {
    for (const connection of this.connections) {
      const { claims } = connection.claims as unknown as Claims
      for (const [path, { expiresAt }] of claims) if (expiresAt < Infinity) claims.delete(path)
      for (const [link, address] of [...connection.links]) {
        if (address !== "$cbs") connection.detach(link, connection.namespace.conditions.expired(address))
      }
    }
  }

  heal(): void {
    this.isBusy = false
    this.silent = undefined
    this.satisfy()
    // What it was told to refuse and was not asked for yet.
    const first = this.server?.namespaces.first as Namespace | undefined
    first?.faults.clear()
  }
}

type Method = (...args: Array<never>) => unknown

/** The broker that starts next does what it is told to do, for as long as the scope is open. */
export const make = Effect.acquireRelease(
  Effect.sync(() => {
    const peer = new Peer()
    const restores: Array<() => void> = []
    const wrap = (
      of: { readonly prototype: object; readonly name: string },
      name: string,
      wrapped: (original: Method, self: never, args: Array<never>) => unknown
    ): void => {
      const prototype = of.prototype as Record<string, Method>
      const original = prototype[name]
      if (original === undefined) throw new Error(`${of.name} has no ${name}: the simulation must follow it`)
      restores.push(() => {
        prototype[name] = original
      })
      prototype[name] = function(this: never, ...args: Array<never>) {
        return wrapped(original, this, args)
      }
    }
    wrap(AmqpServer, "accept", (original, server: AmqpServer, args) => {
      peer.serving(server)
      return original.apply(server, args)
    })
    wrap(Faults, "take", (original, faults: Faults, args) => {
      const [kinds, , isAnswered] = args as unknown as Parameters<Faults["take"]>
      const error = { condition: "com.microsoft:server-busy", description: "simulated" }
      // What gets no answer cannot be refused; administration is another part of the service.
      const isRefused = peer.isBusy && isAnswered !== false && !kinds.includes("administer")
      return isRefused ? { action: "error", error } : original.apply(faults, args)
    })
    wrap(AmqpConnection, "attach", (original, connection: AmqpConnection, args) => {
      const link: RheaLink = args[0]!
      const attach = () => {
        original.apply(connection, args)
      }
      if (link.is_receiver()) peer.attach(connection, link, attach)
      else attach()
    })
    return {
      peer,
      restore: () => {
        for (const restore of restores) restore()
      }
    }
  }),
  ({ restore }) => Effect.sync(restore)
).pipe(Effect.map(({ peer }) => peer))
