/**
 * The client: a namespace and a credential as a service. It does nothing by itself; the first sender or receiver opens
 * the connection, which all of them share, and the last one to close closes it.
 *
 * The client owns the connection, a sender or receiver owns its link. Closing the client's layer closes what is left.
 *
 * @module
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as ConnectionString from "./ConnectionString.ts"
import * as ConfiguredOptions from "./internal/namespace/ConfiguredOptions.ts"
import * as Namespace from "./internal/namespace/Namespace.ts"
import * as NamespaceOptions from "./internal/namespace/NamespaceOptions.ts"
import { readOptions } from "./internal/options.ts"
import * as SchemaTrial from "./internal/SchemaTrial.ts"
import type { ServiceBusCredential } from "./ServiceBusCredential.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type Any as ServiceBusError,
  type ConnectionStringError,
  type HealthCheckError,
  InvalidOptionError
} from "./ServiceBusError.ts"
import type { LogLevelOption, ServiceBusEvent } from "./ServiceBusEvent.ts"

/**
 * The connection to a Service Bus namespace, as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusClient } from "effect-service-bus"
 *
 * export const namespace = Effect.gen(function*() {
 *   const client = yield* ServiceBusClient.ServiceBusClient
 *   return client.fullyQualifiedNamespace
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class ServiceBusClient extends Context.Service<ServiceBusClient, {
  /** The namespace's host name, for example `contoso.servicebus.windows.net`. */
  readonly fullyQualifiedNamespace: string
  /** The name by which this client is seen in the service's logs (the AMQP container id). */
  readonly identifier: string
  /**
   * What the connection is doing, from now on: the present state first, then each change. It never ends by itself.
   *
   * @example
   * ```ts
   * import { Effect, Stream } from "effect"
   * import { ServiceBusClient } from "effect-service-bus"
   *
   * export const told = Effect.gen(function*() {
   *   const client = yield* ServiceBusClient.ServiceBusClient
   *   yield* Stream.runForEach(client.state, (state) => Effect.log(`the connection is ${state}`))
   * })
   * ```
   */
  readonly state: Stream.Stream<ConnectionState>
  /**
   * What happens to the client, its consumers and their messages, from now on: what no caller's Effect fails with. The same
   * events are logged and counted. Of what is not pulled in time the latest 1,024 are kept. It ends with the client's scope.
   *
   * @example
   * ```ts
   * import { Effect, Stream } from "effect"
   * import { ServiceBusClient } from "effect-service-bus"
   *
   * export const lost = Effect.gen(function*() {
   *   const client = yield* ServiceBusClient.ServiceBusClient
   *   yield* client.events.pipe(
   *     Stream.filter((event) => event._tag === "ConnectionLost"),
   *     Stream.runForEach(({ cause, namespace }) => Effect.logFatal(`${namespace} is away`, cause))
   *   )
   * })
   * ```
   */
  readonly events: Stream.Stream<ServiceBusEvent>
  /**
   * Proves that the namespace answers: opens the connection if it is not open, has the peer begin and end a session, and
   * gives the time that took. It needs no right on any entity. It is not tried again.
   *
   * Fails with the errors of connecting, with OperationTimeoutError where no answer came within the client's
   * `operationTimeout`, and with ServiceBusServerBusyError where the service throttles.
   *
   * @example
   * ```ts
   * import { Duration, Effect } from "effect"
   * import { ServiceBusClient } from "effect-service-bus"
   *
   * export const latency = Effect.gen(function*() {
   *   const client = yield* ServiceBusClient.ServiceBusClient
   *   return Duration.toMillis(yield* client.health)
   * })
   * ```
   */
  readonly health: Effect.Effect<Duration.Duration, HealthCheckError>
}>()("effect-service-bus/ServiceBusClient") {}

/**
 * What a client's connection is doing. It is disconnected while no sender or receiver needs it.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionState = "disconnected" | "connecting" | "connected"

/**
 * An `Agent` of `node:http` or `node:https`, told by what it has, so that these types need no `@types/node`.
 *
 * @category models
 * @since 0.1.0
 */
export interface WebSocketAgent {
  readonly maxSockets: number
  readonly destroy: () => void
}

