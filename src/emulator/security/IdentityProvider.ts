/**
 * The identity provider of the broker, in Entra's place: it knows the identities, issues tokens to them, and knows its own
 * tokens again.
 *
 * A token is a JWT with the claims of Entra's tokens for Service Bus, which are those of its version 1.0 (issuer
 * `https://sts.windows.net/<tenant>/`, `appid`). It is good for the audience of Service Bus or of one namespace until it expires;
 * what its bearer may do is said by the roles of the identity.
 *
 * Clients keep a token until it expires, and Entra's keys outlive every service. So that a broker knows the tokens of the one
 * that it was before it was started again, whose key is gone, each has a code by the secret of its identity: whoever is given the
 * same identity takes it. Who has a token may try secrets against that code, and for each must pay what scrypt costs.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, createHmac, randomBytes, scryptSync } from "node:crypto"
import { type Claim, claimOf, hostOf, isSame, type TokenProblem } from "./Authorization.ts"
import type { Identity } from "./Identity.ts"
import { parse, type PublicKey, SigningKey } from "./SigningKey.ts"

/** What a token says. Times are seconds of Unix time, as in every JWT (RFC 7519). */
interface Payload {
  readonly aud: string
  readonly iss: string
  readonly iat: number
  readonly nbf: number
  readonly exp: number
  readonly appid: string
  /** How the client proved itself: 1 by a secret, 2 by an assertion. */
  readonly appidacr: string
  readonly idp: string
  readonly idtyp: "app"
  readonly oid: string
  readonly sub: string
  readonly tid: string
  readonly uti: string
  readonly ver: "1.0"
  /** The namespace that it is for, where it is for one alone. */
  readonly ns?: string | undefined
  /** The code by which it is known again where its key is gone: Entra has a claim of this name for that, too. */
  readonly rh?: string | undefined
}

/** A token that was issued. */
export interface Issued {
  readonly token: Redacted.Redacted<string>
  /** Milliseconds. */
  readonly issuedAt: number
  readonly expiresAt: number
  /** Whole seconds that it is good for from now on, as Entra says it: 3,599 of an hour. */
  readonly secondsLeft: number
}

/** The namespace where a token is used. */
export interface Place {
  readonly namespace: string
  /** An identity that only the namespace knows; undefined where it has none yet. */
  readonly identity?: Identity
}

/** What a token is used for. */
export interface Use {
  /** What it is put for: a path, or a URL that ends with one. */
  readonly resource: string
  /** Milliseconds. */
  readonly now: number
  /** Whether a host is the namespace that it is used at. */
  readonly isOurs: (host: string) => boolean
}

/** The audience of Service Bus in every cloud (Service Bus documentation, authenticate an application). */
export const serviceBus = "https://servicebus.azure.net/"

/** What is asked for where the token is to name one namespace alone. */
const namespaceHost = /^[a-z0-9][a-z0-9-]*\.servicebus\.[a-z.]+$/

