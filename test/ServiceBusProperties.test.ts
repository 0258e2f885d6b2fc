/** Application properties that a contract declares: what is written of them, what is read, and what becomes of wrong ones. */
import {
  AmqpValue,
  ServiceBusBody,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusProcessor,
  ServiceBusProperties,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Stream from "effect/Stream"
import { Sections } from "../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../src/internal/amqp/codec/Writer.ts"
import * as MessageEncoder from "../src/internal/message/MessageEncoder.ts"
import { both, failsWith, type LayerFor, type Name, testsWith, until } from "./support/harness.ts"
import { generator } from "./support/random.ts"
import { assert, describe, it } from "./support/vitest.ts"

const Fields = {
  region: Schema.Literals(["eu", "us"]),
  total: Schema.Finite,
  units: Schema.optionalKey(Schema.BigInt),
  at: Schema.optionalKey(Schema.DateTimeUtc),
  day: Schema.optionalKey(Schema.Date),
  wait: Schema.optionalKey(Schema.Duration),
  home: Schema.optionalKey(Schema.URL),
  key: Schema.optionalKey(Schema.Uint8Array),
  trace: Schema.optionalKey(Schema.String),
  count: Schema.optionalKey(Schema.FiniteFromString)
}

const Parcels = ServiceBusEntity.queue("parcels", { body: ServiceBusBody.text, properties: Fields })
/** The same entity, for those who know nothing of its properties. */
const Plain = ServiceBusEntity.queue("parcels", { body: ServiceBusBody.text })
const Others = ServiceBusEntity.queue("others", {
  body: ServiceBusBody.text,
  properties: { region: Schema.String, total: Schema.FiniteFromString }
})
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text, properties: Schema.Struct(Fields) })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Visits = ServiceBusEntity.queue("visits", {
  body: ServiceBusBody.text,
  sessions: true,
  properties: { page: Schema.Int }
})
const Hops = ServiceBusEntity.queue("hops", {
  body: ServiceBusBody.text,
  properties: { hop: Schema.optionalKey(Schema.Int) }
})

const full = {
  region: "eu",
  total: 5_000_000_000,
  units: 7n,
  at: DateTime.makeUnsafe("2024-02-03T04:05:06.789Z"),
  day: new Date("2024-02-03T00:00:00Z"),
  wait: Duration.minutes(5),
  home: new URL("https://example.com/"),
  key: new Uint8Array([1, 2]),
  trace: "t",
  count: 12
} as const

describe("the codec", () => {
  const { properties } = Parcels
  const decode = (given: Readonly<Record<string, AmqpValue.AmqpValue>>) => {
    const decoded = properties.decode({ region: "eu", total: 1, ...given })
    return Result.isSuccess(decoded)
      ? decoded.success as ServiceBusProperties.Type<typeof Fields>
      : assert.fail(decoded.failure)
  }

  it("reads a number of either AMQP type as its Schema says", () => {
    assert.strictEqual(decode({ total: 5_000_000_000n }).total, 5_000_000_000)
    assert.strictEqual(decode({ units: 7 }).units, 7n)
    assert.strictEqual(decode({ units: 2n ** 63n - 1n }).units, 2n ** 63n - 1n)
  })

  it("does not round a number", () => {
    const decoded = properties.decode({ region: "eu", total: 2n ** 53n + 1n })
    assert.include(Result.isFailure(decoded) ? decoded.failure : "", "[\"total\"]")
  })

  it("reads the text of a uuid and a symbol, a timestamp as a Date, and null as a missing property", () => {
    const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert.strictEqual(decode({ trace: AmqpValue.uuid(id) }).trace, id)
    assert.strictEqual(decode({ region: AmqpValue.symbol("us") }).region, "us")
    assert.deepStrictEqual(decode({ day: full.at }).day, new Date("2024-02-03T04:05:06.789Z"))
    assert.notProperty(decode({ trace: null }), "trace")
  })

  it("takes null where the Schema does", () => {
    const { properties } = ServiceBusEntity.queue("a", {
      body: ServiceBusBody.text,
      properties: { note: Schema.NullOr(Schema.String) }
    })
    assert.deepStrictEqual(Result.getOrThrow(properties.decode({ note: null })), { note: null })
  })

  it("writes a GUID as a uuid, and reads it as its text", () => {
    const { properties } = ServiceBusEntity.queue("a", {
      body: ServiceBusBody.text,
      properties: { id: ServiceBusProperties.Uuid }
    })
    const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert.deepStrictEqual(Result.getOrThrow(properties.encode({ id })), { id: AmqpValue.uuid(id) })
    for (const came of [AmqpValue.uuid(id), id]) {
      assert.deepStrictEqual(Result.getOrThrow(properties.decode({ id: came })), { id })
    }
    for (const wrong of ["x", 7, AmqpValue.symbol(id)]) {
      assert.isTrue(Result.isFailure(properties.decode({ id: wrong })), String(wrong))
    }
    assert.isTrue(Result.isFailure(properties.encode({ id: "x" })))
  })

  it("gives back what it was given, over the wire", () => {
    const below = generator(5)
    const pick = <A>(items: ReadonlyArray<A>): A => items[(below(1 << 20) >> 5) % items.length]!
    const numbers = [0, -0, 1, -1, 255, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, 2 ** 53, 1e300, 0.1, -5e-324]
    const integers = [0n, -1n, 2n ** 31n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n]
    const texts = ["", "é", "𝄞", "a".repeat(300)]
    const { properties } = ServiceBusEntity.queue("a", {
      body: ServiceBusBody.text,
      properties: {
        number: Schema.Finite,
        integer: Schema.BigInt,
        text: Schema.String,
        flag: Schema.Boolean,
        day: Schema.Date,
        note: Schema.NullOr(Schema.String),
        either: Schema.Union([Schema.Finite, Schema.BigInt, Schema.String]),
        maybe: Schema.optionalKey(Schema.FiniteFromString)
      }
    })
    for (let n = 0; n < 1000; n++) {
      const given = {
        number: pick(numbers),
        integer: pick(integers),
        text: pick(texts),
        flag: pick([true, false]),
        day: new Date(pick([0, 1, 1e12])),
        note: pick([null, ...texts]),
        either: pick([1, "a", 2n ** 60n]),
        ...pick([{}, { maybe: pick([1, 0.5]) }])
      }
      const writer = new Writer()
      MessageEncoder.writeApplicationProperties(writer, Result.getOrThrow(properties.encode(given)))
      const bytes = Buffer.from(writer.take())
      const sections = new Sections(bytes, 0, bytes.length)
      const read = sections.readRecord(sections.applicationProperties)
      assert.deepStrictEqual(Result.getOrThrow(properties.decode(read)), given)
    }
  })

  it("does not take an inherited name for a property", () => {
    const { properties } = ServiceBusEntity.queue("a", {
      body: ServiceBusBody.text,
      properties: { toString: Schema.optionalKey(Schema.String) }
    })
    assert.deepStrictEqual(Object.keys(Result.getOrThrow(properties.decode({}))), [])
  })
})

