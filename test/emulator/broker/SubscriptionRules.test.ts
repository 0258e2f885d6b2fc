/** The rules of a subscription by themselves: what is added, removed and counted, and what enters. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import * as ServiceBusRule from "../../../src/ServiceBusRule.ts"
import { messages, ok, refused, stored } from "../../support/broker.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const everything = ServiceBusRule.make("everything", ServiceBusRule.true)
const nothing = ServiceBusRule.make("nothing", ServiceBusRule.false)

/** A topic with one subscription. */
const made = Effect.fnUntraced(function*(options?: Broker.SubscriptionOptions) {
  const broker = yield* Broker.make([
    { kind: "topic", name: "news" },
    { kind: "subscription", topic: "news", name: "all", options }
  ])
  const subscription = broker.queue("news/subscriptions/all")!
  return { broker, topic: broker.queue("news")!, subscription, rules: subscription.rules! }
})

describe("SubscriptionRules", () => {
  it.effect("begin with one that takes everything, and take nothing once all are removed", () =>
    Effect.gen(function*() {
      const { rules, subscription, topic } = yield* made()
      assert.deepStrictEqual(rules.list().map(({ filter, name }) => [name, filter._tag]), [["$Default", "TrueFilter"]])
      ok(topic.send(messages("1")))
      ok(rules.remove("$Default"))
      ok(topic.send(messages("2")))
      ok(rules.add(nothing))
      ok(topic.send(messages("3")))
      ok(rules.add(everything))
      ok(topic.send(messages("4")))
      assert.deepStrictEqual(stored(subscription), ["1", "4"])
      assert.deepStrictEqual(stored(topic), [])
    }))

  it.effect("are given by name, by pages, with their times", () =>
    Effect.gen(function*() {
      const { rules } = yield* made({ rules: [] })
      assert.deepStrictEqual(rules.list(), [])
      for (const name of ["c", "a", "b"]) {
        ok(rules.add(ServiceBusRule.make(name, ServiceBusRule.true)))
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(rules.list().map(({ name }) => name), ["a", "b", "c"])
      assert.deepStrictEqual(rules.list(1, 1).map(({ name }) => name), ["b"])
      assert.deepStrictEqual(rules.list(3, 5), [])
      const times = rules.list().map(({ createdAt }) => DateTime.toEpochMillis(createdAt!))
      assert.deepStrictEqual(times, [1000, 2000, 0])
      assert.deepStrictEqual([rules.find("b")?.name, rules.find("B")?.name, rules.find("d")?.name], [
        "b",
        "b",
        undefined
      ])
      ok(rules.add(ServiceBusRule.make("B", ServiceBusRule.true)))
      assert.deepStrictEqual([rules.find("b")?.name, rules.find("B")?.name], ["b", "B"])
      // As the service lists them in a test of Microsoft's client for JavaScript.
      for (const { name } of rules.list()) ok(rules.remove(name))
      for (const name of ["sqlRule", "$Default", "correlationRule", "B"]) {
        ok(rules.add(ServiceBusRule.make(name, ServiceBusRule.true)))
      }
      const names = rules.list().map(({ name }) => name)
      assert.deepStrictEqual(names, ["$Default", "B", "correlationRule", "sqlRule"])
    }))

  it.effect("have names of their own", () =>
    Effect.gen(function*() {
      const { rules } = yield* made({ rules: [everything] })
      assert.strictEqual(refused(rules.add(everything), "RuleExists").detail, "everything")
      assert.strictEqual(refused(rules.remove("nothing"), "RuleNotFound").detail, "nothing")
      for (const name of ["", " ", "a/b", "x".repeat(51)]) {
        refused(rules.add(ServiceBusRule.make(name, ServiceBusRule.true)), "InvalidRule")
      }
      ok(rules.add(ServiceBusRule.make("x".repeat(50), ServiceBusRule.true)))
      ok(rules.remove("everything"))
      ok(rules.add(everything))
      assert.deepStrictEqual(rules.list().map(({ name }) => name), ["everything", "x".repeat(50)])
    }))

  it.effect("are refused once the broker is closed", () =>
    Effect.gen(function*() {
      const { rules } = yield* Effect.scoped(made())
      refused(rules.add(everything), "EntityNotFound")
      refused(rules.remove("$Default"), "EntityNotFound")
    }))

  const quotas = [
    ["2,000 SQL filters", 2000, () => ServiceBusRule.sql("a = 1")],
    ["100,000 correlation filters", 100_000, () => ServiceBusRule.correlation({ subject: "a" })]
  ] as const
  for (const [title, most, filter] of quotas) {
    it.effect(`of all subscriptions of a topic are ${title} at most`, () =>
      Effect.gen(function*() {
        const broker = yield* Broker.make([
          { kind: "topic", name: "news" },
          { kind: "subscription", topic: "news", name: "one" },
          { kind: "subscription", topic: "news", name: "two" },
          { kind: "topic", name: "other" },
          { kind: "subscription", topic: "other", name: "bystander" }
        ])
        const rulesOf = (path: string) => broker.queue(path)!.rules!
        const [one, two] = [rulesOf("news/subscriptions/one"), rulesOf("news/subscriptions/two")]
        const rule = (name: unknown) => ServiceBusRule.make(String(name), filter())
        for (let i = 0; i < most; i++) ok((i % 2 === 0 ? one : two).add(rule(i)))
        const refusal = refused(one.add(rule("more")), "QuotaExceeded")
        assert.include(refusal.detail, String(most))
        refused(two.add(rule("more")), "QuotaExceeded")
        // What is true or false is not counted, nor is what was refused, and each topic has its own.
        ok(one.add(everything))
        ok(rulesOf("other/subscriptions/bystander").add(rule("more")))
        ok(two.remove("1"))
        ok(one.add(rule("more")))
        refused(one.add(rule("even more")), "QuotaExceeded")
      }), 60_000)
  }

  it.effect("count no more where their subscription is deleted, or was not made", () =>
    Effect.gen(function*() {
      const { broker, rules } = yield* made()
      const sql = (name: string) => ServiceBusRule.make(name, ServiceBusRule.sql("a = 1"))
      const half = Array.from({ length: 1000 }, (_, i) => sql(String(i)))
      const other = (given: ReadonlyArray<ServiceBusRule.Rule>) =>
        broker.create({ kind: "subscription", topic: "news", name: "other", options: { rules: given } })
      for (const each of half) ok(rules.add(each))
      assert.isTrue(Result.isFailure(other([...half, sql("one too many")])))
      assert.isTrue(Result.isFailure(other([...half.slice(1), sql("1")])))
      assert.isTrue(Result.isSuccess(other(half)))
      refused(rules.add(sql("one too many")), "QuotaExceeded")
      Result.getOrThrow(broker.delete("news/subscriptions/other"))
      ok(rules.add(sql("one more")))
    }))

  it.effect("with SQL that is wrong are refused, with what is wrong and where", () =>
    Effect.gen(function*() {
      const { rules } = yield* made()
      for (
        const rule of [
          ServiceBusRule.make("x", ServiceBusRule.sql("a = = 1")),
          ServiceBusRule.make("x", ServiceBusRule.true, ServiceBusRule.action("SET a = = 1"))
        ]
      ) {
        const { detail } = refused(rules.add(rule), "InvalidRule")
        assert.match(detail!, /Token line=1, column=\d+, Token in error= =/)
        const error = yield* Effect.flip(made({ rules: [everything, rule] }))
        assert.strictEqual(error.problem, `subscription "all" of "news": rule "x": ${detail}`)
      }
      assert.deepStrictEqual(rules.list().map(({ name }) => name), ["$Default"])
    }))

  const wrong: ReadonlyArray<readonly [string, unknown, RegExp]> = [
    ["no array", "everything", /"all" of "news": rules must be an array/],
    ["no rule", [1], /"all" of "news": rules\[0\]/],
    ["a name that is none", [everything, ServiceBusRule.make("", ServiceBusRule.true)], /"news": rules\[1\]\.name/],
    ["a filter that is none", [{ name: "x", filter: { _tag: "X" } }], /rules\[0\]\.filter must be a filter/],
    ["a rule twice", [everything, everything], /"all" of "news": rule "everything": it is declared twice/]
  ]
  for (const [title, rules, pattern] of wrong) {
    it.effect(`of a declaration are refused: ${title}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(made({ rules: rules as never }))
        assert.match(error.problem, pattern)
      }))
  }
})
