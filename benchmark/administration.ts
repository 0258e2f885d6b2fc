// npm run bench:administration [-- --rounds N] [--count N] [--concurrency N]
// What queues and rules cost that are created, listed and deleted, 1,000 of each: our administration client beside the one
// of @azure/service-bus, over HTTPS, against the same kind of broker in a process of its own. Each run is two new processes;
// the rounds are interleaved. Fails if what is listed is not what was created, or anything is left.
import { ServiceBusAdministrationClient } from "@azure/service-bus"
import { Effect, Redacted, Stream } from "effect"
import { ServiceBusAdministration, ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { environment, start } from "./process.ts"
import { median, short, times } from "./report.ts"

type Names = ReadonlyArray<string>

/** What a client does with the queues of the namespace, or with the rules of the subscription. */
interface Entities {
  readonly create: (names: Names) => Promise<void>
  /** The names of those that are as they were created. */
  readonly list: () => Promise<Names>
  readonly delete: (names: Names) => Promise<void>
}

interface Administrator {
  /** Creates the topic and the subscription. */
  readonly prepare: () => Promise<void>
  readonly queues: Entities
  readonly rules: Entities
}

interface Job {
  readonly peer: "ours" | "azure"
  readonly connectionString: string
  readonly count: number
  /** How many requests are in flight while queues or rules are created or deleted. */
  readonly concurrency: number
}

const topic = "news"
const subscription = "all"
const expression = "region = @region AND total > 100"
const action = "SET express = TRUE"

/** An async function for each name, so many at a time. */
const forEach = async (names: Names, concurrency: number, run: (name: string) => Promise<unknown>) => {
  const rest = names.values()
  const worker = async () => {
    for (const name of rest) await run(name)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}

const azure = ({ concurrency, connectionString }: Job): Administrator => {
  const client = new ServiceBusAdministrationClient(connectionString)
  return {
    prepare: async () => {
      await client.createTopic(topic)
      await client.createSubscription(topic, subscription)
    },
    queues: {
      create: (names) =>
        forEach(names, concurrency, (name) => client.createQueue(name, { lockDuration: "PT30S", maxDeliveryCount: 3 })),
      list: async () => {
        const names: Array<string> = []
        for await (const { maxDeliveryCount, name } of client.listQueues()) if (maxDeliveryCount === 3) names.push(name)
        return names
      },
      delete: (names) => forEach(names, concurrency, (name) => client.deleteQueue(name))
    },
    rules: {
      create: (names) => {
        const filter = { sqlExpression: expression, sqlParameters: { "@region": "eu" } }
        return forEach(
          names,
          concurrency,
          (name) => client.createRule(topic, subscription, name, filter, { sqlExpression: action })
        )
      },
      list: async () => {
        const names: Array<string> = []
        for await (const { filter, name } of client.listRules(topic, subscription)) {
          if ("sqlParameters" in filter && filter.sqlParameters?.["@region"] === "eu") names.push(name)
        }
        return names
      },
      delete: (names) => forEach(names, concurrency, (name) => client.deleteRule(topic, subscription, name))
    }
  }
}

const ours = ({ concurrency, connectionString }: Job): Administrator => {
  const { ServiceBusAdministration: Client, layerConnectionString } = ServiceBusAdministration
  const path = `${topic}/Subscriptions/${subscription}`
  const filter = ServiceBusRule.sql(expression, { "@region": "eu" })
  const run = <A, E>(program: (client: typeof Client.Service) => Effect.Effect<A, E>) =>
    Effect.runPromise(
      Effect.flatMap(Client, program).pipe(Effect.provide(layerConnectionString(Redacted.make(connectionString))))
    )
  const many = { concurrency, discard: true } as const
  return {
    prepare: () =>
      run((client) => Effect.andThen(client.createTopic(topic), Effect.asVoid(client.createSubscription(path)))),
    queues: {
      create: (names) =>
        run((client) =>
          Effect.forEach(
            names,
            (name) => client.createQueue(name, { lockDuration: "30 seconds", maxDeliveryCount: 3 }),
            many
          )
        ),
      list: () =>
        run((client) =>
          client.listQueues.pipe(
            Stream.filter((queue) => queue.maxDeliveryCount === 3),
            Stream.map((queue) => queue.name),
            Stream.runCollect
          )
        ),
      delete: (names) => run((client) => Effect.forEach(names, client.deleteQueue, many))
    },
    rules: {
      create: (names) =>
        run((client) =>
          Effect.forEach(
            names,
            (name) => client.createRule(path, ServiceBusRule.make(name, filter, ServiceBusRule.action(action))),
            many
          )
        ),
      list: () =>
        run((client) =>
          client.listRules(path).pipe(
            Stream.filter(({ filter }) => filter._tag === "SqlFilter" && filter.parameters["@region"] === "eu"),
            Stream.map((rule) => rule.name),
            Stream.runCollect
          )
        ),
      delete: (names) => run((client) => Effect.forEach(names, (name) => client.deleteRule(path, name), many))
    }
  }
}

/** Microseconds for one queue or rule. */
interface Measured {
  readonly name: string
  readonly cpu: number
  readonly wall: number
}

const measure = async (job: Job): Promise<ReadonlyArray<Measured>> => {
  const administrator = (job.peer === "ours" ? ours : azure)(job)
  await administrator.prepare()
  const run = async (kind: "queues" | "rules", count: number) => {
    const entities = administrator[kind]
    const names = Array.from({ length: count }, (_, i) => `${kind}-${String(i).padStart(6, "0")}`)
    const measured: Array<Measured> = []
    const timed = async <A>(verb: string, work: () => Promise<A>): Promise<A> => {
      const [before, started] = [process.cpuUsage(), performance.now()]
      const result = await work()
      const { system, user } = process.cpuUsage(before)
      const wall = (performance.now() - started) * 1000
      measured.push({ name: `${verb} ${kind}`, cpu: (system + user) / count, wall: wall / count })
      return result
    }
    await timed("create", () => entities.create(names))
    const listed = await timed("list", entities.list)
    if (listed.join() !== names.join()) throw new Error(`${job.peer} listed ${listed.length} of ${count} ${kind}`)
    await timed("delete", () => entities.delete(names))
    const left = await entities.list()
    if (left.length > 0) throw new Error(`${job.peer} left ${left.length} of ${count} ${kind}`)
    return measured
  }
  // Warm-up.
  await run("queues", 100)
  await run("rules", 100)
  return [...await run("queues", job.count), ...await run("rules", job.count)]
}

interface Place {
  readonly certificate: string
  readonly connectionString: string
}

const serve = Effect.gen(function*() {
  const { certificate, connectionString, httpsPort } = yield* Emulator.Emulator
  const place: Place = {
    certificate: certificate!,
    // As the service is named: with the flag of emulators they would not speak HTTPS.
    connectionString: Redacted.value(connectionString)
      .replace(/sb:\/\/[^;]+/, `sb://localhost:${httpsPort}/`)
      .replace(/;UseDevelopmentEmulator=true/, "")
  }
  process.send!(place)
  return yield* Effect.never
}).pipe(Effect.provide(Emulator.layerServer({ entities: [], httpsPort: 0 })))

const module = "administration.ts"

/** One run of a client, with a broker that has nothing. */
const round = async (job: Omit<Job, "connectionString">, folder: string): Promise<ReadonlyArray<Measured>> => {
  const broker = start("broker", module, { role: "broker" })
  try {
    const [place] = await once(broker, "message") as [Place]
    const authority = join(folder, "authority.pem")
    writeFileSync(authority, place.certificate)
    const work = { role: "client", job: { ...job, connectionString: place.connectionString } }
    const client = start("client", module, work, { NODE_EXTRA_CA_CERTS: authority })
    const answer = once(client, "message")
    const ended = once(client, "exit").then(([code]) => {
      throw new Error(`${job.peer} ended with ${code}`)
    })
    ended.catch(() => {})
    const [measured] = await Promise.race([answer, ended]) as [ReadonlyArray<Measured>]
    await once(client, "exit")
    return measured
  } finally {
    broker.disconnect()
  }
}

const positive = (option: string, text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0 && value <= 2000) return value
  throw new Error(`--${option}: "${text}" is not an integer from 1 to 2000`)
}

const main = async () => {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      // A topic has 2,000 SQL filters at most.
      count: { type: "string", default: "1000" },
      concurrency: { type: "string", default: "10" }
    }
  })
  const rounds = positive("rounds", values.rounds)
  const count = positive("count", values.count)
  const concurrency = positive("concurrency", values.concurrency)
  const folder = mkdtempSync(join(tmpdir(), "administration-"))
  const samples: Array<Record<Job["peer"], ReadonlyArray<Measured>>> = []
  try {
    for (let index = 0; index < rounds; index++) {
      const of = (peer: Job["peer"]) => round({ peer, count, concurrency }, folder)
      // Each round starts with the other.
      if (index % 2 === 0) {
        const first = await of("ours")
        samples.push({ ours: first, azure: await of("azure") })
      } else {
        const first = await of("azure")
        samples.push({ azure: first, ours: await of("ours") })
      }
      process.stderr.write(`round ${index + 1} of ${rounds} done\n`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  const rows = samples[0]!.ours.map(({ name }, i) => {
    const cells = (["cpu", "wall"] as const).flatMap((metric) => {
      const [ours, azure] = (["ours", "azure"] as const).map((peer) =>
        samples.map((sample) => sample[peer][i]![metric])
      )
      const ratios = azure!.map((value, index) => value / ours![index]!)
      return [
        short(median(ours!)),
        short(median(azure!)),
        `${times(median(ratios))} (${times(Math.min(...ratios))}..${times(Math.max(...ratios))})`
      ]
    })
    return `| ${[name, ...cells].join(" | ")} |`
  })
  console.log(`## Administration: ours and @azure/service-bus

${environment(["@azure/service-bus", "effect"])}

${rounds} interleaved rounds, ${count} queues and ${count} rules, ${concurrency} requests at a time, pages of 100; microseconds
for one queue or rule; azure / ours is the median of the rounds' own ratios, with the least and the most.

| | CPU, ours | CPU, azure | azure / ours | wall, ours | wall, azure | azure / ours |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join("\n")}`)
}

const task = process.argv[2]?.startsWith("{") === true
  ? JSON.parse(process.argv[2]) as { readonly role: "broker" } | { readonly role: "client"; readonly job: Job }
  : undefined

try {
  if (task === undefined) await main()
  else if (task.role === "client") process.send!(await measure(task.job), () => process.exit())
  else {
    process.on("disconnect", () => process.exit())
    await Effect.runPromise(serve)
  }
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exitCode = 1
  if (process.connected) process.disconnect()
}
