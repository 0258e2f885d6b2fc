/** What is taken is given to its caller, or is there again, at whichever step the caller is interrupted. */
import { ServiceBusReceiver, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { idsOf, inMemory, passing, start, testsWith, TextBytes, Texts, texts } from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

/**
 * How many operations a fiber has before it yields: 2048 by default. With one it does nothing else, and with less than four it
 * yields between the last operation of ours and the first of its caller.
 */
const budgets = [0, 1, 2, 3, 5, 8, 12, 17, 23, 40]

/** Interrupts an effect at each of its yields, with each budget; `run` is asked for the effect each time. */
const interruptedEverywhere = <A, E, R>(steps: number, run: () => Effect.Effect<A, E, R>, least = 4) =>
  Effect.gen(function*() {
    let given = 0
    let interrupted = 0
    for (const more of budgets) {
      for (let step = 0; step < steps; step++) {
        const fiber = yield* Effect.forkChild(
          Effect.provideService(run(), Scheduler.MaxOpsBeforeYield, least + more),
          { startImmediately: true }
        )
        for (let i = 0; i < step && fiber.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        if (Exit.isSuccess(yield* Fiber.await(fiber))) given++
        else interrupted++
      }
    }
    // Else the sweep was none.
    assert.isAbove(given, 10)
    assert.isAbove(interrupted, 10)
  })

describe("what is taken is given to its caller, or is there again", () => {
  const { test } = testsWith("in memory", inMemory, [Emulator.entity(Carts)])

  for (const prefetch of [0, 50]) {
    test(`receive in peek-lock mode, prefetch ${prefetch}`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3000))
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch })
        const got: Array<string> = []
        yield* interruptedEverywhere(60, () =>
          Effect.map(receiver.receive({ max: 2 }), (messages) => got.push(...idsOf(messages))))
        for (;;) {
          const rest = yield* passing(receiver.receive({ max: 1000, maxWait: "1 second" }))
          if (rest.length === 0) {
            break
          }
          got.push(...idsOf(rest))
        }
        // In their order, each once.
        assert.deepStrictEqual(
          got,
          texts(3000).map(({ messageId }) =>
            messageId
          )
        )
      }), { texts: { lockDuration: "5 minutes" } })

    test(`receive in receive-and-delete mode, prefetch ${prefetch}`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3000))
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts, { prefetch })
        const got: Array<string> = []
        yield* interruptedEverywhere(60, () =>
          Effect.map(receiver.receive({ max: 2 }), (messages) => got.push(...idsOf(messages))))
        for (;;) {
          const rest = yield* passing(receiver.receive({ max: 1000, maxWait: "1 second" }))
          if (rest.length === 0) {
            break
          }
          got.push(...idsOf(rest))
        }
        assert.deepStrictEqual(
          got,
          texts(3000).map(({ messageId }) =>
            messageId
          )
        )
      }))
  }

  test("receiveOne in receive-and-delete mode", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1500))
      const receiver = yield* ServiceBusReceiver.makeDestructive(Texts, { prefetch: 50 })
      const got: Array<string> = []
      yield* interruptedEverywhere(60, () =>
        Effect.map(receiver.receiveOne(), (message) => got.push(...idsOf(Option.toArray(message)))))
      for (;;) {
        const rest = yield* passing(receiver.receive({ max: 1000, maxWait: "1 second" }))
        if (rest.length === 0) {
          break
        }
        got.push(...idsOf(rest))
      }
      assert.deepStrictEqual(
        got,
        texts(1500).map(({ messageId }) =>
          messageId
        )
      )
    }))

  test("receive in receive-and-delete mode, of what cannot be decoded: the failure is told to a caller", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const total = 2000
      yield* emulator.send(
        TextBytes,
        Array.from({ length: total }, (_, i) => ({
          body: i % 3 === 0 ? new Uint8Array([0xff]) : Buffer.from("fine"),
          messageId: String(i)
        }))
      )
      const receiver = yield* ServiceBusReceiver.makeDestructive(Texts, { prefetch: 50, undecodable: "fail" })
      let got = 0
      const count = Effect.match(receiver.receive({ max: 2, maxWait: "1 second" }), {
        onFailure: () => void got++,
        onSuccess: (messages) => void (got += messages.length)
      })
      yield* interruptedEverywhere(40, () => count)
      for (let before = -1; before < got;) {
        before = got
        yield* passing(count)
      }
      assert.strictEqual(got, total)
    }))

  test("a stream in receive-and-delete mode that ends", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(3000))
      const receiver = yield* ServiceBusReceiver.makeDestructive(Texts, { prefetch: 50 })
      const got: Array<string> = []
      yield* interruptedEverywhere(
        80,
        () =>
          Stream.runForEach(
            Stream.take(receiver.messages, 2),
            ({ messageId }) => Effect.sync(() => got.push(messageId))
          ),
        // What a stream does between its source and its consumer.
        16
      )
      for (;;) {
        const rest = yield* passing(receiver.receive({ max: 1000, maxWait: "1 second" }))
        if (rest.length === 0) break
        got.push(...idsOf(rest))
      }
      assert.deepStrictEqual(got, texts(3000).map(({ messageId }) => messageId))
    }))

  test("receiveDeferred in receive-and-delete mode", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const total = 2000
      yield* emulator.send(Texts, texts(total))
      const peekLock = yield* ServiceBusReceiver.make(Texts)
      const numbers: Array<bigint> = []
      while (numbers.length < total) {
        for (const message of yield* peekLock.receive({ max: 500 })) {
          yield* peekLock.defer(message)
          numbers.push(message.sequenceNumber)
        }
      }
      const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
      const got: Array<bigint> = []
      yield* interruptedEverywhere(60, () =>
        Effect.map(
          receiver.receiveDeferred(numbers.slice(got.length, got.length + 1)),
          (messages) => got.push(...messages.map(({ sequenceNumber }) => sequenceNumber))
        ))
      got.push(...(yield* receiver.receiveDeferred(numbers.slice(got.length))).map((message) => message.sequenceNumber))
      assert.deepStrictEqual(got, numbers)
    }))

  test("receiveDeferred waits for the answer to one before it that has no caller any more", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const peekLock = yield* ServiceBusReceiver.make(Texts)
      const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
      yield* Effect.flip(receiver.receiveDeferred([999n]))
      for (let step = 0; step < 30; step++) {
        yield* emulator.send(Texts, texts(1, step))
        const [message] = yield* peekLock.receive()
        yield* peekLock.defer(message!)
        const call = yield* start(receiver.receiveDeferred([message!.sequenceNumber]))
        for (let i = 0; i < step && call.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
        const isDone = call.pollUnsafe() !== undefined
        yield* Fiber.interrupt(call)
        if (!isDone) {
          assert.deepStrictEqual(idsOf(yield* receiver.receiveDeferred([message!.sequenceNumber])), [String(step)])
        }
      }
    }))

  test("receiveDeferred is not asked again for a caller that is gone", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      yield* receiver.defer(message!)
      const destructive = yield* ServiceBusReceiver.makeDestructive(Texts)
      // Its management node is there.
      yield* Effect.flip(destructive.receiveDeferred([999n]))
      const call = yield* start(destructive.receiveDeferred([message!.sequenceNumber]))
      yield* emulator.dropConnections
      yield* Fiber.interrupt(call)
      yield* passing(Effect.sleep("1 minute"))
      assert.lengthOf(yield* emulator.messages(Texts), 1)
      assert.lengthOf(yield* passing(destructive.receiveDeferred([message!.sequenceNumber])), 1)
    }))

  test("a session that is accepted is held by a caller, or given up", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "", sessionId: "a" }])
      const outer = yield* Effect.scope
      let held: Scope.Closeable | undefined
      const accepting = Effect.gen(function*() {
        held = undefined
        const scope = yield* Scope.fork(outer)
        yield* Effect.map(Scope.provide(ServiceBusSession.acceptNext(Carts), scope), (session) => {
          assert.isTrue(Option.isSome(session))
          held = scope
        })
      })
      let given = 0
      for (const budget of [4, 11, 60]) {
        for (let step = 0; step < 80; step++) {
          const fiber = yield* Effect.forkChild(
            Effect.provideService(accepting, Scheduler.MaxOpsBeforeYield, budget),
            { startImmediately: true }
          )
          for (let i = 0; i < step && fiber.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          if (held !== undefined) {
            given++
            yield* Scope.close(held, Exit.void)
          }
          // Where it is neither held nor given up, no other gets it while the outer scope lasts.
          yield* passing(Effect.scoped(ServiceBusSession.accept(Carts, "a")))
        }
      }
    }))
})
