// npm run bench:persistence [-- --messages N] [--rounds N] [--stored N] [--steady N] [--only sends,reopening,steady] [--folder FOLDER]
// What it costs the built command to keep its state in a file: sends of 256 bytes that are accepted over TCP from 100 senders at a
// time, and messages received and completed, in memory and in a file (NORMAL and FULL) by turns; the longest turns of its event
// loop meanwhile; a file with many messages opened again; the size of a file and its log under traffic that leaves nothing. Beside
// them what node:sqlite itself can, in a loop that does nothing else: what no broker on it exceeds. Linux alone tells the CPU.
import { Effect, Redacted, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setInterval as every } from "node:timers/promises"
import { parseArgs } from "node:util"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusClient from "../src/ServiceBusClient.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as ServiceBusReceiver from "../src/ServiceBusReceiver.ts"
import * as ServiceBusSender from "../src/ServiceBusSender.ts"
import { machine } from "./process.ts"
import { median, numberOf } from "./report.ts"

const command = join(import.meta.dirname, "../dist/emulator/cli.js")

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.bytes })
const body = new Uint8Array(256).fill(120)

/** How many senders there are at a time. */
const senders = 100

/** How late turns of the event loop come, in milliseconds. */
interface Turns {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** A broker that is measured: it says how late its turns came since it was asked last. */
interface Broker {
  readonly child: ChildProcess
  readonly connectionString: string
  /** From its start until it was ready, in milliseconds. */
  readonly ready: number
  readonly turns: () => Promise<Turns>
}

/** Loaded by the command before its own code: no part of it. */
const probe = `data:text/javascript,${
  encodeURIComponent(`
import { monitorEventLoopDelay } from "node:perf_hooks"
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
process.on("message", () => {
  const millis = (value) => value / 1e6
  process.send({ p50: millis(delays.percentile(50)), p99: millis(delays.percentile(99)), max: millis(delays.max) })
  delays.reset()
})
process.channel.unref()
`)
}`

const start = async (flags: ReadonlyArray<string>): Promise<Broker> => {
  const from = performance.now()
  const child = spawn(
    process.execPath,
    ["--import", probe, command, "emulator", "--port", "0", "--queue", "orders", "--json", ...flags],
    { stdio: ["ignore", "pipe", "inherit", "ipc"] }
  )
  const [line] = await Promise.race([
    once(child.stdout!, "data"),
    once(child, "close").then(([code]) => {
      throw new Error(`the command ended with ${code}`)
    })
  ])
  const { connectionString } = JSON.parse(String(line))
  return {
    child,
    connectionString,
    ready: performance.now() - from,
    turns: async () => {
      child.send("turns")
      const [turns] = await once(child, "message")
      return turns as Turns
    }
  }
}

const end = async ({ child }: Broker, signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
  const closed = once(child, "close")
  child.kill(signal)
  await closed
}

const withClient = <A>(
  { connectionString }: Broker,
  work: Effect.Effect<A, unknown, ServiceBusClient.ServiceBusClient>
): Promise<A> =>
  Effect.runPromise(Effect.provide(work, ServiceBusClient.layerConnectionString(Redacted.make(connectionString))))

/** The CPU of a process in microseconds: user and system, in ticks of 10 ms (proc(5), fields 14 and 15). */
const cpuOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

/** The memory of a process that is resident, now and at the most, in megabytes. */
const memoryOf = (pid: number): readonly [now: number, most: number] => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const of = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]) / 1024
  return [of("VmRSS"), of("VmHWM")]
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const receiveAll = (count: number) =>
  Effect.scoped(Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(Orders, { prefetch: 2000 })
    let left = count
    yield* receiver.chunks.pipe(
      Stream.mapEffect((chunk) =>
        Effect.map(receiver.completeAll(chunk), () => {
          left -= chunk.length
        })
      ),
      Stream.takeUntil(() => left <= 0),
      Stream.runDrain
    )
  }))

const sendAll = (count: number) =>
  Effect.scoped(Effect.flatMap(
    ServiceBusSender.make(Orders),
    (sender) => sender.sendAll(Array.from({ length: count }, () => ({ body })))
  ))

/** What one mode came to in a round. */
interface Sends {
  readonly perSecond: number
  readonly cpu: number
  readonly received: number
  readonly receivedCpu: number
  readonly turns: Turns
}

