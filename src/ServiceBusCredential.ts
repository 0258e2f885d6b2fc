/**
 * Credentials as values: who the program is, without doing anything about it yet. The client asks a credential for a
 * token when it opens a link and again before the token expires. Secrets are `Redacted` throughout.
 *
 * @module
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { isEffect, outOfRange, readValue, toMillis, withOptions } from "./internal/options.ts"
import * as SasToken from "./internal/SasToken.ts"
import type { InvalidOptionError } from "./ServiceBusError.ts"

/**
 * What `@azure/identity` calls a TokenCredential, declared structurally: any of its credentials fits as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCredential {
  getToken(
    scopes: string | Array<string>,
    options?: { readonly abortSignal?: AbortSignal }
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>
}

/**
 * A shared access policy: SAS tokens of one hour are signed with its key.
 *
 * @category models
 * @since 0.1.0
 */
export interface SharedKey {
  readonly _tag: "SharedKey"
  readonly name: string
  readonly key: Redacted.Redacted<string>
}

/**
 * A ready-made SAS token: used as it is until it expires.
 *
 * @category models
 * @since 0.1.0
 */
export interface SharedAccessSignature {
  readonly _tag: "SharedAccessSignature"
  readonly token: Redacted.Redacted<string>
}

/**
 * An Entra identity.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  readonly _tag: "Identity"
  readonly credential: TokenCredential
}

/**
 * A credential that is looked up anew whenever a token is needed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rotating {
  readonly _tag: "Rotating"
  readonly current: Effect.Effect<SharedKey | SharedAccessSignature | Identity, unknown>
}

/**
 * Any credential.
 *
 * @category models
 * @since 0.1.0
 */
export type ServiceBusCredential = SharedKey | SharedAccessSignature | Identity | Rotating

const secret = (value: string | Redacted.Redacted<string>): Redacted.Redacted<string> =>
  typeof value === "object" && isRedacted(value) ? value : Redacted.make(value as string)

/** What cannot be asked is taken for a secret as it is, and refused where a token is made of it. */
const isRedacted = (value: unknown): value is Redacted.Redacted<string> => {
  try {
    return Redacted.isRedacted(value)
  } catch {
    return false
  }
}

/**
 * A shared access policy by its name and key. The key is used as UTF-8 text; it is not base64-decoded.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { ServiceBusCredential } from "effect-service-bus"
 *
 * export const credential = (key: Redacted.Redacted<string>) => ServiceBusCredential.sharedKey({ name: "app", key })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const sharedKey = (options: {
  readonly name: string
  readonly key: string | Redacted.Redacted<string>
}): SharedKey => ({ _tag: "SharedKey", name: options?.name, key: secret(options?.key) })

/**
 * A ready-made SAS token (`SharedAccessSignature sr=…&sig=…&se=…&skn=…`). When it has expired, what uses it fails with
 * ServiceBusAuthenticationError: `rotating` is for tokens that are renewed.
 *
 * @example
 * ```ts
 * import { Config, Effect } from "effect"
 * import { ServiceBusCredential } from "effect-service-bus"
 *
 * export const credential = Effect.map(Config.Redacted("SERVICE_BUS_SAS_TOKEN"), ServiceBusCredential.sas)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const sas = (token: string | Redacted.Redacted<string>): SharedAccessSignature => ({
  _tag: "SharedAccessSignature",
  token: secret(token)
})

/**
 * What a SAS token says.
 *
 * @category models
 * @since 0.1.0
 */
export interface SasOptions {
  /**
   * What the token is for, as a URL: `sb://contoso.servicebus.windows.net` for all of a namespace, with `/orders` behind it for
   * one entity and what is below it.
   */
  readonly resource: string
  /** The name of the shared access policy. */
  readonly keyName: string
  /** Its key, used as UTF-8 text: it is not base64-decoded. */
  readonly key: string | Redacted.Redacted<string>
  /** How long it is good, 1 second or more; 1 hour by default. */
  readonly timeToLive?: Duration.Input | undefined
  /** Until when it is good, instead. */
  readonly expiresAt?: DateTime.Utc | undefined
}

