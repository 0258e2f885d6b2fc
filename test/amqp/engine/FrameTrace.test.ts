/** Every frame is told in text that can be read, without tokens and bodies, and only where it is asked for. */
import { Effect, Layer, Logger, Redacted, References } from "effect"
import { AmqpValue, ConnectionString, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { Writable } from "node:stream"
import { Writer } from "../../../src/internal/amqp/codec/Writer.ts"
import * as FrameTrace from "../../../src/internal/amqp/engine/FrameTrace.ts"
import type { Socket } from "../../../src/internal/amqp/transport/Socket.ts"
import { inMemory, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

/** What is logged, as lines with their annotations. */
const capture = () => {
  const lines: Array<{ readonly text: string; readonly annotations: Readonly<Record<string, unknown>> }> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    if (logLevel !== "Trace") return
    lines.push({
      text: Array.isArray(message) ? message.join(" ") : String(message),
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
  })
  return { lines, layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Trace")) }
}

/** What is told of one frame. */
const traced = (name: "attach" | "close", fields: ReadonlyArray<AmqpValue.AmqpValue>): string => {
  const writer = new Writer()
  writer.raw(Uint8Array.of(0, 0, 0, 0, 2, 0, 0, 0))
  writer.descriptor({ attach: 0x12, close: 0x18 }[name])
  writer.value(fields)
  writer.patch(0, writer.length)
  const lines: Array<FrameTrace.TracedFrame> = []
  const socket = new Writable({ write: (_chunk, _encoding, done) => done() }) as unknown as Socket
  FrameTrace.wrap(socket, (line) => lines.push(line)).write(writer.take())
  assert.deepStrictEqual(lines.map(({ performative }) => performative), [name])
  return lines[0]!.text
}

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const sender = yield* ServiceBusSender.make(Texts)
  yield* sender.send({ body: "a body that no other may read" })
  const receiver = yield* ServiceBusReceiver.make(Texts)
  const [message] = yield* receiver.receive()
  yield* receiver.complete(message!)
  yield* receiver.peek()
  return emulator.connectionString
}).pipe(Effect.scoped)

describe("The frame trace", () => {
  it.effect("tells every frame in both directions, with its link", () => {
    const { layer, lines } = capture()
    return Effect.gen(function*() {
      yield* program
      const kinds = new Set(lines.map(({ text }) => text.split(" ").slice(0, 2).join(" ")))
      for (
        const kind of [
          "header",
          "sasl-init",
          "open",
          "begin",
          "attach",
          "flow",
          "transfer",
          "disposition",
          "detach",
          "end"
        ]
      ) assert.isTrue(kinds.has(`sent ${kind}`), kind)
      for (const kind of ["open", "begin", "attach", "flow", "transfer", "disposition"]) {
        assert.isTrue(kinds.has(`received ${kind}`), kind)
      }
      const attach = lines.find(({ text }) => text.startsWith("sent attach name=texts-"))!
      assert.match(attach.text, /role=sender/)
      assert.include(attach.text, "\"texts\"")
      assert.deepInclude(attach.annotations, { connection: 1 })
      assert.match(String(attach.annotations["link"]), /^texts-/)
      const transfer = lines.find(({ annotations, text }) =>
        text.startsWith("sent transfer") && annotations["link"] === attach.annotations["link"]
      )!
      assert.match(transfer.text, /payload=\d+ bytes/)
      assert.isFalse(lines.some(({ text }) => text.includes("unreadable")))
    }).pipe(
      Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] }, { frameTrace: true })),
      Effect.provide(layer)
    )
  })

  it.effect("has no token, no key and no body in it", () => {
    const { layer, lines } = capture()
    return Effect.gen(function*() {
      const connectionString = yield* program
      const { credential } = yield* ConnectionString.parse(connectionString)
      assert(credential._tag === "SharedKey")
      const all = JSON.stringify(lines)
      assert.isAbove(lines.length, 20)
      assert.notInclude(all, Redacted.value(credential.key))
      assert.notInclude(all, "SharedAccessSignature")
      assert.notInclude(all, "sig=")
      assert.notInclude(all, "no other may read")
    }).pipe(
      Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] }, { frameTrace: true })),
      Effect.provide(layer)
    )
  })

  it("every kind of value is readable, and no entry of a map is lost", () => {
    const { described, symbol, typed, uuid } = AmqpValue
    const map = new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([
      [symbol("a"), 1],
      ["a", "text"],
      [symbol("b"), new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([[1n, symbol("x")], [true, null]])],
      ["list", [1, [typed("ubyte", 2)], {}]],
      ["array", AmqpValue.array("symbol", ["p", "q"])],
      ["time", DateTime.makeUnsafe(0)],
      ["span", Duration.seconds(90)],
      ["uri", new URL("sb://host/q")],
      ["uuid", uuid("00112233-4455-6677-8899-aabbccddeeff")],
      ["char", typed("char", "c")],
      ["bytes", new Uint8Array([1, 255])],
      ["many", new Uint8Array(1000)],
      ["filter", described(0x137000000cn, "s")],
      ["named", described(symbol("x:y"), [1])]
    ])
    assert.strictEqual(
      traced("attach", [
        "link",
        0,
        true,
        null,
        null,
        described(0x28n, ["queue", null, symbol("never")]),
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        map
      ]),
      "name=link handle=0 role=receiver source=source:[\"queue\",null,\"never\"] properties={\"a\":1,\"a\":\"text\"," +
        "\"b\":{1:\"x\",true:null},\"list\":[1,[2],{}],\"array\":[\"p\",\"q\"],\"time\":1970-01-01T00:00:00.000Z," +
        "\"span\":1m 30s,\"uri\":sb://host/q,\"uuid\":\"00112233-4455-6677-8899-aabbccddeeff\",\"char\":\"c\"," +
        `"bytes":0x01ff,"many":0x${"00".repeat(32)}… (1000 bytes),"filter":0x137000000c:"s","named":x:y:[1]}`
    )
  })

  it("a field is bounded and on one line, and a token that a peer repeats is not in it", () => {
    const error = (description: string, info: AmqpValue.AmqpValue = null) =>
      traced("close", [AmqpValue.described(0x1dn, [AmqpValue.symbol("amqp:internal-error"), description, info])])
    assert.strictEqual(error("a\r\nb\u2028c"), "error=error:[\"amqp:internal-error\",\"a\\r\\nb c\",null]")
    const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    const told = error(`Signature is wrong: SharedAccessSignature sr=x&sig=c2VjcmV0&se=1 or ${jwt}`)
    for (const secret of ["c2VjcmV0", "c2lnbmF0dXJl", "eyJzdWIi"]) assert.notInclude(told, secret)
    assert.include(told, "sr=x&sig=<redacted>&se=1")
    const large = error("x", Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key-${i}`, "y".repeat(100)])))
    assert.isAtMost(large.length, 1100)
    assert.isTrue(large.endsWith("…"))
    assert.isAtMost(error("z".repeat(20_000)).length, 1100)
  })

  it.effect("is off by default", () => {
    const { layer, lines } = capture()
    return Effect.gen(function*() {
      yield* program
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] })), Effect.provide(layer))
  })
})
