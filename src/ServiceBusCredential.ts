/**
 * Credentials as values: who the program is, without doing anything about it yet. The client asks a credential for a
 * token when it opens a link and again before the token expires. Secrets are `Redacted` from the first line to the last.
 */
import * as Redacted from "effect/Redacted"

/**
 * What `@azure/identity` calls a TokenCredential, declared structurally: any of its credentials fits as it is.
 *
 * @category models
 */
export interface TokenCredential {
  getToken(
    scopes: string | Array<string>,
    options?: { readonly abortSignal?: AbortSignal }
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>
}

/** A shared access policy: SAS tokens of one hour are signed with its key. @category models */
export interface SharedKey {
  readonly _tag: "SharedKey"
  readonly name: string
  readonly key: Redacted.Redacted<string>
}

/** A ready-made SAS token: used as it is until it expires. @category models */
export interface SharedAccessSignature {
  readonly _tag: "SharedAccessSignature"
  readonly token: Redacted.Redacted<string>
}

/** An Entra identity. @category models */
export interface Identity {
  readonly _tag: "Identity"
  readonly credential: TokenCredential
}

/** Any credential. @category models */
export type ServiceBusCredential = SharedKey | SharedAccessSignature | Identity

const secret = (value: string | Redacted.Redacted<string>): Redacted.Redacted<string> =>
  Redacted.isRedacted(value) ? value as Redacted.Redacted<string> : Redacted.make(value as string)

/**
 * A shared access policy by its name and key. The key is used as UTF-8 text; it is not base64-decoded.
 *
 * @category constructors
 */
export const sharedKey = (options: {
  readonly name: string
  readonly key: string | Redacted.Redacted<string>
}): ServiceBusCredential => ({ _tag: "SharedKey", name: options.name, key: secret(options.key) })

/**
 * A ready-made SAS token (`SharedAccessSignature sr=…&sig=…&se=…&skn=…`).
 *
 * @category constructors
 */
export const sas = (token: string | Redacted.Redacted<string>): ServiceBusCredential => ({
  _tag: "SharedAccessSignature",
  token: secret(token)
})

/**
 * A credential of `@azure/identity`, for example `new DefaultAzureCredential()`.
 *
 * @category constructors
 */
export const identity = (credential: TokenCredential): ServiceBusCredential => ({ _tag: "Identity", credential })
