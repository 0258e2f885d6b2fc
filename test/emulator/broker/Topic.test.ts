/** A topic copies what it gets to each of its subscriptions, which are queues of their own. */
import { Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { both, failsWith, type LayerFor, type Name, type Services } from "../../support/harness.ts"
import { official } from "../../support/official.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Archive = ServiceBusEntity.subscription(News, "archive")
const Paper = ServiceBusEntity.subscription(News, "paper")

const entities = (paper: Emulator.SubscriptionOptions = {}, news: Emulator.TopicOptions = {}) => [
  Emulator.entity(News, news),
  Emulator.entity(Archive),
  Emulator.entity(Paper, { lockDuration: "30 seconds", maxDeliveryCount: 2, ...paper })
]

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const test = (
      title: string,
      body: () => Effect.Effect<void, unknown, Services | Scope.Scope>,
      declared: ReadonlyArray<Emulator.Entity> = entities()
    ) =>
      (name === "in memory" ? it.effect : it.live)(title, () =>
        Effect.suspend(body).pipe(Effect.scoped, Effect.provide(layerFor({ entities: declared }))))
    const clock: typeof test = (title, body, declared) =>
      name === "in memory" ? test(title, body, declared) : undefined

    test("every subscription gets a copy of its own, with its own numbers, locks and counts", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        const archive = yield* ServiceBusReceiver.make(Archive)
        const paper = yield* ServiceBusReceiver.make(Paper)
        yield* sender.sendAll([{ body: "a", messageId: "1", subject: "s", applicationProperties: { n: 1 } }, {
          body: "b"
        }])
        const [first] = yield* archive.receive()
        yield* archive.complete(first!)
        const seen = yield* paper.receive({ max: 2 })
        assert.deepStrictEqual(seen.map(({ body, sequenceNumber }) => [body, sequenceNumber]), [["a", 1n], ["b", 2n]])
        assert.deepInclude(seen[0]!, { messageId: "1", subject: "s", deliveryCount: 0 })
        assert.deepStrictEqual(seen[0]!.applicationProperties, { n: 1 })
        yield* paper.abandon(seen[0]!)
        const [again] = yield* paper.receive()
        assert.strictEqual(again!.deliveryCount, 1)
        yield* paper.deadLetter(again!, { reason: "no news" })
        // What one does concerns the other nothing.
        assert.deepStrictEqual((yield* emulator.messages(Archive)).map(({ body }) => body), ["b"])
        assert.lengthOf(yield* emulator.deadLetters(Archive), 0)
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Paper))
        const [letter] = yield* dead.receive()
        assert.strictEqual(letter!.deadLetterReason, "no news")
        yield* dead.complete(letter!)
      }))

    clock("locks, delivery counts and the dead-letter queue are the subscription's", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(News, [{ body: "a" }])
        const paper = yield* ServiceBusReceiver.make(Paper)
        for (let i = 0; i < 2; i++) {
          assert.lengthOf(yield* paper.receive(), 1)
          yield* TestClock.adjust("31 seconds")
        }
        const [letter] = yield* emulator.deadLetters(Paper)
        assert.strictEqual(letter!.deadLetterReason, "MaxDeliveryCountExceeded")
        assert.lengthOf(yield* emulator.messages(Archive), 1)
      }))

    clock(
      "the shorter of the topic's and the subscription's time to live holds",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(News, [{ body: "a" }, { body: "b", timeToLive: "10 seconds" }])
          const left = Effect.all([
            Effect.map(emulator.messages(Archive), (messages) => messages.length),
            Effect.map(emulator.messages(Paper), (messages) => messages.length)
          ])
          yield* TestClock.adjust("11 seconds")
          assert.deepStrictEqual(yield* left, [1, 1])
          yield* TestClock.adjust("10 seconds")
          assert.deepStrictEqual(yield* left, [1, 0])
          yield* TestClock.adjust("40 seconds")
          assert.deepStrictEqual(yield* left, [0, 0])
          assert.lengthOf(yield* emulator.deadLetters(Paper), 2)
        }),
      entities({ defaultTimeToLive: "20 seconds", deadLetteringOnExpiration: true }, { defaultTimeToLive: "1 minute" })
    )

    clock("what is scheduled waits in the topic, and can be cancelled there", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        const archive = yield* ServiceBusReceiver.make(Archive)
        const numbers = yield* sender.scheduleAll([{ body: "a" }, { body: "b" }], "1 minute")
        assert.lengthOf(yield* emulator.messages(Archive), 0)
        yield* sender.cancelScheduled([numbers[0]!])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* archive.receive({ max: 2 })).map(({ body }) => body), ["b"])
        assert.deepStrictEqual((yield* emulator.messages(Paper)).map(({ body }) => body), ["b"])
      }))

    test("defer, peek and receive-and-delete work on a subscription", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(News, [{ body: "a" }, { body: "b" }])
        const paper = yield* ServiceBusReceiver.make(Paper)
        const [first] = yield* paper.receive()
        yield* paper.defer(first!)
        assert.deepStrictEqual((yield* paper.peek({ max: 5 })).map(({ state }) => state), ["deferred", "active"])
        const [deferred] = yield* paper.receiveDeferred([first!.sequenceNumber])
        yield* paper.complete(deferred!)
        const destructive = yield* ServiceBusReceiver.makeDestructive(Paper)
        assert.lengthOf(yield* destructive.receive({ max: 5 }), 1)
        assert.lengthOf(yield* emulator.messages(Paper), 0)
        assert.lengthOf(yield* emulator.messages(Archive), 2)
      }))

    test("over plain names, what a topic or subscription cannot do fails typed", () =>
      Effect.gen(function*() {
        const receiving = yield* Effect.flip(ServiceBusReceiver.make("news"))
        assert.include(receiving.message, "Use a subscription")
        const sending = yield* Effect.flip(ServiceBusSender.make("news/Subscriptions/paper"))
        assert.include(sending.message, "subscription")
        yield* ServiceBusReceiver.make("news/Subscriptions/nobody").pipe(failsWith("MessagingEntityNotFoundError"))
        // A subscription by its path.
        const receiver = yield* ServiceBusReceiver.make("NEWS/subscriptions/PAPER")
        assert.deepStrictEqual(yield* receiver.peek(), [])
      }))

    test("a topic without subscriptions takes messages and keeps none", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(News)
        yield* sender.send({ body: "unheard" })
        const emulator = yield* Emulator.Emulator
        const error = yield* emulator.messages(Paper).pipe(Effect.flip)
        assert.strictEqual(error._tag, "EmulatorError")
      }), [Emulator.entity(News)])

    test("the topic's limits hold for all", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(News)
        yield* sender.send({ body: "x".repeat(3000) }).pipe(failsWith("MessageSizeExceededError"))
        for (let i = 0; i < 3; i++) yield* sender.send({ body: "x".repeat(1500) })
        yield* sender.send({ body: "x".repeat(1500) }).pipe(failsWith("ServiceBusQuotaExceededError"))
      }), entities({}, { maxMessageSize: 2000, maxSize: 10_000 }))
  })

