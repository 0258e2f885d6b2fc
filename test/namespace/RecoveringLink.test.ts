/** Senders, receivers, streams and processors go on after their link or their connection was lost. */
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  both,
  idsOf,
  type LayerFor,
  linkOf,
  type Name,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const emulated = <A, E>(f: (emulator: Emulator.Controls) => Effect.Effect<A, E>) => Effect.flatMap(Emulator.Emulator, f)

const forced = { condition: "amqp:connection:forced", description: "maintenance" }
const detached = { condition: "amqp:link:detach-forced", description: "moved" }

/** The ways to lose what a link stands on. */
const losses = {
  "the connection is dropped": emulated(({ dropConnections }) => dropConnections),
  "the connection is closed": emulated(({ closeConnections }) => closeConnections(forced)),
  "every link is detached": emulated(({ detachLinks }) => detachLinks(detached)),
  "the links of the entity are detached": emulated(({ detachLinks }) => detachLinks(detached, Texts)),
  "every session is ended": emulated(({ endSessions }) => endSessions(detached)),
  "the broker is stopped for a while": emulated(({ start, stop }) =>
    Effect.andThen(stop, Effect.andThen(Effect.sleep(300), start))
  )
}

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)

    for (const [how, lose] of Object.entries(losses)) {
      test(`a sender goes on: ${how}`, () =>
        passing(Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          yield* sender.send({ body: "", messageId: "before" })
          yield* lose
          yield* sender.send({ body: "", messageId: "after" })
          assert.lengthOf(yield* sender.sendAll(texts(3)), 3)
          const ids = idsOf(yield* emulator.messages(Texts))
          assert.deepStrictEqual([...new Set(ids)], ["before", "after", "0", "1", "2"])
          assert.strictEqual(yield* emulator.connections, 1)
        })))

      test(`a receiver goes on, and what it had received is settled: ${how}`, () =>
        passing(Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(5))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const before = yield* receiver.receive({ max: 3 })
          const waiting = yield* start(receiver.receive({ max: 2 }))
          const rest = yield* Fiber.join(waiting)
          const late = yield* start(receiver.receive())
          const link = linkOf(receiver)
          yield* lose
          // A broker that detaches or closes still reads what was on its way.
          yield* until(Effect.sync(() => link.dead() !== undefined))
          yield* receiver.completeAll(before)
          yield* receiver.renewLock(rest[0]!)
          yield* receiver.complete(rest[0]!)
          yield* receiver.complete(rest[1]!)
          yield* emulator.send(Texts, texts(1, 5))
          const [message] = yield* Fiber.join(late)
          assert.strictEqual(message!.messageId, "5")
          assert.strictEqual(message!.deliveryCount, 0)
          yield* receiver.complete(message!)
          assert.lengthOf(yield* emulator.messages(Texts), 0)
          assert.deepInclude(yield* emulator.counters(Texts), { completed: 6, lockExpired: 0 })
        })))

      test(`a stream goes on: ${how}`, () =>
        passing(Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(3))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const seen = new Set<string>()
          const fiber = yield* start(
            receiver.messages.pipe(
              Stream.takeUntil(({ messageId }) => messageId === "5"),
              Stream.runForEach((message) =>
                Effect.tap(receiver.complete(message), () => Effect.sync(() => seen.add(message.messageId)))
              )
            )
          )
          yield* until(Effect.sync(() => seen.size === 3))
          yield* lose
          yield* emulator.send(Texts, texts(3, 3))
          yield* Fiber.join(fiber)
          assert.deepStrictEqual([...seen], ["0", "1", "2", "3", "4", "5"])
        })))

      test(`a processor goes on, and settles what it had in work: ${how}`, () =>
        passing(Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(6))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const gate = yield* Deferred.make<void>()
          let begun = 0
          const processor = yield* ServiceBusProcessor.make(
            receiver,
            () => Effect.andThen(Effect.sync(() => begun++), Deferred.await(gate)),
            { concurrency: 2 }
          )
          yield* until(Effect.sync(() => begun === 2))
          yield* lose
          yield* emulator.idle
          yield* Deferred.succeed(gate, undefined)
          yield* emulator.send(Texts, texts(2, 6))
          yield* until(Effect.map(processor.counts, ({ completed, unsettled }) => completed + unsettled === 8))
          yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 8))
          const counts = yield* processor.drain
          assert.deepInclude(counts, { received: 8, failed: 0, lockLost: 0 })
        })))
    }

    for (
      const condition of ["amqp:unauthorized-access", "com.microsoft:auth-failed", "some:unknown", "amqp:not-allowed"]
    ) {
      for (
        const [how, lose] of [
          ["a close", emulated(({ closeConnections }) => closeConnections({ condition }))],
          ["an end", emulated(({ endSessions }) => endSessions({ condition }))],
          ["a detach", emulated(({ detachLinks }) => detachLinks({ condition }))]
        ] as const
      ) {
        test(`${how} with ${condition} is a loss like any other`, () =>
          passing(Effect.gen(function*() {
            const emulator = yield* Emulator.Emulator
            const streaming = yield* ServiceBusReceiver.make(Texts)
            const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
            const stream = yield* start(streaming.messages.pipe(Stream.take(1), Stream.runCollect))
            const receive = yield* start(receiver.receive())
            yield* emulator.idle
            const link = linkOf(streaming)
            yield* lose
            yield* until(Effect.sync(() => link.dead() !== undefined))
            yield* emulator.send(Texts, texts(1))
            assert.lengthOf(yield* Fiber.join(stream), 1)
            assert.isUndefined(receive.pollUnsafe())
            yield* Fiber.interrupt(receive)
          })))
      }
    }

    test("a message settled twice, over two links, is settled once", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b] = yield* receiver.receive({ max: 2 })
        yield* receiver.complete(a!)
        yield* emulator.dropConnections
        yield* receiver.receive({ maxWait: 0 })
        const again = yield* Effect.flip(receiver.complete(a!))
        assert.strictEqual(again._tag, "MessageAlreadySettled")
        yield* receiver.complete(b!)
        assert.strictEqual((yield* Effect.flip(receiver.complete(b!)))._tag, "MessageAlreadySettled")
        assert.strictEqual((yield* Effect.flip(receiver.completeAll([b!, b!])))._tag, "MessageAlreadySettled")
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 2)
      })))

    test("every settlement arrives after the link is lost, with its properties", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(4))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b, c, d] = yield* receiver.receive({ max: 4 })
        yield* emulator.dropConnections
        const properties = { tried: 1, by: "me" }
        yield* receiver.complete(a!)
        yield* receiver.abandon(b!, { properties })
        yield* receiver.deadLetter(c!, { reason: "bad", description: "really", properties })
        yield* receiver.defer(d!, { properties })
        const left = yield* emulator.messages(Texts)
        assert.deepStrictEqual(idsOf(left).toSorted(), ["1", "3"])
        for (const message of left) assert.deepInclude(message.applicationProperties, { tried: 1, by: "me" })
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.strictEqual(letter!.messageId, "2")
        assert.strictEqual(letter!.deadLetterReason, "bad")
        assert.strictEqual(letter!.deadLetterErrorDescription, "really")
        assert.deepInclude(letter!.applicationProperties, { tried: 1, by: "me" })
        assert.deepInclude(yield* emulator.counters(Texts), {
          completed: 1,
          abandoned: 1,
          deadLettered: 1,
          deferred: 1
        })
      })))
  })

describe("Recovery", () => both(suite))
