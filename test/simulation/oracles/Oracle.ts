/** What an oracle is, a pure function of a run, and what it is given. */
import { faults } from "../faults/index.ts"
import type { History } from "../History.ts"
import type { Fault } from "../World.ts"

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
  readonly fibers: number
  /** Timers of Node. */
  readonly timers: number
  /** Listeners of the process. */
  readonly listeners: number
}

export interface Run {
  readonly history: History
  /** Entities that are to be empty, with what is left in them. */
  readonly left: ReadonlyArray<{ readonly entity: string; readonly ids: ReadonlyArray<string> }>
  readonly hasConverged: boolean
  readonly leftovers: Leftovers
  readonly concurrency: Readonly<Record<string, number>>
  /** How much credit a receiver of an entity gives at most. */
  readonly credits?: Readonly<Record<string, number>>
  /** What entities forward to, which nothing else sends to. */
  readonly forwards?: Readonly<Record<string, string>>
  /** For how long entities drop what has an id that was there, in milliseconds. */
  readonly windows?: Readonly<Record<string, number>>
}

const named = (which: (fault: Fault) => boolean): ReadonlyArray<string> => faults.filter(which).map(({ name }) => name)

/** Faults that delay or lose what is on the network; in pieces it arrives as soon. */
export const network = named((fault) => fault.of === "network" && fault.name !== "chunks")

/** Faults that end connections, links and claims, or keep them from doing their work. */
export const peer = [...named((fault) => fault.of === "peer"), "clock jump"]

/** Faults by which a client has no claim, or gets none. */
export const tokens = [...named((fault) => fault.of === "tokens"), "refused claims"]

/** Faults that cut connections. Links alone end after what they brought. */
export const cutting = named((fault) => fault.isCutting === true)

/** How long it may take until nothing is left of a fault that is over, in milliseconds: what was held up has come or was given up. */
const aftermath = 130_000

/** For how long a fault does its work, in milliseconds: some until as much as they are to refuse was asked for. */
const effectOf = (name: string, what: string): number => {
  const { ms, pause, times } = JSON.parse(what) as Readonly<Record<string, number | undefined>>
  if (faults.find((fault) => fault.name === name)?.of === "program") return Infinity
  return ms ?? (times === undefined ? 0 : times * (pause ?? Infinity))
}

/** Tells of a span of time whether one of these faults could be felt in it: none is before it comes. */
export const strikes = (history: History, names: ReadonlyArray<string>, after = aftermath) => {
  const spans = history.of("fault").flatMap(({ at, name, what }) =>
    names.includes(name) ? [{ from: at, to: at + effectOf(name, what) + after }] : []
  )
  return (from: number, to = from): boolean => spans.some((span) => span.from <= to && from <= span.to)
}

/** Whether one of these faults came. */
export const isStruck = (history: History, faults: ReadonlyArray<string>): boolean =>
  history.of("fault").some(({ name }) => faults.includes(name))

export type Oracle = (run: Run) => ReadonlyArray<Violation>
