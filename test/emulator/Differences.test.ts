/**
 * What the broker does otherwise than Azure Service Bus and no other file shows, and the page that tells of all of it: a row without
 * a source, or whose test is not there or does not run, is found here.
 */
import { Effect, Redacted } from "effect"
import {
  ConnectionString,
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Broker from "../../src/emulator/broker/Broker.ts"
import * as AtomXml from "../../src/internal/administration/AtomXml.ts"
import * as CodeBlocks from "../support/codeBlocks.ts"
import * as Raw from "../support/frames.ts"
import { deliveriesOf, failsWith, idsOf, once, Texts, texts } from "../support/harness.ts"
import { managementApi, tokenOf } from "../support/managementApi.ts"
import * as RheaPeer from "../support/rheaPeer.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { ServiceBusAdministration: Administration } = ServiceBusAdministration

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

/** Under TestClock, on a broker with these entities. */
const test = <E>(
  title: string,
  entities: ReadonlyArray<Emulator.Entity>,
  body: Effect.Effect<void, E, Effect.Services<ReturnType<typeof services>>>
) => it.effect(title, () => body.pipe(Effect.scoped, Effect.provide(layerOf(entities))))

const layerOf = (entities: ReadonlyArray<Emulator.Entity>) => Emulator.layer({ entities, ...once })

const services = () =>
  Effect.all([Emulator.Emulator, Administration, ServiceBusSender.make(Texts), ServiceBusReceiver.make(Texts)])

const entry = (description: string, elements = ""): string =>
  `<entry xmlns="${AtomXml.atom}"><content type="application/xml"><${description} xmlns="${AtomXml.connect}" xmlns:i="${AtomXml.instance}">${elements}</${description}></content></entry>`

const asking = <A, E>(run: (ask: Effect.Success<ReturnType<typeof managementApi>>) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(managementApi(), run))

describe("what the service has and the broker has not", () => {
  it.effect("messages are neither sent nor received over HTTP, which is said by the status", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/orders", entry("QueueDescription"))
        const requests = [
          ["POST", "/orders/messages"], // Send a message, or a batch
          ["POST", "/orders/messages/head"], // Peek-lock
          ["DELETE", "/orders/messages/head"], // Receive and delete
          ["DELETE", "/orders/messages/1/7da9cfd5-40d5-4bb1-8d64-ec5a52e1c547"], // Complete
          ["PUT", "/orders/messages/1/7da9cfd5-40d5-4bb1-8d64-ec5a52e1c547"] // Unlock
        ] as const
        const answers = yield* Effect.forEach(requests, ([method, target]) => ask(method, target))
        assert.deepStrictEqual(answers.map(({ status }) => status), [400, 400, 404, 404, 400])
        assert.match(answers[0]!.body, /The specified HTTP verb \(POST\) is not valid/)
        assert.deepStrictEqual(ask.broker.queues().map(({ path }) => path), ["orders"])
      })
    ))

  test(
    "a partitioned queue has one partition: numbers from 1, one order, and any keys in one batch",
    [],
    Effect.gen(function*() {
      const administration = yield* Administration
      yield* administration.createQueue(Texts, { enablePartitioning: true })
      const sender = yield* ServiceBusSender.make(Texts)
      const keyed = texts(20).map(({ body, messageId }, i) => ({ body, messageId, partitionKey: `key ${i % 3}` }))
      yield* sender.sendAll(keyed)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const messages = yield* receiver.receive({ max: 20 })
      assert.deepStrictEqual(idsOf(messages), idsOf(keyed))
      assert.deepStrictEqual(messages.map(({ sequenceNumber }) => sequenceNumber), keyed.map((_, i) => BigInt(i + 1)))
    })
  )

  test(
    "there is one tier: Standard by its name, with Premium's large messages, and no alias and no messaging units",
    [],
    Effect.gen(function*() {
      const administration = yield* Administration
      const { alias, messagingUnits, sku } = yield* administration.getNamespace
      assert.deepStrictEqual({ alias, messagingUnits, sku }, {
        alias: undefined,
        messagingUnits: undefined,
        sku: "Standard"
      })
      yield* administration.createQueue(Texts, { maxMessageSize: 100 * 1024 * 1024 })
      const sender = yield* ServiceBusSender.make(Texts)
      yield* sender.send({ body: "y".repeat(3_000_000) })
      yield* failsWith("InvalidOptionError")(administration.createQueue("huge", { maxSize: 80 * 1024 ** 3 }))
    })
  )

  it.effect("what it holds is gone with its scope", () =>
    Effect.gen(function*() {
      const held = Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const before = (yield* emulator.messages(Texts)).length
        yield* emulator.send(Texts, texts(1))
        return before
      })
      const layer = layerOf([Emulator.entity(Texts)])
      assert.strictEqual(yield* Effect.provide(held, layer), 0)
      assert.strictEqual(yield* Effect.provide(held, layer), 0)
    }))

  it.effect("settings of storage and routing are given back, and change nothing", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const settings = [
          "<EnableBatchedOperations>false</EnableBatchedOperations>",
          "<FilteringMessagesBeforePublishing>true</FilteringMessagesBeforePublishing>",
          "<SupportOrdering>false</SupportOrdering>",
          "<EnableExpress>true</EnableExpress>"
        ]
        const { body, status } = yield* ask("PUT", "/news", entry("TopicDescription", settings.join("")))
        assert.strictEqual(status, 201)
        for (const setting of settings) assert.include(body, setting)
        // No subscription gets it, and it is taken all the same.
        const message = { payload: "x", messageId: "1", sessionId: undefined, timeToLive: undefined }
        assert.strictEqual(ask.broker.queue("news")!.send([message])._tag, "Success")
      })
    ))

  test(
    "in memory nothing is ended by the broker, whatever time passes",
    [Emulator.entity(Texts)],
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      const deliveries = deliveriesOf(sender)
      yield* TestClock.adjust("30 days")
      yield* sender.send({ body: "x" })
      // On the link that it had.
      assert.strictEqual(deliveriesOf(sender), deliveries + 1)
      assert.strictEqual(yield* emulator.connections, 1)
    })
  )
})

