/**
 * The broker's end of a link on which a peer receives from one session: the attach is answered only when the session is
 * locked for it, and names it (Service Bus protocol guide, sessions).
 *
 * The link holds the session: its end gives the session up, and the end of the session's lock detaches the link.
 */
import * as Result from "effect/Result"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import { ticksAtEpoch } from "../../internal/amqp/codec/Reader.ts"
import { rhea, type RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Queue } from "../broker/Queue.ts"
import * as OutboundLink from "./OutboundLink.ts"
import type { ServedConnection } from "./ServedConnection.ts"
import type { Timeout } from "./Timeout.ts"

const filterName = "com.microsoft:session-filter"
const sharedFilterName = "com.microsoft:non-exclusive-session-filter"

/** How long the service waits for a free session where the client does not say, in milliseconds. */
const defaultTimeout = 65_000

/** The session that an attach asks for: `null` is the next one there is; `undefined` where it asks for none. */
export const sessionOf = (link: RheaLink): string | null | undefined => {
  const filter = link.remote.attach!["source"]?.filter
  if (filter === undefined || filter === null || !(filterName in filter)) return undefined
  const value = filter[filterName]
  // Some clients describe the value.
  const id = value?.descriptor === undefined ? value : value.value
  return typeof id === "string" ? id : null
}

/** Whether an attach asks for a session that other links may hold too: .NET 7.21 knows such sessions, this broker does not. */
export const asksForSharedSession = (link: RheaLink): boolean => {
  const filter = link.remote.attach!["source"]?.filter
  return filter !== undefined && filter !== null && sharedFilterName in filter
}

/**
 * The session of an answer in the form in which it was asked for: go-amqp reads a described value alone, and JavaScript's
 * client a plain one.
 */
const filterValue = (link: RheaLink, id: string): unknown => {
  const descriptor = link.remote.attach!["source"].filter[filterName]?.descriptor
  return descriptor === undefined ? id : rhea.types.described_nc(descriptor, rhea.types.wrap_string(id))
}

/** .NET ticks since the year 1, as a long, which rhea takes as eight bytes. */
const ticks = (millis: number): unknown => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(Math.floor(millis)) * 10_000n + ticksAtEpoch)
  return rhea.types.wrap_long(bytes)
}

/** Serves a session on a link; `answer` sets the termini of the attach that goes back. */
export const attach = (
  connection: ServedConnection,
  queue: Queue,
  link: RheaLink,
  id: string | null,
  answer: (filter: object) => void
): AmqpError | undefined => {
  const { conditions } = connection.namespace
  let pending: PendingAttach | undefined
  const accepted = queue.sessions!.accept(id ?? undefined, {
    owner: connection,
    granted: (session) => {
      answer({ [filterName]: filterValue(link, session.id) })
      link.local.attach["properties"] = { "com.microsoft:locked-until-utc": ticks(session.lockedUntil) }
      OutboundLink.attach(connection, queue, link, (consumer) => session.attach(consumer))
      connection.heldSessions.set(link.name, session.id)
      connection.onEnd(link, () => {
        if (connection.heldSessions.get(link.name) === session.id) connection.heldSessions.delete(link.name)
        session.release()
      })
      pending?.answer()
    },
    lost: () => connection.detach(link, conditions.sessionLockLost(queue.path))
  })
  if (Result.isFailure(accepted)) return conditions.of(accepted.failure)
  if (link.local.attach["source"] === undefined) pending = new PendingAttach(connection, queue, link, accepted.success)
  return undefined
}

/** A link whose attach is not answered yet. */
class PendingAttach implements Timeout {
  at = 0
  slot = -1
  private readonly connection: ServedConnection
  private readonly queue: Queue
  private readonly link: RheaLink
  private readonly timeout: number
  private readonly cancel: () => void
  private isAnswered = false

  constructor(connection: ServedConnection, queue: Queue, link: RheaLink, cancel: () => void) {
    this.connection = connection
    this.queue = queue
    this.link = link
    this.cancel = cancel
    const { deadlines, clock, dispatcher } = connection.server.options
    const asked = Number(link.remote.attach!["properties"]?.["com.microsoft:timeout"])
    this.timeout = asked > 0 ? asked : defaultTimeout
    connection.plane.link(link).holdAttach()
    const until = clock.currentTimeMillisUnsafe() + this.timeout
    deadlines.set(this, until)
    // A link that waits for its session is not idle.
    dispatcher.schedule(() => connection.idle.touch(link, until))
    // A detach of either side comes after the attach.
    connection.onEnd(link, () => this.answer())
  }

  /** The attach goes out: with the session, or without a terminus where a detach follows. */
  answer(): void {
    if (this.isAnswered) return
    this.isAnswered = true
    this.cancel()
    this.connection.server.options.deadlines.clear(this)
    // Nothing is said on a session that the peer has ended.
    if (!this.link.session.is_open()) return
    this.connection.plane.link(this.link).releaseAttach()
  }

  fire(): void {
    this.connection.detach(this.link, this.connection.namespace.conditions.noSession(this.queue.path, this.timeout))
  }
}
