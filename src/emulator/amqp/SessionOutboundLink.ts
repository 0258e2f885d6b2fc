/**
 * The broker's end of a receiving link for a session: the attach is answered only when the session is locked for it, and
 * names it (Service Bus protocol guide, sessions). The link's end gives the session up.
 */
import * as Result from "effect/Result"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import { ticksAtEpoch } from "../../internal/amqp/codec/Reader.ts"
import { rhea, type RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Queue } from "../broker/Queue.ts"
import { attachSender } from "./OutboundLink.ts"
import type { Served, Timer } from "./ServedConnection.ts"

const filterName = "com.microsoft:session-filter"
const sharedFilterName = "com.microsoft:non-exclusive-session-filter"

/** How long the service waits for a free session where the client does not say, in milliseconds. */
const defaultWait = 65_000

/** The session that an attach asks for: `null` is the next one there is; `undefined` where it asks for none. */
export const sessionOf = (link: RheaLink): string | null | undefined => {
  const filter = link.remote.attach!["source"]?.filter
  if (filter === undefined || filter === null || !(filterName in filter)) return undefined
  const value = filter[filterName]
  // Some clients describe the value.
  const id = value?.descriptor === undefined ? value : value.value
  return typeof id === "string" ? id : null
}

/** Whether an attach asks for a session that others may hold too: of .NET 7.21, and not of this broker. */
export const asksForSharedSession = (link: RheaLink): boolean => {
  const filter = link.remote.attach!["source"]?.filter
  return filter !== undefined && filter !== null && sharedFilterName in filter
}

/** The session of an answer in the form in which it was asked for: go-amqp reads a described value alone, and JavaScript's client a plain one. */
const named = (link: RheaLink, id: string): unknown => {
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
export const attachSession = (
  served: Served,
  queue: Queue,
  link: RheaLink,
  id: string | null,
  answer: (filter: object) => void
): AmqpError | undefined => {
  const { refusals } = served.door
  let waiting: Waiting | undefined
  const accepted = queue.sessions!.accept(id ?? undefined, {
    owner: served,
    granted: (session) => {
      answer({ [filterName]: named(link, session.id) })
      link.local.attach["properties"] = { "com.microsoft:locked-until-utc": ticks(session.lockedUntil) }
      attachSender(served, queue, link, (consumer) => session.attach(consumer))
      served.heldSessions.set(link.name, session.id)
      served.onEnd(link, () => {
        if (served.heldSessions.get(link.name) === session.id) served.heldSessions.delete(link.name)
        session.release()
      })
      waiting?.over()
    },
    lost: () => served.detach(link, refusals.sessionLockLost(queue.path))
  })
  if (Result.isFailure(accepted)) return refusals.of(accepted.failure)
  if (link.local.attach["source"] === undefined) waiting = new Waiting(served, queue, link, accepted.success)
  return undefined
}

/** A link whose attach is not answered yet. */
class Waiting implements Timer {
  at = 0
  slot = -1
  private readonly served: Served
  private readonly queue: Queue
  private readonly link: RheaLink
  private readonly wait: number
  private readonly cancel: () => void
  private isOver = false

  constructor(served: Served, queue: Queue, link: RheaLink, cancel: () => void) {
    this.served = served
    this.queue = queue
    this.link = link
    this.cancel = cancel
    const { alarm, clock, dispatcher } = served.door.options
    const timeout = Number(link.remote.attach!["properties"]?.["com.microsoft:timeout"])
    this.wait = timeout > 0 ? timeout : defaultWait
    // rhea has asked for its attach to be written already.
    link.state.open_requests = 0
    served.plane.link(link).isHeld = true
    const until = clock.currentTimeMillisUnsafe() + this.wait
    alarm.set(this, until)
    // Waiting is no idleness.
    dispatcher.schedule(() => served.idle.touch(link, until))
    // A detach of either side comes after the attach.
    served.onEnd(link, () => this.over())
  }

  /** The attach goes out, whatever it says by now. */
  over(): void {
    if (this.isOver) return
    this.isOver = true
    this.cancel()
    this.served.door.options.alarm.clear(this)
    // Nothing is said on a session that the peer has ended.
    if (!this.link.session.is_open()) return
    const plane = this.served.plane.link(this.link)
    plane.isHeld = false
    this.link.state.open_requests++
    plane.register()
  }

  ring(): void {
    this.served.detach(this.link, this.served.door.refusals.noSession(this.queue.path, this.wait))
  }
}
