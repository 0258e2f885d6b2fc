// npm run durability [-- --kills N] [--seed N] [--memory] [--keep FILE]
// The published command with its state in a file, killed (SIGKILL) at random under the load of two clients and started again on
// the same file; then everything is taken out of it, and what the clients were told is compared with what was there. With
// --memory it keeps nothing, and the run has to find that.
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Rng } from "../simulation/Rng.ts"
import * as effectLoad from "./effectLoad.ts"
import { config, places } from "./entities.ts"
import { Ledger } from "./Ledger.ts"
import * as officialLoad from "./officialLoad.ts"

const command = join(import.meta.dirname, "../../dist/emulator/cli.js")

/** What each client must have been told often enough for a run to say something. */
const deeds = ["accepted", "delivered", "complete", "abandon", "deadLetter", "defer", "cancelled", "state"]

interface Options {
  readonly kills: number
  readonly seed: number
  readonly data: boolean
  readonly file: string
}

interface Report {
  readonly violations: ReadonlyArray<string>
  readonly counts: Readonly<Record<string, number>>
  readonly messages: number
  /** How long the broker took until it was ready, in milliseconds, at the most and in the mean. */
  readonly slowestStart: number
  readonly meanStart: number
  readonly fileBytes: number
}

interface Running {
  readonly child: ChildProcess
  readonly connectionString: string
  readonly port: number
  readonly millis: number
}

const start = async (flags: ReadonlyArray<string>): Promise<Running> => {
  const from = performance.now()
  const child = spawn(process.execPath, [command, "emulator", "--json", "--admin-port", "0", ...flags], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  const errors: Array<string> = []
  child.stderr.on("data", (text) => errors.push(String(text)))
  const [line] = await Promise.race([
    once(child.stdout, "data"),
    once(child, "close").then(([code]) => {
      throw new Error(`the command ended with ${code}: ${errors.join("")}`)
    })
  ])
  const { amqpPort, connectionString } = JSON.parse(String(line))
  return { child, connectionString, port: amqpPort, millis: performance.now() - from }
}

/** Runs the loads, kills the broker so often, and compares. */
export const run = async ({ data, file, kills, seed }: Options): Promise<Report> => {
  const folder = mkdtempSync(join(tmpdir(), "durability-"))
  const configFile = join(folder, "Config.json")
  writeFileSync(configFile, JSON.stringify(config))
  const random = new Rng(seed)
  const ledger = new Ledger()
  const flags = ["--config", configFile, "--key", "durable", ...(data ? ["--data", file] : [])]
  let broker = await start(["--port", "0", ...flags])
  const starts: Array<number> = []
  try {
    let isOn = true
    const task = { ledger, random: random.fork(), isOn: () => isOn }
    const loads = Promise.all([
      Effect.runPromise(effectLoad.run(broker.connectionString, task, places)),
      officialLoad.run(broker.connectionString, { ...task, random: random.fork() }, places)
    ])
    const failed = loads.then(() => {}, (error) => Promise.reject(error))
    failed.catch(() => {})
    for (let kill = 1; kill <= kills; kill++) {
      // Clients of a broker that has just started are connecting: some are killed then too.
      await Promise.race([sleep(100 + random.next() ** 2 * 1500), failed])
      broker.child.kill("SIGKILL")
      await once(broker.child, "exit")
      ledger.life++
      broker = await start(["--port", String(broker.port), ...flags])
      starts.push(broker.millis)
      if (kill % 20 === 0) {
        console.error(`${kill} kills, ${ledger.size} messages, ${ledger.violations.length} violations`)
      }
    }
    await sleep(1000)
    isOn = false
    await loads
    // Locks of clients that were left alone end with the broker; on another port they do not come back.
    broker.child.kill("SIGKILL")
    await once(broker.child, "exit")
    ledger.life++
    broker = await start(["--port", "0", ...flags])
    // The last of what was scheduled comes.
    await sleep(1200)
    await Effect.runPromise(effectLoad.drain(broker.connectionString, ledger, places))
    ledger.finish()
    broker.child.kill("SIGTERM")
    const [code] = await once(broker.child, "close")
    if (code !== 0) ledger.violations.push(`the command ended with ${code} on SIGTERM`)
    return {
      violations: ledger.violations,
      counts: ledger.counts,
      messages: ledger.size,
      slowestStart: Math.round(Math.max(0, ...starts)),
      meanStart: Math.round(starts.reduce((sum, each) => sum + each, 0) / Math.max(1, starts.length)),
      fileBytes: data ? statSync(file).size : 0
    }
  } finally {
    broker.child.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  }
}

const numberOf = (name: string, text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name}: "${text}" is no number`)
  return Number(text)
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "20" },
      seed: { type: "string" },
      memory: { type: "boolean", default: false },
      keep: { type: "string" }
    }
  })
  const kills = numberOf("kills", values.kills)
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : numberOf("seed", values.seed)
  const folder = mkdtempSync(join(tmpdir(), "durability-data-"))
  const file = values.keep ?? join(folder, "broker.db")
  console.log(`${kills} kills, seed ${seed}`)
  try {
    const report = await run({ kills, seed, file, data: !values.memory })
    for (const violation of report.violations.slice(0, 50)) console.log(violation)
    for (const [name, count] of Object.entries(report.counts).toSorted()) {
      console.log(`${String(count).padStart(8)} ${name}`)
    }
    console.log(
      `${report.messages} messages, ready again in ${report.meanStart} ms (${report.slowestStart} at most), file of ${report.fileBytes} bytes, ${report.violations.length} violations`
    )
    const missing = ["ours", "official"].flatMap((client) =>
      deeds.map((deed) => `${client} ${deed}`).filter((name) => (report.counts[name] ?? 0) < Math.max(1, kills / 20))
    )
    if (missing.length > 0) console.log(`hardly happened, so that the run says little: ${missing.join(", ")}`)
    process.exitCode = missing.length > 0 || (report.violations.length > 0) !== values.memory ? 1 : 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  await main()
  // Clients that were left alone hold the process.
  process.exit()
}
