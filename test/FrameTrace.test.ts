import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, References } from "effect"
import { ConnectionString, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { inMemory, Texts } from "./suites/harness.ts"

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

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const sender = yield* ServiceBusSender.make(Texts)
  yield* sender.send({ body: "a body that nobody else may read" })
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
      assert.notInclude(all, "nobody else may read")
    }).pipe(
      Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] }, { frameTrace: true })),
      Effect.provide(layer)
    )
  })

  it.effect("is off by default", () => {
    const { layer, lines } = capture()
    return Effect.gen(function*() {
      yield* program
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] })), Effect.provide(layer))
  })
})
