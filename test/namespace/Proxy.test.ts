/** The proxy of a WebSocket: named or from the environment, with the hosts that need none, and its class given by the program. */
import { ServiceBusClient, ServiceBusCredential, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { HttpsProxyAgent } from "https-proxy-agent"
import * as http from "node:http"
import * as https from "node:https"
import { inspect } from "node:util"
import * as Proxy from "../../src/internal/namespace/Proxy.ts"
import { recorded } from "../support/eventRecorder.ts"
import { failsWith, Texts } from "../support/harness.ts"
import { tunnel } from "../support/tunnel.ts"
import { assert, describe, it } from "../support/vitest.ts"

const inEnvironment = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

/** Keeps the address that it was made with. */
class Agent {
  readonly maxSockets = 1
  readonly url: string
  constructor(url: string) {
    this.url = url
  }
  destroy(): void {}
  addRequest(): void {}
}

/** A secret whose text is gone. */
const wiped = (text: string) => {
  const secret = Redacted.make(text)
  Redacted.wipeUnsafe(secret)
  return secret
}

const host = "contoso.servicebus.windows.net"

const urlOf = (env: Record<string, string>, url?: string | Redacted.Redacted<string>) =>
  Effect.map(
    Proxy.agentOf({ agent: Agent, url }, host, 443),
    (dialled) => (dialled?.agent as Agent | undefined)?.url
  ).pipe(inEnvironment(env))

describe("the proxy of the environment", () => {
  it.effect.each<[Record<string, string>, string | undefined]>([
    [{}, undefined],
    [{ HTTPS_PROXY: "" }, undefined],
    [{ HTTPS_PROXY: "http://a:8080" }, "http://a:8080"],
    [{ https_proxy: "http://a:8080" }, "http://a:8080"],
    [{ HTTPS_PROXY: "a:8080" }, "http://a:8080"],
    [{ HTTPS_PROXY: "https://a" }, "https://a"],
    [{ ALL_PROXY: "http://b", HTTP_PROXY: "http://c" }, "http://b"],
    [{ http_proxy: "http://c" }, "http://c"],
    [{ HTTPS_PROXY: "http://a", ALL_PROXY: "http://b" }, "http://a"],
    [{ HTTPS_PROXY: "http://a", NO_PROXY: "localhost,.windows.net" }, undefined],
    [{ HTTPS_PROXY: "http://a", no_proxy: "*" }, undefined],
    [{ HTTPS_PROXY: "http://a", NO_PROXY: "example.com" }, "http://a"]
  ])("%j: %s", ([env, expected]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* urlOf(env), expected)
    }))

  it.effect("is not asked where a proxy is named", () =>
    Effect.gen(function*() {
      const env = { HTTPS_PROXY: "http://a", NO_PROXY: "*" }
      assert.strictEqual(yield* urlOf(env, "http://named:1"), "http://named:1")
      assert.strictEqual(yield* urlOf(env, Redacted.make("http://u:p@named:1")), "http://u:p@named:1")
    }))
})

describe("NO_PROXY", () => {
  it.each<[string, string, number, boolean]>([
    ["", host, 443, false],
    [host, host, 443, true],
    [host.toUpperCase(), host, 443, true],
    ["servicebus.windows.net", host, 443, true],
    [".servicebus.windows.net", host, 443, true],
    ["*.servicebus.windows.net", host, 443, true],
    ["bus.windows.net", host, 443, false],
    ["a, b  servicebus.windows.net", host, 443, true],
    [`${host}:443`, host, 443, true],
    [`${host}:444`, host, 443, false],
    ["10.0.0.4", "10.0.0.4", 443, true],
    ["0.0.4", "10.0.0.4", 443, true],
    ["::1", "::1", 443, true],
    ["[::1]:443", "::1", 443, true],
    ["[::1]:444", "::1", 443, false],
    ["[::1]:", "::1", 443, true],
    ["0:0:0:0:0:0:0:1", "::1", 443, true],
    ["::1", "0:0:0:0:0:0:0:1", 443, true],
    ["[2001:DB8::0:1]", "2001:db8:0:0::1", 443, true],
    ["::2", "::1", 443, false],
    [`${host}.`, host, 443, true],
    [host, `${host}.`, 443, true],
    ["windows.net.:443", host, 443, true],
    [`${host}:`, host, 443, true],
    [",,.", host, 443, false]
  ])("%s for %s:%d: %s", (list, asked, port, expected) => {
    assert.strictEqual(Proxy.isBypassed(list, asked, port), expected)
  })
})

