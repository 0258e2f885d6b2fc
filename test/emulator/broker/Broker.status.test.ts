/** What the status of an entity refuses and lets through, for what is attached already and for what comes. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { both, failsWith, linkOf, once, passing, start, testsWith, Texts, until } from "../../support/harness.ts"
import { assert, describe } from "../../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Paper = ServiceBusEntity.subscription(News, "paper")
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const Hop = ServiceBusEntity.queue("hop", { body: ServiceBusBody.text })
const Bystander = ServiceBusEntity.queue("bystander", { body: ServiceBusBody.text })

const entities = [
  Emulator.entity(News),
  Emulator.entity(Sport),
  Emulator.entity(Paper),
  Emulator.entity(Carts),
  Emulator.entity(Hop),
  Emulator.entity(Bystander)
]

/** Another queue is sent to and received from, by links that were there before. */
const beside = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const sender = yield* ServiceBusSender.make(Bystander)
    const receiver = yield* ServiceBusReceiver.make(Bystander)
    yield* sender.send({ body: "before" })
    const [before] = yield* receiver.receive()
    yield* body
    yield* receiver.complete(before!)
    yield* sender.send({ body: "after" })
    yield* receiver.complete((yield* receiver.receive())[0]!)
    assert.deepInclude(yield* emulator.counters(Bystander), {
      enqueued: 2,
      completed: 2,
      redelivered: 0,
      lockExpired: 0
    })
    assert.strictEqual(yield* emulator.connections, 1)
  })

/** The first try of what is under way meets the detach, and its second the reason. */
const twice = { client: { retry: { maxRetries: 1 } } } as const

const disabled = failsWith("MessagingEntityDisabledError")

