/** Which subscription of a topic gets what, how often, and changed by what: rules as the service's documentation has them. */
import {
  type AmqpValue,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import { messages, ok, stored, Taker } from "../../support/broker.ts"
import { failsWith, inMemory, type Services } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Some = ServiceBusEntity.subscription(News, "some")
/** What every message enters: what happens in the other concerns it nothing. */
const All = ServiceBusEntity.subscription(News, "all")

type Options = Emulator.SubscriptionOptions

const test = (
  title: string,
  some: Options,
  body: (emulator: Emulator.Controls) => Effect.Effect<void, unknown, Services | Scope.Scope>,
  news: Emulator.TopicOptions = {}
) =>
  it.effect(title, () =>
    Effect.flatMap(Emulator.Emulator, body).pipe(
      Effect.scoped,
      Effect.provide(
        inMemory({ entities: [Emulator.entity(News, news), Emulator.entity(Some, some), Emulator.entity(All)] })
      )
    ))

const sql = (name: string, expression: string, action?: string) =>
  ServiceBusRule.make(
    name,
    ServiceBusRule.sql(expression),
    action === undefined ? undefined : ServiceBusRule.action(action)
  )

const bodies = (emulator: Emulator.Controls, entity: typeof Some | typeof All) =>
  Effect.map(emulator.messages(entity), (all) => all.map(({ body }) => body))

const send = (
  emulator: Emulator.Controls,
  ...all: ReadonlyArray<readonly [string, Record<string, AmqpValue.AmqpValue>]>
) => emulator.send(News, all.map(([body, applicationProperties]) => ({ body, messageId: body, applicationProperties })))

describe("A message enters a subscription", () => {
  test("once for all the rules that match without an action, and not at all where none does", {
    rules: [
      sql("a", "a = 1"),
      sql("b", "b = 1"),
      ServiceBusRule.make("c", ServiceBusRule.correlation({ subject: "s" }))
    ]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* send(emulator, ["a", { a: 1 }], ["ab", { a: 1, b: 1 }], ["none", { a: 2 }], ["b", { b: 1 }])
      yield* emulator.send(News, [{ body: "subject", subject: "s" }, { body: "other", subject: "S" }])
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["a", "ab", "b", "subject"])
      const [first] = yield* emulator.messages(Some)
      assert.deepStrictEqual(first!.applicationProperties, { a: 1 })
      assert.deepStrictEqual(yield* bodies(emulator, All), ["a", "ab", "none", "b", "subject", "other"])
      assert.deepInclude(yield* emulator.counters(Some), { enqueued: 4, deadLettered: 0 })
    }))

  // The five rules of the page on topic filters: two with an action and three without, so three messages.
  test("once more for each rule with an action, which changes this copy alone and names itself", {
    rules: [
      sql("plain 1", "n > 0"),
      sql("first", "n > 0", "SET priority = 'high'; REMOVE n; SET sys.Label = 'changed'"),
      sql("plain 2", "n > 0"),
      sql("second", "n > 0", "SET n = n + 1"),
      sql("plain 3", "n > 0"),
      sql("not", "n > 5", "SET n = 0")
    ]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* emulator.send(News, [{ body: "x", messageId: "1", subject: "s", applicationProperties: { n: 1 } }])
      const copies = yield* emulator.messages(Some)
      assert.deepStrictEqual(copies.map(({ applicationProperties }) => applicationProperties), [
        { n: 1 },
        { priority: "high", RuleName: "first" },
        { n: 2, RuleName: "second" }
      ])
      assert.deepStrictEqual(copies.map(({ subject }) => subject), ["s", "changed", "s"])
      assert(copies.every(({ body, messageId }) => body === "x" && messageId === "1"))
      // Each copy is a message of its own.
      assert.deepStrictEqual(copies.map(({ sequenceNumber }) => sequenceNumber), [1n, 2n, 3n])
      const receiver = yield* ServiceBusReceiver.make(Some)
      const [one] = yield* receiver.receive()
      yield* receiver.complete(one!)
      assert.lengthOf(yield* emulator.messages(Some), 2)
      const [other] = yield* emulator.messages(All)
      assert.deepInclude(other!, { subject: "s", applicationProperties: { n: 1 } })
    }))

  test(
    "only with an action, where every rule that matches has one",
    { rules: [sql("a", "n = 1", "SET x = 1")] },
    (emulator) =>
      Effect.gen(function*() {
        yield* send(emulator, ["1", { n: 1 }], ["2", { n: 2 }])
        assert.deepStrictEqual(yield* bodies(emulator, Some), ["1"])
      })
  )

  test("nowhere, and is accepted, where no rule takes it", { rules: [] }, (emulator) =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(News)
      const manager = yield* ServiceBusRuleManager.make(All)
      yield* manager.delete("$Default")
      yield* sender.send({ body: "unheard" })
      assert.deepStrictEqual(yield* bodies(emulator, Some), [])
      assert.deepStrictEqual(yield* bodies(emulator, All), [])
      // It counts against no quota.
      assert.deepInclude(yield* emulator.counters(Some), { enqueued: 0 })
    }))

  test(
    "by the rules of the time at which it is enqueued, where it was scheduled",
    { rules: [sql("old", "n = 1")] },
    (emulator) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(News)
        const manager = yield* ServiceBusRuleManager.make(Some)
        const properties = (n: number) => ({ body: String(n), applicationProperties: { n } })
        yield* sender.scheduleAll([properties(1), properties(2)], "1 minute")
        yield* manager.create(sql("new", "n = 2"))
        yield* manager.delete("old")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* bodies(emulator, Some), ["2"])
        assert.deepStrictEqual(yield* bodies(emulator, All), ["1", "2"])
      })
  )

  test("by the rules of now, while they change between messages", { rules: [] }, (emulator) =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(News)
      const manager = yield* ServiceBusRuleManager.make(Some)
      const one = (n: number) => sender.send({ body: String(n), applicationProperties: { n } })
      yield* one(1)
      yield* manager.create(sql("odd", "n % 2 = 1"))
      yield* Effect.forEach([2, 3], one)
      yield* manager.create(sql("even", "n % 2 = 0"))
      yield* Effect.forEach([4, 5], one)
      yield* manager.delete("odd")
      yield* Effect.forEach([6, 7], one)
      yield* manager.delete("even")
      yield* one(8)
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["3", "4", "5", "6"])
      assert.deepStrictEqual(yield* bodies(emulator, All), ["1", "2", "3", "4", "5", "6", "7", "8"])
    }))

  test("once, where the topic knows it already: before any rule, and whatever id an action gives", {
    rules: [sql("a", "n = 1"), sql("b", "n = 1", "SET sys.MessageId = 'same'")]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* send(emulator, ["1", { n: 2 }], ["1", { n: 1 }], ["2", { n: 1 }], ["3", { n: 1 }])
      const ids = (yield* emulator.messages(Some)).map(({ messageId }) => messageId)
      assert.deepStrictEqual(ids, ["2", "same", "3", "same"])
      assert.deepStrictEqual(yield* bodies(emulator, All), ["1", "2", "3"])
    }), { duplicateDetectionWindow: "1 minute" })
})