describe("limits of the service that the broker has not", () => {
  test(
    "nothing is throttled: what costs many seconds of credits is taken at once",
    [Emulator.entity(Texts)],
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      // A Standard namespace has 1,000 credits a second, of which a message costs one. No time passes here.
      yield* sender.sendAll(texts(5_000))
      const emulator = yield* Emulator.Emulator
      assert.strictEqual((yield* emulator.runtime(Texts)).activeMessageCount, 5_000)
    })
  )

  it.effect("a queue serves more than 5,000 receivers, and a namespace more than 10,000 queues and 2,000 subscriptions", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.make([
        { kind: "topic", name: "news" },
        ...Array.from({ length: 10_001 }, (_, i) => ({ name: `q${i}` })),
        ...Array.from({ length: 2_001 }, (_, i) => ({ kind: "subscription" as const, topic: "news", name: `s${i}` }))
      ])
      const queue = broker.queue("q0")!
      let delivered = 0
      for (let i = 0; i < 5_001; i++) {
        let credit = 1
        queue.attach({
          mode: "peekLock",
          credit: () => credit,
          deliver: (deliveries) => {
            credit -= deliveries.length
            delivered += deliveries.length
          }
        }).wake()
      }
      const message = { payload: "x", messageId: undefined, sessionId: undefined, timeToLive: undefined }
      queue.send(Array.from({ length: 5_001 }, () => message))
      assert.strictEqual(delivered, 5_001)
    }).pipe(Effect.scoped))

  it.live("a session takes more than 255 links", () =>
    Effect.gen(function*() {
      const { connectionString, port } = yield* Emulator.Emulator
      const { credential } = yield* ConnectionString.parse(connectionString)
      assert(credential._tag === "SharedKey")
      const { next, write } = yield* Raw.connect(port)
      yield* write(
        Raw.saslHeader,
        Raw.init("PLAIN", `\0${credential.name}\0${Redacted.value(credential.key)}`),
        Raw.amqpHeader,
        Raw.open,
        Raw.begin()
      )
      for (let handle = 0; handle < 300; handle++) {
        yield* write(Raw.attachSender("texts", { handle }))
        yield* next("attach")
      }
      yield* write(Raw.transfer({ handle: 299, id: 0 }))
      assert.strictEqual(Raw.stateOf((yield* next("disposition")).fields[4]!).code, 0x24)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Texts)] }))))

  test(
    "one request deletes 4,000 messages, as in the Premium tier alone",
    [Emulator.entity(Texts)],
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(4_001))
      yield* TestClock.adjust("1 second")
      const receiver = yield* ServiceBusReceiver.make(Texts)
      assert.strictEqual(yield* receiver.deleteMessages({ max: 4_000 }), 4_000)
    })
  )

  test(
    "times of a declared queue may be shorter than the service's: locks, windows of duplicates, lives",
    [
      Emulator.entity(Texts, {
        lockDuration: "1 second",
        duplicateDetectionWindow: "5 seconds",
        defaultTimeToLive: "100 millis"
      })
    ],
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      yield* emulator.send(Texts, texts(1))
      assert.strictEqual((yield* emulator.counters(Texts)).duplicates, 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* emulator.counters(Texts)).expired, 1)
      yield* TestClock.adjust("4900 millis")
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      assert.strictEqual(message!.messageId, "0")
      yield* TestClock.adjust("1 second")
      yield* failsWith("MessageLockLostError")(receiver.complete(message!))
      // Over HTTP the service's own limits hold.
      const administration = yield* Administration
      yield* failsWith("InvalidOptionError")(
        administration.createQueue("other", { duplicateDetectionWindow: "5 seconds" })
      )
    })
  )

  test(
    "names of declared entities may have other characters than letters, digits, periods, hyphens and underscores",
    [Emulator.entity("my queue: 1")],
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send("my queue: 1", [{ body: Buffer.from("x") }])
      assert.lengthOf(yield* emulator.messages("my queue: 1"), 1)
      const { body } = yield* asking((ask) => ask("PUT", "/my%20queue:%202", entry("QueueDescription")))
      assert.match(body, /contains character\(s\) that is not allowed by Service Bus/)
    })
  )
})

