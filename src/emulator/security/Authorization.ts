/**
 * Tokens, claims and rights: checks SAS tokens against the keys of this broker, for real, and holds the claims of a connection.
 *
 * A claim covers what its token's resource covers, by whole path segments, with the rights of the key that signed it, or of the
 * roles of the identity that it is of, until the token expires.
 */
import type * as Clock from "effect/Clock"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, timingSafeEqual } from "node:crypto"
import * as SasToken from "../../internal/SasToken.ts"
import * as EntityPath from "../broker/EntityPath.ts"

/** A right of Service Bus. Manage implies the other two. */
export type Right = "Send" | "Listen" | "Manage"

/** A shared access policy. */
export interface Policy {
  readonly name: string
  readonly key: Redacted.Redacted<string>
  readonly rights: ReadonlyArray<Right>
  /** Whether the case of its name does not matter: that of a policy does, and that of a namespace does not. */
  readonly isAnyCase?: boolean
}

const isNamed = ({ isAnyCase, name }: Policy, keyName: string): boolean =>
  name === keyName || isAnyCase === true && name.toLowerCase() === keyName.toLowerCase()

/** Why a token was refused: the beginning of the service's text. */
export type TokenProblem =
  | "MalformedToken"
  | "InvalidSignature"
  | "ExpiredToken"
  | "EarlyToken"
  | "InvalidIssuer"
  | "InvalidAudience"

/** Rights on an entity by its path, in lower case, and on what it has; on the whole namespace where that is empty. */
export interface Grant {
  readonly path: string
  readonly rights: ReadonlyArray<Right>
}

/** A claim on a resource. */
export interface Claim {
  /** The path that it covers, in lower case; empty for the whole namespace. */
  readonly path: string
  /** What it allows there. */
  readonly grants: ReadonlyArray<Grant>
  /** Milliseconds. */
  readonly expiresAt: number
}

/** The host of an address, in lower case and without its port; the address is a URL or begins with the host. */
export const hostOf = (address: string): string => {
  const [authority = ""] = address.trim().replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").split(/[/?#]/)
  const host = authority.slice(authority.lastIndexOf("@") + 1).toLowerCase()
  const [, literal] = /^\[([^\]]*)\]/.exec(host) ?? []
  // An address of IPv6 may stand without brackets.
  return (literal ?? (host.split(":").length > 2 ? host : host.replace(/:\d*$/, ""))).replace(/\.$/, "")
}

/** Whether a host is this machine, by whatever name. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/**
 * The first label of a host that names a namespace: of Azure's own names, and of those that are this machine by any first
 * label. Every other host says where the broker is, not which namespace is meant.
 */
export const namespaceIn = (host: string): string | undefined =>
  /^([^.]+)\.(localhost|servicebus\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn|cloudapi\.de))$/.exec(host)?.[1]

/** Whether a resource or audience names a host, and that is another one. One that is a bare path names none. */
const isElsewhere = (address: string, isOurs: (host: string) => boolean): boolean =>
  address.includes("://") && !isOurs(hostOf(address))

/** An address without scheme, host and slashes at its ends: clients write it bare, with a slash, or as a URL. */
export const bareOf = (address: string): string => {
  let path = address
  const scheme = path.indexOf("://")
  if (scheme >= 0) {
    const slash = path.indexOf("/", scheme + 3)
    path = slash < 0 ? "" : path.slice(slash)
  }
  try {
    path = decodeURIComponent(path)
  } catch {
    // Not percent-encoded after all.
  }
  return EntityPath.withoutSlashes(path)
}

/** The path of a resource: without `$management` and the query that a URL of HTTP may have, in lower case. */
const pathOf = (resource: string): string =>
  bareOf(resource.trim().replace(/\?.*$/s, "")).toLowerCase().replace(/\/?\$management$/, "")

/** The path above one; that of the namespace is empty and has none. */
const above = (path: string): string | undefined =>
  path === "" ? undefined : path.slice(0, Math.max(0, path.lastIndexOf("/")))

const covers = (claim: string, path: string): boolean => claim === "" || claim === path || path.startsWith(`${claim}/`)

/**
 * Whether rights on an entity are rights on a path. A claim covers a path by its segments; an entity whose name has that of
 * another one before a slash is a resource of its own in Azure, where what an entity has is its sub-queues, subscriptions and
 * their rules.
 */
const reaches = (entity: string, path: string): boolean => {
  if (entity === "" || entity === path) return true
  if (!path.startsWith(`${entity}/`)) return false
  return entity.includes("/subscriptions/") || /^(\$|subscriptions(\/|$))/.test(path.slice(entity.length + 1))
}

/** Rights on the whole namespace. */
export const everywhere = (rights: ReadonlyArray<Right>): ReadonlyArray<Grant> => [{ path: "", rights }]

/** Whether a claim allows something of a path that it covers, in lower case. */
const allowsBelow = ({ grants }: Claim, path: string, right: Right): boolean =>
  grants.some((grant) => reaches(grant.path, path) && (grant.rights.includes(right) || grant.rights.includes("Manage")))

/** Whether a claim allows something of a path. */
export const allows = (claim: Claim, path: string, right: Right): boolean => {
  const of = pathOf(path)
  return covers(claim.path, of) && allowsBelow(claim, of, right)
}

/** The path that a SAS token is for, in lower case; undefined where it is no such token. */
export const resourceOf = (token: string): string | undefined => {
  const parts = SasToken.parse(token)
  return parts === undefined ? undefined : pathOf(parts.resource)
}

/**
 * The token of an identity that a header of HTTP has; undefined where it has a SAS token. The word Bearer may be missing: the
 * administration client for Go sends none (azservicebus, internal/atom), and its tests with identities run on the service.
 */
