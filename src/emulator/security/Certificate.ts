/**
 * A certificate for a broker that speaks TLS on this machine: P-256, signed by itself, made anew for each broker, for
 * localhost and for names that look like the service's.
 *
 * Written out as DER (RFC 5280, X.690), because what makes certificates in Node otherwise is twenty packages that every
 * user of the client would install.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto"

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

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

const dnsNames = ["localhost", "*.localhost", "*.servicebus.windows.net"]

const addresses = [Buffer.from([127, 0, 0, 1]), Buffer.concat([Buffer.alloc(15), Buffer.from([1])])]

/** Makes a certificate. It is its own authority: a client trusts it by taking `cert` as one. */
export const selfSigned = (): Certificate => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const serial = randomBytes(16)
  // Positive, and not of zero length.
  serial[0] = (serial[0]! & 0x7f) | 0x01
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name("effect-service-bus emulator"),
    // A broker lives for minutes; the dates only have to hold whatever its clock says.
    sequence(utcTime("200101000000Z"), utcTime("491231235959Z")),
    name("effect-service-bus emulator"),
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
          sequence(
            ...dnsNames.map((dns) => der(0x82, Buffer.from(dns, "ascii"))),
            ...addresses.map((address) => der(0x87, address))
          )
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