both((name, layerFor) =>
  describe(`The status of an entity, ${name}`, () => {
    const { clock, test } = testsWith(name, layerFor, entities)

    for (const status of ["SendDisabled", "Disabled"] as const) {
      test(`${status}: nothing is sent to a queue, scheduled or cancelled`, () =>
        beside(Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          const number = yield* sender.schedule({ body: "later" }, "1 hour")
          yield* emulator.update(Texts, { status })
          const error = yield* passing(disabled(ServiceBusSender.make(Texts)))
          assert.match(
            error.description!,
            status === "Disabled"
              ? /^Messaging entity 'sb:.*\/texts' is currently disabled\./
              : /is currently disabled for Send operations\./
          )
          assert.strictEqual(error.condition, "com.microsoft:entity-disabled")
          yield* passing(disabled(sender.send({ body: "1" })))
          yield* passing(disabled(sender.schedule({ body: "1" }, "1 hour")))
          yield* passing(disabled(sender.cancelScheduled([number])))
          assert.match((yield* Effect.flip(emulator.send(Texts, [{ body: "1" }]))).message, /disabled/)
          yield* emulator.update(Texts, { status: "Active" })
          yield* passing(sender.send({ body: "2" }))
          yield* passing(sender.cancelScheduled([number]))
          assert.deepStrictEqual((yield* emulator.messages(Texts)).map(({ body }) => body), ["2"])
        })), once)
    }

    test("SendDisabled: what is in the queue is received, settled and browsed", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, [{ body: "1" }, { body: "2" }, { body: "3" }])
        const [before] = yield* receiver.receive()
        yield* emulator.update(Texts, { status: "SendDisabled" })
        yield* receiver.complete(before!)
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!)
        const [deferred] = yield* receiver.receiveDeferred([message!.sequenceNumber])
        yield* receiver.deadLetter(deferred!)
        assert.deepStrictEqual((yield* receiver.peek()).map(({ body }) => body), ["3"])
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
        yield* dead.complete((yield* dead.receive())[0]!)
      })), once)

    for (const status of ["ReceiveDisabled", "Disabled"] as const) {
      test(`${status}: nothing is received from a queue, settled or browsed, and locks run on`, () =>
        beside(Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* emulator.send(Texts, [{ body: "1" }, { body: "2" }])
          const [message] = yield* receiver.receive()
          yield* emulator.update(Texts, { status })
          const error = yield* passing(disabled(ServiceBusReceiver.make(Texts)))
          assert.match(error.description!, /^Messaging entity 'sb:.*\/texts' is currently disabled\./)
          yield* passing(disabled(receiver.receive()))
          yield* passing(disabled(receiver.peek()))
          yield* passing(disabled(receiver.renewLock(message!)))
          yield* passing(disabled(receiver.complete(message!)))
          yield* passing(disabled(ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))))
          assert.deepStrictEqual(
            (yield* emulator.messages(Texts)).map(({ body }) =>
              body
            ),
            ["1", "2"]
          )
          yield* emulator.update(Texts, { status: "Active" })
          yield* passing(receiver.complete(message!))
          const [next] = yield* passing(receiver.receive())
          assert.strictEqual(next!.body, "2")
          yield* receiver.complete(next!)
        })), once)
    }

    test("ReceiveDisabled: a queue takes messages, from a sender that was there and from one that comes", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.update(Texts, { status: "ReceiveDisabled" })
        yield* sender.send({ body: "1" })
        yield* Effect.flatMap(ServiceBusSender.make(Texts), (other) =>
          other.send({ body: "2" }))
        assert.lengthOf(yield* emulator.messages(Texts), 2)
      })), once)

    test("a topic that is disabled takes nothing, and its subscriptions give what they have", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        const sport = yield* ServiceBusReceiver.make(Sport)
        yield* sender.send({ body: "1" })
        yield* emulator.update(News, { status: "Disabled" })
        yield* passing(disabled(ServiceBusSender.make(News)))
        yield* passing(disabled(sender.send({ body: "2" })))
        const [message] = yield* sport.receive()
        yield* sport.complete(message!)
        yield* emulator.update(News, { status: "Active" })
        yield* passing(sender.send({ body: "3" }))
        assert.deepStrictEqual(
          (yield* sport.receive()).map(({ body }) =>
            body
          ),
          ["3"]
        )
      })), once)

    test("a subscription that is disabled gets its copies, and gives none until it is active", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        const sport = yield* ServiceBusReceiver.make(Sport)
        const paper = yield* ServiceBusReceiver.make(Paper)
        const waiting = yield* start(disabled(sport.receive()))
        yield* emulator.update(Sport, { status: "Disabled" })
        yield* sender.send({ body: "1" })
        yield* passing(Fiber.join(waiting))
        assert.deepStrictEqual(
          (yield* paper.receive()).map(({ body }) =>
            body
          ),
          ["1"]
        )
        yield* emulator.update(Sport, { status: "Active" })
        assert.deepStrictEqual(
          (yield* passing(sport.receive())).map(({ body }) =>
            body
          ),
          ["1"]
        )
      })), twice)

    test("a session that is held is given up, and accepted again when the queue is active", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Carts, [{ body: "1", sessionId: "a" }])
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const [message] = yield* session.receive()
        yield* emulator.update(Carts, { status: "ReceiveDisabled" })
        yield* passing(disabled(ServiceBusSession.accept(Carts, "a")))
        yield* passing(failsWith("SessionLockLostError")(session.complete(message!)))
        yield* emulator.update(Carts, { status: "Active" })
        const again = yield* passing(ServiceBusSession.accept(Carts, "a"))
        const [same] = yield* again.receive()
        assert.deepInclude(same!, { body: "1", deliveryCount: 0 })
        yield* again.complete(same!)
      })), once)

    test("a processor goes on after a pause of its queue that is shorter than its retries", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const handled: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(Texts, (body) =>
          Effect.sync(() =>
            void handled.push(body)
          ))
        yield* emulator.send(Texts, [{ body: "1" }])
        yield* until(Effect.sync(() =>
          handled.length === 1
        ))
        yield* emulator.update(Texts, { status: "ReceiveDisabled" })
        yield* emulator.send(Texts, [{ body: "2" }])
        yield* emulator.update(Texts, { status: "Active" })
        yield* passing(until(Effect.sync(() =>
          handled.length === 2
        )))
        yield* processor.drain
        assert.deepStrictEqual(handled, ["1", "2"])
      })))

    test("processors of an entity that stays disabled end with the reason, those of messages and of sessions", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const handled: Array<string> = []
        const handler = (body: string) =>
          Effect.sync(() =>
            void handled.push(body)
          )
        const messages = yield* start(disabled(ServiceBusProcessor.process(Texts, handler)))
        const sessions = yield* start(disabled(Effect.scoped(ServiceBusProcessor.processSessions(Carts, handler))))
        yield* emulator.send(Texts, [{ body: "1" }])
        yield* emulator.send(Carts, [{ body: "2", sessionId: "a" }])
        yield* passing(until(Effect.sync(() =>
          handled.length === 2
        )))
        yield* emulator.update(Texts, { status: "Disabled" })
        yield* emulator.update(Carts, { status: "Disabled" })
        const ended = yield* passing(Fiber.join(messages))
        assert.strictEqual(ended.condition, "com.microsoft:entity-disabled")
        yield* passing(Fiber.join(sessions))
      })), twice)

    clock("what is scheduled is enqueued in a disabled queue, and what expires expires", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.schedule({ body: "later" }, "1 minute")
        yield* sender.send({ body: "short", timeToLive: "30 seconds" })
        yield* emulator.update(Texts, { status: "Disabled" })
        assert.strictEqual((yield* emulator.runtime(Texts)).scheduledMessageCount, 1)
        yield* TestClock.adjust("2 minutes")
        assert.deepInclude(yield* emulator.runtime(Texts), { activeMessageCount: 1, scheduledMessageCount: 0 })
      }))

    clock("a queue that is disabled forwards nothing until it is active", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.update(Hop, { status: "ReceiveDisabled", forwardTo: Texts })
        yield* emulator.send(Hop, [{ body: "1" }])
        yield* TestClock.adjust("5 minutes")
        assert.deepInclude(yield* emulator.runtime(Hop), { transferMessageCount: 1, deadLetterMessageCount: 0 })
        yield* emulator.update(Hop, { status: "Active" })
        assert.deepStrictEqual(
          (yield* emulator.messages(Texts)).map(({ body }) =>
            body
          ),
          ["1"]
        )
      }))

    test("nothing is received from an entity that forwards, nor from dead letters that are", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Hop)
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Hop))
        const forwards = (effect: Effect.Effect<unknown, unknown, never>) =>
          Effect.map(passing(failsWith("ServiceBusError")(effect)), ({ condition, description }) => {
            assert.strictEqual(condition, "amqp:not-allowed")
            assert.match(description!, /^Cannot create a message receiver on an entity with auto-forwarding enabled\./)
          })
        yield* emulator.update(Hop, { forwardDeadLetteredMessagesTo: Texts })
        yield* forwards(dead.receive())
        yield* emulator.send(Hop, [{ body: "1" }])
        yield* receiver.deadLetter((yield* receiver.receive())[0]!, { reason: "why", description: "what" })
        const texts = yield* ServiceBusReceiver.make(Texts)
        const [letter] = yield* texts.receive()
        assert.deepInclude(letter!, {
          body: "1",
          deadLetterReason: "why",
          deadLetterErrorDescription: "what",
          deadLetterSource: "hop",
          enqueuedSequenceNumber: 1n,
          deliveryCount: 0
        })
        yield* texts.complete(letter!)
        yield* emulator.update(Hop, { forwardDeadLetteredMessagesTo: null })
        const letters = yield* start(dead.receive())
        yield* until(Effect.sync(() =>
          linkOf(dead).rhea.is_open()
        ))
        const link = linkOf(dead)
        yield* emulator.update(Hop, { forwardTo: Texts })
        yield* forwards(receiver.receive())
        assert.deepStrictEqual(yield* passing(receiver.peek()), [])
        yield* emulator.send(Hop, [{ body: "2" }])
        assert.deepStrictEqual((yield* texts.receive()).map(({ body, deadLetterSource }) => [body, deadLetterSource]), [
          ["2", undefined]
        ])
        yield* emulator.update(Hop, { forwardTo: null })
        yield* emulator.send(Hop, [{ body: "3" }])
        const [third] = yield* passing(receiver.receive())
        assert.strictEqual(third!.body, "3")
        // Who receives dead letters has noticed nothing.
        assert.strictEqual(linkOf(dead), link)
        yield* receiver.deadLetter(third!)
        assert.deepStrictEqual(
          (yield* Fiber.join(letters)).map(({ body }) => body),
          ["3"]
        )
      })), twice)
  })
)
