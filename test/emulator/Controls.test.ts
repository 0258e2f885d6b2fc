/** What a test sees and does at the broker: entities by contracts and by their plain names. */
import { Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { buryAll } from "../support/deadLetterEntities.ts"
import { failsWith, idsOf, inMemory, once, Orders, testsOf, TextBytes, Texts } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

describe("an entity of the controls", () => {
  const { test } = testsOf("in memory", inMemory)

  test("is given by its plain name, with bodies of bytes", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const bodies = [Buffer.from("one"), Buffer.from([0xff])]
      yield* emulator.send("texts", bodies.map((body, i) => ({ body, messageId: String(i) })))
      assert.deepStrictEqual((yield* emulator.messages("texts")).map(({ body }) => Buffer.from(body)), bodies)
      assert.deepStrictEqual((yield* emulator.messages(Texts)).map(({ body }) => body), ["one", undefined])
      yield* buryAll(TextBytes, 2)
      assert.deepStrictEqual(idsOf(yield* emulator.deadLetters("texts")), ["0", "1"])
      assert.strictEqual((yield* emulator.counters("texts")).deadLettered, 2)
      yield* emulator.failTransfer("texts", [{ body: Buffer.from("x"), messageId: "t" }])
      assert.deepStrictEqual(
        idsOf(yield* emulator.messages(ServiceBusEntity.transferDeadLetter("texts"))),
        ["t"]
      )
      yield* emulator.send("texts", [{ body: "text" as never }]).pipe(failsWith("MessageEncodeError"))
      const error = yield* emulator.messages("missing").pipe(failsWith("EmulatorError"))
      assert.include(error.problem, "\"missing\"")
    }))

  test("may be one of several contracts", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "one" }])
      yield* emulator.send(Orders, [{ body: { id: "two", total: 1 } }])
      const either: ReadonlyArray<typeof Orders | typeof Texts> = [Orders, Texts]
      const found = yield* Effect.forEach(either, (entity) => emulator.messages(entity))
      const bodies = found.flat().map(({ body }) => typeof body === "string" ? body : body.id)
      assert.deepStrictEqual(bodies, ["two", "one"])
    }))
})

describe("what the controls refuse", () => {
  const { test } = testsOf("in memory", inMemory)

  test("messages that an entity does not take, naming it and the one that is full", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const News = ServiceBusEntity.topic("full-news", { body: ServiceBusBody.text })
      yield* emulator.create(Emulator.entity("full", { maxSize: 1 }))
      yield* emulator.create(Emulator.entity(News, { maxSize: 1 }))
      yield* emulator.create(Emulator.entity("off", { status: "Disabled" }))
      const refusal = (entity: string) =>
        Effect.map(
          emulator.send(entity, [{ body: Buffer.from("x") }]).pipe(failsWith("EmulatorError")),
          ({ problem, reason }) => [reason, problem]
        )
      assert.deepStrictEqual(yield* refusal("full"), [
        "quotaExceeded",
        "\"full\" does not take the messages: The maximum entity size has been reached or exceeded for Queue: 'full'. " +
        "Size of entity in bytes:62, Max entity size in bytes:1"
      ])
      assert.deepStrictEqual(yield* refusal("full-news"), [
        "quotaExceeded",
        "\"full-news\" does not take the messages: The maximum entity size has been reached or exceeded for Topic: 'full-news'. " +
        "Size of entity in bytes:62, Max entity size in bytes:1"
      ])
      assert.deepStrictEqual(yield* refusal("off"), [
        "invalid",
        "\"off\" does not take the messages: Messaging entity 'off' is currently disabled"
      ])
      assert.strictEqual((yield* emulator.runtime("gone").pipe(failsWith("EmulatorError"))).reason, "notFound")
    }))

  test("requests of management, whatever they ask for, of one entity", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const others = yield* ServiceBusReceiver.make(Orders)
      const error = { condition: "amqp:internal-error", description: "not now" }
      yield* emulator.fail({ operation: "request", entity: Texts, error, times: 2 })
      yield* others.peek()
      const refused = yield* receiver.peek().pipe(failsWith("ServiceBusError"))
      assert.include(refused.description, "not now")
      yield* receiver.receiveDeferred([1n]).pipe(failsWith("ServiceBusError"))
      assert.deepStrictEqual(yield* receiver.peek(), [])
    }), once)

  test("tokens, with the status of their condition", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const make = (condition: string) =>
        Effect.andThen(
          emulator.fail({ operation: "putToken", entity: Texts, error: { condition }, times: 2 }),
          ServiceBusSender.make(Texts)
        )
      yield* make("amqp:not-found").pipe(failsWith("MessagingEntityNotFoundError"))
      yield* ServiceBusSender.make(Texts).pipe(failsWith("MessagingEntityNotFoundError"))
      yield* ServiceBusSender.make(Texts)
    }), once)

  test("names and entities of any kind, in words", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const refused = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.map(failsWith("EmulatorError")(effect), ({ problem }) => problem)
      const trapped = new Proxy({}, {
        get: () => {
          throw new Error("a trap")
        }
      })
      yield* emulator.create({ kind: "topic", name: "news-of-any" })
      assert.strictEqual(
        yield* refused(emulator.deadLetters("news-of-any")),
        "\"news-of-any\" has no dead letters: a queue or a subscription has"
      )
      assert.include(
        yield* refused(emulator.deadLetters(`${Texts.name}/$DeadLetterQueue`)),
        "has no dead letters"
      )
      for (const value of [1n, Symbol("s"), Object.create(null), trapped, undefined, Number.NaN, null]) {
        const given = value as never
        const kind = `a value of the type ${typeof value}`
        assert.strictEqual(yield* refused(emulator.removeFault(given)), `it has no fault with the id ${kind}`)
        assert.strictEqual(yield* refused(emulator.namespace(given)), `it has no namespace ${kind}`)
        assert.strictEqual(yield* refused(emulator.removeNamespace(given)), `it has no namespace ${kind}`)
        assert.include(yield* refused(emulator.loseSession(Texts, given)), `has no locked session ${kind}`)
        if (value === undefined) continue
        assert.strictEqual(
          yield* refused(emulator.dump(given)),
          `what is dumped is an array of entities, not ${kind}`
        )
      }
      assert.strictEqual(
        yield* refused(emulator.dump("orders" as never)),
        "what is dumped is an array of entities, not \"orders\""
      )
    }), once)
})
