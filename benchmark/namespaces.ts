// node --expose-gc benchmark/namespaces.ts [count]: what so many namespaces of one broker cost that are idle: bytes of memory and
// microseconds of CPU to make one, CPU to come by its first use (a client that connects over TCP, sends a message and goes), and the
// CPU of the process, its timers and its sockets while all are idle. In the second row each keeps a message that will expire.
import { Effect, Redacted } from "effect"
import { pathToFileURL } from "node:url"
import * as Emulator from "../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusClient from "../src/ServiceBusClient.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as ServiceBusSender from "../src/ServiceBusSender.ts"

export interface Cost {
  /** Bytes of memory of each. */
  readonly bytes: number
  /** Microseconds of CPU to make one by a call. */
  readonly made: number
  /** Microseconds of CPU of its first use, by which it is made, the client's side included. */
  readonly used: number
  /** Milliseconds of CPU of the process in the time in which nothing happens. */
  readonly idle: number
  /** Timers and sockets of the process then. */
  readonly timers: number
  readonly sockets: number
}

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const entities = [
  Emulator.entity(Orders),
  Emulator.entity(News),
  Emulator.entity(ServiceBusEntity.subscription(News, "all"))
]

const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

const memory = Effect.promise(async () => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
})

/** Sends a message to a namespace as any client does, and goes. */
const use = Effect.fnUntraced(function*(name: string, expires: boolean) {
  const { connectionString } = yield* Emulator.Emulator
  const text = Redacted.value(connectionString).replace("RootManageSharedAccessKey", name)
  yield* Effect.flatMap(
    ServiceBusSender.make(Orders),
    (sender) => sender.send({ body: "one", ...(expires ? { timeToLive: "1 hour" } : {}) })
  ).pipe(
    Effect.scoped,
    Effect.provide(ServiceBusClient.layerConnectionString(Redacted.make(text)))
  )
})

const counted = (kind: string) => process.getActiveResourcesInfo().filter((each) => each.includes(kind)).length

/** The cost of `count` namespaces, of a broker of their own. */
export const measure = (count: number, seconds: number, expires: boolean) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    // What is loaded and compiled once is none of theirs.
    for (let i = 0; i < 20; i++) yield* use(`warm-${i}`, expires)
    const calledFrom = cpu()
    for (let i = 0; i < count; i++) yield* emulator.createNamespace({ name: `made-${i}` })
    const made = (cpu() - calledFrom) / count
    for (let i = 0; i < count; i++) yield* emulator.removeNamespace(`made-${i}`)
    const before = yield* memory
    const usedFrom = cpu()
    for (let i = 0; i < count; i++) yield* use(`team-${i}`, expires)
    const used = (cpu() - usedFrom) / count
    const bytes = ((yield* memory) - before) / count
    // What was let go of is looked after.
    yield* Effect.sleep("1 second")
    const idleFrom = cpu()
    yield* Effect.sleep(`${seconds} seconds`)
    return {
      bytes: Math.round(bytes),
      made: Math.round(made),
      used: Math.round(used),
      idle: Math.round((cpu() - idleFrom) / 100) / 10,
      timers: counted("Timeout"),
      sockets: counted("TCPSocket")
    } satisfies Cost
  }).pipe(
    Effect.provide(Emulator.layerServer({ entities, namespaces: "any" })),
    Effect.scoped
  )

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const count = Number(process.argv[2] ?? 1_000)
  const seconds = Number(process.argv[3] ?? 5)
  console.log(`${count} namespaces of three entities, each with a message, and no client any more`)
  for (const expires of [false, true]) {
    const cost = await Effect.runPromise(measure(count, seconds, expires))
    console.log(JSON.stringify({ expires, ...cost }))
  }
}
