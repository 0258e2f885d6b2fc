/** How faults are written, listed and taken back, and which of several operations they strike. */
import { Deferred, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { ServiceBusReceiver, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { Lines, recorded, texts } from "../support/eventRecorder.ts"
import { failsWith, inMemory, once, Orders, start, testsOf, testsWith, Texts } from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

const { test } = testsOf("in memory", inMemory)

const error = { condition: "amqp:internal-error" }

/** Which of some sends fail, by their numbers. */
const failing = (count: number) =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Texts)
    const failed: Array<number> = []
    for (let i = 0; i < count; i++) {
      const exit = yield* Effect.exit(sender.send({ body: String(i) }))
      if (Exit.isFailure(exit)) failed.push(i)
    }
    return failed
  }).pipe(Effect.scoped)

describe("a fault", () => {
  test("strikes as often as it says, and is listed with what it has struck", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation: "send", entity: Texts, error, times: 2 })
      yield* emulator.fail({ operation: "settle", action: "delay", delay: Duration.minutes(1), times: "every" })
      assert.deepStrictEqual(yield* failing(4), [0, 1])
      assert.deepStrictEqual(yield* emulator.faults, [
        {
          id: "1",
          fault: { operation: "send", entity: "texts", times: 2, probability: 1, seed: 0, action: "error", error },
          hits: 2,
          isSpent: true
        },
        {
          id: "2",
          fault: {
            operation: "settle",
            times: "every",
            probability: 1,
            seed: 0,
            action: "delay",
            delay: 60_000,
            when: "before"
          },
          hits: 0,
          isSpent: false
        }
      ])
    }), once)

  test(
    "for an entity that is not there is added, and a warning says so; so of links that are detached",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* recorded(Effect.gen(function*() {
          yield* emulator.fail({ operation: "send", entity: "textz", error })
          yield* emulator.detachLinks(error, "textz")
          yield* emulator.fail({ operation: "send", entity: "TEXTS", error })
          yield* emulator.fail({ operation: "send", error })
          yield* emulator.detachLinks(error)
          return yield* Lines
        }))
        assert.deepStrictEqual(texts(lines), [
          "Warn: A fault is for \"textz\", of which nothing is there by now: is the name right?",
          "Warn: A detachment is for \"textz\", of which nothing is there by now: is the name right?"
        ])
        assert.strictEqual((yield* emulator.faults).length, 3)
      }),
    once
  )

  test("that was asked for first strikes first, and each counts its own", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation: "send", error: { condition: "amqp:not-found" } })
      yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" } })
      const sender = yield* ServiceBusSender.make(Texts)
      yield* sender.send({ body: "" }).pipe(failsWith("MessagingEntityNotFoundError"))
      yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusQuotaExceededError"))
      yield* sender.send({ body: "" })
    }), once)

  test(
    "with a probability strikes the same operations for the same seed, and others for another",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const struckBy = (seed: number, times: number | "every" = "every") =>
          Effect.scoped(Effect.andThen(
            emulator.inject({ operation: "send", error, probability: 0.3, seed, times }),
            failing(40)
          ))
        const first = yield* struckBy(7)
        assert.deepStrictEqual(yield* struckBy(7), first)
        assert.notDeepEqual(yield* struckBy(8), first)
        assert.isAbove(first.length, 5)
        assert.isBelow(first.length, 20)
        // Only those that are struck count.
        assert.deepStrictEqual(yield* struckBy(7, 3), first.slice(0, 3))
      }),
    once
  )

  test("is taken back by its id, or with all others", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (let i = 0; i < 3; i++) yield* emulator.fail({ operation: "send", error })
      yield* emulator.removeFault("2")
      assert.deepStrictEqual((yield* emulator.faults).map(({ id }) => id), ["1", "3"])
      const missing = yield* emulator.removeFault("2").pipe(failsWith("EmulatorError"))
      assert.deepInclude(missing, { reason: "notFound", problem: "it has no fault with the id \"2\"" })
      assert.deepStrictEqual(yield* failing(1), [0])
      yield* emulator.removeFaults
      assert.deepStrictEqual(yield* emulator.faults, [])
      assert.deepStrictEqual(yield* failing(1), [])
    }), once)

  test("that is spent is kept for a while, the latest hundred", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (let i = 0; i < 101; i++) yield* emulator.fail({ operation: "send", error })
      assert.lengthOf(yield* failing(102), 101)
      const ids = (yield* emulator.faults).map(({ id }) => id)
      assert.strictEqual(ids.length, 100)
      assert.strictEqual(ids[0], "2")
    }), once)

  test(
    "for the time of a scope strikes every time, and is gone when the scope closes, and says how often it struck",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const scope = yield* Scope.make()
        const { hits } = yield* Scope.provide(emulator.inject({ operation: "send", error }), scope)
        assert.deepStrictEqual(yield* failing(3), [0, 1, 2])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* failing(2), [])
        assert.strictEqual(yield* hits, 3)
        assert.deepStrictEqual(yield* emulator.faults, [])
      }),
    once
  )

  test("for the time of a scope is gone when its fiber is interrupted", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const injected = yield* Deferred.make<void>()
      const fiber = yield* start(
        emulator.inject({ operation: "send", error }).pipe(
          Effect.andThen(Deferred.succeed(injected, undefined)),
          Effect.andThen(Effect.never),
          Effect.scoped
        )
      )
      yield* Deferred.await(injected)
      assert.lengthOf(yield* emulator.faults, 1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* emulator.faults, [])
    }), once)
})

