/** Messages by pages in both directions, and what is done to them by their numbers, each one's outcome told. */
import { Effect, Fiber } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { ask } from "../../support/controlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const broker = Emulator.layer({
  entities: [
    Emulator.entity(Orders),
    Emulator.entity("other", { duplicateDetectionWindow: "1 hour" }),
    Emulator.entity("small", { maxMessageSize: 1024 }),
    Emulator.entity(News),
    Emulator.entity(Sport),
    Emulator.entity(ServiceBusEntity.subscription(News, "all"))
  ]
})

const send = (entity: string, ...messages: ReadonlyArray<object>) => ask("POST", `/messages?entity=${entity}`, messages)

const page = Effect.fnUntraced(function*(query: string) {
  const { json, status } = yield* ask("GET", `/messages/page?entity=${query}`)
  assert.strictEqual(status, 200, JSON.stringify(json))
  return {
    numbers: json.messages.map(({ sequenceNumber }: any) => Number(sequenceNumber)) as ReadonlyArray<number>,
    hasEarlier: json.hasEarlier as boolean,
    hasLater: json.hasLater as boolean,
    messages: json.messages
  }
})

/** What came of something that is done to messages, each as its number and `true`, or why not. */
const act = Effect.fnUntraced(function*(path: string, entity: string, payload: object) {
  const { json, status } = yield* ask("POST", `/messages/${path}?entity=${entity}`, payload)
  assert.strictEqual(status, 200, JSON.stringify(json))
  return json.outcomes.map(({ isDone, problem, sequenceNumber }: any) => [sequenceNumber, isDone === true || problem])
})

const dead = "orders/$DeadLetterQueue"

describe("a page of messages", () => {
  it.effect("goes on from a number, or back before one, and knows whether there are more", () =>
    Effect.gen(function*() {
      yield* send(
        "orders",
        ...Array.from({ length: 10 }, (_, index) => ({ messageId: `m${index}`, body: "x".repeat(500) }))
      )
      const first = yield* page("orders&max=4")
      assert.deepStrictEqual([first.numbers, first.hasEarlier, first.hasLater], [[1, 2, 3, 4], false, true])
      const second = yield* page("orders&max=4&from=5")
      assert.deepStrictEqual([second.numbers, second.hasEarlier, second.hasLater], [[5, 6, 7, 8], true, true])
      const last = yield* page("orders&max=4&before=9007199254740991")
      assert.deepStrictEqual([last.numbers, last.hasEarlier, last.hasLater], [[7, 8, 9, 10], true, false])
      const back = yield* page("orders&max=4&before=3")
      assert.deepStrictEqual([back.numbers, back.hasEarlier, back.hasLater], [[1, 2], false, true])
      const none = yield* page("orders&from=100")
      assert.deepStrictEqual([none.numbers, none.hasEarlier, none.hasLater], [[], true, false])
      assert.strictEqual(first.messages[0].preview, `${"x".repeat(160)}…`)
      assert.notProperty(first.messages[0], "sessionId")
    }).pipe(Effect.provide(broker)))

  it.effect("has those of one state alone, and says until when a message is locked", () =>
    Effect.gen(function*() {
      yield* send("orders", {}, {}, {}, {}, { scheduledEnqueueTime: "2100-01-01T00:00:00Z" })
      const receiver = yield* ServiceBusReceiver.make(Orders)
      const [message] = yield* receiver.receive({ max: 1 })
      yield* act("defer", "orders", { sequenceNumbers: ["3"] })
      const of = (state: string) => Effect.map(page(`orders&state=${state}`), ({ numbers }) => numbers)
      assert.deepStrictEqual(yield* of("locked"), [1])
      assert.deepStrictEqual(yield* of("active"), [2, 4])
      assert.deepStrictEqual(yield* of("deferred"), [3])
      assert.deepStrictEqual(yield* of("scheduled"), [5])
      const all = yield* page("orders")
      assert.strictEqual(all.messages[0].state, "locked")
      assert.match(all.messages[0].lockedUntil, /^\d{4}-/)
      yield* receiver.complete(message!)
    }).pipe(Effect.scoped, Effect.provide(broker)))

  it.effect("shows of any body what a line takes", () =>
    Effect.gen(function*() {
      yield* send(
        "orders",
        { body: "two\n lines" },
        { body: { value: { $uuid: "11111111-2222-3333-4444-555555555555" } } },
        { body: { base64: "/wD/" } },
        {},
        { body: { sequences: [[1, "a"]] } }
      )
      const { messages } = yield* page("orders")
      assert.deepStrictEqual(messages.map(({ preview }: any) => preview), [
        "two lines",
        "{\"$uuid\":\"11111111-2222-3333-4444-555555555555\"}",
        "\ufffd\u0000\ufffd",
        "",
        "[[1,\"a\"]]"
      ])
    }).pipe(Effect.provide(broker)))
})