describe("what the service does in its time, and the broker at once", () => {
  test(
    "copies, counts and what is forwarded are there when a send is answered",
    [
      Emulator.entity(News),
      Emulator.entity(Sport, { forwardTo: Texts }),
      Emulator.entity(Texts)
    ],
    Effect.gen(function*() {
      const administration = yield* Administration
      const sender = yield* ServiceBusSender.make(News)
      yield* sender.sendAll(texts(3))
      const count = yield* administration.getQueueRuntime(Texts)
      assert.deepInclude(count, { _tag: "Some" })
      assert.strictEqual(count._tag === "Some" ? count.value.activeMessageCount : undefined, 3)
    })
  )

  test(
    "an expired message is gone at its millisecond, without a receiver, and is not peeked",
    [Emulator.entity(Texts, { deadLetteringOnExpiration: true })],
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "x", timeToLive: "10 seconds" }])
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* TestClock.adjust("9999 millis")
      assert.lengthOf(yield* receiver.peek(), 1)
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(yield* receiver.peek(), 0)
      assert.lengthOf(yield* emulator.deadLetters(Texts), 1)
    })
  )

  test(
    "what is scheduled is enqueued at its millisecond",
    [Emulator.entity(Texts)],
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      yield* sender.schedule({ body: "x" }, "1 hour")
      const states = Effect.map(emulator.runtime(Texts), (runtime) => [
        runtime.scheduledMessageCount,
        runtime.activeMessageCount
      ])
      yield* TestClock.adjust("3599999 millis")
      assert.deepStrictEqual(yield* states, [1, 0])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* states, [0, 1])
    })
  )
})

