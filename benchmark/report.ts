// From what was measured to medians, ratios and tables.
import type { Case, Measured, Peer } from "./measure.ts"

export interface Sample extends Measured {
  readonly case: Case
  readonly peer: Peer
  readonly size: number
  readonly round: number
}

/** A row of the JSON output. `ratioToAzure` is null where azure did not run the case. */
interface Row {
  readonly case: Case
  readonly peer: Peer
  readonly size: number
  readonly cpuMicros: number
  readonly wallMicros: number
  readonly ratioToAzure: number | null
}

interface Summary extends Row {
  readonly rssMegabytes: number
  readonly ratios: ReadonlyArray<number>
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How many times the CPU of a peer azure needs, for each round that both ran. */
const ratiosOf = (samples: ReadonlyArray<Sample>, azure: ReadonlyArray<Sample>): ReadonlyArray<number> =>
  samples.flatMap(({ cpuMicros, round }) => {
    const other = azure.find((sample) => sample.round === round)
    return other === undefined ? [] : [other.cpuMicros / cpuMicros]
  })

export const summarize = (samples: ReadonlyArray<Sample>): ReadonlyArray<Summary> => {
  const groups = new Map<string, Array<Sample>>()
  for (const sample of samples) {
    const key = `${sample.size} ${sample.case} ${sample.peer}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [sample])
    else group.push(sample)
  }
  return [...groups.values()].map((group) => {
    const { case: name, peer, size } = group[0]!
    const ratios = ratiosOf(group, groups.get(`${size} ${name} azure`) ?? [])
    return {
      case: name,
      peer,
      size,
      cpuMicros: median(group.map((sample) => sample.cpuMicros)),
      wallMicros: median(group.map((sample) => sample.wallMicros)),
      ratioToAzure: ratios.length === 0 ? null : median(ratios),
      rssMegabytes: median(group.map((sample) => sample.rssMegabytes)),
      ratios
    }
  })
}

export const rowsOf = (summaries: ReadonlyArray<Summary>): ReadonlyArray<Row> =>
  summaries.map(({ case: name, cpuMicros, peer, ratioToAzure, size, wallMicros }) => ({
    case: name,
    peer,
    size,
    cpuMicros,
    wallMicros,
    ratioToAzure
  }))

export const short = (value: number): string => value < 10 ? value.toFixed(2) : value.toFixed(value < 100 ? 1 : 0)

export const times = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)}x`

const cell = ({ cpuMicros, peer, ratios, ratioToAzure }: Summary): string =>
  peer === "azure" || ratioToAzure === null
    ? short(cpuMicros)
    : `${short(cpuMicros)} (${times(ratioToAzure)}, ${times(Math.min(...ratios))}..${times(Math.max(...ratios))})`

/** A markdown table of cases by peers. */
const table = (
  summaries: ReadonlyArray<Summary>,
  show: (summary: Summary) => string
): string => {
  const cases = [...new Set(summaries.map((summary) => summary.case))]
  const peers = [...new Set(summaries.map((summary) => summary.peer))]
  const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  return [
    row(["case", ...peers]),
    row(["---", ...peers.map(() => "---")]),
    ...cases.map((name) =>
      row([
        name,
        ...peers.map((peer) => {
          const summary = summaries.find((other) => other.case === name && other.peer === peer)
          return summary === undefined ? "" : show(summary)
        })
      ])
    )
  ].join("\n")
}

export const notes = `- CPU is user and system time of the client's whole process; each run is a process of its own.
- (a, b..c): how many times that CPU azure needs, median, minimum and maximum of the rounds' own ratios.
- All peers build and check the same messages, do JSON on each, and wait for the broker's settled answer. 100 messages
  are in flight, in a chunk or in the window; azure-best has maxConcurrentCalls 1000, no lock renewal, and its own
  JSON.parse. ours checks bodies by a Schema as well. tcp is the same bytes with no protocol and no JSON.
- send-chunk: a program has 100 independent messages and wants them sent. azure: Promise.all of 100 sendMessages(message);
  azure-best: sendMessages(array), which makes a batch; ours: sendAll, which makes a batch; rhea: 100 sends.
- send-each: 100 single sends at a time, an effect or a promise for each. send-batch: azure with createMessageBatch and
  tryAddMessage. send-sink: ours runs a stream into a sink, which fills batches while others are in flight; the others do
  as in send-batch. send-sequential: each send waits for the one before.
- receive-chunk: receive-and-delete. complete-chunk: peek-lock; ours completes what came together with completeAll, azure
  completes each when its handler ends. complete-each: a handler for each message; ours is a processor with lock renewal,
  concurrency 100 and no further prefetch.
- renew-1: the locks of 100 messages, a request for each, all at a time. renew-100: ours renews them with one request;
  azure has no such request and does what it does in renew-1.`

export const markdown = (summaries: ReadonlyArray<Summary>): string =>
  [...new Set(summaries.map(({ size }) => size))].flatMap((size) => {
    const ofSize = summaries.filter((summary) => summary.size === size)
    return [
      `### ${size} bytes: CPU microseconds per message`,
      table(ofSize, cell),
      `### ${size} bytes: wall microseconds per message / RSS in MB`,
      table(ofSize, ({ rssMegabytes, wallMicros }) => `${short(wallMicros)} / ${rssMegabytes.toFixed(0)}`)
    ]
  }).join("\n\n")

/** The whole number, 1 or more, that an option is given as. */
export const numberOf = (name: string, text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name}: "${text}" is no number`)
  return Number(text)
}
