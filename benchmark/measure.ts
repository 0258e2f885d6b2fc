// What a peer's program is given, and how its work is measured.
import { isOrder } from "./message.ts"

export const cases = [
  "send-chunk",
  "send-each",
  "send-batch",
  "send-sink",
  "send-sequential",
  "receive-chunk",
  "complete-chunk",
  "complete-each",
  "renew-1",
  "renew-100"
] as const
export type Case = typeof cases[number]

export const peers = ["ours", "azure", "azure-best", "rhea", "tcp"] as const
export type Peer = typeof peers[number]

/** How many messages are in flight, in a chunk or in the window, unless a peer's best settings say otherwise. */
export const window = 100

export interface Timing {
  /** Milliseconds before measuring starts, and for which it goes on at least: until one message is done with. */
  readonly warmUp: number
  readonly measure: number
}

export interface Load {
  readonly port: number
  readonly tcpPort: number
  /** `sink.<n>` takes messages, `src.<size>.<n>` gives them without end. */
  readonly entity: string
  readonly size: number
  readonly meter: Meter
}

/** Connects, works until the meter is done, and closes once everything has its answer. */
export type Program = (load: Load) => Promise<void>
export type Programs = Partial<Record<Case, Program>>

export const connectionString = ({ port }: Load): string =>
  `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=all;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true`

export interface Measured {
  /** Microseconds per message: user and system time of the whole process, and time on the clock. */
  readonly cpuMicros: number
  readonly wallMicros: number
  readonly rssMegabytes: number
  /** Messages that were measured, and all messages. */
  readonly messages: number
  readonly total: number
}

interface Mark {
  readonly cpu: NodeJS.CpuUsage
  readonly wall: number
  readonly messages: number
}

/** Counts messages that are done with, and reads the clocks at both ends of the measured time. */
export class Meter {
  done = false
  total = 0
  /** Messages taken off the broker so far. */
  taken = 0
  private problem: string | undefined
  private readonly timing: Timing
  private readonly size: number
  private begin: Mark | undefined
  private end: Mark | undefined
  private isOver = false
  private ended = () => {}
  /** Settles when the measured time is over. */
  readonly finished = new Promise<void>((resolve) => this.ended = resolve)

  constructor(timing: Timing, size: number) {
    this.timing = timing
    this.size = size
  }

  /** Messages that are done with: accepted, received or completed. */
  add(count: number): void {
    if (this.total === 0) this.start()
    this.total += count
    if (this.isOver) this.stop()
  }

  /** Checks a received body: messages come in order and each has its own id. */
  take(body: unknown): void {
    if (!isOrder(body, this.taken, this.size)) this.fail(`message ${this.taken} has the wrong body`)
    this.taken++
  }

  fail(problem: string): void {
    this.problem ??= problem
    this.stop()
  }

  private start(): void {
    const { measure, warmUp } = this.timing
    setTimeout(() => {
      const begin = this.begin = this.mark()
      setTimeout(() => {
        // Where not one message was done with in the measured time, it ends with the first.
        if (this.total === begin.messages) this.isOver = true
        else this.stop()
      }, measure)
    }, warmUp)
  }

  private stop(): void {
    this.end ??= this.mark()
    this.done = true
    this.ended()
  }

  private mark(): Mark {
    return { cpu: process.cpuUsage(), wall: performance.now(), messages: this.total }
  }

  result(): Measured {
    const { begin, end, problem } = this
    if (problem !== undefined) throw new Error(problem)
    if (begin === undefined || end === undefined) throw new Error("the program ended before it was measured")
    const messages = end.messages - begin.messages
    if (messages === 0) throw new Error("no message was done with in the measured time")
    const cpu = end.cpu.user + end.cpu.system - begin.cpu.user - begin.cpu.system
    return {
      cpuMicros: cpu / messages,
      wallMicros: (end.wall - begin.wall) * 1000 / messages,
      rssMegabytes: process.memoryUsage.rss() / 2 ** 20,
      messages,
      total: this.total
    }
  }
}

/** What every peer's sends look like: the next so many messages, until the time is over. */
export const repeat = async (load: Load, step: (index: number) => Promise<number>): Promise<void> => {
  const { meter } = load
  while (!meter.done) meter.add(await step(meter.total))
}
