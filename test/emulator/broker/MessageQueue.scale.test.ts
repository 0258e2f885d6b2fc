/**
 * What a page costs at a broker that holds much: counted in calls of its functions, so that no clock decides. A page of
 * a hundred of a hundred thousand messages must not pay for the others.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import { Session } from "node:inspector"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import { DuplicateHistory } from "../../../src/emulator/broker/DuplicateHistory.ts"
import { type SessionHolder, type Sessions } from "../../../src/emulator/broker/Queue.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

interface Coverage {
  readonly result: ReadonlyArray<{
    readonly url: string
    readonly functions: ReadonlyArray<{ readonly ranges: ReadonlyArray<{ readonly count: number }> }>
  }>
}

/** How often functions of the emulator were called in a synchronous piece of code. Loops of old bytecode have no counts. */
const work = (run: () => void): number => {
  const session = new Session()
  session.connect()
  const ask = (method: string, params?: object): Coverage => {
    let answer: Coverage | undefined
    session.post(method, params, (error, result) => {
      if (error !== null) throw new Error(error.message)
      answer = result as Coverage
    })
    return answer!
  }
  try {
    ask("Profiler.enable")
    ask("Profiler.startPreciseCoverage", { callCount: true, detailed: false })
    ask("Profiler.takePreciseCoverage")
    run()
    return ask("Profiler.takePreciseCoverage").result
      .filter(({ url }) => url.includes("/src/emulator/"))
      .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
      .reduce((total, { count }) => total + count, 0)
  } finally {
    ask("Profiler.stopPreciseCoverage")
    session.disconnect()
  }
}

const messageOf = (i: number, options?: Partial<Broker.IncomingMessage>): Broker.IncomingMessage => ({
  payload: new Uint8Array(1),
  messageId: `${i}`,
  sessionId: undefined,
  timeToLive: undefined,
  ...options
})

const queueOf = Effect.fnUntraced(function*(options?: Broker.EntityOptions) {
  const broker = yield* Broker.make([{ name: "orders", options }])
  return broker.queue("orders")!
})

const filled = Effect.fnUntraced(function*(
  count: number,
  options?: Broker.EntityOptions,
  message?: (i: number) => Partial<Broker.IncomingMessage>
) {
  const queue = yield* queueOf(options)
  queue.send(Array.from({ length: count }, (_, i) => messageOf(i, message?.(i))))
  return queue
})

/** Receives all that waits, and settles it in an order of its own. */
const settleAll = (queue: Broker.Queue, settlement: (sequence: number) => Settlement.Settlement | undefined) => {
  const deliveries: Array<Broker.Delivery> = []
  const attachment = queue.attach({
    mode: "peekLock",
    credit: () => Infinity,
    deliver: (some) => {
      for (const one of some) deliveries.push(one)
    }
  })
  attachment.wake()
  attachment.detach()
  const random = generator(3)
  for (let i = deliveries.length - 1; i > 0; i--) {
    const j = random(i + 1)
    const other = deliveries[i]!
    deliveries[i] = deliveries[j]!
    deliveries[j] = other
  }
  for (const { lockToken, message } of deliveries) {
    const how = settlement(Number(message.sequenceNumber))
    if (how !== undefined) assert.isTrue(Result.isSuccess(queue.settle(lockToken, how)))
  }
}

const few = 1000
const many = 20_000

/** A page of many costs what a page of few does, and the logarithm of how many there are. */
const flat = Effect.fnUntraced(function*<E, R>(
  page: (count: number) => Effect.Effect<() => void, E, R>
) {
  const small = work(yield* page(few))
  const large = work(yield* page(many))
  assert.isAbove(small, 0)
  assert.isBelow(large, 1.5 * small + 200, `${small} for ${few}, ${large} for ${many}`)
})

const accept = (sessions: Sessions, id?: string): SessionHolder & { readonly ids: Array<string> } => {
  const holder = {
    ids: [] as Array<string>,
    owner: {},
    granted: (session: { readonly id: string }) => {
      holder.ids.push(session.id)
    },
    lost: () => {}
  }
  assert.isTrue(Result.isSuccess(sessions.accept(id, holder)))
  return holder
}

