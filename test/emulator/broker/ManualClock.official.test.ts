/** Microsoft's own client with a broker whose time stands still, or is moved: what the page says of its timers. */
import { DateTime, Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { until } from "../../support/harness.ts"
import { official } from "../../support/official.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })

const broker = (startAt?: DateTime.Utc) =>
  Emulator.layerServer({
    entities: [Emulator.entity(Texts, { lockDuration: "30 seconds" })],
    clock: "manual",
    ...(startAt === undefined ? {} : { startAt })
  })

const opened = Effect.map(official(), (client) => ({
  sender: client.createSender("texts"),
  receiver: client.createReceiver("texts", { maxAutoLockRenewalDurationInMs: 0 }),
  client
}))

describe("@azure/service-bus and a clock in the hand of a test", () => {
  it.live("schedules, receives and loses locks as the time goes on", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const { receiver, sender } = yield* opened
      const at = DateTime.toDateUtc(DateTime.add(yield* emulator.now, { hours: 1 }))
      yield* Effect.promise(() => sender.scheduleMessages({ body: "later" }, at))
      yield* emulator.advance("59 minutes")
      assert.strictEqual((yield* emulator.scheduled(Texts)).length, 1)
      yield* emulator.advance("1 minute")
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.strictEqual(message?.body, "later")
      yield* emulator.advance("30 seconds")
      const problem = yield* Effect.promise(() =>
        receiver.completeMessage(message!).then(() => undefined, (error) => error)
      )
      assert.strictEqual((problem as { readonly code?: string } | undefined)?.code, "MessageLockLost")
      const [again] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.strictEqual(again?.deliveryCount, 1)
      yield* Effect.promise(() => receiver.completeMessage(again!))
    }).pipe(Effect.scoped, Effect.provide(broker())))

  it.live("renews again and again where its own clock is past the lock, and settles all the same", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const { client, sender } = yield* opened
      yield* Effect.promise(() => sender.sendMessages({ body: "x" }))
      const receiver = client.createReceiver("texts")
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      yield* until(Effect.map(emulator.counters(Texts), ({ renewed }) => renewed > 5))
      yield* Effect.promise(() => receiver.completeMessage(message!))
      assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.unwrap(Effect.map(DateTime.now, (now) => broker(DateTime.subtract(now, { hours: 1 })))))
    ))
})
