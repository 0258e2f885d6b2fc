/** The administration client against the broker, in memory and over a port: what it makes is what other clients then meet. */
import {
  AmqpValue,
  ConnectionString,
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusCredential,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { failsWith, type Services } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders/eu.north-1", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "Sport")

type Everything = Services | ServiceBusAdministration.ServiceBusAdministration

type Body = Effect.Effect<void, unknown, Everything | Scope.Scope>

const options: Emulator.Options = { entities: [] }

const inMemory = Emulator.layer(options)

const overPort = Layer.mergeAll(Emulator.layerClient, Emulator.layerAdministration).pipe(
  Layer.provideMerge(Emulator.layerServer(options))
)

const { ServiceBusAdministration: Administration } = ServiceBusAdministration

const suite = (
  name: string,
  layer: Layer.Layer<Everything, ServiceBusError.EmulatorError>,
  run: typeof it.effect | typeof it.live
) => {
  const test = (title: string, body: () => Body) =>
    run(title, () => Effect.suspend(body).pipe(Effect.scoped, Effect.provide(layer)))

  describe(name, () => {
    test("a queue with every setting is as it was created, is changed, and goes", () =>
      Effect.gen(function*() {
        const administration = yield* Administration
        yield* administration.createQueue("target")
        const settings: ServiceBusAdministration.QueueSettings = {
          lockDuration: "45 seconds",
          maxDeliveryCount: 7,
          defaultTimeToLive: "2 days",
          deadLetteringOnExpiration: true,
          duplicateDetectionWindow: "5 minutes",
          requiresSession: false,
          maxSize: 2 * 1024 ** 3,
          forwardDeadLetteredMessagesTo: "target",
          status: "ReceiveDisabled",
          autoDeleteOnIdle: "1 hour",
          enableBatchedOperations: false,
          userMetadata: " <ours> & é ",
          authorizationRules: [{ name: "app", rights: ["Send"], primaryKey: Redacted.make("a2V5a2V5") }]
        }
        const created = yield* administration.createQueue(Orders, settings)
        const expected = {
          name: "orders/eu.north-1",
          lockDuration: Duration.seconds(45),
          maxDeliveryCount: 7,
          defaultTimeToLive: Duration.days(2),
          deadLetteringOnExpiration: true,
          duplicateDetectionWindow: Duration.minutes(5),
          requiresSession: false,
          maxSize: 2 * 1024 ** 3,
          forwardTo: undefined,
          forwardDeadLetteredMessagesTo: "target",
          status: "ReceiveDisabled",
          autoDeleteOnIdle: Duration.hours(1),
          enableBatchedOperations: false,
          userMetadata: " <ours> & é "
        }
        const { authorizationRules, ...rest } = created
        assert.deepInclude(rest, expected)
        assert.deepStrictEqual(authorizationRules.map(({ name, rights }) => [name, rights]), [["app", ["Send"]]])
        const got = Option.getOrThrow(yield* administration.getQueue(Orders))
        assert.deepInclude(got, expected)

        const changed = yield* administration.updateQueue(Orders, (queue) => ({
          maxDeliveryCount: queue.maxDeliveryCount + 1,
          forwardDeadLetteredMessagesTo: null,
          status: "Active",
          userMetadata: null
        }))
        assert.deepInclude(changed, {
          ...expected,
          maxDeliveryCount: 8,
          forwardDeadLetteredMessagesTo: undefined,
          status: "Active",
          userMetadata: undefined
        })
        // What it is for others.
        yield* (yield* ServiceBusSender.make(Orders)).send({ body: "a" })
        const runtime = Option.getOrThrow(yield* administration.getQueueRuntime(Orders))
        assert.deepInclude(runtime, { name: "orders/eu.north-1", totalMessageCount: 1, activeMessageCount: 1 })
        assert.isDefined(runtime.createdAt)

        yield* administration.deleteQueue(Orders)
        assert.isFalse(yield* administration.queueExists(Orders))
        yield* failsWith("MessagingEntityNotFoundError")(administration.deleteQueue(Orders))
      }))

    test("an entity that exists, one that is missing, and a setting that is refused are told apart", () =>
      Effect.gen(function*() {
        const administration = yield* Administration
        yield* administration.createQueue("q")
        yield* administration.createTopic(News)
        yield* failsWith("MessagingEntityAlreadyExistsError")(administration.createQueue("q"))
        yield* failsWith("MessagingEntityAlreadyExistsError")(administration.createTopic("q"))
        assert.isTrue(Option.isNone(yield* administration.getTopic("q")))
        assert.isTrue(Option.isNone(yield* administration.getQueue(News.name)))
        yield* failsWith("MessagingEntityNotFoundError")(administration.updateQueue("none", () => ({})))
        yield* failsWith("MessagingEntityNotFoundError")(administration.createSubscription("none/Subscriptions/s"))
        for (
          const [effect, option] of [
            [administration.createQueue("r", { lockDuration: "6 minutes" }), "lockDuration"],
            [administration.createQueue("r", { maxSize: 7 * 1024 ** 2 }), "maxSize"],
            [administration.createQueue("r", { duplicateDetectionWindow: "1 second" }), "duplicateDetectionWindow"],
            [administration.createQueue("r", { forwardTo: "none" }), "forwardTo"],
            [
              administration.createQueue("r", { forwardDeadLetteredMessagesTo: "none" }),
              "forwardDeadLetteredMessagesTo"
            ],
            [administration.createQueue("r", { status: "Bogus" as never }), "status"],
            [
              administration.createQueue("r", { authorizationRules: [{ name: "a", rights: ["Manage"] }] }),
              "authorizationRules"
            ]
          ] as const
        ) {
          const error = yield* failsWith("InvalidOptionError")(effect)
          assert.strictEqual(error.option, option, error.message)
          assert.isDefined(error.trackingId)
        }
        const inSubscription = yield* failsWith("MessagingEntityNotFoundError")(
          administration.createSubscription("none/Subscriptions/s", { rules: [] })
        )
        assert.strictEqual(inSubscription.entity, "none")
        const { make, sql } = ServiceBusRule
        for (
          const [rules, option] of [
            [[make("a", sql("a = = b"))], "rules[0]"],
            [[make("a", ServiceBusRule.true, ServiceBusRule.action("SET"))], "rules[0]"],
            [[make("a", sql("a = 1")), make("b", sql("a = = b"))], "rules[1]"]
          ] as const
        ) {
          const path = `${News.name}/Subscriptions/ruled`
          const error = yield* failsWith("InvalidOptionError")(administration.createSubscription(path, { rules }))
          assert.strictEqual(error.option, option)
          assert.match(error.message, /There was an error parsing the SQL expression/)
          // Before its second rule it is there.
          assert.strictEqual(yield* administration.subscriptionExists(path), option === "rules[1]")
        }
        const inRule = yield* failsWith("MessagingEntityNotFoundError")(
          administration.createRule(`${News.name}/Subscriptions/none`, make("a", ServiceBusRule.true))
        )
        assert.strictEqual(inRule.entity, `${News.name}/Subscriptions/none`)
        assert.isFalse(yield* administration.queueExists("r"))
      }))

    test("a contract with sessions makes a queue with sessions", () =>
      Effect.gen(function*() {
        const administration = yield* Administration
        assert.isTrue((yield* administration.createQueue(Carts)).requiresSession)
        const sender = yield* ServiceBusSender.make(Carts)
        yield* sender.send({ body: "a", sessionId: "s" })
        const session = yield* ServiceBusSession.accept(Carts, "s")
        assert.deepStrictEqual((yield* session.receive()).map(({ body }) => body), ["a"])
      }))

    test("lists go over many pages", () =>
      Effect.gen(function*() {
        const administration = yield* Administration
        const names = Array.from({ length: 205 }, (_, index) => `q${String(index).padStart(3, "0")}`)
        yield* Effect.forEach(names, (each) => administration.createQueue(each), { concurrency: 8 })
        const queues = yield* Stream.runCollect(administration.listQueues)
        assert.deepStrictEqual(queues.map((queue) => queue.name), names)
        assert.lengthOf(yield* Stream.runCollect(administration.listQueueRuntimes), 205)
        assert.lengthOf(yield* Stream.runCollect(administration.listTopics), 0)
      }))

    test("topics, subscriptions and rules of every kind, and what a subscription then gets", () =>
      Effect.gen(function*() {
        const administration = yield* Administration
        yield* administration.createTopic(News, { maxSize: 1024 ** 3, defaultTimeToLive: "1 day" })
        const first = ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" }))
        const subscription = yield* administration.createSubscription(Sport, {
          rules: [first, ServiceBusRule.make("large", ServiceBusRule.sql("size > @least", { least: 10 }))],
          deadLetteringOnFilterError: false,
          lockDuration: "30 seconds"
        })
        assert.deepInclude(subscription, {
          topic: "news",
          name: "Sport",
          deadLetteringOnFilterError: false,
          lockDuration: Duration.seconds(30)
        })
        yield* administration.createSubscription("news/Subscriptions/nothing", { rules: [] })
        yield* administration.createSubscription("news/Subscriptions/all")
        assert.deepStrictEqual(
          (yield* Stream.runCollect(administration.listSubscriptions(News))).map(({ name }) => name).toSorted(),
          ["Sport", "all", "nothing"]
        )
        assert.strictEqual(
          Option.getOrThrow(yield* administration.getTopicRuntime(News)).subscriptionCount,
          3
        )
        const rules = (target: ServiceBusAdministration.SubscriptionTarget) =>
          Effect.map(
            Stream.runCollect(administration.listRules(target)),
            (listed) => listed.map(({ name, filter }) => [name, filter._tag])
          )
        assert.deepStrictEqual(yield* rules(Sport), [["large", "SqlFilter"], ["sport", "CorrelationFilter"]])
        assert.deepStrictEqual(yield* rules("news/Subscriptions/nothing"), [])
        assert.deepStrictEqual(yield* rules("news/Subscriptions/all"), [["$Default", "TrueFilter"]])

        const typed = ServiceBusRule.make(
          "typed",
          ServiceBusRule.correlation({
            correlationId: "c",
            applicationProperties: { int: 1, long: 5n, text: "it's", yes: true, double: AmqpValue.typed("double", 2) }
          }),
          ServiceBusRule.action("SET desk = @desk", { desk: 4 })
        )
        const created = yield* administration.createRule(Sport, typed)
        assert.deepStrictEqual(created.filter, typed.filter)
        const found = Option.getOrThrow(yield* administration.getRule(Sport, "typed"))
        assert.deepStrictEqual(found.filter, typed.filter)
        assert.deepStrictEqual(found.action, typed.action)
        yield* failsWith("MessagingEntityAlreadyExistsError")(administration.createRule(Sport, typed))
        yield* administration.updateRule(Sport, "typed", () => ({ action: null, filter: ServiceBusRule.false }))
        const updated = Option.getOrThrow(yield* administration.getRule(Sport, "typed"))
        assert.deepStrictEqual([updated.filter._tag, updated.action], ["FalseFilter", undefined])
        yield* administration.deleteRule(Sport, "typed")
        assert.isFalse(yield* administration.ruleExists(Sport, "typed"))
        yield* failsWith("RuleNotFoundError")(administration.deleteRule(Sport, "typed"))
        yield* failsWith("RuleNotFoundError")(administration.updateRule(Sport, "typed", () => ({})))
        const bad = yield* failsWith("InvalidOptionError")(
          administration.createRule(Sport, ServiceBusRule.make("bad", ServiceBusRule.sql("a = = b")))
        )
        assert.strictEqual(bad.option, "rule")
        assert.isDefined(bad.description)

        const sender = yield* ServiceBusSender.make(News)
        yield* sender.sendAll([
          { body: "match", subject: "sport" },
          { body: "big", applicationProperties: { size: 11 } },
          { body: "small", applicationProperties: { size: 9 } }
        ])
        const receiver = yield* ServiceBusReceiver.make(Sport)
        const received = yield* receiver.receive({ max: 5 })
        assert.deepStrictEqual(received.map(({ body }) => body).toSorted(), ["big", "match"])
        const runtime = Option.getOrThrow(yield* administration.getSubscriptionRuntime(Sport))
        assert.strictEqual(runtime.activeMessageCount, 2)
        yield* administration.updateSubscription(Sport, () => ({ maxDeliveryCount: 3 }))
        yield* administration.deleteSubscription(Sport)
        assert.isFalse(yield* administration.subscriptionExists(Sport))
        yield* administration.deleteTopic(News)
        assert.isFalse(yield* administration.topicExists(News))
      }))

    test("the namespace says what it is", () =>
      Effect.gen(function*() {
        const { getNamespace } = yield* Administration
        const info = yield* getNamespace
        assert.include(["Standard", "Premium"], info.sku)
        assert.strictEqual(info.type, "Messaging")
      }))

    test("a credential without the right, or a wrong key, is told", () =>
      Effect.gen(function*() {
        const { connectionString, httpClient, tokenCredential } = yield* Emulator.Emulator
        const parsed = yield* ConnectionString.parse(connectionString)
        const as = (credential: ServiceBusCredential.ServiceBusCredential) =>
          ServiceBusAdministration.makeWith(httpClient, {}, {
            host: parsed.host,
            endpoint: { host: parsed.host, port: parsed.port, isPlain: true },
            credential,
            entityPath: undefined
          })
        const wrong = yield* as(ServiceBusCredential.sharedKey({ name: "RootManageSharedAccessKey", key: "other" }))
        yield* failsWith("ServiceBusAuthenticationError")(wrong.createQueue("q"))
        const identity = yield* as(ServiceBusCredential.identity(tokenCredential))
        yield* identity.createQueue("q")
      }))
  })
}

suite("the management API in memory", inMemory, it.effect)
suite("the management API over a port", overPort, it.live)
