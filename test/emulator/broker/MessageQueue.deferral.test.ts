/** Deferred messages of a queue by itself: taken by their numbers, given back, failed too often, and gone. */
import { Effect, Result } from "effect"
import { Settlement } from "effect-service-bus"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import { assert, describe, it } from "../../support/vitest.ts"

/** A queue of which messages 1 to 3 are deferred, and 4 is not. */
const deferred = (options: Broker.EntityOptions = {}) =>
  Effect.gen(function*() {
    const broker = yield* Broker.make([{ name: "q", options: { lockDuration: "30 seconds", ...options } }])
    const queue = broker.queue("q")!
    const taken: Array<Broker.Delivery> = []
    let credit = 3
    const attachment = queue.attach({
      mode: "peekLock",
      credit: () => credit,
      deliver: (deliveries) => {
        credit -= deliveries.length
        taken.push(...deliveries)
      }
    })
    const payload = new Uint8Array(1)
    queue.send(["a", "b", "c", "d"].map((messageId) => ({
      payload,
      messageId,
      sessionId: undefined,
      timeToLive: undefined
    })))
    attachment.wake()
    for (const { lockToken } of taken) {
      assert.isTrue(Result.isSuccess(queue.settle(lockToken, Settlement.defer({ properties: { seen: true } }))))
    }
    attachment.detach()
    const states = () => queue.messages().map(({ deliveryCount, state }) => `${state} ${deliveryCount}`)
    return { queue, states }
  })

const success = <A>(result: Result.Result<A, Broker.Refusal>): A => {
  assert(Result.isSuccess(result))
  return result.success
}

const refusal = (result: Result.Result<unknown, Broker.Refusal>): string => {
  assert(Result.isFailure(result))
  return result.failure._tag
}

describe("deferred messages", () => {
  it.effect("come by their numbers, locked, with what was said of them", () =>
    Effect.gen(function*() {
      const { queue, states } = yield* deferred()
      const [one, three] = success(queue.receiveDeferred([1n, 3n], "peekLock"))
      assert.deepStrictEqual([one!.message.messageId, three!.message.messageId], ["a", "c"])
      assert.strictEqual(one!.message.properties.get("seen"), true)
      assert.strictEqual(one!.lockedUntil, 30_000)
      success(queue.settle(one!.lockToken, Settlement.complete))
      success(queue.settle(three!.lockToken, Settlement.deadLetter({ reason: "no" })))
      assert.deepStrictEqual(states(), ["deferred 1", "active 0"])
      assert.lengthOf(queue.deadLetterQueue!.messages(), 1)
    }).pipe(Effect.scoped))

  it.effect("come all or none", () =>
    Effect.gen(function*() {
      const { queue } = yield* deferred()
      for (const numbers of [[1n, 99n], [1n, 4n], [0n]]) {
        assert.strictEqual(refusal(queue.receiveDeferred(numbers, "peekLock")), "MessageNotFound")
      }
      success(queue.receiveDeferred([1n], "peekLock"))
      assert.strictEqual(refusal(queue.receiveDeferred([1n, 2n], "peekLock")), "MessageNotFound", "one is locked")
      assert.lengthOf(success(queue.receiveDeferred([2n, 2n], "peekLock")), 1, "named twice, given once")
    }).pipe(Effect.scoped))

  it.effect("stay aside when they are abandoned, deferred again, or their lock ends", () =>
    Effect.gen(function*() {
      const { queue, states } = yield* deferred()
      const [one, two] = success(queue.receiveDeferred([1n, 2n], "peekLock"))
      success(queue.settle(one!.lockToken, Settlement.abandon()))
      success(queue.settle(two!.lockToken, Settlement.defer()))
      success(queue.receiveDeferred([3n], "peekLock"))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(states(), ["deferred 2", "deferred 2", "deferred 2", "active 0"])
      assert.lengthOf(success(queue.receiveDeferred([1n, 2n, 3n], "peekLock")), 3)
    }).pipe(Effect.scoped))

  it.effect("are dead-lettered when they fail too often", () =>
    Effect.gen(function*() {
      const { queue, states } = yield* deferred({ maxDeliveryCount: 3 })
      for (let i = 0; i < 2; i++) {
        const [one] = success(queue.receiveDeferred([1n], "peekLock"))
        success(queue.settle(one!.lockToken, Settlement.abandon()))
      }
      assert.deepStrictEqual(states(), ["deferred 1", "deferred 1", "active 0"])
      const [dead] = queue.deadLetterQueue!.messages()
      assert.strictEqual(dead!.properties.get("DeadLetterReason"), "MaxDeliveryCountExceeded")
      assert.strictEqual(dead!.state, "active")
    }).pipe(Effect.scoped))

  it.effect("are gone at once in receive-and-delete mode", () =>
    Effect.gen(function*() {
      const { queue, states } = yield* deferred()
      assert.lengthOf(success(queue.receiveDeferred([1n, 2n, 3n], "receiveAndDelete")), 3)
      assert.deepStrictEqual(states(), ["active 0"])
    }).pipe(Effect.scoped))
})
