/** Rules of a subscription, managed over AMQP: what is created, listed and deleted, and which messages come of it. */
import {
  AmqpValue,
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { both, failsWith, type LayerFor, type Name, passing, testsWith, until } from "./support/harness.ts"
import { assert, describe } from "./support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Chess = ServiceBusEntity.subscription(News, "chess", { sessions: true })

const { correlation, make, sql } = ServiceBusRule

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [
      Emulator.entity(News),
      Emulator.entity(Sport, { rules: [] }),
      Emulator.entity(Chess)
    ])

    test("are told from those that a program wants by filter and action, as they are listed", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Sport)
        const wanted = [
          make("all", ServiceBusRule.true),
          make("sql", sql("score > @least", { least: 5 }), ServiceBusRule.action("SET card = @card", { card: "red" })),
          make(
            "values",
            correlation({ subject: "foul", to: undefined, applicationProperties: { at: new Date(0), n: 5 } })
          )
        ]
        yield* Effect.forEach(wanted, (rule) => rules.create(rule), { discard: true })
        const listed = new Map((yield* Stream.runCollect(rules.list)).map((rule) => [rule.name, rule]))
        const { isListedAs } = ServiceBusRuleManager
        for (const rule of wanted) assert.isTrue(isListedAs(rule, listed.get(rule.name)!), rule.name)
        const changed = [
          make("all", ServiceBusRule.false),
          make("sql", sql("score > @least", { least: 6 }), wanted[1]!.action),
          make("sql", wanted[1]!.filter, ServiceBusRule.action("SET card = 'blue'")),
          make("sql", wanted[1]!.filter),
          make("values", correlation({ subject: "foul", applicationProperties: { at: new Date(1), n: 5 } })),
          make("values", correlation({ subject: "foul", applicationProperties: { at: new Date(0), n: "5" } }))
        ]
        for (const [index, rule] of changed.entries()) {
          assert.isFalse(isListedAs(rule, listed.get(rule.name)!), `${index}`)
        }
        assert.isFalse(isListedAs(make("other", ServiceBusRule.true), listed.get("all")!))
        assert.isFalse(isListedAs(make("all", sql("")), listed.get("all")!))
      }))

    test("decide which messages come, and what is changed in them", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Sport)
        const sender = yield* ServiceBusSender.make(News)
        const receiver = yield* ServiceBusReceiver.make(Sport)
        const send = (...messages: ReadonlyArray<readonly [id: string, score: number, subject?: string]>) =>
          sender.sendAll(messages.map(([messageId, score, subject]) => ({
            body: "x",
            messageId,
            sessionId: "s",
            subject,
            applicationProperties: { score }
          })))
        yield* send(["0", 9, "goal"])
        yield* rules.create("high", sql("score >= @least AND sys.Label LIKE 'g%'", { least: 5 }))
        yield* send(["1", 4, "goal"], ["2", 5, "goal"], ["3", 6], ["4", 7, "foul"])
        yield* rules.create(
          "foul",
          correlation({ subject: "foul" }),
          ServiceBusRule.action("SET card = @card; REMOVE score", { card: "it's red" })
        )
        yield* send(["5", 8, "foul"], ["6", 9, "goal"])
        yield* rules.delete("high")
        yield* send(["7", 9, "goal"], ["8", 1, "foul"])
        const messages = yield* receiver.receive({ max: 10, maxWait: "5 seconds" })
        assert.deepStrictEqual(
          messages.map(({ applicationProperties, messageId }) => [messageId, applicationProperties]),
          [
            ["2", { score: 5 }],
            ["5", { card: "it's red", RuleName: "foul" }],
            ["6", { score: 9 }],
            ["8", { card: "it's red", RuleName: "foul" }]
          ]
        )
        yield* receiver.completeAll(messages)
      }))

    test("are listed as they were created, with their types", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Sport)
        const created: ReadonlyArray<ServiceBusRule.Rule> = [
          make("a", ServiceBusRule.true),
          make("b", ServiceBusRule.false, ServiceBusRule.action("SET a = 1")),
          make("c", sql("a = 'x' AND b > 1.5")),
          make(
            "d",
            correlation({
              correlationId: "1",
              messageId: "2",
              to: "3",
              replyTo: "4",
              subject: "5",
              sessionId: "6",
              replyToSessionId: "7",
              contentType: "8",
              applicationProperties: {
                string: "ü",
                int: 1,
                long: 2n ** 53n + 1n,
                double: 1.5,
                boolean: false,
                ubyte: AmqpValue.typed("ubyte", 255),
                ulong: AmqpValue.typed("ulong", 2n ** 64n - 1n),
                uuid: AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
                time: DateTime.makeUnsafe(946_684_800_000),
                double2: AmqpValue.typed("double", 2),
                duration: Duration.nanos(3_000_000_000n)
              }
            })
          )
        ]
        yield* Effect.forEach(created, (rule) => rules.create(rule))
        const listed = yield* Stream.runCollect(rules.list)
        const undated = (rule: ServiceBusRule.ListedRule) => ({ ...rule, createdAt: undefined })
        assert.deepStrictEqual(listed.map(undated), created.map(undated))
        for (const { createdAt } of listed) assert.isTrue(DateTime.isDateTime(createdAt))
        assert.deepStrictEqual(yield* rules.get("c"), Option.some(listed[2]!))
        assert.deepStrictEqual(yield* rules.get("C"), Option.none())
      }))

    test("that a subscription begins with can be replaced", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Chess)
        assert.strictEqual(rules.entity, "news/Subscriptions/chess")
        const [first, ...others] = yield* Stream.runCollect(rules.list)
        assert.deepStrictEqual(others, [])
        assert.strictEqual(first!.name, ServiceBusRule.defaultName)
        assert.deepStrictEqual(first!.filter, ServiceBusRule.true)
        yield* rules.create("chess", correlation({ subject: "chess" }))
        yield* rules.delete(ServiceBusRule.defaultName)
        assert.deepStrictEqual(
          (yield* Stream.runCollect(rules.list)).map(({ name, filter }) => [name, filter]),
          [["chess", correlation({ subject: "chess" })]]
        )
      }))

    test("of more than a page are all listed, once", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Sport)
        const names = Array.from({ length: 205 }, (_, i) => `rule ${1000 + i}`)
        yield* Effect.forEach(names, (name) => rules.create(name, correlation({ subject: name })), { concurrency: 20 })
        const listed = yield* Stream.runCollect(rules.list)
        assert.deepStrictEqual(listed.map((rule) => rule.name).toSorted(), names)
        assert.isTrue(Option.isSome(yield* rules.get("rule 1204")))
      }))

    test("of one name are one; one that is deleted is not there", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Sport)
        yield* rules.create("urgent", ServiceBusRule.true)
        const exists = yield* failsWith("MessagingEntityAlreadyExistsError")(
          rules.create("urgent", ServiceBusRule.false)
        )
        assert.strictEqual(exists.entity, "news/Subscriptions/sport/Rules/urgent")
        assert.include(exists.description!, "urgent")
        yield* rules.delete("urgent")
        const missing = yield* failsWith("RuleNotFoundError")(rules.delete("urgent"))
        assert.strictEqual(missing.rule, "urgent")
        assert.strictEqual(missing.entity, "news/Subscriptions/sport")
        yield* rules.create("urgent", ServiceBusRule.false)
      }))

    test("that cannot be are refused in the broker's words, or before anything is sent", () =>
      Effect.gen(function*() {
        const rules = yield* ServiceBusRuleManager.make(Sport)
        for (const bad of ["a = ", "a b", "a = 'x", "SET a = 1", "sys."]) {
          const error = yield* failsWith("InvalidOptionError")(rules.create("r", sql(bad)))
          assert.strictEqual(error.option, "rule")
          assert.strictEqual(error.operation, "createRule")
          assert.isAbove(error.description?.length ?? 0, 10, bad)
        }
        yield* failsWith("InvalidOptionError")(rules.create("r", ServiceBusRule.true, ServiceBusRule.action("a = 1")))
        const early = yield* failsWith("InvalidOptionError")(rules.create("r", correlation({})))
        assert.strictEqual(early.option, "filter")
        assert.isUndefined(early.operation)
        assert.deepStrictEqual(yield* Stream.runCollect(rules.list), [])
      }))

    test("are those of a subscription, by its contract or its path", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (const path of ["news/Subscriptions/sport", "NEWS/subscriptions/Sport"]) {
          const rules = yield* ServiceBusRuleManager.make(path)
          yield* rules.create(path.slice(0, 4), ServiceBusRule.true)
        }
        assert.lengthOf(yield* emulator.rules(Sport), 2)
        for (const name of ["texts", "news", "news/sport", "news/Subscriptions/", "/Subscriptions/sport", "a/b/c"]) {
          assert.strictEqual(
            (yield* failsWith("InvalidOptionError")(ServiceBusRuleManager.make(name))).option,
            "entity"
          )
        }
        for (const entity of [News, ServiceBusEntity.deadLetter(Sport), undefined, 1, {}]) {
          yield* failsWith("InvalidOptionError")(ServiceBusRuleManager.make(entity as never))
        }
        const error = yield* failsWith("MessagingEntityNotFoundError")(
          ServiceBusRuleManager.make(ServiceBusEntity.subscription(News, "none"))
        )
        assert.strictEqual(error.entity, "news/Subscriptions/none")
      }))

    test("of a subscription that forwards are created and deleted, and not listed, as by the service", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const rules = yield* ServiceBusRuleManager.make(Sport)
        yield* emulator.update(Sport, { forwardTo: "texts" })
        yield* rules.create("a", ServiceBusRule.true)
        yield* rules.create("b", ServiceBusRule.true)
        yield* rules.delete("a")
        assert.deepStrictEqual((yield* emulator.rules(Sport)).map((rule) => rule.name), ["b"])
        for (const listing of [Stream.runDrain(rules.list), Effect.asVoid(rules.get("b"))]) {
          const error = yield* failsWith("ServiceBusError")(listing)
          assert.strictEqual(error.condition, "amqp:not-allowed")
          assert.include(error.description!, "auto-forwarding")
        }
      }))

    test("cannot be managed once the scope is closed, and nothing of it stays", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const scope = yield* Scope.make()
        const rules = yield* Scope.provide(ServiceBusRuleManager.make(Sport), scope)
        yield* rules.create("a", ServiceBusRule.true)
        assert.strictEqual(yield* emulator.connections, 1)
        yield* Scope.close(scope, Exit.void)
        yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
        assert.isTrue((yield* failsWith("ServiceBusConnectionError")(rules.delete("a"))).isClosed)
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("are managed again after the connection is lost", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const rules = yield* ServiceBusRuleManager.make(Sport)
        yield* rules.create("a", ServiceBusRule.true)
        yield* emulator.dropConnections
        yield* passing(rules.create("b", ServiceBusRule.true))
        assert.deepStrictEqual((yield* emulator.rules(Sport)).map((rule) => rule.name), ["a", "b"])
        assert.strictEqual(yield* emulator.connections, 1)
      }), { client: { retry: { delay: 10 } } })

    clock("are managed after an hour of silence, on the same connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const rules = yield* ServiceBusRuleManager.make(Sport)
        for (let i = 0; i < 120; i++) yield* TestClock.adjust("30 seconds")
        yield* emulator.idle
        yield* rules.create("a", ServiceBusRule.true)
        assert.lengthOf(yield* emulator.rules(Sport), 1)
        assert.strictEqual(yield* emulator.connections, 1)
      }))
  })

