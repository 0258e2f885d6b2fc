/** What is to be done although its caller is interrupted: it is begun, and keeps its caller for a second at most. */
import { ServiceBusDeadLetters, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { bury, DeadTexts } from "../support/deadLetterEntities.ts"
import { inMemory, passing, start, testsOf, Texts, texts, until } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const busy = { condition: "com.microsoft:server-busy" }

describe("What is to be done although its caller is interrupted", () => {
  const { clock } = testsOf("in memory", inMemory)

  /** Interrupts what waits for the service to be less busy; gives how long it took, in milliseconds. */
  const interrupt = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>) {
    assert.isUndefined(fiber.pollUnsafe())
    const before = yield* Clock.currentTimeMillis
    yield* passing(Fiber.interrupt(fiber))
    return (yield* Clock.currentTimeMillis) - before
  })

  clock(
    "a retry whose copy is accepted, and whose completion the service is too busy for",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* emulator.fail({ operation: "settle", error: busy })
        const fiber = yield* start(receiver.settle(message!, Settlement.retryAfter("1 hour")))
        yield* until(Effect.map(emulator.messages(Texts), ({ length }) => length === 2))
        yield* emulator.idle
        assert.isAtMost(yield* interrupt(fiber), 1_100)
        // It is still ours.
        yield* passing(receiver.complete(message!))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      })
  )

  clock("the replay of letters whose copies are accepted", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* bury(texts(3))
      yield* emulator.fail({ operation: "settle", entity: DeadTexts, error: busy })
      const fiber = yield* start(ServiceBusDeadLetters.replay(Texts))
      yield* until(Effect.map(emulator.messages(Texts), ({ length }) => length === 3))
      yield* emulator.idle
      // Its links are closed then, which takes as long again at most.
      assert.isAtMost(yield* interrupt(fiber), 2_100)
    }))

  clock("a stream whose handler failed", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* emulator.fail({ operation: "settle", error: busy })
      let isFailing = false
      const fiber = yield* start(receiver.messages.pipe(
        ServiceBusReceiver.settleEach(() =>
          Effect.suspend(() => {
            isFailing = true
            return Effect.fail("no")
          })
        ),
        Stream.runDrain
      ))
      yield* until(Effect.sync(() => isFailing))
      yield* emulator.idle
      assert.isAtMost(yield* interrupt(fiber), 1_100)
    }))

  clock("what is interrupted while its original is completed completes it", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      // Its lock outlives its link: it is completed by its token, by the second try.
      yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" })
      yield* emulator.fail({ operation: "settle", error: { condition: "amqp:internal-error" } })
      const fiber = yield* start(receiver.settle(message!, Settlement.retryAfter("1 hour")))
      yield* until(Effect.map(emulator.messages(Texts), ({ length }) => length === 2))
      yield* emulator.idle
      yield* interrupt(fiber)
      assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    }), { client: { retry: { delay: "500 millis" } } })
})
