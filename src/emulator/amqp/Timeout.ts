/**
 * A deadline that runs a function: heartbeats, idle links, claims that expire and sessions that are waited for are all of this
 * kind, in the one timer of the AMQP server. A file of its own because a connection, its links and its idle rules set such
 * deadlines, and the server fires them.
 */
import { type Deadline, due } from "../broker/DeadlineTimer.ts"

/** A deadline that runs a function. @category models */
export interface Timeout extends Deadline {
  readonly fire: () => void
}

/** A time-out that is not set yet. @category constructors */
export const timeout = (fire: () => void): Timeout => ({ at: 0, slot: -1, fire })

/**
 * Runs the functions of time-outs that are due. One of them may clear or move others that are due at the same instant: those
 * do not run.
 *
 * @category mutations
 */
export const fireAll = (ended: ReadonlyArray<Timeout>): void => {
  for (const each of ended) if (each.slot === due) each.fire()
}
