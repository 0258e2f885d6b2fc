/** Sessions of a queue by itself: who gets which, in which order, and what is kept of them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import type { HeldSession, SessionHolder, Sessions } from "../../../src/emulator/broker/Queue.ts"
import { SortedSet } from "../../../src/emulator/broker/SortedSet.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const queueOf = Effect.fnUntraced(function*(options?: Broker.EntityOptions) {
  const broker = yield* Broker.make([
    { name: "carts", options: { requiresSession: true, lockDuration: "30 seconds", maxDeliveryCount: 3, ...options } }
  ])
  const queue = broker.queue("carts")!
  return { queue, sessions: queue.sessions! }
})

const messageOf = (sessionId: string, messageId: string, ttl?: number): Broker.IncomingMessage => ({
  payload: new Uint8Array(1),
  messageId,
  sessionId,
  timeToLive: ttl
})

class Holder implements SessionHolder {
  readonly owner = this
  held: HeldSession | undefined
  losses = 0
  readonly taken: Array<Broker.Delivery> = []
  granted(session: HeldSession) {
    this.held = session
  }
  lost() {
    this.losses++
  }
  take(credit: number, mode: Broker.Consumer["mode"] = "peekLock") {
    let left = credit
    const attachment = this.held!.attach({
      mode,
      credit: () => left,
      deliver: (deliveries) => {
        left -= deliveries.length
        this.taken.push(...deliveries)
      }
    })
    attachment.wake()
    return attachment
  }
  get id() {
    return this.held?.id
  }
  get ids() {
    return this.taken.map(({ message }) => message.messageId)
  }
}

const accept = (sessions: Sessions, id?: string): Holder => {
  const holder = new Holder()
  assert.isTrue(Result.isSuccess(sessions.accept(id, holder)))
  return holder
}

/** How many sessions the table keeps. */
const kept = (sessions: Sessions): Record<string, number> =>
  Object.fromEntries(
    Object.entries(sessions as unknown as Record<string, unknown>).flatMap(([name, value]) => {
      const size = value instanceof Map || value instanceof SortedSet
        ? value.size
        : Array.isArray(value)
        ? value.length
        : 0
      return size === 0 ? [] : [[name, size]]
    })
  )

