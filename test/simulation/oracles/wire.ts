/**
 * What a client and the broker may say to each other by frames (AMQP 1.0 sections 2.5 to 2.7): no more transfers than there is
 * credit and window for, no credit without bound, one settlement of a delivery, and nothing on a link after its detach.
 */
import type { History, Stamped } from "../History.ts"
import type { Oracle, Violation } from "./Oracle.ts"

type Wire = Extract<Stamped, { readonly kind: "wire" }>

/** The most credit that any receiver gives where its workload names no less: that of requests and responses. */
const mostCredit = 100

export interface Link {
  readonly name: string
  readonly entity: string
  /** Whether the client receives on it. */
  readonly isReceiver: boolean
  /** Whether it is for one session. */
  readonly isOfSession: boolean
  /** When it was asked for. */
  readonly at: number
  /** The locks under which messages came on it, and when. */
  readonly came: Map<string, number>
  /** How many deliveries there were, and how many there may be. */
  count: number
  limit: number
  /** When the client detached it, and when it heard that the broker did. */
  readonly detached: { up: number; down: number }
  /** When its session ended, or its connection said nothing more. */
  ended: number
}

interface Delivery {
  readonly link: Link
  disposed: number
}

interface Session {
  /** By the handles of each direction. */
  readonly handles: { readonly up: Map<number, Link>; readonly down: Map<number, Link> }
  readonly links: Map<string, Link>
  /** What came, by the id of the delivery. */
  readonly received: Map<number, Delivery>
  /** The next transfer of each direction, and the first that is not allowed. */
  readonly next: { up: number; down: number }
  readonly end: { up: number; down: number }
  /** Whether a delivery of each direction goes on in the next frame of its link. */
  readonly partial: Set<Link>
}

const opposite = { up: "down", down: "up" } as const

class Connection {
  private readonly sessions = { up: new Map<number, Session>(), down: new Map<number, Session>() }
  private readonly report: (rule: string, entry: Wire, what: string) => void
  private readonly credits: Readonly<Record<string, number>>
  readonly links: Array<Link> = []

  constructor(report: (rule: string, entry: Wire, what: string) => void, credits: Readonly<Record<string, number>>) {
    this.report = report
    this.credits = credits
  }

  take(entry: Wire): void {
    const { channel, direction, performative } = entry
    if (performative === "begin") return this.begin(entry)
    const session = this.sessions[direction].get(channel)
    if (session === undefined) return
    switch (performative) {
      case "attach":
        return this.attach(session, entry)
      case "flow":
        return this.flow(session, entry)
      case "transfer":
        return this.transfer(session, entry)
      case "disposition":
        return this.disposition(session, entry)
      case "detach": {
        const link = session.handles[direction].get(entry.handle!)
        session.handles[direction].delete(entry.handle!)
        if (link !== undefined) link.detached[direction] = Math.min(link.detached[direction], entry.at)
        return
      }
      case "end":
        for (const link of session.links.values()) link.ended = Math.min(link.ended, entry.at)
        this.sessions[direction].delete(channel)
    }
  }

  private begin(entry: Wire): void {
    const { channel, direction, next = 0, remote, window = 0 } = entry
    const session: Session | undefined = remote === undefined
      ? {
        handles: { up: new Map(), down: new Map() },
        links: new Map(),
        received: new Map(),
        next: { up: 0, down: 0 },
        end: { up: 0, down: 0 },
        partial: new Set()
      }
      : this.sessions[opposite[direction]].get(remote)
    if (session === undefined) return
    this.sessions[direction].set(channel, session)
    session.next[direction] = next
    // Where the other end has begun already, from what it said is next.
    session.end[opposite[direction]] = session.next[opposite[direction]] + window
  }

  private attach(session: Session, entry: Wire): void {
    const { at, count = 0, direction, handle, isReceiver = false, name, source, target } = entry
    const isOurs = isReceiver === (direction === "up")
    const key = `${name} ${isOurs}`
    let link = session.links.get(key)
    if (link === undefined) {
      link = {
        name: name!,
        entity: String(isOurs ? source : target),
        isReceiver: isOurs,
        isOfSession: entry.session !== undefined,
        at,
        came: new Map(),
        count: 0,
        limit: 0,
        detached: { up: Infinity, down: Infinity },
        ended: Infinity
      }
      session.links.set(key, link)
      this.links.push(link)
    }
    if (!isReceiver) link.count = link.limit = count
    session.handles[direction].set(handle!, link)
  }

