/**
 * A certificate for a broker that speaks TLS on this machine: P-256, signed by itself, made anew for each broker, for
 * localhost, for names that look like the service's, and for those that its broker is called by.
 *
 * Written out as DER (RFC 5280, X.690), because what makes certificates in Node otherwise is twenty packages that every
 * user of the client would install.
 */
import * as Effect from "effect/Effect"
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto"
import { isIP, isIPv4 } from "node:net"
import * as tls from "node:tls"
import { EmulatorError } from "../../ServiceBusError.ts"

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** Whether TLS can be served with a certificate, before anything listens: it may be a user's, and any value. */
export const check = (certificate: Certificate): Effect.Effect<void, EmulatorError> =>
  Effect.try({
    try: () => {
      const { cert, key } = certificate
      if (typeof cert !== "string" || typeof key !== "string") throw new Error("they must be text in PEM")
      tls.createSecureContext({ cert, key })
    },
    catch: (cause) =>
      new EmulatorError({
        problem: `the certificate and its key are not usable (${
          cause instanceof Error ? cause.message : typeof cause
        })`,
        cause
      })
  })

const length = (size: number): Buffer => {
  if (size < 128) return Buffer.from([size])
  const hex = size.toString(16)
  const bytes = Buffer.from(hex.padStart(hex.length + hex.length % 2, "0"), "hex")
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes])
}

const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag]), length(content.length), content])
}

const sequence = (...parts: ReadonlyArray<Uint8Array>) => der(0x30, ...parts)
const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"))
const octets = (...parts: ReadonlyArray<Uint8Array>) => der(0x04, ...parts)
const utcTime = (text: string) => der(0x17, Buffer.from(text, "ascii"))

/** ecdsa-with-SHA256. */
const algorithm = sequence(oid("2a8648ce3d040302"))

const name = (common: string) => sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(common, "utf8")))))

const extension = (id: string, isCritical: boolean, value: Uint8Array) =>
  sequence(oid(id), ...(isCritical ? [der(0x01, Buffer.from([0xff]))] : []), octets(value))

/** `host.docker.internal` is what Docker has containers call this machine. */
const always = ["localhost", "*.localhost", "*.servicebus.windows.net", "host.docker.internal", "127.0.0.1", "::1"]

/** The bytes of an address of IPv4 or IPv6; the URL of one of IPv6 has it in its shortest form, which is filled up. */
const addressOf = (host: string): Buffer => {
  if (isIPv4(host)) return Buffer.from(host.split(".").map(Number))
  const [head = "", tail] = new URL(`http://[${host}]`).hostname.slice(1, -1).split("::")
  const groups = (text = "") => text === "" ? [] : text.split(":")
  const [before, after] = [groups(head), groups(tail)]
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0")
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, "0")).join(""), "hex")
}

/** A name of RFC 5280's subjectAltName: dNSName or iPAddress. Nothing else can be in one. */
const altName = (host: string): ReadonlyArray<Buffer> =>
  isIP(host) !== 0 && !host.includes("%")
    ? [der(0x87, addressOf(host))]
    : /^[A-Za-z0-9*._-]{1,253}$/.test(host)
    ? [der(0x82, Buffer.from(host, "ascii"))]
    : []

/**
 * Makes a certificate, for more names and addresses than this machine's own where they are given. It is its own authority: a
 * client trusts it by taking `cert` as one.
 */
export const selfSigned = (hosts: ReadonlyArray<string> = []): Certificate => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const serial = randomBytes(16)
  // Positive, and not of zero length.
  serial[0] = (serial[0]! & 0x7f) | 0x01
  // Who trusts several brokers finds each by its name: OpenSSL takes the first certificate of a name for the only one.
  const own = name(`effect-service-bus emulator ${serial.toString("hex")}`)
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    own,
    // A broker lives for minutes; the dates only have to hold whatever its clock says.
    sequence(utcTime("200101000000Z"), utcTime("491231235959Z")),
    own,
    createPublicKey(publicKey.export({ type: "spki", format: "pem" })).export({ type: "spki", format: "der" }),
    der(
      0xa3,
      sequence(
        extension("551d13", true, sequence(der(0x01, Buffer.from([0xff])))),
        // digitalSignature and keyCertSign.
        extension("551d0f", true, der(0x03, Buffer.from([2, 0x84]))),
        // serverAuth.
        extension("551d25", false, sequence(oid("2b06010505070301"))),
        extension(
          "551d11",
          false,
          sequence(...Array.from(new Set([...always, ...hosts])).flatMap(altName))
        )
      )
    )
  )
  const signature = sign("sha256", body, privateKey)
  const whole = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature))
  const text = whole.toString("base64").match(/.{1,64}/g)!.join("\n")
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string
  }
}
