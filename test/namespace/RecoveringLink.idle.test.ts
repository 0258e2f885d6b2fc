/** Links and connections that are idle are ended by the broker, and opened again by the next use. */
import { ServiceBusProcessor, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  idsOf,
  inMemory,
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

/** Virtual time, in steps that leave recoveries their turns. */
const passes = (duration: Duration.Input, step: Duration.Input = "10 seconds") => passing(Effect.sleep(duration), step)

/** In memory only: it is about minutes. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock } = testsOf(name, layerFor)

    clock("the broker detaches a link without traffic after ten minutes, with the service's text", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [sending, receiving] = [linkOf(sender), linkOf(receiver)]
        yield* passes("9 minutes")
        yield* sender.send({ body: "" })
        assert.isUndefined(receiving.dead())
        yield* passes("2 minutes")
        assert.strictEqual(receiving.dead()?._tag, "ServiceBusConnectionError")
        assert.include(
          receiving.dead()?.message,
          "Detach origin: AmqpMessageConsumer.IdleTimerExpired: Idle timeout: 00:10:00"
        )
        assert.include(receiving.dead()?.message, receiving.rhea.name)
        assert.isUndefined(sending.dead())
        yield* passes("9 minutes")
        assert.include(sending.dead()?.message, "AmqpMessagePublisher.IdleTimerExpired")
        // And no caller notices.
        yield* sender.send({ body: "", messageId: "late" })
        assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 2 })).slice(1), ["late"])
      }))

    clock("sender, receiver, stream and processor that are idle for hours go on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const streamed: Array<string> = []
        const streaming = yield* ServiceBusReceiver.make(Texts)
        const fiber = yield* start(
          streaming.messages.pipe(
            Stream.take(1),
            Stream.runForEach((message) =>
              Effect.tap(streaming.complete(message), () =>
                Effect.sync(() =>
                  streamed.push(message.messageId)
                ))
            )
          )
        )
        yield* passes("3 hours", "1 minute")
        yield* sender.send({ body: "", messageId: "streamed" })
        yield* passing(Fiber.join(fiber))
        assert.deepStrictEqual(streamed, ["streamed"])

        const receiver = yield* ServiceBusReceiver.make(Texts)
        const waiting = yield* start(receiver.receive({ maxWait: Duration.infinity }))
        yield* passes("3 hours", "1 minute")
        yield* sender.send({ body: "", messageId: "received" })
        const [message] = yield* passing(Fiber.join(waiting))
        assert.strictEqual(message!.messageId, "received")
        yield* receiver.complete(message!)

        const worker = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(worker, () => Effect.void)
        yield* passes("3 hours", "1 minute")
        yield* sender.send({ body: "" })
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)))
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 3, delivered: 3, lockExpired: 0 })
        assert.strictEqual(yield* emulator.connections, 1)
        // Nine hours in steps of a minute: many turns of an event loop that other tests share.
      }), { timeout: 60_000 })

    clock("renewing a lock keeps the link that the message came on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const link = linkOf(receiver)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.sleep("1 hour"), {
          concurrency: 1,
          maxLockRenewal: Duration.infinity
        })
        yield* passes("61 minutes")
        assert.isUndefined(link.dead())
        assert.deepInclude(yield* processor.counts, { completed: 1, lockLost: 0 })
      }), { texts: { lockDuration: "1 minute" } })

    clock("a $management node that was idle is opened again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const error = { condition: "amqp:link:detach-forced", description: "idle" }
        for (let i = 0; i < 3; i++) {
          yield* receiver.renewLock(message!)
          yield* emulator.detachLinks(error, "texts/$management")
          yield* emulator.idle
        }
        yield* receiver.renewLock(message!)
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 4)
      }))

    clock("$cbs that was idle is opened again when a token is due", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const link = linkOf(sender)
        // Every five minutes, so that the sender's own link is never idle; $cbs is, from the tenth on.
        for (let i = 0; i < 30; i++) {
          yield* passes("5 minutes", "1 minute")
          yield* sender.send({ body: "" })
        }
        assert.isUndefined(link.dead())
        assert.strictEqual(yield* emulator.connections, 1)
      }))

    clock("a connection without links is closed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const { connection } = linkOf(receiver)
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" })
        yield* passes("299 seconds", "1 second")
        assert.isUndefined(connection.dead())
        yield* passes("2 seconds")
        assert.strictEqual(connection.dead()?.condition, "amqp:connection:forced")
        assert.include(
          connection.dead()?.message,
          "inactive for more than the allowed 300000 milliseconds and is closed by container 'LinkTracker'"
        )
        yield* emulator.send(Texts, texts(1))
        assert.lengthOf(yield* receiver.receive(), 1)
        assert.strictEqual(yield* emulator.connections, 1)
        assert.notStrictEqual(linkOf(receiver).connection, connection)
      }))
  })

describe("Idle links", () => {
  suite("in memory", inMemory)
})
