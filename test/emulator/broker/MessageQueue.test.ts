/** A queue by itself: what is sent, delivered, locked, settled, dead-lettered and over. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { message, messages, ok, queueOf, refused, stored, Taker } from "../../support/broker.ts"
import { assert, describe, it } from "../../support/vitest.ts"

describe("MessageQueue", () => {
  describe("send", () => {
    it.effect("numbers from 1 without gaps and keeps order", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        yield* TestClock.adjust(5)
        assert.deepStrictEqual(ok(queue.send(messages("a", "b"))), [1n, 2n])
        assert.deepStrictEqual(ok(queue.send([])), [])
        assert.deepStrictEqual(ok(queue.send(messages("c"))), [3n])
        const taker = new Taker(queue, 10)
        assert.deepStrictEqual(taker.ids, ["a", "b", "c"])
        assert.strictEqual(taker.arrays.length, 1)
        const { message: first, lockedUntil } = taker.deliveries[0]!
        assert.strictEqual(first.enqueuedAt, 5)
        assert.strictEqual(first.deliveryCount, 0)
        assert.strictEqual(first.state, "active")
        assert.isUndefined(first.expiresAt)
        assert.strictEqual(lockedUntil, 60_005)
      }))

    it.effect("is atomic on a full queue, which its dead letters fill too", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ maxSize: 10 })
        ok(queue.send([message("a", { bytes: 6 })]))
        const refusal = refused(
          queue.send([message("b", { bytes: 2 }), message("c", { bytes: 3 })]),
          "QuotaExceeded"
        )
        assert.strictEqual(refusal.entity, "orders")
        assert.deepStrictEqual(stored(queue), ["a"])
        assert.deepStrictEqual(ok(queue.send([message("b", { bytes: 4 })])), [2n])
        const taker = new Taker(queue, 1)
        ok(queue.settle(taker.last.lockToken, Settlement.deadLetter()))
        refused(queue.send(messages("c")), "QuotaExceeded")
        const dead = new Taker(queue.deadLetterQueue!, 1)
        ok(queue.deadLetterQueue!.settle(dead.last.lockToken, Settlement.complete))
        ok(queue.send([message("c", { bytes: 6 })]))
      }))

    it.effect("refuses a message that is too large, and with it the others", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ maxMessageSize: 4 })
        refused(queue.send([message("a"), message("b", { bytes: 5 })]), "MessageTooLarge")
        assert.deepStrictEqual(stored(queue), [])
        assert.strictEqual(queue.counters.enqueued, 0)
      }))
  })

  describe("consumers", () => {
    it.effect("take turns", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const [a, b, c] = [new Taker(queue, 10), new Taker(queue, 1), new Taker(queue)]
        ok(queue.send(messages("1", "2", "3", "4")))
        assert.deepStrictEqual(a.ids, ["1", "3", "4"])
        assert.deepStrictEqual(b.ids, ["2"])
        assert.deepStrictEqual(c.ids, [])
        assert.strictEqual(a.arrays.length, 1)
        b.grant(10)
        c.grant(10)
        for (const id of ["5", "6", "7", "8"]) ok(queue.send(messages(id)))
        assert.deepStrictEqual([a.ids.slice(3), b.ids.slice(1), c.ids], [["5", "8"], ["6"], ["7"]])
      }))

    it.effect("get no more than their credit", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send(messages("1", "2", "3")))
        const taker = new Taker(queue, 2)
        assert.deepStrictEqual(taker.ids, ["1", "2"])
        taker.attachment.wake()
        assert.deepStrictEqual(taker.ids, ["1", "2"])
        taker.grant(1)
        assert.deepStrictEqual(taker.ids, ["1", "2", "3"])
      }))

    it.effect("receive nothing before attach has returned", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send(messages("1")))
        let got = 0
        const attachment = queue.attach({
          mode: "peekLock",
          credit: () => 1 - got,
          deliver: (all) => got += all.length
        })
        assert.strictEqual(got, 0)
        attachment.wake()
        assert.strictEqual(got, 1)
      }))

    it.effect("that detach keep their locks until these expire", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const [a, b] = [new Taker(queue, 2), new Taker(queue, 2)]
        ok(queue.send(messages("1")))
        a.attachment.detach()
        a.attachment.wake()
        ok(queue.send(messages("2", "3")))
        assert.deepStrictEqual([a.ids, b.ids], [["1"], ["2", "3"]])
        ok(queue.settle(a.last.lockToken, Settlement.complete))
        assert.deepStrictEqual(stored(queue), ["2", "3"])
      }))

    it.effect("in receive-and-delete mode remove what they take", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ maxSize: 2 })
        ok(queue.send(messages("1", "2")))
        const taker = new Taker(queue, 1, "receiveAndDelete")
        assert.deepStrictEqual(taker.ids, ["1"])
        assert.deepStrictEqual(stored(queue), ["2"])
        refused(queue.settle(taker.last.lockToken, Settlement.complete), "LockLost")
        ok(queue.send(messages("3")))
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(stored(queue), ["2", "3"])
        assert.strictEqual(queue.counters.delivered, 1)
        assert.strictEqual(queue.counters.lockExpired, 0)
      }))

    it.effect("that throw are detached; the others get their messages", () =>
      Effect.gen(function*() {
        const logged: Array<unknown> = []
        const queue = yield* queueOf().pipe(
          Effect.provide(Logger.layer([Logger.make((entry) => logged.push(entry.message))]))
        )
        const [a, b] = [new Taker(queue, 5), new Taker(queue, 5)]
        a.onDeliver = () => {
          throw new Error("no")
        }
        ok(queue.send(messages("1", "2", "3")))
        assert.deepStrictEqual([a.ids, b.ids], [["1", "3"], ["2"]])
        ok(queue.send(messages("4")))
        assert.deepStrictEqual(b.ids, ["2", "4"])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(b.ids.slice(2), ["1", "2", "3"])
        assert.strictEqual(logged.length, 1)
      }))
  })

  describe("locks", () => {
    it.effect("end at the millisecond", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ lockDuration: "30 seconds" })
        const taker = new Taker(queue, 3)
        yield* TestClock.adjust(100)
        ok(queue.send(messages("1")))
        const first = taker.last
        assert.strictEqual(first.lockedUntil, 30_100)
        yield* TestClock.adjust(29_999)
        assert.strictEqual(taker.deliveries.length, 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(taker.ids, ["1", "1"])
        assert.strictEqual(taker.last.message.deliveryCount, 1)
        assert.strictEqual(first.message.deliveryCount, 0)
        assert.notStrictEqual(taker.last.lockToken, first.lockToken)
        refused(queue.settle(first.lockToken, Settlement.complete), "LockLost")
        refused(queue.release(first.lockToken), "LockLost")
        refused(queue.renew([first.lockToken]), "LockLost")
        ok(queue.settle(taker.last.lockToken, Settlement.complete))
        refused(queue.settle(taker.last.lockToken, Settlement.complete), "LockLost")
        assert.strictEqual(queue.counters.lockExpired, 1)
        assert.strictEqual(queue.counters.redelivered, 1)
      }))

    it.effect("are good until then", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const taker = new Taker(queue, 3)
        ok(queue.send(messages("1")))
        yield* TestClock.adjust(59_999)
        ok(queue.settle(taker.last.lockToken, Settlement.complete))
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(taker.deliveries.length, 1)
      }))

    it.effect("that end together come back in order", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const ids = Array.from({ length: 50 }, (_, i) => `${i}`)
        ok(queue.send(messages(...ids)))
        const taker = new Taker(queue, 100)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(taker.ids, [...ids, ...ids])
      }))

    it.effect("are renewed, all or none", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send(messages("1", "2")))
        const taker = new Taker(queue, 5)
        const [a, b] = taker.deliveries.map((delivery) => delivery.lockToken) as [string, string]
        yield* TestClock.adjust("40 seconds")
        refused(queue.renew([a, "unknown"]), "LockLost")
        assert.deepStrictEqual(ok(queue.renew([b])), [100_000])
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(taker.ids, ["1", "2", "1"])
        yield* TestClock.adjust(39_999)
        assert.strictEqual(taker.deliveries.length, 3)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(taker.ids, ["1", "2", "1", "2"])
        assert.strictEqual(queue.counters.renewed, 1)
      }))

    it.effect("can be renewed ten thousand times", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send(messages("1")))
        const taker = new Taker(queue, 5)
        for (let i = 0; i < 10_000; i++) ok(queue.renew([taker.last.lockToken]))
        yield* TestClock.adjust("30 seconds")
        ok(queue.renew([taker.last.lockToken]))
        yield* TestClock.adjust("59 seconds")
        ok(queue.settle(taker.last.lockToken, Settlement.complete))
      }))
  })

  describe("settlements", () => {
    it.effect("abandon puts a message back in its place", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send(messages("1", "2", "3", "4", "5")))
        const taker = new Taker(queue, 4)
        for (const index of [2, 0, 1]) {
          ok(queue.settle(taker.deliveries[index]!.lockToken, Settlement.abandon({ properties: { index } })))
        }
        taker.grant(10)
        assert.deepStrictEqual(taker.ids.slice(4), ["1", "2", "3", "5"])
        const back = taker.deliveries.slice(4).map((delivery) => delivery.message)
        assert.deepStrictEqual(back.map((each) => each.deliveryCount), [1, 1, 1, 0])
        assert.deepStrictEqual(back.map((each) => each.properties.get("index")), [0, 1, 2, undefined])
        assert.strictEqual(queue.counters.abandoned, 3)
      }))

    // AMQP 1.0 section 3.4.4; azure-sdk-for-net #27163: clients give back by themselves what no caller has seen.
    it.effect("release is no failed delivery, however often", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ maxDeliveryCount: 2 })
        ok(queue.send(messages("1", "2")))
        const taker = new Taker(queue, 1)
        for (let i = 0; i < 30; i++) {
          assert.strictEqual(taker.last.message.deliveryCount, 0)
          ok(queue.release(taker.last.lockToken))
          taker.grant(1)
        }
        assert.deepStrictEqual(taker.ids, Array(31).fill("1"), "in its place")
        assert.deepInclude(queue.counters, { released: 30, delivered: 31, redelivered: 30, deadLettered: 0 })
        ok(queue.settle(taker.last.lockToken, Settlement.abandon()))
        taker.grant(1)
        assert.strictEqual(taker.last.message.deliveryCount, 1)
        ok(queue.release(taker.last.lockToken))
        taker.grant(1)
        assert.strictEqual(taker.last.message.deliveryCount, 1)
      }))

    it.effect("defer sets a message aside, without end", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ defaultTimeToLive: "2 minutes" })
        ok(queue.send(messages("1", "2")))
        const taker = new Taker(queue, 1)
        ok(queue.settle(taker.last.lockToken, Settlement.defer({ properties: { why: "later" } })))
        yield* TestClock.adjust("1 hour")
        taker.grant(5)
        assert.deepStrictEqual(taker.ids, ["1"])
        const [deferred, ...rest] = queue.messages()
        assert.deepStrictEqual(rest, [])
        assert.strictEqual(deferred!.state, "deferred")
        assert.strictEqual(deferred!.deliveryCount, 1, "it was a delivery (azure-service-bus #375)")
        assert.strictEqual(deferred!.properties.get("why"), "later")
        assert.strictEqual(queue.counters.deferred, 1)
      }))

    it.effect("dead-letter moves a message with its reason", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        yield* TestClock.adjust(7)
        ok(queue.send(messages("1", "2")))
        const taker = new Taker(queue, 1)
        ok(queue.settle(taker.last.lockToken, Settlement.abandon({ properties: { seen: true } })))
        taker.grant(1)
        const settlement = Settlement.deadLetter({ reason: "Bad", description: "Very bad.", properties: { code: 3 } })
        ok(queue.settle(taker.last.lockToken, settlement))
        assert.deepStrictEqual(stored(queue), ["2"])
        const [dead] = queue.deadLetterQueue!.messages()
        assert.strictEqual(dead!.sequenceNumber, 1n)
        assert.strictEqual(dead!.enqueuedAt, 7)
        assert.strictEqual(dead!.deliveryCount, 1)
        assert.deepStrictEqual(Object.fromEntries(dead!.properties), {
          seen: true,
          code: 3,
          DeadLetterReason: "Bad",
          DeadLetterErrorDescription: "Very bad."
        })
        assert.strictEqual(queue.counters.deadLettered, 1)
      }))

    it.effect("that have no meaning are refused and keep the lock", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send(messages("1")))
        const taker = new Taker(queue, 1)
        refused(queue.settle(taker.last.lockToken, Settlement.retryAfter("1 minute")), "NotAllowed")
        refused(queue.settle("unknown", Settlement.complete), "LockLost")
        ok(queue.settle(taker.last.lockToken, Settlement.complete))
      }))
  })

  describe("dead letters", () => {
    for (const way of ["abandon", "defer", "lock expiry"]) {
      it.effect(`come of too many deliveries: ${way}`, () =>
        Effect.gen(function*() {
          const queue = yield* queueOf({ maxDeliveryCount: 3 })
          const dead = new Taker(queue.deadLetterQueue!, 1)
          ok(queue.send(messages("1")))
          const taker = new Taker(queue, 10)
          for (let i = 0; i < 3; i++) {
            assert.strictEqual(taker.deliveries.length, i + 1)
            assert.strictEqual(taker.last.message.deliveryCount, i)
            if (way === "abandon") ok(queue.settle(taker.last.lockToken, Settlement.abandon()))
            else if (way === "lock expiry") yield* TestClock.adjust("1 minute")
            else {
              ok(queue.settle(taker.last.lockToken, Settlement.defer()))
              const again = queue.receiveDeferred([1n], "peekLock")
              if (Result.isSuccess(again)) taker.deliver(again.success)
            }
          }
          assert.strictEqual(taker.deliveries.length, 3)
          assert.deepStrictEqual(dead.ids, ["1"])
          assert.strictEqual(dead.last.message.deliveryCount, 3)
          assert.deepStrictEqual(Object.fromEntries(dead.last.message.properties), {
            DeadLetterReason: "MaxDeliveryCountExceeded",
            DeadLetterErrorDescription: "Message could not be consumed after 3 delivery attempts."
          })
          ok(queue.deadLetterQueue!.settle(dead.last.lockToken, Settlement.complete))
          assert.deepStrictEqual(stored(queue.deadLetterQueue!), [])
        }))
    }

    it.effect("stay whatever happens to them", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ maxDeliveryCount: 1, defaultTimeToLive: "2 minutes" })
        const dead = queue.deadLetterQueue!
        ok(queue.send(messages("1", "2")))
        const taker = new Taker(queue, 2)
        // In the reverse order: the dead-letter queue is ordered by sequence number as well.
        for (const { lockToken } of taker.deliveries.toReversed()) ok(queue.settle(lockToken, Settlement.abandon()))
        refused(dead.send(messages("3")), "NotAllowed")
        yield* TestClock.adjust("1 hour")
        const reader = new Taker(dead, 1)
        assert.deepStrictEqual(reader.ids, ["1"])
        refused(dead.settle(reader.last.lockToken, Settlement.deadLetter()), "NotAllowed")
        ok(dead.settle(reader.last.lockToken, Settlement.abandon()))
        reader.grant(1)
        assert.deepStrictEqual(reader.ids, ["1", "1"])
        yield* TestClock.adjust("1 minute")
        reader.grant(1)
        assert.deepStrictEqual(reader.ids, ["1", "1", "1"])
        ok(dead.release(reader.last.lockToken))
        reader.grant(1)
        ok(dead.settle(reader.last.lockToken, Settlement.defer()))
        ok(dead.receiveDeferred([1n], "peekLock"))
        yield* TestClock.adjust("1 minute")
        // azure-sdk-for-net #53437: it is what it was when the message came, whatever is done with it here.
        assert.deepStrictEqual(dead.messages().map(({ deliveryCount }) => deliveryCount), [1, 1])
        assert.isUndefined(reader.last.message.expiresAt)
        assert.deepStrictEqual(stored(dead), ["1", "2"])
      }))
  })

  describe("time to live", () => {
    it.effect("is the smaller of the message's and the queue's, and drops", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ defaultTimeToLive: "1 minute" })
        ok(queue.send([message("1", { ttl: 10_000 }), message("2", { ttl: 90_000 }), message("3")]))
        assert.deepStrictEqual(queue.messages().map((each) => each.timeToLive), [10_000, 60_000, 60_000])
        assert.deepStrictEqual(queue.messages().map((each) => each.expiresAt), [10_000, 60_000, 60_000])
        yield* TestClock.adjust(9_999)
        assert.deepStrictEqual(stored(queue), ["1", "2", "3"])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(stored(queue), ["2", "3"])
        yield* TestClock.adjust(50_000)
        assert.deepStrictEqual(stored(queue), [])
        assert.deepStrictEqual(new Taker(queue, 5).ids, [])
        assert.deepStrictEqual(stored(queue.deadLetterQueue!), [])
        assert.strictEqual(queue.counters.expired, 3)
      }))

    it.effect("dead-letters where the queue says so", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ deadLetteringOnExpiration: true })
        const dead = new Taker(queue.deadLetterQueue!, 5)
        ok(queue.send([message("1", { ttl: 10_000 }), message("2")]))
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(dead.ids, ["1"])
        assert.deepStrictEqual(Object.fromEntries(dead.last.message.properties), {
          DeadLetterReason: "TTLExpiredException",
          DeadLetterErrorDescription: "The message expired and was dead lettered."
        })
        assert.deepStrictEqual(stored(queue), ["2"])
      }))

    it.effect("waits for the end of a lock", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const taker = new Taker(queue, 10)
        ok(queue.send([message("1", { ttl: 10_000 }), message("2", { ttl: 10_000 }), message("3", { ttl: 10_000 })]))
        yield* TestClock.adjust(20_000)
        const [a, b] = taker.deliveries.map((delivery) => delivery.lockToken) as [string, string]
        assert.deepStrictEqual(stored(queue), ["1", "2", "3"])
        ok(queue.settle(a, Settlement.complete))
        ok(queue.settle(b, Settlement.abandon()))
        assert.deepStrictEqual(stored(queue), ["3"])
        assert.strictEqual(queue.counters.expired, 1)
        yield* TestClock.adjust(40_000)
        assert.deepStrictEqual(stored(queue), [])
        assert.strictEqual(queue.counters.expired, 2)
        assert.strictEqual(queue.counters.lockExpired, 1)
        assert.strictEqual(taker.deliveries.length, 3)
      }))

    it.effect("goes on after a lock that ended before", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send([message("1", { ttl: 70_000 })]))
        const taker = new Taker(queue, 1)
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual(stored(queue), ["1"])
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(stored(queue), [])
        assert.deepStrictEqual(taker.ids, ["1"])
      }))

    it.effect("of zero is never delivered", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf({ deadLetteringOnExpiration: true })
        const taker = new Taker(queue, 5)
        ok(queue.send([message("1", { ttl: 0 }), message("2", { ttl: Infinity }), message("3", { ttl: NaN })]))
        assert.deepStrictEqual(taker.ids, ["2", "3"])
        assert.deepStrictEqual(stored(queue.deadLetterQueue!), ["1"])
      }))

    it.effect("is looked at when a message is taken, not only by the timer", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        ok(queue.send([message("1", { ttl: 10_000 }), message("2")]))
        const taker = new Taker(queue)
        // This sleeper is older than the timer's and so wakes before it, at the same time.
        yield* Effect.sleep(5_000).pipe(
          Effect.andThen(Effect.sync(() => ok(queue.send([message("3", { ttl: 5_000 })])))),
          Effect.forkChild({ startImmediately: true })
        )
        const early = yield* Effect.sleep(10_000).pipe(
          Effect.andThen(Effect.sync(() => {
            taker.grant(5)
            return taker.ids
          })),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(yield* Fiber.join(early), ["2"])
      }))
  })

  describe("re-entrancy", () => {
    it.effect("a consumer may settle, send and wake while it is delivered to", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const taker = new Taker(queue)
        let depth = 0
        taker.onDeliver = (deliveries) => {
          depth += 1
          assert.strictEqual(depth, 1)
          for (const { lockToken, message: { messageId, deliveryCount } } of deliveries) {
            if (messageId === "1" && deliveryCount === 0) {
              ok(queue.settle(lockToken, Settlement.abandon()))
            } else {
              ok(queue.settle(lockToken, Settlement.complete))
            }
          }
          if (taker.arrays.length < 5) ok(queue.send(messages(`new ${taker.arrays.length}`)))
          taker.grant(deliveries.length)
          depth -= 1
        }
        ok(queue.send(messages("1", "2", "3")))
        taker.grant(2)
        assert.deepStrictEqual(taker.ids, ["1", "2", "1", "3", "new 1", "new 2", "new 3", "new 4"])
        assert.deepStrictEqual(stored(queue), [])
      }))

    it.effect("a consumer may detach itself or another", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        const [a, b, c] = [new Taker(queue, 1), new Taker(queue, 1, "receiveAndDelete"), new Taker(queue, 2)]
        a.onDeliver = () => {
          a.attachment.detach()
          b.attachment.detach()
        }
        ok(queue.send(messages("1", "2", "3")))
        assert.deepStrictEqual([a.ids, b.ids, c.ids], [["1"], [], ["3", "2"]])
        assert.strictEqual(c.last.message.deliveryCount, 0)
        assert.strictEqual(queue.counters.delivered, 3)
      }))

    for (const mode of ["peekLock", "receiveAndDelete"] as const) {
      /** What the first of two consumers does when it gets its message, while that of the other is under way. */
      const meanwhile = Effect.fnUntraced(function*(act: (broker: Broker.Broker, taker: Taker) => unknown) {
        const broker = yield* Broker.make([{ name: "a" }, { name: "b" }])
        const queue = broker.queue("a")!
        const [one, other] = [new Taker(queue, 1, mode), new Taker(queue, 1, mode)]
        broker.onDetach(() => other.attachment.detach())
        one.onDeliver = () => void act(broker, other)
        ok(queue.send(messages("1", "2")))
        assert.deepStrictEqual(one.ids, ["1"])
        return { broker, queue, one, other }
      })
      const left = mode === "peekLock" ? ["1", "2"] : ["2"]

      it.effect(`${mode}: what is under way to another consumer goes on where its queue forwards by then`, () =>
        Effect.gen(function*() {
          const { broker, other, queue } = yield* meanwhile((broker) => broker.update("a", { forwardTo: "b" }))
          assert.deepStrictEqual([other.ids, stored(broker.queue("b")!)], [[], ["2"]])
          assert.deepInclude(queue.runtime(), { activeMessageCount: left.length - 1, sizeInBytes: left.length - 1 })
        }))

      it.effect(`${mode}: what is under way to another consumer stays where its queue gives nothing by then`, () =>
        Effect.gen(function*() {
          const { broker, other, queue } = yield* meanwhile((broker, other) => {
            broker.onDetach(() => {})
            broker.update("a", { status: "ReceiveDisabled" })
            assert.deepStrictEqual(other.ids, [])
          })
          assert.deepStrictEqual([other.ids, stored(queue)], [[], left])
          broker.update("a", { status: "Active" })
          assert.deepStrictEqual(other.ids, ["2"])
          assert.strictEqual(other.last.message.deliveryCount, 0)
        }))

      it.effect(`${mode}: what is under way to another consumer is gone with its queue, and is counted once`, () =>
        Effect.gen(function*() {
          const { other, queue } = yield* meanwhile((broker) => {
            broker.onDetach(() => {})
            broker.delete("a")
          })
          assert.deepStrictEqual(other.ids, [])
          assert.deepInclude(queue.runtime(), { activeMessageCount: 0, sizeInBytes: 0 })
          assert.deepInclude(queue.counters, { delivered: 1, deleted: left.length })
        }))
    }

    it.effect("an endless settler ends when its credit does not", () =>
      Effect.gen(function*() {
        const queue = yield* queueOf()
        let count = 0
        const attachment = queue.attach({
          mode: "peekLock",
          credit: () => 1,
          deliver: (deliveries) => {
            count += deliveries.length
            for (const { lockToken } of deliveries) ok(queue.settle(lockToken, Settlement.complete))
          }
        })
        attachment.wake()
        ok(queue.send(Array.from({ length: 20_000 }, (_, i) => message(`${i}`))))
        assert.strictEqual(count, 20_000)
      }))
  })

  it.effect("handles 100,000 messages", () =>
    Effect.gen(function*() {
      const queue = yield* queueOf({ defaultTimeToLive: "1 hour" })
      const all = Array.from({ length: 100_000 }, (_, i) => message(`${i}`))
      assert.strictEqual(ok(queue.send(all)).length, 100_000)
      const taker = new Taker(queue)
      for (let i = 0; i < 100; i++) taker.grant(1_000)
      // Every other message goes back, the last first; none of the queue's work may depend on how many there are.
      for (const { lockToken, message: { sequenceNumber } } of taker.deliveries.toReversed()) {
        ok(queue.settle(lockToken, sequenceNumber % 2n === 0n ? Settlement.complete : Settlement.abandon()))
      }
      assert.strictEqual(queue.counters.completed, 50_000)
      taker.onDeliver = (deliveries) => {
        for (const { lockToken } of deliveries) ok(queue.settle(lockToken, Settlement.complete))
      }
      for (let i = 0; i < 500; i++) taker.grant(100)
      const again = taker.deliveries.slice(100_000).map((delivery) => delivery.message.sequenceNumber)
      assert.isTrue(again.every((sequenceNumber, i) => sequenceNumber === BigInt(2 * i + 1)))
      assert.strictEqual(queue.counters.completed, 100_000)
      ok(queue.send(all))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(queue.messages(), [])
    }))
})