/**
 * What every way of making a client takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommonOptions {
  /**
   * `"amqp"` (the default): AMQP over TLS, port 5671. `"amqpWebSockets"`: AMQP over WebSocket and TLS, port 443, for
   * networks that let nothing else out.
   */
  readonly transport?: "amqp" | "amqpWebSockets" | undefined
  /**
   * Another address to dial, `sb://host` or `sb://host:port`, for a private endpoint or an application gateway. Its
   * certificate is verified; the namespace keeps its name in everything that is said.
   */
  readonly customEndpointAddress?: string | undefined
  /** Certificate authorities, in PEM, that are trusted beside the system's. There is no way to switch verification off. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** Dials for `"amqpWebSockets"`: an agent of `node:https`, or of a package that makes such agents. Not beside `proxy`. */
  readonly webSocketAgent?: WebSocketAgent | undefined
  /** The HTTP proxy that `"amqpWebSockets"` goes through; AMQP over TCP goes through none. */
  readonly proxy?: ProxyOptions | undefined
  /**
   * How often, and when, an operation is tried again while its error can pass: numbers, or a schedule, which is given the error
   * of each try and decides alone on number and delays. Advice of a service that throttles is waited for in any case. What
   * runs until it is stopped (streams, processors) tries again without end, at most 30 seconds apart, and asks no schedule.
   */
  readonly retry?: RetryOptions | Schedule.Schedule<unknown, ServiceBusError> | undefined
  /** The AMQP container id. A random name where none is given. */
  readonly identifier?: string | undefined
  /**
   * How long connecting, attaching, and one try of an operation may take, 1 millisecond to 1 hour. 60 seconds by default.
   */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * The idle time-out that the peer is told, 5 seconds to 1 hour; 60 seconds by default. It sends heartbeats at half of it, and
   * a connection that brings nothing for twice as long is given up (AMQP 1.0 section 2.4.5). .NET's ConnectionIdleTimeout.
   */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * What stands behind the library's own name in the user agent, which the service logs: 1 to 256 printable ASCII characters,
   * `billing/2.1` for example. Called application id in the SDKs for Java and Go, user agent in Python's.
   */
  readonly userAgentSuffix?: string | undefined
  /**
   * Lets `UseDevelopmentEmulator=true` of a connection string speak to another machine, an emulator in a container of its own
   * for example. Everything goes over the network in the clear, tokens too. False by default: this machine only. It means
   * nothing without `UseDevelopmentEmulator=true`, of a client that is given a namespace and a credential for example: TLS
   * is spoken then.
   */
  readonly allowPlainTcp?: boolean | undefined
  /**
   * Logs every AMQP frame at the level Trace, annotated with connection, channel and link: performatives with their fields,
   * of payloads the size alone. Bodies, tokens and what SASL carries are not in it. Off by default; `Logger` and
   * `References.MinimumLogLevel` decide what is seen.
   */
  readonly frameTrace?: boolean | undefined
  /**
   * The level at which events are logged, `"None"` for not at all, or a function that gives one for an event. By default that
   * of `ServiceBusEvent.defaultLogLevel`. Processors have an option of this name that goes before it.
   */
  readonly logLevel?: LogLevelOption | undefined
}

/**
 * An HTTP proxy, and what speaks to it.
 *
 * @example
 * ```ts
 * import { ServiceBusClient } from "effect-service-bus"
 * import { HttpsProxyAgent } from "https-proxy-agent"
 *
 * // The proxy of the environment, if it names one.
 * export const Live = ServiceBusClient.layerEnv({ transport: "amqpWebSockets", proxy: { agent: HttpsProxyAgent } })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface ProxyOptions {
  /**
   * The class `HttpsProxyAgent` of the package `https-proxy-agent` (an optional peer: install it), or another one whose
   * constructor makes an agent of a proxy's address.
   */
  readonly agent: new(url: string) => WebSocketAgent
  /**
   * `http://host:port`, or `https:`, with user and password where the proxy asks for them. By default what the environment
   * (the `ConfigProvider`) has in HTTPS_PROXY, ALL_PROXY or HTTP_PROXY, in upper or lower case, unless NO_PROXY names the host
   * that is dialled: by its name, a domain above it, or `*`. No proxy where none of them is set.
   */
  readonly url?: string | Redacted.Redacted<string> | undefined
}