describe("what is no fault is refused, and it is said why", () => {
  const cases: ReadonlyArray<readonly [what: string, fault: unknown, problem: RegExp]> = [
    ["nothing", undefined, /Expected object|expected/i],
    ["null", null, /expected/i],
    ["no operation", { error }, /Missing key at \["operation"\]/],
    [
      "an operation that there is not",
      { operation: "receive", error },
      /Expected "attach", .* or a request by its name.* at \["operation"\]/
    ],
    ["neither error nor action", { operation: "send" }, /Missing key at \["error"\]/],
    ["an error without condition", { operation: "send", error: {} }, /Missing key at \["error"\]\["condition"\]/],
    [
      "a condition that is no symbol",
      { operation: "send", error: { condition: "amqp: ü" } },
      /1 to 256 characters of ASCII without spaces at \["error"\]\["condition"\]/
    ],
    [
      "an error that fits no frame",
      { operation: "send", error: { condition: "x:y", description: "d".repeat(4097) } },
      /at most 4096 at \["error"\]\["description"\]/
    ],
    ["an empty condition", { operation: "send", error: { condition: "" } }, /\["error"\]\["condition"\]/],
    [
      "an action that there is not",
      { operation: "send", action: "explode" },
      /its action must be one of "error", "throttle"/
    ],
    ["an action of another kind", { operation: "send", action: 1 }, /its action must be one of/],
    ["a misspelt option", { operation: "send", error, time: 3 }, /\["time"\]/],
    ["an option of another action", { operation: "send", action: "drop", delay: 1 }, /\["delay"\]/],
    ["a delay without its duration", { operation: "send", action: "delay" }, /Missing key at \["delay"\]/],
    [
      "a negative delay",
      { operation: "send", action: "delay", delay: -1 },
      /finite duration of 0 or more.* at \["delay"\]/
    ],
    ["an endless delay", { operation: "send", action: "delay", delay: Duration.infinity }, /\["delay"\]/],
    ["a delay in no unit", { operation: "send", action: "delay", delay: "soon" }, /finite duration.* at \["delay"\]/],
    ["a moment that there is not", { operation: "send", action: "drop", when: "now" }, /\["when"\]/],
    ["times: 0", { operation: "send", error, times: 0 }, /\["times"\]/],
    ["half a time", { operation: "send", error, times: 1.5 }, /\["times"\]/],
    ["a probability of 0", { operation: "send", error, probability: 0 }, /\["probability"\]/],
    ["a probability over 1", { operation: "send", error, probability: 1.1 }, /\["probability"\]/],
    ["a seed that is no integer", { operation: "send", error, seed: "x" }, /\["seed"\]/],
    ["an entity that is no contract", { operation: "send", error, entity: {} }, /\["entity"\]/],
    ["an entity without a name", { operation: "send", error, entity: "" }, /\["entity"\]/],
    ["a lock of what has none", { operation: "send", action: "loseLock" }, /"send" has no lock that could be lost/],
    ["a link of administration", { operation: "administer", action: "detach" }, /"administer" has no link or session/]
  ]
  for (const [what, fault, problem] of cases) {
    test(what, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const given = fault as Emulator.Fault
        for (const asked of [Effect.asVoid(emulator.fail(given)), Effect.asVoid(emulator.inject(given))]) {
          const refused = yield* Effect.scoped(asked).pipe(failsWith("EmulatorError"))
          assert.match(refused.problem, problem)
          assert.notMatch(refused.problem, /\n/)
        }
        assert.deepStrictEqual(yield* emulator.faults, [])
      }))
  }
})

