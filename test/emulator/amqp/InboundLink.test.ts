/**
 * What the service refuses by itself, whatever the client has checked before: ids and keys that are too long, a partition key that
 * is not the session, and what is to go on to another entity. Microsoft's clients for Go and for other languages check less than ours.
 */
import { Effect, Redacted } from "effect"
import { ConnectionString, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as AmqpValues from "../../../src/AmqpValue.ts"
import { Sections } from "../../../src/internal/amqp/codec/Sections.ts"
import * as Raw from "../../support/frames.ts"
import { TextBytes } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Broker = Emulator.layerServer({ entities: ["texts", "other"].map((name) => Emulator.entity(name)) })

/** A peer that has signed in with a key, and has a session. */
const peer = Effect.gen(function*() {
  const { connectionString, port } = yield* Emulator.Emulator
  const { credential } = yield* ConnectionString.parse(connectionString)
  assert(credential._tag === "SharedKey")
  const raw = yield* Raw.connect(port)
  yield* raw.write(
    Raw.saslHeader,
    Raw.init("PLAIN", `\0${credential.name}\0${Redacted.value(credential.key)}`),
    Raw.amqpHeader,
    Raw.open,
    Raw.begin()
  )
  return raw
})

interface Keys {
  readonly messageId?: AmqpValues.AmqpValue
  readonly sessionId?: string
  readonly replyToSessionId?: string
  readonly partitionKey?: string
  readonly viaPartitionKey?: string
}

const message = ({ messageId = null, partitionKey, replyToSessionId, sessionId, viaPartitionKey }: Keys): Buffer => {
  const annotations = new Map<AmqpValues.AmqpValue, AmqpValues.AmqpValue>()
  if (partitionKey !== undefined) annotations.set(Raw.symbol("x-opt-partition-key"), partitionKey)
  if (viaPartitionKey !== undefined) annotations.set(Raw.symbol("x-opt-via-partition-key"), viaPartitionKey)
  const nulls = Array.from({ length: 7 }, () => null)
  return Raw.encoded(
    AmqpValues.described(0x72n, annotations),
    AmqpValues.described(0x73n, [messageId, null, null, ...nulls, sessionId ?? null, null, replyToSessionId ?? null]),
    AmqpValues.described(0x75n, Buffer.from("x"))
  )
}

const long = (length: number) => "i".repeat(length)

/** What is refused, and what of it the error names. */
const refusals: ReadonlyArray<readonly [keys: Keys, named: RegExp]> = [
  [{ messageId: long(129) }, /message-id has 129 characters/],
  [{ sessionId: long(129) }, /SessionId\) has 129/],
  [{ replyToSessionId: long(200) }, /ReplyToSessionId\) has 200/],
  [{ partitionKey: long(129) }, /\(PartitionKey\) has 129/],
  [{ viaPartitionKey: long(129) }, /ViaPartitionKey\) has 129/],
  [{ sessionId: "a", partitionKey: "b" }, /PartitionKey of a message must be its SessionId/]
]

const taken: ReadonlyArray<Keys> = [
  { messageId: long(128), replyToSessionId: long(128), viaPartitionKey: long(128) },
  { sessionId: long(128), partitionKey: long(128) },
  // What is no text has no characters.
  { messageId: Buffer.alloc(200), partitionKey: "p" }
]

const ids = Effect.map(
  Effect.flatMap(Emulator.Emulator, (emulator) => emulator.messages(TextBytes)),
  (messages) => messages.length
)

