/**
 * Settlements that are refused, interrupted or without an answer: each message is given back, settled again, or of unknown outcome.
 */
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import {
  both,
  failsWith,
  type LayerFor,
  linkOf,
  type Name,
  once,
  passing,
  soon,
  start,
  testsWith,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const busy = (seconds: number) => ({
  condition: "com.microsoft:server-busy",
  description:
    `The request was terminated because the entity is being throttled. Please wait ${seconds} seconds and try again.`
})
const Tables = ServiceBusEntity.queue("tables", { body: ServiceBusBody.text, sessions: true })
const gone = { condition: "com.microsoft:message-lock-lost" }

/** From here on, one disposition of a receiver leaves; the others never do. */
const onlyFirstLeaves = (receiver: object): void => {
  const { session } = linkOf(receiver)
  const dispose = session.dispose
  let n = 0
  session.dispose = function(this: typeof session, ...args: Parameters<typeof dispose>) {
    if (n++ === 0) dispose.apply(this, args)
  } as typeof dispose
}

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Tables)])

    clock(
      "what a busy peer refused is settled after the advice, also where another of the call had lost its lock",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(3))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const messages = yield* receiver.receive({ max: 3 })
          yield* emulator.fail({ operation: "settle", error: gone })
          yield* emulator.fail({ operation: "settle", error: busy(4) })
          yield* passing(receiver.completeAll(messages)).pipe(failsWith("MessageLockLostError"))
          assert.isAtLeast(yield* Clock.currentTimeMillis, 4_000)
          assert.strictEqual((yield* emulator.counters(Texts)).completed, 2)
        })
    )

    clock("a busy peer's refusal in a batch of a processor, where nothing is tried again, gives the message back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.fail({ operation: "settle", error: busy(4) })
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, () =>
          Effect.void, { size: 2, within: "1 second" })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
          completed >= 2)))
        const counts = yield* processor.drain
        assert.deepInclude(counts, { unsettled: 0, released: 1, completed: 2, received: 3 })
      }), once)

    clock("the same where another lost its lock first", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.fail({ operation: "settle", error: gone })
        yield* emulator.fail({ operation: "settle", error: busy(4) })
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, () =>
          Effect.void, { size: 2, within: "1 second" })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) =>
          completed >= 1)))
        const counts = yield* processor.counts
        assert.deepInclude(counts, { unsettled: 0, released: 1, lockLost: 1 })
      }), once)

    test("what the broker had answered before the link was lost is not asked again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 2 })
        onlyFirstLeaves(receiver)
        const settling = yield* start(receiver.completeAll(messages))
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) =>
          completed === 1))
        yield* emulator.idle
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" }, Texts)
        yield* passing(Fiber.join(settling))
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 2)
      }))

    clock("interrupted while it settles by lock tokens, what never left can be settled again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(20))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 20 })
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" }, Texts)
        yield* emulator.idle
        const settling = yield* start(receiver.completeAll(messages))
        yield* Fiber.interrupt(settling)
        yield* emulator.idle
        yield* receiver.complete(messages[19]!)
      }))

    clock("interrupted while the request by lock token is on its way: of unknown outcome, not still ours", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 2 })
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" }, Texts)
        yield* emulator.idle
        // Opens the management link.
        yield* receiver.complete(messages[0]!)
        const settling = yield* start(receiver.complete(messages[1]!))
        yield* soon(() =>
          Effect.runSync(emulator.counters(Texts)).completed === 2
        )
        assert.isUndefined(settling.pollUnsafe())
        yield* Fiber.interrupt(settling)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 2)
        yield* receiver.complete(messages[1]!).pipe(failsWith("MessageAlreadySettled"))
      }))

    test("onFailure, results of handlers and iterables that throw give every message back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        let calls = 0
        const done = yield* Deferred.make<void>()
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, () => {
          calls++
          if (calls > 3) {
            return Effect.as(Deferred.succeed(done, undefined), Settlement.complete)
          }
          return Effect.succeed({
            [Symbol.iterator]: (): Iterator<Settlement.Settlement> => {
              throw new Error("thrown")
            }
          })
        }, {
          size: 2,
          within: "200 millis",
          onFailure: () => {
            throw new Error("thrown as well")
          }
        })
        yield* passing(Deferred.await(done))
        const report = yield* processor.drain
        assert.strictEqual(report.received, report.settled + report.released + report.expired)
        assert.strictEqual(report.unsettled, 0)
      }))

    clock("some refused for being busy and others without an answer: it does not succeed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 2 })
        onlyFirstLeaves(receiver)
        yield* emulator.fail({ operation: "settle", error: busy(4) })
        const error = yield* passing(receiver.completeAll(messages), "1 second").pipe(
          failsWith("OperationTimeoutError")
        )
        assert.strictEqual(error.outcome, "unknown")
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
      }), { texts: { lockDuration: "5 minutes" } })

    test("a deferred message is not tried again later once its receiver is closed, and fails by type", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const [receiver, message] = yield* Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [message] = yield* receiver.receive()
          yield* receiver.defer(message!)
          const [deferred] = yield* receiver.receiveDeferred([message!.sequenceNumber])
          return [receiver, deferred!] as const
        }))
        const exit = yield* Effect.exit(receiver.settle(message, Settlement.retryAfter("1 hour")))
        assert.isTrue(Exit.isFailure(exit) && !Exit.hasDies(exit) && !Exit.hasInterrupts(exit), String(exit))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    clock(
      "a session processor, where nothing is tried again, gives a message that a busy peer refused back with its session",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Tables, [{ body: "0", sessionId: "a" }, { body: "1", sessionId: "a" }])
          yield* emulator.fail({ operation: "settle", error: busy(4) })
          const seen: Array<string> = []
          const processor = yield* ServiceBusProcessor.makeSessions(Tables, (body) => {
            seen.push(body)
            return Effect.void
          }, { concurrentSessions: 1 })
          yield* passing(until(Effect.map(emulator.counters(Tables), ({ completed }) =>
            completed === 2)))
          const report = yield* passing(processor.drain)
          assert.deepStrictEqual(seen, ["0", "0", "1"])
          assert.strictEqual(report.received, report.settled + report.released + report.expired)
          assert.deepInclude(report, { released: 1, unsettled: 0, completed: 2 })
        }),
      once
    )

    clock("after the link was lost, one lock that is over keeps no other message from being completed", () =>
      passing(
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(40))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [first] = yield* receiver.receive()
          yield* Effect.sleep("20 seconds")
          const others = yield* receiver.receive({ max: 39 })
          const link = linkOf(receiver)
          yield* emulator.dropConnections
          yield* until(Effect.sync(() =>
            link.dead() !== undefined
          ))
          yield* Effect.sleep("15 seconds")
          yield* receiver.completeAll([first!, ...others]).pipe(failsWith("MessageLockLostError"))
          assert.strictEqual((yield* emulator.counters(Texts)).completed, 39)
        }),
        "1 second"
      ), { texts: { lockDuration: "30 seconds" } })

    test("a settlement that never reached the broker can be made again, also one that was interrupted", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b] = yield* receiver.receive({ max: 2 })
        const link = linkOf(receiver)
        yield* emulator.stop
        yield* until(Effect.sync(() =>
          link.dead() !== undefined
        ))
        yield* receiver.complete(a!).pipe(failsWith("ServiceBusCommunicationError"))
        yield* emulator.start
        const interrupted = yield* start(receiver.complete(b!))
        yield* Fiber.interrupt(interrupted)
        yield* receiver.complete(a!)
        yield* receiver.complete(b!)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        yield* receiver.complete(a!).pipe(failsWith("MessageAlreadySettled"))
      }), once)
  })

describe("Settlements that fail", () => both(suite))