describe("An action that sets", () => {
  const setting = (expression: string, value: AmqpValue.AmqpValue) =>
    ServiceBusRule.make("sets", ServiceBusRule.true, ServiceBusRule.action(expression, { "@value": value }))
  // The text is that of Microsoft's page on replication.
  for (
    const [title, own, set] of [["longer", "10 seconds", Duration.minutes(1)], [
      "shorter",
      "10 minutes",
      "0:1:0"
    ]] as const
  ) {
    test(`a ${title} time to live gives it to its copy`, {
      rules: [setting("SET sys.TimeToLive = @value", set)]
    }, (emulator) =>
      Effect.gen(function*() {
        yield* emulator.send(News, [{ body: "x", timeToLive: own }])
        const [copy] = yield* emulator.messages(Some)
        assert.deepStrictEqual(copy!.timeToLive, Duration.minutes(1))
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(yield* bodies(emulator, Some), ["x"])
        assert.lengthOf(yield* bodies(emulator, All), title === "longer" ? 0 : 1)
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* bodies(emulator, Some), [])
      }))
  }

  test("a time to live gives it no more than the topic does", {
    rules: [setting("SET sys.TimeToLive = @value", Duration.hours(1))]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* emulator.send(News, [{ body: "x", timeToLive: "10 seconds" }])
      assert.deepStrictEqual((yield* emulator.messages(Some))[0]!.timeToLive, Duration.minutes(1))
      yield* TestClock.adjust("61 seconds")
      assert.deepStrictEqual(yield* bodies(emulator, Some), [])
    }), { defaultTimeToLive: "1 minute" })

  test("a time to enqueue it at has it enqueued at once all the same", {
    rules: [setting("SET sys.ScheduledEnqueueTimeUtc = @value", new Date(3_600_000))]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* emulator.send(News, [{ body: "x" }])
      const receiver = yield* ServiceBusReceiver.make(Some)
      assert.lengthOf(yield* receiver.receive(), 1)
    }))
})