const good = { body: "good", messageId: "good", applicationProperties: { region: "eu", total: 1 } } as const

/** Messages of a peer that does not know the contract. */
const bad = [
  { body: "bad", messageId: "missing", applicationProperties: { region: "eu" } },
  { body: "bad", messageId: "wrong", applicationProperties: { region: "secret", total: 1 } },
  { body: "bad", messageId: "none" }
]

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsWith(name, layerFor, [
      Emulator.entity(Parcels),
      Emulator.entity(Others),
      Emulator.entity(News),
      Emulator.entity(Sport),
      Emulator.entity(Visits),
      Emulator.entity(Hops)
    ])

    test("every type comes back as its Schema has it, and is written as AMQP has it", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Parcels)
        yield* sender.send({ body: "x", applicationProperties: full })
        const raw = yield* ServiceBusReceiver.make(Plain)
        const [plain] = yield* raw.peek()
        assert.strictEqual(plain!.applicationProperties["total"], 5_000_000_000n)
        assert.strictEqual(plain!.applicationProperties["count"], "12")
        const receiver = yield* ServiceBusReceiver.make(Parcels)
        const [message] = yield* receiver.receive()
        const { at, home, key, wait, ...rest } = message!.applicationProperties
        const { at: _at, home: _home, key: _key, wait: _wait, ...expected } = full
        // The trace of the send stands beside them.
        const { day, region, total, units, trace, count } = rest
        assert.deepStrictEqual({ region, total, units, day, trace, count }, expected)
        assert.strictEqual(DateTime.toEpochMillis(at!), DateTime.toEpochMillis(full.at))
        assert.strictEqual(home!.href, full.home.href)
        assert.deepStrictEqual([...key!], [1, 2])
        assert.strictEqual(Duration.toMillis(wait!), 300_000)
      }))

    test("what is not declared stands beside it, both ways", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Parcels)
        const more = { ...good.applicationProperties, tenant: "a", level: AmqpValue.typed("ubyte", 3) }
        yield* sender.send({ body: "x", applicationProperties: more })
        const receiver = yield* ServiceBusReceiver.make(Parcels)
        const [message] = yield* receiver.receive()
        assert.strictEqual(message!.applicationProperties["tenant"], "a")
        assert.strictEqual(message!.applicationProperties["level"], 3)
        assert.strictEqual(message!.applicationProperties.total, 1)
        assert.deepStrictEqual(message!.amqpApplicationProperties["level"], AmqpValue.typed("ubyte", 3))
        yield* sender.send(ServiceBusMessage.fromReceived(message!, { messageId: "copy" }))
        yield* receiver.complete(message!)
        const [copy] = yield* receiver.receive()
        assert.deepStrictEqual(copy!.amqpApplicationProperties["level"], AmqpValue.typed("ubyte", 3))
        assert.strictEqual(copy!.applicationProperties.total, 1)
        assert.strictEqual(ServiceBusMessage.detached(copy!).applicationProperties.total, 1)
      }))

    test("what does not encode is refused before anything is on the wire, by every way to send", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Parcels)
        const wrong = { body: "x", applicationProperties: { region: "secret" as "eu", total: 1 } }
        const batch = yield* sender.batch()
        const refusals = yield* Effect.all([
          sender.send(wrong).pipe(failsWith("MessageEncodeError")),
          sender.sendAll([good, wrong]).pipe(failsWith("MessageEncodeError")),
          sender.schedule(wrong, "1 minute").pipe(failsWith("MessageEncodeError")),
          batch.tryAdd(wrong).pipe(failsWith("MessageEncodeError")),
          emulator.send(Parcels, [wrong]).pipe(failsWith("MessageEncodeError")),
          // As callers without types do.
          sender.send({ body: "x" } as typeof wrong).pipe(failsWith("MessageEncodeError")),
          sender.send({ ...wrong, applicationProperties: new Map() as never }).pipe(failsWith("MessageEncodeError"))
        ])
        for (const { message, part } of refusals) {
          assert.strictEqual(part, "applicationProperties")
          assert.notInclude(message, "secret")
        }
        assert.include(refusals[0]!.message, "[\"region\"]")
        const report = yield* Stream.make(good, wrong).pipe(Stream.run(sender.sink()))
        assert.deepStrictEqual([report.sent, report.rejected[0]?.index], [1, 1])
        assert.lengthOf(yield* emulator.messages(Parcels), 1)
      }))

    test("what does not decode is dead-lettered by default, and says that it was the properties", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Plain, [...bad, good])
        const receiver = yield* ServiceBusReceiver.make(Parcels)
        const messages = yield* receiver.messages.pipe(Stream.take(1), Stream.runCollect)
        assert.deepStrictEqual(messages.map(({ messageId }) => messageId), ["good"])
        yield* until(Effect.map(emulator.counters(Parcels), ({ deadLettered }) => deadLettered === 3))
        const letters = yield* emulator.deadLetters(Plain)
        for (const { deadLetterErrorDescription, deadLetterReason } of letters) {
          assert.strictEqual(deadLetterReason, "MessageDecodeError")
          assert.notInclude(deadLetterErrorDescription!, "secret")
        }
        assert.match(letters[0]!.deadLetterErrorDescription!, /^applicationProperties: .*\["total"\]/)
      }))

    test("what does not decode fails or is abandoned where the policy says so; raw messages are given", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Plain, bad.slice(0, 1))
        const strict = yield* ServiceBusReceiver.make(Parcels, { undecodable: "fail" })
        const error = yield* strict.receive().pipe(failsWith("MessageDecodeError"))
        assert.strictEqual(error.part, "applicationProperties")
        assert.include(error.message, "The applicationProperties of the message cannot be decoded")
        const peeked = yield* strict.peek().pipe(failsWith("MessageDecodeError"))
        assert.strictEqual(peeked.part, "applicationProperties")
        const [raw] = yield* strict.receiveRaw()
        assert.strictEqual(raw!.applicationProperties["region"], "eu")
        yield* strict.abandon(raw!)
        assert.strictEqual((yield* emulator.counters(Parcels)).deadLettered, 0)
      }))

    test("handlers have them: of a processor, of batches, of sessions, of a stream", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen: Array<unknown> = []
        yield* emulator.send(Parcels, [good])
        yield* emulator.send(Visits, [{ body: "x", sessionId: "ada", applicationProperties: { page: 7 } }])
        const one = yield* ServiceBusProcessor.make(
          Parcels,
          (_, message) => Effect.sync(() => void seen.push(message.applicationProperties.region.toUpperCase()))
        )
        const sessions = yield* ServiceBusProcessor.makeSessions(
          Visits,
          (_, message) => Effect.sync(() => void seen.push(message.applicationProperties.page.toFixed(1)))
        )
        yield* until(Effect.sync(() => seen.length === 2))
        yield* one.drain
        yield* sessions.drain
        yield* emulator.send(Parcels, [good])
        const batched = yield* ServiceBusProcessor.makeBatched(
          Parcels,
          (messages) => Effect.sync(() => void seen.push(messages[0].applicationProperties.total.toFixed(2))),
          { size: 2 }
        )
        yield* until(Effect.sync(() => seen.length === 3))
        yield* batched.drain
        yield* emulator.send(Parcels, [good])
        const receiver = yield* ServiceBusReceiver.make(Parcels)
        yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach((_, message) =>
            Effect.sync(() => void seen.push(message.applicationProperties.total))
          ),
          Stream.take(1),
          Stream.runDrain
        )
        assert.deepStrictEqual(seen.toSorted(), [1, "1.00", "7.0", "EU"])
      }))

    test("a subscription has those of its topic, a sub-queue those of what it belongs to", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(News)
        yield* sender.send(good)
        const receiver = yield* ServiceBusReceiver.makeDestructive(Sport)
        const [message] = yield* receiver.receive()
        assert.strictEqual(message!.applicationProperties.total + 1, 2)
        yield* emulator.send(Parcels, [good])
        const locked = yield* ServiceBusReceiver.make(Parcels)
        yield* Effect.flatMap(
          locked.receive(),
          Effect.forEach((message) => locked.deadLetter(message, { reason: "r" }))
        )
        const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Parcels))
        const [peeked] = yield* dead.peek()
        assert.strictEqual(peeked!.applicationProperties.region, "eu")
        assert.strictEqual(peeked!.deadLetterReason, "r")
        const browsed = yield* ServiceBusDeadLetters.browse(Parcels).pipe(Stream.runCollect)
        assert.strictEqual(browsed[0]!.applicationProperties.total, 1)
        assert.strictEqual((yield* emulator.deadLetters(Parcels))[0]!.applicationProperties.total, 1)
        const session = yield* ServiceBusSession.accept(Visits, "s")
        yield* emulator.send(Visits, [{ body: "x", sessionId: "s", applicationProperties: { page: 2 } }])
        const [visit] = yield* session.receive()
        assert.strictEqual(visit!.applicationProperties.page, 2)
      }))

    test("letters are replayed with their properties as they came, or as another contract encodes them", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Parcels)
        const bury = Effect.gen(function*() {
          yield* emulator.send(Plain, [{
            body: "x",
            applicationProperties: { region: "eu", total: AmqpValue.typed("ulong", 3n), tenant: "a" }
          }])
          yield* Effect.flatMap(receiver.receive(), Effect.forEach((message) => receiver.deadLetter(message)))
        })
        yield* bury
        assert.strictEqual((yield* ServiceBusDeadLetters.replay(Parcels)).replayed, 1)
        const [same] = yield* emulator.messages(Plain)
        assert.deepStrictEqual(same!.amqpApplicationProperties["total"], AmqpValue.typed("ulong", 3n))
        yield* receiver.purge()
        yield* bury
        assert.deepStrictEqual(
          yield* ServiceBusDeadLetters.replay(Parcels, {
            to: Others,
            filter: (letter) => letter.applicationProperties.total === 3
          }),
          { replayed: 1, skipped: 0, failed: [] }
        )
        const [other] = yield* emulator.messages(Others)
        assert.strictEqual(other!.applicationProperties.total, 3)
        assert.strictEqual(other!.amqpApplicationProperties["total"], "3")
        assert.strictEqual(other!.amqpApplicationProperties["tenant"], "a")
      }))

    test("all may be missing where each may", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Hops)
        yield* sender.sendAll([{ body: "x" }, { body: "y", applicationProperties: { hop: 1 } }])
        const receiver = yield* ServiceBusReceiver.makeDestructive(Hops)
        const hops = yield* receiver.messages.pipe(Stream.take(2), Stream.runCollect)
        assert.deepStrictEqual(hops.map(({ applicationProperties }) => applicationProperties.hop), [undefined, 1])
      }))

    test("what is no Schema of properties, and one that waits, is refused where it is used", () =>
      Effect.gen(function*() {
        const Waiting = Schema.String.pipe(Schema.decodeTo(Schema.String, {
          decode: SchemaGetter.transformEffect((text: string) => Effect.delay(Effect.succeed(text), "1 second")),
          encode: SchemaGetter.passthrough()
        }))
        for (
          const properties of [{ a: Waiting }, { a: 1 }, Schema.String, "a", [], null, Schema.Array(Schema.String)]
        ) {
          const wrong = ServiceBusEntity.queue("parcels", {
            body: ServiceBusBody.text,
            properties: properties as unknown as typeof Fields
          })
          const error = yield* ServiceBusReceiver.make(wrong).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "properties")
        }
      }))

    test("messages of a contract that declares none are what they were", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Plain, [{ body: "x", applicationProperties: { a: 1, b: 5_000_000_000 } }])
        const receiver = yield* ServiceBusReceiver.make(Plain)
        const [message] = yield* receiver.receive()
        assert.deepStrictEqual(message!.applicationProperties, { a: 1, b: 5_000_000_000n })
        assert.notProperty(Plain, "properties")
        assert.strictEqual(Option.fromUndefinedOr(ServiceBusEntity.propertiesOf(Plain))._tag, "None")
      }))
  })

both(suite)