const round = async (broker: Broker, messages: number): Promise<Sends> => {
  const pid = broker.child.pid!
  const measure = async (work: Effect.Effect<unknown, unknown, ServiceBusClient.ServiceBusClient>) => {
    const [cpu, from] = [cpuOf(pid), performance.now()]
    await withClient(broker, work)
    return { cpu: (cpuOf(pid) - cpu) / messages, perSecond: messages / (performance.now() - from) * 1000 }
  }
  await broker.turns()
  const sent = await measure(Effect.scoped(Effect.gen(function*() {
    const all = yield* Effect.forEach(Array.from({ length: senders }), () => ServiceBusSender.make(Orders))
    yield* Effect.forEach(
      all,
      (sender) =>
        Effect.forEach(Array.from({ length: messages / senders }), () => sender.send({ body }), { discard: true }),
      {
        concurrency: "unbounded",
        discard: true
      }
    )
  })))
  const turns = await broker.turns()
  const received = await measure(receiveAll(messages))
  return {
    perSecond: sent.perSecond,
    cpu: sent.cpu,
    received: received.perSecond,
    receivedCpu: received.cpu,
    turns
  }
}

/** Messages a second that node:sqlite commits, so many in a transaction, where nothing else is done. */
const floorOf = (file: string, isFull: boolean, batch: number, messages: number): number => {
  const database = new DatabaseSync(file)
  database.exec(`
    PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${isFull ? "FULL" : "NORMAL"};
    CREATE TABLE message (id INTEGER PRIMARY KEY, queue INTEGER, sequence INTEGER, enqueued INTEGER, size INTEGER);
    CREATE TABLE payload (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
  `)
  const message = database.prepare("INSERT INTO message VALUES (?, 4, ?, 1700000000000, 300)")
  const payload = database.prepare("INSERT INTO payload VALUES (?, ?)")
  const bytes = Buffer.alloc(300, 120)
  const from = performance.now()
  for (let id = 1; id <= messages;) {
    database.exec("BEGIN")
    for (let i = 0; i < batch && id <= messages; i++, id++) {
      message.run(id, id)
      payload.run(id, bytes)
    }
    database.exec("COMMIT")
  }
  const perSecond = messages / (performance.now() - from) * 1000
  database.close()
  return perSecond
}

const row = (...cells: ReadonlyArray<string>): void => console.log(`| ${cells.join(" | ")} |`)
const thousands = (value: number): string => Math.round(value).toLocaleString("en")
const millis = (value: number): string => `${value.toFixed(1)} ms`
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`

const modes = ["memory", "normal", "full"] as const

const sends = async (folder: string, messages: number, rounds: number): Promise<void> => {
  const brokers: Array<Broker> = []
  const found = new Map(modes.map((mode) => [mode, [] as Array<Sends>]))
  try {
    for (const mode of modes) {
      const flags = mode === "memory" ? [] : ["--data", join(folder, `${mode}.db`), "--data-sync", mode]
      brokers.push(await start(flags))
    }
    // The first does not count.
    for (let i = 0; i <= rounds; i++) {
      for (const [index, mode] of modes.entries()) {
        const sends = await round(brokers[index]!, messages)
        if (i > 0) found.get(mode)!.push(sends)
      }
    }
  } finally {
    for (const broker of brokers) await end(broker)
  }
  console.log(
    `\n${
      thousands(messages)
    } messages of 256 bytes from ${senders} senders at a time, each waiting for its answer; ${rounds} rounds by turns, medians. CPU is the command's, for each message.\n`
  )
  row("", "accepted a second", "CPU", "received and completed a second", "CPU", "turn p50", "p99", "longest")
  row("---", "---", "---", "---", "---", "---", "---", "---")
  for (const [mode, all] of found) {
    const of = (read: (sends: Sends) => number) => median(all.map(read))
    row(
      mode === "memory" ? "in memory" : `in a file, ${mode}`,
      thousands(of(({ perSecond }) => perSecond)),
      `${of(({ cpu }) => cpu).toFixed(1)} µs`,
      thousands(of(({ received }) => received)),
      `${of(({ receivedCpu }) => receivedCpu).toFixed(1)} µs`,
      millis(of(({ turns }) => turns.p50)),
      millis(of(({ turns }) => turns.p99)),
      millis(Math.max(...all.map(({ turns }) => turns.max)))
    )
  }
  console.log("\nnode:sqlite alone, two rows for each message, messages a second:\n")
  row("in a transaction", "normal", "full")
  row("---", "---", "---")
  for (const batch of [1, 10, 100]) {
    const count = batch === 1 ? 20_000 : 200_000
    row(
      String(batch),
      ...[false, true].map((isFull) => thousands(floorOf(join(folder, `${batch}${isFull}.db`), isFull, batch, count)))
    )
  }
}

