// node benchmark/curves.ts [most]: what a page costs at a broker that holds 1,000 messages, ten times as many, and so on up
// to `most` (1,000,000). Microseconds of CPU, the least of several runs; every curve should be flat.
import { Effect, Result } from "effect"
import * as Broker from "../src/emulator/broker/Broker.ts"
import { DuplicateHistory } from "../src/emulator/broker/DuplicateHistory.ts"
import type { HeldSession } from "../src/emulator/broker/Queue.ts"
import * as Emulator from "../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusDeadLetters from "../src/ServiceBusDeadLetters.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as Settlement from "../src/Settlement.ts"

const most = Number(process.argv[2] ?? 1_000_000)
const page = 100
/** How many letters are looked at over the wire at most. */
const mostBrowsed = 100_000

const payload = new Uint8Array(1)

const messageOf = (i: number, sessionId?: string): Broker.IncomingMessage => ({
  payload,
  messageId: `${i}`,
  sessionId,
  timeToLive: undefined
})

const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

/** The least CPU of one call, in microseconds, of ten runs of `times` calls each. */
const leastOf = (times: number, run: (i: number) => void): number => {
  let least = Infinity
  for (let round = 0; round < 10; round++) {
    const before = cpu()
    for (let i = 0; i < times; i++) run(round * times + i)
    least = Math.min(least, (cpu() - before) / times)
  }
  return least
}

const filled = Effect.fnUntraced(function*(count: number, options?: Broker.EntityOptions, sessions = false) {
  const broker = yield* Broker.make([{ name: "q", options: { maxSize: Number.MAX_SAFE_INTEGER, ...options } }])
  const queue = broker.queue("q")!
  for (let from = 0; from < count; from += 1000) {
    queue.send(Array.from({ length: 1000 }, (_, i) => messageOf(from + i, sessions ? `s${from + i}` : undefined)))
  }
  return queue
})

const deadLettered = Effect.fnUntraced(function*(count: number) {
  const queue = yield* filled(count)
  let left = count
  queue.attach({
    mode: "peekLock",
    credit: () => Math.min(left, 1000),
    deliver: (deliveries) => {
      left -= deliveries.length
      for (const { lockToken } of deliveries.toReversed()) queue.settle(lockToken, Settlement.deadLetter())
    }
  }).wake()
  return queue.deadLetterQueue!
})

const curves: ReadonlyArray<readonly [string, (count: number) => Effect.Effect<number, unknown>]> = [
  [
    "peek, a page in the middle",
    (count) =>
      Effect.scoped(Effect.map(filled(count), (queue) => leastOf(200, () => void queue.peek(BigInt(count / 2), page))))
  ],
  ["delete, a page", (count) =>
    Effect.scoped(Effect.map(filled(count), (queue) =>
      leastOf(10, (i) => {
        queue.deleteBefore(Infinity, page)
        queue.send(Array.from({ length: page }, (_, j) => messageOf(i * page + j)))
      })))],
  [
    "dead letters, a page in the middle",
    (count) =>
      Effect.scoped(
        Effect.map(deadLettered(count), (letters) => leastOf(200, () => void letters.peek(BigInt(count / 2), page)))
      )
  ],
  [
    "sessions, a page of their list",
    (count) =>
      Effect.scoped(
        Effect.map(filled(count, { requiresSession: true }, true), (queue) =>
          leastOf(200, () => void queue.sessions!.list({ count: page, after: "s5" })))
      )
  ],
  [
    "sessions, the next one accepted and given up",
    (count) =>
      Effect.scoped(Effect.map(filled(count, { requiresSession: true }, true), (queue) =>
        leastOf(500, () => {
          const accepted = queue.sessions!.accept(undefined, {
            owner: queue,
            granted: (session: HeldSession) => session.release(),
            lost: () => {}
          })
          if (Result.isFailure(accepted)) throw new Error(accepted.failure._tag)
        })))
  ],
  ["duplicate detection, an id while another expires", (count) =>
    Effect.sync(() => {
      const history = new DuplicateHistory(count)
      // What has expired must not count either.
      for (let i = 0; i < 2 * count; i++) history.findOrRemember(`${i}`, i, i)
      return leastOf(1000, (i) => void history.findOrRemember(`${2 * count + i}`, i, 2 * count + i))
    })]
]

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

/** What `counts` takes for each of so many dead letters, client and broker in one process: microseconds of CPU. */
const counted = (count: number) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const many = Array.from({ length: count }, (_, i) => ({ body: "x".repeat(500), messageId: `${i}` }))
    yield* emulator.send(Letters, many)
    while ((yield* emulator.counters(Letters)).deadLettered < count) yield* Effect.sleep(10)
    let least = Infinity
    for (let round = 0; round < 3; round++) {
      const before = cpu()
      const { deadLetters } = yield* ServiceBusDeadLetters.counts(Letters)
      least = Math.min(least, (cpu() - before) / count)
      if (deadLetters !== count) throw new Error(`${deadLetters} of ${count} letters`)
    }
    return least
  }).pipe(Effect.provide(Emulator.layer({
    // They die of their time.
    entities: [
      Emulator.entity(Letters, {
        maxSize: Number.MAX_SAFE_INTEGER,
        defaultTimeToLive: "1 milli",
        deadLetteringOnExpiration: true
      })
    ]
  })))

const all: typeof curves = [
  ...curves,
  [
    "counts of dead letters by a client, for each letter",
    (count) => count > mostBrowsed ? Effect.succeed(NaN) : counted(count)
  ]
]

const sizes = [1000, 10_000, 100_000, 1_000_000].filter((size) => size <= most)
console.log(`| µs of CPU | ${sizes.map((size) => size.toLocaleString("en")).join(" | ")} |`)
console.log(`|---|${sizes.map(() => "---:|").join("")}`)
for (const [name, curve] of all) {
  const row: Array<string> = []
  for (const size of sizes) {
    const micros = await Effect.runPromise(curve(size))
    row.push(Number.isNaN(micros) ? "" : micros.toPrecision(3))
  }
  console.log(`| ${name} | ${row.join(" | ")} |`)
}