describe("The size of a topic", () => {
  test("is that of all copies, changed ones and dead letters of failures too, and nothing once they are gone", {
    rules: [sql("half", "10 / n > 1", "SET text = 'much longer than it was before'"), sql("one", "n = 1")]
  }, (emulator) =>
    Effect.gen(function*() {
      const size = Effect.map(emulator.runtime(News), ({ sizeInBytes }) => sizeInBytes)
      yield* send(emulator, ["0", { n: 0 }])
      const failed = yield* size
      yield* send(emulator, ["1", { n: 1 }])
      const [each, taken] = [failed / 2, (yield* size) - failed]
      assert.isAbove(each, 0)
      // The other subscription's, that of the rule without an action, and the one that was changed.
      assert.isAbove(taken, 3 * each)
      const dead = yield* ServiceBusReceiver.makeDestructive(ServiceBusEntity.deadLetter(Some))
      yield* dead.receive({ max: 9 })
      assert.strictEqual(yield* size, each + taken)
      for (const entity of [Some, All]) {
        const receiver = yield* ServiceBusReceiver.makeDestructive(entity)
        assert.lengthOf(yield* receiver.receive({ max: 9 }), 2)
      }
      assert.strictEqual(yield* size, 0)
    }))
})

describe("A subscription with sessions", () => {
  const Carts = ServiceBusEntity.subscription(News, "carts", { sessions: true })
  it.effect("gets what its rules take, each in its session; what has none is a dead letter", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(News, [
        { body: "1", sessionId: "a", applicationProperties: { n: 1 } },
        { body: "2", sessionId: "b", applicationProperties: { n: 2 } },
        { body: "3", sessionId: "b", applicationProperties: { n: 1 } },
        { body: "4", applicationProperties: { n: 1 } },
        { body: "5", applicationProperties: { n: 2 } }
      ])
      const session = yield* ServiceBusSession.accept(Carts, "b")
      assert.deepStrictEqual((yield* session.receive({ max: 9 })).map(({ body }) => body), ["3"])
      const dead = yield* emulator.deadLetters(Carts)
      assert.deepStrictEqual(dead.map(({ body, deadLetterReason }) => [body, deadLetterReason]), [
        ["4", "Session ID is null."]
      ])
      // A copy belongs to the session that an action gives it.
      const manager = yield* ServiceBusRuleManager.make(Carts)
      yield* manager.create(sql("moves", "n = 3", "SET sys.SessionId = 'c'"))
      yield* emulator.send(News, [
        { body: "6", sessionId: "a", applicationProperties: { n: 3 } },
        { body: "7", applicationProperties: { n: 3 } }
      ])
      const moved = yield* ServiceBusSession.accept(Carts, "c")
      const got = yield* moved.receive({ max: 9 })
      assert.deepStrictEqual(got.map(({ body, sessionId }) => [body, sessionId]), [["6", "c"], ["7", "c"]])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        inMemory({ entities: [Emulator.entity(News), Emulator.entity(Carts, { rules: [sql("one", "n = 1")] })] })
      )
    ))
})

