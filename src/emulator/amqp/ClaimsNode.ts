/**
 * The `$cbs` node: `put-token` checks a token for real and adds the claim that it proves to the connection (AMQP claims-based
 * security; Service Bus protocol guide, claims-based authorization).
 *
 * For one audience the latest token counts. An audience that no entity has is refused as not found, as the service does.
 *
 * The first token that is taken says which namespace the connection is of, together with the host that the peer opened; one of
 * another namespace is refused from then on.
 */
import * as Result from "effect/Result"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Broker } from "../broker/Broker.ts"
import * as Authorization from "../security/Authorization.ts"
import type { Conditions } from "./Conditions.ts"
import * as FaultyOperation from "./FaultyOperation.ts"
import * as NodeAddress from "./NodeAddress.ts"
import { type Answer, refuse, type Request } from "./NodeRequest.ts"
import type { NamespaceRefusal, ServedConnection, ServedNamespace } from "./ServedConnection.ts"

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
  const { namespaces, options: { clock, dispatcher } } = connection.server
  const { name: audience, type } = request.properties
  const token = request.body
  const own = connection.namespace.conditions
  if (request.operation !== "put-token") {
    return reply({ status: 501, error: own.notImplemented("$cbs", request.operation) })
  }
  if (typeof audience !== "string" || typeof token !== "string") {
    return reply({ status: 400, error: own.argument("$cbs", "name and token must be strings.") })
  }
  // Some clients call a SAS token a JWT as well.
  const isSas = type === "servicebus.windows.net:sastoken" || type === "amqp:swt" ||
    token.startsWith("SharedAccessSignature ")
  if (!isSas && type !== "jwt" && type !== "amqp:jwt") {
    return reply({ status: 400, error: own.argument("$cbs", "Unknown token type.") })
  }
  const now = clock.currentTimeMillisUnsafe()
  const called = calledBy(connection)
  const current = connection.isPlaced ? connection.namespace : undefined
  const found = namespaces.find(called, Authorization.credentialOf(token, now), current)
  if (Result.isFailure(found)) {
    // Nothing is said on behalf of what is off the network.
    if (found.failure._tag === "Stopped") return dispatcher.schedule(() => connection.drop())
    return reply(refuseNamespace(own, audience, found.failure))
  }
  const namespace = found.success
  if (current !== undefined && namespace !== current) {
    return reply({ status: 401, error: own.otherNamespace(namespace.name, current.name) })
  }
  const { path } = NodeAddress.parse(audience)
  const run = () => putToken(connection, namespace, { audience, called, isSas, token })
  const struck = namespace.faults.take(kinds, path)
  if (struck === undefined) return reply(run())
  FaultyOperation.perform(connection, link, struck, path, { run, refuse, answer: reply })
}

/** A token as it was put. */
interface Put {
  readonly audience: string
  /** The host that the peer opened. */
  readonly called: string | undefined
  readonly isSas: boolean
  readonly token: string
}

const putToken = (
  connection: ServedConnection,
  namespace: ServedNamespace,
  { audience, called, isSas, token }: Put
): Answer => {
  const { broker, conditions, policies } = namespace
  const { path } = NodeAddress.parse(audience)
  // It may have been delayed.
  const now = connection.server.options.clock.currentTimeMillisUnsafe()
  const isOurs = (host: string) => namespace.isOurs(host, called)
  const checked = isSas
    ? Authorization.check([...policies, ...namespace.entityPolicies(token)], token, audience, now, isOurs)
    : namespace.checkToken(token, { resource: audience, now, isOurs })
  if (Result.isFailure(checked)) return { status: 401, error: conditions.token(checked.failure, audience) }
  if (!isKnown(broker, path)) return { status: 404, error: conditions.notFound(path) }
  if (namespace.isRemoved) return refuse(conditions.removed(namespace.name))
  if (!connection.isPlaced) connection.place(namespace)
  else if (connection.namespace !== namespace) {
    return { status: 401, error: conditions.otherNamespace(namespace.name, connection.namespace.name) }
  }
  connection.claims.add(checked.success)
  connection.idle.authorized()
  return { status: 202, description: "Accepted" }
}

/** Whether a claim can be on a path: the namespace's, an entity's, or one that entities lie below. */
const isKnown = (broker: Broker, path: string): boolean => {
  if (path === "" || path.toLowerCase() === "$cbs" || broker.queue(path) !== undefined) return true
  const below = `${path.toLowerCase()}/`
  return broker.queues().some((queue) => queue.path.toLowerCase().startsWith(below))
}

/** The host that a peer named when it opened the connection. */
const calledBy = ({ rhea }: ServedConnection): string | undefined => {
  const hostname = rhea.remote.open?.["hostname"]
  return typeof hostname === "string" ? Authorization.hostOf(hostname) : undefined
}

/** The answer where there is no namespace for a token. */
const refuseNamespace = (
  conditions: Conditions,
  audience: string,
  refusal: Exclude<NamespaceRefusal, { readonly _tag: "Stopped" }>
): Answer => {
  switch (refusal._tag) {
    case "Token":
      return { status: 401, error: conditions.token(refusal.problem, audience) }
    case "Name":
      return { status: 401, error: conditions.namespaceName(refusal.text) }
    case "Quota":
      return refuse(conditions.namespaceQuota(refusal.text))
  }
}
