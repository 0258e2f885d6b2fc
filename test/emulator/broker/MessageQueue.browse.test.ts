/** Messages that are looked at and disposed of by whoever looks after a broker, while consumers are at work. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const messages = (...sessions: ReadonlyArray<string | undefined>): ReadonlyArray<Broker.IncomingMessage> =>
  sessions.map((sessionId) => ({ payload: "x", messageId: undefined, sessionId, timeToLive: undefined }))

const queueOf = Effect.fnUntraced(function*(options?: Broker.EntityOptions) {
  const broker = yield* Broker.make([{ name: "orders", options: { lockDuration: "30 seconds", ...options } }])
  return broker.queue("orders")!
})

/** Takes so many messages under locks, and keeps what it was given. */
const take = (queue: Broker.Queue, credit: number) => {
  const taken: Array<Broker.Delivery> = []
  const attachment = queue.attach({
    mode: "peekLock",
    credit: () => credit - taken.length,
    deliver: (deliveries) => taken.push(...deliveries)
  })
  attachment.wake()
  return taken
}

const numbersOf = (found: ReadonlyArray<{ readonly sequenceNumber: bigint }>) =>
  found.map(({ sequenceNumber }) => Number(sequenceNumber))

const refusalOf = (result: Result.Result<void, Broker.Refusal>) =>
  Result.match(result, { onSuccess: () => "done", onFailure: ({ _tag }) => _tag })

describe("a message that is looked at", () => {
  it.effect("says until when it is locked, and is no use of its queue", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf()
      queue.send(messages(undefined, undefined))
      const { accessedAt } = queue.runtime()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(numbersOf(queue.browse({ count: 10, state: "locked" })), [])
      assert.strictEqual(queue.runtime().accessedAt, accessedAt)
      take(queue, 1)
      const [first, second] = queue.browse({ count: 10 })
      assert.deepStrictEqual([first?.lockedUntil, second?.lockedUntil], [90_000, undefined])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(numbersOf(queue.browse({ count: 10, state: "active" })), [1, 2])
    }).pipe(Effect.scoped))

  it.effect("of a session has no end of its own", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf({ requiresSession: true })
      queue.send(messages("s"))
      queue.sessions!.accept("s", {
        owner: {},
        granted: (held) => {
          const attachment = held.attach({ mode: "peekLock", credit: () => 1, deliver: () => {} })
          attachment.wake()
        },
        lost: () => {}
      })
      assert.deepStrictEqual(queue.browse({ count: 1 })[0]?.lockedUntil, Infinity)
      assert.deepInclude(queue.sessions!.look("s"), { messages: 1, lockedUntil: 30_000 })
      assert.strictEqual(refusalOf(queue.dispose(1n, Settlement.complete)), "NotAllowed")
    }).pipe(Effect.scoped))
})

describe("a message that is disposed of", () => {
  it.effect("is given to nobody any more, and its place is another's", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf()
      queue.send(messages(undefined, undefined, undefined))
      assert.strictEqual(refusalOf(queue.dispose(1n, Settlement.complete)), "done")
      assert.strictEqual(refusalOf(queue.dispose(2n, Settlement.defer())), "done")
      assert.deepStrictEqual(numbersOf(take(queue, 3).map(({ message }) => message)), [3])
      assert.deepStrictEqual(queue.runtime().activeMessageCount, 2)
      assert.deepInclude(queue.counters, { deleted: 1, deferred: 1, completed: 0 })
      assert.isTrue(Result.isSuccess(queue.receiveDeferred([2n], "peekLock")))
    }).pipe(Effect.scoped))

  it.effect("has left no deadline: its life does not end a second time", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf({ defaultTimeToLive: "1 minute", deadLetteringOnExpiration: true })
      queue.send(messages(undefined, undefined))
      queue.dispose(1n, Settlement.complete)
      queue.dispose(2n, Settlement.deadLetter({ reason: "mine" }))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(queue.counters.expired, 0)
      assert.deepStrictEqual(numbersOf(queue.deadLetterQueue!.browse({ count: 10 })), [2])
      assert.strictEqual(queue.runtime().sizeInBytes, 1)
    }).pipe(Effect.scoped))

  it.effect("is refused for what is no disposal, where it is gone, and in a broker that is closed", () =>
    Effect.gen(function*() {
      const queue = yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* queueOf()
        queue.send(messages(undefined))
        assert.strictEqual(refusalOf(queue.dispose(1n, Settlement.abandon())), "NotAllowed")
        assert.strictEqual(refusalOf(queue.dispose(1n, Settlement.retryAfter("1 second"))), "NotAllowed")
        assert.strictEqual(refusalOf(queue.dispose(9n, Settlement.complete)), "MessageNotFound")
        assert.strictEqual(queue.runtime().activeMessageCount, 1)
        return queue
      }))
      assert.strictEqual(refusalOf(queue.dispose(1n, Settlement.complete)), "EntityNotFound")
    }))
})