describe("A rule that fails on a message", () => {
  const failing = sql("failing", "1 / 0 = 1")
  const deadLetters = (emulator: Emulator.Controls) =>
    Effect.map(emulator.deadLetters(Some), (all) => all.map(({ body, deadLetterReason }) => [body, deadLetterReason]))

  test(
    "has it dead-lettered as it came, and says why",
    { rules: [sql("divides", "10 / n > 1")] },
    (emulator) =>
      Effect.gen(function*() {
        yield* send(emulator, ["ok", { n: 2 }], ["zero", { n: 0, text: "kept" }], ["ok too", { n: 5 }])
        assert.deepStrictEqual(yield* bodies(emulator, Some), ["ok", "ok too"])
        const [letter, ...more] = yield* emulator.deadLetters(Some)
        assert.lengthOf(more, 0)
        assert.strictEqual(letter!.deadLetterReason, "FilterException")
        assert.isNotEmpty(letter!.deadLetterErrorDescription)
        assert.deepInclude(letter!.applicationProperties, { n: 0, text: "kept" })
        assert.notProperty(letter!.applicationProperties, "RuleName")
        assert.deepInclude(yield* emulator.counters(Some), { enqueued: 3, deadLettered: 1 })
        assert.deepStrictEqual(yield* bodies(emulator, All), ["ok", "zero", "ok too"])
        // Like any other dead letter.
        const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Some))
        const [received] = yield* receiver.receive()
        yield* receiver.complete(received!)
        assert.lengthOf(yield* emulator.deadLetters(Some), 0)
      })
  )

  test("does not take it, and no more, where the subscription says so", {
    rules: [sql("divides", "10 / n > 1")],
    deadLetteringOnFilterError: false
  }, (emulator) =>
    Effect.gen(function*() {
      yield* send(emulator, ["ok", { n: 2 }], ["zero", { n: 0 }])
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["ok"])
      assert.lengthOf(yield* emulator.deadLetters(Some), 0)
    }))

  const one = sql("one", "n = 1")
  const true_ = ServiceBusRule.make("true", ServiceBusRule.true)
  for (
    const [title, rules] of [
      ["before", [failing, one]],
      ["after", [one, failing]],
      ["beside one that takes everything", [true_, failing]],
      ["after one with an action", [sql("changes", "n = 1", "SET n = 2"), failing]]
    ] as const
  ) {
    test(
      `${title} others that match keeps it out all the same`,
      { rules: [...rules] },
      (emulator) =>
        Effect.gen(function*() {
          yield* send(emulator, ["1", { n: 1 }])
          assert.deepStrictEqual(yield* bodies(emulator, Some), [])
          assert.deepStrictEqual(yield* deadLetters(emulator), [["1", "FilterException"]])
          assert.deepStrictEqual(yield* bodies(emulator, All), ["1"])
        })
    )
  }

  test("has no say for the other messages of a batch", {
    rules: [one, sql("divides", "10 / n > 1", "SET taken = 1")]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* send(emulator, ["1", { n: 1 }], ["0", { n: 0 }], ["2", { n: 2 }])
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["1", "1", "2"])
      assert.deepStrictEqual(yield* deadLetters(emulator), [["0", "FilterException"]])
    }))

  test("in its action has it dead-lettered unchanged, once, and nothing else taken", {
    rules: [
      sql("one", "EXISTS(n)"),
      sql("divides", "EXISTS(n)", "SET half = 10 / n"),
      sql("too", "EXISTS(n)", "SET third = 10 / n")
    ]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* send(emulator, ["0", { n: 0 }], ["1", { n: 1 }])
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["1", "1", "1"])
      assert.deepStrictEqual(yield* deadLetters(emulator), [["0", "RuleActionException"]])
      const [letter] = yield* emulator.deadLetters(Some)
      assert.notProperty(letter!.applicationProperties, "half")
    }))

  test("by what its action gives too much has it dead-lettered unchanged", {
    rules: [sql("grows", "EXISTS(a)", "SET b = a + a; SET c = b + b; SET d = c + c; SET e = d + d")]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* send(emulator, ["big", { a: "x".repeat(4000) }])
      assert.deepStrictEqual(yield* bodies(emulator, Some), [])
      assert.deepStrictEqual(yield* deadLetters(emulator), [["big", "HeaderSizeExceeded"]])
    }))

  test("by what its action gives larger than the topic takes has it dead-lettered unchanged, and nothing else", {
    rules: [
      ServiceBusRule.make("all", ServiceBusRule.true),
      ServiceBusRule.make("act", ServiceBusRule.true, ServiceBusRule.action(`SET note = '${"x".repeat(100)}'`))
    ]
  }, (emulator) =>
    Effect.gen(function*() {
      const [small, big, other] = ["s".repeat(10), "b".repeat(900), "o".repeat(10)] as [string, string, string]
      yield* emulator.send(News, [small, big, other].map((body) => ({ body, messageId: body.slice(0, 10) })))
      assert.deepStrictEqual(yield* bodies(emulator, Some), [small, small, other, other])
      assert.deepStrictEqual(yield* deadLetters(emulator), [[big, "MessageSizeExceededException"]])
      const [letter] = yield* emulator.deadLetters(Some)
      assert.strictEqual(letter!.body, big)
      assert.notProperty(letter!.applicationProperties, "note")
    }), { maxMessageSize: 1000 })

  test(
    "is nothing that a smaller limit of the topic does to what it took before",
    {},
    (emulator) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(News)
        yield* sender.scheduleAll([{ body: "b".repeat(800) }, { body: "s" }], "1 minute")
        yield* emulator.update(News, { maxMessageSize: 500 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* bodies(emulator, Some), ["b".repeat(800), "s"])
      }),
    { maxMessageSize: 1000 }
  )
})