/** Whether tokens are issued for an audience: Service Bus, or a namespace by its host name; a slash may end it. */
export const isAudience = (audience: string): boolean => {
  if (audience === serviceBus || `${audience}/` === serviceBus) return true
  return /^https:\/\/[^/?#@:]+\/?$/.test(audience) && namespaceHost.test(hostOf(audience))
}

/** A UUID that is always the same for a text (of the form of RFC 9562, version 8). */
const uuidOf = (text: string): string => {
  const hex = createHash("sha256").update(text).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The id of a tenant: as it is named, or where that is by a domain, one of its own. */
export const tenantIdOf = (tenant: string): string => {
  const name = tenant.toLowerCase()
  return uuid.test(name) ? name : uuidOf(`tenant ${name}`)
}

/** Who issues the tokens of a tenant. */
const issuerOf = (tenantId: string): string => `https://sts.windows.net/${tenantId}/`

/** Issues tokens, and checks them. */
export class IdentityProvider {
  readonly identities: ReadonlyArray<Identity>
  private readonly key = new SigningKey()
  private readonly codeKeys = new Map<Identity, Buffer>()

  constructor(identities: ReadonlyArray<Identity>) {
    this.identities = identities
    // Made while the broker starts, not while it serves.
    if (identities.length > 0) void this.key.jwk
  }

  /** The key that tokens are signed with. */
  get publicKey(): PublicKey {
    return this.key.jwk
  }

  /** The identity that has an id. */
  find(clientId: string): Identity | undefined {
    const id = clientId.toLowerCase()
    return this.identities.find((identity) => identity.clientId.toLowerCase() === id)
  }

  /** Issues a token; `now` is in milliseconds. One for a namespace is known by it before it is checked. */
  issue(
    identity: Identity,
    audience: string,
    tenant: string,
    now: number,
    proof: "secret" | "assertion",
    namespace?: string
  ): Issued {
    const issuedAt = Math.floor(now / 1000)
    const expiresAt = issuedAt + Math.ceil(identity.tokenLifetime / 1000)
    const tid = tenantIdOf(tenant)
    const oid = uuidOf(`object ${identity.clientId.toLowerCase()}`)
    const payload: Payload = {
      aud: audience,
      iss: issuerOf(tid),
      iat: issuedAt,
      nbf: issuedAt,
      exp: expiresAt,
      appid: identity.clientId,
      appidacr: proof === "secret" ? "1" : "2",
      idp: issuerOf(tid),
      idtyp: "app",
      oid,
      sub: oid,
      tid,
      uti: randomBytes(16).toString("base64url"),
      ver: "1.0",
      ns: namespace
    }
    const rh = this.identities.includes(identity) ? this.codeOf(identity, this.key.jwk.kid, payload) : undefined
    return {
      token: this.key.sign({ ...payload, rh }),
      issuedAt: issuedAt * 1000,
      expiresAt: expiresAt * 1000,
      secondsLeft: Math.max(1, Math.floor(expiresAt - now / 1000))
    }
  }

  /** The code of a token: that of an identity, and of the name of the key that signs it. */
  private codeOf(identity: Identity, kid: string, payload: object): string {
    let key = this.codeKeys.get(identity)
    if (key === undefined) {
      const salt = `effect-service-bus token ${identity.clientId.toLowerCase()}`
      this.codeKeys.set(identity, key = scryptSync(Redacted.value(identity.secret), salt, 32))
    }
    return createHmac("sha256", key).update(JSON.stringify([kid, payload])).digest("base64url")
  }

  /** What a token says that was issued here, or by a broker with the same identity. */
  private read(token: string): Result.Result<unknown, "MalformedToken" | "InvalidSignature"> {
    const verified = this.key.verify(token)
    if (Result.isSuccess(verified)) return Result.succeed(verified.success)
    return verified.failure === "UnknownKey" ? this.readByCode(token) : Result.fail(verified.failure)
  }

  /** What a token says that another broker has signed, for an identity that we know too. */
  private readByCode(token: string): Result.Result<unknown, "InvalidSignature"> {
    const { kid, payload } = parse(token) ?? {}
    if (typeof kid === "string" && typeof payload === "object" && payload !== null) {
      const { rh, ...rest } = payload as { readonly [K in keyof Payload]?: unknown }
      const identity = typeof rest.appid === "string" ? this.find(rest.appid) : undefined
      if (identity !== undefined && typeof rh === "string") {
        const code = Redacted.make(this.codeOf(identity, kid, rest))
        if (isSame(code, rh)) return Result.succeed(rest)
      }
    }
    return Result.fail("InvalidSignature")
  }

  /** Checks a token, and gives the claim. */
  check(token: string, place: Place, { isOurs, now, resource }: Use): Result.Result<Claim, TokenProblem> {
    const verified = this.read(token)
    if (Result.isFailure(verified)) return Result.fail(verified.failure)
    // It is what `issue` wrote.
    const { appid, aud, exp, iss, nbf, tid } = verified.success as Payload
    if (exp * 1000 <= now) return Result.fail("ExpiredToken")
    if (nbf * 1000 > now) return Result.fail("EarlyToken")
    const identity = appid === place.identity?.clientId ? place.identity : this.find(appid)
    const tenant = identity?.tenant
    if (identity === undefined || iss !== issuerOf(tid) || tenant !== undefined && tenantIdOf(tenant) !== tid) {
      return Result.fail("InvalidIssuer")
    }
    const isForAll = aud === serviceBus || `${aud}/` === serviceBus
    if (!isForAll && !(isAudience(aud) && isOurs(hostOf(aud)))) return Result.fail("InvalidAudience")
    const namespace = place.namespace.toLowerCase()
    const roles = identity.roles.filter((role) => role.namespace === undefined || role.namespace === namespace)
    return claimOf(roles, exp * 1000, resource, isOurs)
  }
}
