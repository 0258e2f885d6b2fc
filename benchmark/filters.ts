// node benchmark/filters.ts [--rounds N]: what a filter costs over the stored bytes of a message, in nanoseconds of CPU, and what
// a topic costs for a message that it copies to 1, 100 and 500 subscriptions with SQL filters, in microseconds. The least of
// several rounds; in each round every case runs once, so that what slows the machine slows all.
import { Effect, Result } from "effect"
import { parseArgs } from "node:util"
import { change, fits, incoming } from "../src/emulator/amqp/StoredPayload.ts"
import { read } from "../src/emulator/amqp/StoredProperties.ts"
import * as Broker from "../src/emulator/broker/Broker.ts"
import * as Rule from "../src/emulator/broker/filter/Rule.ts"
import { Writer } from "../src/internal/amqp/codec/Writer.ts"
import * as ServiceBusRule from "../src/ServiceBusRule.ts"

const { values } = parseArgs({ options: { rounds: { type: "string", default: "15" } } })
const rounds = Number(values.rounds)

/** An order as an application sends it: ten application properties, of which filters name one or two. */
const message = (() => {
  const writer = new Writer()
  writer.descriptor(0x73)
  writer.value(["order-1", null, null, "order placed", null, "customer-17", "application/json"])
  writer.descriptor(0x74)
  writer.value({
    tenant: "contoso",
    source: "web",
    version: 3,
    region: "eu",
    currency: "EUR",
    total: 150,
    items: 4,
    express: false,
    customer: "customer-17",
    campaign: "spring"
  })
  writer.descriptor(0x75)
  writer.binary(new Uint8Array(256))
  return incoming(writer.take())
})()

const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) * 1000
}

interface Case {
  readonly name: string
  /** Nanoseconds for one. */
  readonly run: () => number
}

/** The least of each case, the rounds interleaved. */
const leastOf = (cases: ReadonlyArray<Case>): ReadonlyArray<number> => {
  const least = cases.map(() => Infinity)
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run }] of cases.entries()) least[i] = Math.min(least[i]!, run())
  }
  return least
}

const timed = (times: number, run: () => void) => (): number => {
  const before = cpu()
  for (let i = 0; i < times; i++) run()
  return (cpu() - before) / times
}

const compiled = (filter: ServiceBusRule.Filter) => Result.getOrThrow(Rule.compile(ServiceBusRule.make("rule", filter)))

const expressions = [
  "region = 'eu' AND total > 100",
  "total > 100",
  "sys.Label LIKE '%order%'",
  "region IN ('us', 'ap', 'eu')",
  "express = FALSE AND missing IS NULL",
  "total * 2 + items >= 300",
  "campaign LIKE 's_r%g' AND NOT (currency = 'USD' OR version < 2)"
]

const filters: ReadonlyArray<Case> = [
  ...expressions.map((expression) => {
    const rule = compiled(ServiceBusRule.sql(expression))
    if (!rule.matches(read(message))) throw new Error(`${expression} does not match`)
    return { name: expression, run: timed(50_000, () => void rule.matches(read(message))) }
  }),
  (() => {
    const rule = compiled(ServiceBusRule.sql(expressions[0]!))
    const before = read(message)
    return {
      name: `${expressions[0]}, another filter of the same message`,
      run: timed(50_000, () => void rule.matches(before))
    }
  })(),
  (() => {
    const rule = compiled(
      ServiceBusRule.correlation({ subject: "order placed", applicationProperties: { region: "eu" } })
    )
    return { name: "correlation by subject and region", run: timed(50_000, () => void rule.matches(read(message))) }
  })(),
  (() => {
    const parse = () => void compiled(ServiceBusRule.sql(expressions[0]!))
    return { name: `${expressions[0]}, parsed and compiled`, run: timed(5000, parse) }
  })(),
  (() => {
    const action = ServiceBusRule.action("SET total = total / 2; REMOVE campaign; SET sys.To = 'next'")
    const rule = Result.getOrThrow(Rule.compile(ServiceBusRule.make("rule", ServiceBusRule.true, action)))
    return {
      name: "an action of three statements, and the copy",
      run: timed(10_000, () => void change(message, rule.apply!(read(message))))
    }
  })()
]

const payloads = { fits, change, read }

/** A topic whose subscriptions are emptied as they fill. */
const topicOf = Effect.fnUntraced(function*(count: number, filterOf: (i: number) => ServiceBusRule.Filter) {
  const broker = yield* Broker.make([
    { kind: "topic", name: "t", options: { maxSize: Number.MAX_SAFE_INTEGER } },
    ...Array.from({ length: count }, (_, i): Broker.Entity => ({
      kind: "subscription",
      topic: "t",
      name: `s${i}`,
      options: { rules: [ServiceBusRule.make("only", filterOf(i))] }
    }))
  ], payloads)
  for (let i = 0; i < count; i++) {
    broker.queue(`t/subscriptions/s${i}`)!.attach({
      mode: "receiveAndDelete",
      credit: () => Infinity,
      deliver: () => {}
    }).wake()
  }
  return broker.queue("t")!
})

const counts = [1, 100, 500]
const matching = (i: number) => ServiceBusRule.sql(`region = 'eu' AND total > ${i % 100}`)
const other = (i: number) => ServiceBusRule.sql(`region = 'us' OR total > ${200 + i}`)

const fanOut = Effect.gen(function*() {
  const cases: Array<Case> = []
  const add = (name: string, count: number, topic: Broker.Queue) =>
    cases.push({ name: `${count}, ${name}`, run: timed(Math.ceil(20_000 / count), () => void topic.send([message])) })
  for (const count of counts) {
    add("every filter matches", count, yield* topicOf(count, matching))
    add("one filter matches", count, yield* topicOf(count, (i) => i === 0 ? matching(i) : other(i)))
    add("no filter", count, yield* topicOf(count, () => ServiceBusRule.true))
  }
  const least = leastOf(cases)
  console.log("\nsubscriptions | µs of a message | µs of a subscription | times one subscription")
  for (const [i, { name }] of cases.entries()) {
    const count = counts[Math.floor(i / 3)]!
    const one = least[i % 3]!
    const ns = least[i]!
    console.log(`${name} | ${(ns / 1000).toFixed(2)} | ${(ns / 1000 / count).toFixed(2)} | ${(ns / one).toFixed(1)}`)
  }
})

console.log("filter, with the read of its properties | ns")
const least = leastOf(filters)
for (const [i, { name }] of filters.entries()) console.log(`${name} | ${least[i]!.toFixed(0)}`)
await Effect.runPromise(Effect.scoped(fanOut))
