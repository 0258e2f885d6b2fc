/**
 * What is to run when a link of one connection ends, whatever ends it: a detach of either side, the end of its session, or
 * the end of the connection. Each function runs once, and nothing is kept of a link that has ended.
 */
import type { RheaLink, RheaSession } from "../../internal/amqp/engine/rhea.ts"

/** The finalizers of the links of a connection. */
export class LinkFinalizers {
  private readonly finalizers = new Map<RheaLink, Array<() => void>>()
  /** The links that have finalizers, by session: a session is listened to once, not for each of its links. */
  private readonly sessions = new Map<RheaSession, Set<RheaLink>>()

  /** Adds a function that runs when the link ends. */
  add(link: RheaLink, finalizer: () => void): void {
    const finalizers = this.finalizers.get(link)
    if (finalizers !== undefined) return void finalizers.push(finalizer)
    this.finalizers.set(link, [finalizer])
    const kind = link.is_receiver() ? "receiver" : "sender"
    link.on(`${kind}_close`, () => this.run(link))
    link.on(`${kind}_error`, () => {})
    const links = this.sessions.get(link.session)
    if (links === undefined) this.sessions.set(link.session, new Set([link]))
    else links.add(link)
  }

  /** A link has ended. */
  run(link: RheaLink): void {
    const finalizers = this.finalizers.get(link)
    this.finalizers.delete(link)
    this.sessions.get(link.session)?.delete(link)
    for (const finalizer of finalizers ?? []) finalizer()
  }

  /** The links of a session have ended; the session may end later. */
  runSession(session: RheaSession): void {
    for (const link of [...this.sessions.get(session) ?? []]) this.run(link)
  }

  /** A session has ended, and its links with it. */
  forgetSession(session: RheaSession): void {
    this.runSession(session)
    this.sessions.delete(session)
  }

  /** All links have ended. */
  runAll(): void {
    for (const link of [...this.finalizers.keys()]) this.run(link)
  }
}
