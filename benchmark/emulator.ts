// npm run bench:emulator [-- --messages N] [--rounds N] [--json FILE] [--data FILE] [--data-sync normal|full]
// What a message costs the built command, in microseconds of its own CPU (Linux alone tells it): sent, received and completed over
// TCP by our client in this process, 256 bytes each, sent one by one (100 at a time) or in batches, and received in chunks.
import { Effect, Redacted, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
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

/** The CPU of a process in microseconds: user and system, in ticks of 10 ms (proc(5), fields 14 and 15). */
const cpuOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

/** Microseconds of CPU for each message. */
export interface Cost {
  readonly sent: number
  readonly sentInBatches: number
  readonly receivedAndCompleted: number
}

/** Measures one round against a broker that is running. */
const round = Effect.fnUntraced(function*(pid: number, messages: number) {
  const sender = yield* ServiceBusSender.make(Orders)
  const measure = Effect.fnUntraced(function*<E, R>(work: Effect.Effect<unknown, E, R>) {
    const before = cpuOf(pid)
    yield* work
    return (cpuOf(pid) - before) / messages
  })
  const drain = Effect.scoped(Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(Orders, { prefetch: 2000 })
    let left = messages
    yield* receiver.chunks.pipe(
      Stream.mapEffect((chunk) =>
        Effect.map(receiver.completeAll(chunk), () => {
          left -= chunk.length
        })
      ),
      Stream.takeUntil(() => left === 0),
      Stream.runDrain
    )
  }))
  const sent = yield* measure(
    Effect.forEach(Array.from({ length: messages }), () => sender.send({ body }), { concurrency: 100, discard: true })
  )
  const first = yield* measure(drain)
  const sentInBatches = yield* measure(sender.sendAll(Array.from({ length: messages }, () => ({ body }))))
  const second = yield* measure(drain)
  return { sent, sentInBatches, receivedAndCompleted: (first + second) / 2 } satisfies Cost
}, Effect.scoped)

/** Starts the command and measures some rounds, of which the first does not count. */
export const measureCommand = async (
  messages: number,
  rounds: number,
  flags: ReadonlyArray<string> = []
): Promise<Cost> => {
  const child = spawn(
    process.execPath,
    [command, "emulator", "--port", "0", "--queue", "orders", "--json", ...flags],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  try {
    const [line] = await once(child.stdout, "data")
    const { connectionString } = JSON.parse(String(line))
    const costs = await Effect.runPromise(
      Effect.forEach(Array.from({ length: rounds + 1 }), () => round(child.pid!, messages)).pipe(
        Effect.provide(ServiceBusClient.layerConnectionString(Redacted.make(connectionString)))
      )
    )
    const of = (name: keyof Cost) => median(costs.slice(1).map((cost) => cost[name]))
    return { sent: of("sent"), sentInBatches: of("sentInBatches"), receivedAndCompleted: of("receivedAndCompleted") }
  } finally {
    child.kill("SIGTERM")
    await once(child, "close")
  }
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "100000" },
      rounds: { type: "string", default: "5" },
      json: { type: "string" },
      data: { type: "string" },
      "data-sync": { type: "string" }
    }
  })
  const [messages, rounds] = [numberOf("messages", values.messages), numberOf("rounds", values.rounds)]
  const flags = (["data", "data-sync"] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name}`, values[name]]
  )
  const cost = await measureCommand(messages, rounds, flags)
  const shown = (value: number) => `${value.toFixed(1)} µs`
  console.log(`## A message in the command, over TCP

${machine(["effect", "rhea"])}

${messages} messages of 256 bytes${
    flags.length === 0 ? "" : `, kept in a file (${flags.join(" ")})`
  }, ${rounds} rounds after one that does not count; CPU of the command for each message, medians.

| | CPU |
| --- | --- |
| sent one by one, 100 at a time | ${shown(cost.sent)} |
| sent in batches | ${shown(cost.sentInBatches)} |
| received and completed, in chunks | ${shown(cost.receivedAndCompleted)} |`)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(cost, null, 2)}\n`)
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    console.error(`bench:emulator: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