both((name, layerFor) => {
  suite(name, layerFor)
  if (name === "in memory") return
  describe(`with a key, ${name}`, () => {
    const { test } = testsWith(name, layerFor, [Emulator.entity(News), Emulator.entity(Sport)])
    const policies: ReadonlyArray<Emulator.Policy> = [
      { name: "listen", key: Redacted.make("listen-key"), rights: ["Listen"] },
      { name: "send", key: Redacted.make("send-key"), rights: ["Send"] }
    ]

    const withKey = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
      Effect.gen(function*() {
        const parsed = yield* ConnectionString.parse((yield* Emulator.Emulator).connectionString)
        const client = yield* ServiceBusClient.fromConnectionString({
          ...parsed,
          credential: ServiceBusCredential.sharedKey({ name, key: `${name}-key` })
        })
        return yield* Effect.provideService(effect, ServiceBusClient.ServiceBusClient, client)
      }).pipe(Effect.scoped)

    const narrowed = Effect.gen(function*() {
      const rules = yield* ServiceBusRuleManager.make(Sport)
      yield* rules.create("sport", correlation({ subject: "sport" }))
      yield* rules.delete(ServiceBusRule.defaultName)
      return (yield* Stream.runCollect(rules.list)).map((rule) => rule.name)
    }).pipe(Effect.scoped)

    test("that may listen, rules are managed, and with one that may send they are not", () =>
      Effect.gen(function*() {
        const error = yield* failsWith("ServiceBusAuthorizationError")(withKey("send", narrowed))
        assert.strictEqual(error.claim, "Listen")
        assert.deepStrictEqual(yield* withKey("listen", narrowed), ["sport"])
      }), { policies })
  })
})
