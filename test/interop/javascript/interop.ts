// The checklist as a program, like those of the other languages.
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import * as tls from "node:tls"
import type { Start } from "../command.ts"
import { lacking, runCheck } from "./checklist.ts"
import { runCommandCheck } from "./command.ts"

const seconds = 30
const env = (name: string) => process.env[name] ?? ""

// The client has no option for an authority: it trusts what the process trusts.
const authority = env("INTEROP_CA")
if (authority !== "") {
  tls.setDefaultCACertificates([...tls.getCACertificates("default"), readFileSync(authority, "utf8")])
}
const place = {
  connection: env("INTEROP_CONNECTION"),
  webSocketPort: Number(env("INTEROP_WEB_SOCKET_PORT")),
  httpsPort: Number(env("INTEROP_HTTPS_PORT")),
  tlsPort: Number(env("INTEROP_TLS_PORT"))
}

/** What the checks of the command start it with. */
const starts: Record<string, Start> = JSON.parse(env("INTEROP_STARTS") || "{}")

/** Where in the checklist it was. */
const lines = (error: Error) =>
  [...(error.stack ?? "").matchAll(/(?:checklist|administration|identity|command)\.ts:(\d+):/g)].map(([, line]) => line)
    .join(
      ","
    )

const verdict = async (name: string) => {
  if (lacking[name] !== undefined) return `skip ${name}: ${lacking[name]}`
  try {
    await (starts[name] === undefined ? runCheck(name, place) : runCommandCheck(name, starts[name]))
    return `ok ${name}`
  } catch (cause) {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    return `not ok ${name}: ${error.message} (line ${lines(error)})`
  }
}

const names = process.argv.slice(2)
const worker = async () => {
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const late = sleep(seconds * 1000, `not ok ${name}: still running after ${seconds} s`, { ref: false })
    const line = await Promise.race([verdict(name), late])
    console.log(line.replaceAll(/\s+/g, " "))
  }
}
await Promise.all(Array.from({ length: 8 }, worker))
// A check that hangs must not keep the process.
process.exit(0)
