// node benchmark/links.ts [most]: what a send, and a session accepted, worked and closed, cost where so many links, or
// sessions that are held, are idle beside it on the same connections; and the latter with @azure/service-bus. Client and
// broker are in this process, over TCP; microseconds of CPU for both together, the least of five runs. Curves should be flat.
import { ServiceBusClient as AzureClient } from "@azure/service-bus"
import { Context, Effect, Exit, Layer, Option, Redacted, Scope } from "effect"
import * as Emulator from "../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusClient from "../src/ServiceBusClient.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as ServiceBusReceiver from "../src/ServiceBusReceiver.ts"
import * as ServiceBusSender from "../src/ServiceBusSender.ts"
import * as ServiceBusSession from "../src/ServiceBusSession.ts"

const most = Number(process.argv[2] ?? 10_000)
/** Every link of ours has a session of its own, and a connection has 5,000 of those at most. */
const perConnection = 4_000

const Plain = ServiceBusEntity.queue("plain", { body: ServiceBusBody.text })
const Held = ServiceBusEntity.queue("held", { body: ServiceBusBody.text, sessions: true })

const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

/** The least CPU of one run of an effect, in microseconds, of five rounds. */
const leastOf = Effect.fnUntraced(function*<E, R>(times: number, run: (i: number) => Effect.Effect<unknown, E, R>) {
  let least = Infinity
  for (let round = 0; round < 5; round++) {
    const before = cpu()
    for (let i = 0; i < times; i++) yield* run(round * times + i)
    least = Math.min(least, (cpu() - before) / times)
  }
  return Math.round(least)
})

/** Clients with connections of their own, as many as so many links need. */
const clients = Effect.fnUntraced(function*(links: number) {
  const { connectionString } = yield* Emulator.Emulator
  const layer = Layer.fresh(ServiceBusClient.layerConnectionString(connectionString))
  return yield* Effect.forEach(
    Array.from({ length: Math.ceil(links / perConnection) }),
    () => Effect.map(Layer.build(layer), Context.get(ServiceBusClient.ServiceBusClient))
  )
})

const idle = Effect.fnUntraced(function*<A, E, R>(
  links: number,
  open: (i: number) => Effect.Effect<A, E, R | ServiceBusClient.ServiceBusClient>
) {
  const all = yield* clients(links)
  yield* Effect.forEach(
    Array.from({ length: links }, (_, i) => i),
    (i) => Effect.provideService(open(i), ServiceBusClient.ServiceBusClient, all[i % all.length]!),
    { concurrency: 20 }
  )
  return all[0]!
})

/** A session that is accepted, worked and closed. */
const turnover = (id: string) =>
  Effect.scoped(Effect.gen(function*() {
    const session = yield* ServiceBusSession.acceptNext(Held)
    if (Option.isNone(session)) throw new Error(`no session, where ${id} was to be`)
    const [message] = yield* session.value.receive()
    yield* session.value.complete(message!)
  }))

const curves = {
  "a send beside idle links": (links: number) =>
    Effect.gen(function*() {
      const client = yield* idle(links, () => ServiceBusReceiver.make(Plain))
      const sender = yield* ServiceBusSender.make(Plain).pipe(
        Effect.provideService(ServiceBusClient.ServiceBusClient, client)
      )
      return yield* leastOf(500, () => sender.send({ body: "x" }))
    }),
  "a link opened and closed beside idle links": (links: number) =>
    Effect.gen(function*() {
      const client = yield* idle(links, () => ServiceBusReceiver.make(Plain))
      return yield* leastOf(100, () => Effect.scoped(ServiceBusSender.make(Plain))).pipe(
        Effect.provideService(ServiceBusClient.ServiceBusClient, client)
      )
    }),
  "a session worked beside sessions that are held": (links: number) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* idle(links, (i) => ServiceBusSession.accept(Held, `idle${i}`))
      return yield* leastOf(100, (i) =>
        Effect.andThen(emulator.send(Held, [{ body: "x", sessionId: `busy${i}` }]), turnover(`busy${i}`))).pipe(
          Effect.provideService(ServiceBusClient.ServiceBusClient, client)
        )
    })
}

const azure = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const client = new AzureClient(Redacted.value(emulator.connectionString))
  const least = yield* leastOf(100, (i) =>
    Effect.andThen(
      emulator.send(Held, [{ body: "x", sessionId: `azure${i}` }]),
      Effect.promise(async () => {
        const session = await client.acceptNextSession("held")
        const [message] = await session.receiveMessages(1)
        await session.completeMessage(message!)
        await session.close()
      })
    ))
  yield* Effect.promise(() => client.close())
  return least
})

const counts = Array.from({ length: Math.floor(Math.log10(most)) }, (_, i) => 10 ** (i + 1))

const program = Effect.gen(function*() {
  console.log(["idle", ...counts].join("\t"))
  for (const [name, curve] of Object.entries(curves)) {
    const row: Array<number> = []
    for (const count of counts) {
      const scope = yield* Scope.make()
      row.push(
        yield* Effect.scoped(curve(count)).pipe(
          Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Plain), Emulator.entity(Held)] }))
        )
      )
      yield* Scope.close(scope, Exit.void)
    }
    console.log([name, ...row].join("\t"))
  }
  const theirs = yield* azure.pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Held)] })))
  console.log(["a session worked, by @azure/service-bus", theirs].join("\t"))
})

Effect.runPromise(Effect.scoped(program)).then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
