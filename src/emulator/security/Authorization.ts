/**
 * Tokens, claims and rights: checks SAS tokens against the keys of this broker, for real, and holds the claims of a connection.
 *
 * A claim covers what its token's resource covers, by whole path segments, with the rights of the key that signed it,
 * until the token expires.
 */
import type * as Clock from "effect/Clock"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import * as SasToken from "../../internal/SasToken.ts"
import * as EntityPath from "../broker/EntityPath.ts"

/** A right of Service Bus. Manage implies the other two. */
export type Right = "Send" | "Listen" | "Manage"

/** A shared access policy. */
export interface Policy {
  readonly name: string
  readonly key: Redacted.Redacted<string>
  readonly rights: ReadonlyArray<Right>
}

/** Why a token was refused: the beginning of the service's text. */
export type TokenProblem = "MalformedToken" | "InvalidSignature" | "ExpiredToken" | "InvalidAudience"

/** A claim on a resource. */
export interface Claim {
  /** The path that it covers, in lower case; empty for the whole namespace. */
  readonly path: string
  readonly rights: ReadonlyArray<Right>
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

/** The path that a SAS token is for, in lower case; undefined where it is no such token. */
export const resourceOf = (token: string): string | undefined => {
  const parts = SasToken.parse(token)
  return parts === undefined ? undefined : pathOf(parts.resource)
}

/** What a peer shows for itself, as far as it tells which namespace is meant. */
export interface Credential {
  /** The name of the policy; undefined where it is of none, as that of an identity is. */
  readonly keyName: string | undefined
  /** The namespace that it names by itself, as a token of the broker's own identity does. */
  readonly namespace?: string | undefined
  /** The SAS token that it is, if it is one. */
  readonly token?: string | undefined
  /** The policy that it proves, of those that are given. */
  readonly provenBy: (policies: ReadonlyArray<Policy>) => Result.Result<Policy, TokenProblem>
}

/** A token, of whatever kind; `now` is in milliseconds. */
export const credentialOf = (token: string, now: number): Credential => {
  const parts = SasToken.parse(token)
  if (parts === undefined) {
    return { keyName: undefined, namespace: namespaceOf(token), provenBy: () => Result.fail("InvalidSignature") }
  }
  return { keyName: parts.keyName, token, provenBy: (policies) => signerOf(policies, parts, now) }
}

/** The name of a policy and its key, as SASL PLAIN has them (RFC 4616). */
export const keyCredential = (keyName: string, key: string): Credential => ({
  keyName,
  provenBy: (policies) => {
    const policy = policies.find(({ name }) => name === keyName)
    return policy !== undefined && timingSafeEqual(digest(Redacted.value(policy.key)), digest(key))
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

/** Texts of any length in a form of one length, so that comparing them tells nothing of either. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/** The policy whose key signed a token that has not expired. A policy of an entity has two keys. */
const signerOf = (
  policies: ReadonlyArray<Policy>,
  parts: NonNullable<ReturnType<typeof SasToken.parse>>,
  now: number
): Result.Result<Policy, TokenProblem> => {
  const policy = policies.find(({ key, name }) => name === parts.keyName && SasToken.verify(parts, key))
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
  const path = pathOf(audience)
  if (isElsewhere(parts.resource, isOurs) || isElsewhere(audience, isOurs)) return Result.fail("InvalidAudience")
  if (!covers(pathOf(parts.resource), path)) return Result.fail("InvalidAudience")
  return Result.succeed({ path, rights: signer.success.rights, expiresAt: parts.expiresAt * 1000 })
}

/** What a token of the broker's own identity says. */
interface Payload {
  /** Seconds of Unix time, as in every JWT (RFC 7519). */
  readonly exp: number
  readonly roles: ReadonlyArray<Right>
  /** The namespace that it is for; the default one where there is none. */
  readonly ns?: string | undefined
}

const segment = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const signatureOf = (key: Redacted.Redacted<string>, text: string): string =>
  createHmac("sha256", Redacted.value(key)).update(text).digest("base64url")

/** Makes a JWT (HS256) such as an identity provider would give. `expiresAt` is in milliseconds. */
export const mint = (
  key: Redacted.Redacted<string>,
  roles: ReadonlyArray<Right>,
  expiresAt: number,
  namespace?: string
): Redacted.Redacted<string> => {
  const payload: Payload = { exp: Math.floor(expiresAt / 1000), roles, ns: namespace }
  const text = `${segment({ alg: "HS256", typ: "JWT" })}.${segment(payload)}`
  return Redacted.make(`${text}.${signatureOf(key, text)}`, { label: "emulator token" })
}

/** The namespace that a JWT says it is for; it may be anybody's, and is not checked. */
const namespaceOf = (token: string): string | undefined => {
  try {
    const { ns } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Partial<Payload>
    return typeof ns === "string" ? ns : undefined
  } catch {
    return undefined
  }
}

/** Checks a JWT that this broker made, and gives the claim. Any other token is refused. */
export const checkMinted = (
  key: Redacted.Redacted<string>,
  token: string,
  audience: string,
  now: number
): Result.Result<Claim, TokenProblem> => {
  const at = token.lastIndexOf(".")
  const text = token.slice(0, Math.max(0, at))
  const given = Buffer.from(token.slice(at + 1))
  const expected = Buffer.from(signatureOf(key, text))
  if (at < 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return Result.fail("InvalidSignature")
  }
  // Signed by us: it is what `mint` wrote.
  const payload = JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString()) as Payload
  const expiresAt = payload.exp * 1000
  return expiresAt <= now
    ? Result.fail("ExpiredToken")
    : Result.succeed({ path: pathOf(audience), rights: payload.roles, expiresAt })
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
    let until: number | undefined
    // What covers a path is on it or above: the other entities of the connection are not looked at.
    for (let at: string | undefined = path.toLowerCase(); at !== undefined; at = above(at)) {
      const claim = this.claims.get(at)
      if (claim === undefined || claim.expiresAt <= now) continue
      if (!claim.rights.includes(right) && !claim.rights.includes("Manage")) continue
      if (until === undefined || claim.expiresAt > until) until = claim.expiresAt
    }
    return until
  }
}
