/**
 * Who may use the control API: whoever holds the right Manage on the whole namespace, by a SAS token or a token of an
 * identity, as for administration, or by the name and the key of a policy as HTTP Basic (RFC 7617), which curl's `-u` sends.
 */
import * as Result from "effect/Result"
import type { HttpRequest } from "../http/HttpMessage.ts"
import * as Authorization from "../security/Authorization.ts"
import type { Use } from "../security/IdentityProvider.ts"

/** What tokens and keys are checked against. */
export interface Keys {
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** The name by which the namespace speaks of itself. */
  readonly host: string
  /** Whether a host in a token means this namespace; `called` is the host that the peer asked. */
  isOurs(host: string, called: string): boolean
  /** Checks a token of an identity. */
  checkToken(token: string, use: Use): Result.Result<Authorization.Claim, Authorization.TokenProblem>
}

/** Why a request is not allowed, now in milliseconds; undefined where it is. */
export const problemOf = (
  { headers }: HttpRequest,
  keys: Keys,
  now: number
): string | undefined => {
  const { host, policies } = keys
  const header = headers["authorization"]
  if (header === undefined) {
    return "There is no Authorization header: give the name and the key of a policy with Manage (curl -u NAME:KEY), or a token."
  }
  const basic = Authorization.basicOf(header)
  if (basic !== undefined) {
    const policy = basic.provenBy(policies)
    if (Result.isFailure(policy)) return "There is no policy of this name with this key."
    return policy.success.rights.includes("Manage") ? undefined : `The policy "${basic.keyName}" has no right Manage.`
  }
  const called = Authorization.hostOf(headers["host"] ?? host)
  const isOurs = (name: string) => keys.isOurs(name, called)
  const jwt = Authorization.jwtOf(header)
  const checked = jwt === undefined
    ? Authorization.check(policies, header, "", now, isOurs)
    : keys.checkToken(jwt, { resource: "", now, isOurs })
  if (Result.isFailure(checked)) return `The token is not taken: ${checked.failure}.`
  return Authorization.allows(checked.success, "", "Manage")
    ? undefined
    : "The token has no right Manage on the namespace."
}
