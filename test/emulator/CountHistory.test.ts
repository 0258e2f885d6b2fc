/** The last hour of entities: which samples there are, in how much memory, and that nothing is left of it. */
import { Clock, Effect, Result } from "effect"
import { Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as Timeout from "../../src/emulator/amqp/Timeout.ts"
import * as Broker from "../../src/emulator/broker/Broker.ts"
import * as DeadlineTimer from "../../src/emulator/broker/DeadlineTimer.ts"
import { CountHistory } from "../../src/emulator/CountHistory.ts"
import type { Namespace } from "../../src/emulator/Namespace.ts"
import { Taker } from "../support/broker.ts"
import { ask } from "../support/controlApi.ts"
import { assert, describe, it } from "../support/vitest.ts"

const messages = (count: number): ReadonlyArray<Broker.IncomingMessage> =>
  Array.from(
    { length: count },
    () => ({ payload: "x", messageId: undefined, sessionId: undefined, timeToLive: undefined })
  )

const historyOf = Effect.fnUntraced(function*(entities: ReadonlyArray<Broker.Entity>) {
  const clock = yield* Clock.Clock
  const broker = yield* Broker.make(entities)
  const deadlines = yield* DeadlineTimer.make(Timeout.fireAll)
  // Of a namespace it is the entities that matter.
  const history = new CountHistory({ namespaces: () => [{ broker } as Namespace], clock, deadlines })
  return { broker, history, deadlines }
})

describe("the last hour", () => {
  it.effect("has a sample every 15 seconds from the first message on, and 240 at most", () =>
    Effect.gen(function*() {
      const { broker, history } = yield* historyOf([{ name: "orders" }, { name: "idle" }])
      const orders = broker.queue("orders")!
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(history.of(orders), [])
      orders.send(messages(3))
      yield* TestClock.adjust("15 seconds")
      orders.send(messages(2))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(
        history.of(orders).map(({ active, at, received }) => [at, active, received]),
        [[75_000, 3, 3], [90_000, 5, 2], [105_000, 5, 0]]
      )
      assert.strictEqual(history.size, 1)
      yield* TestClock.adjust("2 hours")
      const all = history.of(orders)
      assert.strictEqual(all.length, 240)
      assert.deepStrictEqual([all[0]!.at, all.at(-1)!.at], [7_305_000 - 239 * 15_000, 7_305_000])
    }).pipe(Effect.scoped))

  it.effect("follows 2,000 entities at most, and forgets those that are gone or empty for an hour", () =>
    Effect.gen(function*() {
      const { broker, history } = yield* historyOf(Array.from({ length: 2100 }, (_, index) => ({ name: `q${index}` })))
      for (const queue of broker.queues()) queue.send(messages(1))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(history.size, 2000)
      broker.delete("q0")
      yield* TestClock.adjust("15 seconds")
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(history.size, 2000)
      broker.resetAll()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(history.size, 0)
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(history.size, 0)
    }).pipe(Effect.scoped))

  it.effect("has room for a busy entity once 2,000 others were idle for an hour, and for those when they are used again", () =>
    Effect.gen(function*() {
      const { broker, history } = yield* historyOf(Array.from({ length: 2001 }, (_, index) => ({ name: `q${index}` })))
      const use = (queue: Broker.Queue) => {
        queue.send(messages(1))
        assert.deepStrictEqual(queue.dispose(queue.messages()[0]!.sequenceNumber, Settlement.complete), Result.void)
      }
      const [first, ...others] = broker.queues()
      const late = others.pop()!
      use(first!)
      for (const queue of others) use(queue)
      yield* TestClock.adjust("15 seconds")
      use(late)
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(history.of(late), [])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(history.size, 0)
      use(late)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(history.size, 1)
      assert.deepStrictEqual(history.of(late).map(({ received }) => received), [1, 0])
      use(first!)
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(history.of(first!).map(({ received }) => received), [1])
      // What it counted before it was reset does not hide what comes after.
      yield* TestClock.adjust("1 hour")
      broker.reset("q0")
      use(first!)
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(history.of(first!).map(({ received }) => received), [1])
    }).pipe(Effect.scoped))

  it.effect("stays with an entity that holds what is scheduled, and nothing else", () =>
    Effect.gen(function*() {
      const { broker, history } = yield* historyOf([{ name: "orders" }])
      const orders = broker.queue("orders")!
      const [message] = messages(1)
      orders.send([{ ...message!, enqueueAt: 3 * 3_600_000 }])
      for (let i = 1; i <= 300; i++) {
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(history.of(orders).length, Math.min(i, 240))
      }
    }).pipe(Effect.scoped))

  it.effect("has what its receivers are done with, whether they complete or delete it", () =>
    Effect.gen(function*() {
      const { broker, history } = yield* historyOf([{ name: "orders" }])
      const orders = broker.queue("orders")!
      orders.send(messages(5))
      assert.lengthOf(new Taker(orders, 3, "receiveAndDelete").deliveries, 3)
      const [completed] = new Taker(orders, 1).deliveries
      orders.settle(completed!.lockToken, Settlement.complete)
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(history.of(orders).map(({ active, completed }) => [active, completed]), [[1, 4]])
    }).pipe(Effect.scoped))

  it.effect("ends with its timer", () =>
    Effect.gen(function*() {
      const { deadlines } = yield* Effect.scoped(historyOf([{ name: "orders" }]))
      assert.strictEqual(deadlines.size(), 0)
    }))

  it.live("is kept by a broker that listens, and by no broker in memory", () =>
    Effect.gen(function*() {
      const asked = ask("GET", "/samples?entity=orders")
      const layer = Emulator.layerServer({ entities: [Emulator.entity("orders")] })
      const listening = yield* Effect.provide(asked, layer)
      assert.deepInclude(listening.json, { interval: 15_000, isKept: true, samples: [] })
      const inMemory = yield* Effect.provide(asked, Emulator.layer({ entities: [Emulator.entity("orders")] }))
      assert.deepInclude(inMemory.json, { isKept: false, samples: [] })
    }))
})
