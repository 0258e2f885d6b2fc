/** What the broker counts, as a registry of metrics shows it: each metric of the table, by what has happened. */
import {
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as BrokerMetrics from "../../src/emulator/BrokerMetrics.ts"
import { root } from "../support/codeBlocks.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Archive = ServiceBusEntity.subscription(News, "archive")

const entities = [
  Emulator.entity(Orders, { lockDuration: "30 seconds", duplicateDetectionWindow: "1 minute" }),
  Emulator.entity(Carts, { lockDuration: "30 seconds" }),
  Emulator.entity(News),
  Emulator.entity(Archive, { forwardTo: "spare" }),
  Emulator.entity("spare", { defaultTimeToLive: "1 minute" })
]

/** Each series with its value, without what all of the broker's have. */
const series = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all.flatMap(({ attributes, id, state, type }) => {
      if (!id.startsWith("servicebus.broker.")) return []
      const { "messaging.system": system, ...others } = attributes!
      assert.strictEqual(system, "servicebus")
      const value = type === "Counter" ? (state as { count: bigint }).count : (state as { value: bigint }).value
      const name = id.slice("servicebus.broker.".length)
      return [[[name, ...Object.values(others)].join(" "), Number(value)] as const]
    })
  ))

type Services = ServiceBusClient.ServiceBusClient | Emulator.Emulator

const counts = <E>(title: string, use: () => Effect.Effect<void, E, Services | Scope.Scope>) =>
  it.effect(title, () =>
    Effect.suspend(use).pipe(
      Effect.scoped,
      Effect.provide(Emulator.layerMetrics),
      Effect.provide(Emulator.layer({ entities })),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))

/** Some of the series. */
const has = Effect.fnUntraced(function*(expected: Readonly<Record<string, number | undefined>>) {
  const found = yield* series
  const names = Object.keys(expected)
  assert.deepStrictEqual(Object.fromEntries(names.map((name) => [name, found[name]])), expected)
})