describe("The cost of a page", { concurrent: false, timeout: 60_000 }, () => {
  it.effect("peeked, wherever it begins", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count)
      return () => {
        assert.lengthOf(queue.peek(0n, 100), 100)
        const page = queue.peek(BigInt(count - 500), 100)
        assert.deepStrictEqual([page.length, page[0]?.sequenceNumber], [100, BigInt(count - 500)])
        assert.lengthOf(queue.peek(BigInt(count + 1), 100), 0)
      }
    }))))

  it.effect("peeked after most of what there was has gone", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count)
      settleAll(queue, (sequence) => sequence % 50 === 0 ? Settlement.defer() : Settlement.complete)
      return () => {
        assert.lengthOf(queue.peek(0n, 20), 20)
        assert.lengthOf(queue.peek(BigInt(count - 499), 5), 5)
      }
    }))))

  it.effect("peeked of dead letters, which came in any order", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count)
      settleAll(queue, () => Settlement.deadLetter({ reason: "r" }))
      return () => {
        const letters = queue.deadLetterQueue!.peek(BigInt(count / 2), 100)
        assert.deepStrictEqual(
          letters.map(({ sequenceNumber }) => Number(sequenceNumber)),
          Array.from({ length: 100 }, (_, i) => count / 2 + i)
        )
      }
    }))))

  it.effect("peeked of one session", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count, { requiresSession: true }, (i) => ({ sessionId: `${i % (count / 50)}` }))
      return () => assert.lengthOf(queue.peek(0n, 100, "7"), 50)
    }))))

  it.effect("deleted, after what is set aside, and where nothing is old enough", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count)
      settleAll(queue, (sequence) => sequence <= count / 2 ? Settlement.defer() : undefined)
      queue.send(Array.from({ length: count }, (_, i) => messageOf(i)))
      return () => {
        assert.deepStrictEqual(queue.deleteBefore(Infinity, 100), Result.succeed(100))
        assert.deepStrictEqual(queue.deleteBefore(0, 100), Result.succeed(0))
      }
    }))))

  it.effect("deleted of one session", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count, { requiresSession: true }, (i) => ({ sessionId: `${i % (count / 50)}` }))
      return () => assert.deepStrictEqual(queue.deleteBefore(1, 100, "7"), Result.succeed(50))
    }))))

  it.effect("of the list of sessions, wherever it begins", () =>
    Effect.scoped(flat(Effect.fnUntraced(function*(count) {
      const queue = yield* filled(count, { requiresSession: true }, (i) => ({ sessionId: `s${i}` }))
      const sessions = queue.sessions!
      return () => {
        assert.deepStrictEqual(sessions.list({ count: 3 }), ["s0", "s1", "s10"])
        assert.lengthOf(sessions.list({ count: 100, after: "s5" }), 100)
        assert.lengthOf(sessions.list({ count: 20, after: "s97" }), 20)
      }
    }))))

  it.effect("of the list of sessions, those with nothing left but what is set aside being passed once", () =>
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* filled(many, { requiresSession: true }, (i) => ({
        sessionId: `s${i}`,
        enqueueAt: i % 100 === 0 ? undefined : 1000
      }))
      const sessions = queue.sessions!
      assert.isBelow(work(() => assert.lengthOf(sessions.list({ count: 100 }), 100)), 5000)
      yield* TestClock.adjust(1000)
      for (let i = 0; i < many; i++) {
        if (i % 100 !== 0) queue.deleteBefore(Infinity, 1, `s${i}`)
      }
      assert.lengthOf(sessions.list({ count: 1000 }), many / 100)
      assert.isBelow(work(() => assert.lengthOf(sessions.list({ count: 100 }), 100)), 5000)
    })))
})

/** Counts who goes through a Map or a Set from its beginning. */
const walks = (run: () => void): number => {
  let count = 0
  const kinds = [Map.prototype, Set.prototype] as ReadonlyArray<any>
  const names = [Symbol.iterator, "entries", "values", "keys"] as const
  const restore = kinds.flatMap((kind) =>
    names.map((name) => {
      const original = kind[name]
      kind[name] = function(this: unknown) {
        count += 1
        return original.call(this)
      }
      return () => {
        kind[name] = original
      }
    })
  )
  try {
    run()
  } finally {
    for (const undo of restore) undo()
  }
  return count
}

describe("What is gone", { timeout: 60_000 }, () => {
  // A search for the first of a Map or Set steps over all that was removed since it was last made anew.
  it("no id that duplicate detection has forgotten is passed again", () => {
    const history = new DuplicateHistory(1000)
    for (let i = 0; i < 1000; i++) history.findOrRemember(`${i}`, i, i)
    assert.strictEqual(
      walks(() => {
        for (let i = 1000; i < 2000; i++) assert.isUndefined(history.findOrRemember(`${i}`, i, i))
      }),
      0
    )
    assert.strictEqual(history.findOrRemember("1001", 9999, 1999), 1001)
    assert.isUndefined(history.findOrRemember("1001", 9999, 2001))
    assert.strictEqual(history.findOrRemember("1001", 10_000, 3000), 9999)
  })

  it("duplicate detection keeps nothing of the ids whose window is over", () => {
    const history = new DuplicateHistory(10)
    for (let i = 0; i < 10_000; i++) history.findOrRemember(`${i}`, i, i)
    const { known, seen } = history as unknown as { known: Map<string, number>; seen: Array<unknown> }
    assert.strictEqual(known.size, 10)
    assert.isBelow(seen.length, 2100)
    assert.lengthOf(seen.filter((one) => one !== undefined), 10)
  })

  it.effect("no session that was accepted is passed by one who accepts the next, and no holder that has one", () =>
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* filled(1000, { requiresSession: true }, (i) => ({ sessionId: `s${i}` }))
      const sessions = queue.sessions!
      const accepted: Array<string> = []
      const passed = walks(() => {
        for (let i = 0; i < 1000; i++) accepted.push(...accept(sessions).ids)
      })
      // Effect has walks of its own where the deadline is set.
      assert.isBelow(passed, 10)
      assert.deepStrictEqual([accepted.length, new Set(accepted).size], [1000, 1000])
      const waiting = Array.from({ length: 1000 }, () => accept(sessions))
      const sent = Array.from({ length: 1000 }, (_, i) => messageOf(i, { sessionId: `t${i}` }))
      assert.isBelow(walks(() => void queue.send(sent)), 10)
      assert.deepStrictEqual(waiting.map(({ ids }) => ids[0]), sent.map(({ sessionId }) => sessionId))
    })))
})
