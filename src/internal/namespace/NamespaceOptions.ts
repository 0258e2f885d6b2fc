/**
 * The options of a client, checked: where to dial, with what credential, and how operations are tried again.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import { randomUUID } from "node:crypto"
import * as ConnectionString from "../../ConnectionString.ts"
import { isCredential, type ServiceBusCredential } from "../../ServiceBusCredential.ts"
import { type Any, ConnectionStringError, InvalidOptionError } from "../../ServiceBusError.ts"
import type { LogLevelOption } from "../../ServiceBusEvent.ts"
import type { Endpoint } from "../amqp/transport/Transport.ts"
import {
  checkedLogLevel,
  checkedNames,
  expectedIdentifier,
  isIdentifier,
  isSchedule,
  readOptions,
  toMillis
} from "../options.ts"
import * as Proxy from "./Proxy.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

interface RetryOptions {
  readonly maxRetries?: number | undefined
  readonly delay?: Duration.Input | undefined
  readonly maxDelay?: Duration.Input | undefined
}

/** Options as a caller gives them. */
interface Options {
  readonly transport?: "amqp" | "amqpWebSockets" | undefined
  readonly customEndpointAddress?: string | undefined
  readonly ca?: string | ReadonlyArray<string> | undefined
  readonly webSocketAgent?: object | undefined
  readonly proxy?: Proxy.Options | undefined
  readonly retry?: RetryOptions | Schedule.Schedule<unknown, Any> | undefined
  readonly identifier?: string | undefined
  readonly operationTimeout?: Duration.Input | undefined
  readonly idleTimeout?: Duration.Input | undefined
  readonly userAgentSuffix?: string | undefined
  readonly allowPlainTcp?: boolean | undefined
  readonly frameTrace?: boolean | undefined
  readonly logLevel?: LogLevelOption | undefined
}

/** The namespace that a client is of. */
export interface Target {
  readonly host: string
  /** What is dialled where the options name no other address; plain TCP for an emulator. */
  readonly endpoint: { readonly host: string; readonly port: number | undefined; readonly isPlain: boolean }
  readonly credential: ServiceBusCredential
  readonly entityPath: string | undefined
}

