// npm run bench:start [-- --starts N] [--json FILE] [--binary FILE]
// How long the built command takes until it is ready (its line of JSON), in wall time, beside `node -e 0` and, where one is given,
// the single executable, in turns: the first start of each is not counted. And the memory that it has then, and after a second
// of nothing.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, statSync, writeFileSync } from "node:fs"
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

/** Starts the command, a module or an executable, with a queue and a topic, and ends it `idle` milliseconds after it is ready. */
export const startCommand = async (file = command, idle = 0): Promise<Start> => {
  const start = process.hrtime.bigint()
  const args = ["emulator", "--port", "0", "--queue", "orders", "--subscription", "news/all", "--json"]
  const [program, ...before] = /\.[cm]?[jt]s$/.test(file) ? [process.execPath, file] : [file]
  const child = spawn(program!, [...before, ...args], { stdio: ["ignore", "pipe", "inherit"] })
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
  const { values } = parseArgs({
    options: { starts: { type: "string", default: "20" }, json: { type: "string" }, binary: { type: "string" } }
  })
  const starts = Number(values.starts)
  if (!Number.isInteger(starts) || starts < 1) throw new Error(`--starts: "${values.starts}" is no number of starts`)
  const { binary } = values
  const ready: Array<Start> = []
  const bare: Array<number> = []
  const single: Array<Start> = []
  for (let round = 0; round <= starts; round++) {
    const [command, node] = [await startCommand(), await startNode()]
    const executable = binary === undefined ? [] : [await startCommand(binary)]
    if (round === 0) continue
    ready.push(command)
    bare.push(node)
    single.push(...executable)
  }
  const idle = await startCommand(command, 1000)
  const millisOf = (all: ReadonlyArray<Start>) => all.map(({ millis }) => millis)
  const megabytesOf = (all: ReadonlyArray<Start>) => Math.round(median(all.map(({ megabytes }) => megabytes)))
  const times = millisOf(ready)
  const result = {
    starts,
    readyMillis: Math.round(median(times)),
    leastMillis: Math.round(Math.min(...times)),
    mostMillis: Math.round(Math.max(...times)),
    nodeMillis: Math.round(median(bare)),
    readyMegabytes: megabytesOf(ready),
    idleMegabytes: Math.round(idle.megabytes),
    ...(binary === undefined ? {} : {
      binaryMillis: Math.round(median(millisOf(single))),
      binaryMegabytes: megabytesOf(single),
      binaryFileMegabytes: Math.round(statSync(binary).size / 1e6)
    })
  }
  const row = (name: string, all: ReadonlyArray<number>) =>
    `| ${name} | ${
      [median(all), Math.min(...all), Math.max(...all)].map((each) => `${Math.round(each)} ms`).join(" | ")
    } |`
  console.log(`## The command until it is ready\n\n${machine(["effect", "rhea"])}

${starts} starts, one at a time, each followed by one of \`node -e 0\`.

| | median | least | most |
| --- | --- | --- | --- |
${row("ready", times)}${binary === undefined ? "" : `\n${row("ready, the executable", millisOf(single))}`}
${row("`node -e 0`", bare)}

Memory (RSS) when it is ready: ${result.readyMegabytes} MB, after a second of nothing: ${result.idleMegabytes} MB.`)
  if (binary !== undefined) {
    console.log(
      `The executable: ${result.binaryMegabytes} MB when it is ready, a file of ${result.binaryFileMegabytes} MB.`
    )
  }
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
