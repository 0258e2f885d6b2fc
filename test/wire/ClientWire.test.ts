/**
 * What the client puts on the wire and takes from it where the service's word is the measure, not that of our broker.
 */
import { AmqpAnnotatedMessage, AmqpValue, ServiceBusReceiver, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { writeOutcome } from "../../src/internal/amqp/codec/Outcome.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import { type Performative, rhea } from "../../src/internal/amqp/engine/rhea.ts"
import * as EntityManagement from "../../src/internal/management/EntityManagement.ts"
import type { RequestResponseLink } from "../../src/internal/management/RequestResponseLink.ts"
import * as MessageBatch from "../../src/internal/message/MessageBatch.ts"
import * as SettlementOutcome from "../../src/internal/receiver/SettlementOutcome.ts"
import { MessageEncodeError } from "../../src/ServiceBusError.ts"
import type { OutgoingMessage } from "../../src/ServiceBusMessage.ts"
import { both, deliveriesOf, failsWith, type LayerFor, type Name, testsOf, Texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const clock = { currentTimeMillisUnsafe: () => 1 }

/** Has the broker's attaches pass through a function: what the service adds and ours does not. */
const attaching = (change: (attach: Performative) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const connection = rhea.create_container({ id: "patch" }).create_connection({ reconnect: false })
      connection._register = () => {}
      const session = Object.getPrototypeOf(connection.create_session()) as {
        output: (frame: Performative, payload?: unknown) => void
      }
      const { output } = session
      session.output = function(frame, payload) {
        if (frame["initial_delivery_count"] !== undefined || frame["role"] !== undefined) change(frame)
        return output.call(this, frame, payload)
      }
      return { session, output }
    }),
    ({ output, session }) =>
      Effect.sync(() => {
        session.output = output
      })
  )

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, { concurrent: false }, () => {
    const { test } = testsOf(name, layerFor)

    test("properties over the quotas are refused before the wire, wherever they are written", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const properties = { Large: "x".repeat(32_786) }
        const large = { body: "x", applicationProperties: properties }
        const sent = "applicationProperties \"Large\""
        for (
          const effect of [
            Effect.asVoid(sender.send(large)),
            Effect.asVoid(sender.sendAll([{ body: "y" }, large])),
            Effect.asVoid(sender.schedule(large, "1 hour")),
            Effect.asVoid(sender.sendAnnotated({ applicationProperties: properties, body: { kind: "empty" } }))
          ]
        ) assert.strictEqual((yield* failsWith("MessageEncodeError")(effect)).part, sent)
        const report = yield* Stream.make({ body: "a" }, large, { body: "b" }).pipe(Stream.run(sender.sink()))
        assert.strictEqual(report.sent, 2)
        assert.deepStrictEqual(report.rejected.map(({ error, index }) => [index, error._tag]), [[
          1,
          "MessageEncodeError"
        ]])
        const [message] = yield* receiver.receive()
        for (
          const effect of [
            receiver.abandon(message!, { properties }),
            receiver.defer(message!, { properties }),
            receiver.deadLetter(message!, { properties })
          ]
        ) assert.strictEqual((yield* failsWith("MessageEncodeError")(effect)).part, "properties \"Large\"")
        yield* receiver.complete(message!)
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    describe("batches are filled to what the link says", () => {
      const sizes: ReadonlyArray<readonly [string, unknown, number]> = [
        ["nothing: 1 MiB at most", undefined, 1024 * 1024],
        ["com.microsoft:max-message-batch-size as a ulong", rhea.types.wrap_ulong(10_000), 10_000],
        ["a larger one than 1 MiB", rhea.types.wrap_ulong(3_000_000), 3_000_000],
        ["a larger one than a message may be", rhea.types.wrap_ulong(50_000_000), 4_000_000],
        ["nonsense", "many", 1024 * 1024]
      ]
      for (const [title, size, limit] of sizes) {
        test(title, () =>
          Effect.gen(function*() {
            yield* attaching((attach) => {
              if (attach["role"] !== true) return
              attach["properties"] = size === undefined
                ? undefined
                : { "com.microsoft:max-message-batch-size": size }
            })
            const sender = yield* ServiceBusSender.make(Texts)
            assert.strictEqual((yield* sender.batch()).maxSize, limit)
            // The broker takes no larger ones, whatever is said in its place.
            if (limit > 1024 * 1024) return
            const body = "x".repeat(2000)
            yield* sender.sendAll(Array.from({ length: Math.ceil(limit / 2000) + 1 }, () => ({ body })))
            const expected = Math.ceil((Math.ceil(limit / 2000) + 1) / Math.floor((limit - 100) / 2110))
            assert.closeTo(deliveriesOf(sender), expected, 1)
            assert.isAbove(deliveriesOf(sender), 1)
          }), { texts: { maxMessageSize: 4_000_000, maxSize: 100_000_000 } })
      }
    })
  })

describe("What the client writes", { concurrent: false }, () => both(suite))