/** The target of a namespace by its name. */
export const targetOfName = (
  fullyQualifiedNamespace: unknown,
  credential: ServiceBusCredential | undefined
): Result.Result<Target, InvalidOptionError> => {
  const host = typeof fullyQualifiedNamespace === "string"
    ? fullyQualifiedNamespace.trim().replace(/^[a-z]+:\/\//i, "").replace(/\/+$/, "").toLowerCase()
    : ""
  // A label alone is a name whose rest was forgotten, but for this machine's.
  return host === "localhost" || /^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(host)
    ? Result.succeed({
      host,
      endpoint: { host, port: undefined, isPlain: false },
      // Checked with the options.
      credential: credential!,
      entityPath: undefined
    })
    : Result.fail(invalid("fullyQualifiedNamespace", "a host name such as contoso.servicebus.windows.net"))
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/** The target of a connection string, which may be a value of any kind. */
export const targetOfString = (
  input: ConnectionString.ConnectionString,
  allowPlainTcp: boolean | undefined
): Result.Result<Target, ConnectionStringError | InvalidOptionError> => {
  const read = readOptions(undefined, input, "connectionString")
  const parsed = (Result.isSuccess(read) ? read.success : {}) as Partial<ConnectionString.ConnectionString>
  if (typeof parsed.host !== "string" || typeof parsed.useDevelopmentEmulator !== "boolean") {
    return Result.fail(invalid("connectionString", "what ConnectionString.parse gives"))
  }
  if (parsed.useDevelopmentEmulator && !isLoopback(parsed.host) && allowPlainTcp !== true) {
    return Result.fail(
      new ConnectionStringError({
        part: "UseDevelopmentEmulator",
        problem:
          "an emulator is spoken to without TLS, and therefore on this machine only (localhost, 127.0.0.1, ::1); " +
          "the client's option allowPlainTcp: true lets it be elsewhere, in another container for example"
      })
    )
  }
  return Result.succeed({
    host: parsed.host,
    endpoint: { host: parsed.host, port: parsed.port, isPlain: parsed.useDevelopmentEmulator },
    credential: parsed.credential!,
    entityPath: parsed.entityPath
  })
}

const userAgent = "effect-service-bus/0.1.0"

const invalid = (option: string, expected: string) => new InvalidOptionError({ option, expected })

/** A duration option in milliseconds, within a range. */
const millis = Effect.fnUntraced(function*(
  option: string,
  input: Duration.Input,
  least: number,
  most: number,
  expected: string
) {
  const value = toMillis(input)
  return value >= least && value <= most ? value : yield* invalid(option, expected)
})

/** Where to dial: another address where one is given, and another port and kind for WebSocket. */
const endpointOf = Effect.fnUntraced(function*(
  options: Options,
  endpoint: Target["endpoint"]
): Effect.fn.Return<Endpoint, InvalidOptionError> {
  const isWebSocket = options.transport === "amqpWebSockets"
  if (options.transport !== undefined && options.transport !== "amqp" && !isWebSocket) {
    return yield* invalid("transport", `"amqp" or "amqpWebSockets"`)
  }
  if (endpoint.isPlain && (isWebSocket || options.customEndpointAddress !== undefined)) {
    return yield* invalid(
      isWebSocket ? "transport" : "customEndpointAddress",
      "nothing: UseDevelopmentEmulator=true speaks AMQP over plain TCP to the host that stands beside it"
    )
  }
  let { host, port } = endpoint
  if (options.customEndpointAddress !== undefined) {
    const address = ConnectionString.parseEndpoint(options.customEndpointAddress)
    if (Result.isFailure(address)) return yield* invalid("customEndpointAddress", "an address like sb://host:port")
    host = address.success.host
    port = address.success.port
  }
  if (options.proxy !== undefined && !isWebSocket) {
    return yield* invalid(
      "proxy",
      `nothing, or the transport "amqpWebSockets": AMQP over TCP goes through no HTTP proxy`
    )
  }
  if (options.proxy !== undefined && options.webSocketAgent !== undefined) {
    return yield* invalid("proxy", "nothing beside webSocketAgent, which dials instead")
  }
  port ??= isWebSocket ? 443 : endpoint.isPlain ? 5672 : 5671
  return {
    host,
    port,
    kind: isWebSocket ? "webSocket" as const : endpoint.isPlain ? "tcp" as const : "tls" as const,
    ca: options.ca,
    ...(options.proxy === undefined
      ? { agent: options.webSocketAgent }
      : yield* Proxy.agentOf(options.proxy, host, port))
  }
})

const isText = (value: unknown): boolean => typeof value === "string" && value.isWellFormed()

/** What a namespace is made with. */
export const check = Effect.fnUntraced(function*(
  options: Options,
  target: Target
) {
  const timeout = yield* millis(
    "operationTimeout",
    options.operationTimeout ?? "60 seconds",
    1,
    3600_000,
    "a duration from 1 millisecond to 1 hour"
  )
  if (!isCredential(target.credential)) return yield* invalid("credential", "what ServiceBusCredential makes")
  if (options.identifier !== undefined && !isIdentifier(options.identifier)) {
    return yield* invalid("identifier", expectedIdentifier)
  }
  if (options.ca !== undefined && !(isText(options.ca) || Array.isArray(options.ca) && options.ca.every(isText))) {
    return yield* invalid("ca", "a certificate in PEM, or an array of them")
  }
  if (options.webSocketAgent !== undefined && !Proxy.isAgent(options.webSocketAgent)) {
    return yield* invalid("webSocketAgent", Proxy.expectedAgent)
  }
  const { allowPlainTcp, frameTrace, userAgentSuffix } = options
  if (userAgentSuffix !== undefined && !isUserAgent(userAgentSuffix)) {
    return yield* invalid("userAgentSuffix", "1 to 256 printable ASCII characters")
  }
  if (allowPlainTcp !== undefined && typeof allowPlainTcp !== "boolean") {
    return yield* invalid("allowPlainTcp", "true or false")
  }
  if (frameTrace !== undefined && typeof frameTrace !== "boolean") return yield* invalid("frameTrace", "true or false")
  return {
    host: target.host,
    endpoint: yield* endpointOf(options, target.endpoint),
    credential: target.credential,
    entityPath: target.entityPath,
    identifier: options.identifier ?? `effect-service-bus-${randomUUID()}`,
    userAgent: userAgentSuffix === undefined ? userAgent : `${userAgent} ${userAgentSuffix}`,
    timeout,
    idleTimeout: yield* millis(
      "idleTimeout",
      options.idleTimeout ?? "60 seconds",
      5_000,
      3600_000,
      "a duration from 5 seconds to 1 hour"
    ),
    frameTrace: options.frameTrace === true,
    logLevel: yield* Effect.fromResult(checkedLogLevel(undefined, options.logLevel)),
    retry: yield* retryOf(options.retry)
  }
})

/** Nothing that a log could take for another line, or that a peer of one encoding could read in another. */
const isUserAgent = (value: unknown): boolean => typeof value === "string" && /^[\x20-\x7e]{1,256}$/.test(value)

/** How operations are tried again. */
const retryOf = Effect.fnUntraced(function*(
  input: Options["retry"]
): Effect.fn.Return<RetryPolicy.Settings, InvalidOptionError> {
  if (isSchedule(input)) {
    return { ...RetryPolicy.defaults, maxRetries: Infinity, schedule: input as Schedule.Schedule<unknown, Any> }
  }
  const given = yield* Effect.fromResult(
    Result.flatMap(
      readOptions(undefined, input as RetryOptions | undefined, "retry"),
      (given) =>
        checkedNames(
          undefined,
          "retry",
          given,
          ["maxRetries", "delay", "maxDelay"],
          "an object with maxRetries, delay and maxDelay, or a Schedule"
        )
    )
  )
  const maxRetries = given.maxRetries ?? RetryPolicy.defaults.maxRetries
  if (!Number.isInteger(maxRetries) || maxRetries < 0 || maxRetries > 100) {
    return yield* invalid("retry.maxRetries", "an integer from 0 to 100")
  }
  const range = "a duration from 1 millisecond to 1 hour"
  return {
    maxRetries,
    delay: yield* millis("retry.delay", given.delay ?? RetryPolicy.defaults.delay, 1, 3600_000, range),
    maxDelay: yield* millis(
      "retry.maxDelay",
      given.maxDelay ?? RetryPolicy.defaults.maxDelay,
      1,
      3600_000,
      range
    )
  }
})