describe("A topic that is disabled", () => {
  test("keeps what is due until it is not disabled", {}, (emulator) =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(News)
      yield* sender.schedule({ body: "due" }, "1 minute")
      yield* emulator.update(News, { status: "Disabled" })
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* bodies(emulator, Some), [])
      // Now it takes nothing, and what is due goes on.
      yield* emulator.update(News, { status: "SendDisabled" })
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["due"])
    }))
})

describe("A subscription that is deleted when it is idle", () => {
  test("is used by a rule that is added, and not by one that is removed or listed", {
    autoDeleteOnIdle: "5 minutes"
  }, (emulator) =>
    Effect.gen(function*() {
      const rules = yield* ServiceBusRuleManager.make(Some)
      const isThere = Effect.map(Effect.exit(emulator.runtime(Some)), Exit.isSuccess)
      yield* TestClock.adjust("4 minutes")
      yield* rules.create(sql("new", "n = 1"))
      yield* TestClock.adjust("4 minutes")
      assert.isTrue(yield* isThere)
      yield* rules.delete("new")
      yield* emulator.rules(Some)
      yield* TestClock.adjust("2 minutes")
      assert.isFalse(yield* isThere)
      yield* rules.create(sql("new", "n = 1")).pipe(failsWith("MessagingEntityNotFoundError"))
      // The bystander.
      assert.lengthOf(yield* emulator.rules(All), 1)
    }))
})

describe("A disabled subscription", () => {
  const rule = sql("new", "n = 1")
  test("keeps its rules over AMQP, as one of a disabled topic does, and takes messages by them", {
    rules: [sql("one", "n = 1")],
    status: "Disabled"
  }, (emulator) =>
    Effect.gen(function*() {
      const broker = yield* Broker.make([
        { kind: "topic", name: "off", options: { status: "Disabled" } },
        { kind: "subscription", topic: "off", name: "some" },
        { kind: "topic", name: "on", options: { status: "SendDisabled" } },
        { kind: "subscription", topic: "on", name: "off", options: { status: "Disabled", rules: [rule] } },
        { kind: "subscription", topic: "on", name: "on", options: { status: "ReceiveDisabled" } }
      ])
      for (const path of ["off/subscriptions/some", "on/subscriptions/off"]) {
        const rules = broker.queue(path)!.rules!
        assert.isTrue(rules.isDisabled)
        // It is the topic's status or its own, and nothing lasts.
        Result.getOrThrow(broker.update(path, { status: "Active" }))
        Result.getOrThrow(broker.update("off", { status: "Active" }))
        assert.isFalse(rules.isDisabled)
      }
      assert.isFalse(broker.queue("on/subscriptions/on")!.rules!.isDisabled)
      yield* send(emulator, ["1", { n: 1 }], ["2", { n: 2 }])
      assert.deepStrictEqual(yield* bodies(emulator, Some), ["1"])
      const manager = yield* ServiceBusRuleManager.make(Some)
      yield* manager.create(rule).pipe(failsWith("MessagingEntityDisabledError"))
      yield* manager.delete("one").pipe(failsWith("MessagingEntityDisabledError"))
      yield* emulator.update(Some, { status: "Active" })
      yield* manager.create(rule)
      assert.deepStrictEqual((yield* emulator.rules(Some)).map(({ name }) => name), ["new", "one"])
    }))
})

