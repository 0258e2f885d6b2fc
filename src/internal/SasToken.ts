/**
 * SAS tokens, signed by clients and verified by the broker (Service Bus documentation, shared access signatures).
 */
import * as Redacted from "effect/Redacted"
import { createHmac, timingSafeEqual } from "node:crypto"

/** The signature of an encoded resource until an expiry, in base64. */
const signatureOf = (key: Redacted.Redacted<string>, encodedResource: string, expiry: string): string =>
  createHmac("sha256", Redacted.value(key)).update(`${encodedResource}\n${expiry}`, "utf8").digest("base64")

/**
 * Signs a token for a resource; `expiresAt` is in seconds of Unix time. It is synchronous, so that it takes no turn of the event
 * loop that a test's clock would not know of.
 */
export const sign = ({ expiresAt, key, keyName, resource }: {
  readonly resource: string
  readonly keyName: string
  readonly key: Redacted.Redacted<string>
  readonly expiresAt: number
}): Redacted.Redacted<string> => {
  const encoded = encodeURIComponent(resource)
  const expiry = String(Math.floor(expiresAt))
  const signature = encodeURIComponent(signatureOf(key, encoded, expiry))
  return Redacted.make(
    `SharedAccessSignature sr=${encoded}&sig=${signature}&se=${expiry}&skn=${encodeURIComponent(keyName)}`,
    { label: "SAS token" }
  )
}

/** The parts of a SAS token. */
interface Parts {
  /** As it stands in the token: what is signed. */
  readonly encodedResource: string
  readonly resource: string
  readonly signature: string
  /** Seconds of Unix time. */
  readonly expiresAt: number
  readonly keyName: string
}

/** The parts of a token, or undefined where it is not one. */
export const parse = (token: string): Parts | undefined => {
  const prefix = "SharedAccessSignature "
  if (!token.startsWith(prefix) || token.length > 8192) return undefined
  const parts = new Map<string, string>()
  for (const part of token.slice(prefix.length).split("&")) {
    const equals = part.indexOf("=")
    if (equals > 0) parts.set(part.slice(0, equals), part.slice(equals + 1))
  }
  const sr = parts.get("sr")
  const sig = parts.get("sig")
  const se = parts.get("se")
  const skn = parts.get("skn")
  if (sr === undefined || sig === undefined || se === undefined || !/^\d{1,12}$/.test(se)) return undefined
  try {
    return {
      encodedResource: sr,
      resource: decode(sr),
      signature: decode(sig),
      expiresAt: Number(se),
      keyName: skn === undefined ? "" : decode(skn)
    }
  } catch {
    return undefined
  }
}

/** Some SDKs write a space as a plus; a plus of base64 is always escaped. */
const decode = (text: string): string => decodeURIComponent(text.replaceAll("+", "%20"))

/** Whether a token was signed with a key. */
export const verify = (parts: Parts, key: Redacted.Redacted<string>): boolean => {
  const expected = Buffer.from(signatureOf(key, parts.encodedResource, `${parts.expiresAt}`), "utf8")
  const given = Buffer.from(parts.signature, "utf8")
  return expected.length === given.length && timingSafeEqual(expected, given)
}
