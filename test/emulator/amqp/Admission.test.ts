/**
 * Who the broker takes: so many connections, so many that shake hands, and tokens that were made for it.
 */
import { Effect, Exit, Layer, Redacted, Scope } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as https from "node:https"
import * as net from "node:net"
import * as Authorization from "../../../src/emulator/security/Authorization.ts"
import * as SasToken from "../../../src/internal/SasToken.ts"
import { failsWith, until } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const serverOf = (options?: Partial<Emulator.ServerOptions>) =>
  Emulator.layerServer({
    entities: [Emulator.entity(Letters)],
    policies: [{ name: "mine", key: Redacted.make("my-key"), rights: ["Send", "Listen"] }],
    ...options
  })

/** A client of its own, with a connection as long as the scope lives. */
const connected = Effect.gen(function*() {
  const { connectionString } = yield* Emulator.Emulator
  const parsed = yield* ConnectionString.parse(connectionString)
  const client = yield* ServiceBusClient.fromConnectionString(parsed, { retry: { maxRetries: 0 } })
  return yield* Effect.provideService(ServiceBusSender.make(Letters), ServiceBusClient.ServiceBusClient, client)
})

/** A socket that says nothing; `closed` tells whether the broker has closed it. */
const silent = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly closed: () => boolean }>((resume) => {
      let closed = false
      const socket = net.connect({ port, host: "127.0.0.1" })
      socket.on("error", () => {})
      socket.on("close", () => {
        closed = true
      })
      // What the other side closes is read to its end.
      socket.resume()
      socket.on("connect", () => resume(Effect.succeed({ closed: () => closed, socket })))
    }) as Effect.Effect<{ readonly closed: () => boolean; readonly socket: net.Socket }>,
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

describe("a limit of connections", () => {
  it.live("one more is told so and closed, another one notices nothing, and a place that is left is taken", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const bystander = yield* connected
      const scope = yield* Scope.make()
      yield* Scope.provide(connected, scope)
      const error = yield* Effect.scoped(connected).pipe(failsWith("ServiceBusQuotaExceededError"))
      assert.strictEqual(error.condition, "amqp:resource-limit-exceeded")
      assert.strictEqual(error.quota, "connections")
      assert.match(error.description ?? "", /^ConnectionsQuotaExceeded for namespace 127\.0\.0\.1\./)
      yield* bystander.send({ body: "still here" })
      yield* Scope.close(scope, Exit.void)
      yield* until(Effect.map(emulator.connections, (count) => count === 1))
      const next = yield* connected
      yield* next.send({ body: "there is space" })
      yield* bystander.send({ body: "still here" })
      assert.lengthOf(yield* emulator.messages(Letters), 3)
    }).pipe(Effect.scoped, Effect.provide(serverOf({ maxConnections: 2 }))))
})

describe("a limit of handshakes", () => {
  for (const port of ["port", "tlsPort", "webSocketPort"] as const) {
    it.live(`sockets that say nothing at the ${port}: one more is closed, and the others notice nothing`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const bystander = yield* connected
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(silent(emulator[port]), scope)
        const second = yield* Scope.provide(silent(emulator[port]), scope)
        const third = yield* silent(emulator[port])
        yield* until(Effect.sync(third.closed))
        assert.deepStrictEqual([first.closed(), second.closed()], [false, false])
        yield* bystander.send({ body: "still here" })
        // They leave, and their places are free, at whatever port.
        yield* Scope.close(scope, Exit.void)
        yield* until(Effect.exit(Effect.scoped(connected)).pipe(Effect.map(Exit.isSuccess)))
        for (const transport of ["tcp", "tls", "webSocket"] as const) {
          for (let i = 0; i < 3; i++) {
            yield* Effect.scoped(ServiceBusReceiver.make(Letters)).pipe(
              Effect.provide(Layer.fresh(Emulator.layerClientOver(transport)))
            )
          }
        }
        yield* bystander.send({ body: "still here" })
      }).pipe(Effect.scoped, Effect.provide(serverOf({ maxHandshakes: 2, tlsPort: 0, webSocketPort: 0 }))))
  }

  it.effect("numbers that are none are refused", () =>
    Effect.gen(function*() {
      for (const name of ["maxConnections", "maxHandshakes"]) {
        for (const value of [0, -1, 1.5, NaN, Infinity, "5"]) {
          const error = yield* Effect.scoped(Layer.build(serverOf({ [name]: value }))).pipe(failsWith("EmulatorError"))
          assert.match(error.message, new RegExp(`${name} must be an integer of 1 or more`))
        }
      }
    }))
})

