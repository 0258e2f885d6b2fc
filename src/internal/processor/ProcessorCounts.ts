/**
 * What a processor counts: how many messages came, and what became of each. What is received is settled, given back, or
 * left to its lock, once nothing is in work any more.
 */
import type { Settlement } from "../../Settlement.ts"

/**
 * What a processor has done.
 *
 * `received` is the sum of `completed`, `abandoned`, `deferred`, `deadLettered`, `retried`, `undecodable`, `taken`,
 * `lockLost`, `unsettled`, `released` and what is still in work.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  /** Messages that came from the broker. */
  readonly received: number
  readonly completed: number
  readonly abandoned: number
  readonly deferred: number
  readonly deadLettered: number
  /** Messages of which a copy was scheduled by `Settlement.retryAfter`. */
  readonly retried: number
  /** Messages that met the receiver's undecodable policy. */
  readonly undecodable: number
  /** Messages that their handler settled, or handed over, itself: nothing of the processor's is done with them. */
  readonly taken: number
  /** Handlers that failed; their messages are counted under what `onFailure` said. */
  readonly failed: number
  /** Messages whose lock was lost before they were settled. */
  readonly lockLost: number
  /** Messages whose settlement the broker did not confirm: it may have been made, or the message comes again. */
  readonly unsettled: number
  /**
   * Messages given back: unhandled or interrupted when the processor paused or drained, or because their settlement failed
   * before it was on the wire. Only the latter come again as failed deliveries.
   */
  readonly released: number
  /** Lock renewals that the broker confirmed. */
  readonly renewals: number
}

/**
 * What a processor has done in all, once it is drained: `received` is the sum of `settled`, `released` and `expired`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DrainReport extends Counts {
  /** The sum of `completed`, `abandoned`, `deferred`, `deadLettered`, `retried`, `undecodable` and `taken`. */
  readonly settled: number
  /**
   * The sum of `lockLost` and `unsettled`: messages that were left to their locks. Where the broker has not settled them
   * they come again.
   */
  readonly expired: number
}

/**
 * What a session processor has done with sessions.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionCounts {
  /** Sessions that it has accepted. */
  readonly sessions: number
  /** Sessions whose lock was lost while it had them; their handlers were interrupted. */
  readonly sessionsLost: number
  /** Sessions that it has now. */
  readonly held: number
}

/** The counts of messages, which change as they are handled. */
export type MutableCounts = ReturnType<typeof make>

export const make = () => ({
  received: 0,
  completed: 0,
  abandoned: 0,
  deferred: 0,
  deadLettered: 0,
  retried: 0,
  undecodable: 0,
  taken: 0,
  failed: 0,
  lockLost: 0,
  unsettled: 0,
  released: 0
})

export const reportOf = <C extends Counts>(counts: C): C & DrainReport => ({
  ...counts,
  settled: counts.completed + counts.abandoned + counts.deferred + counts.deadLettered + counts.retried +
    counts.undecodable + counts.taken,
  expired: counts.lockLost + counts.unsettled
})

/** Under which name a settlement is counted. */
export const nameOf = (
  settlement: Settlement
): "completed" | "abandoned" | "deferred" | "deadLettered" | "retried" => {
  switch (settlement._tag) {
    case "Complete":
      return "completed"
    case "Abandon":
      return "abandoned"
    case "Defer":
      return "deferred"
    case "DeadLetter":
      return "deadLettered"
    case "RetryAfter":
      return "retried"
  }
}
