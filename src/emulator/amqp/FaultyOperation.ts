/**
 * How an operation of a peer goes on that a fault has struck: it is refused, comes or is answered late, finds its lock lost, is
 * not answered at all, or ends its link, its session or its connection.
 *
 * Nothing is left behind by what is not answered: what waits belongs to the link, and is forgotten when that ends. An operation
 * that waits to be carried out is not carried out any more then.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Action } from "./Faults.ts"
import type { ServedConnection } from "./ServedConnection.ts"
import { type Timeout, timeout } from "./Timeout.ts"

/** An operation of a peer. */
export interface FaultyOperation<A> {
  /** Carries it out. */
  readonly run: () => A
  /** What it is answered with where it is refused. */
  readonly refuse: (error: AmqpError) => A
  /** Tells the peer. */
  readonly answer: (answer: A) => void
  /** Ends the locks that it names. */
  readonly loseLock?: () => void
}

/** Goes on with an operation on a link. `path` is the entity that an error names. */
export const perform = <A>(
  connection: ServedConnection,
  link: RheaLink,
  struck: Action,
  path: string,
  { answer, loseLock, refuse, run }: FaultyOperation<A>
): void => {
  const { conditions } = connection.namespace
  switch (struck.action) {
    case "error":
      return answer(refuse(conditions.injected(struck.error, path)))
    case "throttle":
      return answer(refuse(conditions.throttled(path, struck.retryAfter)))
    case "loseLock":
      // With the lock of a session its link ends; the answer leaves before that.
      loseLock?.()
      return answer(run())
    case "delay": {
      if (struck.when === "before") return later(connection, link, struck.delay, () => answer(run()))
      const answered = run()
      return later(connection, link, struck.delay, () => answer(answered))
    }
  }
  if (struck.when === "after") run()
  end(connection, link, struck, path)
}

/** What a peer is told of a link that is detached where a test does not say. */
export const detached: AmqpError = { condition: "amqp:link:detach-forced" }

/** What happens in place of an answer. */
export const end = (
  connection: ServedConnection,
  link: RheaLink,
  struck: Extract<Action, { readonly action: "drop" | "detach" | "endSession" | "disconnect" }>,
  path: string
): void => {
  const { conditions } = connection.namespace
  switch (struck.action) {
    case "drop":
      return
    case "detach":
      return connection.detach(link, conditions.injected(struck.error ?? detached, path))
    case "endSession":
      return connection.endSession(
        link.session,
        conditions.injected(struck.error ?? { condition: "amqp:internal-error" }, path)
      )
    case "disconnect":
      return connection.drop()
  }
}

/** What waits, by the links that it belongs to. */
const waiting = new WeakMap<RheaLink, Set<Timeout>>()

/** Runs a function after so many milliseconds of the server's clock, unless the link has ended by then. */
export const later = (connection: ServedConnection, link: RheaLink, millis: number, run: () => void): void => {
  // What ended it has run its finalizers: another one would be run by nothing but the end of the connection.
  if (!connection.links.has(link)) return
  const { clock, deadlines } = connection.server.options
  let timeouts = waiting.get(link)
  if (timeouts === undefined) {
    const all = new Set<Timeout>()
    waiting.set(link, timeouts = all)
    connection.onEnd(link, () => {
      for (const each of all) deadlines.clear(each)
      waiting.delete(link)
    })
  }
  const mine = timeouts
  const each = timeout(() => {
    mine.delete(each)
    run()
  })
  mine.add(each)
  deadlines.set(each, clock.currentTimeMillisUnsafe() + millis)
}
