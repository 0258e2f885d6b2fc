/** Where the administration client asks, with what, and what becomes of what goes wrong on a real socket. */
import { ServiceBusAdministration, ServiceBusCredential } from "effect-service-bus"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { failsWith, until } from "./support/harness.ts"
import * as Http from "./support/scriptedHttp.ts"
import { assert, describe, it } from "./support/vitest.ts"

const { ServiceBusAdministration: Administration } = ServiceBusAdministration

const key = "SharedAccessKeyName=root;SharedAccessKey=secret-key"
const text = (endpoint: string, more = "") => Redacted.make(`Endpoint=${endpoint};${key}${more}`)
const emulator = ";UseDevelopmentEmulator=true"

const nothing: Http.Answer = { status: 404 }

/** The address that is asked for a queue. */
const asked = <E>(
  layer: Layer.Layer<ServiceBusAdministration.ServiceBusAdministration, E, HttpClient.HttpClient>
) =>
  Effect.suspend(() => {
    const { asked, http } = Http.scripted([nothing])
    return Effect.gen(function*() {
      yield* (yield* Administration).getQueue("q")
      return asked[0]!
    }).pipe(Effect.provide(Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, http))))
  })

const { layerHttpClient } = ServiceBusAdministration

describe("the address", () => {
  const cases: ReadonlyArray<readonly [string, string, ServiceBusAdministration.CommonOptions, string]> = [
    ["sb://contoso.servicebus.windows.net/", "", {}, "https://contoso.servicebus.windows.net/q"],
    ["sb://contoso.servicebus.windows.net:8443/", "", {}, "https://contoso.servicebus.windows.net:8443/q"],
    ["sb://contoso.servicebus.windows.net/", "", { port: 444 }, "https://contoso.servicebus.windows.net:444/q"],
    ["sb://localhost", emulator, {}, "http://localhost:5300/q"],
    ["sb://127.0.0.1:5672", emulator, {}, "http://127.0.0.1:5672/q"],
    ["sb://[::1]:5672", emulator, {}, "http://[::1]:5672/q"],
    ["sb://localhost:5672", emulator, { port: 5301 }, "http://localhost:5301/q"],
    ["sb://broker:5672", emulator, { allowPlainTcp: true }, "http://broker:5672/q"]
  ]
  for (const [endpoint, more, options, expected] of cases) {
    it.effect(`of ${endpoint}${more} ${JSON.stringify(options)} is ${expected}`, () =>
      Effect.gen(function*() {
        const { url } = yield* asked(layerHttpClient(text(endpoint, more), options))
        assert.strictEqual(url.origin + url.pathname, expected)
      }))
  }

  it.effect("of a namespace by its name, and what its token is for", () =>
    Effect.gen(function*() {
      const credential = ServiceBusCredential.sharedKey({ name: "root", key: "secret-key" })
      const { headers, url } = yield* asked(
        layerHttpClient({ fullyQualifiedNamespace: "sb://Contoso.servicebus.windows.net/", credential })
      )
      assert.strictEqual(url.origin, "https://contoso.servicebus.windows.net")
      assert.include(headers["authorization"]!, "sr=https%3A%2F%2Fcontoso.servicebus.windows.net%2F&")
      // A policy of an entity has no right on the namespace.
      const entity = yield* asked(layerHttpClient(text("sb://contoso.servicebus.windows.net/", ";EntityPath=q")))
      assert.include(entity.headers["authorization"]!, "sr=https%3A%2F%2Fcontoso.servicebus.windows.net%2Fq&")
    }))

  it.effect("of the environment", () =>
    Effect.gen(function*() {
      const given = (environment: Record<string, string>, options?: ServiceBusAdministration.EnvOptions) =>
        Effect.map(Administration, ({ fullyQualifiedNamespace }) => fullyQualifiedNamespace).pipe(
          Effect.provide(ServiceBusAdministration.layerEnv(options)),
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: environment })))
        )
      const credential = ServiceBusCredential.sas("SharedAccessSignature sr=a&sig=b&se=9999999999&skn=c")
      assert.strictEqual(
        yield* given({ SERVICE_BUS_CONNECTION_STR: Redacted.value(text("sb://contoso.servicebus.windows.net")) }),
        "contoso.servicebus.windows.net"
      )
      assert.strictEqual(
        yield* given({ SERVICEBUS_FQDN: "fabrikam.servicebus.windows.net" }, { credential }),
        "fabrikam.servicebus.windows.net"
      )
      const missing = yield* Effect.flip(given({ SERVICEBUS_FQDN: "fabrikam.servicebus.windows.net" }))
      assert.strictEqual(missing._tag, "InvalidOptionError")
      assert.strictEqual((yield* Effect.flip(given({})))._tag, "ConfigError")
    }))

  it.effect("is refused where it is none, or in the clear to another machine", () =>
    Effect.gen(function*() {
      const cases = [
        [asked(layerHttpClient(text("sb://broker", emulator))), "ConnectionStringError"],
        [asked(layerHttpClient(text("contoso"))), "ConnectionStringError"],
        [asked(layerHttpClient(text("sb://a.b"), { port: 0 })), "InvalidOptionError"],
        [asked(layerHttpClient(text("sb://a.b"), { apiVersion: "2019-01" as never })), "InvalidOptionError"],
        [asked(layerHttpClient(text("sb://a.b"), { operationTimeout: "0 seconds" })), "InvalidOptionError"],
        [asked(layerHttpClient(text("sb://a.b"), { timeout: "1 second" } as never)), "InvalidOptionError"],
        [asked(layerHttpClient({ fullyQualifiedNamespace: "contoso", credential: 5 as never })), "InvalidOptionError"],
        [
          asked(layerHttpClient({ fullyQualifiedNamespace: "contoso.example", credential: 5 as never })),
          "InvalidOptionError"
        ]
      ] as const
      for (const [effect, tag] of cases) assert.strictEqual((yield* Effect.flip(effect))._tag, tag)
    }))
})

