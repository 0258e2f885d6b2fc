/**
 * SASL as the service does it (Service Bus protocol guide): MSSBCBS and ANONYMOUS, with the claims put afterwards, and PLAIN
 * with the name of a key and the key, which gives the rights of that key to the whole connection.
 *
 * Answered in the same turn and from a table without a prototype: rhea's own answers later, and looks names up in an
 * object.
 */
import * as Redacted from "effect/Redacted"
import { createHash, timingSafeEqual } from "node:crypto"
import type { RheaConnection } from "../../internal/amqp/engine/rhea.ts"
import type * as Authorization from "../security/Authorization.ts"

/** What a connection that signs in is checked against, and what is told of it. */
interface Options {
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** The peer has signed in with a key. */
  readonly authenticated: (policy: Authorization.Policy) => void
  /** The peer was told that it may not; there is no second try. */
  readonly refused: () => void
}

/** In the order of the service. */
const mechanisms = ["MSSBCBS", "PLAIN", "ANONYMOUS"]

interface Init {
  readonly performative: { readonly mechanism: unknown; readonly initial_response?: unknown }
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
    const policy = mechanism === "PLAIN" ? policyOf(options.policies, performative.initial_response) : undefined
    const ok = mechanism === "PLAIN" ? policy !== undefined : mechanisms.includes(mechanism)
    server.mechanism = { outcome: ok, username: policy?.name ?? "anonymous" }
    server.do_step(undefined)
    if (policy !== undefined) options.authenticated(policy)
    if (!ok) options.refused()
  }
}

/** The policy whose name and key a response of PLAIN has (RFC 4616: an identity, a name and a password). */
const policyOf = (
  policies: ReadonlyArray<Authorization.Policy>,
  response: unknown
): Authorization.Policy | undefined => {
  if (!Buffer.isBuffer(response)) return undefined
  const [, name, key, ...rest] = response.toString("utf8").split("\u0000")
  const policy = policies.find((policy) => policy.name === name)
  if (policy === undefined || key === undefined || rest.length > 0) return undefined
  return timingSafeEqual(digest(Redacted.value(policy.key)), digest(key)) ? policy : undefined
}

/** Texts of any length in a form of one length, so that comparing them tells nothing of either. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest()