describe("Topics", () => {
  both(suite)

  for (
    const [entities, problem] of [
      [[Emulator.entity(Paper)], "subscription \"paper\" of \"news\": there is no topic \"news\"; declare it too"],
      [[Emulator.entity(News), Emulator.entity(Paper), Emulator.entity(Paper)], "declared twice"],
      [[Emulator.entity(News), Emulator.entity("NEWS")], "declared twice"],
      [
        [Emulator.entity(News), Emulator.entity(ServiceBusEntity.subscription(News, ""))],
        "a subscription needs a name"
      ],
      [[Emulator.entity(News), Emulator.entity(Paper, { lockDuration: "1 hour" })], "lockDuration must be between"],
      [[Emulator.entity(News, { maxSize: 0 })], "topic \"news\": maxSize must be"]
    ] as const
  ) {
    it.effect(`are not declared where ${problem}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(Emulator.layer({ entities })))
        assert.include(error.message, problem)
      }).pipe(Effect.scoped))
  }

  it.live("the official client publishes to ours and hears ours", () =>
    Effect.gen(function*() {
      const client = yield* official()
      yield* Effect.promise(() => client.createSender("news").sendMessages([{ body: "theirs" }, { body: "too" }]))
      const receiver = yield* ServiceBusReceiver.make(Paper)
      const raw = yield* receiver.receiveRaw({ max: 2 })
      assert.lengthOf(raw, 2)
      yield* receiver.completeAll(raw)

      const sender = yield* ServiceBusSender.make(News)
      yield* sender.sendAll([{ body: "ours", messageId: "1" }, { body: "bad", messageId: "2" }])
      const theirs = client.createReceiver("news", "paper")
      const messages = yield* Effect.promise(() => theirs.receiveMessages(2))
      assert.deepStrictEqual(messages.map(({ messageId }) => messageId), ["1", "2"])
      yield* Effect.promise(() => theirs.completeMessage(messages[0]!))
      yield* Effect.promise(() =>
        theirs.deadLetterMessage(messages[1]!, { deadLetterReason: "bad news", deadLetterErrorDescription: "" })
      )
      const dead = client.createReceiver("news", "paper", {
        subQueueType: "deadLetter",
        receiveMode: "receiveAndDelete"
      })
      const [letter] = yield* Effect.promise(() => dead.receiveMessages(1))
      assert.strictEqual(letter!.deadLetterReason, "bad news")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Emulator.layerClientOver("tcp").pipe(
          Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity(News), Emulator.entity(Paper)] }))
        )
      )
    ))
})