describe("messages are", () => {
  it.effect("deleted, deferred and dead-lettered with a reason, but for those that are locked or gone", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* send("orders", {}, {}, {}, {}, {}, { scheduledEnqueueTime: "2100-01-01T00:00:00Z" })
      const receiver = yield* ServiceBusReceiver.make(Orders)
      const [message] = yield* receiver.receive({ max: 1 })
      const locked = "it is locked by a receiver"
      assert.deepStrictEqual(yield* act("delete", "orders", { sequenceNumbers: ["1", "2", "2", "6"] }), [
        ["1", locked],
        ["2", true],
        ["2", "there is no message 2"],
        ["6", true]
      ])
      assert.deepStrictEqual(
        yield* act("dead-letter", "orders", { sequenceNumbers: ["1", "3", "5"], reason: "Bad", description: "why" }),
        [["1", locked], ["3", true], ["5", true]]
      )
      assert.deepStrictEqual(yield* act("defer", "orders", { sequenceNumbers: ["1", "4", "4"] }), [
        ["1", locked],
        ["4", true],
        ["4", "what is deferred is not deferred"]
      ])
      const [letter] = yield* emulator.deadLetters(Orders)
      assert.strictEqual(letter?.deadLetterReason, "Bad")
      assert.strictEqual(letter?.deadLetterErrorDescription, "why")
      assert.deepStrictEqual(yield* act("dead-letter", dead, { sequenceNumbers: ["3"] }), [[
        "3",
        "it has no dead-letter queue"
      ]])
      yield* receiver.complete(message!)
      assert.deepStrictEqual((yield* page("orders")).numbers, [4])
      const [deferred] = yield* receiver.receiveDeferred([4n])
      yield* receiver.complete(deferred!)
      assert.deepInclude(yield* emulator.runtime(Orders), {
        activeMessageCount: 0,
        scheduledMessageCount: 0,
        deadLetterMessageCount: 2
      })
    }).pipe(Effect.scoped, Effect.provide(broker)))

  it.effect("sent again: as they were or repaired, and are gone from where they were", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* send(
        "orders",
        { messageId: "a", body: "one", subject: "s", applicationProperties: { n: { $long: "7" } } },
        {
          messageId: "b",
          body: "two"
        }
      )
      yield* act("dead-letter", "orders", { sequenceNumbers: ["1", "2"], reason: "Bad" })
      const repaired = { messageId: "b2", body: "mended", applicationProperties: { yes: true } }
      assert.deepStrictEqual(
        yield* act("resend", dead, {
          messages: [{ sequenceNumber: "1" }, { sequenceNumber: "2", message: repaired }, { sequenceNumber: "9" }]
        }),
        [["1", true], ["2", true], ["9", "there is no message 9"]]
      )
      assert.deepStrictEqual(yield* emulator.deadLetters(Orders), [])
      const [one, two] = yield* emulator.messages(Orders)
      assert.deepStrictEqual([one?.body, one?.subject, one?.messageId, one?.deadLetterReason], [
        "one",
        "s",
        "a",
        undefined
      ])
      assert.deepStrictEqual(one?.applicationProperties, { n: 7n })
      assert.deepStrictEqual([two?.body, two?.messageId, two?.applicationProperties], ["mended", "b2", { yes: true }])
    }).pipe(Effect.provide(broker)))

  it.effect("sent again to the subscription that they died in alone, or to its topic", () =>
    Effect.gen(function*() {
      yield* send("news", { body: "one" }, { body: "two" })
      yield* act("dead-letter", "news/Subscriptions/sport", { sequenceNumbers: ["1", "2"] })
      const of = "news/Subscriptions/sport/$DeadLetterQueue"
      assert.deepStrictEqual(yield* act("resend", of, { messages: [{ sequenceNumber: "1" }] }), [["1", true]])
      assert.deepStrictEqual((yield* page("news/Subscriptions/all")).numbers.length, 2)
      assert.deepStrictEqual((yield* page("news/Subscriptions/sport")).numbers.length, 1)
      assert.deepStrictEqual(yield* act("resend", of, { to: "news", messages: [{ sequenceNumber: "2" }] }), [[
        "2",
        true
      ]])
      assert.deepStrictEqual((yield* page("news/Subscriptions/all")).numbers.length, 3)
      assert.deepStrictEqual((yield* page(of)).numbers, [])
    }).pipe(Effect.provide(broker)))

  it.effect("left where they were when the entity does not take them, or drops them as duplicates", () =>
    Effect.gen(function*() {
      yield* send("other", { messageId: "a", body: "one" })
      yield* act("dead-letter", "other", { sequenceNumbers: ["1"] })
      const of = "other/$DeadLetterQueue"
      const [[, problem]] = yield* act("resend", of, { messages: [{ sequenceNumber: "1" }] })
      assert.match(problem, /taken a message of this id before and dropped this one/)
      const [[, large]] = yield* act("resend", of, {
        to: "small",
        messages: [{ sequenceNumber: "1", message: { body: "x".repeat(5000) } }]
      })
      assert.match(large, /"small" does not take the messages/)
      const [[, nowhere]] = yield* act("resend", of, { to: "nowhere", messages: [{ sequenceNumber: "1" }] })
      assert.strictEqual(nowhere, "there is no entity \"nowhere\"")
      const [[, bad]] = yield* act("resend", of, {
        messages: [{ sequenceNumber: "1", message: { applicationProperties: { n: { $int: "x" } } } }]
      })
      assert.match(bad, /message\.applicationProperties\.n/)
      assert.deepStrictEqual((yield* page(of)).numbers, [1])
      assert.deepStrictEqual(
        yield* act("resend", of, { messages: [{ sequenceNumber: "1", message: { messageId: "b" } }] }),
        [["1", true]]
      )
    }).pipe(Effect.provide(broker)))

  it.effect("purged, all of a queue or those of a state, and its dead letters by themselves", () =>
    Effect.gen(function*() {
      yield* send("orders", {}, {}, {}, { scheduledEnqueueTime: "2100-01-01T00:00:00Z" })
      yield* act("dead-letter", "orders", { sequenceNumbers: ["1"] })
      yield* act("defer", "orders", { sequenceNumbers: ["2"] })
      const purge = (entity: string, payload: object) =>
        Effect.map(ask("POST", `/messages/purge?entity=${entity}`, payload), ({ json }) => json)
      assert.deepStrictEqual(yield* purge("orders", { state: "deferred" }), { messages: 1 })
      assert.deepStrictEqual((yield* page("orders")).numbers, [3, 4])
      assert.deepStrictEqual(yield* purge("orders", {}), { messages: 2 })
      assert.deepStrictEqual((yield* page(dead)).numbers, [1])
      assert.deepStrictEqual(yield* purge(dead, {}), { messages: 1 })
    }).pipe(Effect.provide(broker)))

  it.effect("purged by parts, between which others have their turn: what comes meanwhile stays", () =>
    Effect.gen(function*() {
      const { runtime } = yield* Emulator.Emulator
      yield* send("orders", ...Array.from({ length: 10_001 }, () => ({})))
      const left = Effect.map(runtime(Orders), ({ activeMessageCount }) => activeMessageCount)
      const purging = yield* Effect.forkChild(ask("POST", "/messages/purge?entity=orders", {}))
      while ((yield* left) === 10_001) yield* Effect.yieldNow
      assert.isAbove(yield* left, 0)
      yield* send("orders", { body: "later" })
      assert.deepStrictEqual((yield* Fiber.join(purging)).json, { messages: 10_001 })
      assert.deepStrictEqual((yield* page("orders")).numbers, [10_002])
    }).pipe(Effect.provide(broker)))

  it.effect("taken back out of a forwarding that waits, and out of a session", () =>
    Effect.gen(function*() {
      yield* send("carts", { sessionId: "s", body: "one" }, { sessionId: "s", body: "two" })
      assert.deepStrictEqual(yield* act("delete", "carts", { sequenceNumbers: ["1"] }), [["1", true]])
      yield* send("from", { body: "stays" })
      assert.deepStrictEqual((yield* page("from")).numbers, [1])
      assert.deepStrictEqual(yield* act("delete", "from", { sequenceNumbers: ["1"] }), [["1", true]])
      yield* ask("POST", "/reset?entity=full")
      assert.deepStrictEqual((yield* page("full")).numbers, [])
      assert.deepStrictEqual((yield* page("carts")).numbers, [2])
    }).pipe(Effect.provide(Emulator.layer({
      entities: [
        Emulator.entity("carts", { requiresSession: true }),
        Emulator.entity("full", { status: "SendDisabled" }),
        Emulator.entity("from", { forwardTo: "full" })
      ]
    }))))
})
