/** What an oracle is, a pure function of a run, and what it is given. */
import type { History } from "../History.ts"

export interface Violation {
  /** The rule that was broken: `lost`, `ghost`, `duplicated` and so on. */
  readonly rule: string
  readonly what: string
}

/** What is there after everything is closed. */
export interface Leftovers {
  readonly connections: number
  readonly wires: number
  readonly sleeps: number
}

export interface Run {
  readonly history: History
  /** Entities that are to be empty, with what is left in them. */
  readonly left: ReadonlyArray<{ readonly entity: string; readonly ids: ReadonlyArray<string> }>
  readonly hasConverged: boolean
  readonly leftovers: Leftovers
  readonly concurrency: Readonly<Record<string, number>>
}

/** Faults that delay or lose what is on the network. */
export const network = ["reset", "half-open", "silence", "latency", "slow reader", "refused connections"]

/** Faults that end connections, links and claims. */
export const peer = [
  "detach",
  "detach of claims",
  "detach of management",
  "end",
  "close",
  "drop",
  "restart",
  "flapping",
  "lost locks",
  "clock jump"
]

/** Whether one of these faults came. */
export const isStruck = (history: History, faults: ReadonlyArray<string>): boolean =>
  history.of("fault").some(({ name }) => faults.includes(name))

export type Oracle = (run: Run) => ReadonlyArray<Violation>
