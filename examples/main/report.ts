/** The two tables at the end of a run, as text. */
import { type Airport, mean } from "./Airports.ts"
import type { Report } from "./Job.ts"
import { finished, type JobCounts, open, sum } from "./JobCounts.ts"

const count = (n: number): string => Math.round(n).toLocaleString("en-US")

const table = (title: string, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows.reduce<Array<number>>(
    (widths, row) => row.map((cell, i) => Math.max(cell.length, widths[i] ?? 0)),
    []
  )
  const lines = rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   ")
  )
  const rule = "-".repeat(Math.max(title.length, ...lines.map((line) => line.length)))
  return [title, rule, ...lines].join("\n")
}

const reasons = (counts: Readonly<Record<string, number>>): ReadonlyArray<ReadonlyArray<string>> =>
  Object.entries(counts).toSorted(([a], [b]) => a < b ? -1 : 1).map(([reason, n]) => [`    ${reason}`, count(n)])

export const countsTable = (counts: JobCounts): string =>
  table("What became of the lines", [
    ["lines read", count(counts.read)],
    ["  refused by the sender", count(sum(counts.refused))],
    ...reasons(counts.refused),
    ["  sent", count(counts.sent)],
    ["messages completed", count(counts.completed)],
    ["broken lines, in their subscription", count(sum(counts.broken))],
    ...reasons(counts.broken),
    ["messages dead-lettered", count(sum(counts.deadLettered))],
    ...reasons(counts.deadLettered),
    ...(open(counts) === 0 ? [] : [["messages left in the subscriptions", count(open(counts))]]),
    ["redelivered", count(counts.redelivered)],
    ...(counts.uncertain === 0 ? [] : [["locks or answers lost", count(counts.uncertain)]]),
    [counts.foreign === 0 ? "lock renewals" : "lock renewals, those of others with them", count(counts.renewals)],
    ...(counts.foreign === 0 ? [] : [["messages of others, handed back", count(counts.foreign)]]),
    ["seconds", counts.seconds.toFixed(1)],
    ["  of them finishing messages", counts.busySeconds.toFixed(1)],
    ["messages a second, of these", count(finished(counts) / Math.max(counts.busySeconds, 0.001))]
  ])

export const airportsTable = (airports: ReadonlyArray<Airport>): string =>
  table("The ten airports with the worst mean delay", [
    ["airport", "flights", "mean delay in minutes"],
    ...airports.slice(0, 10).map((airport) => [airport.airport, count(airport.flights), mean(airport).toFixed(2)])
  ])

const conclusion = ({ end, problems }: Report): string =>
  problems.length > 0
    ? [
      end === "failed" ? "The job failed:" : "This does not add up:",
      ...problems.slice(0, 20).map((problem) => `  ${problem}`)
    ].join("\n")
    : end === "stopped"
    ? "The counts add up. The run was stopped, so that they are not compared with a plain pass over the file."
    : "The counts add up, and a plain pass over the file gives the same flights and the same delays."

export const report = (report: Report): string =>
  ["", countsTable(report.counts), "", airportsTable(report.airports), "", conclusion(report), ""].join("\n")