/**
 * Exponential backoff with full jitter: the delay is a random part of what stands here. Each try has the client's
 * `operationTimeout`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryOptions {
  /** 0 to 100; 3 by default. 0: never again. */
  readonly maxRetries?: number | undefined
  /** The first delay, from which the others double, 1 millisecond to 1 hour; 0.8 seconds by default. */
  readonly delay?: Duration.Input | undefined
  /** The longest delay, 1 millisecond to 1 hour; 60 seconds by default. */
  readonly maxDelay?: Duration.Input | undefined
}

/**
 * What `make` and `layer` take.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends CommonOptions {
  /** For example `contoso.servicebus.windows.net`; `sb://` before it and a slash after it are taken off. */
  readonly fullyQualifiedNamespace: string
  /** What one of the constructors of `ServiceBusCredential` gives. */
  readonly credential: ServiceBusCredential
}

/**
 * Options of which each may be a value or the `Config` of one, also those of `retry` and `proxy`.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import type { ServiceBusClient } from "effect-service-bus"
 *
 * export const options: ServiceBusClient.Configured<ServiceBusClient.CommonOptions> = {
 *   identifier: "billing",
 *   operationTimeout: Config.Duration("BUS_TIMEOUT").pipe(Config.withDefault("20 seconds")),
 *   retry: { maxRetries: Config.Int("BUS_RETRIES") }
 * }
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export type Configured<O extends object> = {
  readonly [K in keyof O]:
    | O[K]
    | Config.Config<O[K]>
    | (K extends "retry" ? Configured<RetryOptions> : K extends "proxy" ? Configured<ProxyOptions> : never)
}

/**
 * What `layerEnv` takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnvOptions extends CommonOptions {
  /** Required where the environment names a namespace; not used where it has a connection string. */
  readonly credential?: ServiceBusCredential | undefined
}

const invalid = (option: string, expected: string) => new InvalidOptionError({ option, expected })

const open = Effect.fnUntraced(function*(options: CommonOptions, target: NamespaceOptions.Target) {
  const namespace = yield* Namespace.make(yield* NamespaceOptions.check(options, target))
  const client = ServiceBusClient.of({
    fullyQualifiedNamespace: target.host,
    identifier: namespace.options.identifier,
    state: SubscriptionRef.changes(namespace.state),
    events: namespace.events,
    health: namespace.health
  })
  Namespace.attachTo(client, namespace)
  return client
})

