/**
 * The answer to an attach: which node it names, whether the connection may use it, and what serves it. A refused attach is
 * answered without a terminus and detached with the reason (AMQP 1.0 section 2.6.3).
 *
 * A link to an entity, or to its `$management` node, needs a claim with a right on that entity, and is detached when the
 * claim expires. Links to `$cbs`, where claims are put, and to a coordinator need none. While it is not known which namespace a
 * connection is of, links to `$cbs` are all that it may have.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { isReceivable, isSendable } from "../broker/EntityOptions.ts"
import type { Queue } from "../broker/Queue.ts"
import type * as Authorization from "../security/Authorization.ts"
import * as ClaimsNode from "./ClaimsNode.ts"
import * as Coordinator from "./Coordinator.ts"
import * as FaultyAttach from "./FaultyAttach.ts"
import * as InboundLink from "./InboundLink.ts"
import * as ManagementNode from "./ManagementNode.ts"
import * as NodeAddress from "./NodeAddress.ts"
import * as Operations from "./operations/Operations.ts"
import * as OutboundLink from "./OutboundLink.ts"
import type { ServedConnection } from "./ServedConnection.ts"
import * as SessionOutboundLink from "./SessionOutboundLink.ts"
import { timeout } from "./Timeout.ts"

const nameOf = { deadLetter: "sub-queue", subscription: "subscription" }

/** What a fault may call the attach of a link, and of one that asks for a session. */
const attaching = ["attach"] as const
const accepting = ["attach", "acceptSession"] as const

/** How many requests to a node may be on their way. */
const requestCredit = 100

/** Answers the attach of a link; `replies` are the links of the connection that responses go out on. */
export const attach = (connection: ServedConnection, replies: ManagementNode.ReplyLinks, link: RheaLink): void => {
  const { attach } = link.local
  const remote = link.remote.attach!
  attach["snd_settle_mode"] = remote["snd_settle_mode"]
  // As a receiver we settle first, whatever was asked for: uamqp would wait for ever for its second.
  attach["rcv_settle_mode"] = link.is_receiver() ? 0 : remote["rcv_settle_mode"]
  const refusal = unplaced(connection, link) ?? serve(connection, replies, link)
  if (refusal !== undefined) {
    attach["source"] = undefined
    attach["target"] = undefined
    return link.close(refusal)
  }
  const { kind, path } = NodeAddress.parse(addressOf(link))
  connection.links.set(link, kind === "management" ? `${path}/$management` : path)
  connection.onEnd(link, () => connection.links.delete(link))
  connection.idle.watch(link)
}

/** Without a namespace there is no entity that a link could be to: it is refused as any other without a claim. */
const unplaced = ({ isPlaced, namespace, server }: ServedConnection, link: RheaLink): AmqpError | undefined => {
  if (isPlaced || server.namespaces.isAlone) return undefined
  const { kind, path } = NodeAddress.parse(addressOf(link))
  return kind === "cbs" ? undefined : namespace.conditions.unauthorized(path, link.is_receiver() ? "Send" : "Listen")
}

const serve = (
  connection: ServedConnection,
  replies: ManagementNode.ReplyLinks,
  link: RheaLink
): AmqpError | undefined => {
  const { isCoordinator, problem } = connection.plane.of(link.session).attaching
  if (problem !== undefined) {
    return connection.namespace.conditions.protocol(problem.condition, problem.description ?? "")
  }
  if (isCoordinator) {
    link.set_source(address(link.remote.attach!["source"]))
    Coordinator.attach(connection, link)
    return undefined
  }
  return link.is_receiver() ? serveInbound(connection, replies, link) : serveOutbound(connection, replies, link)
}

/** The peer sends. */
const serveInbound = (
  connection: ServedConnection,
  replies: ManagementNode.ReplyLinks,
  link: RheaLink
): AmqpError | undefined => {
  const { broker, conditions } = connection.namespace
  const node = NodeAddress.parse(addressOf(link))
  if (node.kind === "cbs") {
    setTermini(link)
    link.local.attach["max_message_size"] = ClaimsNode.maxRequestSize
    connection.plane.link(link).maxMessageSize = ClaimsNode.maxRequestSize
    ManagementNode.serve(
      connection,
      link,
      "dashed",
      () => replies.of(link, "cbs"),
      (request, reply) => ClaimsNode.answer(connection, link, request, reply)
    )
    link.add_credit(requestCredit)
    return undefined
  }
  const queue = broker.queue(node.path)
  if (queue === undefined) return conditions.notFound(node.path)
  if (node.kind === "management") {
    const refused = authorizeAny(connection, link, node.path)
    if (refused !== undefined) return refused
    setTermini(link)
    ManagementNode.serve(
      connection,
      link,
      "camel",
      () => replies.of(link, node.path.toLowerCase()),
      (request, reply) => Operations.answer(connection, link, node.path, request, reply)
    )
    link.add_credit(requestCredit)
    return undefined
  }
  if (queue.kind === "deadLetter" || queue.kind === "subscription") {
    return conditions.notAllowed(node.path, `A sender cannot be created on a ${nameOf[queue.kind]}.`)
  }
  const refused = authorize(connection, link, node.path, "Send")
  if (refused !== undefined) return refused
  return FaultyAttach.open(connection, link, attaching, queue.path, () => {
    const refused = unsendable(connection, queue) ?? sentVia(connection, queue, link)
    if (refused !== undefined) return refused
    setTermini(link)
    InboundLink.attach(connection, queue, link)
    return undefined
  })
}

