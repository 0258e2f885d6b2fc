// Runs every example on the embedded broker, each in a process of its own, and prints a line for each.
import { spawn, spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

const here = import.meta.dirname

/** How an example ended: with what, and what it printed. */
interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly error?: Error | undefined
}

/** Starts the service on a free port, orders something, and stops it as soon as that is shipped. */
const runService = (): Promise<Ended> =>
  new Promise((resolve) => {
    const unset = { SERVICE_BUS_CONNECTION_STR: undefined, SERVICE_BUS_NAMESPACE: undefined }
    const child = spawn(process.execPath, [join(here, "service/main.ts")], {
      env: { ...process.env, ...unset, OTEL_EXPORTER_OTLP_ENDPOINT: undefined, PORT: "0" }
    })
    const expired = setTimeout(() => child.kill("SIGKILL"), 60_000)
    let stdout = ""
    let stderr = ""
    let isOrdered = false
    let isStopped = false
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      const port = /Listening on http:.*:(\d+)/.exec(stdout)?.[1]
      if (port !== undefined && !isOrdered) {
        isOrdered = true
        fetch(`http://localhost:${port}/orders`, {
          method: "POST",
          body: JSON.stringify({ id: "1", customer: "ada", total: 12 })
        }).then(
          ({ status }) => status === 202 || child.kill("SIGKILL"),
          () => child.kill("SIGKILL")
        )
      }
      // Once: a second signal ends a program that is about to end by itself.
      if (stdout.includes("Shipped 1") && !isStopped) isStopped = child.kill("SIGTERM")
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    child.on("close", (status) => {
      clearTimeout(expired)
      const events = stdout.split("\n").flatMap((line) => /(Billed|Shipped|Drained).*/.exec(line)?.[0] ?? [])
      resolve({ status, stdout: events.join(", "), stderr })
    })
  })

// What is a test runs with the others, by `npm test`.
const examples = readdirSync(here)
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "run.ts")
  .toSorted()
let failed = 0

const tell = (name: string, { error, status, stderr, stdout }: Ended) => {
  const line = stdout.trim().split("\n").at(-1) ?? ""
  const ok = status === 0 && line !== "" && stderr === ""
  if (!ok) failed++
  console.log(`${ok ? "ok  " : "FAIL"} ${name.padEnd(20)} ${line}`)
  if (!ok) console.log(error?.message ?? stderr)
}

tell("service", await runService())
for (const example of examples) {
  tell(
    example.replace(/\.ts$/, ""),
    spawnSync(process.execPath, [join(here, example)], { encoding: "utf8", timeout: 60_000 })
  )
}
console.log(
  failed === 0 ? `${examples.length + 1} examples ran` : `${failed} of ${examples.length + 1} examples failed`
)
process.exitCode = failed === 0 && examples.length > 0 ? 0 : 1
