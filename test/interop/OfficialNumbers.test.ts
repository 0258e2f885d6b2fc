/** Microsoft's own client and ours on one broker: what is done by sequence number. */
import { DateTime, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { official, testsOn } from "../support/official.ts"
import { assert, describe } from "../support/vitest.ts"

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })

const test = testsOn(Emulator.entity(Texts))

describe("the official client on our broker", () => {
  test(
    "schedules and cancels",
    Effect.gen(function*() {
      const client = yield* official()
      const emulator = yield* Emulator.Emulator
      const sender = client.createSender("texts")
      const numbers = yield* Effect.promise(() =>
        sender.scheduleMessages([{ body: "a" }, { body: "b" }, { body: "c" }], new Date(Date.now() + 3600_000))
      )
      assert.deepStrictEqual(numbers.map(String), ["1", "2", "3"])
      yield* Effect.promise(() => sender.cancelScheduledMessages([numbers[0]!, numbers[2]!]))
      const states = (yield* emulator.messages(Texts)).map(({ sequenceNumber, state }) => `${sequenceNumber} ${state}`)
      assert.deepStrictEqual(states, ["2 scheduled"])
      const error = yield* Effect.flip(Effect.tryPromise(() => sender.cancelScheduledMessages(numbers)))
      assert.strictEqual((error.cause as { readonly code?: string }).code, "MessageNotFound")
    })
  )

  test(
    "receives what it scheduled once it is due",
    Effect.gen(function*() {
      const client = yield* official()
      const sender = client.createSender("texts")
      const due = Date.now() + 300
      yield* Effect.promise(() => sender.scheduleMessages({ body: "due", messageId: "m" }, new Date(due)))
      const receiver = client.createReceiver("texts", { receiveMode: "receiveAndDelete" })
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.isAtLeast(Date.now(), due)
      assert.deepInclude(message!, { body: "due", messageId: "m" })
      assert.strictEqual(message!.scheduledEnqueueTimeUtc!.getTime(), due)
    })
  )

  test(
    "peeks, with its own cursor and from a number",
    Effect.gen(function*() {
      const client = yield* official()
      const ours = yield* ServiceBusSender.make(Texts)
      yield* ours.sendAll([..."abcde"].map((body) => ({ body })))
      yield* ours.schedule({ body: "f" }, "1 hour")
      const receiver = client.createReceiver("texts")
      const peek = (max: number, from?: number) =>
        Effect.promise(() =>
          receiver.peekMessages(max, from === undefined ? {} : { fromSequenceNumber: from as never })
        )
      const bodies = (messages: ReadonlyArray<{ readonly body: unknown }>) => messages.map(({ body }) => String(body))
      assert.deepStrictEqual(bodies(yield* peek(2)), ["a", "b"])
      assert.deepStrictEqual(bodies(yield* peek(2)), ["c", "d"])
      const rest = yield* peek(10)
      assert.deepStrictEqual(rest.map(({ state }) => state), ["active", "scheduled"])
      assert.deepStrictEqual(bodies(yield* peek(10)), [])
    })
  )
})

describe("what they left for ours", () => {
  test(
    "scheduled by theirs, seen and cancelled by ours",
    Effect.gen(function*() {
      const client = yield* official()
      const at = Date.now() + 3600_000
      const [number] = yield* Effect.promise(() =>
        client.createSender("texts").scheduleMessages([{ body: "theirs" }], new Date(at))
      )
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.peekRaw()
      assert.strictEqual(message!.state, "scheduled")
      assert.strictEqual(DateTime.toEpochMillis(message!.scheduledEnqueueTime!), at)
      const sender = yield* ServiceBusSender.make(Texts)
      yield* sender.cancelScheduled([BigInt(number!.toString())])
      assert.deepStrictEqual(yield* receiver.peekRaw(), [])
    })
  )

  test(
    "deferred by theirs, received and completed by ours",
    Effect.gen(function*() {
      const client = yield* official()
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "one" }])
      const theirs = client.createReceiver("texts")
      const [message] = yield* Effect.promise(() => theirs.receiveMessages(1))
      yield* Effect.promise(() => theirs.deferMessage(message!))
      const ours = yield* ServiceBusReceiver.make(Texts)
      const [deferred] = yield* ours.receiveDeferred([BigInt(message!.sequenceNumber!.toString())])
      assert.strictEqual(deferred!.body, "one")
      yield* ours.complete(deferred!)
      assert.lengthOf(yield* emulator.messages(Texts), 0)
    })
  )
})
