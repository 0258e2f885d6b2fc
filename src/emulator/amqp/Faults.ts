/**
 * Faults that a test asked for: which operations each fits, how often it strikes, and what happens then. They belong to a
 * namespace, and apply to all of its connections.
 *
 * The first fault that fits an operation strikes it, in the order in which they were added. One that has struck as often as it
 * was to is kept for a while, so that a test can see that it did. Where there is none, asking costs the check of a length.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import { SeededRandom } from "../SeededRandom.ts"

/** The requests to a management node that a fault may name. */
export const requests = [
  "com.microsoft:renew-lock",
  "com.microsoft:update-disposition",
  "com.microsoft:receive-by-sequence-number",
  "com.microsoft:peek-message",
  "com.microsoft:batch-delete-messages",
  "com.microsoft:renew-session-lock",
  "com.microsoft:get-session-state",
  "com.microsoft:set-session-state",
  "com.microsoft:get-message-sessions",
  "com.microsoft:schedule-message",
  "com.microsoft:cancel-scheduled-message",
  "com.microsoft:add-rule",
  "com.microsoft:remove-rule",
  "com.microsoft:enumerate-rules"
] as const

/** What a fault may strike. */
export const operations = [
  "attach",
  "acceptSession",
  "send",
  "settle",
  "renew",
  "delete",
  "listSessions",
  "request",
  "putToken",
  "administer",
  ...requests
] as const

/** One of them. @inline */
export type FaultOperation = (typeof operations)[number]

/** Whether what happens instead of an answer happens before the operation is carried out, or after it. */
export type Moment = "before" | "after"

/** What happens to an operation; times are milliseconds. */
export type Action =
  | { readonly action: "error"; readonly error: AmqpError }
  | { readonly action: "throttle"; readonly retryAfter: number }
  | { readonly action: "loseLock" }
  | { readonly action: "delay"; readonly delay: number; readonly when: Moment }
  | { readonly action: "drop"; readonly when: Moment }
  | { readonly action: "detach"; readonly error: AmqpError | undefined; readonly when: Moment }
  | { readonly action: "endSession"; readonly error: AmqpError | undefined; readonly when: Moment }
  | { readonly action: "disconnect"; readonly when: Moment }

export type ActionName = Action["action"]

/** A fault. */
export interface Fault {
  readonly operation: FaultOperation
  /** Undefined for every entity. */
  readonly entity: string | undefined
  /** How often it strikes; Infinity until it is taken back. */
  readonly times: number
  /** With which probability it strikes an operation that it fits. */
  readonly probability: number
  readonly seed: number
  readonly consequence: Action
}

/** The operations that name a lock, which may be lost before they see it. */
const locking: ReadonlySet<FaultOperation> = new Set<FaultOperation>([
  "settle",
  "renew",
  "com.microsoft:renew-lock",
  "com.microsoft:update-disposition",
  "com.microsoft:renew-session-lock",
  "com.microsoft:get-session-state",
  "com.microsoft:set-session-state"
])

/** Why an action makes no sense for an operation; undefined where it does. */
export const unfit = (operation: FaultOperation, action: ActionName): string | undefined =>
  action === "loseLock" && !locking.has(operation)
    ? `"${operation}" has no lock that could be lost: one of ${[...locking].map((name) => `"${name}"`).join(", ")} has`
    : operation === "administer" && (action === "detach" || action === "endSession")
    ? `"${operation}" has no link or session: use "disconnect"`
    : undefined

/** A fault that was added, and what has become of it. */
export class AddedFault {
  readonly id: string
  readonly fault: Fault
  /** How many operations it has struck. */
  hits = 0
  /** In lower case. */
  private readonly entity: string | undefined
  private readonly random: SeededRandom

  constructor(id: string, fault: Fault) {
    this.id = id
    this.fault = fault
    this.entity = fault.entity?.toLowerCase()
    this.random = new SeededRandom(fault.seed)
  }

  get isSpent(): boolean {
    return this.hits >= this.fault.times
  }

  /** Whether it strikes an operation, which counts then. */
  strikes(kinds: ReadonlyArray<FaultOperation>, path: string, isAnswered: boolean): boolean {
    const { operation, probability, consequence } = this.fault
    if (!kinds.includes(operation) || this.entity !== undefined && this.entity !== path) return false
    // What is settled already gets no answer: nothing can be said to it.
    if (!isAnswered && (consequence.action === "error" || consequence.action === "throttle")) return false
    if (probability < 1 && !this.random.chance(probability)) return false
    this.hits += 1
    return true
  }
}

/** How many faults that are spent are kept, the latest ones. */
const mostSpent = 100

/** The faults of a namespace. */
export class Faults {
  /** How many operations faults have struck since the namespace was made, by what happened to them. */
  readonly struck = new Map<ActionName, number>()
  private pending: Array<AddedFault> = []
  private readonly spent: Array<AddedFault> = []
  private count = 0

  add(fault: Fault): AddedFault {
    const added = new AddedFault(String(++this.count), fault)
    this.pending.push(added)
    return added
  }

  /**
   * What is to happen to an operation, if anything: it is of some kinds, on an entity. `isAnswered` is whether the peer waits for
   * an answer.
   */
  take(kinds: ReadonlyArray<FaultOperation>, entity: string, isAnswered = true): Action | undefined {
    if (this.pending.length === 0) return undefined
    const path = entity.toLowerCase()
    const added = this.pending.find((each) => each.strikes(kinds, path, isAnswered))
    if (added === undefined) return undefined
    const { action } = added.fault.consequence
    this.struck.set(action, (this.struck.get(action) ?? 0) + 1)
    if (added.isSpent) {
      this.pending = this.pending.filter((each) => each !== added)
      this.spent.push(added)
      if (this.spent.length > mostSpent) this.spent.shift()
    }
    return added.fault.consequence
  }

  /** All that are there, in the order in which they were added, with those that were spent last. */
  list(): ReadonlyArray<AddedFault> {
    return [...this.spent, ...this.pending].toSorted((a, b) => Number(a.id) - Number(b.id))
  }

  /** Takes one back, and says whether it was there. */
  remove(id: string): boolean {
    const before = this.pending.length + this.spent.length
    this.pending = this.pending.filter((each) => each.id !== id)
    const at = this.spent.findIndex((each) => each.id === id)
    if (at >= 0) this.spent.splice(at, 1)
    return this.pending.length + this.spent.length < before
  }

  /** Takes all back. */
  clear(): void {
    this.pending = []
    this.spent.length = 0
  }
}