/** The peer receives. */
const serveOutbound = (
  connection: ServedConnection,
  replies: ManagementNode.ReplyLinks,
  link: RheaLink
): AmqpError | undefined => {
  const { broker, conditions } = connection.namespace
  const node = NodeAddress.parse(addressOf(link))
  if (node.kind === "cbs") {
    setTermini(link)
    replies.add(link, "cbs")
    return undefined
  }
  const queue = broker.queue(node.path)
  if (queue === undefined) return conditions.notFound(node.path)
  if (node.kind === "management") {
    const refused = authorizeAny(connection, link, node.path)
    if (refused !== undefined) return refused
    setTermini(link)
    replies.add(link, node.path.toLowerCase())
    return undefined
  }
  if (queue.kind === "topic") {
    return conditions.notAllowed(node.path, "A receiver cannot be created on a topic. Use a subscription.")
  }
  const isShared = SessionOutboundLink.asksForSharedSession(link)
  const id = SessionOutboundLink.sessionOf(link)
  const refused = authorize(connection, link, node.path, "Listen")
  if (refused !== undefined) return refused
  const kinds = id === undefined ? attaching : accepting
  return FaultyAttach.open(connection, link, kinds, queue.path, () => {
    const refused = unreceivable(connection, queue) ??
      (isShared
        ? conditions.filterType(node.path, link.name)
        : conditions.sessions(node.path, queue.sessions !== undefined, id !== undefined))
    if (refused !== undefined) return refused
    if (id !== undefined) {
      return SessionOutboundLink.attach(connection, queue, link, id, (filter) => setTermini(link, filter))
    }
    setTermini(link)
    OutboundLink.attach(connection, queue, link)
    return undefined
  })
}

const unsendable = ({ namespace }: ServedConnection, { kind, options, path }: Queue): AmqpError | undefined => {
  if (isSendable(options)) return undefined
  return namespace.conditions.disabled(path, options.status === "SendDisabled", kind === "topic" ? "Topic" : "Queue")
}

/**
 * What is to go on to another entity by way of this one, as in transactions of older clients (Service Bus protocol guide,
 * send-via): were the property passed over, the messages would stay here, where nobody looks for them.
 */
const sentVia = ({ namespace }: ServedConnection, { path }: Queue, link: RheaLink): AmqpError | undefined => {
  const destination: unknown = link.remote.attach!["properties"]?.["com.microsoft:transfer-destination-address"]
  return destination === undefined || destination === null
    ? undefined
    : namespace.conditions.transferDestination(path, String(destination))
}

const unreceivable = ({ namespace }: ServedConnection, { options, path }: Queue): AmqpError | undefined =>
  !isReceivable(options)
    ? namespace.conditions.disabled(path, false)
    : options.forwardTo === undefined
    ? undefined
    : namespace.conditions.forwards(path)

/** The claim that an attach needs; the link ends with it. */
const authorize = (
  connection: ServedConnection,
  link: RheaLink,
  path: string,
  right: Authorization.Right
): AmqpError | undefined => {
  const { claims, namespace: { conditions }, server } = connection
  const until = claims.heldUntil(path, right)
  if (until === undefined) return conditions.unauthorized(path, right)
  // What SASL gave does not end.
  if (until === Infinity) return undefined
  const { deadlines } = server.options
  const expiry = timeout(() => {
    const renewed = claims.heldUntil(path, right)
    if (renewed !== undefined) return deadlines.set(expiry, renewed)
    connection.detach(link, conditions.expired(path))
  })
  deadlines.set(expiry, until)
  connection.onEnd(link, () => deadlines.clear(expiry))
  return undefined
}

/** The management node is open to all who may send or listen; each operation asks for its own right. */
const authorizeAny = (connection: ServedConnection, link: RheaLink, path: string): AmqpError | undefined =>
  connection.claims.heldUntil(path, "Send") !== undefined
    ? authorize(connection, link, path, "Send")
    : authorize(connection, link, path, "Listen")

/** A filter that is not applied is left out, which is how the peer learns of it (AMQP 1.0 section 3.5.3). */
const setTermini = (link: RheaLink, filter?: object): void => {
  const { source, target } = link.remote.attach!
  link.set_source({ ...address(source), ...(filter === undefined ? {} : { filter }) })
  link.set_target(address(target))
}

/** The address of the node that a link is attached to. */
const addressOf = (link: RheaLink): string => {
  const { source, target } = link.remote.attach!
  return String((link.is_receiver() ? target : source)?.address ?? "")
}

const address = (terminus: { readonly address?: unknown } | undefined): { readonly address?: string } =>
  typeof terminus?.address === "string" ? { address: terminus.address } : {}
