import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { both } from "./suites/harness.ts"
import { official } from "./suites/official.ts"
import { suite } from "./suites/topics.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Paper = ServiceBusEntity.subscription(News, "paper")

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
    ), 20_000)
})
