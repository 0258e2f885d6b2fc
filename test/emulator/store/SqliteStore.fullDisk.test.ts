/** Where its file cannot grow the broker refuses what is sent, and settles what is there. */
import { Effect, Redacted, Result } from "effect"
import { ServiceBusClient, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import * as DataFile from "../../support/dataFile.ts"
import { TextBytes } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const root = join(import.meta.dirname, "../../..")

describe("a file that cannot grow", () => {
  // A limit of the shell for the size of files stands for a disk that is full.
  it.live.skipIf(process.platform === "win32")(
    "has sends refused as over the quota, and no more than that",
    () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const { child, connectionString } = yield* Effect.acquireRelease(
          Effect.promise(async () => {
            const command =
              `"${process.execPath}" src/emulator/cli.ts emulator --port 0 --json --queue texts --data "${file}"`
            const child = spawn("sh", ["-c", `ulimit -S -f 16000; exec ${command}`], {
              cwd: root,
              stdio: ["ignore", "pipe", "ignore"]
            })
            const [line] = await once(child.stdout, "data")
            const { connectionString } = JSON.parse(String(line)) as { readonly connectionString: string }
            return { child, connectionString: Redacted.make(connectionString) }
          }),
          ({ child }) =>
            Effect.promise(async () => {
              const ended = once(child, "close")
              child.kill("SIGKILL")
              await ended
            })
        )
        yield* Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(TextBytes)
          const receiver = yield* ServiceBusReceiver.make(TextBytes)
          const body = new Uint8Array(20_000)
          let accepted = 0
          let refusal: { readonly _tag: string; readonly message: string } | undefined
          while (refusal === undefined) {
            const sent = yield* Effect.forEach(
              Array.from({ length: 20 }),
              () => Effect.result(sender.send({ body })),
              { concurrency: "unbounded" }
            )
            accepted += sent.filter(Result.isSuccess).length
            refusal = sent.find(Result.isFailure)?.failure
          }
          assert.strictEqual(refusal._tag, "ServiceBusQuotaExceededError")
          assert.include(refusal.message, "The broker's data cannot grow")
          assert.isAbove(accepted, 100)
          const messages = yield* receiver.receive({ max: 20 })
          assert.isAbove(messages.length, 0)
          yield* receiver.completeAll(messages)
          assert.isNull(child.exitCode)
        }).pipe(
          Effect.scoped,
          Effect.provide(ServiceBusClient.layerConnectionString(connectionString, { retry: { maxRetries: 0 } }))
        )
      }),
    120_000
  )
})
