// npm run bench [-- --json FILE] [--cases a,b] [--peers a,b] [--sizes 256,1024] [--rounds N] [--quick]
//               [--separate] [--delay MS]
// Measures our client, Microsoft's and rhea against a broker in a process of its own; fails if any content is wrong.
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import type { Options as BrokerOptions, Stats } from "./connection.ts"
import { cases, type Measured, peers } from "./measure.ts"
import type { Job } from "./peer.ts"
import { environment, start } from "./process.ts"
import { markdown, notes, rowsOf, type Sample, summarize } from "./report.ts"
import { verify } from "./verify.ts"

class UsageError extends Error {}

const listOf = <const A extends string>(option: string, text: string | undefined, known: ReadonlyArray<A>) => {
  if (text === undefined) return known
  return text.split(",").map((name) => {
    const found = known.find((other) => other === name)
    if (found === undefined) throw new UsageError(`--${option}: "${name}" is none of ${known.join(", ")}`)
    return found
  })
}

const integer = (option: string, text: string, least: number): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= 1_000_000) return value
  throw new UsageError(`--${option}: "${text}" is not an integer from ${least} on`)
}

const parse = () => {
  try {
    return parseArgs({
      options: {
        json: { type: "string" },
        cases: { type: "string" },
        peers: { type: "string" },
        sizes: { type: "string", default: "256" },
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        separate: { type: "boolean", default: false },
        delay: { type: "string", default: "0" }
      }
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message.split(". ")[0]!)
  }
}

const settingsOf = () => {
  const values = parse()
  return {
    json: values.json,
    cases: listOf("cases", values.cases, cases),
    peers: listOf("peers", values.peers, peers),
    // The least is a body with its fields and no padding.
    sizes: values.sizes.split(",").map((size) => integer("sizes", size, 128)),
    rounds: integer("rounds", values.rounds ?? (values.quick ? "1" : "5"), 1),
    timing: values.quick ? { warmUp: 200, measure: 300 } : { warmUp: 1000, measure: 1500 },
    separate: values.separate,
    delay: integer("delay", values.delay, 0)
  }
}

const startBroker = async (options: BrokerOptions) => {
  const child = start("broker", "broker.ts", options)
  const exited = once(child, "exit").then(() => {
    throw new Error("the broker ended")
  })
  // Ending it is what happens in the end.
  exited.catch(() => {})
  const answer = async () => (await Promise.race([once(child, "message"), exited]))[0]
  const { port, tcpPort } = await answer() as { readonly port: number; readonly tcpPort: number }
  return {
    port,
    tcpPort,
    stats: (entity: string): Promise<Stats> => {
      child.send(entity)
      return answer()
    },
    stop: () => child.disconnect()
  }
}

type Broker = Awaited<ReturnType<typeof startBroker>>

const measure = async (job: Job): Promise<Measured> => {
  const child = start("client", "peer.ts", job)
  const timer = setTimeout(() => child.kill("SIGKILL"), job.warmUp + job.measure + 30_000)
  let output = ""
  child.stdout!.on("data", (chunk) => output += chunk)
  const [code, signal] = await once(child, "close")
  clearTimeout(timer)
  if (code !== 0) throw new Error(`${job.peer} failed at ${job.case}: exit ${code ?? signal}`)
  return JSON.parse(output) as Measured
}

/** What a peer does not have is left out. */
const has = (job: Pick<Job, "case" | "peer">): boolean =>
  job.case.startsWith("renew")
    ? ["ours", "azure"].includes(job.peer)
    : job.peer !== "tcp" || !job.case.endsWith("-each")

const main = async (): Promise<void> => {
  const settings = settingsOf()
  const samples: Array<Sample> = []
  let run = 0
  for (const size of settings.sizes) {
    const broker: Broker = await startBroker({ size, separate: settings.separate, delay: settings.delay })
    try {
      for (let round = 0; round < settings.rounds; round++) {
        for (const name of settings.cases) {
          // Each round starts with another peer.
          const order = settings.peers.map((_, i) => settings.peers[(i + round) % settings.peers.length]!)
          for (const peer of order.filter((peer) => has({ case: name, peer }))) {
            const entity = name.startsWith("send") ? `sink.${++run}` : `src.${size}.${++run}`
            const { port, tcpPort } = broker
            const measured = await measure({ peer, case: name, size, port, tcpPort, entity, ...settings.timing })
            const counts = await broker.stats(entity)
            verify({ peer, case: name }, measured, counts)
            samples.push({ ...measured, case: name, peer, size, round })
          }
        }
        process.stderr.write(`${size} bytes: round ${round + 1} of ${settings.rounds} done\n`)
      }
    } finally {
      broker.stop()
    }
  }
  const summaries = summarize(
    samples.toSorted((a, b) => settings.peers.indexOf(a.peer) - settings.peers.indexOf(b.peer))
  )
  const { delay, rounds, separate, timing } = settings
  console.log(`## effect-service-bus against its peers\n\n${environment(["@azure/service-bus", "rhea", "effect"])}

${rounds} interleaved rounds, ${timing.warmUp} ms of warm-up and ${timing.measure} ms measured; broker: ${
    separate ? "one disposition for each delivery" : "coalesced dispositions"
  }, ${delay} ms delay.\n\n${markdown(summaries)}\n\n${notes}`)
  if (settings.json !== undefined) writeFileSync(settings.json, `${JSON.stringify(rowsOf(summaries), null, 2)}\n`)
}

try {
  await main()
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exitCode = 1
}
