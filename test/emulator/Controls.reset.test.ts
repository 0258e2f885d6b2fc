/** Emptied and made as it was, under clients that are connected; and what is scheduled, in the hand of a test. */
import { DateTime, Duration, Effect, Fiber } from "effect"
import {
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { both, failsWith, idsOf, testsWith, Texts } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.text
})
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Once = ServiceBusEntity.queue("once", { body: ServiceBusBody.text })

const entities = [
  Emulator.entity(Carts),
  Emulator.entity(News),
  Emulator.entity(Sport, { rules: [ServiceBusRule.make("large", ServiceBusRule.sql("size > 1"))] }),
  Emulator.entity(Once, { duplicateDetectionWindow: "1 hour" }),
  Emulator.entity("from", { forwardTo: "to" }),
  Emulator.entity("to")
]

both((name, layerFor) => {
  describe(`a reset ${name}`, () => {
    const { test } = testsWith(name, layerFor, entities)

    test("of one entity empties it and what belongs to it, and nothing else", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Once, [{ body: "x", messageId: "x" }])
        yield* sender.sendAll(["dead", "locked", "deferred", "left"].map((body) => ({ body, messageId: body })))
        yield* sender.schedule({ body: "later" }, "1 hour")
        yield* emulator.failTransfer(Texts, [{ body: "transfer" }])
        const [dead, locked, deferred] = yield* receiver.receive({ max: 3 })
        yield* receiver.settle(dead!, Settlement.deadLetter())
        yield* receiver.settle(deferred!, Settlement.defer())
        const waiting = yield* Effect.forkChild(
          ServiceBusReceiver.make(Texts).pipe(
            Effect.flatMap((second) => second.receive({ max: 9, maxWait: "1 second" })),
            Effect.scoped
          )
        )
        yield* Fiber.join(waiting)
        const before = yield* emulator.connections

        assert.strictEqual(yield* emulator.reset(Texts), 6)
        assert.deepStrictEqual(yield* emulator.messages(Texts), [])
        assert.deepStrictEqual(yield* emulator.deadLetters(Texts), [])
        const { sizeInBytes, totalMessageCount } = yield* emulator.runtime(Texts)
        assert.deepStrictEqual([sizeInBytes, totalMessageCount], [0, 0])
        assert.deepStrictEqual(
          Object.entries(yield* emulator.counters(Texts)).filter(([, count]) => count !== 0),
          []
        )
        // Links stay; locks are lost, and numbers begin anew.
        yield* receiver.settle(locked!, Settlement.complete).pipe(failsWith("MessageLockLostError"))
        yield* sender.send({ body: "new", messageId: "new" })
        const [first] = yield* receiver.receive({ max: 1 })
        assert.deepStrictEqual([first?.messageId, first?.sequenceNumber], ["new", 1n])
        assert.strictEqual(yield* emulator.connections, before)
        assert.strictEqual((yield* emulator.messages(Once)).length, 1)
      }))

    test("forgets duplicates, and the states and locks of sessions; who waits for a session waits on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Once, [{ body: "x", messageId: "x" }])
        yield* emulator.reset(Once)
        yield* emulator.send(Once, [{ body: "x", messageId: "x" }])
        assert.strictEqual((yield* emulator.messages(Once)).length, 1)
        yield* emulator.send(Carts, [{ body: "one", sessionId: "s" }])
        const session = yield* ServiceBusSession.accept(Carts, "s")
        yield* session.setState("kept")
        const next = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(
          ServiceBusSession.accept(Carts, "t"),
          ({ sessionId }) => Effect.succeed(sessionId)
        )))
        yield* Fiber.join(next)
        assert.strictEqual(yield* emulator.reset("carts"), 1)
        yield* session.renewLock.pipe(failsWith("SessionLockLostError"))
        const again = yield* ServiceBusSession.accept(Carts, "s")
        assert.strictEqual((yield* again.state)._tag, "None")
        yield* emulator.send(Carts, [{ body: "two", sessionId: "s" }])
        assert.deepStrictEqual((yield* again.receive({ max: 1 })).map(({ body }) => body), ["two"])
      }))

    test("of a topic empties its subscriptions; a disabled target's source, too, is as new", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(News, [{ body: "x", applicationProperties: { size: 2 } }])
        assert.strictEqual((yield* emulator.messages(Sport)).length, 1)
        assert.strictEqual(yield* emulator.reset(News), 1)
        assert.deepStrictEqual(yield* emulator.messages(Sport), [])
        assert.strictEqual((yield* emulator.rules(Sport)).length, 1)
        yield* emulator.update("to", { status: "Disabled" })
        yield* emulator.send("from", [{ body: Buffer.from("x") }])
        assert.strictEqual((yield* emulator.runtime("from")).transferMessageCount, 1)
        assert.strictEqual(yield* emulator.reset("from"), 1)
        yield* emulator.update("to", { status: "Active" })
        yield* emulator.send("from", [{ body: Buffer.from("y") }])
        assert.strictEqual((yield* emulator.messages("to")).length, 1)
        const error = yield* emulator.reset("missing").pipe(failsWith("EmulatorError"))
        assert.deepStrictEqual([error.reason, error.problem], ["notFound", "it has no entity \"missing\""])
      }))

    test("of the namespace makes it what it was: entities, settings, rules, faults; a receiver goes on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const admin = yield* ServiceBusAdministration.ServiceBusAdministration
        yield* emulator.create(Emulator.entity("extra"))
        yield* emulator.delete("once")
        yield* emulator.delete("from")
        yield* emulator.create(Emulator.entity("from", { requiresSession: true }))
        yield* emulator.update(Texts, { lockDuration: "5 seconds", status: "SendDisabled", forwardTo: undefined })
        yield* admin.createRule(Sport, ServiceBusRule.make("all", ServiceBusRule.true))
        yield* admin.deleteRule(Sport, "large")
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:internal-error" } })
        yield* emulator.send("to", [{ body: Buffer.from("x") }])
        assert.strictEqual(yield* emulator.reset(), 1)
        yield* emulator.runtime("extra").pipe(failsWith("EmulatorError"))
        assert.deepStrictEqual((yield* emulator.rules(Sport)).map(({ name }) => name), ["large"])
        yield* emulator.send("from", [{ body: Buffer.from("y") }])
        assert.strictEqual((yield* emulator.messages("to")).length, 1)
        yield* emulator.send(Once, [{ body: "x", messageId: "x" }, { body: "x", messageId: "x" }])
        assert.strictEqual((yield* emulator.messages(Once)).length, 1)
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.send({ body: "on", messageId: "on" })
        const [message] = yield* receiver.receive({ max: 1 })
        assert.strictEqual(message?.messageId, "on")
        const lockedFor = Duration.toSeconds(DateTime.distance(yield* emulator.now, message!.lockedUntil))
        assert.isAbove(lockedFor, 30)
        assert.strictEqual(yield* emulator.reset(), 3)
        assert.strictEqual(yield* emulator.reset(), 0)
      }))
  })

  describe(`scheduled messages ${name}`, () => {
    const { test } = testsWith(name, layerFor, entities)

    test("are listed, delivered and put off, one, several or all of them", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const now = yield* emulator.now
        const numbers: Array<bigint> = []
        for (const hours of [3, 1, 2, 4]) {
          numbers.push(
            yield* sender.schedule({ body: `${hours}`, messageId: `${hours}` }, DateTime.add(now, { hours }))
          )
        }
        yield* sender.send({ body: "now", messageId: "now" })
        assert.deepStrictEqual(idsOf(yield* emulator.scheduled(Texts)), ["3", "1", "2", "4"])
        assert.strictEqual(yield* emulator.deliver("texts", [numbers[3]!]), 1)
        // A client that looks is told of the new time.
        assert.strictEqual(yield* emulator.reschedule(Texts, DateTime.add({ days: 1 }), [numbers[1]!]), 1)
        const [moved] = yield* receiver.peek({ max: 1, from: numbers[1]! })
        assert.strictEqual(
          DateTime.toEpochMillis(moved!.scheduledEnqueueTime!),
          DateTime.toEpochMillis(DateTime.add(now, { days: 1, hours: 1 }))
        )
        assert.strictEqual(yield* emulator.reschedule(Texts, DateTime.subtract({ hours: 2.5 })), 3)
        assert.deepStrictEqual(idsOf(yield* emulator.scheduled(Texts)), ["3", "1"])
        assert.strictEqual(yield* emulator.deliver(Texts), 2)
        assert.strictEqual(yield* emulator.deliver(Texts), 0)
        // In the order in which they were enqueued; those of one call in the order of their times.
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 5 })), ["now", "4", "2", "3", "1"])
        assert.strictEqual((yield* emulator.counters(Texts)).enqueued, 5)
      }))

    test("of a topic go to its subscriptions", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        yield* sender.schedule({ body: "x", applicationProperties: { size: 2 } }, "1 day")
        assert.strictEqual((yield* emulator.scheduled(News)).length, 1)
        assert.strictEqual(yield* emulator.reschedule(News, yield* emulator.now), 1)
        assert.strictEqual((yield* emulator.messages(Sport)).length, 1)
        assert.strictEqual((yield* emulator.runtime(News)).sizeInBytes, (yield* emulator.runtime(Sport)).sizeInBytes)
      }))

    test("that are none, and times that are none, are refused and nothing is changed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const number = yield* sender.schedule({ body: "x" }, "1 hour")
        const wrong = [
          emulator.deliver(Texts, [number, 99n]),
          emulator.deliver(Texts, 5 as never),
          emulator.deliver("missing"),
          emulator.reschedule(Texts, yield* emulator.now, [99n]),
          emulator.reschedule(Texts, "1 hour" as never),
          emulator.reschedule(Texts, undefined as never),
          emulator.reschedule(Texts, () => 5 as never),
          emulator.reschedule(Texts, () => {
            throw new Error("by intention")
          }),
          emulator.reschedule(Texts, DateTime.makeUnsafe(8.64e15)),
          emulator.scheduled("missing")
        ]
        const reasons: Array<string> = []
        for (const each of wrong) {
          reasons.push((yield* (each as Effect.Effect<unknown, never>).pipe(failsWith("EmulatorError"))).reason)
        }
        assert.deepStrictEqual(reasons, [
          "notFound",
          "invalid",
          "notFound",
          "notFound",
          "invalid",
          "invalid",
          "invalid",
          "invalid",
          "invalid",
          "notFound"
        ])
        assert.strictEqual((yield* emulator.scheduled(Texts)).length, 1)
      }))
  })
})
