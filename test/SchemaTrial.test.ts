/** Schemas that wait are refused where a contract is used; where only some bodies make them wait, no message is lost. */
import {
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SchemaTrial from "../src/internal/SchemaTrial.ts"
import { Lines, texts as linesOf } from "./support/eventRecorder.ts"
import { failsWith, inMemory, passing, testsWith, Texts, until } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const wait = <A>(value: A) => Effect.delay(Effect.succeed(value), "1 minute")

/** Text that is decoded and encoded by effects. */
const textBy = (
  decode: (text: string) => Effect.Effect<string>,
  encode: (text: string) => Effect.Effect<string> = Effect.succeed
) => Schema.String.pipe(Schema.decodeTo(Schema.String, SchemaTransformation.transformEffect({ decode, encode })))

const Later = textBy(wait)

const isRefused = (schema: ServiceBusBody.AnySchema) =>
  SchemaTrial.problemOf("orders", "body", ServiceBusBody.json(schema as Schema.Codec<unknown>)) !== undefined

interface Node {
  readonly text: string
  readonly next: Node | null
}

describe("a trial of a schema", () => {
  it.each<[string, ServiceBusBody.AnySchema]>([
    ["decoding", Later],
    ["encoding", textBy(Effect.succeed, wait)],
    ["a promise", textBy((text) => Effect.promise(() => Promise.resolve(text)))],
    [
      "a generator that waits in the end",
      textBy((text) =>
        Effect.gen(function*() {
          yield* Effect.yieldNow
          return yield* wait(text)
        })
      )
    ],
    ["a field", Schema.Struct({ a: Schema.Struct({ b: Later }) })],
    ["an optional field", Schema.Struct({ a: Schema.optionalKey(Later) })],
    ["an element", Schema.Array(Later)],
    ["a tuple", Schema.Tuple([Schema.Int, Later])],
    ["a record", Schema.Record(Schema.String, Later)],
    ["a member of a union", Schema.Union([Schema.Int, Later])],
    ["a class", class A extends Schema.Class<A>("A")({ a: Later }) {}],
    ["an option", Schema.Option(Later)],
    [
      "a schema over another one",
      Schema.FiniteFromString.pipe(Schema.decodeTo(
        Schema.Number,
        SchemaTransformation.transformEffect({ decode: (n: number) => wait(n), encode: Effect.succeed })
      ))
    ],
    ["a schema below another one", Later.pipe(Schema.decodeTo(Schema.FiniteFromString))],
    [
      "a struct that is transformed",
      Schema.Struct({ a: Schema.Literal("a"), b: Schema.NullOr(Schema.Int) }).pipe(
        Schema.decodeTo(Schema.String, {
          decode: SchemaGetter.transformEffect(({ a }) => wait(a)),
          encode: SchemaGetter.transform(() => ({ a: "a" as const, b: null }))
        })
      )
    ],
    [
      "a default of what is missing",
      Schema.Struct({
        a: Schema.String.pipe(Schema.withDecodingDefaultKey(wait("a")))
      })
    ],
    [
      "a default of the constructor",
      Schema.Struct({
        a: Schema.String.pipe(Schema.withConstructorDefault(wait("a")))
      })
    ],
    ["a middleware", Schema.String.pipe(Schema.middlewareDecoding((effect) => Effect.delay(effect, "1 minute")))]
  ])("finds what waits: %s", (_, schema) => {
    assert.isTrue(isRefused(schema))
  })

  const Recursive: Schema.Codec<Node> = Schema.Struct({
    text: Schema.String,
    next: Schema.NullOr(Schema.suspend(() => Recursive))
  })

  it.each<[string, ServiceBusBody.AnySchema]>([
    ["effects that do not wait", textBy((text) => Effect.sync(() => text.trim()))],
    ["effects that fail", textBy(() => Effect.die("a defect") as Effect.Effect<string>)],
    [
      "functions that throw",
      textBy(() => {
        throw new Error("thrown")
      })
    ],
    ["what gives no effect", textBy((() => 5) as never)],
    ["what has an end only in its values", Recursive],
    [
      "all that is in the box",
      Schema.Struct({
        a: Schema.DateTimeUtcFromString,
        b: Schema.DurationFromIsoString,
        c: Schema.URL,
        d: Schema.BigDecimal,
        e: Schema.ReadonlyMap(Schema.String, Schema.Date),
        f: Schema.fromJsonString(Schema.Struct({ a: Schema.Int })),
        g: Schema.Redacted(Schema.String),
        h: Schema.Option(Schema.DateTimeZonedFromString)
      })
    ]
  ])("lets pass: %s", (_, schema) => {
    assert.isFalse(isRefused(schema))
  })

  it("runs no function that is no effect, and each effect once", () => {
    const ran: Array<string> = []
    const Body = ServiceBusBody.json(Schema.Struct({
      a: Schema.String.pipe(Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transform({
          decode: (text: string) => {
            ran.push("a function")
            return text
          },
          encode: (text: string) => text
        })
      )),
      b: textBy((text) => Effect.sync(() => (ran.push("an effect"), text)))
    }))
    for (let i = 0; i < 3; i++) assert.isUndefined(SchemaTrial.problemOf("orders", "body", Body))
    assert.deepStrictEqual(ran, ["an effect"])
  })

  it("is made of a codec that says more than its Schema, and of none with a function of its own", () => {
    const waiting = ServiceBusBody.json(Later)
    const isRefused = (body: ServiceBusBody.ServiceBusBody<string>) =>
      SchemaTrial.problemOf("orders", "body", body) !== undefined
    assert.isTrue(isRefused({ ...waiting, contentType: "application/cloudevents+json" }))
    assert.isFalse(isRefused({ ...waiting, decode: ServiceBusBody.text.decode }))
    assert.isFalse(isRefused({ ...waiting, encode: ServiceBusBody.text.encode }))
    assert.isFalse(isRefused({ ...waiting, decode: ServiceBusBody.json(Schema.String).decode }))
  })

  it.effect("interrupts what waits, in the trial and for a body", () =>
    Effect.gen(function*() {
      let waiting = 0
      const Body = ServiceBusBody.json(textBy((text) =>
        Effect.callback<string>(() => {
          waiting++
          return Effect.sync(() => {
            waiting--
          })
        }).pipe(Effect.as(text))
      ))
      assert.isDefined(SchemaTrial.problemOf("orders", "body", Body))
      yield* until(Effect.sync(() => waiting === 0))
      Body.decode({ kind: "data", data: "\"text\"" })
      yield* until(Effect.sync(() => waiting === 0))
    }))

  it("runs with the services of a codec that has some", () => {
    class Cipher extends Context.Service<Cipher, { readonly open: (text: string) => Effect.Effect<string> }>()(
      "test/Cipher"
    ) {}
    const Sealed = Schema.String.pipe(Schema.decodeTo(Schema.String, {
      decode: SchemaGetter.transformEffect((text: string) => Effect.flatMap(Cipher, (cipher) => cipher.open(text))),
      encode: SchemaGetter.passthrough()
    }))
    const bodyWith = (open: (text: string) => Effect.Effect<string>) =>
      Effect.runSync(Effect.provideService(ServiceBusBody.makeJson(Sealed), Cipher, { open }))
    const reversed = bodyWith((text) => Effect.sync(() => [...text].toReversed().join("")))
    assert.isUndefined(SchemaTrial.problemOf("orders", "body", reversed))
    assert.deepStrictEqual(reversed.decode({ kind: "data", data: "\"cba\"" }), Result.succeed("abc"))
    assert.isDefined(SchemaTrial.problemOf("orders", "body", bodyWith(wait)))
  })
})

