/** A client made by configuration: options as Configs, and the environment of the official samples. */
import {
  ConnectionString,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  type ServiceBusError
} from "effect-service-bus"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { assert, describe, it } from "./support/vitest.ts"

type Live = Layer.Layer<
  ServiceBusClient.ServiceBusClient,
  Config.ConfigError | ServiceBusError.ConnectionStringError | ServiceBusError.InvalidOptionError
>

/** The client of a layer in an environment. */
const clientOf = (layer: Live, env: Record<string, string>) =>
  Effect.provide(ServiceBusClient.ServiceBusClient, layer).pipe(
    Effect.map(({ fullyQualifiedNamespace, identifier }) => ({ fullyQualifiedNamespace, identifier })),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const credential = ServiceBusCredential.sharedKey({ name: "app", key: Redacted.make("c2VjcmV0") })
const host = "contoso.servicebus.windows.net"
const text = Redacted.value(ConnectionString.format({
  host,
  port: undefined,
  credential,
  entityPath: undefined,
  useDevelopmentEmulator: false
}))

describe("layerConfig", () => {
  it.effect("takes Configs and values, also within retry", () =>
    Effect.gen(function*() {
      const layer = ServiceBusClient.layerConfig({
        fullyQualifiedNamespace: Config.String("NAMESPACE"),
        credential: Config.all({ name: Config.succeed("app"), key: Config.Redacted("KEY") }).pipe(
          Config.map(ServiceBusCredential.sharedKey)
        ),
        identifier: "billing",
        retry: { maxRetries: Config.Int("RETRIES"), delay: "1 second" }
      })
      const env = { NAMESPACE: host, KEY: "c2VjcmV0", RETRIES: "5" }
      assert.deepStrictEqual(yield* clientOf(layer, env), { fullyQualifiedNamespace: host, identifier: "billing" })

      const outOfRange = yield* Effect.flip(clientOf(layer, { ...env, RETRIES: "101" }))
      assert.strictEqual(outOfRange._tag, "InvalidOptionError")
      assert.include(outOfRange.message, "retry.maxRetries")

      const { KEY: _, ...without } = env
      const missing = yield* Effect.flip(clientOf(layer, without))
      assert.strictEqual(missing._tag, "ConfigError")
      assert.include(missing.message, "KEY")
    }))

  it.effect("takes a Schedule as retry, and Configs within proxy", () =>
    Effect.gen(function*() {
      const made: Array<string> = []
      class Agent {
        readonly maxSockets = 1
        constructor(url: string) {
          made.push(url)
        }
        destroy(): void {}
        addRequest(): void {}
      }
      const layer = ServiceBusClient.layerConfig({
        fullyQualifiedNamespace: host,
        credential,
        transport: "amqpWebSockets",
        idleTimeout: Config.Duration("IDLE"),
        userAgentSuffix: Config.String("AGENT"),
        allowPlainTcp: Config.Boolean("PLAIN"),
        retry: Schedule.spaced("1 second"),
        proxy: { agent: Agent, url: Config.Redacted("PROXY") }
      })
      const env = { IDLE: "30 seconds", AGENT: "billing/2", PLAIN: "false", PROXY: "http://proxy:8080" }
      assert.strictEqual((yield* clientOf(layer, env)).fullyQualifiedNamespace, host)
      assert.deepStrictEqual(made, ["http://proxy:8080"])
      for (
        const [option, wrong] of [
          ["idleTimeout", { IDLE: "1 second" }],
          ["userAgentSuffix", { AGENT: "caf\u00e9" }],
          ["proxy.url", { PROXY: "socks5://proxy" }]
        ] as const
      ) {
        const error = yield* Effect.flip(clientOf(layer, { ...env, ...wrong }))
        assert.strictEqual(error._tag, "InvalidOptionError")
        assert.strictEqual((error as ServiceBusError.InvalidOptionError).option, option)
      }
      const { PROXY: _, ...without } = env
      assert.strictEqual((yield* Effect.flip(clientOf(layer, without)))._tag, "ConfigError")
    }))

  it.effect("takes one Config of all options, and of all of retry", () =>
    Effect.gen(function*() {
      const layer = (retries: number) =>
        ServiceBusClient.layerConfig(Config.map(
          Config.String("NAMESPACE"),
          (fullyQualifiedNamespace) => ({ fullyQualifiedNamespace, credential, retry: { maxRetries: retries } })
        ))
      assert.strictEqual((yield* clientOf(layer(1), { NAMESPACE: host })).fullyQualifiedNamespace, host)
      const error = yield* Effect.flip(clientOf(layer(-1), { NAMESPACE: host }))
      assert.include(error.message, "retry.maxRetries")

      const retry = ServiceBusClient.layerConfig({
        fullyQualifiedNamespace: host,
        credential,
        retry: Config.map(Config.Int("RETRIES"), (maxRetries) => ({ maxRetries }))
      })
      assert.include((yield* Effect.flip(clientOf(retry, { RETRIES: "-1" }))).message, "retry.maxRetries")
    }))
})

describe("layerConnectionString", () => {
  it.effect("takes Configs as options beside a plain string", () =>
    Effect.gen(function*() {
      const layer = ServiceBusClient.layerConnectionString(Redacted.make(text), { identifier: Config.String("NAME") })
      assert.deepStrictEqual(yield* clientOf(layer, { NAME: "billing" }), {
        fullyQualifiedNamespace: host,
        identifier: "billing"
      })
      assert.strictEqual((yield* Effect.flip(clientOf(layer, {})))._tag, "ConfigError")
    }))
})

describe("layerEnv", () => {
  it.effect("takes the connection string, whatever else is set", () =>
    Effect.gen(function*() {
      const env = { SERVICE_BUS_CONNECTION_STR: text, SERVICE_BUS_NAMESPACE: "other.servicebus.windows.net" }
      for (const layer of [ServiceBusClient.layerEnv(), ServiceBusClient.layerEnv({ credential })]) {
        assert.strictEqual((yield* clientOf(layer, env)).fullyQualifiedNamespace, host)
      }
    }))

  it.effect("takes a namespace with the credential of the options", () =>
    Effect.gen(function*() {
      const layer = ServiceBusClient.layerEnv({ credential, identifier: Config.String("NAME") })
      for (const name of ["SERVICE_BUS_NAMESPACE", "SERVICEBUS_FQDN"]) {
        // What is empty is not set.
        const env = { SERVICE_BUS_CONNECTION_STR: "", SERVICE_BUS_NAMESPACE: "", NAME: "billing", [name]: host }
        assert.deepStrictEqual(yield* clientOf(layer, env), { fullyQualifiedNamespace: host, identifier: "billing" })
      }
    }))

  it.effect("says which variable asks for a credential", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(clientOf(ServiceBusClient.layerEnv(), { SERVICEBUS_FQDN: host }))
      assert.strictEqual(error._tag, "InvalidOptionError")
      assert.include(error.message, "credential")
      assert.include(error.message, "SERVICEBUS_FQDN")
    }))

  it.effect("names all variables where none is set", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(clientOf(ServiceBusClient.layerEnv({ credential }), {}))
      assert.strictEqual(error._tag, "ConfigError")
      for (const name of ["SERVICE_BUS_CONNECTION_STR", "SERVICE_BUS_NAMESPACE", "SERVICEBUS_FQDN", "credential"]) {
        assert.include(error.message, name)
      }
    }))

  it.effect("does not repeat what a malformed connection string holds", () =>
    Effect.gen(function*() {
      const env = { SERVICE_BUS_CONNECTION_STR: `${text};Endpoint=` }
      const error = yield* Effect.flip(clientOf(ServiceBusClient.layerEnv(), env))
      assert.strictEqual(error._tag, "ConnectionStringError")
      assert.notInclude(String(error) + JSON.stringify(error), "c2VjcmV0")
    }))
})

describe("names from the environment of the samples", () => {
  it.effect("are Configs", () =>
    Effect.gen(function*() {
      const { queueName, sessionId, sessionQueueName, subscriptionName, topicName } = ServiceBusEntity
      const names = Config.all({ queueName, sessionId, sessionQueueName, subscriptionName, topicName })
      const env = {
        SERVICE_BUS_QUEUE_NAME: "orders",
        SERVICE_BUS_SESSION_ID: "ada",
        SERVICE_BUS_SESSION_QUEUE_NAME: "carts",
        SERVICE_BUS_SUBSCRIPTION_NAME: "sport",
        SERVICE_BUS_TOPIC_NAME: "news"
      }
      assert.deepStrictEqual(yield* names.parse(ConfigProvider.fromEnv({ env })), {
        queueName: "orders",
        sessionId: "ada",
        sessionQueueName: "carts",
        subscriptionName: "sport",
        topicName: "news"
      })
      const error = yield* Effect.flip(queueName.parse(ConfigProvider.fromEnv({ env: {} })))
      assert.include(error.message, "SERVICE_BUS_QUEUE_NAME")
    }))
})