/**
 * Makes a client over TLS (port 5671), or WebSocket where `transport` says so. No I/O happens here: it connects when a
 * sender or receiver first needs it, and closes with its scope.
 *
 * Fails with InvalidOptionError where an option is out of range or the namespace is not a fully qualified host name.
 *
 * @example
 * ```ts
 * import { DefaultAzureCredential } from "@azure/identity"
 * import { Effect } from "effect"
 * import { ServiceBusClient, ServiceBusCredential } from "effect-service-bus"
 *
 * export const latency = Effect.gen(function*() {
 *   const client = yield* ServiceBusClient.make({
 *     fullyQualifiedNamespace: "contoso.servicebus.windows.net",
 *     credential: ServiceBusCredential.identity(new DefaultAzureCredential())
 *   })
 *   return yield* client.health
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options: Options
) => Effect.Effect<ServiceBusClient["Service"], InvalidOptionError, Scope.Scope> = Effect.fnUntraced(
  function*(input) {
    const options = yield* Effect.fromResult(readOptions(undefined, input))
    const { credential, fullyQualifiedNamespace } = options
    return yield* open(
      options,
      yield* Effect.fromResult(NamespaceOptions.targetOfName(fullyQualifiedNamespace, credential))
    )
  }
)

/**
 * The layer of a client over TLS. No I/O happens when it is built: a sender or receiver built on it connects.
 *
 * Fails as `make` does.
 *
 * @example
 * ```ts
 * import { DefaultAzureCredential } from "@azure/identity"
 * import { ServiceBusClient, ServiceBusCredential } from "effect-service-bus"
 *
 * export const Live = ServiceBusClient.layer({
 *   fullyQualifiedNamespace: "contoso.servicebus.windows.net",
 *   credential: ServiceBusCredential.identity(new DefaultAzureCredential()),
 *   transport: "amqpWebSockets"
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<ServiceBusClient, InvalidOptionError> =>
  Layer.effect(ServiceBusClient, make(options))

/**
 * Makes a client from a parsed connection string: TLS on 5671, or plain TCP on 5672 where the string says
 * `UseDevelopmentEmulator=true` and names this machine. A port of the endpoint goes before both.
 *
 * Fails with ConnectionStringError where `UseDevelopmentEmulator=true` stands beside the name of another machine and
 * `allowPlainTcp` does not let it, and with InvalidOptionError where an option is out of range. No I/O happens here.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ConnectionString, ServiceBusClient } from "effect-service-bus"
 *
 * export const client = (text: string) =>
 *   Effect.flatMap(ConnectionString.parse(text), (parsed) =>
 *     ServiceBusClient.fromConnectionString(parsed, { operationTimeout: "20 seconds" }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromConnectionString: (
  connectionString: ConnectionString.ConnectionString,
  options?: CommonOptions
) => Effect.Effect<ServiceBusClient["Service"], ConnectionStringError | InvalidOptionError, Scope.Scope> = Effect
  .fnUntraced(function*(input, givenOptions) {
    const options = yield* Effect.fromResult(readOptions(undefined, givenOptions))
    const target = NamespaceOptions.targetOfString(input, options.allowPlainTcp)
    return yield* open(options, yield* Effect.fromResult(target))
  })

/**
 * The layer of a client whose options are configuration: each is a value or the `Config` of one.
 *
 * Fails with ConfigError where the configuration of an option is missing or malformed, and otherwise as `layer` does.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { ServiceBusClient, ServiceBusCredential } from "effect-service-bus"
 *
 * export const Live = ServiceBusClient.layerConfig({
 *   fullyQualifiedNamespace: Config.String("BUS_NAMESPACE"),
 *   credential: Config.all({ name: Config.succeed("billing"), key: Config.Redacted("BUS_KEY") }).pipe(
 *     Config.map(ServiceBusCredential.sharedKey)
 *   ),
 *   transport: "amqpWebSockets",
 *   retry: { maxRetries: Config.Int("BUS_RETRIES").pipe(Config.withDefault(3)) }
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Configured<Options> | Config.Config<Options>
): Layer.Layer<ServiceBusClient, Config.ConfigError | InvalidOptionError> =>
  Layer.effect(
    ServiceBusClient,
    // `make` refuses what is missing.
    Effect.flatMap(ConfiguredOptions.read<Options>(options), (values) => make(values as Options))
  )

/**
 * The layer of a client from a connection string. The string and each option may be a value or the `Config` of one.
 *
 * Fails with ConnectionStringError where it is malformed, naming the part and never the secret, with InvalidOptionError
 * where an option is out of range, and with ConfigError where configuration is missing or malformed.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { ServiceBusClient } from "effect-service-bus"
 *
 * export const Live = ServiceBusClient.layerConnectionString(Config.Redacted("SERVICE_BUS_CONNECTION_STR"))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConnectionString: {
  (
    connectionString: Redacted.Redacted<string>,
    options?: CommonOptions
  ): Layer.Layer<ServiceBusClient, ConnectionStringError | InvalidOptionError>
  (
    connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
    options?: Configured<CommonOptions>
  ): Layer.Layer<ServiceBusClient, Config.ConfigError | ConnectionStringError | InvalidOptionError>
} = layerOfString

// Overloads of a function are checked against its body together, those of a constant each alone.
function layerOfString(
  connectionString: Redacted.Redacted<string>,
  options?: CommonOptions
): Layer.Layer<ServiceBusClient, ConnectionStringError | InvalidOptionError>
function layerOfString(
  connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
  options?: Configured<CommonOptions>
): Layer.Layer<ServiceBusClient, Config.ConfigError | ConnectionStringError | InvalidOptionError>
function layerOfString(
  connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
  options?: Configured<CommonOptions>
): Layer.Layer<ServiceBusClient, Config.ConfigError | ConnectionStringError | InvalidOptionError> {
  return Layer.effect(
    ServiceBusClient,
    Effect.gen(function*() {
      const text = ConfiguredOptions.isConfig(connectionString) ? yield* connectionString : connectionString
      const values = yield* ConfiguredOptions.read<CommonOptions>(options)
      return yield* fromConnectionString(yield* ConnectionString.parse(text), values)
    })
  )
}

const namespaceNames = ["SERVICE_BUS_NAMESPACE", "SERVICEBUS_FQDN"] as const

/**
 * The layer of a client from the environment, by the names that the official samples use: `SERVICE_BUS_CONNECTION_STR`, or
 * else a fully qualified namespace in `SERVICE_BUS_NAMESPACE` or `SERVICEBUS_FQDN`, with the `credential` of the options. The
 * first that is set is taken; one that is empty is not set. Each option may be a value or the `Config` of one.
 *
 * Fails with ConfigError, which names the variables, where none of them is set, with InvalidOptionError where there is a
 * namespace and no credential, and otherwise as `layerConnectionString` and `layer` do.
 *
 * @example
 * ```ts
 * import { DefaultAzureCredential } from "@azure/identity"
 * import { ServiceBusClient, ServiceBusCredential } from "effect-service-bus"
 *
 * export const Live = ServiceBusClient.layerEnv({
 *   credential: ServiceBusCredential.identity(new DefaultAzureCredential()),
 *   retry: { maxRetries: 5 }
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEnv = (
  options?: Configured<EnvOptions>
): Layer.Layer<ServiceBusClient, Config.ConfigError | ConnectionStringError | InvalidOptionError> =>
  Layer.effect(
    ServiceBusClient,
    Effect.gen(function*() {
      const values = yield* ConfiguredOptions.read<EnvOptions>(options)
      const connectionString = yield* Config.option(ConnectionString.config())
      if (Option.isSome(connectionString)) {
        return yield* fromConnectionString(yield* ConnectionString.parse(connectionString.value), values)
      }
      for (const name of namespaceNames) {
        const namespace = yield* Config.option(Config.String(name))
        if (Option.isNone(namespace)) continue
        const { credential } = values
        if (credential === undefined) {
          return yield* invalid(
            "credential",
            `what ServiceBusCredential makes: the environment has ${name} and no SERVICE_BUS_CONNECTION_STR`
          )
        }
        return yield* make({ ...values, fullyQualifiedNamespace: namespace.value, credential })
      }
      return yield* Config.fail(
        new Schema.SchemaError(
          new SchemaIssue.MissingKey({
            messageMissingKey: "The environment names no namespace: set SERVICE_BUS_CONNECTION_STR, or one of " +
              `${namespaceNames.join(" and ")} with the option credential of layerEnv`
          })
        )
      )
    })
  )

/**
 * The namespace of the client, for a sender or receiver of an entity: the check that each of them makes first.
 *
 * @internal
 */
export const namespaceFor = Effect.fnUntraced(function*(entity: ServiceBusEntity.Any) {
  const problem = ServiceBusEntity.problemOf(entity)
  if (problem !== undefined) {
    return yield* new InvalidOptionError({ option: "entity", expected: "a valid name", description: problem })
  }
  const properties = ServiceBusEntity.propertiesOf(entity)
  const bodyProblem = SchemaTrial.problemOf(entity.path, "body", entity.body) ??
    (properties === undefined ? undefined : SchemaTrial.problemOf(entity.path, "properties", properties)) ??
    ("sessionState" in entity ? SchemaTrial.problemOf(entity.path, "sessionState", entity.sessionState) : undefined)
  if (bodyProblem !== undefined) return yield* bodyProblem
  const namespace = Namespace.of(yield* ServiceBusClient)
  const { entityPath } = namespace.options
  if (entityPath !== undefined && !within(entity.path.toLowerCase(), entityPath.toLowerCase())) {
    return yield* new InvalidOptionError({
      option: "entity",
      expected: `"${entityPath}", the EntityPath of the connection string`,
      entity: entity.path
    })
  }
  return namespace
})

const within = (path: string, entityPath: string): boolean => path === entityPath || path.startsWith(`${entityPath}/`)