describe("a message whose keys the service does not take", () => {
  it.live("is rejected by name, and the link goes on", () =>
    Effect.gen(function*() {
      const { next, write } = yield* peer
      yield* write(Raw.attachSender("texts"))
      let id = 0
      const outcomeOf = (payload: Buffer, format = 0) =>
        Effect.gen(function*() {
          yield* write(
            Raw.frame("transfer", [Raw.uint(0), Raw.uint(id), Buffer.from(String(id++)), Raw.uint(format), false], {
              payload
            })
          )
          const { bytes, fields } = yield* next("disposition")
          return { ...Raw.stateOf(fields[4]!), text: bytes.toString("latin1") }
        })
      for (const [keys, named] of refusals) {
        const { condition, text } = yield* outcomeOf(message(keys))
        assert.strictEqual(condition, "amqp:not-allowed")
        assert.match(text, named)
        // All of a batch, or nothing (azure-sdk-for-net #32689).
        const batch = Raw.encoded(
          AmqpValues.described(0x75n, message({})),
          AmqpValues.described(0x75n, message(keys))
        )
        assert.strictEqual((yield* outcomeOf(batch, 0x80013700)).condition, "amqp:not-allowed")
      }
      assert.strictEqual(yield* ids, 0)
      for (const keys of taken) assert.strictEqual((yield* outcomeOf(message(keys))).code, 0x24)
      assert.strictEqual(yield* ids, taken.length)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.live("is not scheduled", () =>
    Effect.gen(function*() {
      const { next, write } = yield* peer
      yield* write(
        Raw.attachSender("texts/$management"),
        Raw.frame("attach", [
          "replies",
          Raw.uint(1),
          true,
          null,
          null,
          Raw.source("texts/$management"),
          Raw.target("me")
        ]),
        Raw.flow({ handle: 1, credit: 100 })
      )
      for (const [id, [keys, named]] of refusals.entries()) {
        yield* write(Raw.transfer({
          id,
          settled: true,
          payload: Raw.encoded(
            AmqpValues.described(0x73n, ["m", null, null, null, "me"]),
            AmqpValues.described(0x74n, { operation: "com.microsoft:schedule-message" }),
            AmqpValues.described(0x77n, { messages: [{ "message-id": "m", message: message(keys) }] })
          )
        }))
        const { payload } = yield* next("transfer")
        const sections = new Sections(payload, 0, payload.length)
        const { errorCondition, statusCode, statusDescription } = sections.readRecord(sections.applicationProperties)
        assert.deepStrictEqual([statusCode, errorCondition], [400, Raw.symbol("amqp:not-allowed")])
        assert.match(String(statusDescription), named)
      }
      assert.strictEqual(yield* ids, 0)
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})

describe("a batch where messages may be larger than a batch", () => {
  const Large = Emulator.layerServer({ entities: [Emulator.entity("texts", { maxMessageSize: 5 * 1024 ** 2 })] })

  it.live("has at most 1 MiB, which the link says; with more its link is detached in the service's words", () =>
    Effect.gen(function*() {
      const { next, write } = yield* peer
      yield* write(Raw.attachSender("texts"))
      const { fields } = yield* next("attach")
      assert.deepStrictEqual(fields[10], 5n * 1024n ** 2n)
      assert.deepStrictEqual(fields[13], new Map([[Raw.symbol("com.microsoft:max-message-batch-size"), 1024n ** 2n]]))
      const sends = (id: number, payload: Buffer, format: number) =>
        Effect.gen(function*() {
          for (let at = 0; at < payload.length; at += 60_000) {
            const part = payload.subarray(at, at + 60_000)
            const more = at + part.length < payload.length
            yield* write(
              Raw.frame("transfer", [
                Raw.uint(0),
                Raw.uint(id),
                Buffer.from(String(id)),
                Raw.uint(format),
                false,
                more
              ], { payload: part })
            )
          }
        })
      const batchOf = (size: number) => {
        const overhead = Raw.encoded(AmqpValues.described(0x75n, Raw.message(Buffer.alloc(size)))).length - size
        return Raw.encoded(AmqpValues.described(0x75n, Raw.message(Buffer.alloc(size - overhead))))
      }
      yield* sends(0, batchOf(1024 ** 2), 0x80013700)
      assert.strictEqual(Raw.stateOf((yield* next("disposition")).fields[4]!).code, 0x24)
      yield* sends(1, Raw.message(Buffer.alloc(2 * 1024 ** 2)), 0)
      assert.strictEqual(Raw.stateOf((yield* next("disposition")).fields[4]!).code, 0x24)
      yield* sends(2, batchOf(1024 ** 2 + 1), 0x80013700)
      const error = Raw.errorOf(yield* next("detach"))
      assert(error !== undefined)
      assert.strictEqual(error.condition, "amqp:not-allowed")
      assert.match(
        error.description,
        /^The link 's0' is force detached .* received a batch message with no data in it\./
      )
      assert.strictEqual(yield* ids, 2)
    }).pipe(Effect.scoped, Effect.provide(Large)))
})

describe("a link that sends to an entity by way of another one", () => {
  it.live("is refused, and says where to send: its messages would stay where they are not looked for", () =>
    Effect.gen(function*() {
      const { next, write } = yield* peer
      const properties = new Map([[Raw.symbol("com.microsoft:transfer-destination-address"), "other"]])
      const attach = [null, null, Raw.uint(0), null, null, null, properties]
      yield* write(
        Raw.frame("attach", ["via", Raw.uint(0), false, null, null, Raw.source("raw"), Raw.target("texts"), ...attach])
      )
      const error = Raw.errorOf(yield* next("detach"))
      assert(error !== undefined)
      assert.strictEqual(error.condition, "amqp:not-implemented")
      assert.match(error.description, /^Sending to 'other' by way of 'texts' is not supported by this broker\. Send to/)
      // Without the property it is a link like any other.
      yield* write(Raw.attachSender("texts", { name: "plain", handle: 1 }), Raw.transfer({ handle: 1, id: 0 }))
      assert.strictEqual(Raw.stateOf((yield* next("disposition")).fields[4]!).code, 0x24)
      const emulator = yield* Emulator.Emulator
      assert.lengthOf(yield* emulator.messages(ServiceBusEntity.queue("other", { body: TextBytes.body })), 0)
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})
