/**
 * Credentials as values: who the program is, without doing anything about it yet. The client asks a credential for a
 * token when it opens a link and again before the token expires. Secrets are `Redacted` throughout.
 *
 * @module
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

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

/** Whether a value is an Effect; one that cannot be asked is none, and is refused by the client. */
const isEffect = (value: unknown): boolean => {
  try {
    return Effect.isEffect(value)
  } catch {
    return false
  }
}

const isSecret = (value: unknown): boolean => Redacted.isRedacted(value) && typeof Redacted.value(value) === "string"
