/** How a client connects: what it tells the peer of itself, and to whom it speaks without TLS. */
import { ConnectionString, ServiceBusClient, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { failsWith, overTcp, Texts } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

/** The open frame that a client with these options sends. */
const openOf = (options: ServiceBusClient.CommonOptions) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => {
    lines.push(String(message))
  })
  return ServiceBusSender.make(Texts).pipe(
    Effect.scoped,
    Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }, { ...options, frameTrace: true })),
    Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Trace"))),
    Effect.as(lines),
    Effect.map((all) => all.find((line) => line.startsWith("sent open")) ?? "")
  )
}

const client = (options: ServiceBusClient.CommonOptions) =>
  Effect.scoped(
    Effect.flatMap(
      ConnectionString.parse("Endpoint=sb://contoso.servicebus.windows.net;SharedAccessKeyName=n;SharedAccessKey=k"),
      (parsed) => ServiceBusClient.fromConnectionString(parsed, options)
    )
  )

describe("userAgentSuffix", () => {
  it.live("stands behind the name of the library", () =>
    Effect.gen(function*() {
      assert.match(yield* openOf({}), /user-agent\W+effect-service-bus\/\d+\.\d+\.\d+\W/)
      assert.match(
        yield* openOf({ userAgentSuffix: "billing/2.1 (eu)" }),
        /user-agent\W+effect-service-bus\/\d+\.\d+\.\d+ billing\/2\.1 \(eu\)/
      )
    }))

  it.effect("is refused where a peer's log could read it as something else", () =>
    Effect.gen(function*() {
      for (const userAgentSuffix of ["", "a\r\nhost: b", "a\u0000", "caf\u00e9", "x".repeat(257), 5 as never]) {
        const error = yield* failsWith("InvalidOptionError")(client({ userAgentSuffix }))
        assert.strictEqual(error.option, "userAgentSuffix")
      }
    }))
})

describe("idleTimeout", () => {
  it.live("is what the peer is told", () =>
    Effect.gen(function*() {
      assert.match(yield* openOf({}), /idle-time-out=60000\b/)
      assert.match(yield* openOf({ idleTimeout: "5 seconds" }), /idle-time-out=5000\b/)
    }))

  it.effect("is 5 seconds to 1 hour", () =>
    Effect.gen(function*() {
      for (const idleTimeout of ["4999 millis", "61 minutes", Infinity, NaN] as const) {
        const error = yield* failsWith("InvalidOptionError")(client({ idleTimeout }))
        assert.strictEqual(error.option, "idleTimeout")
      }
      yield* client({ idleTimeout: "1 hour" })
    }))
})

describe("allowPlainTcp", () => {
  /** A broker that another container could reach. Its address is not loopback, and reaches this machine. */
  const Server = Emulator.layerServer({ entities: [Emulator.entity(Texts)], host: "0.0.0.0" })
  const elsewhere = Effect.map(
    Effect.flatMap(Emulator.Emulator, ({ connectionString }) => ConnectionString.parse(connectionString)),
    (parsed) => ({ ...parsed, host: "0.0.0.0" })
  )
  const sent = (options?: ServiceBusClient.CommonOptions) =>
    Effect.gen(function*() {
      const client = yield* ServiceBusClient.fromConnectionString(yield* elsewhere, options)
      const sender = yield* Effect.provideService(
        ServiceBusSender.make(Texts),
        ServiceBusClient.ServiceBusClient,
        client
      )
      yield* sender.send({ body: "from another container" })
    }).pipe(Effect.scoped)

  it.live("lets an emulator be on another machine, and the error without it says so", () =>
    Effect.gen(function*() {
      for (const options of [undefined, { allowPlainTcp: false }]) {
        const error = yield* failsWith("ConnectionStringError")(sent(options))
        assert.strictEqual(error.part, "UseDevelopmentEmulator")
        assert.include(error.message, "allowPlainTcp: true")
      }
      yield* sent({ allowPlainTcp: true })
      const emulator = yield* Emulator.Emulator
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    }).pipe(Effect.provide(Server)))

  it.effect("is not needed for this machine, allows no other transport, and is a boolean", () =>
    Effect.gen(function*() {
      const parsed = yield* ConnectionString.parse(
        "Endpoint=sb://localhost;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true"
      )
      yield* ServiceBusClient.fromConnectionString(parsed)
      for (
        const options of [
          { allowPlainTcp: true, transport: "amqpWebSockets" },
          { allowPlainTcp: true, customEndpointAddress: "sb://broker" },
          { allowPlainTcp: "true" as never }
        ] as const
      ) yield* failsWith("InvalidOptionError")(ServiceBusClient.fromConnectionString(parsed, options))
    }).pipe(Effect.scoped))
})
