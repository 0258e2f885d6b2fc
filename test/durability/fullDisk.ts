// npm run durability:disk [-- --folder FOLDER]
// The published command with its state on a disk that becomes full under senders: sends are refused by the quota, what is there is
// received and settled all the same, and sends are taken again once there is room, whether a file is removed or messages are
// received. Then it is killed, and what was accepted and not completed is there, once. Without a folder it mounts a small file
// system in memory, which needs Linux and its root; one that is given has at most 200 MB of room.
import { Effect, Fiber, Redacted, Schedule } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import assert from "node:assert"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"

const command = join(import.meta.dirname, "../../dist/emulator/cli.js")

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const text = "x".repeat(4000)

const roomOf = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

const start = async (file: string): Promise<{ readonly child: ChildProcess; readonly connectionString: string }> => {
  const child = spawn(
    process.execPath,
    [command, "emulator", "--json", "--port", "0", "--admin-port", "0", "--queue", "orders", "--data", file],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  const [line] = await Promise.race([
    once(child.stdout, "data"),
    once(child, "close").then(([code]) => {
      throw new Error(`the command ended with ${code}`)
    })
  ])
  return { child, connectionString: JSON.parse(String(line)).connectionString }
}

const withClient = <A>(
  connectionString: string,
  work: Effect.Effect<A, unknown, ServiceBusClient.ServiceBusClient>
): Promise<A> =>
  Effect.runPromise(
    Effect.provide(
      work,
      ServiceBusClient.layerConnectionString(Redacted.make(connectionString), { retry: { maxRetries: 0 } })
    )
  )

const run = async (folder: string): Promise<void> => {
  const file = join(folder, "broker.db")
  const ballast = join(folder, "ballast")
  let broker = await start(file)
  const accepted = new Set<string>()
  const refused: Record<string, number> = {}
  let next = 0
  const load = Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Orders)
    /** Sends one; whether it was accepted. */
    const send = Effect.suspend(() => {
      const messageId = `m-${next++}`
      return Effect.match(sender.send({ messageId, body: text }), {
        onSuccess: () => {
          accepted.add(messageId)
          return true
        },
        onFailure: ({ _tag }) => {
          refused[_tag] = (refused[_tag] ?? 0) + 1
          return false
        }
      })
    })
    const untilRefused = Effect.repeat(send, { while: (isAccepted) => isAccepted })
    /** Sends from many at a time, until each of them was refused. */
    const fill = Effect.forEach(Array.from({ length: 50 }), () => untilRefused, {
      concurrency: "unbounded",
      discard: true
    })
    const untilAccepted = Effect.repeat(send, {
      until: (isAccepted) => isAccepted,
      schedule: Schedule.spaced("50 millis"),
      times: 100
    })
    const receiver = yield* ServiceBusReceiver.make(Orders)
    const take = (count: number) =>
      Effect.gen(function*() {
        for (let left = count; left > 0;) {
          const messages = yield* receiver.receive({ max: Math.min(50, left), maxWait: "5 seconds" })
          assert.ok(messages.length > 0, "a full disk keeps messages from being received")
          yield* receiver.completeAll(messages)
          for (const { messageId } of messages) {
            assert.ok(accepted.delete(String(messageId)), `${String(messageId)} came, and was not there`)
          }
          left -= messages.length
        }
      })

    yield* fill
    const most = accepted.size
    console.log(`${most} messages were accepted, ${roomOf(folder) >> 10} KiB are left`)
    assert.deepStrictEqual(Object.keys(refused), ["ServiceBusQuotaExceededError"])
    const sending = yield* Effect.forkChild(Effect.forever(Effect.andThen(send, Effect.sleep("5 millis"))))
    yield* take(Math.floor(most / 2))
    console.log(`half of them were received and completed under senders`)
    yield* untilAccepted
    console.log("sends are taken again: what was received has made room")
    yield* Fiber.interrupt(sending)
    yield* fill
    // What grows beside it takes what was left; what is there is settled all the same.
    const rest = roomOf(folder)
    let hasBallast = rest
    for (; hasBallast > 0; hasBallast -= 64 * 1024) {
      try {
        writeFileSync(ballast, Buffer.alloc(hasBallast))
        break
      } catch {
        rmSync(ballast, { force: true })
      }
    }
    console.log(`another file of ${hasBallast >> 10} KiB: ${roomOf(folder) >> 10} KiB are left`)
    assert.strictEqual(yield* send, false)
    rmSync(ballast)
    yield* take(100)
    yield* untilAccepted
    console.log("sends are taken again: the other file is gone")
    assert.deepStrictEqual(Object.keys(refused), ["ServiceBusQuotaExceededError"])
  })
  try {
    await withClient(broker.connectionString, Effect.scoped(load))
    broker.child.kill("SIGKILL")
    await once(broker.child, "close")
    broker = await start(file)
    const there = new Map<string, number>()
    await withClient(
      broker.connectionString,
      Effect.scoped(Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(Orders)
        for (;;) {
          const messages = yield* receiver.receive({ max: 200, maxWait: "1 second" })
          if (messages.length === 0) return
          for (const { messageId } of messages) there.set(String(messageId), (there.get(String(messageId)) ?? 0) + 1)
          yield* receiver.completeAll(messages)
        }
      }))
    )
    const lost = [...accepted].filter((id) => !there.has(id))
    // One whose sending was cut off may be there.
    const twice = [...there].filter(([, count]) => count > 1)
    assert.deepStrictEqual({ lost, twice }, { lost: [], twice: [] })
    console.log(
      `${accepted.size} were accepted and not completed: all of them are there after a kill, ${
        Object.values(refused).reduce((sum, count) => sum + count, 0)
      } sends were refused`
    )
  } finally {
    if (broker.child.exitCode === null && broker.child.signalCode === null) {
      const ended = once(broker.child, "close")
      broker.child.kill("SIGKILL")
      await ended
    }
  }
}

const { values } = parseArgs({ options: { folder: { type: "string" } } })
const own = values.folder ?? mkdtempSync(join(tmpdir(), "full-disk-"))
if (values.folder === undefined) execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", own])
try {
  const room = roomOf(own)
  if (room > 200 * 2 ** 20) throw new Error(`${own} has ${room >> 20} MB of room: give one of at most 200 MB`)
  await run(own)
} finally {
  if (values.folder === undefined) {
    execFileSync("umount", [own])
    rmSync(own, { recursive: true })
  }
}