/** Values and their bytes (AMQP 1.0 section 1.6; Service Bus protocol guide for the described ones). */
const values: ReadonlyArray<readonly [string, AmqpValue.AmqpValue, string]> = [
  ["ubyte", AmqpValue.typed("ubyte", 200), "50 c8"],
  ["byte", AmqpValue.typed("byte", -2), "51 fe"],
  ["ushort", AmqpValue.typed("ushort", 65535), "60 ffff"],
  ["short", AmqpValue.typed("short", -2), "61 fffe"],
  ["uint", AmqpValue.typed("uint", 4294967295), "70 ffffffff"],
  ["int", 70_000, "71 00011170"],
  ["ulong", AmqpValue.typed("ulong", 2n ** 64n - 1n), "80 ffffffffffffffff"],
  ["small ulong", AmqpValue.typed("ulong", 1n), "53 01"],
  ["long", 5n, "81 0000000000000005"],
  ["float", AmqpValue.typed("float", 1.5), "72 3fc00000"],
  ["double", 1.5, "82 3ff8000000000000"],
  ["whole double", AmqpValue.typed("double", 2), "82 4000000000000000"],
  ["boolean", true, "41"],
  ["null", null, "40"],
  ["string", "ü", "a1 02 c3bc"],
  ["symbol", AmqpValue.symbol("s"), "b3 00000001 73"],
  ["char", AmqpValue.typed("char", "x"), "73 00000078"],
  ["bytes", new Uint8Array([1, 255]), "a0 02 01ff"],
  ["uuid", AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff"), "98 00112233445566778899aabbccddeeff"],
  ["decimal128", AmqpValue.typed("decimal128", new Uint8Array(16).fill(7)), "94 07070707070707070707070707070707"],
  ["DateTime", DateTime.makeUnsafe(1), "83 0000000000000001"],
  ["Date", new Date(1), "83 0000000000000001"],
  [
    "Duration",
    Duration.millis(1),
    `00 a3 16 ${Buffer.from("com.microsoft:timespan").toString("hex")} 81 0000000000002710`
  ],
  [
    "URL",
    new URL("sb://h/q"),
    `00 a3 11 ${Buffer.from("com.microsoft:uri").toString("hex")} a1 08 ${Buffer.from("sb://h/q").toString("hex")}`
  ],
  [
    "DateTimeOffset",
    AmqpValue.described(AmqpValue.symbol("com.microsoft:datetime-offset"), 638396640000000000n),
    `00 a3 1d ${Buffer.from("com.microsoft:datetime-offset").toString("hex")} 81 08dc0a5c9900c000`
  ]
]

/** What is allowed nowhere among properties. */
const refused: ReadonlyArray<readonly [string, AmqpValue.AmqpValue]> = [
  ["a list", [1, 2]],
  ["an empty list", []],
  ["an object", { a: 1 }],
  ["a Map", new Map()],
  ["an array", AmqpValue.array("int", [1])],
  ["another described value", AmqpValue.described(1n, 1)],
  ["an invalid date", new Date(NaN)],
  ["a function", (() => {}) as never],
  ["a number that does not fit its type", AmqpValue.typed("ubyte", 256)]
]

const settlements = (properties: Settlement.Properties): ReadonlyArray<Settlement.Settlement> => [
  Settlement.abandon({ properties }),
  Settlement.defer({ properties }),
  Settlement.deadLetter({ reason: "r", properties })
]

/** The bytes of a disposition's state, and of a request to $management that says the same. */
const written = Effect.fnUntraced(function*(settlement: Settlement.Settlement) {
  const writer = new Writer()
  writeOutcome(writer, Result.getOrThrow(SettlementOutcome.make(Texts, settlement)).outcome)
  const onLink = writer.take()
  const requests: Array<AmqpValue.AmqpValue> = []
  const node: RequestResponseLink = {
    isLost: () => false,
    request: (_properties, body) => {
      requests.push(body)
      return Effect.succeed({
        status: 200,
        condition: undefined,
        description: undefined,
        body: null,
        exactBody: () => null
      })
    }
  }
  yield* EntityManagement.updateDisposition(node, { entity: "texts", tokens: [], settlement, timeout: 1000 })
  writer.value(requests[0])
  return [["the link", onLink], ["$management", writer.take()]] as const
})

describe("properties that a settlement changes", () => {
  for (const [name, value, bytes] of values) {
    it.effect(`keep their AMQP type: ${name}`, () =>
      Effect.gen(function*() {
        const hex = bytes.replaceAll(" ", "")
        for (const settlement of settlements({ key: value, none: undefined })) {
          const [[, onLink], [, inRequest]] = yield* written(settlement)
          // Symbols on a link, as annotations are; strings in the map of the request.
          assert.include(onLink.toString("hex"), `a3036b6579${hex}`)
          assert.include(inRequest.toString("hex"), `a1036b6579${hex}`)
          for (const all of [onLink, inRequest]) assert.notInclude(all.toString("latin1"), "none")
        }
      }))
  }

  for (const [name, value] of refused) {
    it(`are refused as those of a message are: ${name}`, () => {
      for (const settlement of settlements({ good: 1, bad: value })) {
        const result = SettlementOutcome.make(Texts, settlement)
        assert(Result.isFailure(result))
        assert.deepInclude(result.failure, { _tag: "MessageEncodeError", part: "properties \"bad\"", entity: "texts" })
      }
      const encoder = MessageBatch.messageEncoder(Texts, clock)
      const error = MessageBatch.encodeMessage(encoder, new Writer(), {
        body: "",
        applicationProperties: { good: 1, bad: value }
      })
      assert.deepInclude(error, { _tag: "MessageEncodeError", part: "applicationProperties \"bad\"" })
    })
  }

  it("no properties at all are refused by their name", () => {
    for (const properties of [null, 5, "x"] as unknown as ReadonlyArray<never>) {
      for (const settlement of settlements(properties)) {
        const result = SettlementOutcome.make(Texts, settlement)
        assert(Result.isFailure(result))
        assert.deepInclude(result.failure, { _tag: "MessageEncodeError", part: "properties" })
      }
    }
  })
})

describe("the quotas of properties, 32 KB for one and 64 KB for all", () => {
  const text = (size: number) => "x".repeat(size)
  const one = { large: text(32 * 1024) }
  const over = { small: 1, large: text(32 * 1024 + 1) }
  const many = (total: number) =>
    Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`p${i}`, text(Math.floor(total / 70))]))
  const writers: ReadonlyArray<
    readonly [
      string,
      string,
      (properties: Record<string, AmqpValue.AmqpValue>) => string | MessageEncodeError | undefined
    ]
  > = [
    [
      "a message",
      "applicationProperties",
      (applicationProperties) =>
        MessageBatch.encodeMessage(MessageBatch.messageEncoder(Texts, clock), new Writer(), {
          body: "",
          applicationProperties
        })
    ],
    [
      "an annotated message",
      "applicationProperties",
      (applicationProperties) =>
        MessageBatch.encodeMessage(MessageBatch.annotatedEncoder(Texts, clock), new Writer(), {
          applicationProperties,
          body: { kind: "empty" }
        })
    ],
    ...settlements({}).map((settlement): typeof writers[number] => [
      `a settlement, ${settlement._tag}`,
      "properties",
      (properties) => {
        const result = SettlementOutcome.make(Texts, { ...settlement, properties } as Settlement.Settlement)
        return Result.isFailure(result) ? result.failure as MessageEncodeError : undefined
      }
    ])
  ]
  for (const [name, part, write] of writers) {
    it(name, () => {
      for (const fits of [{}, one, { bytes: new Uint8Array(32 * 1024) }, many(60_000)]) {
        assert.notInstanceOf(write(fits), MessageEncodeError)
      }
      const single = write(over)
      assert(single instanceof MessageEncodeError)
      assert.deepInclude(single, { part: `${part} "large"`, entity: "texts" })
      assert.include(single.message, "32769 bytes")
      const umlauts = write({ large: "ü".repeat(16 * 1024 + 1) })
      assert(umlauts instanceof MessageEncodeError)
      const all = write(many(70_000))
      assert(all instanceof MessageEncodeError)
      assert.strictEqual(all.part, "properties")
      assert.include(all.message, "65536")
    })
  }

  it("counts all that is no body", () => {
    const encoder = MessageBatch.messageEncoder(Texts, clock)
    const write = (message: Partial<OutgoingMessage<string>>) => {
      const result = MessageBatch.encodeMessage(encoder, new Writer(), { body: "", ...message })
      return typeof result === "string" ? undefined : result.part
    }
    const annotations = { a: text(32_000), b: text(32_000) }
    assert.isUndefined(write({ messageAnnotations: annotations, body: text(200_000), footer: { f: text(100_000) } }))
    assert.strictEqual(write({ messageAnnotations: annotations, subject: text(2000) }), "properties")
    assert.strictEqual(write({ deliveryAnnotations: { a: text(40_000) }, to: text(30_000) }), "properties")
  })

  it("a message that is too large by them leaves the batch as it was, and bytes of a message have no quota", () => {
    const batcher = new MessageBatch.BatchBuilder(MessageBatch.messageEncoder(Texts, clock), new Writer())
    const limits = { maxMessageSize: 262_144, maxBatchSize: 262_144 }
    assert.isString(batcher.add({ body: "a" }, limits))
    const { size } = batcher
    assert.instanceOf(batcher.add({ body: "b", applicationProperties: over }, limits), MessageEncodeError)
    assert.deepStrictEqual([batcher.count, batcher.size], [1, size])
    const kept = AmqpAnnotatedMessage.toBytes({ applicationProperties: many(90_000), body: { kind: "empty" } })
    assert.isTrue(Result.isSuccess(kept))
  })
})
