/**
 * The key that signs the tokens of the broker's identity provider: RSA of 2,048 bits, made anew for each broker, and signatures
 * by RS256 (RFC 7518), as Entra's are. The public half is given as a JWK (RFC 7517).
 *
 * The pair is made when it is first needed, which takes some tens of milliseconds: a broker without identities never does.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto"

/** The public half, as a key set has it. */
export interface PublicKey {
  readonly kty: "RSA"
  readonly use: "sig"
  readonly alg: "RS256"
  readonly kid: string
  readonly n: string
  readonly e: string
}

interface Pair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: PublicKey
}

const algorithm = "RS256"

const digest = "RSA-SHA256"

const segment = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** What a segment says; undefined where it is no JSON. */
const read = (text: string): unknown => {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString("utf8"))
  } catch {
    return undefined
  }
}

/** What a JWT says, by whomever it is signed; undefined where it is none. */
export const parse = (token: string) => {
  const [head = "", body = "", signature = "", ...rest] = token.split(".", 4)
  const [header, payload] = [read(head), read(body)]
  if (rest.length > 0 || typeof header !== "object" || header === null || payload === undefined) return undefined
  const { alg, kid } = header as { readonly alg?: unknown; readonly kid?: unknown }
  return { alg, kid, payload, signed: `${head}.${body}`, signature }
}

const make = (): Pair => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const { e = "", n = "" } = publicKey.export({ format: "jwk" })
  // The thumbprint of the key (RFC 7638).
  const kid = createHash("sha256").update(JSON.stringify({ e, kty: "RSA", n })).digest("base64url")
  return { privateKey, publicKey, jwk: { kty: "RSA", use: "sig", alg: algorithm, kid, n, e } }
}

/** Signs tokens and knows its own again. */
export class SigningKey {
  private made: Pair | undefined

  private get pair(): Pair {
    return this.made ??= make()
  }

  /** The public half. */
  get jwk(): PublicKey {
    return this.pair.jwk
  }

  /** Makes a JWT (RFC 7519). */
  sign(payload: object): Redacted.Redacted<string> {
    const { jwk, privateKey } = this.pair
    const text = `${segment({ typ: "JWT", alg: algorithm, kid: jwk.kid })}.${segment(payload)}`
    return Redacted.make(`${text}.${sign(digest, Buffer.from(text), privateKey).toString("base64url")}`, {
      label: "token"
    })
  }

  /**
   * The payload of a JWT that this key signed. The algorithm is ours, whatever the token says: one that names another, or
   * none, is forged. What another key has signed is told from that by its name alone.
   */
  verify(token: string): Result.Result<unknown, "MalformedToken" | "InvalidSignature" | "UnknownKey"> {
    const parts = parse(token)
    if (parts === undefined) return Result.fail("MalformedToken")
    const { alg, kid, payload, signature, signed } = parts
    if (alg !== algorithm) return Result.fail("InvalidSignature")
    // A key that was never made has signed nothing.
    if (this.made === undefined || kid !== this.made.jwk.kid) return Result.fail("UnknownKey")
    return verify(digest, Buffer.from(signed), this.made.publicKey, Buffer.from(signature, "base64url"))
      ? Result.succeed(payload)
      : Result.fail("InvalidSignature")
  }
}
