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

describe("messages that are purged", () => {
  it.effect("are so many of a state between two numbers, and none that is locked", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf()
      queue.send(messages(...Array.from({ length: 8 }, () => undefined)))
      const [scheduled] = messages(undefined)
      queue.send([{ ...scheduled!, enqueueAt: 60_000 }])
      const [first] = take(queue, 1)
      queue.dispose(4n, Settlement.defer())
      const all = { from: 0n, to: 100n, count: 100 }
      assert.deepStrictEqual(queue.purge({ ...all, state: "locked" }), { messages: 0, next: undefined })
      assert.deepStrictEqual(queue.purge({ ...all, count: 2, state: "active" }), { messages: 2, next: 5n })
      assert.deepStrictEqual(numbersOf(queue.browse({ count: 10 })), [1, 4, 5, 6, 7, 8, 9])
      assert.deepStrictEqual(queue.purge({ from: 5n, to: 6n, count: 2 }), { messages: 2, next: undefined })
      assert.deepStrictEqual(queue.purge({ ...all, state: "deferred" }), { messages: 1, next: undefined })
      assert.deepStrictEqual(queue.purge({ ...all, state: "scheduled" }), { messages: 1, next: undefined })
      assert.deepStrictEqual(numbersOf(queue.browse({ count: 10 })), [1, 7, 8])
      assert.deepStrictEqual(queue.purge(all), { messages: 2, next: undefined })
      assert.strictEqual(queue.counters.deleted, 8)
      assert.strictEqual(queue.runtime().sizeInBytes, 1)
      assert.deepStrictEqual(queue.settle(first!.lockToken, Settlement.complete), Result.void)
    }).pipe(Effect.scoped))

  it.effect("are not read", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf({ requiresSession: true })
      let reads = 0
      queue.send(
        Array.from({ length: 3 }, (_, index) => ({
          get payload() {
            reads += 1
            return "x"
          },
          messageId: undefined,
          sessionId: `s${index}`,
          timeToLive: undefined,
          size: 1
        }))
      )
      const before = reads
      assert.deepStrictEqual(queue.purge({ from: 0n, to: 100n, count: 100 }), { messages: 3, next: undefined })
      assert.strictEqual(reads, before)
      assert.strictEqual(queue.sessions!.look("s0").messages, 0)
    }).pipe(Effect.scoped))
})
