/**
 * What a person sees while the job runs, as a service: a bar that is drawn over itself on a terminal, a line a second
 * elsewhere, or nothing.
 */
import { Context, Effect, Layer } from "effect"
import { finished, type JobCounts, open, sum } from "./JobCounts.ts"

export class Progress extends Context.Service<Progress, {
  /** Called often; shows when it is time. `size` is the size of the file. */
  readonly show: (counts: JobCounts, size: number) => Effect.Effect<void>
  /** Called once, before the last handlers finish. */
  readonly end: (end: string) => Effect.Effect<void>
}>()("examples/Progress") {}

export const silent = Layer.succeed(Progress, { show: () => Effect.void, end: () => Effect.void })

/** The parts of a stream to a person that are used here: `process.stdout` is one. */
export interface Output {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly write: (text: string) => unknown
}

const count = (n: number): string => n.toLocaleString("en-US")

const text = (counts: JobCounts): string =>
  [
    `${count(counts.sent)} sent`,
    `${count(counts.completed)} completed`,
    `${count(sum(counts.broken))} broken`,
    `${count(sum(counts.deadLettered))} dead-lettered`,
    `${count(open(counts))} open`,
    ...(counts.redelivered === 0 ? [] : [`${count(counts.redelivered)} redelivered`]),
    ...(counts.renewals === 0 ? [] : [`lock renewals ${count(counts.renewals)}`]),
    ...(counts.foreign === 0 ? [] : [`${count(counts.foreign)} of others`])
  ].join(", ")

const bar = (counts: JobCounts, size: number): string => {
  const read = Math.min(1, counts.bytes / size)
  const done = counts.read === 0 ? 0 : read * (finished(counts) + sum(counts.refused)) / counts.read
  const full = Math.floor(done * 10)
  return `[${"#".repeat(full)}${"-".repeat(10 - full)}] ${String(Math.floor(done * 100)).padStart(3)}%`
}

const ending = (end: string): string | undefined =>
  end === "stopped" ? "Stopping: the workers finish what they have, for 5 seconds at most." : undefined

export const layer = (out: Output): Layer.Layer<Progress> =>
  Layer.sync(Progress, () => {
    const terminal = out.isTTY === true && process.env["TERM"] !== "dumb"
    const interval = terminal ? 0.1 : 1
    let due = interval
    const show = (counts: JobCounts, size: number) =>
      Effect.sync(() => {
        if (counts.seconds < due) return
        due = counts.seconds + interval
        const line = terminal
          // A line that wraps could not be drawn over.
          ? `\r\x1b[K${`${bar(counts, size)}  ${text(counts)}`.slice(0, (out.columns ?? 80) - 1)}`
          : `${counts.seconds.toFixed(0).padStart(4)} s  ${text(counts)}\n`
        out.write(line)
      })
    const end = (how: string) =>
      Effect.sync(() => {
        if (terminal) out.write("\r\x1b[K")
        const line = ending(how)
        if (line !== undefined) out.write(`${line}\n`)
      })
    return { show, end }
  })
