/** The command as a process of its own, which can be killed. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

const cli = join(import.meta.dirname, "../../src/emulator/cli.ts")

export interface Running {
  readonly child: ChildProcess
  readonly port: number
  readonly connectionString: string
  /** Ends it without a word, and waits until it is gone. */
  readonly kill: () => Promise<void>
}

/** Starts it; it is there once it listens. */
export const start = async (...flags: ReadonlyArray<string>): Promise<Running> => {
  const child = spawn(process.execPath, [cli, "emulator", "--json", "--admin-port", "0", ...flags], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  let errors = ""
  child.stderr.on("data", (text) => (errors += String(text)))
  const [line] = await Promise.race([
    once(child.stdout, "data"),
    once(child, "close").then(() => {
      throw new Error(`the command ended: ${errors}`)
    })
  ])
  const { amqpPort, connectionString } = JSON.parse(String(line))
  return {
    child,
    port: amqpPort,
    connectionString,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const closed = once(child, "close")
      child.kill("SIGKILL")
      await closed
    }
  }
}