describe("the option proxy", () => {
  const failing = (options: object, env: Record<string, string> = {}) =>
    failsWith("InvalidOptionError")(
      Effect.scoped(ServiceBusClient.ServiceBusClient.pipe(
        Effect.provide(ServiceBusClient.layerConnectionString(
          Redacted.make(`Endpoint=sb://${host};SharedAccessKeyName=n;SharedAccessKey=k`),
          { transport: "amqpWebSockets", ...options }
        ))
      ))
    ).pipe(inEnvironment(env))

  it.effect("names the package where its class is missing", () =>
    Effect.gen(function*() {
      const error = yield* failing({ proxy: { url: "http://a" } })
      assert.strictEqual(error.option, "proxy.agent")
      assert.include(error.message, "npm install https-proxy-agent")
    }))

  it.effect("is refused where nothing would go through it", () =>
    Effect.gen(function*() {
      const proxy = { agent: HttpsProxyAgent }
      assert.include((yield* failing({ proxy, transport: "amqp" })).message, "amqpWebSockets")
      assert.include((yield* failing({ proxy, webSocketAgent: new Agent("") })).message, "webSocketAgent")
    }))

  it.effect("says no address in an error: it may have a password in it", () =>
    Effect.gen(function*() {
      const secret = "pa55word"
      for (
        const [options, env] of [
          [{ proxy: { agent: Agent, url: `socks5://user:${secret}@a` } }, {}],
          [{ proxy: { agent: Agent, url: Redacted.make(`http://${secret}:x:y`) } }, {}],
          [{ proxy: { agent: Agent } }, { HTTPS_PROXY: `ftp://user:${secret}@a` }],
          [{ proxy: { agent: Agent, url: `http://user:${secret}%zz@a` } }, {}],
          [{ proxy: { agent: Agent } }, { HTTPS_PROXY: `http://user%zz:${secret}@a` }],
          [{ proxy: { agent: Agent, url: wiped(`http://user:${secret}@a`) } }, {}],
          [{
            proxy: {
              agent: function(url: string) {
                throw new Error(url)
              },
              url: `http://user:${secret}@a`
            }
          }, {}]
        ] as ReadonlyArray<[object, Record<string, string>]>
      ) {
        const error = yield* failing(options, env)
        assert.match(error.option, /^proxy/)
        assert.notInclude(inspect(error, { depth: 10 }), secret)
      }
    }))

  it.live("tells nothing of what an agent says that has the password in it, when it dials", () =>
    Effect.gen(function*() {
      const says = ["pa55 word", "pa55%20word", Buffer.from("user:pa55 word").toString("base64"), "no secret"]
      for (const said of says) {
        class Failing extends HttpsProxyAgent<string> {
          override connect(): never {
            throw Object.assign(new Error("it failed"), { header: { said } })
          }
        }
        const error = yield* failsWith("ServiceBusConnectionError")(Effect.scoped(
          Effect.provide(
            ServiceBusSender.make(Texts),
            ServiceBusClient.layerConnectionString(
              Redacted.make(`Endpoint=sb://${host};SharedAccessKeyName=n;SharedAccessKey=k`),
              {
                transport: "amqpWebSockets",
                proxy: { agent: Failing, url: "http://user:pa55%20word@a" },
                retry: { maxRetries: 0 }
              }
            )
          )
        ))
        assert.include(error.message, said === "no secret" ? "it failed" : "the agent of its proxy failed")
        if (said !== "no secret") assert.notInclude(inspect(error, { depth: 10, showHidden: true }), said)
      }
    }).pipe(recorded))

  it.live("tunnels, with a password, and not to a host that needs no proxy", () =>
    Effect.gen(function*() {
      const { authorizations, tunnels, url } = yield* tunnel
      const address = url.replace("http://", "http://user:pa55word@")
      const send = (env: Record<string, string>) =>
        Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(Texts)
          yield* sender.send({ body: "through the proxy" })
        }).pipe(
          Effect.scoped,
          Effect.provide(Emulator.layerClientOver("webSocket", { proxy: { agent: HttpsProxyAgent } })),
          inEnvironment(env)
        )
      yield* send({ HTTPS_PROXY: address, NO_PROXY: "localhost, 127.0.0.1" })
      assert.lengthOf(tunnels, 0)
      yield* send({ HTTPS_PROXY: address })
      const { webSocketPort } = yield* Emulator.Emulator
      assert.deepStrictEqual(tunnels.map((target) => target.split(":")[1]), [`${webSocketPort}`])
      assert.deepStrictEqual(authorizations, [`Basic ${Buffer.from("user:pa55word").toString("base64")}`])
    }).pipe(
      Effect.scoped,
      Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Texts)], webSocketPort: 0 }))
    ))

  it.effect("what Node would not dial through is refused before anything is dialled", () =>
    Effect.gen(function*() {
      class NoAgent {
        readonly maxSockets = 1
        destroy(): void {}
      }
      const base = { fullyQualifiedNamespace: host, transport: "amqpWebSockets" } as const
      const credential = ServiceBusCredential.sharedKey({ name: "n", key: "k" })
      const made = (options: Partial<ServiceBusClient.CommonOptions>) =>
        Effect.scoped(ServiceBusClient.make({ ...base, credential, ...options }))
      const bad: ReadonlyArray<readonly [string, Partial<ServiceBusClient.CommonOptions>]> = [
        ["proxy.agent", { proxy: { agent: NoAgent, url: "http://proxy" } }],
        ["webSocketAgent", { webSocketAgent: new NoAgent() }],
        ["webSocketAgent", { webSocketAgent: {} as never }],
        ["webSocketAgent", { webSocketAgent: new http.Agent() }]
      ]
      for (const [option, options] of bad) {
        assert.strictEqual((yield* failsWith("InvalidOptionError")(made(options))).option, option)
      }
      const agents = [new https.Agent(), new HttpsProxyAgent("http://proxy"), new Agent("")]
      for (const webSocketAgent of agents) yield* made({ webSocketAgent })
    }))

  it.live("an agent that throws when it is asked is a typed error", () =>
    Effect.gen(function*() {
      class Throwing extends https.Agent {
        addRequest(): void {
          throw new Error("no route")
        }
      }
      const error = yield* failsWith("ServiceBusConnectionError")(
        Effect.scoped(ServiceBusReceiver.make(Texts)).pipe(
          Effect.provide(
            Emulator.layerClientOver("webSocket", { webSocketAgent: new Throwing(), retry: { maxRetries: 0 } })
          )
        )
      )
      assert.include(error.message, "no route")
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity(Texts)], webSocketPort: 0 }))))
})