const isOurs = (host: string) => Authorization.isLoopback(host) || host === "contoso.servicebus.windows.net"

describe("the port for WebSocket", () => {
  it.live("answers what asks for something else, which keeps no place", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (let i = 0; i < 3; i++) {
        const status = yield* Effect.callback<number | undefined>((resume) => {
          const request = https.get(
            { host: "127.0.0.1", port: emulator.webSocketPort, ca: emulator.certificate, servername: "localhost" },
            (response) => {
              response.resume()
              resume(Effect.succeed(response.statusCode))
            }
          )
          request.on("error", (error) => resume(Effect.die(error)))
          return Effect.sync(() => request.destroy())
        })
        // The root of a namespace, which anybody may see.
        assert.strictEqual(status, 200)
      }
      // All places are free again.
      yield* until(Effect.map(Effect.exit(Effect.scoped(connected)), Exit.isSuccess))
    }).pipe(Effect.scoped, Effect.provide(serverOf({ webSocketPort: 0, maxHandshakes: 2 }))))
})

describe("the host of a token", () => {
  const check = (resource: string, audience = "sb://localhost/letters") =>
    Authorization.check(
      [{ name: "mine", key: Redacted.make("my-key"), rights: ["Send"] }],
      Redacted.value(SasToken.sign({ resource, keyName: "mine", key: Redacted.make("my-key"), expiresAt: 1000 })),
      audience,
      0,
      isOurs
    )

  it("is ours, as all kinds of clients write it", () => {
    for (
      const resource of [
        "letters",
        "/letters/",
        "sb://localhost/letters",
        "sb://LOCALHOST:5672/letters/",
        "amqp://127.0.0.1/letters",
        "amqps://127.0.0.1:5671/letters",
        "http://[::1]:5672/letters",
        "https://emulator.localhost",
        "sb://contoso.servicebus.windows.net/",
        "https://Contoso.ServiceBus.Windows.net.:443/letters",
        "amqps://name:key@localhost:5671/letters"
      ]
    ) {
      assert.deepInclude(check(resource), { _tag: "Success" }, resource)
      assert.deepInclude(check("sb://localhost/", resource.includes("/letters") ? resource : "letters"), {
        _tag: "Success"
      })
    }
  })

  it("is another's: neither a token for it nor an audience there is taken", () => {
    for (
      const host of [
        "sb://other.servicebus.windows.net/letters",
        "https://localhost.evil.example/letters",
        "sb://localhost@evil.example/letters",
        "sb://evil.example:5672/letters",
        "amqps://10.0.0.1/letters",
        "http://[2001:db8::1]:5672/letters",
        "sb:///letters"
      ]
    ) {
      assert.deepInclude(check(host), { _tag: "Failure", failure: "InvalidAudience" }, host)
      assert.deepInclude(check("sb://localhost/", host), { _tag: "Failure", failure: "InvalidAudience" }, host)
    }
  })

  it.live("a token for another namespace is refused over the wire, and one for that which the peer calls is taken", () =>
    Effect.gen(function*() {
      const { certificate, tlsPort } = yield* Emulator.Emulator
      const attach = (resource: string) =>
        Effect.scoped(ServiceBusReceiver.make(Letters)).pipe(Effect.provide(Layer.orDie(ServiceBusClient.layer({
          fullyQualifiedNamespace: "contoso.servicebus.windows.net",
          credential: ServiceBusCredential.sas(SasToken.sign({
            resource,
            keyName: "mine",
            key: Redacted.make("my-key"),
            expiresAt: Date.now() / 1000 + 60
          })),
          customEndpointAddress: `sb://localhost:${tlsPort}`,
          ca: certificate,
          retry: { maxRetries: 0 }
        }))))
      yield* attach("sb://contoso.servicebus.windows.net/letters")
      yield* attach("https://localhost/letters")
      const error = yield* attach("sb://fabrikam.servicebus.windows.net/letters").pipe(
        failsWith("ServiceBusAuthenticationError")
      )
      assert.strictEqual(error.condition, "amqp:unauthorized-access")
      assert.match(error.description ?? "", /InvalidAudience/)
    }).pipe(Effect.provide(serverOf({ tlsPort: 0 }))))
})
