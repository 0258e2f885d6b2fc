/**
 * SASL as the service does it (Service Bus protocol guide): MSSBCBS and ANONYMOUS, with the claims put afterwards, and PLAIN
 * with the name of a key and the key, which gives the rights of that key to the whole connection.
 *
 * Answered in the same turn and from a table without a prototype: rhea's own answers later, and looks names up in an
 * object.
 */
import type { RheaConnection } from "../../internal/amqp/engine/rhea.ts"
import * as Authorization from "../security/Authorization.ts"

/** What is told of a connection that signs in. */
interface Options {
  /** The peer shows a key, for the host that it names if it names one; false where that is none. */
  readonly signIn: (credential: Authorization.Credential, host: string | undefined) => boolean
  /** The peer was told that it may not; there is no second try. */
  readonly refused: () => void
}

/** In the order of the service. */
const mechanisms = ["MSSBCBS", "PLAIN", "ANONYMOUS"]

interface Init {
  readonly performative: {
    readonly mechanism: unknown
    readonly initial_response?: unknown
    readonly hostname?: unknown
  }
}

/** Answers the SASL of a connection that is being accepted. */
export const serve = (connection: RheaConnection, options: Options): void => {
  const server = connection.sasl_transport?.transports?.[3]
  if (server === undefined) return
  // The first frame that rhea prepared offers its own list.
  const offered = server.transport.pending[0]
  if (offered?.performative !== undefined) offered.performative.sasl_server_mechanisms = mechanisms
  server.on_sasl_init = ({ performative }: Init) => {
    const mechanism = String(performative.mechanism)
    const { hostname } = performative
    const credential = mechanism === "PLAIN" ? credentialOf(performative.initial_response) : undefined
    const ok = mechanism === "PLAIN"
      ? credential !== undefined && options.signIn(credential, typeof hostname === "string" ? hostname : undefined)
      : mechanisms.includes(mechanism)
    server.mechanism = { outcome: ok, username: credential?.keyName ?? "anonymous" }
    server.do_step(undefined)
    if (!ok) options.refused()
  }
}

/** The name and the key that a response of PLAIN has (RFC 4616: an identity, a name and a password). */
const credentialOf = (response: unknown): Authorization.Credential | undefined => {
  if (!Buffer.isBuffer(response)) return undefined
  const [, name, key, ...rest] = response.toString("utf8").split("\u0000")
  return name === undefined || key === undefined || rest.length > 0 ? undefined : Authorization.keyCredential(name, key)
}