/** A server on a port, and an administration client of it. */
const serving = Effect.fnUntraced(function*(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  options: ServiceBusAdministration.CommonOptions = { retry: { maxRetries: 0 } }
) {
  const server = createServer(answer)
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )
  const layer = ServiceBusAdministration.layerConnectionString(text(`sb://127.0.0.1:${port}`, emulator), options)
  return { administration: yield* Effect.provide(Administration, layer), port, server }
})

describe("over a socket", () => {
  it.live("a redirection is not followed: it would take the token along", () =>
    Effect.gen(function*() {
      const targets: Array<string> = []
      const { administration, port } = yield* serving((request, response) => {
        targets.push(request.url!)
        response.writeHead(307, { location: `http://127.0.0.1:${port}/elsewhere` }).end()
      })
      const error = yield* failsWith("ServiceBusError")(administration.getQueue("q"))
      assert.strictEqual(error.condition, "http:307")
      assert.deepStrictEqual(targets, ["/q?api-version=2021-05"])
    }).pipe(Effect.scoped))

  it.live("a redirection that another client follows to another host is told", () =>
    Effect.gen(function*() {
      const elsewhere = yield* serving((_, response) => {
        response.writeHead(200).end(`<feed xmlns="http://www.w3.org/2005/Atom"/>`)
      })
      const { port } = yield* serving((request, response) => {
        request.resume()
        response.writeHead(307, { location: `http://127.0.0.1:${elsewhere.port}/q` }).end()
      })
      const given = (init: RequestInit) =>
        Effect.provide(
          Administration,
          Layer.provide(
            layerHttpClient(text(`sb://127.0.0.1:${port}`, emulator), { retry: { maxRetries: 0 } }),
            Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.RequestInit, init))
          )
        )
      const following = yield* given({})
      // An empty list says that there is no such queue.
      for (const run of [Effect.asVoid(following.getQueue("q")), Effect.asVoid(following.createQueue("q"))]) {
        assert.match((yield* failsWith("ServiceBusError")(run)).message, /followed a redirection to another host/)
      }
      const manual = yield* given({ redirect: "manual" })
      assert.strictEqual((yield* failsWith("ServiceBusError")(manual.getQueue("q"))).condition, "http:307")
    }).pipe(Effect.scoped))

  it.live("a port that nobody listens on is told, and nothing was done", () =>
    Effect.gen(function*() {
      const { administration, server } = yield* serving(() => {})
      yield* Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
      })
      const error = yield* failsWith("ServiceBusCommunicationError")(administration.createQueue("q"))
      assert.match(error.message, /ECONNREFUSED/)
    }).pipe(Effect.scoped))

  it.live("a port that fetch blocks is told at once, and no change is in doubt", () =>
    Effect.gen(function*() {
      for (const port of [1, 6000, 6667, 10_080]) {
        const layer = ServiceBusAdministration.layerConnectionString(text(`sb://127.0.0.1:${port}`, emulator), {
          // It would be tried again after an hour.
          retry: { maxRetries: 3, delay: "1 hour", maxDelay: "1 hour" }
        })
        const administration = yield* Effect.provide(Administration, layer)
        for (
          const run of [Effect.asVoid(administration.getQueue("q")), Effect.asVoid(administration.createQueue("q"))]
        ) {
          const error = yield* failsWith("InvalidOptionError")(run)
          assert.strictEqual(error.option, "port")
          assert.include(error.message, String(port))
        }
      }
    }).pipe(Effect.scoped))

  it.live("an answer that breaks off leaves a change unknown, and no more than that", () =>
    Effect.gen(function*() {
      const { administration } = yield* serving((request, response) => {
        request.resume()
        response.writeHead(201, { "content-length": "1000" })
        response.write("<entry", () => response.destroy())
      })
      const error = yield* failsWith("OperationTimeoutError")(administration.createQueue("q"))
      assert.strictEqual(error.outcome, "unknown")
      yield* failsWith("ServiceBusConnectionError")(administration.getQueue("q"))
    }).pipe(Effect.scoped))

  it.live("one that does not come ends with the time for it", () =>
    Effect.gen(function*() {
      const { administration } = yield* serving(() => {}, { retry: { maxRetries: 0 }, operationTimeout: "50 millis" })
      const error = yield* failsWith("OperationTimeoutError")(administration.deleteQueue("q"))
      assert.strictEqual(error.outcome, "unknown")
      assert.match(error.message, /no answer within 50 ms/)
    }).pipe(Effect.scoped))

  it.live("one without an end is given up", () =>
    Effect.gen(function*() {
      const { administration } = yield* serving((_, response) => {
        const chunk = Buffer.alloc(1024 * 1024, 0x20)
        const more = () => {
          while (!response.destroyed && response.write(chunk));
        }
        response.on("drain", more)
        response.writeHead(200)
        more()
      })
      const error = yield* failsWith("ServiceBusError")(administration.getQueue("q"))
      assert.match(error.message, /longer than/)
    }).pipe(Effect.scoped))

  it.live("an interruption ends the request", () =>
    Effect.gen(function*() {
      let state: "silent" | "asked" | "closed" = "silent"
      const { administration } = yield* serving((request) => {
        state = "asked"
        request.on("close", () => {
          state = "closed"
        })
      })
      const fiber = yield* Effect.forkChild(administration.getQueue("q"))
      yield* until(Effect.sync(() => state === "asked"))
      yield* Fiber.interrupt(fiber)
      yield* until(Effect.sync(() => state === "closed"))
    }).pipe(Effect.scoped))
})
