/** A message there and back over each transport, certificates that are trusted and not, and options that contradict each other. */
import { Effect, Layer, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { X509Certificate } from "node:crypto"
import { selfSigned } from "../../../src/emulator/security/Certificate.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const Server = Emulator.layerServer({ entities: [Emulator.entity(Letters)], tlsPort: 0, webSocketPort: 0 })

const roundTrip = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  const receiver = yield* ServiceBusReceiver.make(Letters)
  yield* sender.sendAll([{ body: "short" }, { body: "long".repeat(50_000) }])
  const messages = yield* receiver.receive({ max: 2, maxWaitAfterFirst: "1 second" })
  yield* receiver.completeAll(messages)
  return messages.map((message) => message.body.length)
}).pipe(Effect.scoped)

describe("transports", () => {
  for (const transport of ["tcp", "tls", "webSocket"] as const) {
    it.live(`${transport}: a message there and back`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* roundTrip, [5, 200_000])
        const emulator = yield* Emulator.Emulator
        yield* Effect.sleep("20 millis")
        assert.strictEqual(yield* emulator.connections, 0)
      }).pipe(Effect.provide(Emulator.layerClientOver(transport).pipe(Layer.provideMerge(Server)))))
  }

  const secured = (host: string, options: ServiceBusClient.CommonOptions, port?: "tlsPort" | "webSocketPort") =>
    Layer.unwrap(Effect.map(Emulator.Emulator, (emulator) =>
      Layer.orDie(ServiceBusClient.layerConnectionString(
        Redacted.make(
          Redacted.value(emulator.connectionString).replace(
            /sb:\/\/[^;]+/,
            `sb://${host}:${emulator[port ?? "tlsPort"]}`
          )
            .replace(";UseDevelopmentEmulator=true", "")
        ),
        options
      ))))

  for (const kind of ["tlsPort", "webSocketPort"] as const) {
    it.live(`${kind}: a certificate that no authority vouches for is refused`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(roundTrip)
        assert.strictEqual(error._tag, "ServiceBusCommunicationError")
        assert.match(error.message, /certificate/i)
      }).pipe(Effect.provide(
        secured("localhost", kind === "tlsPort" ? {} : { transport: "amqpWebSockets" }, kind).pipe(
          Layer.provideMerge(Server)
        )
      )))
  }

  it.live("a certificate of another host is refused", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const other = selfSigned()
      const error = yield* Effect.flip(
        roundTrip.pipe(Effect.provide(secured("127.0.0.2", { ca: [emulator.certificate!, other.cert] })))
      )
      assert.strictEqual(error._tag, "ServiceBusCommunicationError")
    }).pipe(Effect.provide(
      Emulator.layerServer({ entities: [Emulator.entity(Letters)], tlsPort: 0, host: "0.0.0.0" })
    )))

  it.live("a custom endpoint address is dialled, and the namespace keeps its name", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const text = Redacted.value(emulator.connectionString).replace(
        /sb:\/\/[^;]+/,
        "sb://contoso.servicebus.windows.net/"
      )
        .replace(";UseDevelopmentEmulator=true", "")
      for (
        const [options, port] of [
          [{}, emulator.tlsPort],
          [{ transport: "amqpWebSockets" }, emulator.webSocketPort]
        ] as const
      ) {
        const client = ServiceBusClient.layerConnectionString(Redacted.make(text), {
          ...options,
          customEndpointAddress: `sb://localhost:${port}`,
          ca: emulator.certificate
        })
        assert.deepStrictEqual(yield* Effect.provide(roundTrip, client), [5, 200_000])
      }
    }).pipe(Effect.provide(Server)))

  it.live("a certificate of one's own", () => {
    const certificate = selfSigned()
    return Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      assert.strictEqual(emulator.certificate, certificate.cert)
      assert.deepStrictEqual(yield* roundTrip, [5, 200_000])
    }).pipe(Effect.provide(
      Emulator.layerClientOver("tls").pipe(
        Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity(Letters)], tlsPort: 0, certificate }))
      )
    ))
  })

  it("the broker's own certificate is a certificate, for the names that clients use", () => {
    const { cert } = selfSigned()
    const parsed = new X509Certificate(cert)
    assert.isTrue(parsed.verify(parsed.publicKey))
    assert.strictEqual(parsed.checkHost("localhost"), "localhost")
    assert.strictEqual(parsed.checkHost("contoso.servicebus.windows.net"), "*.servicebus.windows.net")
    assert.strictEqual(parsed.checkIP("127.0.0.1"), "127.0.0.1")
    assert.isUndefined(parsed.checkHost("example.com"))
    const more = new X509Certificate(
      selfSigned(["example.com", "10.1.2.3", "fe80::1:0:2", "fe80::1%eth0", "", "a b"]).cert
    )
    assert.strictEqual(more.checkHost("example.com"), "example.com")
    assert.strictEqual(more.checkIP("10.1.2.3"), "10.1.2.3")
    assert.strictEqual(more.checkIP("fe80::1:0:2"), "fe80::1:0:2")
    assert.strictEqual(more.checkIP("::1"), "::1")
    assert.strictEqual(more.checkHost("localhost"), "localhost")
    assert.isTrue(parsed.ca)
    assert.notStrictEqual(new X509Certificate(selfSigned().cert).serialNumber, parsed.serialNumber)
  })

  it.live("options that contradict each other are refused before anything is dialled", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (
        const [options, option] of [
          [{ transport: "amqpWebSockets" }, "transport"],
          [{ customEndpointAddress: "sb://localhost:1" }, "customEndpointAddress"],
          [{ transport: "quic" as never }, "transport"],
          [{ retry: { maxRetries: -1 } }, "retry.maxRetries"],
          [{ retry: { maxRetries: 1.5 } }, "retry.maxRetries"],
          [{ retry: { delay: 0 } }, "retry.delay"],
          [{ retry: { maxDelay: Infinity } }, "retry.maxDelay"],
          [{ operationTimeout: "0 seconds" }, "operationTimeout"]
        ] as const
      ) {
        const error = yield* Effect.flip(
          Layer.build(ServiceBusClient.layerConnectionString(emulator.connectionString, options)).pipe(Effect.scoped)
        )
        assert.strictEqual(error._tag, "InvalidOptionError")
        assert.strictEqual((error as { readonly option?: string }).option, option)
      }
      const custom = yield* Effect.flip(
        Layer.build(ServiceBusClient.layer({
          fullyQualifiedNamespace: "contoso.servicebus.windows.net",
          credential: { _tag: "SharedAccessSignature", token: Redacted.make("") },
          customEndpointAddress: "localhost"
        })).pipe(Effect.scoped)
      )
      assert.include(custom.message, "sb://host:port")
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Letters)] }))))
})
