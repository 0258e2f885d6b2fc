/**
 * The `$cbs` node: `put-token` checks a token for real and adds the claim that it proves to the connection (AMQP claims-based
 * security; Service Bus protocol guide, claims-based authorization).
 *
 * For one audience the latest token counts. An audience that no entity has is refused as not found, as the service does.
 */
import * as Result from "effect/Result"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import * as Authorization from "../security/Authorization.ts"
import * as FaultyOperation from "./FaultyOperation.ts"
import * as NodeAddress from "./NodeAddress.ts"
import { type Answer, refuse, type Request } from "./NodeRequest.ts"
import type { ServedConnection } from "./ServedConnection.ts"

const kinds = ["putToken"] as const

/** The most bytes of a request. */
export const maxRequestSize = 1024 * 1024

/** Answers a request that came on a link: at once, unless a fault is to come between. */
export const answer = (
  connection: ServedConnection,
  link: RheaLink,
  request: Request,
  reply: (answer: Answer) => void
): void => {
  const { conditions, faults } = connection.namespace
  const { name: audience } = request.properties
  const token = request.body
  if (request.operation !== "put-token") {
    return reply({ status: 501, error: conditions.notImplemented("$cbs", request.operation) })
  }
  if (typeof audience !== "string" || typeof token !== "string") {
    return reply({ status: 400, error: conditions.argument("$cbs", "name and token must be strings.") })
  }
  const { path } = NodeAddress.parse(audience)
  const run = () => putToken(connection, request, audience, token)
  const struck = faults.take(kinds, path)
  if (struck === undefined) return reply(run())
  FaultyOperation.perform(connection, link, struck, path, { run, refuse, answer: reply })
}

const putToken = (connection: ServedConnection, request: Request, audience: string, token: string): Answer => {
  const { namespace, server: { options: { clock } } } = connection
  const { conditions, identityKey, policies } = namespace
  const { type } = request.properties
  const { path } = NodeAddress.parse(audience)
  const now = clock.currentTimeMillisUnsafe()
  const isOurs = (host: string) => isOurHost(connection, host)
  const checkSas = (token: string) =>
    Authorization.check([...policies, ...namespace.entityPolicies(token)], token, audience, now, isOurs)
  let checked: Result.Result<Authorization.Claim, Authorization.TokenProblem>
  if (type === "jwt" || type === "amqp:jwt") {
    // Some clients call a SAS token that as well.
    checked = token.startsWith("SharedAccessSignature ")
      ? checkSas(token)
      : Authorization.checkMinted(identityKey, token, audience, now)
  } else if (type === "servicebus.windows.net:sastoken" || type === "amqp:swt") {
    checked = checkSas(token)
  } else return { status: 400, error: conditions.argument("$cbs", "Unknown token type.") }
  if (Result.isFailure(checked)) return { status: 401, error: conditions.token(checked.failure, audience) }
  if (!isKnown(connection, path)) return { status: 404, error: conditions.notFound(path) }
  connection.claims.add(checked.success)
  connection.idle.authorized()
  return { status: 202, description: "Accepted" }
}

/** Whether a claim can be on a path: the namespace's, an entity's, or one that entities lie below. */
const isKnown = ({ namespace: { broker } }: ServedConnection, path: string): boolean => {
  if (path === "" || path.toLowerCase() === "$cbs" || broker.queue(path) !== undefined) return true
  const below = `${path.toLowerCase()}/`
  return broker.queues().some((queue) => queue.path.toLowerCase().startsWith(below))
}

/** Whether a host is this broker: by its own name, as this machine, or as the peer called it when it opened the connection. */
const isOurHost = ({ namespace, rhea }: ServedConnection, host: string): boolean => {
  const called = rhea.remote.open?.["hostname"]
  return Authorization.isLoopback(host) || host === Authorization.hostOf(namespace.host) ||
    typeof called === "string" && host === Authorization.hostOf(called)
}
