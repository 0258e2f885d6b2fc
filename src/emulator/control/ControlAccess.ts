/**
 * Who may use the control API: whoever holds the right Manage on the whole namespace, by a SAS token or a token of the broker's
 * identity, as for administration, or by the name and the key of a policy as HTTP Basic (RFC 7617), which curl's `-u` sends.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, timingSafeEqual } from "node:crypto"
import type { HttpRequest } from "../http/HttpMessage.ts"
import * as Authorization from "../security/Authorization.ts"

/** What tokens and keys are checked against. */
export interface Keys {
  readonly policies: ReadonlyArray<Authorization.Policy>
  readonly identityKey: Redacted.Redacted<string>
  /** The name by which the namespace speaks of itself. */
  readonly host: string
}

/** A name and a key, as HTTP Basic says them; undefined where it does not. */
export const basicOf = (header: string): { readonly name: string; readonly key: string } | undefined => {
  const [, encoded] = /^Basic +([A-Za-z0-9+/_=-]+)$/i.exec(header) ?? []
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, "base64").toString("utf8")
  const at = text.indexOf(":")
  return at < 0 ? undefined : { name: text.slice(0, at), key: text.slice(at + 1) }
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/** Why a request is not allowed, now in milliseconds; undefined where it is. */
export const problemOf = (
  { headers }: HttpRequest,
  { host, identityKey, policies }: Keys,
  now: number
): string | undefined => {
  const header = headers["authorization"]
  if (header === undefined) {
    return "There is no Authorization header: give the name and the key of a policy with Manage (curl -u NAME:KEY), or a token."
  }
  const basic = basicOf(header)
  if (basic !== undefined) {
    const policy = policies.find(({ key, name }) =>
      name === basic.name && timingSafeEqual(digest(Redacted.value(key)), digest(basic.key))
    )
    if (policy === undefined) return "There is no policy of this name with this key."
    return policy.rights.includes("Manage") ? undefined : `The policy "${basic.name}" has no right Manage.`
  }
  const called = Authorization.hostOf(headers["host"] ?? host)
  const isOurs = (name: string) =>
    Authorization.isLoopback(name) || name === Authorization.hostOf(host) || name === called
  const [, bearer] = /^Bearer +(.+)$/i.exec(header) ?? []
  const checked = bearer === undefined
    ? Authorization.check(policies, header, "", now, isOurs)
    : Authorization.checkMinted(identityKey, bearer, "", now)
  if (Result.isFailure(checked)) return `The token is not taken: ${checked.failure}.`
  return checked.success.rights.includes("Manage") ? undefined : "The token has no right Manage on the namespace."
}