describe("a contract whose schema waits", () => {
  const Waiting = ServiceBusEntity.queue("texts", { body: Later })
  const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
  const WaitingCarts = ServiceBusEntity.queue("carts", { body: Later, sessions: true })
  const WaitingState = ServiceBusEntity.queue("carts", { body: Schema.String, sessions: true, sessionState: Later })
  /** Waits for some bodies only: no trial can know. */
  const Sometimes = textBy((text) => text.startsWith("wait") ? wait(text) : Effect.succeed(text))
  const SometimesTexts = ServiceBusEntity.queue("texts", { body: Sometimes })
  const SometimesCarts = ServiceBusEntity.queue("carts", { body: Sometimes, sessions: true })
  const { test } = testsWith("in memory", inMemory, [Emulator.entity(Carts)])

  test("is refused where it is used, by the name of the option", () =>
    Effect.gen(function*() {
      const ignore = () => Effect.void
      const uses = [
        ServiceBusSender.make(Waiting),
        ServiceBusReceiver.make(Waiting),
        ServiceBusReceiver.makeDestructive(Waiting),
        ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Waiting)),
        ServiceBusSession.accept(WaitingCarts, "a"),
        ServiceBusSession.acceptNext(WaitingCarts),
        ServiceBusProcessor.processSessions(WaitingCarts, ignore),
        Stream.runDrain(ServiceBusDeadLetters.browse(Waiting)),
        ServiceBusDeadLetters.replay(Waiting).pipe(Effect.asVoid)
      ] as ReadonlyArray<Effect.Effect<unknown, unknown, ServiceBusClient.ServiceBusClient | Scope.Scope>>
      for (const use of uses) {
        const error = yield* failsWith("InvalidOptionError")(use)
        assert.strictEqual(error.option, "body")
        assert.include(error.message, "handler")
      }
      const error = yield* failsWith("InvalidOptionError")(ServiceBusSession.accept(WaitingState, "a"))
      assert.strictEqual(error.option, "sessionState")
    }))

  test("fails the call that meets a body for which it waits, and the message stays", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "\"one\"" }, { body: "\"wait\"" }])
      const receiver = yield* ServiceBusReceiver.make(SometimesTexts, { undecodable: "deadLetter" })
      const [first] = yield* receiver.receive({ max: 1 })
      yield* receiver.complete(first!)
      const error = yield* failsWith("InvalidOptionError")(receiver.receive())
      assert.strictEqual(error.option, "body")
      yield* failsWith("InvalidOptionError")(Stream.runDrain(receiver.messages))
      assert.strictEqual((yield* emulator.messages(Texts)).length, 1)
      assert.strictEqual((yield* emulator.counters(Texts)).deadLettered, 0)
      const raw = yield* ServiceBusReceiver.make(Texts)
      const [again] = yield* raw.receive()
      assert.strictEqual(again?.deliveryCount, 0)
    }))

  test("is lost in receive-and-delete mode: the error and a line say so, each message's", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const lines = yield* Lines
      const lost = "Warn: A message cannot be decoded, and is lost: it was received in receive-and-delete mode"
      yield* emulator.send(Texts, [{ body: "\"wait\"", messageId: "a" }])
      const receiver = yield* ServiceBusReceiver.makeDestructive(SometimesTexts)
      const error = yield* failsWith("InvalidOptionError")(receiver.receive())
      assert.include(error.message, "is lost, since it was received in receive-and-delete mode")
      assert.deepStrictEqual(linesOf(lines), [lost])
      assert.deepInclude(lines[0]!.annotations, { source: "decode", messageId: "a", sequenceNumber: "1" })
      assert.deepInclude(lines[0]!.error as object, { _tag: "InvalidOptionError", description: error.description })
      // Deferred ones come in a response.
      yield* emulator.send(Texts, [{ body: "\"wait\"", messageId: "b" }, { body: "\"wait\"", messageId: "c" }])
      const raw = yield* ServiceBusReceiver.make(Texts)
      const letters = yield* raw.receive({ max: 2 })
      yield* Effect.forEach(letters, (letter) => raw.defer(letter))
      yield* failsWith("InvalidOptionError")(
        receiver.receiveDeferred(letters.map(({ sequenceNumber }) => sequenceNumber))
      )
      assert.deepStrictEqual(linesOf(lines), [lost, lost, lost])
      assert.deepStrictEqual(lines.map(({ annotations }) => annotations["messageId"]), ["a", "b", "c"])
    }))

  test("is released under a lock, as the error says, and no line does", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const lines = yield* Lines
      yield* emulator.send(Texts, [{ body: "\"wait\"" }])
      const receiver = yield* ServiceBusReceiver.make(SometimesTexts)
      const error = yield* failsWith("InvalidOptionError")(receiver.receive())
      assert.include(error.message, "is released")
      assert.deepStrictEqual(lines, [])
    }))

  test("is known through a codec around its own, and not by its text", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const Inner = ServiceBusBody.json(Sometimes)
      const Around = ServiceBusEntity.queue("texts", {
        body: ServiceBusBody.make<string>({
          encode: Inner.encode,
          decode: (sections) => Result.map(Inner.decode(sections), (text) => text.toUpperCase())
        })
      })
      const around = yield* ServiceBusReceiver.make(Around, { undecodable: "deadLetter" })
      yield* emulator.send(Texts, [{ body: "\"wait\"" }])
      yield* failsWith("InvalidOptionError")(around.receive())
      assert.strictEqual((yield* emulator.counters(Texts)).deadLettered, 0)

      const text = "the schema is asynchronous"
      const texts = [
        ServiceBusBody.make<string>({ encode: Inner.encode, decode: () => Result.fail(text) }),
        ServiceBusBody.json(Schema.String.check(Schema.makeFilter(() => text)))
      ]
      for (const [index, body] of texts.entries()) {
        const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.queue("texts", { body }))
        const receiving = yield* Effect.forkChild(receiver.receive())
        yield* until(Effect.map(emulator.deadLetters(Texts), ({ length }) => length > index))
        yield* Fiber.interrupt(receiving)
        const letter = (yield* emulator.deadLetters(Texts))[index]
        assert.include(letter?.deadLetterErrorDescription, text)
        yield* emulator.send(Texts, [{ body: "\"wait\"" }])
      }
    }))

  test("stops a processor for good, once for all messages, and they stay", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "\"wait\"" }, { body: "\"wait\"" }])
      const work = Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(SometimesTexts)
        return yield* ServiceBusProcessor.process(receiver, () => Effect.void)
      })
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel}: ${String(message)}`))
      const error = yield* failsWith("InvalidOptionError")(
        Effect.provide(Effect.scoped(work), Logger.layer([logger]))
      )
      assert.strictEqual(error.option, "body")
      assert.deepStrictEqual(
        lines.filter((line) => line.startsWith("Error")).map((line) => line.replace(/,.*/, "")),
        ["Error: A processor has stopped: it takes no more messages"]
      )
      assert.strictEqual((yield* emulator.messages(Texts)).length, 2)
      assert.strictEqual((yield* emulator.counters(Texts)).deadLettered, 0)
    }))

  test("stops a processor for good, and what happens to its entity after that is no news", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const lines = yield* Lines
      yield* emulator.send(Texts, [{ body: "\"wait\"" }])
      const processor = yield* ServiceBusProcessor.make(SometimesTexts, () => Effect.void)
      assert.isTrue(Exit.isFailure(yield* processor.stopped))
      const gone = { condition: "amqp:not-found", description: "deleted" }
      yield* emulator.fail({ operation: "attach", error: gone, times: Infinity })
      yield* emulator.detachLinks(gone)
      yield* passing(Effect.sleep("1 minute"), "1 second")
      assert.lengthOf(lines.filter(({ level }) => level === "Error"), 1)
    }))

  test("stops a processor of sessions for good, and the message stays", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "\"wait\"", sessionId: "a" }])
      const error = yield* failsWith("InvalidOptionError")(
        Effect.scoped(ServiceBusProcessor.processSessions(SometimesCarts, () => Effect.void))
      )
      assert.strictEqual(error.option, "body")
      assert.strictEqual((yield* emulator.messages(Carts)).length, 1)
      assert.strictEqual((yield* emulator.counters(Carts)).deadLettered, 0)
    }))
})

describe("a body that is neither a Schema nor a codec", () => {
  const { test } = testsWith("in memory", inMemory, [])

  test("is refused where the contract is used, by its name", () =>
    Effect.gen(function*() {
      for (const body of [undefined, null, 5, "json", {}, { decode: () => {}, encode: () => {} }, () => {}]) {
        const error = yield* failsWith("InvalidOptionError")(
          ServiceBusSender.make(
            ServiceBusEntity.queue("texts", { body: body as unknown as typeof ServiceBusBody.text })
          )
        )
        assert.strictEqual(error.option, "body")
        assert.include(error.message, "a Schema, or a codec of ServiceBusBody")
      }
    }))
})