describe("What is forwarded to a topic", () => {
  test("is taken by what it has, the reason of a dead letter too, and changed in that", {
    rules: [
      sql(
        "negative",
        "DeadLetterReason = 'Negative'",
        "SET DeadLetterReason = 'seen'; REMOVE DeadLetterErrorDescription"
      )
    ]
  }, (emulator) =>
    Effect.gen(function*() {
      yield* emulator.create(Emulator.entity("orders", { forwardDeadLetteredMessagesTo: News }))
      yield* emulator.send("orders", [{ body: Buffer.from("-1") }, { body: Buffer.from("x") }])
      const receiver = yield* ServiceBusReceiver.make("orders")
      const [negative, other] = yield* receiver.receive({ max: 2 })
      yield* receiver.deadLetter(negative!, { reason: "Negative", description: "less than nothing" })
      yield* receiver.deadLetter(other!, { reason: "Other" })
      yield* emulator.idle
      const [taken, ...more] = yield* emulator.messages(Some)
      assert.deepStrictEqual(taken!.body, "-1")
      assert.deepStrictEqual(taken!.applicationProperties, { DeadLetterReason: "seen", RuleName: "negative" })
      assert.lengthOf(more, 0)
      const reasons = (yield* emulator.messages(All)).map(({ applicationProperties }) =>
        applicationProperties["DeadLetterReason"]
      )
      assert.deepStrictEqual(reasons, ["Negative", "Other"])
    }))
})

describe("What a consumer does to the rules", () => {
  it.effect("while a message is copied holds from the next message on, in every subscription", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.make([
        { kind: "topic", name: "news" },
        ...["a", "b", "c"].map((name) => ({ kind: "subscription" as const, topic: "news", name }))
      ])
      const [a, b, c] = ["a", "b", "c"].map((name) => broker.queue(`news/subscriptions/${name}`)!) as [
        Broker.Queue,
        Broker.Queue,
        Broker.Queue
      ]
      const topic = broker.queue("news")!
      const taker = new Taker(b, 9)
      let nested = false
      taker.onDeliver = () => {
        if (nested) return
        nested = true
        for (const { rules } of [a, c]) ok(rules!.remove("$Default"))
        Result.getOrThrow(broker.create({ kind: "subscription", topic: "news", name: "d" }))
        // A message from within comes after this one.
        ok(topic.send(messages("2")))
      }
      ok(topic.send(messages("1")))
      assert.deepStrictEqual([stored(a), taker.ids, stored(c)], [["1"], ["1", "2"], ["1"]])
      assert.deepStrictEqual(stored(broker.queue("news/subscriptions/d")!), ["2"])
    }))
})

describe("A topic of many subscriptions", () => {
  const many = 500
  const names = Array.from({ length: many }, (_, i) => `s${i}`)
  const made = Effect.fnUntraced(function*(rules: (i: number) => ReadonlyArray<ServiceBusRule.Rule>) {
    let reads = 0
    const broker = yield* Broker.make([
      { kind: "topic", name: "news" },
      ...names.map((name, i) => ({ kind: "subscription" as const, topic: "news", name, options: { rules: rules(i) } }))
    ], {
      read: () => {
        reads++
        return { system: () => undefined, property: (name) => name === "n" ? 7n : undefined, spelling: () => undefined }
      }
    })
    const queues = names.map((name) => broker.queue(`news/subscriptions/${name}`)!)
    return { topic: broker.queue("news")!, queues, reads: () => reads }
  })

  it.effect("reads a message once for all of their rules, and copies it to those alone that take it", () =>
    Effect.gen(function*() {
      const { queues, reads, topic } = yield* made((i) => [sql("mine", `n = ${i}`)])
      ok(topic.send(messages("1", "2")))
      assert.strictEqual(reads(), 2)
      assert.deepStrictEqual(stored(queues[7]!), ["1", "2"])
      queues.forEach((queue, i) => assert.strictEqual(queue.counters.enqueued, i === 7 ? 2 : 0))
    }))

  it.effect("reads nothing where every rule takes everything, and where there are none", () =>
    Effect.gen(function*() {
      const { queues, reads, topic } = yield* made((i) =>
        i % 2 === 0
          ? []
          : [
            ServiceBusRule.make("all", ServiceBusRule.true),
            ServiceBusRule.make("mine", ServiceBusRule.correlation({ to: "i" }))
          ]
      )
      ok(topic.send(messages("1", "2")))
      assert.strictEqual(reads(), 0)
      queues.forEach((queue, i) => assert.strictEqual(queue.counters.enqueued, i % 2 === 0 ? 0 : 2))
      // Those that had it read messages are gone again.
      for (const { rules } of queues) {
        ok(rules!.add(sql("fails", "10 / n = 1")))
        ok(rules!.add(ServiceBusRule.make("changes", ServiceBusRule.true, ServiceBusRule.action("SET a = 1"))))
        ok(rules!.remove("fails"))
        ok(rules!.remove("changes"))
      }
      ok(topic.send(messages("3")))
      assert.strictEqual(reads(), 0)
    }))
})