describe("The sessions of the broker", { timeout: 60_000 }, () => {
  it.effect("what waits is given sessions in the order of its coming, and the sessions in the order of theirs", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf()
      const first = accept(sessions)
      const second = accept(sessions)
      queue.send([messageOf("b", "1"), messageOf("a", "2"), messageOf("c", "3")])
      assert.deepStrictEqual([first.held?.id, second.held?.id], ["b", "a"])
      // A session that is given up goes after the others.
      first.held!.release()
      assert.strictEqual(accept(sessions).held?.id, "c")
      assert.strictEqual(accept(sessions).held?.id, "b")
    }).pipe(Effect.scoped))

  it.effect("who asks for a session while another one is granted gets the next one that is there", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf()
      const asking = new Holder()
      const next = new Holder()
      asking.granted = () => void sessions.accept(undefined, next)
      sessions.accept(undefined, asking)
      queue.send([messageOf("a", "1"), messageOf("b", "2")])
      assert.strictEqual(next.id, "b")
      assert.deepStrictEqual(kept(sessions), { sessions: 2, messages: 2, listed: 2 })
    }).pipe(Effect.scoped))

  it.effect("a session whose messages expire or are deleted while others wait is no session for them", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf({ deadLetteringOnExpiration: true })
      const holder = accept(sessions, "a")
      queue.send([messageOf("a", "1", 5_000), messageOf("a", "2", 6_000)])
      const waiting: Holder = accept(sessions)
      yield* TestClock.adjust("5 seconds")
      holder.take(1)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(holder.ids, ["2"])
      // What expired while it was locked does so when it comes back.
      holder.held!.release()
      assert.strictEqual(waiting.id, undefined)
      assert.lengthOf(queue.deadLetterQueue!.messages(), 2)
      queue.send([messageOf("b", "3")])
      assert.strictEqual(waiting.id, "b")
      const other = accept(sessions, "c")
      queue.send([messageOf("c", "4")])
      yield* TestClock.adjust(1)
      const late = accept(sessions)
      queue.deleteBefore(Number.MAX_SAFE_INTEGER, 10, "c")
      other.held!.release()
      assert.isUndefined(late.held)
      waiting.take(1)
      queue.settle(waiting.taken[0]!.lockToken, Settlement.complete)
      waiting.held!.release()
      assert.deepStrictEqual(kept(sessions), { waiting: 1 })
    }).pipe(Effect.scoped))

  it.effect("what is scheduled comes to who holds its session, or makes it one that is there", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf()
      const at = (id: string, enqueueAt: number) => ({ ...messageOf(id, id), enqueueAt })
      const holder = accept(sessions, "held")
      holder.take(5)
      const waiting = accept(sessions)
      queue.send([at("held", 10_000), at("free", 10_000)])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(holder.ids, ["held"])
      assert.strictEqual(waiting.held?.id, "free")
    }).pipe(Effect.scoped))

  it.effect("a lock that ends is a failed delivery of all that was out, deferred messages too, and their tokens are dead", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf()
      queue.send([messageOf("a", "1"), messageOf("a", "2"), messageOf("a", "3")])
      for (let i = 0; i < 3; i++) {
        const holder = accept(sessions, "a")
        holder.take(2)
        const [one, two] = holder.taken
        if (i === 0) {
          queue.settle(one!.lockToken, Settlement.defer())
          queue.receiveDeferred([1n], "peekLock", "a")
        } else if (i === 1) {
          queue.receiveDeferred([1n], "peekLock", "a")
        } else {
          assert.deepStrictEqual(holder.ids, ["2", "3"])
        }
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(holder.losses, 1)
        assert.isTrue(Result.isFailure(queue.settle(two!.lockToken, Settlement.complete)))
        assert.isTrue(Result.isFailure(sessions.renew("a", holder)))
        assert.isTrue(Result.isFailure(sessions.setState("a", holder, new Uint8Array(1))))
      }
      assert.deepStrictEqual(
        queue.messages().map(({ deliveryCount, messageId, state }) => [messageId, state, deliveryCount]),
        [["3", "active", 2]]
      )
      // The first was deferred once and lost twice.
      const dead = queue.deadLetterQueue!.messages()
      assert.deepStrictEqual(
        dead.map(({ deliveryCount, messageId }) => [messageId, deliveryCount]),
        [["1", 3], ["2", 3]]
      )
    }).pipe(Effect.scoped))

  it.effect("after the end of a session nothing goes to those who were attached to it", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf()
      const first = accept(sessions, "a")
      const attachment = first.take(5)
      // The session stays there between the two.
      sessions.setState("a", first, new Uint8Array(1))
      first.held!.release()
      const second = accept(sessions, "a")
      second.take(5)
      attachment.wake()
      first.take(5)
      queue.send([messageOf("a", "1"), messageOf("a", "2")])
      assert.deepStrictEqual([first.ids, second.ids], [[], ["1", "2"]])
      first.held!.release()
      assert.isTrue(Result.isSuccess(sessions.isHeld("a", second)))
    }).pipe(Effect.scoped))

  it.effect("a timer that comes late gives no holder a lock of its own", () =>
    Effect.gen(function*() {
      const time = yield* Clock.Clock
      let late = 0
      const clock: Clock.Clock = Object.assign(Object.create(time), {
        currentTimeMillisUnsafe: () => time.currentTimeMillisUnsafe() + late
      })
      const { queue, sessions } = yield* queueOf().pipe(Effect.provideService(Clock.Clock, clock))
      const holder = accept(sessions, "a")
      queue.send([messageOf("a", "1")])
      late = 30_001
      holder.take(1)
      late = 0
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(holder.losses, 1)
      const next = accept(sessions, "a")
      next.take(1)
      assert.deepStrictEqual(next.ids, ["1"])
    }).pipe(Effect.scoped))

  it.effect("states count against the quota, as long as they are there", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf({ maxSize: 100 })
      const holder = accept(sessions, "a")
      assert.isTrue(Result.isSuccess(sessions.setState("a", holder, new Uint8Array(99))))
      assert.isTrue(Result.isFailure(queue.send([messageOf("a", "1"), messageOf("a", "2")])))
      assert.isTrue(Result.isFailure(sessions.setState("a", holder, new Uint8Array(101))))
      assert.isTrue(Result.isSuccess(sessions.setState("a", holder, new Uint8Array(98))))
      assert.isTrue(Result.isSuccess(queue.send([messageOf("a", "1"), messageOf("a", "2")])))
      holder.held!.release()
      const again = accept(sessions, "a")
      assert.strictEqual(Result.getOrThrow(sessions.state("a", again))?.length, 98)
      assert.isTrue(Result.isSuccess(sessions.setState("a", again, undefined)))
      assert.isTrue(Result.isSuccess(queue.send(Array.from({ length: 98 }, (_, i) => messageOf("a", `x${i}`)))))
    }).pipe(Effect.scoped))

  it.effect("a hundred thousand sessions come and go, and leave nothing", () =>
    Effect.gen(function*() {
      const { queue, sessions } = yield* queueOf()
      for (let i = 0; i < 100_000; i++) {
        const id = `s${i}`
        queue.send([messageOf(id, "1", 60_000)])
        if (i % 5 === 4) continue
        const holder = accept(sessions, i % 2 === 0 ? id : undefined)
        holder.take(1)
        if (i % 3 === 0) sessions.setState(holder.held!.id, holder, new Uint8Array(1))
        queue.settle(holder.taken[0]!.lockToken, i % 7 === 0 ? Settlement.defer() : Settlement.complete)
        sessions.setState(holder.held!.id, holder, undefined)
        holder.held!.release()
      }
      yield* TestClock.adjust("1 minute")
      const messages = queue.messages()
      assert.isTrue(messages.every(({ state }) => state === "deferred"))
      assert.deepStrictEqual(kept(sessions), { messages: messages.length })
    }).pipe(Effect.scoped))

  it.effect("a broker that is closed gives no session", () =>
    Effect.gen(function*() {
      const { held, sessions, waiting } = yield* Effect.scoped(Effect.gen(function*() {
        const { queue, sessions } = yield* queueOf()
        const held = accept(sessions, "a")
        queue.send([messageOf("a", "1")])
        return { held, sessions, waiting: accept(sessions) }
      }))
      held.held!.release()
      assert.isUndefined(waiting.held)
      assert.isTrue(Result.isFailure(sessions.accept("a", held)))
    }))
})
