// npm run bench:start [-- --starts N] [--json FILE]
// How long the built command takes until it is ready (its line of JSON), in wall time, beside `node -e 0`, in turns: the first
// start of each is not counted. And the memory that it has then, and after a second of nothing.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { machine } from "./process.ts"
import { median } from "./report.ts"

const command = join(import.meta.dirname, "../dist/emulator/cli.js")

/** Who has no such file has no figure of the memory. */
const megabytesOf = (pid: number): number => {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
  } catch {
    return NaN
  }
}

const millisSince = (start: bigint): number => Number(process.hrtime.bigint() - start) / 1e6

interface Start {
  readonly millis: number
  readonly megabytes: number
}

/** Starts the command, with a queue and a topic, and ends it; `idle` milliseconds after it is ready. */
export const startCommand = async (file = command, idle = 0): Promise<Start> => {
  const start = process.hrtime.bigint()
  const child = spawn(
    process.execPath,
    [file, "emulator", "--port", "0", "--queue", "orders", "--subscription", "news/all", "--json"],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  const closed = once(child, "close")
  const [line] = await Promise.race([
    once(child.stdout, "data"),
    closed.then(([code]) => {
      throw new Error(`the command ended with ${code} before it was ready`)
    })
  ])
  const millis = millisSince(start)
  if (typeof JSON.parse(String(line)).connectionString !== "string") throw new Error(`it printed ${line}`)
  if (idle > 0) await new Promise((resolve) => setTimeout(resolve, idle))
  const megabytes = megabytesOf(child.pid!)
  child.kill("SIGTERM")
  const [code] = await closed
  if (code !== 0) throw new Error(`it ended with ${code}`)
  return { millis, megabytes }
}

const startNode = async (): Promise<number> => {
  const start = process.hrtime.bigint()
  await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "close")
  return millisSince(start)
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: { starts: { type: "string", default: "20" }, json: { type: "string" } } })
  const starts = Number(values.starts)
  if (!Number.isInteger(starts) || starts < 1) throw new Error(`--starts: "${values.starts}" is no number of starts`)
  const ready: Array<Start> = []
  const bare: Array<number> = []
  for (let round = 0; round <= starts; round++) {
    const [command, node] = [await startCommand(), await startNode()]
    if (round === 0) continue
    ready.push(command)
    bare.push(node)
  }
  const idle = await startCommand(command, 1000)
  const times = ready.map(({ millis }) => millis)
  const result = {
    starts,
    readyMillis: Math.round(median(times)),
    leastMillis: Math.round(Math.min(...times)),
    mostMillis: Math.round(Math.max(...times)),
    nodeMillis: Math.round(median(bare)),
    readyMegabytes: Math.round(median(ready.map(({ megabytes }) => megabytes))),
    idleMegabytes: Math.round(idle.megabytes)
  }
  console.log(`## The command until it is ready\n\n${machine(["effect", "rhea"])}

${starts} starts, one at a time, each followed by one of \`node -e 0\`.

| | median | least | most |
| --- | --- | --- | --- |
| ready | ${result.readyMillis} ms | ${result.leastMillis} ms | ${result.mostMillis} ms |
| \`node -e 0\` | ${result.nodeMillis} ms | ${Math.round(Math.min(...bare))} ms | ${Math.round(Math.max(...bare))} ms |

Memory (RSS) when it is ready: ${result.readyMegabytes} MB, after a second of nothing: ${result.idleMegabytes} MB.`)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    console.error(`bench:start: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