const reopening = async (folder: string, stored: number): Promise<void> => {
  const file = join(folder, "stored.db")
  const flags = ["--data", file]
  const filling = await start(flags)
  const chunk = 20_000
  for (let left = stored; left > 0; left -= chunk) await withClient(filling, sendAll(Math.min(chunk, left)))
  await end(filling, "SIGKILL")
  const size = sizeOf(file)
  const broker = await start(flags)
  const cpu = cpuOf(broker.child.pid!)
  const [now, most] = memoryOf(broker.child.pid!)
  const from = performance.now()
  await withClient(broker, receiveAll(1))
  const first = performance.now() - from
  await end(broker)
  console.log(`\nA file with ${thousands(stored)} messages of 256 bytes, of a broker that was killed:\n`)
  row("size", "ready again", "CPU of that", "memory", "at most", "a first message received and completed")
  row("---", "---", "---", "---", "---", "---")
  row(
    megabytes(size),
    `${(broker.ready / 1000).toFixed(2)} s`,
    `${(cpu / 1e6).toFixed(2)} s`,
    `${now.toFixed(0)} MB`,
    `${most.toFixed(0)} MB`,
    millis(first)
  )
}

const steady = async (folder: string, messages: number): Promise<void> => {
  const file = join(folder, "steady.db")
  const broker = await start(["--data", file])
  const chunk = 1000
  const sizes: Array<readonly [file: number, log: number]> = []
  const watch = new AbortController()
  const watching = (async () => {
    try {
      for await (const _ of every(50, undefined, { signal: watch.signal })) {
        sizes.push([sizeOf(file), sizeOf(`${file}-wal`)])
      }
    } catch {
      // It is over.
    }
  })()
  await broker.turns()
  const from = performance.now()
  await withClient(
    broker,
    Effect.scoped(Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Orders)
      const chunks = Array.from({ length: Math.ceil(messages / chunk) })
      // What is sent waits for the one before it to be received: there are so many at a time.
      yield* Effect.forEach(
        chunks,
        () => Effect.andThen(sender.sendAll(Array.from({ length: chunk }, () => ({ body }))), receiveAll(chunk)),
        { discard: true }
      )
    }))
  )
  const seconds = (performance.now() - from) / 1000
  const turns = await broker.turns()
  watch.abort()
  await watching
  await end(broker)
  const half = sizes.slice(sizes.length >> 1)
  const most = (of: typeof sizes, which: 0 | 1) => Math.max(...of.map((sizes) => sizes[which]))
  console.log(
    `\n${thousands(messages)} messages of 256 bytes through a queue that holds ${thousands(chunk)}, in ${
      seconds.toFixed(0)
    } s:\n`
  )
  row("", "file", "log", "turn p50", "p99", "longest")
  row("---", "---", "---", "---", "---", "---")
  row(
    "at most",
    megabytes(most(sizes, 0)),
    megabytes(most(sizes, 1)),
    millis(turns.p50),
    millis(turns.p99),
    millis(turns.max)
  )
  row("in the second half", megabytes(most(half, 0)), megabytes(most(half, 1)), "", "", "")
  row("once it has ended", megabytes(sizeOf(file)), megabytes(sizeOf(`${file}-wal`)), "", "", "")
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "50000" },
      rounds: { type: "string", default: "3" },
      stored: { type: "string", default: "1000000" },
      steady: { type: "string", default: "2000000" },
      only: { type: "string", default: "sends,reopening,steady" },
      folder: { type: "string", default: tmpdir() }
    }
  })
  const of = (name: "messages" | "rounds" | "stored" | "steady") => numberOf(name, values[name])
  const [messages, rounds, stored, passing] = [of("messages"), of("rounds"), of("stored"), of("steady")]
  const parts = values.only.split(",")
  const unknown = parts.find((part) => !["sends", "reopening", "steady"].includes(part))
  if (unknown !== undefined) throw new Error(`--only: there is no part "${unknown}"`)
  const folder = mkdtempSync(join(values.folder, "persistence-"))
  console.log(`## State in a file\n\n${machine(["effect", "rhea"])}, SQLite ${process.versions["sqlite"]}`)
  try {
    if (parts.includes("sends")) await sends(folder, Math.ceil(messages / senders) * senders, rounds)
    if (parts.includes("reopening")) await reopening(folder, stored)
    if (parts.includes("steady")) await steady(folder, passing)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    console.error(`bench:persistence: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