describe("what differs in its details", () => {
  it.effect("to forward to an entity needs no right on it", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/orders", entry("QueueDescription"))
        // A token for the source alone.
        const authorization = tokenOf("https://localhost/source")
        const description = entry("QueueDescription", "<ForwardTo>orders</ForwardTo>")
        assert.strictEqual((yield* ask("GET", "/orders", "", { authorization })).status, 401)
        assert.strictEqual((yield* ask("PUT", "/source", description, { authorization })).status, 201)
      })
    ))

  it.live("what is asked of a session must come from the connection that holds it", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "x", sessionId: "a" }])
      const holder = yield* RheaPeer.peer
      const other = yield* RheaPeer.peer
      for (const { claim } of [holder, other]) yield* claim(Carts.path)
      yield* holder.receives(Carts.path, {
        source: { address: Carts.path, filter: { "com.microsoft:session-filter": "a" } }
      })
      const answers = yield* Effect.forEach([holder, other], ({ manages }) =>
        Effect.flatMap(manages(Carts.path), (asks) => asks("renew-session-lock", { "session-id": "a" })))
      assert.deepStrictEqual(answers.map(({ condition, status }) => [status, condition]), [
        [200, undefined],
        [410, "com.microsoft:session-lock-lost"]
      ])
    }).pipe(Effect.scoped, Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Carts)] }))))

  it.live("an error ends with a tracking id that nobody can look up, and says no Reference", () =>
    Effect.gen(function*() {
      const { claim } = yield* RheaPeer.peer
      const { description, status } = yield* claim("texts")
      assert.strictEqual(status, 404)
      assert.match(
        description,
        /could not be found\..* TrackingId:[0-9a-f-]{36}_G0, SystemTracker:[^,]+:texts, Timestamp:/
      )
      assert.notInclude(description, "Reference:")
    }).pipe(Effect.scoped, Effect.provide(Emulator.layerServer({ entities: [] }))))

  it.effect("rules that differ by their case alone are two", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const rule = entry(
          "RuleDescription",
          "<Filter i:type=\"TrueFilter\"><SqlExpression>1=1</SqlExpression></Filter>"
        )
        yield* ask("PUT", "/news", entry("TopicDescription"))
        yield* ask("PUT", "/news/Subscriptions/s", entry("SubscriptionDescription"))
        const { rules } = ask.broker.queue("news/Subscriptions/s")!
        const [first] = rules!.list()
        for (const name of ["Rule", "rule"]) assert.strictEqual(rules!.add({ ...first!, name })._tag, "Success")
        // Over HTTP, whose paths have no case, the second one could not be made.
        assert.strictEqual((yield* ask("PUT", "/news/Subscriptions/s/Rules/RULE", rule)).status, 409)
      })
    ))

  it.effect("elements of a description are taken in any order, and some are not kept", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const swapped = "<MaxDeliveryCount>3</MaxDeliveryCount><LockDuration>PT30S</LockDuration>"
        const { body } = yield* ask("PUT", "/orders", entry("QueueDescription", swapped))
        assert.match(body, /<LockDuration>PT30S<.*<MaxDeliveryCount>3</)
        yield* ask("PUT", "/news", entry("TopicDescription"))
        yield* ask("PUT", "/news/Subscriptions/s", entry("SubscriptionDescription"))
        const filter =
          "<Filter i:type=\"SqlFilter\"><SqlExpression>a = 1</SqlExpression><RequiresPreprocessing>true</RequiresPreprocessing></Filter>"
        const made = yield* ask("PUT", "/news/Subscriptions/s/Rules/r", entry("RuleDescription", filter))
        assert.strictEqual(made.status, 201)
        assert.notInclude(made.body, "RequiresPreprocessing")
        // The service repeats what an update told it; here it is all that there is.
        const updated = yield* ask("PUT", "/orders", entry("QueueDescription"), { "if-match": "*" })
        assert.match(updated.body, /<CreatedAt>.*<CountDetails/)
      })
    ))
})

describe("the page of differences", () => {
  const page = readFileSync(join(CodeBlocks.root, "docs/emulator-differences.md"), "utf8")
  const rows = page.split("\n").filter((line) => line.startsWith("|")).slice(2).map((line) =>
    line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())
  )

  it("says of each what it is, what the service does and where that is written, what the broker does, and the test", () => {
    assert.isAbove(rows.length, 30)
    const wrong = rows.filter(([what = "", service = "", here = "", shown = "", ...rest]) =>
      what === "" || here === "" || shown === "" || rest.length > 0 ||
      // Or that there is none.
      !/\]\(https:\/\/[^)]+\)|no source/.test(service)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("names tests that are there, and run", () => {
    const missing = rows.flatMap(([what, , , shown = ""]) => {
      const tests = [...shown.matchAll(/`([^`]+\.test\.ts)`: ([^`]+?)(?=; `|$)/g)]
      if (tests.length === 0) return [`${what}: no test is named`]
      return tests.flatMap(([, file, title]) => problemOf(file!, title!) ?? []).map((problem) => `${what}: ${problem}`)
    })
    assert.deepStrictEqual(missing, [])
  })

  it("finds a test that is not there, and one that does not run", () => {
    assert.match(problemOf("emulator/None.test.ts", "x")!, /no file/)
    assert.match(problemOf("emulator/Differences.test.ts", "this is no test")!, /no test/)
    const skipped = [
      "it.skip(\"a\", () => {})",
      "it.effect.skipIf(true)(\"a\", () =>",
      "it.todo(\"a\")",
      "// test(\"a\","
    ]
    for (const text of skipped) assert.isFalse(isRun(text, "a"), text)
    for (const text of ["it(\"a\", () => {", "test(\n  \"a\",\n", "  it.effect(\"a\", () =>", "clock(\"a\", () =>"]) {
      assert.isTrue(isRun(text, "a"), text)
    }
  })
})

/** Whether a text has a test of a title that is not skipped. */
const isRun = (text: string, title: string): boolean => {
  const quoted = JSON.stringify(title).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
  return new RegExp(String.raw`^(?!\s*//)[^\n]*\b(?:test|clock|it(?:\.effect|\.live)?)\(\s*${quoted}`, "m").test(text)
}

const problemOf = (file: string, title: string): string | undefined => {
  const path = join(CodeBlocks.root, "test", file)
  if (!existsSync(path)) return `there is no file test/${file}`
  return isRun(readFileSync(path, "utf8"), title) ? undefined : `test/${file} has no test "${title}" that runs`
}
