/** Entities are created, updated and deleted while clients are connected, by a test or because nothing uses them. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { both, failsWith, once, passing, start, testsWith, Texts, until } from "../../support/harness.ts"
import { assert, describe } from "../../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Paper = ServiceBusEntity.subscription(News, "paper")
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const Bystander = ServiceBusEntity.queue("texts2", { body: ServiceBusBody.text })

const entities = [
  Emulator.entity(News),
  Emulator.entity(Sport),
  Emulator.entity(Paper),
  Emulator.entity(Carts),
  Emulator.entity(Bystander)
]

/** Another entity goes on, over the same connection, as if nothing had happened. */
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
    const [after] = yield* receiver.receive()
    yield* receiver.complete(after!)
    assert.deepInclude(yield* emulator.counters(Bystander), {
      enqueued: 2,
      completed: 2,
      redelivered: 0,
      deleted: 0,
      lockExpired: 0
    })
    assert.strictEqual(yield* emulator.connections, 1)
  })

both((name, layerFor) =>
  describe(`Entities that come and go, ${name}`, () => {
    const { clock, test } = testsWith(name, layerFor, entities)

    test("a deleted queue is not found by anything that was attached, and its messages are gone", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.sendAll([{ body: "1" }, { body: "2" }, { body: "3" }])
        const [locked, dead] = yield* receiver.receive({ max: 2 })
        yield* receiver.deadLetter(dead!)
        const waiting = yield* start(
          ServiceBusReceiver.make(ServiceBusEntity.transferDeadLetter(Texts)).pipe(
            Effect.flatMap((other) =>
              other.receive()
            ),
            failsWith("MessagingEntityNotFoundError")
          )
        )
        assert.strictEqual(yield* emulator.delete(Texts), 3)
        const error = yield* passing(failsWith("MessagingEntityNotFoundError")(receiver.receive()))
        assert.match(error.description!, /The messaging entity 'sb:\/\/.*\/texts' could not be found/)
        yield* passing(failsWith("MessagingEntityNotFoundError")(sender.send({ body: "4" })))
        yield* passing(failsWith("MessagingEntityNotFoundError")(receiver.peek()))
        yield* passing(failsWith("MessagingEntityNotFoundError")(receiver.complete(locked!)))
        yield* passing(Fiber.join(waiting))
        yield* Effect.flip(emulator.messages(Texts))
      })), once)

    test("what comes for an entity straight after its deletion is answered, and its links are detached then", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const publisher = yield* ServiceBusSender.make(News)
        const rules = yield* ServiceBusRuleManager.make(Sport)
        yield* sender.send({ body: "1" })
        yield* publisher.send({ body: "1" })
        yield* Stream.runDrain(rules.list)
        yield* emulator.delete(Texts)
        yield* failsWith("MessagingEntityNotFoundError")(sender.send({ body: "2" }))
        yield* emulator.delete(Sport)
        yield* failsWith("MessagingEntityNotFoundError")(rules.create("r", ServiceBusRule.true))
        yield* emulator.delete(News)
        yield* failsWith("MessagingEntityNotFoundError")(publisher.send({ body: "2" }))
        yield* failsWith("MessagingEntityNotFoundError")(publisher.schedule({ body: "2" }, "1 hour"))
        yield* emulator.create(Emulator.entity(News))
        yield* emulator.create(Emulator.entity(Sport))
        yield* publisher.send({ body: "3" })
        assert.deepStrictEqual(
          (yield* emulator.messages(Sport)).map(({ body }) =>
            body
          ),
          ["3"]
        )
      })))

    test("a queue that is there again serves the sender and the receiver that were attached before", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({ body: "old" })
        assert.strictEqual(yield* emulator.delete("TEXTS"), 1)
        yield* emulator.create(Emulator.entity(Texts, { maxDeliveryCount: 1 }))
        yield* passing(sender.send({ body: "new" }))
        const [message] = yield* passing(receiver.receive())
        assert.deepInclude(message!, { body: "new", sequenceNumber: 1n })
        yield* receiver.abandon(message!)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 1)
      })))

    test("a processor of a deleted queue ends with the reason; one of a queue that is there again goes on", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const handled: Array<string> = []
        const work = ServiceBusProcessor.process(Texts, (body) => Effect.sync(() => void handled.push(body)))
        const fiber = yield* start(failsWith("MessagingEntityNotFoundError")(work))
        yield* emulator.send(Texts, [{ body: "1" }])
        yield* until(Effect.sync(() => handled.length === 1))
        yield* emulator.delete(Texts)
        yield* passing(Fiber.join(fiber))
        yield* emulator.create(Emulator.entity(Texts))
        const again = yield* start(work)
        yield* emulator.send(Texts, [{ body: "2" }])
        yield* passing(until(Effect.sync(() => handled.length === 2)))
        yield* Fiber.interrupt(again)
        assert.deepStrictEqual(handled, ["1", "2"])
      })))

    test("a session processor of a deleted queue ends with the reason, and hands over no message of another life", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const handled: Array<string> = []
        const work = ServiceBusProcessor.processSessions(Carts, (body) => Effect.sync(() => void handled.push(body)))
        const fiber = yield* start(failsWith("MessagingEntityNotFoundError")(Effect.scoped(work)))
        yield* emulator.send(Carts, [{ body: "1", sessionId: "a" }])
        yield* passing(until(Effect.sync(() => handled.length === 1)))
        yield* emulator.delete(Carts)
        yield* passing(Fiber.join(fiber))
        yield* emulator.create(Emulator.entity(Carts))
        const again = yield* start(Effect.scoped(work))
        yield* emulator.send(Carts, [{ body: "2", sessionId: "a" }])
        yield* passing(until(Effect.sync(() => handled.length === 2)))
        yield* Fiber.interrupt(again)
        assert.deepStrictEqual(handled, ["1", "2"])
      })))

    test("a topic goes with its subscriptions, and comes back without them", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        const sport = yield* ServiceBusReceiver.make(Sport)
        yield* sender.send({ body: "1" })
        assert.strictEqual((yield* emulator.runtime(News)).subscriptionCount, 2)
        assert.strictEqual(yield* emulator.delete(Paper), 1)
        assert.deepInclude(yield* emulator.runtime(News), {
          subscriptionCount: 1,
          sizeInBytes: (yield* emulator.runtime(Sport)).sizeInBytes
        })
        yield* sender.send({ body: "2" })
        assert.deepStrictEqual((yield* sport.receive({ max: 2 })).map(({ body }) => body), ["1", "2"])
        assert.strictEqual(yield* emulator.delete(News), 2)
        yield* passing(failsWith("MessagingEntityNotFoundError")(sport.receive()))
        yield* passing(failsWith("MessagingEntityNotFoundError")(ServiceBusReceiver.make(Sport)))
        yield* passing(failsWith("MessagingEntityNotFoundError")(sender.send({ body: "3" })))
        yield* emulator.create(Emulator.entity(News))
        yield* passing(sender.send({ body: "4" }))
        yield* emulator.create(Emulator.entity(Sport, {
          rules: [ServiceBusRule.make("r", ServiceBusRule.correlation({ subject: "ball" }))]
        }))
        yield* sender.sendAll([{ body: "5" }, { body: "6", subject: "ball" }])
        assert.deepStrictEqual((yield* passing(sport.receive())).map(({ body }) => body), ["6"])
      })), once)

    test("who holds a session of a deleted queue, and who waits for one, is told", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Carts)
        yield* sender.send({ body: "1", sessionId: "a" })
        const session = yield* ServiceBusSession.accept(Carts, "a")
        const [message] = yield* session.receive()
        const waiting = yield* start(
          failsWith("MessagingEntityNotFoundError")(ServiceBusSession.acceptNext(Carts, {
            maxWait: "1 minute"
          }))
        )
        yield* emulator.idle
        yield* until(Effect.map(emulator.counters(Carts), ({ sessionsAccepted }) => sessionsAccepted === 1))
        assert.strictEqual(yield* emulator.delete(Carts), 1)
        yield* passing(Fiber.join(waiting))
        yield* passing(failsWith("SessionLockLostError")(session.complete(message!)))
        yield* emulator.create(Emulator.entity(Carts))
        yield* passing(sender.send({ body: "2", sessionId: "a" }))
        const again = yield* passing(ServiceBusSession.acceptNext(Carts, { maxWait: "5 seconds" }))
        assert.strictEqual(Option.getOrThrow(again).sessionId, "a")
      })), once)

    test("options change for what comes after, and for nothing else", () =>
      beside(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({ body: "1" })
        yield* emulator.update(Texts, { maxDeliveryCount: 1, defaultTimeToLive: "1 hour" })
        yield* sender.send({ body: "2" })
        const [first, second] = yield* receiver.receive({ max: 2 })
        assert.deepStrictEqual([first!.timeToLive, second!.timeToLive === undefined], [undefined, false])
        yield* receiver.abandon(first!)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 1)
        yield* emulator.update(Texts, { maxSize: 1, maxDeliveryCount: undefined })
        // What was not given is as it was.
        yield* receiver.abandon(second!)
        assert.lengthOf(yield* emulator.deadLetters(Texts), 2)
        const full = yield* failsWith("ServiceBusQuotaExceededError")(sender.send({ body: "3" }))
        assert.match(full.description!, /maximum entity size has been reached or exceeded for Queue/)
      })), once)

    test("what cannot be is refused by name, and changes nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const problem = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
          Effect.map(Effect.flip(effect), (error) => "problem" in error ? String(error.problem) : error._tag)
        const wrong: ReadonlyArray<readonly [Effect.Effect<unknown, { readonly _tag: string }>, RegExp]> = [
          [emulator.create(Emulator.entity(Texts)), /queue "texts" is there already; delete or update it/],
          [
            emulator.create(Emulator.entity("x", { status: "Off" as never })),
            /queue "x": status must be "Active", .* or/
          ],
          [
            emulator.create(Emulator.entity("x", { forwardto: "texts" } as never)),
            /queue "x": a queue has no option "forwardto"; did you mean forwardTo\?$/
          ],
          [
            emulator.update(News, { lockDuration: "1 minute" } as never),
            /topic "news": a topic has no option "lockDuration"; its options are defaultTimeToLive, /
          ],
          [
            emulator.create(Emulator.entity("news/Subscriptions/x")),
            /cannot have the path of a subscription; declare .*ServiceBusEntity\.subscription/
          ],
          [
            emulator.create(Emulator.entity("x", { autoDeleteOnIdle: "4 minutes" })),
            /"x": autoDeleteOnIdle .* 5 minutes or more/
          ],
          [
            emulator.update(News, { status: "ReceiveDisabled" as never }),
            /topic "news": status must be .*"SendDisabled"$/
          ],
          [
            emulator.update(Sport, { status: "SendDisabled" as never }),
            /"sport" of "news": status must be .*"ReceiveDisabled"$/
          ],
          [
            emulator.update(Texts, { requiresSession: true }),
            /value for the RequiresSession property .* cannot be changed; delete/
          ],
          [
            emulator.update(Texts, { duplicateDetectionWindow: "1 minute" }),
            /RequiresDuplicateDetection .* cannot be changed/
          ],
          [emulator.update(Texts, { lockDuration: "1 hour" }), /queue "texts": lockDuration must be between/],
          [emulator.update(Sport, { rules: [] } as never), /"sport" of "news": rules must be left out; a rule manager/],
          [emulator.update("nothing", {}), /it has no entity "nothing"$/],
          [emulator.delete("nothing"), /it has no entity "nothing"/],
          [emulator.update(7 as never, {}), /has no entity|not usable/],
          [emulator.create(undefined as never), /an entity is made by Emulator\.entity$/],
          [emulator.runtime("texts/$DeadLetterQueue"), /has no entity/]
        ]
        for (const [effect, pattern] of wrong) assert.match(yield* problem(effect), pattern)
        yield* emulator.send(Texts, [{ body: "1" }])
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    test("counts messages by their states, and says when it was used", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const created = yield* emulator.runtime(Texts)
        assert.deepStrictEqual(created.createdAt, created.updatedAt)
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.sendAll([{ body: "dead" }, { body: "deferred" }, { body: "locked" }, { body: "waits" }])
        const [scheduled] = yield* sender.scheduleAll([{ body: "a" }, { body: "b" }], "1 hour")
        const [dead, deferred] = yield* receiver.receive({ max: 3 })
        yield* receiver.deadLetter(dead!)
        yield* receiver.defer(deferred!)
        yield* emulator.failTransfer(Texts, [{ body: "lost" }])
        const runtime = yield* emulator.runtime(Texts)
        assert.deepInclude(runtime, {
          totalMessageCount: 7,
          activeMessageCount: 3,
          deadLetterMessageCount: 1,
          scheduledMessageCount: 2,
          transferMessageCount: 0,
          transferDeadLetterMessageCount: 1,
          subscriptionCount: 0
        })
        assert.isAbove(runtime.sizeInBytes, 0)
        assert.isAtLeast(runtime.accessedAt.epochMilliseconds, created.createdAt.epochMilliseconds)
        yield* sender.cancelScheduled([scheduled!])
        assert.strictEqual((yield* emulator.runtime(Texts)).scheduledMessageCount, 1)
      }))

    clock("an entity that nothing uses is deleted, and one that something uses is not", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Bystander, [{ body: "stays" }])
        const isThere = (entity: string) =>
          Effect.match(emulator.runtime(entity), {
            onFailure: () => false,
            onSuccess: () => true
          })
        const idle = { autoDeleteOnIdle: "5 minutes" } as const
        const names = ["unused", "sent", "received", "browsed", "attached", "scheduled", "forwards", "updated"]
        for (const each of names) {
          yield* emulator.create(
            Emulator.entity(each, { ...idle, ...(each === "forwards" ? { forwardTo: Texts } : {}) })
          )
        }
        const bytes = { body: new Uint8Array(1) }
        const send = Effect.flatMap(ServiceBusSender.make("sent"), (sender) => sender.send(bytes)).pipe(Effect.scoped)
        const receive = Effect.flatMap(
          ServiceBusReceiver.makeDestructive("received"),
          (receiver) => receiver.receive()
        ).pipe(Effect.scoped)
        const browse = Effect.flatMap(ServiceBusReceiver.make("browsed"), (receiver) => receiver.peek()).pipe(
          Effect.scoped
        )
        yield* emulator.send("received", [bytes])
        yield* ServiceBusReceiver.make("attached")
        const scheduled = yield* ServiceBusSender.make("scheduled")
        yield* scheduled.schedule(bytes, "10 minutes")
        yield* TestClock.adjust("4 minutes")
        yield* Effect.all([send, receive, browse, emulator.update("updated", { maxDeliveryCount: 3 })])
        yield* TestClock.adjust("70 seconds")
        const left = names.filter((each) => each !== "unused")
        assert.deepStrictEqual(yield* Effect.filter(names, isThere), left)
        // Its deletion is like any other.
        yield* failsWith("MessagingEntityNotFoundError")(ServiceBusReceiver.make("unused"))
        // What was used is deleted when it is not used any more; scheduled messages and receivers last.
        yield* TestClock.adjust("4 minutes")
        assert.deepStrictEqual(yield* Effect.filter(names, isThere), ["attached", "scheduled", "forwards"])
        // A link without traffic is detached after 10 minutes.
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* Effect.filter(names, isThere), ["forwards"])
        assert.lengthOf(yield* emulator.messages(Bystander), 1)
      }), once)

    clock("a target of a forwarding is used by what comes from there, and by nothing else", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const isThere = (entity: string) => Effect.map(Effect.exit(emulator.runtime(entity)), Exit.isSuccess)
        const idle = { autoDeleteOnIdle: "5 minutes" } as const
        const topic = ServiceBusEntity.topic("target-topic", { body: ServiceBusBody.text })
        yield* emulator.create(Emulator.entity("target", idle))
        yield* emulator.create(Emulator.entity("graveyard", idle))
        yield* emulator.create(Emulator.entity(topic, idle))
        yield* emulator.create(
          Emulator.entity("source", { forwardTo: "target", forwardDeadLetteredMessagesTo: "graveyard" })
        )
        yield* emulator.create(Emulator.entity("other", { forwardTo: topic }))
        const targets = ["target", "graveyard", topic.path]
        yield* TestClock.adjust("4 minutes")
        yield* emulator.send("source", [{ body: new Uint8Array(1) }])
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* Effect.filter(targets, isThere), ["target"])
        // The sources stay, and what they hold goes where it goes without a target.
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* Effect.filter([...targets, "source", "other"], isThere), ["source", "other"])
        yield* emulator.send("source", [{ body: new Uint8Array(1) }])
        yield* TestClock.adjust("61 seconds")
        assert.deepStrictEqual(
          (yield* emulator.deadLetters("source")).map(({ deadLetterReason }) => deadLetterReason),
          ["MessagingEntityNotFoundException"]
        )
      }), once)

    clock("a topic is used while its subscriptions are, and a subscription by what it gives, not by what it gets", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const isThere = (entity: string) =>
          Effect.match(emulator.runtime(entity), {
            onFailure: () =>
              false,
            onSuccess: () => true
          })
        yield* emulator.update(News, { autoDeleteOnIdle: "10 minutes" })
        yield* emulator.update(Sport, { autoDeleteOnIdle: "5 minutes" })
        const read = Effect.flatMap(ServiceBusReceiver.make(Paper), (receiver) => receiver.peek()).pipe(Effect.scoped)
        yield* TestClock.adjust("4 minutes")
        yield* emulator.send(News, [{ body: "1" }])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Effect.filter([News.path, Sport.path, Paper.path], isThere), [
          News.path,
          Paper.path
        ])
        yield* TestClock.adjust("8 minutes")
        yield* read
        yield* TestClock.adjust("9 minutes")
        assert.isTrue(yield* isThere(News.path))
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* Effect.filter([News.path, Paper.path], isThere), [])
      }))
  })
)
