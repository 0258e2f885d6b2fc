/**
 * Connection strings of Service Bus: parsing in linear time, formatting, and reading them from configuration. A string
 * that is malformed is a `ConnectionStringError` that names the part and never repeats a value.
 *
 * Source: Service Bus documentation; the behaviours of the official SDKs where they disagree: keys are matched without
 * regard to case, legacy keys are ignored, unknown keys are refused, as they are usually a misspelling.
 *
 * @module
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as ServiceBusCredential from "./ServiceBusCredential.ts"
import { ConnectionStringError } from "./ServiceBusError.ts"

/**
 * A parsed connection string.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionString {
  /** The fully qualified namespace, for example `contoso.servicebus.windows.net`. */
  readonly host: string
  /** The port of the endpoint, where it names one. */
  readonly port: number | undefined
  readonly credential: ServiceBusCredential.ServiceBusCredential
  /** The only entity that the string is for, where it names one. */
  readonly entityPath: string | undefined
  /** Whether the string is for an emulator: plain TCP, port 5672 unless the endpoint names one. */
  readonly useDevelopmentEmulator: boolean
}

const maxLength = 8192

const known = new Map([
  ["endpoint", "Endpoint"],
  ["sharedaccesskeyname", "SharedAccessKeyName"],
  ["sharedaccesskey", "SharedAccessKey"],
  ["sharedaccesssignature", "SharedAccessSignature"],
  ["entitypath", "EntityPath"],
  ["usedevelopmentemulator", "UseDevelopmentEmulator"]
])

const legacy = new Set([
  "hostname",
  "transporttype",
  "operationtimeout",
  "runtimeport",
  "managementport",
  "stsendpoint"
])

/**
 * The text that is given, or what else it is; undefined where a Redacted has been wiped.
 *
 * @internal
 */
export const textOf = (input: unknown): unknown => {
  try {
    return Redacted.isRedacted(input) ? Redacted.value(input) : input
  } catch {
    return undefined
  }
}

const fail = (part: string, problem: string): Result.Result<never, ConnectionStringError> =>
  Result.fail(new ConnectionStringError({ part, problem }))

/**
 * Parses a connection string; time is linear in its length, which may be at most 8192 characters.
 *
 * Fails with ConnectionStringError, whose `part` names the part that is malformed; its value is in no error.
 *
 * @example
 * ```ts
 * import { Result } from "effect"
 * import { ConnectionString } from "effect-service-bus"
 *
 * const text = "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey=c2VjcmV0"
 *
 * export const host = Result.map(ConnectionString.parseResult(text), (parsed) => parsed.host)
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseResult = (
  input: string | Redacted.Redacted<string>
): Result.Result<ConnectionString, ConnectionStringError> => {
  const text = textOf(input)
  if (typeof text !== "string" || text.trim() === "") return fail("the whole string", "it is empty")
  if (!text.isWellFormed()) return fail("the whole string", "it has half of a surrogate pair")
  if (text.length > maxLength) return fail("the whole string", `it is longer than ${maxLength} characters`)
  const parts = new Map<string, string>()
  let index = 0
  for (const raw of text.split(";")) {
    index++
    const part = raw.trim()
    if (part === "") continue
    const equals = part.indexOf("=")
    if (equals <= 0) return fail(`part ${index}`, "it has no key before an equals sign")
    const key = part.slice(0, equals).trim().toLowerCase()
    const value = part.slice(equals + 1).trim()
    const name = known.get(key)
    if (name === undefined) {
      if (legacy.has(key)) continue
      return fail(`part ${index}`, `its key is not one of ${[...known.values()].join(", ")}`)
    }
    if (parts.has(name)) return fail(name, "it is given twice")
    if (value === "") return fail(name, "it has no value")
    parts.set(name, value)
  }
  const endpoint = parts.get("Endpoint")
  if (endpoint === undefined) return fail("Endpoint", "it is missing")
  const address = parseEndpoint(endpoint)
  if (Result.isFailure(address)) return Result.fail(address.failure)
  const name = parts.get("SharedAccessKeyName")
  const key = parts.get("SharedAccessKey")
  const signature = parts.get("SharedAccessSignature")
  if (signature !== undefined && (name !== undefined || key !== undefined)) {
    return fail("SharedAccessSignature", "give either it, or SharedAccessKeyName with SharedAccessKey")
  }
  if (signature === undefined) {
    if (name === undefined && key === undefined) {
      return fail(
        "SharedAccessKey",
        "it is missing: give SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature"
      )
    }
    if (name === undefined) return fail("SharedAccessKeyName", "it is missing beside SharedAccessKey")
    if (key === undefined) return fail("SharedAccessKey", "it is missing beside SharedAccessKeyName")
    if (name.length > 256) return fail("SharedAccessKeyName", "it is longer than 256 characters")
    if (key.length > 256) return fail("SharedAccessKey", "it is longer than 256 characters")
  } else if (!signature.startsWith("SharedAccessSignature ")) {
    return fail("SharedAccessSignature", "its value must start with \"SharedAccessSignature \"")
  }
  const emulator = parts.get("UseDevelopmentEmulator")
  if (emulator !== undefined && emulator.toLowerCase() !== "true" && emulator.toLowerCase() !== "false") {
    return fail("UseDevelopmentEmulator", "it must be true or false")
  }
  return Result.succeed({
    ...address.success,
    credential: signature === undefined
      ? ServiceBusCredential.sharedKey({ name: name!, key: key! })
      : ServiceBusCredential.sas(signature),
    entityPath: parts.get("EntityPath"),
    useDevelopmentEmulator: emulator?.toLowerCase() === "true"
  })
}

/**
 * Host and port of an address such as `sb://host:port/`.
 *
 * @internal
 */