describe("the metrics of the broker", () => {
  counts("tell what entities hold, and what became of their messages", () =>
    Effect.gen(function*() {
      yield* has({
        "message.current default orders active": 0,
        "message.current default news active": undefined,
        "message.current default news scheduled": 0,
        "message.current default news archive transfer": 0,
        // What has counted nothing is not there.
        "message.enqueued default orders": undefined
      })
      const sender = yield* ServiceBusSender.make(Orders)
      yield* sender.sendAll(["1", "2", "3", "4", "5", "6"].map((messageId) => ({ body: "text", messageId })))
      yield* sender.send({ body: "again", messageId: "1" })
      yield* sender.schedule({ body: "later" }, DateTime.makeUnsafe(3_600_000))
      const receiver = yield* ServiceBusReceiver.make(Orders)
      const messages = yield* receiver.receive({ max: 6 })
      yield* receiver.complete(messages[0]!)
      yield* receiver.settle(messages[1]!, Settlement.abandon())
      yield* receiver.settle(messages[2]!, Settlement.defer())
      yield* receiver.settle(messages[3]!, Settlement.deadLetter({ reason: "Bad" }))
      yield* receiver.renewLock(messages[4]!)
      yield* receiver.receive({ max: 1 })
      yield* has({
        "message.current default orders active": 4,
        "message.current default orders dead_letter": 1,
        "message.current default orders scheduled": 1,
        // What is scheduled counts when it comes.
        "message.enqueued default orders": 7,
        "message.enqueued default orders/$DeadLetterQueue": 1,
        "message.current default orders/$DeadLetterQueue active": undefined,
        "message.deduplicated default orders": 1,
        "message.delivered default orders": 7,
        "message.redelivered default orders": 1,
        "message.settled default orders complete": 1,
        "message.settled default orders abandon": 1,
        "message.settled default orders defer": 1,
        "message.dead_lettered default orders": 1,
        "lock.renewed default orders": 1,
        "connection.count default": 1,
        // Those of claims and of management are links, too.
        "link.count default sender": 3,
        "link.count default receiver": 3
      })
      yield* TestClock.adjust("31 seconds")
      // Those of three messages; the one that was renewed among them.
      yield* has({ "lock.expired default orders": 3 })
      const { deleteMessages } = receiver
      yield* deleteMessages({ max: 1 })
      yield* has({ "message.deleted default orders": 1 })
    }))

  counts("tell what is forwarded, and what expires", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(News)
      yield* sender.sendAll([{ body: "a" }, { body: "b" }])
      yield* has({
        "message.enqueued default news": 2,
        "message.enqueued default news archive": 2,
        "message.forwarded default news archive": 2,
        "message.enqueued default spare": 2
      })
      const held = (yield* series)["entity.size default spare"]!
      assert.isAbove(held, 0)
      yield* TestClock.adjust("2 minutes")
      yield* has({ "message.expired default spare": 2, "entity.size default spare": 0 })
    }))

  counts("tell of sessions", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Carts)
      yield* sender.send({ body: "chairs", sessionId: "ada" })
      const emulator = yield* Emulator.Emulator
      yield* ServiceBusSession.accept(Carts, "ada")
      yield* has({ "session.accepted default carts": 1, "session.lost default carts": undefined })
      yield* emulator.loseSession(Carts, "ada")
      yield* has({ "session.lost default carts": 1 })
    }))

  counts("tell of faults that struck, and of requests over HTTP that were answered", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation: "send", entity: Orders, error: { condition: "amqp:not-allowed" } })
      const sender = yield* ServiceBusSender.make(Orders)
      yield* Effect.flip(sender.send({ body: "text" }))
      // What was struck is counted, also when the fault is forgotten.
      yield* emulator.removeFaults
      const ask = (method: "GET" | "POST", path: string) =>
        emulator.httpClient.execute(HttpClientRequest.make(method)(`http://localhost${path}`))
      yield* ask("GET", "/health")
      yield* ask("GET", "/health")
      yield* ask("POST", "/orders?api-version=2021-05")
      yield* has({ "fault.struck default error": 1, "http.requests GET 200": 2, "http.requests POST 401": 1 })
    }))

  counts("come and go with entities and namespaces, beside what the program counts", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.counter("program.own"), 3)
      const emulator = yield* Emulator.Emulator
      const names = Effect.map(Metric.snapshot, (all) => all.map(({ id }) => id))
      assert.include(yield* names, "program.own")
      yield* emulator.create(Emulator.entity("late"))
      yield* has({ "message.current default late active": 0 })
      yield* emulator.delete("late")
      yield* has({ "message.current default late active": undefined })
      const team = yield* emulator.createNamespace({ name: "team-a", entities: [Emulator.entity("tasks")] })
      yield* team.send("tasks", [{ body: new Uint8Array(1) }])
      yield* has({ "message.current team-a tasks active": 1, "connection.count team-a": 0 })
      // Controls of one namespace show that namespace alone.
      const own = yield* series.pipe(
        // Another one than that of the test.
        Effect.provide(Layer.fresh(Emulator.layerMetrics)),
        Effect.provideService(Emulator.Emulator, team),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.isTrue(Object.keys(own).every((name) => name.includes(" team-a")))
      assert.strictEqual(own["message.enqueued team-a tasks"], 1)
      yield* emulator.removeNamespace("team-a")
      yield* has({ "message.current team-a tasks active": undefined })
    }))

  it.effect("of more entities than a registry should have are one series for those beyond", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send("q2100", [{ body: new Uint8Array(1) }])
      yield* emulator.send("q2200", [{ body: new Uint8Array(1) }])
      const found = yield* series
      const entities = Object.keys(found).filter((name) => /^message\.current default q\d+ active$/.test(name))
      // One of them is the namespace.
      assert.strictEqual(entities.length, BrokerMetrics.most - 1)
      assert.strictEqual(found["message.current true active"], 2)
      assert.strictEqual(found["message.enqueued true"], 2)
      // Counters do not fall where entities of that series go, or have series of their own.
      yield* emulator.delete("q2200")
      yield* has({ "message.enqueued true": 2, "message.current true active": 1 })
      for (let index = 0; index < 102; index++) yield* emulator.delete(`q${index}`)
      yield* has({ "message.enqueued default q2100": 1, "message.current true active": 0 })
      yield* emulator.send("q2250", [{ body: new Uint8Array(1) }])
      yield* has({ "message.enqueued true": 3 })
    }).pipe(
      Effect.provide(Emulator.layerMetrics),
      Effect.provide(
        Emulator.layer({ entities: Array.from({ length: 2300 }, (_, index) => Emulator.entity(`q${index}`)) })
      ),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))

  it.effect("have units, which are no attribute", () =>
    Effect.gen(function*() {
      const size = (yield* Metric.snapshot).find(({ id }) => id === "servicebus.broker.entity.size")!
      assert.strictEqual(size.attributes!["unit"], "By")
      assert.notInclude(Object.keys(size.attributes!), "unit")
    }).pipe(
      Effect.provide(Emulator.layerMetrics),
      Effect.provide(Emulator.layer({ entities: [Emulator.entity("orders")] }))
    ))

  it("are those of the table of docs/observability.md", () => {
    const page = readFileSync(join(root, "docs/observability.md"), "utf8")
    const rows = Array.from(
      page.matchAll(/^\| `(servicebus\.broker\.[\w.]+)` +\| (\w+) +\|/gm),
      ([, name, kind]) => [name, kind!.slice(0, 1).toUpperCase() + kind!.slice(1)]
    )
    assert.deepStrictEqual(rows, Object.entries(BrokerMetrics.instruments).map(([name, [type]]) => [name, type]))
  })

  it.effect("leave a registry as it was when their scope closes", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      yield* Effect.provide(Metric.snapshot, Layer.provide(Emulator.layerMetrics, Emulator.layer({ entities }))).pipe(
        Effect.provideService(Metric.MetricRegistry, registry)
      )
      assert.deepStrictEqual([...registry.keys()].filter((key) => key.includes("servicebus.broker")), [])
    }))
})