describe("locks that a test has end", () => {
  const { test } = testsWith("in memory", inMemory, [Emulator.entity(Carts)])

  test("are those of all messages of an entity, which come again in their order", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const others = yield* ServiceBusReceiver.make(Orders)
      yield* emulator.send(Texts, ["a", "b", "c"].map((body) => ({ body })))
      yield* emulator.send(Orders, [{ body: { id: "1", total: 1 } }])
      const [first] = yield* receiver.receive({ max: 3 })
      const [order] = yield* others.receive()
      assert.strictEqual(yield* emulator.loseLocks(Texts), 3)
      yield* receiver.complete(first!).pipe(failsWith("MessageLockLostError"))
      const again = yield* receiver.receive({ max: 3 })
      assert.deepStrictEqual(again.map(({ body, deliveryCount }) => [body, deliveryCount]), [["a", 1], ["b", 1], [
        "c",
        1
      ]])
      yield* others.complete(order!)
      assert.strictEqual(yield* emulator.loseLocks("orders"), 0)
      assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 3)
    }), once)

  test("dead-letter a message that has been delivered as often as its queue allows", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* emulator.send(Texts, [{ body: "a" }])
      yield* receiver.receive()
      yield* emulator.loseLocks(Texts)
      yield* receiver.receive()
      yield* emulator.loseLocks(Texts)
      const [dead] = yield* emulator.deadLetters(Texts)
      assert.strictEqual(dead?.deadLetterReason, "MaxDeliveryCountExceeded")
    }), { ...once, texts: { maxDeliveryCount: 2 } })

  test(
    "are those of sessions, of one or of all; what the next holder is given is not lost with them",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, ["a", "b"].map((sessionId) => ({ body: sessionId, sessionId })))
        const a = yield* ServiceBusSession.accept(Carts, "a")
        const b = yield* ServiceBusSession.accept(Carts, "b")
        const [held] = yield* b.receive()
        assert.strictEqual(yield* emulator.loseSession(Carts, "a"), 0)
        yield* a.lost.pipe(failsWith("SessionLockLostError"))
        // It is in other hands by now.
        yield* b.complete(held!)
        const next = yield* ServiceBusSession.accept(Carts, "a")
        const waiting = yield* start(ServiceBusSession.acceptNext(Carts, { wait: "1 minute" }))
        yield* emulator.idle
        const [message] = yield* next.receive()
        assert.strictEqual(message?.body, "a")
        assert.strictEqual(yield* emulator.loseLocks(Carts), 1)
        yield* next.lost.pipe(failsWith("SessionLockLostError"))
        const taken = yield* Fiber.join(waiting)
        assert.isTrue(taken._tag === "Some")
        const again = taken._tag === "Some" ? yield* taken.value.receive() : []
        assert.deepStrictEqual(again.map(({ body, deliveryCount }) => [body, deliveryCount]), [["a", 1]])
      }),
    once
  )

  test("are refused where there is no such entity, or session", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const missing = yield* emulator.loseLocks("missing").pipe(failsWith("EmulatorError"))
      assert.strictEqual(missing.reason, "notFound")
      for (const entity of [Carts, Texts]) {
        const free = yield* emulator.loseSession(entity, "a").pipe(failsWith("EmulatorError"))
        assert.deepInclude(free, { reason: "notFound", problem: `"${entity.path}" has no locked session "a"` })
      }
    }), once)
})