export const jwtOf = (header: string): string | undefined =>
  SasToken.parse(header) === undefined ? header.replace(/^Bearer +/i, "") : undefined

/** What a peer shows for itself, as far as it tells which namespace is meant. */
export interface Credential {
  /** The name of the policy; undefined where it is of none, as that of an identity is. */
  readonly keyName: string | undefined
  /** The namespace that it names by itself, as a token of the broker's own identity does. */
  readonly namespace?: string | undefined
  /** The SAS token that it is, if it is one. */
  readonly token?: string | undefined
  /** What else it is: the token of an identity, if it is any. */
  readonly jwt?: string | undefined
  /** The policy that it proves, of those that are given. */
  readonly provenBy: (policies: ReadonlyArray<Policy>) => Result.Result<Policy, TokenProblem>
}

/** A token, of whatever kind; `now` is in milliseconds. */
export const credentialOf = (token: string, now: number): Credential => {
  const parts = SasToken.parse(token)
  if (parts === undefined) {
    return {
      keyName: undefined,
      namespace: namespaceOf(token),
      jwt: token,
      provenBy: () => Result.fail("InvalidSignature")
    }
  }
  return { keyName: parts.keyName, token, provenBy: (policies) => signerOf(policies, parts, now) }
}

/** The name of a policy and its key, as SASL PLAIN has them (RFC 4616). */
export const keyCredential = (keyName: string, key: string): Credential => ({
  keyName,
  provenBy: (policies) => {
    const policy = policies.find((each) => isNamed(each, keyName))
    return policy !== undefined && isSame(policy.key, key)
      ? Result.succeed(policy)
      : Result.fail("InvalidSignature")
  }
})

/** A name and a key, as HTTP Basic says them (RFC 7617); undefined where it does not. */
export const basicOf = (header: string): Credential | undefined => {
  const [, encoded] = /^Basic +([A-Za-z0-9+/_=-]+)$/i.exec(header) ?? []
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, "base64").toString("utf8")
  const at = text.indexOf(":")
  return at < 0 ? undefined : keyCredential(text.slice(0, at), text.slice(at + 1))
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/** Whether a text is a secret. Both are compared in a form of one length, so that the time tells nothing of either. */
export const isSame = (secret: Redacted.Redacted<string>, text: string): boolean =>
  timingSafeEqual(digest(Redacted.value(secret)), digest(text))

/** The policy whose key signed a token that has not expired. A policy of an entity has two keys. */
const signerOf = (
  policies: ReadonlyArray<Policy>,
  parts: NonNullable<ReturnType<typeof SasToken.parse>>,
  now: number
): Result.Result<Policy, TokenProblem> => {
  const policy = policies.find((each) => isNamed(each, parts.keyName) && SasToken.verify(parts, each.key))
  if (policy === undefined) return Result.fail("InvalidSignature")
  return parts.expiresAt * 1000 <= now ? Result.fail("ExpiredToken") : Result.succeed(policy)
}

/** A path, and those above it but that of the namespace. */
export const pathsTo = (path: string): ReadonlyArray<string> => {
  const paths: Array<string> = []
  for (let at: string | undefined = path; at !== undefined && at !== ""; at = above(at)) paths.push(at)
  return paths
}

/**
 * Checks a SAS token that is put for an audience, and gives the claim. Both may be URLs of any scheme, with or without a port;
 * their host must be ours.
 */
export const check = (
  policies: ReadonlyArray<Policy>,
  token: string,
  audience: string,
  now: number,
  isOurs: (host: string) => boolean
): Result.Result<Claim, TokenProblem> => {
  const parts = SasToken.parse(token)
  if (parts === undefined) return Result.fail("MalformedToken")
  const signer = signerOf(policies, parts, now)
  if (Result.isFailure(signer)) return Result.fail(signer.failure)
  if (isElsewhere(parts.resource, isOurs)) return Result.fail("InvalidAudience")
  if (!covers(pathOf(parts.resource), pathOf(audience))) return Result.fail("InvalidAudience")
  return claimOf(everywhere(signer.success.rights), parts.expiresAt * 1000, audience, isOurs)
}

/** The claim that a token gives, which was checked, on an audience; its host must be ours. */
export const claimOf = (
  grants: ReadonlyArray<Grant>,
  expiresAt: number,
  audience: string,
  isOurs: (host: string) => boolean
): Result.Result<Claim, TokenProblem> =>
  isElsewhere(audience, isOurs)
    ? Result.fail("InvalidAudience")
    : Result.succeed({ path: pathOf(audience), grants, expiresAt })

/** The namespace that a JWT says it is for; it may be anybody's, and is not checked. */
const namespaceOf = (token: string): string | undefined => {
  try {
    const { ns } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
      readonly ns?: unknown
    }
    return typeof ns === "string" ? ns : undefined
  } catch {
    return undefined
  }
}

/** The claims of one connection. For one audience the latest token counts. */
export class Claims {
  private readonly claims = new Map<string, Claim>()
  private readonly clock: Clock.Clock

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  add(claim: Claim): void {
    this.claims.set(claim.path, claim)
  }

  /** Until when a right on a path is held, in milliseconds; undefined where it is not. */
  heldUntil(path: string, right: Right): number | undefined {
    const now = this.clock.currentTimeMillisUnsafe()
    const lower = path.toLowerCase()
    let until: number | undefined
    // What covers a path is on it or above: the other entities of the connection are not looked at.
    for (let at: string | undefined = lower; at !== undefined; at = above(at)) {
      const claim = this.claims.get(at)
      if (claim === undefined || claim.expiresAt <= now) continue
      if (!allowsBelow(claim, lower, right)) continue
      if (until === undefined || claim.expiresAt > until) until = claim.expiresAt
    }
    return until
  }
}
