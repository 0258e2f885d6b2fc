// node --expose-gc benchmark/kept.ts: how many bytes of memory stay for each message that stays where many pass, beside the
// bytes of the message itself. Client and broker are in one process, over TCP.
import { Clock, Effect, Layer, Result } from "effect"
import { pathToFileURL } from "node:url"
import * as Emulator from "../src/emulator/Emulator.ts"
import { Writer } from "../src/internal/amqp/codec/Writer.ts"
import { encode } from "../src/internal/message/MessageEncoder.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as ServiceBusMessage from "../src/ServiceBusMessage.ts"
import * as ServiceBusReceiver from "../src/ServiceBusReceiver.ts"
import * as ServiceBusSender from "../src/ServiceBusSender.ts"

export interface Kept {
  /** What the broker keeps of a message that waits, of one that waits in a session, and of a dead letter. */
  readonly waiting: number
  readonly inSession: number
  readonly deadLetter: number
  /** What a program keeps of a message, that keeps one in fifty of what it receives as they are, or one in five detached. */
  readonly received: number
  readonly detached: number
  /** How many bytes a message has. */
  readonly size: number
}

const Bytes = ServiceBusEntity.queue("bytes", { body: ServiceBusBody.bytes })
const Carts = ServiceBusEntity.queue("carts", { sessions: true, body: ServiceBusBody.bytes })

/** Half a kilobyte with its sections. */
const body = new Uint8Array(400)

const memory = Effect.promise(async () => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
})

/** What grows for each of `count`, after the code has run once. */
const grown = <E, R>(count: number, run: (round: number) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    yield* run(0)
    const before = yield* memory
    yield* run(1)
    return ((yield* memory) - before) / count
  })

const messagesOf = (from: number) =>
  Array.from({ length: 200 }, (_, i) => ({
    body,
    messageId: `${from + i}-abcdefghijklmnopqrstuvwxyz`,
    // Ten messages in each.
    sessionId: `${Math.floor((from + i) / 10)}`
  }))

const measure = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Bytes)
  const receiver = yield* ServiceBusReceiver.make(Bytes)
  const carts = yield* ServiceBusSender.make(Carts)
  /** Sends and receives `count`, completes them or dead-letters one of `every`, or gives it back. */
  const passing = (count: number, every: number, keep: "deadLetter" | "received" | "detached", round: number) =>
    Effect.gen(function*() {
      const kept: Array<unknown> = []
      for (let i = 0; i < count; i += 200) {
        yield* sender.sendAll(messagesOf(round * count + i))
        let left = 200
        while (left > 0) {
          const messages = yield* receiver.receive({ max: left })
          left -= messages.length
          yield* Effect.forEach(messages, (message) => {
            const isOne = Number(message.messageId.split("-")[0]) % every === 0
            if (isOne && keep === "deadLetter") return receiver.deadLetter(message, { reason: "a reason" })
            if (isOne) kept.push(keep === "received" ? message : ServiceBusMessage.detached(message))
            return receiver.complete(message)
          }, { concurrency: "unbounded", discard: true })
        }
      }
      return kept
    })

  const held: Array<unknown> = []
  const of = (every: number, keep: "deadLetter" | "received" | "detached") =>
    grown(20_000 / every, (round) => Effect.map(passing(20_000, every, keep, round), (kept) => void held.push(kept)))

  const deadLetter = yield* of(5, "deadLetter")
  const received = yield* of(50, "received")
  const detached = yield* of(5, "detached")
  // As it was sent: a received one has what the broker says too.
  const writer = new Writer()
  encode(writer, messagesOf(20_000)[0]!, Result.getOrThrow(Bytes.body.encode(body)), undefined, yield* Clock.Clock)
  const size = writer.take().length
  /** Sends 10,000. */
  const filling = (to: Pick<typeof carts, "sendAll">) =>
    grown(
      10_000,
      (round) =>
        Effect.forEach(Array.from({ length: 50 }), (_, i) => to.sendAll(messagesOf(round * 10_000 + 200 * i)), {
          discard: true
        })
    )
  const waiting = yield* filling(sender)
  const inSession = yield* filling(carts)
  const beside = (bytes: number) => Math.round(bytes - size)
  return {
    waiting: beside(waiting),
    inSession: beside(inSession),
    deadLetter: beside(deadLetter),
    received: beside(received),
    detached: beside(detached),
    size
  } satisfies Kept
}).pipe(
  Effect.scoped,
  Effect.provide(Layer.provideMerge(
    Emulator.layerClient,
    Emulator.layerServer({ entities: [Emulator.entity(Bytes), Emulator.entity(Carts)] })
  ))
)

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log(JSON.stringify(await Effect.runPromise(measure)))
}
