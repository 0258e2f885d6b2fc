/**
 * The counts of a run: what was read, what became of it, and whether that adds up. A JobCounter is written to while the
 * job runs; JobCounts are its values at one moment, as data.
 */
import type { Airport } from "./Airports.ts"
import type { PlainPass } from "./plainPass.ts"

export interface JobCounts {
  /** Lines of the file. */
  readonly read: number
  /** Bytes of these lines. */
  readonly bytes: number
  /** Messages that the broker has accepted. */
  readonly sent: number
  /** Lines that never became messages, by reason. */
  readonly refused: Readonly<Record<string, number>>
  /** Messages that the broker has confirmed as completed. */
  readonly completed: number
  /** Messages of the subscription of broken lines, by what is wrong with them. */
  readonly broken: Readonly<Record<string, number>>
  /** Messages found in the dead-letter queue, by reason. */
  readonly deadLettered: Readonly<Record<string, number>>
  /** Messages that the workers sent to the dead-letter queue; the broker moves others there by itself. */
  readonly rejected: number
  /** Deliveries of messages that had been delivered before. */
  readonly redelivered: number
  /** Lock renewals that the broker has confirmed. */
  readonly renewals: number
  /** Deliveries whose lock was lost, or whose settlement had no answer: such a message may come again. */
  readonly uncertain: number
  /** Messages of others in the subscriptions and the dead-letter queue, which were left alone. */
  readonly foreign: number
  /** Seconds from the first to the last moment of the run. */
  readonly seconds: number
  /** The seconds in which messages were finished: all of them, but for waiting for a slow flight. */
  readonly busySeconds: number
}

export const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0)

/** Messages with an end: completed, found broken or dead-lettered. */
export const finished = (counts: JobCounts): number => counts.completed + sum(counts.broken) + sum(counts.deadLettered)

/** Messages that are still in the subscriptions, or in work. */
export const open = (counts: JobCounts): number => counts.sent - finished(counts)

export class JobCounter {
  read = 0
  bytes = 0
  sent = 0
  completed = 0
  rejected = 0
  redelivered = 0
  renewals = 0
  uncertain = 0
  foreign = 0
  seconds = 0
  busySeconds = 0
  readonly refusedLines = new Set<number>()
  private readonly refused: Record<string, number> = {}
  private readonly broken: Record<string, number> = {}
  private readonly deadLettered: Record<string, number> = {}

  refuse(line: number, reason: string): void {
    this.refusedLines.add(line)
    this.refused[reason] = (this.refused[reason] ?? 0) + 1
  }

  break(reason: string): void {
    this.broken[reason] = (this.broken[reason] ?? 0) + 1
  }

  deadLetter(reason: string): void {
    this.deadLettered[reason] = (this.deadLettered[reason] ?? 0) + 1
  }

  get counts(): JobCounts {
    const { refusedLines: _, ...counts } = this
    return {
      ...counts,
      refused: { ...this.refused },
      broken: { ...this.broken },
      deadLettered: { ...this.deadLettered }
    }
  }
}

const differ = (a: string, count: number, b: string, other: number): ReadonlyArray<string> =>
  count === other ? [] : [`${a} ${count}, but ${b} ${other}`]

/**
 * What does not add up in the counts of a run; nothing where all is well. Where it was stopped, it is no `whole` run and
 * messages may be left in the subscriptions.
 */
export const problems = (counts: JobCounts, options: { readonly whole: boolean }): ReadonlyArray<string> => [
  ...differ("read", counts.read, "sent + refused =", counts.sent + sum(counts.refused)),
  ...(options.whole || open(counts) < 0
    ? differ("sent", counts.sent, "completed + broken + dead-lettered =", finished(counts))
    : []),
  ...(sum(counts.deadLettered) >= counts.rejected
    ? []
    : [`the workers rejected ${counts.rejected}, but the dead-letter queue had ${sum(counts.deadLettered)}`])
]

/** Where the day of the workers and the plain pass over the same file disagree. */
export const differences = (
  counts: JobCounts,
  airports: ReadonlyArray<Airport>,
  plain: PlainPass
): ReadonlyArray<string> => {
  const expected = new Map(plain.airports.map((airport) => [airport.airport, airport]))
  const found = new Set(airports.map(({ airport }) => airport))
  return [
    ...differ("completed", counts.completed, "the plain pass finds", plain.flights),
    ...differ("broken", sum(counts.broken), "the plain pass finds", plain.broken),
    ...airports.flatMap(({ airport, flights, minutes }) => {
      const other = expected.get(airport)
      return other?.flights === flights && other.minutes === minutes
        ? []
        : [
          `${airport} has ${minutes} minutes in ${flights} flights, but ${other?.minutes ?? 0} in ${
            other?.flights ?? 0
          } by the plain pass`
        ]
    }),
    ...plain.airports.flatMap(({ airport }) => found.has(airport) ? [] : [`${airport} is in the plain pass only`])
  ]
}
