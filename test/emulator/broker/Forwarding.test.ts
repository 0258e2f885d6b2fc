/** What is active in an entity goes on to another one, in its order and at once, and is in one of the two at any time. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { message, messages, ok, refused, stored, Taker } from "../../support/broker.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const make = Effect.fnUntraced(function*(...entities: ReadonlyArray<Broker.Entity>) {
  // The bystander, which nothing here concerns.
  const broker = yield* Broker.make([...entities, { name: "bystander" }], {
    // What is in a payload is not known here.
    change: (message, { properties }) => ({ ...message, payload: [...properties].join(" ") })
  })
  ok(broker.queue("bystander")!.send(messages("b")))
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      assert.deepStrictEqual(stored(broker.queue("bystander")!), ["b"])
      assert.deepInclude(broker.queue("bystander")!.counters, {
        enqueued: 1,
        deadLettered: 0,
        forwarded: 0,
        deleted: 0
      })
    })
  )
  return broker
})

const done = <A>(result: Result.Result<A, { readonly problem: string }>): A => {
  if (Result.isFailure(result)) assert.fail(result.failure.problem)
  return result.success
}

const problemOf = (result: Result.Result<unknown, { readonly problem: string }>): string => {
  if (Result.isSuccess(result)) assert.fail("it is taken")
  return result.failure.problem
}

const reasons = (queue: Broker.Queue) =>
  queue.deadLetterQueue!.messages().map(({ messageId, properties }) => [messageId, properties.get("DeadLetterReason")])

describe("Forwarding", () => {
  it.effect("goes through any chain, keeps order, and gives new numbers but the first", () =>
    Effect.gen(function*() {
      const broker = yield* make(
        { name: "a", options: { forwardTo: "B" } },
        { name: "b", options: { forwardTo: "c" } },
        { name: "c" }
      )
      const [a, b, c] = ["a", "b", "c"].map((name) => broker.queue(name)!) as [Broker.Queue, Broker.Queue, Broker.Queue]
      ok(b.send(messages("0")))
      const taker = new Taker(c, 10)
      ok(a.send(messages("1", "2")))
      ok(a.send(messages("3")))
      assert.deepStrictEqual(taker.ids, ["0", "1", "2", "3"])
      assert.deepStrictEqual(
        taker.deliveries.map(({ message }) => [message.sequenceNumber, message.firstSequenceNumber, message.hops]),
        [[1n, 1n, 1], [2n, 1n, 2], [3n, 2n, 2], [4n, 3n, 2]]
      )
      assert.deepStrictEqual([stored(a), stored(b)], [[], []])
      assert.deepInclude(a.counters, { enqueued: 3, forwarded: 3 })
      assert.deepInclude(broker.runtime("a")!, { activeMessageCount: 0, transferMessageCount: 0, sizeInBytes: 0 })
    }))

  const changes: ReadonlyArray<
    readonly [
      string,
      (broker: Broker.Broker) => Result.Result<unknown, { readonly problem: string }>,
      Array<string>
    ]
  > = [
    ["is to forward no more", (broker) => broker.update("a", { forwardTo: null }), ["2", "3"]],
    ["gives nothing", (broker) => broker.update("a", { status: "ReceiveDisabled" }), ["2", "3"]],
    ["forwards elsewhere", (broker) => broker.update("a", { forwardTo: "c" }), []],
    ["is deleted", (broker) => broker.delete("a"), []]
  ]
  for (const [what, act, left] of changes) {
    it.effect(`stops where the target sets off that the source ${what}`, () =>
      Effect.gen(function*() {
        const broker = yield* make({ name: "a" }, { name: "b", options: { maxSize: 2 } }, { name: "c" })
        const a = broker.queue("a")!
        ok(a.send(messages("1", "2", "3")))
        const taker = new Taker(broker.queue("b")!, 5, "receiveAndDelete")
        taker.onDeliver = () => {
          taker.onDeliver = () => {}
          done(act(broker))
        }
        // All three are more than the target holds: it is given one at a time.
        done(broker.update("a", { forwardTo: "b" }))
        assert.deepStrictEqual(taker.ids, ["1"])
        assert.deepStrictEqual(stored(a), left)
        assert.deepStrictEqual(stored(broker.queue("c")!), what === "forwards elsewhere" ? ["2", "3"] : [])
        assert.deepInclude(a.runtime(), { sizeInBytes: left.length })
        if (what !== "is to forward no more") return
        const again = new Taker(a, 5)
        assert.deepStrictEqual(again.ids, left)
      }))
  }

  it.effect("is tried again when its target has changed, and by no other entity that comes or changes", () =>
    Effect.gen(function*() {
      const broker = yield* make({ name: "a", options: { forwardTo: "b" } }, { name: "b", options: { maxSize: 1 } })
      const b = broker.queue("b")!
      ok(b.send(messages("0")))
      ok(broker.queue("a")!.send(messages("1")))
      assert.strictEqual(ok(b.deleteBefore(1, 1)), 1)
      done(broker.create({ name: "c" }))
      done(broker.update("c", { maxDeliveryCount: 1 }))
      assert.deepStrictEqual(stored(b), [])
      done(broker.update("B", { maxDeliveryCount: 1 }))
      assert.deepStrictEqual(stored(b), ["1"])
    }))

  it.effect("moves what becomes active: what was scheduled, and what is given back", () =>
    Effect.gen(function*() {
      const broker = yield* make({ name: "a" }, { name: "b" })
      const a = broker.queue("a")!
      const taker = new Taker(a, 2)
      ok(a.send(messages("locked", "deferred", "waits")))
      ok(a.settle(taker.last.lockToken, Settlement.defer()))
      ok(a.send([{ ...message("later"), enqueueAt: 30_000 }]))
      done(broker.update("a", { forwardTo: "b" }))
      assert.deepStrictEqual(stored(broker.queue("b")!), ["waits"])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(stored(broker.queue("b")!), ["waits", "later"])
      ok(a.release(taker.deliveries[0]!.lockToken))
      assert.deepStrictEqual(stored(broker.queue("b")!), ["waits", "later", "locked"])
      assert.deepStrictEqual(stored(a), ["deferred"])
      // And no longer.
      done(broker.update("a", { forwardTo: null }))
      ok(a.send(messages("stays")))
      assert.deepStrictEqual(stored(a), ["deferred", "stays"])
    }))

  it.effect("keeps what cannot be made for the target, and goes on with all else", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.make([{ name: "a" }, { name: "b" }], {
        change: () => {
          throw new Error("it has no form")
        }
      })
      const [a, b] = [broker.queue("a")!, broker.queue("b")!]
      const taker = new Taker(a, 1)
      ok(a.send(messages("bad", "good")))
      done(broker.update("a", { forwardTo: "b" }))
      ok(a.settle(taker.last.lockToken, Settlement.abandon({ properties: { why: "changed" } })))
      ok(a.send(messages("more")))
      assert.deepStrictEqual([stored(a), stored(b)], [["bad"], ["good", "more"]])
      // It is there for who receives, once it is not to be forwarded.
      done(broker.update("a", { forwardTo: null }))
      assert.deepStrictEqual(new Taker(a, 1).ids, ["bad"])
    }))

  it.effect("makes four hops, and dead-letters at the fifth", () =>
    Effect.gen(function*() {
      const names = ["q5", "q4", "q3", "q2", "q1", "q0"]
      const broker = yield* make(
        ...names.map((name, index) => ({ name, options: index === 5 ? {} : { forwardTo: names[index + 1]! } }))
      )
      ok(broker.queue("q4")!.send(messages("four")))
      const letters = new Taker(broker.queue("q1")!.deadLetterQueue!, 1)
      ok(broker.queue("q5")!.send(messages("five")))
      assert.deepStrictEqual(letters.ids, ["five"])
      assert.deepStrictEqual(stored(broker.queue("q0")!), ["four"])
      assert.deepStrictEqual(reasons(broker.queue("q1")!), [["five", "MaxTransferHopCountExceeded"]])
      const [letter] = broker.queue("q1")!.deadLetterQueue!.messages()
      assert.strictEqual(
        letter!.properties.get("DeadLetterErrorDescription"),
        "The maximum number of allowed hops when forwarding between queues has been exceeded. This value is set to 4."
      )
    }))

  it.effect("keeps the end of a message's life", () =>
    Effect.gen(function*() {
      const broker = yield* make({ name: "a", options: { forwardTo: "b" } }, {
        name: "b",
        options: { deadLetteringOnExpiration: true, status: "SendDisabled" }
      })
      ok(broker.queue("a")!.send([message("1", { ttl: 40_000 })]))
      yield* TestClock.adjust("20 seconds")
      done(broker.update("b", { status: "Active" }))
      const [there] = broker.queue("b")!.messages()
      assert.deepInclude(there!, { enqueuedAt: 20_000, expiresAt: 40_000, timeToLive: 20_000 })
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(reasons(broker.queue("b")!), [["1", "TTLExpiredException"]])
    }))

  it.effect("drops in the target what is there already, and dead-letters there what has no session", () =>
    Effect.gen(function*() {
      const broker = yield* make(
        { name: "a", options: { forwardTo: "once" } },
        { name: "once", options: { duplicateDetectionWindow: "1 minute" } },
        { name: "c", options: { forwardTo: "sessions" } },
        { name: "sessions", options: { requiresSession: true } }
      )
      ok(broker.queue("once")!.send(messages("1")))
      ok(broker.queue("a")!.send(messages("1", "2")))
      assert.deepStrictEqual(stored(broker.queue("once")!), ["1", "2"])
      assert.deepStrictEqual(stored(broker.queue("a")!), [])
      ok(broker.queue("c")!.send([message("none"), { ...message("some"), sessionId: "s" }]))
      assert.deepStrictEqual(stored(broker.queue("sessions")!), ["some"])
      assert.deepStrictEqual(reasons(broker.queue("sessions")!), [["none", "Session ID is null."]])
    }))

  it.effect("takes a source that requires sessions as any other", () =>
    Effect.gen(function*() {
      const broker = yield* make({ name: "a", options: { requiresSession: true } }, { name: "b" })
      const a = broker.queue("a")!
      ok(a.send([{ ...message("1"), sessionId: "x" }, { ...message("2"), sessionId: "y" }]))
      done(broker.update("a", { forwardTo: "b" }))
      ok(a.send([{ ...message("3"), sessionId: "x" }]))
      assert.deepStrictEqual(
        broker.queue("b")!.messages().map(({ messageId, sessionId }) => [messageId, sessionId]),
        [["1", "x"], ["2", "y"], ["3", "x"]]
      )
      assert.deepStrictEqual(a.sessions!.list({ count: 10 }), [])
    }))

  it.effect("takes none from what requires sessions to a queue that requires them", () =>
    Effect.gen(function*() {
      const options = { requiresSession: true, forwardTo: "b" } as const
      const b = { name: "b", options: { requiresSession: true } }
      const broker = yield* make({ name: "a", options: { requiresSession: true } }, b, { kind: "topic", name: "t" })
      const problem = /forwardTo: from what requires sessions no queue that requires them/
      for (
        const refused of [
          broker.update("a", { forwardTo: "b" }),
          broker.create({ name: "c", options }),
          broker.create({ kind: "subscription", topic: "t", name: "s", options })
        ]
      ) assert.match(problemOf(refused), problem)
      assert.match((yield* Effect.flip(make({ name: "a", options }, b))).problem, problem)
      // Dead letters have no sessions.
      done(broker.update("a", { forwardDeadLetteredMessagesTo: "b", forwardTo: "t" }))
    }))

  describe("dead letters", () => {
    it.effect("go on with their reasons and say where they come from", () =>
      Effect.gen(function*() {
        const broker = yield* make(
          { kind: "topic", name: "news" },
          { kind: "subscription", topic: "news", name: "all", options: { forwardDeadLetteredMessagesTo: "errors" } },
          { name: "errors", options: { forwardTo: "kept" } },
          { name: "kept" }
        )
        ok(broker.queue("news")!.send(messages("1")))
        const all = broker.queue("news/Subscriptions/all")!
        const taker = new Taker(all, 1)
        ok(all.settle(taker.last.lockToken, Settlement.deadLetter({ reason: "why", properties: { n: 1 } })))
        const [letter] = broker.queue("kept")!.messages()
        assert.strictEqual(letter!.deadLetterSource, "news/Subscriptions/all")
        assert.strictEqual(letter!.payload, "n,1 DeadLetterReason,why")
        assert.strictEqual(letter!.deliveryCount, 0)
        assert.deepInclude(broker.runtime("news/subscriptions/all")!, {
          deadLetterMessageCount: 0,
          transferMessageCount: 0
        })
        assert.deepInclude(broker.runtime("news")!, { sizeInBytes: 0 })
      }))

    it.effect("stay where they cannot go, and go when they can", () =>
      Effect.gen(function*() {
        const broker = yield* make({ name: "a", options: { forwardDeadLetteredMessagesTo: "full" } }, {
          name: "full",
          options: { maxSize: 1 }
        })
        const a = broker.queue("a")!
        const full = broker.queue("full")!
        ok(full.send(messages("0")))
        const taker = new Taker(a, 2)
        ok(a.send(messages("1", "2")))
        for (const { lockToken } of taker.deliveries) ok(a.settle(lockToken, Settlement.deadLetter()))
        yield* TestClock.adjust("1 hour")
        assert.deepInclude(broker.runtime("a")!, { deadLetterMessageCount: 0, transferMessageCount: 2 })
        const emptied = new Taker(full, 1, "receiveAndDelete")
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual([stored(full), stored(a.deadLetterQueue!)], [["1"], ["2"]])
        emptied.grant(2)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(emptied.ids, ["0", "1", "2"])
      }))

    it.effect("that come back again and again end after their hops", () =>
      Effect.gen(function*() {
        const broker = yield* make(
          { name: "a", options: { requiresSession: true, forwardDeadLetteredMessagesTo: "b" } },
          { name: "b", options: { forwardTo: "a" } }
        )
        ok(broker.queue("b")!.send(messages("1")))
        assert.deepStrictEqual(reasons(broker.queue("b")!), [["1", "MaxTransferHopCountExceeded"]])
        assert.deepStrictEqual([stored(broker.queue("a")!), reasons(broker.queue("a")!)], [[], []])
      }))

    it.effect("are counted by each queue for itself", () =>
      Effect.gen(function*() {
        const broker = yield* make(
          { name: "a", options: { forwardDeadLetteredMessagesTo: "errors" } },
          { name: "errors" }
        )
        const [first, errors] = [broker.queue("a")!, broker.queue("errors")!]
        ok(first.send(messages("1")))
        ok(first.settle(new Taker(first, 1).last.lockToken, Settlement.deadLetter()))
        const counts = ({ counters: { deadLettered, enqueued, forwarded } }: Broker.Queue) => [
          enqueued,
          deadLettered,
          forwarded
        ]
        assert.deepStrictEqual([first, first.deadLetterQueue!, errors].map(counts), [[1, 1, 0], [1, 0, 1], [1, 0, 0]])
      }))

    it.effect("that have made their hops stay, and are there once nothing is forwarded any more", () =>
      Effect.gen(function*() {
        const broker = yield* make(
          ...[0, 1, 2, 3].map((i) => ({ name: `q${i}`, options: { forwardTo: `q${i + 1}` } })),
          { name: "q4", options: { forwardDeadLetteredMessagesTo: "errors" } },
          { name: "errors" }
        )
        const last = broker.queue("q4")!
        ok(broker.queue("q0")!.send(messages("1")))
        ok(last.settle(new Taker(last, 1).last.lockToken, Settlement.deadLetter()))
        assert.deepInclude(broker.runtime("q4")!, { deadLetterMessageCount: 1, transferMessageCount: 0 })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(stored(broker.queue("errors")!), [])
        done(broker.update("q4", { forwardDeadLetteredMessagesTo: null }))
        assert.deepStrictEqual(new Taker(last.deadLetterQueue!, 1).ids, ["1"])
      }))
  })

  describe("a target that takes nothing", () => {
    for (
      const [name, options, reason] of [
        ["disabled", { status: "Disabled" }, "MessagingEntityDisabledException"],
        ["full", { maxSize: 1 }, "QuotaExceededException"]
      ] as const
    ) {
      it.effect(`because it is ${name} is tried again, and then the messages are dead-lettered`, () =>
        Effect.gen(function*() {
          const broker = yield* make({ name: "a", options: { forwardTo: "b" } }, { name: "b" })
          const [a, b] = [broker.queue("a")!, broker.queue("b")!]
          ok(b.send(messages("0")))
          done(broker.update("b", options))
          ok(a.send(messages("1")))
          assert.deepInclude(broker.runtime("a")!, { activeMessageCount: 0, transferMessageCount: 1 })
          yield* TestClock.adjust("30 seconds")
          ok(a.send(messages("2")))
          yield* TestClock.adjust("29 seconds")
          assert.deepStrictEqual(stored(a), ["1", "2"])
          yield* TestClock.adjust("6 seconds")
          assert.deepStrictEqual(reasons(a), [["1", reason]])
          assert.deepStrictEqual(stored(a), ["2"])
          // What is left goes on in its order as soon as it can.
          ok(a.send(messages("3")))
          done(broker.update("b", { status: "Active", maxSize: 1000 }))
          assert.deepStrictEqual(stored(b), ["0", "2", "3"])
          assert.deepStrictEqual(stored(a), [])
        }))
    }

    it.effect("because its topic is full has what it forwards itself go on, and frees its own topic", () =>
      Effect.gen(function*() {
        const broker = yield* make(
          { kind: "topic", name: "first", options: { maxSize: 3 } },
          { kind: "subscription", topic: "first", name: "s", options: { forwardTo: "second" } },
          { kind: "topic", name: "second", options: { maxSize: 2 } },
          { kind: "subscription", topic: "second", name: "s" }
        )
        const first = broker.queue("first")!
        const second = broker.queue("second/Subscriptions/s")!
        for (const id of ["1", "2", "3", "4", "5"]) ok(first.send(messages(id)))
        assert.deepStrictEqual(stored(second), ["1", "2"])
        assert.deepInclude(broker.runtime("first")!, { sizeInBytes: 3 })
        assert.deepInclude(broker.runtime("first/subscriptions/s")!, { transferMessageCount: 3 })
        const { kind } = refused(first.send(messages("6")), "QuotaExceeded")
        assert.strictEqual(kind, "Topic")
        const taker = new Taker(second, 2, "receiveAndDelete")
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual([stored(second), broker.runtime("first")!.sizeInBytes], [["3", "4"], 1])
        taker.grant(2)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(stored(second), ["5"])
        assert.deepStrictEqual(taker.ids, ["1", "2", "3", "4"])
        assert.strictEqual(broker.runtime("first")!.sizeInBytes, 0)
      }))

    it.effect("because it is gone is found when it is there again", () =>
      Effect.gen(function*() {
        const broker = yield* make({ name: "a", options: { forwardTo: "b" } }, { name: "b" })
        const a = broker.queue("a")!
        assert.strictEqual(done(broker.delete("b")), 0)
        ok(a.send(messages("1")))
        yield* TestClock.adjust("50 seconds")
        ok(a.send(messages("2")))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(reasons(a), [["1", "MessagingEntityNotFoundException"]])
        done(broker.create({ name: "b" }))
        assert.deepStrictEqual(stored(broker.queue("b")!), ["2"])
      }))

    it.effect("because one message is too large is given the others", () =>
      Effect.gen(function*() {
        const broker = yield* make({ name: "a", options: { forwardTo: "b" } }, {
          name: "b",
          options: { maxMessageSize: 10 }
        })
        ok(broker.queue("a")!.send([message("1"), message("large", { bytes: 11 }), message("2")]))
        assert.deepStrictEqual(stored(broker.queue("b")!), ["1", "2"])
        assert.deepStrictEqual(reasons(broker.queue("a")!), [["large", "MessageSizeExceededException"]])
      }))

    it.effect("lets what expires meanwhile expire", () =>
      Effect.gen(function*() {
        const broker = yield* make({ name: "a", options: { forwardTo: "b", deadLetteringOnExpiration: true } }, {
          name: "b",
          options: { status: "Disabled" }
        })
        ok(broker.queue("a")!.send([message("1", { ttl: 10_000 }), message("2")]))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(reasons(broker.queue("a")!), [["1", "TTLExpiredException"]])
        assert.strictEqual(broker.runtime("a")!.transferMessageCount, 1)
      }))
  })

  it.effect("a fan-out by forwarding keeps the order in every queue", () =>
    Effect.gen(function*() {
      const broker = yield* make(
        { kind: "topic", name: "first" },
        ...[0, 1, 2].flatMap((i): ReadonlyArray<Broker.Entity> => [
          { kind: "subscription", topic: "first", name: `s${i}`, options: { forwardTo: `second${i}` } },
          { kind: "topic", name: `second${i}` },
          { kind: "subscription", topic: `second${i}`, name: "s", options: { forwardTo: `q${i}` } },
          { name: `q${i}` }
        ])
      )
      const first = broker.queue("first")!
      const ids = Array.from({ length: 50 }, (_, i) => `${i}`)
      const takers = [0, 1, 2].map((i) => new Taker(broker.queue(`q${i}`)!, 100))
      // A consumer that sends while it is delivered to: what it sends comes after.
      takers[0]!.onDeliver = (deliveries) => {
        if (deliveries[0]!.message.messageId === "0") ok(first.send(messages("more")))
      }
      ok(first.send(messages(...ids.slice(0, 20))))
      for (const id of ids.slice(20)) ok(first.send(messages(id)))
      const expected = [...ids.slice(0, 20), "more", ...ids.slice(20)]
      for (const taker of takers) assert.deepStrictEqual(taker.ids, expected)
    }))

  describe("is refused", () => {
    it.effect("to itself, to nothing, to a subscription, and in a circle", () =>
      Effect.gen(function*() {
        const broker = yield* make(
          { kind: "topic", name: "news" },
          { kind: "subscription", topic: "news", name: "all", options: { forwardTo: "a" } },
          { name: "a" },
          { name: "b", options: { forwardTo: "news" } }
        )
        const refusal = (path: string, options: Broker.EntityOptions) => problemOf(broker.update(path, options))
        assert.match(
          refusal("a", { forwardTo: "A" }),
          /queue "a": forwardTo: entity cannot have auto-forwarding policy to itself/
        )
        assert.match(
          refusal("a", { forwardDeadLetteredMessagesTo: "a" }),
          /"a": forwardDeadLetteredMessagesTo: .*itself/
        )
        assert.match(refusal("a", { forwardTo: "x" }), /destination entity "x" does not exist; declare it too/)
        assert.match(refusal("a", { forwardTo: "news/Subscriptions/all" }), /does not exist/)
        assert.match(refusal("a", { forwardTo: "b" }), /"a": forwardTo: its messages would come back/)
        assert.match(refusal("news/subscriptions/all", { forwardTo: "news" }), /would come back/)
        assert.match(refusal("news/subscriptions/all", { forwardTo: "b" }), /would come back/)
        assert.match(
          refusal("news", { forwardTo: "b" }),
          /topic "news": a topic has no option "forwardTo"; its options are /
        )
        assert.match(refusal("a", { forwardTo: 7 as never }), /"a": forwardTo must be a queue or topic, or its name/)
        assert.match(
          problemOf(broker.create({ name: "c", options: { forwardTo: "nowhere" } })),
          /queue "c": forwardTo: .*"nowhere" does not exist/
        )
        assert.strictEqual(broker.queue("c"), undefined)
        // What was refused has changed nothing.
        ok(broker.queue("b")!.send(messages("1")))
        assert.deepStrictEqual(stored(broker.queue("a")!), ["1"])
        const error = yield* Effect.flip(Broker.make([{ name: "x", options: { forwardTo: "y" } }]))
        assert.match(error.problem, /queue "x": forwardTo: .*"y" does not exist/)
      }))
  })
})