export const parseEndpoint = (
  value: string
): Result.Result<{ readonly host: string; readonly port: number | undefined }, ConnectionStringError> => {
  if (typeof value !== "string") return fail("Endpoint", "it is no text")
  const scheme = value.indexOf("://")
  if (scheme < 1) return fail("Endpoint", "it must look like sb://<namespace>.servicebus.windows.net")
  let authority = value.slice(scheme + 3)
  const slash = authority.indexOf("/")
  if (slash >= 0) {
    if (authority.slice(slash).replace(/^\/+$/, "") !== "") return fail("Endpoint", "it must not have a path")
    authority = authority.slice(0, slash)
  }
  let host = authority
  let port: number | undefined
  const ipv6 = authority.startsWith("[") ? authority.indexOf("]") : -1
  const colon = authority.indexOf(":", ipv6 + 1)
  if (colon >= 0) {
    const digits = authority.slice(colon + 1)
    port = /^\d{1,5}$/.test(digits) ? Number(digits) : -1
    if (port < 1 || port > 65535) return fail("Endpoint", "its port must be a number from 1 to 65535")
    host = authority.slice(0, colon)
  }
  if (ipv6 > 0) host = host.slice(1, -1)
  if (host === "" || !/^[A-Za-z0-9._:-]+$/.test(host)) return fail("Endpoint", "it has no usable host name")
  return Result.succeed({ host: host.toLowerCase(), port })
}

/**
 * Parses a connection string, as an Effect. Fails as `parseResult` does.
 *
 * @example
 * ```ts
 * import { Config, Effect } from "effect"
 * import { ConnectionString } from "effect-service-bus"
 *
 * export const host = Effect.gen(function*() {
 *   const text = yield* Config.Redacted("SERVICE_BUS_CONNECTION_STR")
 *   return (yield* ConnectionString.parse(text)).host
 * })
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (
  input: string | Redacted.Redacted<string>
): Effect.Effect<ConnectionString, ConnectionStringError> => Effect.fromResult(parseResult(input))

/**
 * The text of a connection string. It holds the secret and is therefore Redacted. An identity and a rotating credential have
 * no text form: they are left out. Throws where the secret was wiped, as `Redacted.value` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ConnectionString, ServiceBusCredential } from "effect-service-bus"
 *
 * // The same namespace with another policy.
 * export const withPolicy = (text: string, name: string, key: string) =>
 *   Effect.map(ConnectionString.parse(text), (parsed) =>
 *     ConnectionString.format({ ...parsed, credential: ServiceBusCredential.sharedKey({ name, key }) }))
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (self: ConnectionString): Redacted.Redacted<string> => {
  const host = self.host.includes(":") ? `[${self.host}]` : self.host
  const parts = [`Endpoint=sb://${host}${self.port === undefined ? "" : `:${self.port}`}/`]
  switch (self.credential._tag) {
    case "SharedKey":
      parts.push(`SharedAccessKeyName=${self.credential.name}`)
      parts.push(`SharedAccessKey=${Redacted.value(self.credential.key)}`)
      break
    case "SharedAccessSignature":
      parts.push(`SharedAccessSignature=${Redacted.value(self.credential.token)}`)
      break
    case "Identity":
    case "Rotating":
      break
  }
  if (self.entityPath !== undefined) parts.push(`EntityPath=${self.entityPath}`)
  if (self.useDevelopmentEmulator) parts.push("UseDevelopmentEmulator=true")
  return Redacted.make(parts.join(";"), { label: "connection string" })
}

const Parsed = Schema.declare(
  (u: unknown): u is ConnectionString => typeof u === "object" && u !== null && "host" in u && "credential" in u,
  { expected: "a parsed connection string" }
)

/**
 * A connection string as a Schema: text on the encoded side, parsed on the decoded side.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ConnectionString } from "effect-service-bus"
 *
 * export const Settings = Schema.Struct({ bus: ConnectionString.ConnectionStringFromString })
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConnectionStringFromString: Schema.Codec<ConnectionString, string> = Schema.String.pipe(
  Schema.decodeTo(
    Parsed,
    SchemaTransformation.transformEffect({
      decode: (text: string) =>
        parse(text).pipe(
          Effect.mapError((error) => new SchemaIssue.InvalidValue({ message: error.message }, "<redacted>"))
        ),
      encode: (value: ConnectionString) =>
        Effect.try({
          try: () => Redacted.value(format(value)),
          catch: () =>
            new SchemaIssue.InvalidValue({ message: "its credential has a secret that was wiped" }, "<redacted>")
        })
    })
  )
)

/**
 * A connection string from configuration. Without a name it reads `SERVICE_BUS_CONNECTION_STR`, as the official samples
 * do.
 *
 * Reads the text alone: it is parsed, and refused with ConnectionStringError, by what takes it.
 *
 * @example
 * ```ts
 * import { ConnectionString, ServiceBusClient } from "effect-service-bus"
 *
 * export const Live = ServiceBusClient.layerConnectionString(ConnectionString.config("ORDERS_BUS"))
 * ```
 *
 * @category configuration
 * @since 0.1.0
 */
export const config = (name = "SERVICE_BUS_CONNECTION_STR"): Config.Config<Redacted.Redacted<string>> =>
  Config.Redacted(name)