/**
 * Signs a SAS token with the key of a shared access policy: for a program that has no key, which connects with `sas`. Nothing
 * goes over the wire, and the service keeps no list: a token is good until it expires, or its key is replaced (Service Bus
 * documentation, shared access signatures).
 *
 * Fails with InvalidOptionError where an option is out of range, which never says the key.
 *
 * @example
 * ```ts
 * import { Effect, type Redacted } from "effect"
 * import { ServiceBusCredential } from "effect-service-bus"
 *
 * // For ten minutes, and for one queue.
 * export const guest = (key: Redacted.Redacted<string>) =>
 *   ServiceBusCredential.generateSas({
 *     resource: "sb://contoso.servicebus.windows.net/orders",
 *     keyName: "guests",
 *     key,
 *     timeToLive: "10 minutes"
 *   }).pipe(Effect.map(ServiceBusCredential.sas))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const generateSas = (options: SasOptions): Effect.Effect<Redacted.Redacted<string>, InvalidOptionError> =>
  withOptions(undefined, options, (options) =>
    Clock.clockWith((clock) => {
      const signed = readValue(undefined, "options", "an object with options that can be read", () =>
        sign(options, clock.currentTimeMillisUnsafe()))
      return Effect.fromResult(Result.flatMap(signed, (signed) =>
        signed))
    }))

/** Whatever is given: options may be values of any kind. */
const sign = (
  { expiresAt, key, keyName, resource, timeToLive }: Partial<SasOptions>,
  now: number
): Result.Result<Redacted.Redacted<string>, InvalidOptionError> => {
  const refused = (option: string, expected: string) => Result.fail(outOfRange(undefined, option, expected))
  if (!isText(resource)) return refused("resource", "a URL such as sb://contoso.servicebus.windows.net/orders")
  if (!isText(keyName)) return refused("keyName", "the name of a shared access policy")
  const hidden = secret(key as SasOptions["key"])
  if (!isSecret(hidden) || !isText(Redacted.value(hidden))) return refused("key", "the key of the policy, not empty")
  if (expiresAt !== undefined && timeToLive !== undefined) {
    return refused("expiresAt", "nothing beside timeToLive: one of the two")
  }
  if (expiresAt !== undefined && !DateTime.isDateTime(expiresAt)) return refused("expiresAt", "a DateTime")
  const life = expiresAt === undefined ? toMillis(timeToLive ?? "1 hour") : DateTime.toEpochMillis(expiresAt) - now
  // What is written has twelve digits at most, and is read so.
  if (!(life >= 1000 && now + life < 1e15)) {
    return expiresAt === undefined
      ? refused("timeToLive", "a finite duration of 1 second or more")
      : refused("expiresAt", "a time that is a second ahead or more")
  }
  return Result.succeed(SasToken.sign({ resource, keyName, key: hidden, expiresAt: (now + life) / 1000 }))
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "" && value.isWellFormed()

/**
 * A credential of `@azure/identity`, for example `new DefaultAzureCredential()`. It is asked for the scope
 * `https://servicebus.azure.net//.default`. Where it fails, the operation is tried again as the client's `retry` says and
 * fails with CredentialError.
 *
 * @example
 * ```ts
 * import { DefaultAzureCredential } from "@azure/identity"
 * import { ServiceBusClient, ServiceBusCredential } from "effect-service-bus"
 *
 * export const Live = ServiceBusClient.layer({
 *   fullyQualifiedNamespace: "contoso.servicebus.windows.net",
 *   credential: ServiceBusCredential.identity(new DefaultAzureCredential())
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const identity = (credential: TokenCredential): Identity => ({ _tag: "Identity", credential })

/**
 * A credential that changes: a key that is rotated, a SAS token that is renewed elsewhere. The effect runs
 * when a first token is needed, before the last one expires (a shared key is looked up again after 45 minutes), and when one
 * is refused; links stay up meanwhile. Where it fails, what it gave last is used as long as that is good; after that the
 * operation is tried again as the client's `retry` says and fails with CredentialError, whose `reason` is `"provider"`. A
 * refresh is tried again every ten seconds.
 *
 * @example
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { ServiceBusCredential } from "effect-service-bus"
 *
 * // A key that a vault keeps, and changes.
 * export const credential = (read: Effect.Effect<string, Error>) =>
 *   ServiceBusCredential.rotating(
 *     Effect.map(read, (key) => ServiceBusCredential.sharedKey({ name: "app", key: Redacted.make(key) }))
 *   )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const rotating = <E>(
  current: Effect.Effect<SharedKey | SharedAccessSignature | Identity, E>
): Rotating => ({
  _tag: "Rotating",
  current: isEffect(current)
    ? Effect.flatMap(current, (credential) =>
      isCredential(credential)
        ? Effect.succeed(credential)
        : Effect.fail(new TypeError("what it rotates to is no credential that ServiceBusCredential makes")))
    : current
})

/** Whether a value has what one of the constructors above gives it. @internal */
export const isCredential = (value: unknown): value is ServiceBusCredential => {
  try {
    const credential = value as ServiceBusCredential
    switch (credential._tag) {
      case "SharedKey":
        return typeof credential.name === "string" && credential.name.isWellFormed() && isSecret(credential.key)
      case "SharedAccessSignature":
        return isSecret(credential.token)
      case "Identity":
        return typeof credential.credential.getToken === "function"
      case "Rotating":
        return Effect.isEffect(credential.current)
      default:
        return false
    }
  } catch {
    return false
  }
}

const isSecret = (value: unknown): boolean => Redacted.isRedacted(value) && typeof Redacted.value(value) === "string"