  private flow(session: Session, entry: Wire): void {
    const { count, credit = 0, direction, expected, handle, window = 0 } = entry
    if (expected !== undefined) session.end[opposite[direction]] = expected + window
    const link = handle === undefined ? undefined : session.handles[direction].get(handle)
    if (link === undefined) return
    if (link.isReceiver !== (direction === "up")) {
      // A drain that is answered uses up the credit that is left.
      link.count = Math.max(link.count, count ?? 0)
      return
    }
    const from = count ?? link.count
    if (direction === "up") {
      if (from !== link.count) {
        this.report("credit", entry, `${link.name} counts ${from} deliveries, and ${link.count} came`)
      }
      const most = this.credits[link.entity] ?? mostCredit
      if (credit > most) this.report("credit", entry, `${link.name} gives a credit of ${credit}, of ${most} at most`)
    }
    // What is on its way to the client was sent under an earlier flow.
    link.limit = direction === "up" ? Math.max(link.limit, from + credit) : from + credit
  }

  private transfer(session: Session, entry: Wire): void {
    const { delivery, direction, handle, isMore = false, isSettled = false } = entry
    const link = session.handles[direction].get(handle!)
    if (session.next[direction] >= session.end[direction]) {
      this.report("window", entry, `transfer ${session.next[direction]}, of a window that ends before`)
    }
    session.next[direction] += 1
    if (link === undefined) {
      this.report("detached", entry, `a transfer for handle ${handle}, which has no link`)
      return
    }
    const isFirst = !session.partial.has(link)
    if (isMore) session.partial.add(link)
    else session.partial.delete(link)
    if (!isFirst) return
    link.count += 1
    if (link.count > link.limit) {
      this.report("overrun", entry, `${link.name}: delivery ${link.count}, with credit for ${link.limit}`)
    }
    if (direction === "down" && entry.token !== undefined) link.came.set(entry.token, entry.at)
    if (direction === "down" && delivery !== undefined && !isSettled) {
      session.received.set(delivery, { link, disposed: 0 })
    }
  }

  private disposition(session: Session, entry: Wire): void {
    const { direction, first = 0, isReceiver, last = first } = entry
    if (direction !== "up" || isReceiver !== true) return
    for (let id = first; id <= last; id++) {
      const delivery = session.received.get(id)
      if (delivery === undefined) {
        this.report("disposed", entry, `a disposition of delivery ${id}, which was not to be settled`)
        continue
      }
      if (++delivery.disposed > 1) {
        this.report("disposed", entry, `${delivery.link.name}: disposition ${delivery.disposed} of delivery ${id}`)
      }
      const { down, up } = delivery.link.detached
      // What the client wrote before it heard of the end may leave after it, in the same turn.
      if (up < Infinity || down < entry.at) {
        this.report(
          "detached",
          entry,
          `${delivery.link.name}: a disposition of delivery ${id}, and it was detached`
        )
      }
    }
  }
}

const connectionsOf = (
  history: History,
  credits: Readonly<Record<string, number>>,
  report: (rule: string, entry: Wire, what: string) => void
): ReadonlyMap<number, Connection> => {
  const connections = new Map<number, Connection>()
  for (const entry of history.of("wire")) {
    let connection = connections.get(entry.connection)
    if (connection === undefined) connections.set(entry.connection, connection = new Connection(report, credits))
    connection.take(entry)
  }
  return connections
}

/** Every link that there was, with what came on it. */
export const linksOf = (history: History): ReadonlyArray<Link> => {
  const last = new Map<number, number>()
  for (const entry of history.entries) {
    if (entry.kind === "wire" || entry.kind === "frame") last.set(entry.connection, entry.at)
  }
  return [...connectionsOf(history, {}, () => {})].flatMap(([connection, { links }]) => {
    for (const link of links) link.ended = Math.min(link.ended, last.get(connection)!)
    return links
  })
}

export const wire: Oracle = ({ credits = {}, history }) => {
  const violations: Array<Violation> = []
  connectionsOf(history, credits, (rule, { at, channel, connection }, what) => {
    violations.push({ rule, what: `connection ${connection}, channel ${channel}, at ${at}: ${what}` })
  })
  return violations
}
