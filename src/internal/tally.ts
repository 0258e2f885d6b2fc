/**
 * The books of a processor: how many messages came, and what became of each. What is received is settled, given back, or
 * left to its lock, once nothing is in work any more.
 */
import type { Settlement } from "../Settlement.ts"

export interface Counts {
  readonly received: number
  readonly completed: number
  readonly abandoned: number
  readonly deferred: number
  readonly deadLettered: number
  readonly retried: number
  readonly undecodable: number
  readonly failed: number
  readonly lockLost: number
  readonly unsettled: number
  readonly released: number
  readonly renewals: number
}

export interface Report extends Counts {
  readonly settled: number
  readonly expired: number
}

export const make = () => ({
  received: 0,
  completed: 0,
  abandoned: 0,
  deferred: 0,
  deadLettered: 0,
  retried: 0,
  undecodable: 0,
  failed: 0,
  lockLost: 0,
  unsettled: 0,
  released: 0
})

export const reportOf = (counts: Counts): Report => ({
  ...counts,
  settled: counts.completed + counts.abandoned + counts.deferred + counts.deadLettered + counts.retried +
    counts.undecodable,
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
